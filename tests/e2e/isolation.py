#!/usr/bin/env python3
"""A module in a process of its own: what it may do works, and whatever it does wrong concerns its own calls only."""
import json
import os
import re
import signal
import smtplib
import subprocess
import time

from mailboxlib import MailServer
from netlib import BUILD, KURIRD, check, done, equal, path, wait_until, write

ROLES = ("edge", "queue", "resolver", "relay", "store", "access", "auth", "control", "worker")
SANITIZED = bool(os.environ.get("SANITIZE_FLAGS"))
DEADLINE = 3
OPEN = 100


class Isolated(MailServer):
    """The modules "rogue" and "calm", each with a worker, before the accounts."""

    def start(self):
        self.modules.update({
            "hooks_rogue/rogue": {"isolation": "process", "deadline": "%ds" % DEADLINE, "memory": "300M"},
            "hooks_rogue/calm": {"isolation": "process", "on-error": "next", "deadline": "%ds" % DEADLINE}})
        self.modules["queue_journal"] = {"retry": ["1s"]}
        self.more["pipelines"] = {"in": ["hooks_rogue/rogue", "accounts"], "calm": ["hooks_rogue/calm", "accounts"]}
        self.more["listeners"]["submission"]["pipeline"] = "calm"
        super().start()

    def workers(self):
        """Their pids, in order, when all are ready."""
        found = {p["index"]: p["pid"] for p in self.ctl("status")["processes"]
                 if p["role"] == "worker" and p["state"] == "ready" and p["generation"] == self.ctl("status")["generation"]}
        return [found[0], found[1]] if set(found) == {0, 1} else None


def session(s, port="mx"):
    c = smtplib.SMTP("127.0.0.1", s.port[port], timeout=60)
    c.ehlo("klien.example")
    return c


def mail(s, sender="you@dua.example", to="hyd@satu.example", text="Subject: x\r\n\r\nHello.\r\n", port="mx"):
    """What the server says to a whole mail: the first refusal, or its last word."""
    with session(s, port) as c:
        for code, said in steps(c, sender, to, text):
            if code >= 400:
                return code, said.decode()
        return code, said.decode()


def steps(c, sender, to, text):
    yield c.mail(sender)
    yield c.rcpt(to)
    try:
        yield c.data(text)
    except smtplib.SMTPDataError as e:
        yield e.smtp_code, e.smtp_error


def boxes(s, user="hyd"):
    folder = os.path.join(s.maildir(user), "new")
    return [open(os.path.join(folder, n), encoding="utf-8").read() for n in os.listdir(folder)] if os.path.isdir(folder) else []


def allowed(s):
    equal(mail(s)[0], 250, "mail goes through a pipeline with an isolated module")
    wait_until(lambda: boxes(s), 60, "it arrives")
    check("X-Rogue: 1 127.0.0.1 klien.example\n" in boxes(s)[0], "with the header field that the module added", boxes(s)[0])
    equal(mail(s, to="alias@satu.example")[0], 250, "it may change a recipient")
    wait_until(lambda: len(boxes(s)) == 2, 60, "the one it chose gets the mail")
    equal(mail(s, text="Subject: moved\r\n\r\nfrom: bounces@dua.example\r\ndrop: hyd@satu.example\r\nadd: siti@satu.example\r\n")[0], 250,
          "it changes the envelope")
    wait_until(lambda: boxes(s, "siti"), 60, "who was added gets the mail")
    check("Return-Path: <bounces@dua.example>" in boxes(s, "siti")[0], "from the sender that it set", boxes(s, "siti")[0])
    equal(len(boxes(s)), 2, "who was dropped does not")
    said = mail(s, text="Subject: x\r\n\r\nrefuse\r\n")
    check(said[0] == 554 and re.match(r"5.7.1 1 of 1, [1-9]\d\d bytes$", said[1]), "it reads the message, knows the recipients, and says why", said)
    equal(mail(s, text="Subject: x\r\n\r\n" + "x" * 70 + "\r\n" + "long line\r\n" * 200000)[0], 250, "also a long one")
    with session(s) as c:
        for n in range(3):
            c.mail("you@dua.example")
            c.rcpt("hyd@satu.example")
            c.data("Subject: state %d\r\n\r\nx\r\n" % n)
    wait_until(lambda: len(boxes(s)) == 6, 60, "three mails of one session")
    got = sorted(b.split("X-Rogue: ")[1][0] for b in boxes(s) if "Subject: state" in b)
    equal(got, ["1", "2", "3"], "what it keeps for a session stays with it")


def back(s, before):
    return wait_until(lambda: (lambda w: w if w and w != before else None)(s.workers()), 60, "the workers are there")


