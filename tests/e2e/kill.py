#!/usr/bin/env python3
"""Mail goes on while roles are killed: ten clients send, each role dies in turn; no mail that was acknowledged is lost."""
import os
import re
import signal
import smtplib
import threading

from netlib import Server, check, done, equal, free_port, path, wait_until

CLIENTS = 10
ROUNDS = 6
ROLES = ("edge", "queue", "store", "relay")
IN_FLIGHT = 20  # the preset of destination-concurrency: what one kill can make come twice
NEAR, FAR = "hyd@satu.example", "paijo@dua.example"


class Plain(Server):
    """Without the probe: what an administrator would run."""

    def __init__(self, modules, **more):
        self.port = free_port()
        super().__init__(modules, listeners={"mx": {"protocol": "smtp", "address": "127.0.0.1:%d" % self.port,
                                                    "tls": "none", "pipeline": "in"}},
                         pipelines={"in": ["accounts"]}, **more)

    def start(self):
        self.more["modules"] = self.modules
        super().start()

    def pids(self):
        return {p["role"]: p["pid"] for p in self.ctl("status")["processes"] if p["state"] == "ready"}


def servers():
    far = Plain({"smtp": {}, "accounts": {"domains": ["dua.example"], "mailboxes": [FAR]}, "route_local": {},
                 "queue_journal": {}, "store_maildir": {"root": path("far")}}, name="dua")
    near = Plain({"smtp": {"relay-networks": ["127.0.0.0/8"]},
                  "accounts": {"domains": ["satu.example"], "mailboxes": [NEAR]}, "route_local": {},
                  "route_static": {"routes": {"dua.example": "smtp:[127.0.0.1]:%d" % far.port}},
                  "queue_journal": {"retry": ["1s"], "scan-interval": "1s"}, "relay_smtp": {}, "bounce": {},
                  "store_maildir": {"root": path("near")}}, name="satu", single=False)
    return near, far


class Client(threading.Thread):
    """Sends numbered mails, one to each server in turn; a number whose fate is unknown is not used again."""

    def __init__(self, port, name, stop):
        super().__init__(daemon=True)
        self.port, self.label, self.stop = port, name, stop
        self.acknowledged = {NEAR: [], FAR: []}
        self.unknown = 0

    def run(self):
        connection, number = None, 0
        while not self.stop.is_set():
            number += 1
            to, text = (NEAR, FAR)[number % 2], "mail-%d-%d-" % (self.label, number)
            try:
                if connection is None:
                    connection = smtplib.SMTP("127.0.0.1", self.port, timeout=20)
                connection.sendmail("you@dua.example", [to], "Subject: %s\r\n\r\n%s\r\n" % (text, "x" * (number * 37 % 5000)))
                self.acknowledged[to].append(text)
            except (OSError, smtplib.SMTPException):
                self.unknown += 1
                if connection:
                    connection.close()
                connection = None
                self.stop.wait(0.02)
            self.stop.wait(0.01)


def subjects(root):
    """Each subject that lies in a mailbox, as often as it lies there."""
    found = {}
    for folder, _, files in os.walk(root):
        if os.path.basename(folder) in ("new", "cur"):
            for name in files:
                with open(os.path.join(folder, name), errors="replace") as f:
                    for text in re.findall(r"^Subject: (mail-\S+)", f.read(), re.M)[:1]:
                        found[text] = found.get(text, 0) + 1
    return found


def kills(s):
    for _ in range(ROUNDS):
        for role in ROLES:
            pid = wait_until(lambda: s.pids().get(role), 30, role + " is there")
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: s.pids().get(role, pid) != pid, 30, role + " is back")
    check(True, "%d times each of %s was killed and is back" % (ROUNDS, ", ".join(ROLES)))


def ledger(s):
    answer = s.ctl("ledger")
    return answer.get("data", answer)


def main():
    near, far = servers()
    stop = threading.Event()
    clients = [Client(near.port, i, stop) for i in range(CLIENTS)]
    for c in clients:
        c.start()
    try:
        kills(near)
        before = sum(len(c.acknowledged[NEAR]) for c in clients)
        wait_until(lambda: sum(len(c.acknowledged[NEAR]) for c in clients) > before, 30, "mail is still taken")
    except AssertionError as e:
        check(False, str(e), near.text()[-2000:])
    stop.set()
    for c in clients:
        c.join(30)
    try:
        wait_until(lambda: ledger(near)["queued"] == 0 and ledger(far)["queued"] == 0, 40, "the queues are empty")
    except AssertionError as e:
        check(False, str(e), ledger(near), ledger(far), near.text()[-2000:])
    for name, to in (("near", NEAR), ("far", FAR)):
        found = subjects(path(name))
        wanted = [t for c in clients for t in c.acknowledged[to]]
        lost = [t for t in wanted if t not in found]
        twice = sum(n - 1 for n in found.values())
        check(wanted and not lost, "%s: %d acknowledged mails are in their mailbox" % (name, len(wanted)), lost[:20])
        print("# %s: %d duplicates, %d that were not acknowledged" % (name, twice, len(set(found) - set(wanted))))
        check(twice <= ROUNDS * len(ROLES) * IN_FLIGHT, "%s: only what was under way came twice" % name, twice)
    print("# %d attempts failed" % sum(c.unknown for c in clients))
    for s in (near, far):
        sums = ledger(s)
        equal(sums["accepted"], sums["delivered"] + sums["bounced"] + sums["cancelled"] + sums["queued"],
              "the ledger of %s balances" % s.name)
        print("#", sums)
    check(set(ROLES) <= set(near.pids()), "all roles are there", near.pids())
    check("assert" not in near.text() and "AddressSanitizer" not in near.text(), "nothing broke by itself",
          near.text()[-2000:])
    for s in (near, far):
        equal(s.stop(), 0, s.name + " ends well")
    done()


main()
