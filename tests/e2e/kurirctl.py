#!/usr/bin/env python3
"""kurirctl: every verb is in its help, its manual and its completion; the ledger is verified with and without a server."""
import glob
import json
import os
import re
import shutil
import smtplib
import subprocess

from netlib import KURIRCTL, KURIRD, SRC, Server, check, done, equal, free_port, path, start, wait_until

NEAR, LATE = "hyd@satu.example", "paijo@dua.example"


class Post(Server):
    def __init__(self):
        self.port = free_port()
        super().__init__(
            {"smtp": {"relay-networks": ["127.0.0.0/8"]}, "accounts": {"domains": ["satu.example"], "mailboxes": [NEAR]},
             "route_local": {}, "route_static": {"routes": {"dua.example": "smtp:[127.0.0.1]:1"}}, "relay_smtp": {},
             "bounce": {}, "queue_journal": {}, "store_maildir": {"root": path("boxes")}},
            listeners={"mx": {"protocol": "smtp", "address": "127.0.0.1:%d" % self.port, "tls": "none", "pipeline": "in"}},
            pipelines={"in": ["accounts"]})

    def start(self):
        self.more["modules"] = self.modules
        super().start()


def run(*args):
    """Status, output, errors."""
    done_ = subprocess.run([KURIRCTL, *args], capture_output=True, text=True, timeout=60, check=False)
    return done_.returncode, done_.stdout, done_.stderr


def source(name):
    with open(os.path.join(SRC, name), encoding="utf-8") as f:
        return f.read()


def verbs():
    status, text, _ = run("help")
    equal((status, text), run("--help")[:2], "help and --help say the same")
    told = set(re.findall(r"^  ([a-z]+)", text, re.M))
    page = set(re.findall(r"^\.It Cm ([a-z]+)", source("doc/kurirctl.8"), re.M))
    completed = set(re.search(r"'([^']*)' ;;\n\tqueue\)", source("contrib/bash-completion/kurirctl"))[1].split())
    code = [source(os.path.relpath(f, SRC)) for top in ("core", "modules")
            for f in glob.glob(os.path.join(SRC, top, "**/*.c"), recursive=True)]
    there = set(re.findall(r'"ctl\.([a-z]+)"', "".join(code)))
    check(len(there) > 5 and there <= told, "every command that exists is in the help", there - told)
    equal(page, told, "the manual has the verbs of the help")
    equal(completed, told, "the completion has the verbs of the help")
    queue = re.findall(r'"([a-z]+)"', re.search(r"verbs\[\] = \{(.*?)\}", source("modules/queue_journal/command.c"),
                                                re.S)[1])
    for name, words in (("help", re.findall(r"^  queue ([a-z|]+)", text, re.M)), ("manual", re.findall(r"^\.It Cm queue (.*?)(?:(?: Op)? Ar what)?$",
                                              source("doc/kurirctl.8"), re.M)),
                        ("completion", re.findall(r"queue\)\n\t\twords='(.*)'", source("contrib/bash-completion/kurirctl")))):
        got = set(" ".join(words).replace("|", " ").replace("Ar", " ").split())
        equal(got, set(queue), "the %s has the verbs of the queue" % name)


def fill(s):
    with smtplib.SMTP("127.0.0.1", s.port, timeout=60) as c:
        for n in range(12):
            c.sendmail("siti@dua.example", [NEAR, LATE], "Subject: %d\r\n\r\n%s\r\n" % (n, "x" * 3000))
    wait_until(lambda: s.ctl("ledger")["queued"] == 12, 60, "one half is delivered")


def good(what, *args):
    status, text, errors = run(*args)
    check(status == 0 and "accepted 24 = delivered 12" in text and "queued 12" in text, what, status, text, errors)


def bad(what, conf):
    status, text, errors = run("-c", conf, "ledger", "--verify")
    check(status == 1 and text, what, status, text, errors)
    status, text, errors = run("-c", conf, "--json", "ledger", "verify")
    check(status == 1 and json.loads(text)["accepted"] > 0, what + ", for programs", status, text, errors)


