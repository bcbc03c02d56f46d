#!/usr/bin/env python3
"""processes.py - the process model from outside: roles that are killed, reload, refusal, stop."""

import json
import os
import re
import signal
import smtplib
import socket
import subprocess
import sys
import tempfile
import time

from ports import free_port

BUILD = os.environ.get("top_builddir", "build")
KURIRD = os.path.join(BUILD, "kurird")
KURIRCTL = os.path.join(BUILD, "kurirctl")
ENV = dict(os.environ, KURIR_MODULE_PATH=os.path.join(BUILD, ".libs"))
ROLES = ["edge", "queue", "relay", "store", "access", "auth", "control"]
SLOW = 15.0  # seconds something may take on a loaded machine

count = 0
failed = 0


def point(ok, name, why=""):
    global count, failed
    count += 1
    print("%s %d - %s" % ("ok" if ok else "not ok", count, name), flush=True)
    if not ok:
        failed += 1
        for line in str(why).splitlines()[-20:]:
            print("# " + line, flush=True)


def results():
    print("1..%d" % count)
    return failed != 0


def wait_for(fn, seconds=SLOW):
    """Asks until the answer is true; the last answer."""
    end = time.monotonic() + seconds
    while True:
        answer = fn()
        if answer or time.monotonic() > end:
            return answer
        time.sleep(0.01)


class Server:
    def __init__(self, folder):
        self.folder = folder
        self.port = free_port()
        self.file = os.path.join(folder, "kurir.json")
        self.log = os.path.join(folder, "log")
        self.process = None
        self.write()

    def write(self, broken=False):
        users = os.path.join(self.folder, "users")
        open(users, "a").close()
        os.chmod(users, 0o644)
        conf = {
            "version": 1,
            "hostname": "mx.satu.example",
            "state": "state",
            "run": "run",
            "sandbox": "best-effort",
            "limits": {"drain": "20s"},
            "listeners": {"mx": {"protocol": "smtp", "address": "127.0.0.1:%d" % self.port,
                                 "tls": "none", "pipeline": "inbound"}},
            "pipelines": {"inbound": ["accounts"], "submission": ["accounts"]},
            "modules": {
                "smtp": {},
                "imap": {},
                "accounts": {"domains": ["satu.example"], "mailboxes": ["hyd@satu.example"]},
                "route_local": {},
                "auth_file": {"users": "users"},
                "queue_journal": {},
                "store_maildir": {"root": "mail"},
            },
        }
        if os.geteuid() == 0:
            conf["users"] = {"default": 64120, "edge": 64121}
        if broken:
            conf["modules"]["accounts"]["domans"] = ["satu.example"]
        with open(self.file, "w") as f:
            json.dump(conf, f, indent=1)

    def start(self):
        self.process = subprocess.Popen([KURIRD, "-c", self.file], env=ENV,
                                        stderr=open(self.log, "a"), stdin=subprocess.DEVNULL)
        return wait_for(lambda: self.all_ready() or self.process.poll() is not None)

    def ctl(self, *args):
        r = subprocess.run([KURIRCTL, "-c", self.file, *args], capture_output=True, text=True,
                           timeout=60)
        return r.returncode, r.stdout, r.stderr

    def status(self):
        code, out, _ = self.ctl("--json", "status")
        return json.loads(out) if code == 0 else {"processes": [], "generation": 0}

    def pids(self):
        s = self.status()
        return {p["role"]: p["pid"] for p in s["processes"]
                if p["generation"] == s["generation"] and p["state"] == "ready"}

    def all_ready(self):
        return set(ROLES) <= set(self.pids())

    def smtp(self):
        return smtplib.SMTP("127.0.0.1", self.port, timeout=20)

    def send(self, subject):
        s = self.smtp()
        s.sendmail("a@b.example", ["hyd@satu.example"], "Subject: %s\r\n\r\nbody\r\n" % subject)
        s.quit()

    def delivered(self, subject):
        for folder, _, files in os.walk(os.path.join(self.folder, "mail")):
            if os.path.basename(folder) in ("new", "cur"):
                for name in files:
                    with open(os.path.join(folder, name), errors="replace") as f:
                        if "Subject: " + subject in f.read():
                            return True
        return False

    def tail(self):
        with open(self.log) as f:
            return f.read()[-3000:]


def alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def kills(server):
    for role in ROLES:
        pid = server.pids().get(role)
        began = time.monotonic()
        if pid:
            os.kill(pid, signal.SIGKILL)
        back = wait_for(lambda: server.pids().get(role, pid) != pid and server.all_ready())
        point(back and time.monotonic() - began < SLOW, "%s is back after kill -9" % role,
              server.tail())
        server.send("after-" + role)
        point(wait_for(lambda: server.delivered("after-" + role)),
              "mail is delivered after %s was killed" % role, server.tail())


def reloads(server):
    s = server.smtp()
    s.ehlo("x")
    before = server.status()["generation"]
    code, out, err = server.ctl("reload")
    point(code == 0 and "serving" in out, "reload", out + err + server.tail())
    point(server.status()["generation"] == before + 1, "there is a new generation")
    code, _ = s.docmd("MAIL FROM:<a@b.example>")
    point(code == 250, "a session of the old generation goes on", code)
    code, _ = s.docmd("RCPT TO:<hyd@satu.example>")
    s.docmd("DATA")
    s.send(b"Subject: across\r\n\r\nbody\r\n.\r\n")
    point(code == 250 and s.getreply()[0] == 250, "and its mail is accepted")
    s.quit()
    point(wait_for(lambda: server.delivered("across")), "and delivered", server.tail())
    server.send("new-generation")
    point(wait_for(lambda: server.delivered("new-generation")),
          "mail to the new generation is delivered", server.tail())
    point(wait_for(lambda: all(p["generation"] == before + 1 for p in server.status()["processes"])),
          "the old generation ends", server.status())


def refusals(server):
    before = server.pids()
    server.write(broken=True)
    code, out, err = server.ctl("reload")
    point(code == 1 and re.search(r"kurir\.json:\d+:\d+:", err) and "domains" in err,
          "a broken configuration is refused, with its place", out + err)
    point(server.pids() == before, "and the old processes go on", server.tail())
    server.send("after-refusal")
    point(wait_for(lambda: server.delivered("after-refusal")), "and serve", server.tail())
    os.kill(server.process.pid, signal.SIGHUP)
    point(wait_for(lambda: server.tail().count("was refused") >= 2) and server.pids() == before,
          "the same by SIGHUP", server.tail())
    server.write()


def locks(server):
    facts = {}
    for role, pid in server.pids().items():
        with open("/proc/%d/status" % pid) as f:
            facts[role] = dict(line.split(":", 1) for line in f.read().splitlines() if ":" in line)
    point(all(f["NoNewPrivs"].strip() == "1" for f in facts.values()), "no role can gain privileges")
    if os.geteuid() == 0:
        point(all(f["Uid"].split()[0] != "0" for f in facts.values()), "no role runs as root", facts)


def stops(server):
    pids = server.pids()
    code, _, err = server.ctl("stop")
    point(code == 0, "stop", err)
    try:
        point(server.process.wait(SLOW) == 0, "the server ends with status 0", server.tail())
    except subprocess.TimeoutExpired:
        point(False, "the server ends with status 0", server.tail())
    point(not any(alive(p) for p in pids.values()), "and leaves no process")
    code, _, err = server.ctl("status")
    point(code == 3 and "no server" in err, "kurirctl says that there is no server", err)


def orphans(server):
    server.start()
    pids = server.pids()
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()
    point(pids and wait_for(lambda: not any(alive(p) for p in pids.values())),
          "without their supervisor the roles end", server.tail())


def busy_port(server):
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    s.listen()
    server.port = s.getsockname()[1]
    server.write()
    r = subprocess.run([KURIRD, "-c", server.file], env=ENV, capture_output=True, text=True, timeout=30)
    point(r.returncode == 1 and "another program uses that port" in r.stderr,
          "a port in use is said so", r.stderr)


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        server = Server(folder)
        point(server.start() and server.process.poll() is None, "the server starts", server.tail())
        if server.process.poll() is None:
            try:
                locks(server)
                kills(server)
                reloads(server)
                refusals(server)
                stops(server)
                orphans(server)
                busy_port(server)
            finally:
                if server.process.poll() is None:
                    server.process.terminate()
                    server.process.wait(SLOW)
    return results()


if __name__ == "__main__":
    sys.exit(main())
