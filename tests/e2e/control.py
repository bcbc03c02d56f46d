#!/usr/bin/env python3
"""control.py - the admin socket from outside: rubbish, crowds, slow readers, and what it says."""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile

from processes import KURIRCTL, SLOW, Server, alive, point, results, wait_for


def ask(server, request, seconds=SLOW):
    """The answer to one line, or what is left of it when the server hangs up."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(seconds)
        s.connect(os.path.join(server.folder, "run/control"))
        try:
            s.sendall(request)
            got = b""
            while not got.endswith(b"\n"):
                more = s.recv(65536)
                if not more:
                    break
                got += more
        except ConnectionError:
            got = b""
        return got.decode(errors="replace")


def rubbish(server):
    control = server.pids()["control"]
    for name, line in (
            ("no JSON", b"\xff\xfe{{{"),
            ("no object", b"7"),
            ("no command", b'{"args": []}'),
            ("a command that is a path", b'{"command": "../x"}'),
            ("arguments that are no texts", b'{"command": "queue", "args": [{}]}'),
            ("too many arguments", json.dumps({"command": "queue", "args": ["x"] * 65}).encode()),
            ("nesting without end", b'{"command": "status", "args": ' + b"[" * 20000),
            ("nesting in an unknown member",
             b'{"command": "status", "x": ' + b"[" * 2000 + b"]" * 2000 + b"}")):
        answer = ask(server, line + b"\n")
        point(list(json.loads(answer or "{}")) == ["error"], name + " is answered by a sentence", answer)
    ask(server, b"x" * 100000 + b"\n")
    point(server.pids()["control"] == control, "a line without end is not waited for", server.tail())
    answer = json.loads(ask(server, b'{"command": "nothing-of-the-kind"}\n'))
    point("no command" in answer["error"], "an unknown command", answer)


def crowd(server):
    """More clients than there may be: the next is told so, and the others are not disturbed."""
    path = os.path.join(server.folder, "run/control")
    clients = []
    for _ in range(64):
        s = socket.socket(socket.AF_UNIX)
        s.connect(path)
        s.settimeout(SLOW)
        clients.append(s)
    said = server.ctl("status")[2]
    point("too many" in said, "one client too many is told so", said)
    clients[0].sendall(b'{"command": "status"}\n')
    point(b'"text"' in clients[0].recv(65536), "the first is still answered")
    for s in clients:
        s.close()
    point(wait_for(lambda: server.ctl("status")[0] == 0), "and there is room when they have gone")


def followers(server):
    """One reads nothing; another sees what happens; events are never waited for. Those of two processes may come in
    any order."""
    path = os.path.join(server.folder, "run/control")
    slow = socket.socket(socket.AF_UNIX)
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    slow.connect(path)
    slow.sendall(b'{"command": "log", "args": ["-f"]}\n')
    log = subprocess.Popen([KURIRCTL, "-c", server.file, "--json", "log", "-f"],
                           stdout=subprocess.PIPE, text=True)
    point("following" in log.stdout.readline(), "log -f says when it begins")
    server.send("followed")
    ids = {}
    while not {"message", "delivered"} <= ids.keys():
        event = json.loads(log.stdout.readline())
        ids.setdefault(event["event"], event.get("id"))
    point(ids["message"] and ids["message"] == ids["delivered"], "and tells what happens to the message", ids)
    log.terminate()
    log.wait()
    log.stdout.close()
    point(server.ctl("status")[0] == 0, "who reads nothing holds up nobody")
    slow.close()


def stories(server):
    server.send("story")
    point(wait_for(lambda: server.delivered("story")), "a message to tell about")
    told = wait_for(lambda: (lambda t: t if "delivered" in t else "")(
        server.ctl("explain", "hyd@satu.example")[1]))
    point(re.match(r"\d{4}-\d\d-\d\d, UTC\n\d\d:\d\d:\d\d\.\d{3} ", told), "a story has a date", told)
    point(re.search(r"^\S+ delivered .*250 2\.\d\.\d: .*, after [\d.]+ \w+ \[queue_journal\]$",
                    told, re.M), "it ends with what the mailbox said", told)
    point(not re.search(r"code=0|\w=(\s|$)|-ms=", told), "without empty or zero fields", told)
    code, out, _ = server.ctl("--json", "explain", "hyd@satu.example")
    point(code == 0 and any(e["event"] == "delivered" for e in json.loads(out)),
          "the same for a program")
    code, _, err = server.ctl("explain", "nobody@nowhere.example")
    point(code == 1 and "nothing is known" in err, "a story that nobody knows", err)


def processes(server):
    """Each tells of itself, a module that stands in two pipelines, too."""
    said = wait_for(lambda: (lambda s: s if all("facts" in p for p in s["processes"]) else None)(server.status()))
    point(said, "every process tells of itself", server.status()["processes"])
    counters = json.loads(server.ctl("--json", "counters")[1])
    point(counters["smtp"]["messages"] > 0 and counters["accounts"]["rcpt-calls"] > 0,
          "the edge's counters are among all", counters)


def outputs(server):
    """What can be asked can be asked for a program, too."""
    for command in (["status"], ["modules"], ["counters"], ["queue", "list"], ["ledger"]):
        code, out, err = server.ctl("--json", *command)
        try:
            good = code == 0 and json.loads(out) is not None
        except ValueError:
            good = False
        point(good, "--json " + " ".join(command), out + err)
        code, out, err = server.ctl(*command)
        lines = out.splitlines()
        point(code == 0 and lines and not any(line != line.rstrip() for line in lines),
              " ".join(command) + " for people", repr(out) + err)
    code, out, _ = server.ctl("--json", "no-such-thing")
    point(code == 1 and "error" in json.loads(out), "--json has errors, too", out)


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        server = Server(folder)
        point(server.start() and server.process.poll() is None, "the server starts", server.tail())
        if server.process.poll() is None:
            control = server.pids()["control"]
            try:
                for part in (rubbish, crowd, followers, stories, processes, outputs):
                    part(server)
                point(alive(control), "control is the process it was", server.tail())
            finally:
                server.process.terminate()
                server.process.wait(SLOW)
    return results()


if __name__ == "__main__":
    sys.exit(main())
