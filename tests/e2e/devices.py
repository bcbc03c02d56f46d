#!/usr/bin/env python3
"""Two devices keep a copy of one mailbox, and bring it up to date by QRESYNC (RFC 7162) alone: after random operations by both, by
deliveries and by POP3 each copy is what the server has.

    devices.py [SEED [ROUNDS]]"""
import poplib
import random
import re
import socket
import smtplib
import sys

from mailboxlib import USERS, MailServer, tls
from netlib import check, done, equal, wait_until

USER = "hyd@satu.example"
SEED = int(sys.argv[1]) if len(sys.argv) > 1 else 1
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 40
FLAGS = [r"\Seen", r"\Flagged", r"\Answered", r"\Deleted", "$Forwarded", "work"]
TEXT = "From: you@dua.example\r\nTo: %s\r\nSubject: %s\r\n\r\nHello.\r\n"


class Session:
    """Commands and the untagged lines that answer them; none of them has literals here."""

    def __init__(self, s):
        raw = socket.create_connection(("127.0.0.1", s.port["imaps"]), 60)
        self.file = tls().wrap_socket(raw, server_hostname="localhost").makefile("rwb", buffering=0)
        self.buffer = b""
        self.tag = 0
        self.line()
        self.do('LOGIN %s "%s"' % (USER, USERS[USER]))

    def line(self):
        while b"\r\n" not in self.buffer:
            got = self.file.read(65536)
            if not got:
                raise OSError("the server hung up")
            self.buffer += got
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line.decode()

    def do(self, command):
        self.tag += 1
        self.file.write(b"a%d %s\r\n" % (self.tag, command.encode()))
        lines = []
        while True:
            line = self.line()
            if line.startswith("a%d " % self.tag):
                if " OK" not in line:
                    raise AssertionError("%s: %s" % (command, line))
                return lines + [line]
            lines.append(line)

    def append(self, text):
        self.tag += 1
        self.file.write(b"a%d APPEND INBOX {%d+}\r\n%s\r\n" % (self.tag, len(text), text.encode()))
        lines = [self.line()]
        while not lines[-1].startswith("a%d OK" % self.tag):
            lines.append(self.line())
        return lines

    def close(self):
        self.do("LOGOUT")
        self.file.close()


def members(text):
    """The UIDs of a set."""
    for part in text.split(","):
        first, _, last = part.partition(":")
        yield from range(int(first), int(last or first) + 1)


class Device:
    """Its copy: {uid: flags}."""

    def __init__(self, name):
        self.name = name
        self.copy, self.validity, self.modseq = {}, 0, 0
        self.last, self.more = 0, False  # the highest UID that was heard of; whether there are new ones

    def hear(self, line):
        if line.startswith("* VANISHED "):
            for uid in members(line.rsplit(" ", 1)[1]):
                self.copy.pop(uid, None)
        self.more = self.more or bool(re.match(r"\* \d+ EXISTS$", line))
        fetch = re.match(r"\* \d+ FETCH \((.*)\)$", line)
        if fetch:
            uid = re.search(r"UID (\d+)", fetch[1])
            flags = re.search(r"FLAGS \(([^)]*)\)", fetch[1])
            modseq = re.search(r"MODSEQ \((\d+)\)", fetch[1])
            if uid and flags:
                self.last = max(self.last, int(uid[1]))
                self.copy[int(uid[1])] = frozenset(flags[1].split()) - {r"\Recent"}
            if modseq:
                self.modseq = max(self.modseq, int(modseq[1]))
        for what, name in (("UIDVALIDITY", "validity"), ("HIGHESTMODSEQ", "told")):
            found = re.search(r"\[%s (\d+)" % what, line)
            if found:
                setattr(self, name, int(found[1]))

    def connect(self, s):
        """Opens the mailbox, and learns what happened since, and nothing else."""
        c = Session(s)
        c.do("ENABLE QRESYNC")
        known = " (QRESYNC (%d %d))" % (self.validity, self.modseq) if self.validity else ""
        for line in c.do("SELECT INBOX" + known):
            self.hear(line)
        if not known:
            for line in c.do("UID FETCH 1:* (UID FLAGS MODSEQ)"):
                self.hear(line)
        self.modseq = max(self.modseq, self.told)
        self.more = False  # what is new was told
        return c

    def ask(self, c, command):
        for line in c.do(command):
            self.hear(line)
        if self.more:  # there is only their number so far
            self.more = False
            self.ask(c, "UID FETCH %d:* (UID FLAGS MODSEQ)" % (self.last + 1))


