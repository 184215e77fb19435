#!/bin/bash
# Takes the daemon's place in its unit and writes down what it may do there; then stays, and feeds the watchdog.
exec 3>"$1"
fact() { echo "$1=${*:2}" >&3; }
# try NAME COMMAND...: `allowed`, or the last words of what refused it
try() {
    local name=$1 said
    shift
    if said=$("$@" 2>&1); then fact "$name" allowed; else fact "$name" refused "${said##*$'\n'}"; fi
}

for name in CapInh CapPrm CapEff CapBnd CapAmb NoNewPrivs Seccomp; do
    fact "$name" "$(sed -n "s/^$name:[[:space:]]*//p" /proc/self/status)"
done
fact uid "$(id -u)"
fact core "$(ulimit -H -c)"
fact nodeOptions "${NODE_OPTIONS-unset}"
fact mutableFolders "$(for folder in / /usr /etc /etc/tungate /var /var/lib/tungate /run /run/tungate /tmp /home /boot; do
    [ -w $folder ] && touch "$folder/probe" 2>/dev/null && rm "$folder/probe" && printf '%s ' $folder
done)"
try readConfiguration test -r /etc/tungate/tungate.yaml
try writeSysctl sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
try namespace unshare -U true
try realTime chrt -f 1 true
try setUser setpriv --reuid 1 true
try mount mount -t tmpfs tmpfs /mnt
try otherProcess test -e /proc/1/status
try foreignDevice head -c 0 /dev/probe-device
try compileAtRunTime "$2" -e 'for (let i = 0, f = (x) => x * 2 + 1; i < 1e6; i++) f(i)'
try bindLowPort "$2" -e '
    const socket = require("node:dgram").createSocket("udp4");
    socket.on("error", (error) => { console.error(error.code); process.exit(1); });
    socket.bind(500, () => process.exit(0));'
try tunDevice ip tuntap add dev probe0 mode tun
ip tuntap del dev probe0 mode tun 2>/dev/null
try routesScript sh -c 'printf "table 221\npriority 300\nprotect 10.9.0.0/16 dev lo\non-exit open\n" | '"$3"' apply &&
    printf "table 221\npriority 300\non-exit open\n" | '"$3"' clear'
exec 3>&-
systemd-notify --ready --status=probing
while :; do systemd-notify WATCHDOG=1; sleep 2; done
