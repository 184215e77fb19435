#!/bin/bash
# Runs inside a kernel peer: each line on the console names a script in the exchange folder, which is run; its output
# and at last its exit status appear beside it. When the console ends, the peer powers off.
cd /run/exchange || exit 1
stty raw -echo 2>/dev/null
: >ready
while read -r name; do
    case $name in
    '') ;;
    off) break ;;
    *)
        (
            setsid -w bash "$name.sh" >"$name.out" 2>"$name.err" </dev/null
            echo $? >"$name.status.new"
            mv "$name.status.new" "$name.status"
        ) &
        ;;
    esac
done
echo o >/proc/sysrq-trigger
sleep 10
