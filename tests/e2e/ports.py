"""Ports for servers that a test starts: below those that the kernel gives to clients, and no other test has them.

Asking the kernel for a free port and giving it back is a race: before the server binds it, another test, or one of
its clients, may have it.  A port is ours as long as this process lives and holds the lock on a file of its name."""
import fcntl
import os

FIRST, COUNT = 20000, 12000
FOLDER = "/tmp/kurir-ports-%d" % os.geteuid()  # the same for all, whatever their TMPDIR
TIME_WAIT = "06"
held = {}


def reserve(port):
    fd = os.open(os.path.join(FOLDER, str(port)), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # another test has it, or another thread of this one
        os.close(fd)
        return False
    held[port] = fd
    return True


def unused(port):
    """Nobody else on this machine has it, for TCP or UDP.  Looked up, not tried: a socket that was bound for a moment
    lives on in the children that another thread begins at that moment."""
    for name in ("tcp", "tcp6", "udp", "udp6"):
        try:
            with open("/proc/net/" + name, encoding="ascii") as f:
                lines = f.read().split("\n")[1:]
        except OSError:
            continue
        for line in filter(None, lines):
            words = line.split()
            if int(words[1].rpartition(":")[2], 16) == port and words[3] != TIME_WAIT:
                return False
    return True


def free_port():
    """Given once, and to this process alone."""
    os.makedirs(FOLDER, mode=0o700, exist_ok=True)
    at = os.getpid() * 101 % COUNT
    for n in range(COUNT):
        port = FIRST + (at + n) % COUNT
        if port not in held and reserve(port) and unused(port):
            return port
    raise RuntimeError("no port is free")
