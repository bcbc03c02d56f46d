"""Ports for servers that a test starts: below those that the kernel gives to clients, and no other test has them.

Asking the kernel for a free port and giving it back is a race: before the server binds it, another test, or one of
its clients, may have it.  A port is ours as long as this process lives and holds the lock on a file of its name."""
import fcntl
import os
import socket
import tempfile

FIRST, COUNT = 20000, 12000
FOLDER = os.path.join(tempfile.gettempdir(), "kurir-ports-%d" % os.geteuid())
held = {}


def reserve(port):
    fd = os.open(os.path.join(FOLDER, str(port)), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        held[port] = fd
    except OSError:
        os.close(fd)
    return port in held


def unused(port, address):
    """Nobody else on this machine has it, for TCP and UDP."""
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, kind == socket.SOCK_STREAM)
            try:
                s.bind((address, port))
            except OSError:
                return False
    return True


def free_port(address="127.0.0.1"):
    """Given once, and to this process alone."""
    os.makedirs(FOLDER, mode=0o700, exist_ok=True)
    at = os.getpid() * 101 % COUNT
    for n in range(COUNT):
        port = FIRST + (at + n) % COUNT
        if port not in held and reserve(port) and unused(port, address):
            return port
    raise RuntimeError("no port is free")
