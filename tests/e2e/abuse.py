#!/usr/bin/env python3
"""What hostile clients try: smuggled mail, plaintext behind STARTTLS, floods of bytes, lines and connections, relaying."""
import os
import resource
import smtplib
import socket
import threading
import time

from mailboxlib import MailServer
from netlib import check, done, equal

LIMIT = 2 * 1024 * 1024  # message-size
SILENT = 10000
SMUGGLED = b"MAIL FROM:<smuggler@dua.example>\r\nRCPT TO:<siti@satu.example>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n.\r\n"
ENDS = (b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\n.\n", b"\r\n.\r", b"\r.\r\n", b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\r\r\n.\r\r\n",
        b"\n.\r", b"\r.\n", b"\n\n.\r\n", b"\r\n.\r\r\n")


class Abused(MailServer):
    """With small limits."""

    def __init__(self, smtp, **more):
        self.smtp = smtp
        super().__init__(**more)

    def start(self):
        self.modules["smtp"] = dict({"message-size": LIMIT, "recipients": 100, "errors": 100}, **self.smtp)
        super().start()


class Raw:
    """A connection that says exactly what it is told."""

    def __init__(self, port, greeting=True):
        self.s = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.f = self.s.makefile("rb")
        if greeting:
            self.reply()

    def reply(self):
        """A whole reply as text; empty: the connection is over."""
        text = b""
        try:
            while True:
                line = self.f.readline(8192)
                text += line
                if not line or line[3:4] != b"-":
                    return text.decode(errors="replace")
        except OSError:
            return text.decode(errors="replace")

    def say(self, what):
        try:
            self.s.sendall(what)
        except OSError:
            pass

    def ask(self, line):
        self.say(line.encode() + b"\r\n")
        return self.reply()

    def rest(self):
        """All that comes until the other side closes."""
        try:
            return self.f.read().decode(errors="replace")
        except OSError:
            return ""

    def close(self):
        self.f.close()
        self.s.close()


def session(s, to="hyd@satu.example", data=True):
    c = Raw(s.port["mx"])
    c.ask("EHLO x")
    c.ask("MAIL FROM:<a@dua.example>")
    c.ask("RCPT TO:<%s>" % to)
    if data:
        c.ask("DATA")
    return c


def boxes(s):
    """The text of all that was delivered."""
    texts = []
    for folder, _, files in os.walk(s.root(s.name)):
        if os.path.basename(folder) in ("new", "cur"):
            for name in files:
                with open(os.path.join(folder, name), "rb") as f:
                    texts.append(f.read())
    return texts


def still_serves(s, what):
    try:
        s.deliver("Subject: still\r\n\r\nhere\r\n")
        check(True, "%s: others are served" % what)
    except (OSError, smtplib.SMTPException, AssertionError) as e:
        check(False, "%s: others are served" % what, repr(e), s.text()[-2000:])


def smuggling(s):
    for end in ENDS:
        c = session(s)
        c.say(b"Subject: carrier\r\n\r\ntext" + end + SMUGGLED)
        replies = c.reply()
        c.say(b"QUIT\r\n")
        replies += c.rest()
        c.close()
        # What follows the real end of the carrier (that of the smuggled text) is one refusal.
        check(replies.startswith("554 5.6.0") and "250" not in replies and "354" not in replies,
              "%r does not end a message" % end, replies)
    c = session(s)
    c.say(b"Subject: carrier\r\n\r\ntext\r\n..\r\n..MAIL FROM:<x@dua.example>\r\n.\r\n")
    check(c.reply().startswith("250"), "stuffed dots are text")
    c.close()
    still_serves(s, "smuggling")
    check(not any(b"smuggled" in t for t in boxes(s)), "nothing was smuggled in")


def starttls_injection(s):
    for name, hello, command, after, bad in (
            ("mx", "EHLO x", "STARTTLS", "NOOP", "250"), ("submission", "EHLO x", "STARTTLS", "NOOP", "250"),
            ("pop3", None, "STLS", "CAPA", "SASL"), ("imap", None, "a STARTTLS", "b CAPABILITY", "b OK")):
        c = Raw(s.port[name])
        if hello:
            c.ask(hello)
        c.say(("%s\r\n%s\r\n" % (command, after)).encode())
        c.s.settimeout(20)
        first = c.reply()
        # No handshake: had the plaintext been kept, its answer would come by itself or with the next byte.
        c.say(b"\r\n")
        rest = c.rest()
        check(bad not in rest, "%s: what follows %s is not answered" % (name, command), first, rest)
        c.close()


def long_lines(s):
    line = b"A" * (1 << 20)
    for name in ("mx", "pop3", "imap"):
        c = Raw(s.port[name])
        c.say(line + b"\r\n")
        answer = c.reply()
        check(not answer.startswith(("250", "+OK", "* OK")), "%s: a line of 1 MiB" % name, answer[:200])
        c.close()
    c = session(s)
    c.say(b"Subject: long\r\n\r\n" + line + b"\r\n.\r\n")
    check(c.reply()[:3] in ("250", "500", "552", "554"), "a line of 1 MiB in a message is answered")
    c.close()
    c = session(s)
    c.say(b"X: " + line + b"\r\n\r\n.\r\n")
    check(c.reply()[:3] in ("250", "500", "552", "554"), "and in its header")
    c.close()
    still_serves(s, "long lines")


