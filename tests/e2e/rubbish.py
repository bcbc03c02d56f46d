#!/usr/bin/env python3
"""rubbish.py - a process says to others what nobody understands: nothing waits for ever, mail goes on."""

import ctypes
import json
import os
import signal
import socket
import stat
import struct
import sys
import tempfile

from processes import Server, point, results, wait_for

GETFD = 438
READY, LOST = 7, 11
libc = ctypes.CDLL(None, use_errno=True)


def sockets_of(pid, kind):
    """Its Unix sockets, as if they were ours."""
    pidfd = os.pidfd_open(pid)
    found = []
    try:
        for name in os.listdir("/proc/%d/fd" % pid):
            try:
                if not stat.S_ISSOCK(os.stat("/proc/%d/fd/%s" % (pid, name)).st_mode):
                    continue
            except OSError:
                continue
            fd = libc.syscall(GETFD, pidfd, int(name), 0)
            if fd < 0:
                raise OSError(ctypes.get_errno(), "pidfd_getfd")
            s = socket.socket(fileno=fd)
            if s.family == socket.AF_UNIX and s.type == kind and \
                    not s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                found.append(s)
            else:
                s.close()
    finally:
        os.close(pidfd)
    return found


def complaints(server):
    with open(server.log) as f:
        return f.read().count("unusable")


def say(pid, kind, *what):
    """All at once: it may not live to say more."""
    all_ = sockets_of(pid, kind)
    for s in all_:
        with s:
            for one in what:
                s.send(one, socket.MSG_DONTWAIT)
    return len(all_)


def wire(kind, value=0):
    return struct.pack("=IIIIq", kind, 0, 0, 0, value)


def to_each_other(server):
    """Each process hears rubbish from all others in turn."""
    pids = server.pids()
    for role, pid in pids.items():
        before = complaints(server)
        n = say(pid, socket.SOCK_STREAM, b"\xff" * 100)
        point(n > 1 and wait_for(lambda b=before: complaints(server) > b),
              "%s says rubbish on %d channels" % (role, n), server.tail())
        server.send("after-rubbish-of-" + role)
        point(wait_for(lambda r=role: server.delivered("after-rubbish-of-" + r)), "and mail is delivered",
              server.tail())
    point(server.pids() == pids, "nobody had to be started again", server.tail())
    told = json.loads(server.ctl("--json", "status")[1])["processes"]
    point(all("facts" in p for p in told), "and all answer the control role", told)


def others(server, before, role):
    now = server.pids()
    point({r: p for r, p in before.items() if r != role} == {r: p for r, p in now.items() if r != role},
          "nobody else", (before, now, server.tail()))


def gone(server, role, pid):
    return wait_for(lambda: server.pids().get(role, pid) != pid and server.all_ready())


def calumny(server):
    """One complains of all others, who have done nothing."""
    pids = server.pids()
    lies = [wire(LOST, pid) for role, pid in pids.items() if role != "edge"] * 10
    say(pids["edge"], socket.SOCK_SEQPACKET, *lies)
    point(gone(server, "edge", pids["edge"]), "who complains of everybody is started again", server.tail())
    others(server, pids, "edge")
    server.send("after-complaints")
    point(wait_for(lambda: server.delivered("after-complaints")), "and mail is delivered", server.tail())


def much(server):
    """More than the supervisor reads at a time, while it does not read at all; then nothing more."""
    pids = server.pids()
    server.process.send_signal(signal.SIGSTOP)
    try:
        say(pids["edge"], socket.SOCK_SEQPACKET, *[wire(READY)] * 150, b"?")
    finally:
        server.process.send_signal(signal.SIGCONT)
    point(wait_for(lambda: not os.path.exists("/proc/%d" % pids["edge"])), "the last of many words is heard",
          server.tail())
    point(wait_for(server.all_ready), "and all are there", server.tail())


def again_and_again(server):
    """Who does nothing else is ended, and nobody else."""
    pids = server.pids()

    def changed():
        try:
            say(pids["store"], socket.SOCK_STREAM, b"\xff" * 100)
        except OSError:
            return True
        now = server.pids()
        return now.get("store", pids["store"]) != pids["store"]
    point(wait_for(changed, 60), "who says nothing but rubbish is started again", server.tail())
    point(wait_for(server.all_ready), "and all are there", server.tail())
    others(server, pids, "store")
    server.send("after-much-rubbish")
    point(wait_for(lambda: server.delivered("after-much-rubbish")), "and mail is delivered", server.tail())


def texts(*all_):
    return b"".join(struct.pack("<I", len(t)) + t for t in all_)


def frame(endpoint, body):
    """A call whose answer nobody waits for."""
    return struct.pack("=IIBBHiQ", 24 + len(endpoint) + len(body), 0x7fffffff, 1, 0, len(endpoint), 0, 0) + \
        endpoint + body


def asked_at_the_end(server):
    """A question that comes together with the order to end at once."""
    pid = server.pids()["auth"]
    login = frame(b"auth", texts(b"hyd", b"secret", b"", b"imap", b"127.0.0.1") + b"\1")
    os.kill(pid, signal.SIGSTOP)
    try:
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGINT)
        say(server.pids()["edge"], socket.SOCK_STREAM, *[login] * 10)
    finally:
        os.kill(pid, signal.SIGCONT)
    point(gone(server, "auth", pid), "who is told to end at once ends", server.tail())
    with open(server.log) as f:
        log = f.read()
    point("auth-0 (%d) ended by itself with status 0" % pid in log, "without a fault", log[-3000:])


def to_the_supervisor(server):
    for role, pid in server.pids().items():
        point(say(pid, socket.SOCK_SEQPACKET, b"?") == 1, "%s says rubbish to the supervisor" % role)
        point(wait_for(lambda r=role, p=pid: server.pids().get(r, p) != p and server.all_ready()),
              "and is started again", server.tail())
    server.send("after-all")
    point(wait_for(lambda: server.delivered("after-all")), "and mail is delivered", server.tail())


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        server = Server(folder)
        server.start()
        try:
            try:
                say(server.pids()["control"], socket.SOCK_DGRAM, b"")
            except (OSError, AttributeError) as e:
                print("1..0 # SKIP the sockets of other processes cannot be borrowed here: %r" % e)
                return 0
            for part in (to_each_other, calumny, much, again_and_again, asked_at_the_end,
                         to_the_supervisor):
                part(server)
            server.process.terminate()
            point(server.process.wait(30) == 0, "the server ends well", server.tail())
        finally:
            if server.process.poll() is None:
                server.process.kill()
                server.process.wait()
    return results()


if __name__ == "__main__":
    sys.exit(main())
