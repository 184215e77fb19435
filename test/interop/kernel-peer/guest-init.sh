#!/bin/bash
# First process of a kernel peer (user-mode-linux): mounts what programs expect, then runs what the host asks for.
#
# The root is the machine's own file system, read-only (or a folder made for the purpose); what may be written are
# tmpfs mounts. Words of the kernel's command line arrive as environment: peer_folder (exchange folder on the host),
# peer_modules (folder with the kernel's modules), peer_mode (agent, or systemd), peer_tree (folder shown as /run/tree).
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8
umask 022
fail() { echo "guest-init: $*"; echo o >/proc/sysrq-trigger; sleep 5; }

mount -t proc proc /proc
mount -t sysfs sysfs /sys

if [ "$peer_mode" = systemd ]; then
    # systemd wants to write nearly everywhere: the read-only root becomes the lower layer of an overlay.
    mount -t tmpfs -o mode=755 tmpfs /mnt && mkdir -p /mnt/upper /mnt/work /mnt/new /mnt/lower || fail "no tmpfs"
    insmod "$peer_modules"/kernel/fs/overlayfs/overlay.ko || fail "no overlayfs"
    mount -t hostfs -o "$peer_root" none /mnt/lower || fail "no root"
    mount -t overlay -o lowerdir=/mnt/lower,upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/new || fail "no overlay"
    cd /mnt/new || fail "no root"
    mkdir -p "usr/lib/modules/$(uname -r)" run/exchange run/tree run/host
    mount -t hostfs -o "$peer_modules" none "usr/lib/modules/$(uname -r)" || fail "no modules"
    mount -t tmpfs -o mode=755 tmpfs run
    mkdir run/exchange run/tree run/host
    mount -t hostfs -o "sync,$peer_folder" none run/exchange || fail "no exchange folder"
    mount -t hostfs -o "ro,$peer_tree" none run/tree || fail "no tree"
    mount -t hostfs -o "ro,/usr" none run/host || fail "no programs of the host"
    mount --move /proc proc
    mount --move /sys sys
    mount --move /dev dev 2>/dev/null || mount -t devtmpfs devtmpfs dev
    mkdir -p old && pivot_root . old || fail "pivot_root"
    unit=/run/systemd/system
    mkdir -p $unit/multi-user.target.wants
    ln -s /dev/null $unit/getty.target
    cat >$unit/exchange.service <<E
[Unit]
Description=Runs what the host of this machine asks for
[Service]
ExecStart=/bin/bash /run/exchange/agent.sh
StandardInput=tty-force
StandardOutput=tty
TTYPath=/dev/console
KillMode=process
TasksMax=infinity
E
    ln -s ../exchange.service $unit/multi-user.target.wants/
    exec /sbin/init
fi

mount -t devtmpfs devtmpfs /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm /dev/net
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/exchange /run/modules/lib/modules /run/lock
mount -t hostfs -o "sync,$peer_folder" none /run/exchange || fail "no exchange folder"
# The root cannot hold /lib/modules/VERSION: modprobe, the kernel's own calls included, is told another place.
ln -s "$peer_modules" "/run/modules/lib/modules/$(uname -r)"
printf '#!/bin/sh\nexec /sbin/modprobe -d /run/modules "$@"\n' >/run/modprobe
chmod 755 /run/modprobe
echo /run/modprobe >/proc/sys/kernel/modprobe
/run/modprobe ipv6
ip link set lo up
exec /bin/bash /run/exchange/agent.sh