def sizes(s):
    c = Raw(s.port["mx"])
    c.ask("EHLO x")
    for size in (LIMIT + 1, 4 << 30, (1 << 63) - 1):
        check(c.ask("MAIL FROM:<a@dua.example> SIZE=%d" % size).startswith("552"), "SIZE=%d is refused" % size)
    for size in ("18446744073709551616", "99999999999999999999", "-1", "0x10", ""):
        answer = c.ask("MAIL FROM:<a@dua.example> SIZE=%s" % size)
        check(answer[:3] in ("501", "552"), "SIZE=%s is refused" % size, answer)
    c.close()
    c = session(s)
    block = (b"y" * 998 + b"\r\n") * 64
    c.say(b"Subject: big\r\n\r\n")
    for _ in range(LIMIT * 4 // len(block)):
        c.say(block)
    c.say(b".\r\n")
    check(c.reply().startswith("552"), "a message above the limit is refused after its end")
    check(c.ask("NOOP").startswith("250"), "and the session goes on")
    c.close()
    c = session(s, data=False)
    c.say(b"BDAT %d\r\n" % (LIMIT * 4))
    for _ in range(LIMIT * 4 // 1024):
        c.say(b"z" * 1024)
    refusal = c.reply()
    check(refusal.startswith("552"), "nor are chunks above it taken", refusal)
    after = c.ask("BDAT 0 LAST")
    check(after == "" or after.startswith("503"), "and nothing follows them", after)
    c.close()
    c = session(s, data=False)
    c.say(b"BDAT %d LAST\r\n" % (4 << 30) + block)
    c.close()
    still_serves(s, "big messages")
    check(not any(b"Subject: big" in t for t in boxes(s)), "nothing of it was delivered")


def silent(s):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < SILENT + 200 and (hard > soft or hard == resource.RLIM_INFINITY):
        soft = SILENT + 200 if hard == resource.RLIM_INFINITY else min(hard, SILENT + 200)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    many = []
    names = ("mx", "imap", "pop3", "submissions")
    for i in range(min(SILENT, soft - 200)):
        try:
            many.append(socket.create_connection(("127.0.0.1", s.port[names[i % 4]]), timeout=10))
        except OSError as e:
            check(False, "connection %d" % i, repr(e))
            break
    check(len(many) >= 100, "%d silent connections" % len(many))
    still_serves(s, "silent connections")
    for c in many:
        c.close()


def slow(s):
    c = Raw(s.port["mx"])
    began = time.monotonic()
    ended = threading.Event()

    def drip():
        while not ended.wait(0.1):
            c.say(b"N")
    t = threading.Thread(target=drip, daemon=True)
    t.start()
    answer = c.rest()
    ended.set()
    t.join()
    check(time.monotonic() - began < 25, "one byte at a time does not hold a connection")
    check(answer == "" or answer.startswith("421"), "and ends by 421", answer)
    c.close()
    still_serves(s, "slow clients")


def recipients(s):
    c = Raw(s.port["mx"])
    c.ask("EHLO x")
    c.ask("MAIL FROM:<a@dua.example>")
    answers = [c.ask("RCPT TO:<hyd+%d@satu.example>" % i)[:9] for i in range(130)]
    good = sum(a.startswith("250") for a in answers)
    check(good == 100 and answers[-1] == "452 4.5.3", "the 101st recipient is deferred", good, answers[-1])
    c.close()


def relaying(s):
    c = Raw(s.port["mx"])
    c.ask("EHLO x")
    c.ask("MAIL FROM:<hyd@satu.example>")
    for to in ("x@dua.example", "x%dua.example@satu.example", "@satu.example:x@dua.example", "x%dua.example",
               "\"x@dua.example\"@satu.example", "\"x%dua.example\"@satu.example", "dua.example!x@satu.example",
               "dua.example!x", "x@dua.example@satu.example", "x@satu.example@dua.example", "\"x@dua.example\"",
               "x@[127.0.0.1]", "x@[IPv6:::1]", "x@satu.example.", "x@satu.example.dua.example",
               "@satu.example,@dua.example:x@dua.example", "hyd@satu.example\0@dua.example",
               "hyd@satu.example>\rRCPT TO:<x@dua.example", "x@satu.example(c)", "../../siti@satu.example",
               "x @satu.example", "x@", "@", "x@127.0.0.1", "x@localhost"):
        answer = c.ask("RCPT TO:<%s>" % to)
        check(answer[:1] == "5", "no mail to <%s>" % to.replace("\0", "NUL").replace("\r", "CR"), answer)
        if not answer or answer.startswith("421"):
            c.close()
            c = Raw(s.port["mx"])
            c.ask("EHLO x")
            c.ask("MAIL FROM:<hyd@satu.example>")
    c.close()
    c = Raw(s.port["submission"])
    c.ask("EHLO x")
    check(c.ask("MAIL FROM:<hyd@satu.example>").startswith("530"), "no submission without a login")
    c.close()


def loops(s):
    c = session(s)
    c.say(b"Received: from a by b; Mon, 1 Jan 2024 00:00:00 +0000\r\n" * 101 + b"Subject: loop\r\n\r\nx\r\n.\r\n")
    answer = c.reply()
    check(answer.startswith("554 5.4.6"), "a mail loop is refused", answer)
    c.close()
    c = session(s)
    c.say(b"Subject: quoted\r\n\r\n" + b"Received: from a by b\r\n" * 101 + b".\r\n")
    check(c.reply().startswith("250"), "such lines in the text are none")
    c.close()


def run(s, *parts):
    for part in parts:
        try:
            part(s)
        except (OSError, AssertionError) as e:
            check(False, "%s ended: %r" % (part.__name__, e), s.text()[-2000:])
    equal(s.stop(), 0, "the server ends well")
    check(not any(w in s.text() for w in ("assert", "Sanitizer", "crashed", "killed")), "nothing broke", s.text()[-3000:])


run(Abused({}, name="many", single=False), smuggling, starttls_injection, long_lines, sizes, silent, recipients, relaying,
    loops)
run(Abused({"idle-time": "2s"}, name="slow"), slow)
done()