def wrong(s):
    """Each fault while many sessions of the same and another listener are open."""
    quiet = [session(s, "mx" if n % 2 else "submission") for n in range(OPEN)]
    faults = ["crash", "spin", "block", "close"] + ([] if SANITIZED else ["leak"])
    for how in faults:
        before = s.workers() or back(s, None)
        began = time.monotonic()
        code, said = mail(s, how + "@dua.example")
        check(code == 451, "%s: its own mail is deferred" % how, code, said)
        check(time.monotonic() - began < 30, "%s: the answer comes in time" % how)
        after = back(s, before)
        equal(after[1], before[1], "%s: the other worker is still the same process" % how)
        equal(mail(s)[0], 250, "%s: the next mail goes through" % how)
    for how, code, words in (("late", 451, ""), ("nonsense", 451, ""), ("error", 451, ""), ("fork", 550, "no fork"),
                             ("socket", 550, "no socket")):
        if SANITIZED and how in ("fork", "socket"):
            continue  # its sandbox is open
        before = s.workers()
        got = mail(s, how + "@dua.example")
        check(got[0] == code and words in got[1], "%s: %d %s" % (how, code, words), got)
        equal(s.workers(), before, "%s: nobody had to end" % how)
    equal(mail(s, text="Subject: x\r\n\r\ndo: crash\r\n")[0], 451, "a crash at the message defers it, too")
    back(s, None)
    equal(mail(s, "crash@dua.example", port="submission")[0], 530, "on-error next: the rest of the pipeline decides")
    alive = [c.noop()[0] for c in quiet]
    equal(alive, [250] * OPEN, "%d sessions that were open all the time are still there" % OPEN)
    c = quiet[1]
    equal([x[0] for x in steps(c, "you@dua.example", "hyd@satu.example", "Subject: y\r\n\r\nz\r\n")], [250, 250, 250],
          "and can send, with the new worker")
    for c in quiet:
        c.close()


def breaker(s):
    """Who fails again and again is left alone, and asked again later."""
    for _ in range(6):
        mail(s, "error@dua.example")
    counters = s.counters("hooks_rogue/rogue")
    check(counters.get("breaker-opened", 0) >= 1, "after five failures in a row it is not asked", counters)
    wait_until(lambda: mail(s)[0] == 250, 120, "later it is asked again, and mail goes through")
    check("answers again" in s.text(), "the log says so")


def peak(pid):
    """KiB."""
    with open("/proc/%d/status" % pid, encoding="ascii") as f:
        return next(int(l.split()[1]) for l in f if l.startswith("VmHWM:"))


def many(s):
    """What a module says costs the edge about what it is long."""
    edge = next(p["pid"] for p in s.ctl("status")["processes"] if p["role"] == "edge" and p["state"] == "ready")
    before = peak(edge)
    equal(mail(s, "many@dua.example")[0], 250, "thousands of fields are added")
    check(peak(edge) - before < 100 * 1024, "and need little memory", before, peak(edge))


def killed(s):
    """Mail that was accepted is whole, whatever happens to the workers meanwhile."""
    sent = 0
    for n in range(60):
        if n % 10 == 5:
            for pid in s.workers() or []:
                os.kill(pid, signal.SIGKILL)
        sent += mail(s, text="Subject: killed-%d\r\n\r\nx\r\n" % n)[0] == 250
    wait_until(lambda: sum("Subject: killed-" in b for b in boxes(s)) == sent, 120, "all that was accepted arrives")
    check(0 < sent, "mail went through meanwhile", sent)


def reload(s):
    """A session that is open has its worker until it ends."""
    c = session(s)
    c.mail("you@dua.example")
    c.rcpt("hyd@satu.example")
    old = s.workers()
    s.ctl("reload")
    new = back(s, old)
    check(not set(old) & set(new), "new workers begin", old, new)
    equal(c.data("Subject: reloaded\r\n\r\nx\r\n")[0], 250, "a session from before goes on")
    c.close()
    wait_until(lambda: any("Subject: reloaded" in b and "X-Rogue: 1 " in b for b in boxes(s)), 60, "with what the module said")
    wait_until(lambda: not any(os.path.exists("/proc/%d" % p) for p in old), 60, "then its workers end, too")


def refused():
    """What cannot run so is told."""
    for module, options, words in (("imap", {}, "has no hooks"), ("hooks_fixed", {}, "filter"), ("accounts", {"domains": ["x.example"]}, "services")):
        conf = {"version": 1, "hostname": "x.example", "state": path("x"), "run": path("y"),
                "module-path": [BUILD, os.path.join(BUILD, "tests/modules")],
                "modules": {module: dict(options, isolation="process")}}
        said = subprocess.run([KURIRD, "--check", "-c", write("bad.json", json.dumps(conf))], capture_output=True, text=True, check=False)
        check(said.returncode == 1 and words in said.stderr, "%s cannot be isolated, and is told why" % module, said.stderr)


def connects():
    """The resolver connects for others only where a hook may use the network."""
    for modules, wanted in (({"dns": {}}, False), ({"policy": {"server": "127.0.0.1:1"}}, True),
                            ({"policy": {"server": "127.0.0.1:1", "withhold": "net"}}, False)):
        conf = {"version": 1, "hostname": "x.example", "state": path("x"), "run": path("y"), "module-path": [BUILD], "modules": modules}
        said = subprocess.run([KURIRD, "--plan", "-c", write("plan.json", json.dumps(conf))], capture_output=True, text=True, check=False)
        equal(json.loads(said.stdout)["dials"], wanted, "with %s the resolver connects for others: %s" % (json.dumps(modules), wanted))


def main():
    more = {}
    if os.geteuid() == 0:
        more = {"sandbox": "required", "users": {r: 64400 + n for n, r in enumerate(ROLES)}}
    refused()
    connects()
    s = Isolated(single=False, **more)
    for part in (allowed, many, wrong, breaker, killed, reload):
        part(s)
    ends = [l for l in s.text().split("\n") if "was killed by signal" in l or "ended by itself" in l]
    check(ends and all(" worker-" in l for l in ends), "nobody but workers broke", *ends)
    equal(s.stop(), 0, "the server ends well")
    done()


if __name__ == "__main__":
    main()
