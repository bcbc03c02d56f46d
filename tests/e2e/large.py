#!/usr/bin/env python3
"""100 MiB by submission over TLS, queue, relay in the clear and over TLS, another Kurir, Maildir and IMAP: no process grows."""
import hashlib
import imaplib
import os
import smtplib
import subprocess

from mailboxlib import MailServer, tls
from netlib import KURIRCTL, check, done, equal, path, wait_until

MIB = 1 << 20
SIZE = 100 * MIB
GROWTH = 4 * MIB
BLOCK = b"".join(b"%06d %s\r\n" % (n, b"kurir " * 10) for n in range(MIB // 69 + 1))[:MIB - 2] + b"\r\n"
DOMAINS = ("dua.example", "tiga.example")
SANITIZED = bool(os.environ.get("SANITIZE_FLAGS"))


class There(MailServer):
    """Has both domains."""

    def start(self):
        for domain in DOMAINS:
            subprocess.run([KURIRCTL, "passwd", path("users-there"), "hyd@" + domain], input="rahasia\n", text=True,
                           check=True, capture_output=True)
        os.chmod(path("users-there"), 0o644)
        self.modules.update({"smtp": {"message-size": "150M"}, "auth_file": {"users": path("users-there")},
                             "accounts": {"domains": list(DOMAINS), "mailboxes": ["hyd@" + d for d in DOMAINS]}})
        super().start()


class Here(MailServer):
    """Sends to the first domain in the clear, to the second over TLS."""

    def __init__(self, there):
        self.next_hop = "smtp:[127.0.0.1]:%d" % there.port["mx"]
        super().__init__(name="here", single=False)

    def start(self):
        self.modules.update({"smtp": {"message-size": "150M"}, "relay_smtp": {}, "bounce": {},
                             "route_static/clear": {"routes": {DOMAINS[0]: self.next_hop}, "tls": "never"},
                             "route_static": {"routes": {DOMAINS[1]: self.next_hop}, "tls": "must"}})
        super().start()

    def submit(self, domain, blocks):
        """A head, and so many MiB."""
        with smtplib.SMTP("127.0.0.1", self.port["submission"], timeout=170) as c:
            c.starttls(context=tls())
            c.login("hyd@satu.example", "rahasia")
            c.mail("hyd@satu.example")
            equal(c.rcpt("hyd@" + domain)[0], 250, "the recipient in %s" % domain)
            equal(c.docmd("DATA")[0], 354, "go on")
            c.sock.sendall(b"Subject: %d MiB\r\n\r\n" % blocks)
            for _ in range(blocks):
                c.sock.sendall(BLOCK)
            c.sock.sendall(b".\r\n")
            code, text = c.getreply()
            check(code == 250, "%d MiB for %s are taken" % (blocks, domain), text)


def facts(pid, file):
    with open("/proc/%d/%s" % (pid, file), encoding="ascii") as f:
        return {name: int(rest.split()[0]) for name, rest in
                (line.split(":", 1) for line in f) if rest.split()[:1] and rest.split()[0].isdigit()}


def processes(*servers):
    return {(s.name, p["role"], p["pid"]) for s in servers for p in s.ctl("status")["processes"]}


def most(who):
    """The most memory that each has had, in bytes."""
    return {p: facts(p[2], "status")["VmHWM"] * 1024 for p in who}


def fetch(there, domain, count):
    """The newest message, as IMAP gives it."""
    c = imaplib.IMAP4_SSL("127.0.0.1", there.port["imaps"], ssl_context=tls(), timeout=170)
    c.login("hyd@" + domain, "rahasia")
    wait_until(lambda: int(c.select()[1][0]) == count, 120, "the message for %s is there" % domain)
    text = c.fetch(b"%d" % count, "(BODY.PEEK[TEXT])")[1][0][1]
    c.logout()
    return text


def calls(pid):
    """How often it has read and written."""
    try:
        io = facts(pid, "io")
    except PermissionError:
        return None
    return io["syscr"] + io["syscw"]


def main():
    there = There(name="there", single=False)
    here = Here(there)
    for domain in DOMAINS:
        here.submit(domain, 1)  # what is needed once
        equal(len(fetch(there, domain, 1)), MIB, "1 MiB for %s" % domain)
    who = processes(here, there)
    relay = next(p[2] for p in who if p[:2] == ("here", "relay"))
    wanted = hashlib.sha256()
    for _ in range(SIZE // MIB):
        wanted.update(BLOCK)
    before, used = most(who), {}
    for domain in DOMAINS:
        start = calls(relay)
        here.submit(domain, SIZE // MIB)
        text = fetch(there, domain, 2)
        equal((len(text), hashlib.sha256(text).digest()), (SIZE, wanted.digest()), "100 MiB for %s, as they were" % domain)
        used[domain] = None if start is None else calls(relay) - start
    grown = {p[:2]: (n - before[p]) // 1024 for p, n in most(who).items()}
    equal(processes(here, there), who, "no process was replaced")
    print("# KiB:", ", ".join("%s %s %d" % (*p, n) for p, n in sorted(grown.items())), " calls:", used)
    if SANITIZED:
        check(True, "no process has grown by 4 MiB # SKIP a sanitizer keeps what was freed")
    else:
        equal({p: n for p, n in grown.items() if n > GROWTH // 1024}, {}, "no process has grown by 4 MiB")
    if used[DOMAINS[0]] is None:
        check(True, "the file goes to the socket # SKIP its calls are not ours to count")
    else:
        check(used[DOMAINS[0]] * 4 < used[DOMAINS[1]], "in the clear the file goes to the socket directly", used)
    equal((here.stop(), there.stop()), (0, 0), "both end well")
    done()


main()
