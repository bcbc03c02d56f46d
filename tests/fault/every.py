#!/usr/bin/env python3
"""Every failure in turn: the n-th file operation of one mail fails, n = 1, 2, ... until one passes untouched.

    every.py [--full] [--only NAME]

Whatever fails, the client hears 250 and the mail is in its mailboxes, or it hears 4xx; the next mail is taken and
delivered without anybody's help. nth.c makes the failures: ENOSPC, EIO, EMFILE, once each; then a disk that stays
full until it is cured; then the n-th allocation. --full: also a new server for each n, and every allocation."""
import argparse
import concurrent.futures
import errno
import os
import re
import smtplib
import subprocess

from faultlib import Plan, nth
from netlib import KURIRCTL, Server, check, done, free_port, path, skip_all, wait_until

BOXES = ["hyd@satu.example", "siti@satu.example"]
ONCE, FROM_THEN, OPENING = 1, 2, 3
WAIT = 60  # seconds until something is called hanging


class Victim(Server):
    def __init__(self, name, single=True, armed=None):
        self.port, self.plan, self.armed = free_port(), Plan(name), armed
        self.environment = dict(LD_PRELOAD=path("nth.so"), KURIR_FAULT=self.plan.file,
                                KURIR_FAULT_UNDER="%s:%s" % (path(name + "-state/queue"), path(name + "-boxes")))
        self.sent = 0
        super().__init__(
            {"smtp": {}, "accounts": {"domains": ["satu.example"], "mailboxes": BOXES}, "route_local": {}, "bounce": {},
             "queue_journal": {"retry": ["1s"], "segment-size": "1M", "inline-size": "16K", "scan-interval": "200ms"},
             "store_maildir": {"root": path(name + "-boxes")}},
            name=name, single=single, pipelines={"in": ["accounts"]},
            listeners={"mx": {"protocol": "smtp", "address": "127.0.0.1:%d" % self.port, "tls": "none", "pipeline": "in"}})

    def start(self):
        self.more["modules"] = self.modules
        armed, self.armed = self.armed, None
        if armed:
            self.plan.arm(*armed)
        try:
            super().start()
        except AssertionError:
            if not armed or self.child.poll() is None:
                raise

    def send(self, size):
        """The number of a mail that was taken, or (None, what was said)."""
        self.sent += 1
        text = "Subject: mail-%d-\r\n\r\n%s\r\n" % (self.sent, ("x" * 62 + "\r\n") * (size // 64))
        try:
            with smtplib.SMTP("127.0.0.1", self.port, timeout=WAIT) as c:
                refused = c.sendmail("you@tiga.example", BOXES, text)
            return self.sent, [to for to in BOXES if to not in refused], "250"
        except smtplib.SMTPRecipientsRefused as e:
            return None, [], str(next(iter(e.recipients.values()))[0])
        except smtplib.SMTPResponseException as e:
            return None, [], str(e.smtp_code)
        except (OSError, smtplib.SMTPException) as e:
            return None, [], repr(e)

    def arrived(self, number, to):
        """How often, each time whole."""
        times = 0
        for folder, _, files in os.walk(path(self.name + "-boxes")):
            if os.path.basename(folder) in ("new", "cur"):
                for name in files:
                    with open(os.path.join(folder, name), errors="replace") as f:
                        text = f.read()
                    times += "Subject: mail-%d-" % number in text and "Delivered-To: %s" % to in text \
                        and text.endswith("\n")
        return times

    def wait_for(self, number, to):
        wait_until(lambda: all(self.arrived(number, one) for one in to), WAIT, "mail %d is in its mailboxes" % number)
        again = sum(self.arrived(number, one) - 1 for one in to)
        for folder, _, files in os.walk(path(self.name + "-boxes")):  # keeps the next look short
            if os.path.basename(folder) == "new":
                for name in files:
                    with open(os.path.join(folder, name), errors="replace") as f:
                        if "Subject: mail-%d-" % number in f.read():
                            os.unlink(os.path.join(folder, name))
        return again

    def well(self, size):
        """Nobody helps, and soon a mail is taken and delivered."""
        number, to, _ = wait_until(lambda: (lambda r: r if r[0] else None)(self.send(size)), WAIT, "mail is taken again")
        self.wait_for(number, to)

    def verify(self):
        return subprocess.run([KURIRCTL, "-c", self.conf, "ledger", "--verify"], capture_output=True, text=True,
                              timeout=WAIT, check=False)


def one(s, n, error, size, faults):
    """Mail number n; True when nothing had to fail any more."""
    s.plan.arm(n, error, OPENING if error == errno.EMFILE else ONCE)
    number, to, said = s.send(size)
    if error == errno.EMFILE:  # holds on until it is cured
        s.plan.disarm()
    if number:
        s.again += s.wait_for(number, to)
    elif not re.match("4", said):
        faults.append("operation %d (%s): the client heard %s" % (n, s.plan.what(), said))
    s.refused += number is None
    hits = s.plan.hits
    if hits:
        s.failed[s.plan.what()] = s.failed.get(s.plan.what(), 0) + 1
    s.plan.disarm()
    return hits == 0


def in_turn(name, error, size, most=400):
    """Faults, and a line about it."""
    s = Victim(name)
    s.again = s.refused = 0
    s.failed, faults, n = {}, [], 0
    try:
        s.well(size)
        for n in range(1, most):
            untouched = one(s, n, error, size, faults)
            s.well(size)
            if untouched:
                break
        else:
            faults.append("there is no end of operations")
        wait_until(lambda: s.ctl("ledger")["queued"] == 0, WAIT, "the queue is empty")
    except AssertionError as e:
        faults.append("operation %d (%s): %s\n%s" % (n, s.plan.what(), e, s.text()[-1500:]))
    faults += end(s)
    return name, faults, "%d failures (%s), %d refused, %d came twice" % (
        sum(s.failed.values()), ", ".join("%d %s" % (v, k) for k, v in sorted(s.failed.items())), s.refused, s.again)


def end(s):
    faults = []
    if s.child.poll() is not None:
        return ["the server has ended\n" + s.text()[-1500:]]
    v = s.verify()
    if v.returncode:
        faults.append("the ledger: %s %s" % (v.stdout, v.stderr))
    if re.search("assert|AddressSanitizer|runtime error", s.text()):
        faults.append("something broke: " + s.text()[-1500:])
    if s.stop():
        faults.append("the server does not end well: " + s.text()[-1500:])
    v = s.verify()
    if v.returncode:
        faults.append("the ledger without a server: %s %s" % (v.stdout, v.stderr))
    return faults


def stays_full(name, size, error=errno.ENOSPC):
    """Full while running: 4xx; cured: taken again by itself. Mails that were taken before wait and are delivered."""
    s = Victim(name)
    faults, refused, kept = [], [], []
    try:
        s.well(size)
        for n in (1, 2, 3, 5, 8, 13, 21):
            s.plan.arm(n, error, FROM_THEN)
            for _ in range(4):
                number, to, said = s.send(size)
                if number:
                    kept.append((number, to))
                else:
                    refused.append(said)
            s.plan.disarm()
            s.well(size)
        for number, to in kept:
            s.wait_for(number, to)
        faults += ["the client heard %s" % said for said in refused if not said.startswith("4")]
        if not refused:
            faults.append("nothing was refused")
        if error == errno.ENOSPC and "452" not in refused:
            faults.append("nobody heard 452, but %s" % sorted(set(refused)))
    except AssertionError as e:
        faults.append("%s\n%s" % (e, s.text()[-1500:]))
    faults += end(s)
    return name, faults, "%d taken, refused: %s" % (len(kept), ", ".join(
        "%d times %s" % (refused.count(r), r) for r in sorted(set(refused))))


def from_nothing(name, error, step):
    """A new server for each n, which fails while the spool is made; started again it works."""
    faults, n, stopped, hits = [], 1, 0, True
    while hits and not faults:
        s = Victim("%s-%d" % (name, n), armed=(n, error))
        hits, what = s.plan.hits, s.plan.what()
        s.plan.disarm()
        try:
            if s.child.poll() is not None:
                stopped += 1
                s.start()
            s.well(2000)
        except AssertionError as e:
            faults.append("operation %d (%s) of a new server: %s" % (n, what, e))
        faults += end(s)
        n += step
    return name, faults, "%d failures, %d of the servers did not start" % ((n - 1) // step, stopped)


def starving(name, step):
    """The n-th allocation fails: a role may end, and is back; nothing that was acknowledged is lost."""
    s = Victim(name, single=False)
    faults, n, tried, refused, odd = [], 1, 0, 0, 0
    try:
        s.well(2000)
        while True:
            s.plan.put(memory_seen=0, memory_hits=0, memory_n=n)
            number, to, said = s.send(2000)
            if number:
                s.wait_for(number, to)
            refused += number is None
            odd += number is None and not said.startswith("4")
            hits = s.plan.memory_hits
            s.plan.disarm()
            s.well(2000)
            tried += 1
            if not hits:
                break
            n += step
    except AssertionError as e:
        faults.append("allocation %d: %s\n%s" % (n, e, s.text()[-1500:]))
    v = s.verify()
    if v.returncode:
        faults.append("the ledger: %s %s" % (v.stdout, v.stderr))
    if s.stop():
        faults.append("the server does not end well: " + s.text()[-1500:])
    restarts = len(re.findall(r"\b(?:ended|died|killed|crashed)\b", s.text()))
    return name, faults, "%d allocations failed up to the %dth, %d mails refused or cut off, %d of them without a reply, " \
        "%d lines of ended roles" % (tried, n, refused, odd, restarts)


def main():
    parse = argparse.ArgumentParser()
    parse.add_argument("--full", action="store_true")
    parse.add_argument("--only")
    args = parse.parse_args()
    if not nth():
        skip_all("nth.c cannot be compiled")
    if os.environ.get("SANITIZE_FLAGS"):
        skip_all("a sanitizer has the allocator")
    jobs = []
    for error in ("ENOSPC", "EIO", "EMFILE"):
        for size in (2000, 40000):
            jobs.append((in_turn, "%s-%d" % (error.lower(), size), getattr(errno, error), size))
    jobs.append((stays_full, "full", 2000))
    jobs.append((stays_full, "broken", 2000, errno.EIO))
    jobs.append((starving, "memory", 1 if args.full else 4))
    jobs.append((from_nothing, "new-enospc", errno.ENOSPC, 1 if args.full else 5))
    jobs.append((from_nothing, "new-eio", errno.EIO, 1 if args.full else 5))
    with concurrent.futures.ThreadPoolExecutor(len(jobs)) as pool:
        runs = [pool.submit(*j) for j in jobs if not args.only or re.match(args.only, j[1])]
        for r in runs:
            name, faults, told = r.result()
            check(not faults, "%s: %s" % (name, told), *[line for f in faults[:6] for line in f.splitlines()])
    done()


main()