def copy(s, name):
    """Another configuration with a copy of the spool; its queue."""
    shutil.copytree(path("kurir-state"), path(name + "-state"))
    with open(s.conf) as f:
        conf = dict(json.load(f), state=name + "-state", run=name + "-run")
    with open(path(name + ".json"), "w") as f:
        json.dump(conf, f)
    return path(name + ".json"), path(name + "-state/queue")


def cut(file, size):
    with open(file, "r+b") as f:
        f.truncate(size)


def orphans(s, conf):
    """Who is lost is told of, one by one, and the ledger says where they went."""
    with open(conf, encoding="utf-8") as f:
        modules = ":".join(json.load(f)["module-path"])
    child = start([KURIRD, "--single", "-c", conf], "orphans.log", env=dict(os.environ, KURIR_MODULE_PATH=modules))
    wait_until(lambda: run("-c", conf, "ledger")[0] == 0 or child.poll() is not None, 60, "a server without segments")
    events = [json.loads(line) for line in run("-c", conf, "--json", "log")[1].splitlines()]
    found = [e for e in events if e["event"] == "orphan"]
    equal((len(found), len({e["place"] for e in found})), (12, 12), "an event for each recipient that is lost")
    status, text, errors = run("-c", conf, "ledger", "verify")
    check(status == 0 and "delivered 12 + bounced 0 + cancelled 12 + queued 0" in text, "they are cancelled", text, errors)
    check("queue_journal.orphans 12" in run("-c", conf, "counters")[1], "and counted")
    child.terminate()
    equal(child.wait(60), 0, "the server ends well")


def damage(s):
    conf, queue = copy(s, "short")
    segment = max(glob.glob(queue + "/*.seg"), key=os.path.getsize)
    cut(segment, os.path.getsize(segment) // 2)
    bad("half of a segment is missing, and the status tells", conf)
    conf, queue = copy(s, "gone")
    for segment in glob.glob(queue + "/*.seg"):
        os.unlink(segment)
    bad("all segments are missing", conf)
    orphans(s, conf)
    conf, queue = copy(s, "rotten")
    with open(queue + "/state.log", "r+b") as f:
        f.seek(os.path.getsize(queue + "/state.log") // 3)
        f.write(b"\xff" * 64)
    bad("the state log is damaged", conf)


def misunderstood(s):
    """What cannot be meant does nothing, and says why."""
    for words in (("stop", "queue"), ("reload", "now"), ("explain", NEAR, LATE)):
        status, _, errors = run("-c", s.conf, *words)
        check(status == 2 and words[-1] in errors, "a word too many: " + " ".join(words), status, errors)
    for verb in ("show", "retry", "hold", "cancel"):
        status, _, errors = run("-c", s.conf, "queue", verb, "d0000000000000000")
        check(status == 1 and "kurirctl explain" in errors, verb + " of a message that is not there", status, errors)
    held = s.ctl("queue", "list")["list"][0]["id"]
    equal(run("-c", s.conf, "queue", "hold", held)[:2], (0, "1 recipient of 1 message held\n"), "one is one")
    equal(run("-c", s.conf, "queue", "release", held)[:2], (0, "1 recipient of 1 message released\n"), "and goes on")


def main():
    verbs()
    s = Post()
    fill(s)
    for words in (("ledger", "--verify"), ("--verify", "ledger"), ("ledger", "verify")):
        good("online: " + " ".join(words), "-c", s.conf, *words)
    equal(run("-c", s.conf, "status", "--verify")[0], 2, "no other command has --verify")
    misunderstood(s)
    equal(s.stop(), 0, "the server ends well")
    for words in (("ledger", "--verify"), ("ledger", "verify")):
        good("offline: " + " ".join(words), "-c", s.conf, *words)
    status, text, _ = run("-c", s.conf, "--json", "ledger", "--verify")
    check(status == 0 and json.loads(text)["queued"] == 12, "offline, for programs", status, text)
    status, _, errors = run("-c", s.conf, "ledger")
    check(status == 3 and "no server" in errors, "without verify there is no server to ask", status, errors)
    damage(s)
    done()


main()
