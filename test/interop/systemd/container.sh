#!/bin/bash
# container.sh NETNS FOLDER ROOT TREE - systemd as the first process of a container, until our input ends.
#
# The container has this network namespace and namespaces of its own of every other kind but users. Its root is a layer in memory
# above ROOT; TREE is its /run/tree, read-only. Sysctls other than those of the network, and devices, stay out of its reach.
# FOLDER/init gets the process id of its systemd, as the machine counts.
set -eu

if [ "$1" != inside ]; then
    namespace=$1
    # A cgroup of its own, whatever the machine does with its cgroups.
    mount -t cgroup2 cgroup2 /mnt
    mkdir "/mnt/$namespace"
    (
        echo 0 >"/mnt/$namespace/cgroup.procs"
        exec ip netns exec "$namespace" unshare --mount --pid --uts --ipc --cgroup --fork --kill-child bash "$0" inside "$@"
    ) &
    # Our input ends with whoever started us, however that ends; with the container's first process all others of it end.
    cat <&0 >/dev/null &
    wait -n || :
    # shellcheck disable=SC2046
    kill -KILL $(jobs -rp) || :
    wait
    # Its last processes may still be on their way out.
    for _ in {1..50}; do
        find "/mnt/$namespace" -depth -type d -exec rmdir {} + 2>/dev/null && exit
        sleep 0.1
    done
    exit 1
fi

folder=$3 root=$4 tree=$5
# /proc is the machine's yet, and so is the number in it.
read -r init _ </proc/self/stat
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/new
mount -t overlay -o "lowerdir=$root,upperdir=/mnt/upper,workdir=/mnt/work" overlay /mnt/new
cd /mnt/new

mount -t proc proc proc
mount --bind proc/sys proc/sys
mount --bind proc/sys/net proc/sys/net
mount -o remount,bind,ro proc/sys
if [ -e proc/sysrq-trigger ]; then
    mount --bind proc/sysrq-trigger proc/sysrq-trigger
    mount -o remount,bind,ro proc/sysrq-trigger
fi
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup

mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/pts dev/shm dev/net
while read -r name major minor; do
    mknod -m 666 "dev/$name" c "$major" "$minor"
done <<'END'
null 1 3
zero 1 5
full 1 7
random 1 8
urandom 1 9
tty 5 0
net/tun 10 200
END
ln -s /proc/self/fd dev/fd
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs -o mode=1777 tmpfs dev/shm

mount -t tmpfs -o mode=755 tmpfs run
mkdir run/tree run/old
mount --bind "$tree" run/tree
mount -o remount,bind,ro run/tree
echo "$init" >"$folder/init"
pivot_root . run/old
umount --lazy run/old
rmdir run/old
# systemd leaves that to whoever makes the container; its services get their credentials this way.
mount --make-rshared /
# What systemd would start besides, and nothing here needs, is masked.
exec env -i container=tungate-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    setpriv --bounding-set=-sys_module,-sys_rawio,-sys_time,-syslog /sbin/init \
    systemd.mask=console-getty.service systemd.mask=e2scrub_reap.service systemd.mask=systemd-logind.service
