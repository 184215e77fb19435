#!/usr/bin/env python3
"""Opens a queue of a TUN device as a gateway wants it, and becomes the program that it is for (sd_listen_fds(3)): pass-tun.py DEVICE
[plain] PROGRAM WORD... With `plain` the queue has no virtio-net header, which no gateway can use."""
import fcntl
import os
import struct
import sys

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI, IFF_VNET_HDR, IFF_MULTI_QUEUE = 0x0001, 0x1000, 0x4000, 0x0100
FIRST_FD = 3
device, words = sys.argv[1], sys.argv[2:]
flags = IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE
if words[0] == "plain":
    words = words[1:]
else:
    flags |= IFF_VNET_HDR
tun = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", device.encode(), flags))
if tun == FIRST_FD:
    os.set_inheritable(tun, True)
else:
    os.dup2(tun, FIRST_FD, inheritable=True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES=device)
os.execvp(words[0], words)
