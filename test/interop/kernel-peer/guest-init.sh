#!/bin/bash
# First process of a kernel peer (user-mode-linux): mounts what programs expect, then runs what the host asks for.
#
# The root is the machine's own file system, read-only; what may be written are tmpfs mounts. Words of the kernel's command
# line arrive as environment: peer_folder (exchange folder on the host), peer_modules (folder with the kernel's modules).
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8
umask 022
fail() { echo "guest-init: $*"; echo o >/proc/sysrq-trigger; sleep 5; }

mount -t proc proc /proc
mount -t sysfs sysfs /sys

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