def some(source, uids):
    return ",".join(str(u) for u in sorted(source.sample(sorted(uids), source.randint(1, min(4, len(uids))))))


def act(s, source, device, c):
    """One operation of a device."""
    what = source.randrange(8)
    if what == 0 or not device.copy:
        for line in c.append(TEXT % (USER, "appended")):
            device.hear(line)
        device.ask(c, "NOOP")
    elif what < 5:
        device.ask(c, "UID STORE %s %sFLAGS (%s)" % (some(source, device.copy), source.choice(("+", "-", "")),
                                                      " ".join(source.sample(FLAGS, source.randint(1, 3)))))
    elif what == 5:
        device.ask(c, "UID EXPUNGE %s" % some(source, device.copy))
    elif what == 6:
        device.ask(c, "UID MOVE %s Arsip" % some(source, device.copy))
    else:
        device.ask(c, "UID COPY %s INBOX" % some(source, device.copy))
        device.ask(c, "NOOP")


def truth(s):
    """What a session sees that knows nothing."""
    device = Device("nobody")
    device.connect(s).close()
    return device.copy


def deliver(s, source):
    before = len(truth(s))
    count = source.randint(1, 3)
    with smtplib.SMTP("127.0.0.1", s.port["mx"], timeout=60) as c:
        for _ in range(count):
            c.sendmail("you@dua.example", [USER], TEXT % (USER, "delivered"))
    wait_until(lambda: len(truth(s)) == before + count, 60, "the mail arrives")


def fetch_by_pop3(s, source):
    """Takes some away, as a third program; its list is the mailbox."""
    p = poplib.POP3_SSL("127.0.0.1", s.port["pop3s"], context=tls())
    p.user(USER)
    p.pass_(USERS[USER])
    count = p.stat()[0]
    same = count == len(truth(s))
    for n in range(1, count + 1):
        if source.random() < 0.1:
            p.dele(n)
    p.quit()
    return same


def main():
    source = random.Random(SEED)
    s = MailServer(store="store_sqlite")
    print("# seed %d, %d rounds" % (SEED, ROUNDS))
    c = Session(s)
    c.do("CREATE Arsip")
    c.close()
    devices = [Device("one"), Device("two")]
    wrong, pop3, heard = [], True, 0
    for n in range(ROUNDS):
        if source.random() < 0.3:
            deliver(s, source)
        if source.random() < 0.1:
            pop3 = fetch_by_pop3(s, source) and pop3
        device = source.choice(devices)
        c = device.connect(s)
        there = truth(s)
        if device.copy != there:
            wrong.append((n, device.name, {u: (device.copy.get(u), there.get(u)) for u in set(device.copy) | set(there)
                                           if device.copy.get(u) != there.get(u)}))
        heard += 1
        other = devices[1 - devices.index(device)]
        both = other.connect(s) if source.random() < 0.3 else None
        for _ in range(source.randint(1, 5)):
            act(s, source, device, c)
            if both:
                act(s, source, other, both)
        for d, session in ((device, c), (other, both)):
            if session:
                d.ask(session, "NOOP")
                session.close()
        if wrong:
            break
    equal(wrong, [], "after each sync the copy is what the server has (%d)" % heard)
    check(pop3, "POP3 lists as many messages as IMAP")
    for device in devices:
        device.connect(s).close()
        equal(device.copy, truth(s), "in the end device %s has all" % device.name)
    equal(s.stop(), 0, "the server ends well")
    done()


if __name__ == "__main__":
    main()
