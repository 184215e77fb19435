#!/usr/bin/env python3
"""A service manager of the least kind: it runs one program, keeps the descriptors that the program hands it (sd_notify(3), FDSTORE=1),
and starts it again with them (sd_listen_fds(3)) whenever it ends. SIGHUP: a clean restart. SIGUSR1: it is killed. SIGTERM: the end,
with a goodbye (SIGINT to the program). Each start is a line on stderr: `supervisor: start N, pid PID, kept COUNT`."""
import array
import ctypes
import os
import select
import signal
import socket
import sys
import time

SIGKILL, PR_SET_PDEATHSIG = 9, 1
FIRST_FD = 3
words = sys.argv[1:]
name = f"tungate-supervisor-{os.getpid()}"
manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
manager.bind("\0" + name)
manager.setblocking(False)
kept = []  # (name, descriptor), in the order in which they came
if os.environ.get("LISTEN_PID") == str(os.getpid()):
    for i, label in enumerate(os.environ["LISTEN_FDNAMES"].split(":")):
        kept.append((label, os.dup(FIRST_FD + i)))
        os.close(FIRST_FD + i)
child, starts, is_ending = 0, 0, False
libc = ctypes.CDLL(None)

wake_in, wake_out = os.pipe()
os.set_blocking(wake_out, False)
os.set_blocking(wake_in, False)
signal.set_wakeup_fd(wake_out)


def say(text):
    os.write(2, f"supervisor: {text}\n".encode())


def start():
    global child, starts
    starts += 1
    supervisor = os.getpid()
    child = os.fork()
    if child > 0:
        say(f"start {starts}, pid {child}, kept {len(kept)}")
        return
    libc.prctl(PR_SET_PDEATHSIG, SIGKILL)
    if os.getppid() != supervisor:
        os._exit(1)
    # Out of the way first: their places may be taken by others of them.
    high = [os.dup2(fd, 2000 + i, inheritable=False) for i, (_, fd) in enumerate(kept)]
    for i, fd in enumerate(high):
        os.dup2(fd, FIRST_FD + i, inheritable=True)
    environment = dict(os.environ, NOTIFY_SOCKET="@" + name, FDSTORE="512")
    if kept:
        environment["LISTEN_PID"] = str(os.getpid())
        environment["LISTEN_FDS"] = str(len(kept))
        environment["LISTEN_FDNAMES"] = ":".join(one for one, _ in kept)
    signal.set_wakeup_fd(-1)
    for one in (signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(one, signal.SIG_DFL)
    os.execve(words[0], words, environment)


def take_messages():
    while True:
        try:
            data, ancillary, _, _ = manager.recvmsg(65536, socket.CMSG_SPACE(253 * 4), socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        fds = array.array("i")
        for level, kind, octets in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(octets[: len(octets) - len(octets) % fds.itemsize])
        fields = dict(line.split("=", 1) for line in data.decode().split("\n") if "=" in line)
        label = fields.get("FDNAME", "stored")
        if fields.get("FDSTORE") == "1":
            kept.extend((label, fd) for fd in fds)
            continue
        if fields.get("FDSTOREREMOVE") == "1":
            for one in [entry for entry in kept if entry[0] == label]:
                kept.remove(one)
                os.close(one[1])
        for fd in fds:
            os.close(fd)


def on_signal(number):
    global is_ending
    if number == signal.SIGHUP:
        os.kill(child, signal.SIGTERM)
    elif number == signal.SIGUSR1:
        os.kill(child, SIGKILL)
    elif number == signal.SIGTERM:
        is_ending = True
        os.kill(child, signal.SIGINT)


for one in (signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM, signal.SIGCHLD):
    signal.signal(one, lambda *_: None)
start()
while True:
    select.select([manager, wake_in], [], [], 1)
    # What the program said before it ended counts.
    take_messages()
    try:
        numbers = os.read(wake_in, 64)
    except BlockingIOError:
        numbers = b""
    for number in numbers:
        on_signal(number)
    ended, status = os.waitpid(child, os.WNOHANG)
    if ended == 0:
        continue
    take_messages()
    code = os.waitstatus_to_exitcode(status)
    say(f"ended with {code}, {time.monotonic():.3f}")
    if is_ending:
        sys.exit(code if code >= 0 else 128 - code)
    if code == 1:
        time.sleep(0.1)
    start()
