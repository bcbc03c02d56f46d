#!/usr/bin/env python3
"""supervisor.py - signals at bad moments, what systemd is told, what children inherit."""

import os
import signal
import socket
import subprocess
import sys
import tempfile

from processes import ENV, KURIRD, SLOW, Server, alive, free_port, point, results, wait_for


def send_together(pid, *signals):
    """All of them are there before the first is looked at."""
    os.kill(pid, signal.SIGSTOP)
    for s in signals:
        os.kill(pid, s)
    os.kill(pid, signal.SIGCONT)


def ended(server, name):
    try:
        point(server.process.wait(SLOW) == 0, name, server.tail())
    except subprocess.TimeoutExpired:
        point(False, name, server.tail())
        server.process.kill()
        server.process.wait()


def reload_then_stop(server):
    server.start()
    pids = server.pids()
    send_together(server.process.pid, signal.SIGHUP, signal.SIGTERM)
    ended(server, "a stop that comes with a reload ends the server")
    point("generation 2" not in server.tail(), "and nothing new is begun", server.tail())
    point(not any(alive(p) for p in pids.values()), "and nobody is left")


def reload_twice(server):
    server.start()
    before = server.status()["generation"]
    told = server.tail().count("reading ")
    os.kill(server.process.pid, signal.SIGHUP)
    wait_for(lambda: server.tail().count("reading ") > told)
    os.kill(server.process.pid, signal.SIGHUP)
    point(wait_for(lambda: server.status()["generation"] == before + 2),
          "a reload that comes during a reload is done after it", server.tail())


def crash_then_reload(server):
    """A queue that crashes again and again is reloaded: it has one owner all the time."""
    for _ in range(4):
        pid = wait_for(lambda: server.pids().get("queue"))
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda p=pid: server.pids().get("queue", p) != p)
    os.kill(wait_for(lambda: server.pids().get("queue")), signal.SIGKILL)
    code, out, err = server.ctl("reload")
    point(code == 0, "reload while the queue waits to be started again", out + err)
    point(wait_for(server.all_ready), "everybody is there again", server.tail())
    server.send("after-crashes")
    point(wait_for(lambda: server.delivered("after-crashes")), "and mail is delivered", server.tail())


def inheritance(server):
    """The environment may hold secrets; descriptors nobody asked for are trouble."""
    for role, pid in server.pids().items():
        with open("/proc/%d/environ" % pid, "rb") as f:
            point(b"TEST_SECRET" not in f.read(), role + " has no secret in its environment")
    server.process.terminate()
    ended(server, "the server stops")


def closed_files(server):
    """Started without any open file, as some do."""
    server.process = subprocess.Popen(
        ["/bin/sh", "-c", 'exec "$0" -c "$1" <&- >&- 2>&-', KURIRD, server.file], env=ENV)
    point(wait_for(server.all_ready), "a server without descriptors 0 to 2 starts")
    folder = "/proc/%d/fd" % server.process.pid
    point(all(os.readlink("%s/%d" % (folder, n)) == "/dev/null" for n in range(3)),
          "and has none of its own there")
    server.send("closed")
    point(wait_for(lambda: server.delivered("closed")), "and works")
    server.process.terminate()
    ended(server, "and stops")


def crowded(server):
    """An edge without a free descriptor, while another process is started anew."""
    server.process = subprocess.Popen(
        ["/bin/sh", "-c", 'ulimit -n 60; exec "$0" -c "$1"', KURIRD, server.file], env=ENV,
        stdin=subprocess.DEVNULL, stderr=open(server.log, "a"))
    point(wait_for(server.all_ready), "a server with few descriptors starts", server.tail())
    pids = server.pids()
    folder = "/proc/%d/fd" % pids["edge"]
    before = len(os.listdir(folder))
    held = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(80)]
    point(wait_for(lambda: len(os.listdir(folder)) == 60), "clients have all those of the edge", os.listdir(folder))
    auth = pids["auth"]
    for _ in range(5):
        os.kill(auth, signal.SIGKILL)
        wait_for(lambda a=auth: server.pids().get("auth", a) != a)
        auth = server.pids().get("auth", auth)
    for s in held:
        s.close()
    point(wait_for(lambda: len(os.listdir(folder)) == before), "when they have gone it has all its channels",
          (before, os.listdir(folder), server.tail()))
    server.process.terminate()
    ended(server, "and the server stops")


def told_to_systemd(server):
    """A start that fails is not called a success before."""
    path = os.path.join(server.folder, "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s, socket.socket() as busy:
        s.bind(path)
        s.settimeout(SLOW)
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        server.port = busy.getsockname()[1]
        server.write()
        r = subprocess.run([KURIRD, "-c", server.file], env=dict(ENV, NOTIFY_SOCKET=path),
                           capture_output=True, text=True, timeout=60)
        s.setblocking(False)
        try:
            said = s.recv(4096)
        except BlockingIOError:
            said = b""
        point(r.returncode == 1 and b"READY" not in said, "no READY from a start that fails", said)
        server.port = free_port()
        server.write()
        s.settimeout(SLOW)
        server.process = subprocess.Popen([KURIRD, "-c", server.file],
                                          env=dict(ENV, NOTIFY_SOCKET=path),
                                          stderr=open(server.log, "a"))
        point(s.recv(4096) == b"READY=1", "READY from one that does not")
        server.process.terminate()
        point(s.recv(4096) == b"STOPPING=1", "and STOPPING")
        ended(server, "and it stops")


def main():
    ENV["TEST_SECRET"] = "hush"
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        server = Server(folder)
        try:
            for part in (reload_then_stop, reload_twice, crash_then_reload, inheritance,
                         closed_files, crowded, told_to_systemd):
                part(server)
        finally:
            if server.process.poll() is None:
                server.process.kill()
                server.process.wait()
    return results()


if __name__ == "__main__":
    sys.exit(main())
