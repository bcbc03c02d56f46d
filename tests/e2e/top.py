#!/usr/bin/env python3
"""kurirctl top in a terminal, without one, and for a program; kurirctl queue says who waits and why."""
import fcntl
import json
import os
import pty
import re
import select
import smtplib
import struct
import subprocess
import termios
import time

from mailboxlib import MailServer
from netlib import KURIRCTL, check, done, equal, free_port, wait_until

SITE = "dua.example"


class Post(MailServer):
    """dua.example is down."""

    def start(self):
        self.modules["smtp"] = {"relay-networks": ["127.0.0.0/8"]}
        self.modules.update({"relay_smtp": {}, "bounce": {}, "route_static": {
            "routes": {SITE: "smtp:[127.0.0.1]:%d" % free_port()}}})
        super().start()

    def run(self, *args):
        said = subprocess.run([KURIRCTL, "-c", self.conf, *args], capture_output=True, text=True, timeout=90, check=False)
        return said.returncode, said.stdout, said.stderr

    def send(self, count, to=SITE):
        with smtplib.SMTP("127.0.0.1", self.port["mx"], timeout=60) as c:
            for n in range(count):
                c.sendmail("you@tiga.example", ["paijo%d@%s" % (n, to)], "Subject: %d\r\n\r\n%s\r\n" % (n, "x" * 3000))


class Terminal:
    """A pseudo-terminal with a program in it: what stands on its screen."""

    def __init__(self, argv, rows, columns):
        self.bytes = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "vt100"
            wait_until(lambda: os.get_terminal_size(0).lines == rows, 30, "the terminal has its size")
            os.execv(argv[0], argv)
        self.resize(rows, columns)
        self.status = None

    def resize(self, rows, columns):
        self.rows, self.columns = rows, columns
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self):
        while select.select([self.fd], [], [], 0.05)[0]:
            try:
                more = os.read(self.fd, 65536)
            except OSError:
                return
            if not more:
                return
            self.bytes += more

    def frames(self):
        """Each whole one as lines; without the sequences, that all have to be known."""
        self.read()
        text = self.bytes.decode()
        found = re.findall(r"\x1b\[H(.*?)\x1b\[J", text, re.S)
        return [re.sub(r"\x1b\[[07]?[mK]", "", f).replace("\r", "").split("\n") for f in found]

    def shows(self, condition, what):
        """The first frame from now on that is so."""
        seen = len(self.frames())
        end = time.monotonic() + 60
        while time.monotonic() < end:
            for frame in self.frames()[seen:]:
                if condition(frame):
                    check(True, what)
                    return frame
        check(False, what, *(self.frames() or [[self.bytes]])[-1])
        return []

    def lflag(self):
        return termios.tcgetattr(self.fd)[3] & (termios.ICANON | termios.ECHO)

    def end(self, key):
        os.write(self.fd, key)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            self.read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.read()
                return os.waitstatus_to_exitcode(status)
        return None


def find(frame, what):
    return next((line for line in frame if what in line), "")


def fits(t):
    return lambda frame: len(frame) <= t.rows and all(len(line) <= t.columns for line in frame)


def live(s):
    t = Terminal([KURIRCTL, "-c", s.conf, "top"], 40, 120)
    frame = t.shows(lambda f: "accepted" in find(f, "a second"), "frames with rates")
    check(fits(t)(frame), "a frame is not larger than the screen", *frame)
    check(re.search(r"queue +8 recipients of 8 messages: .* in line", find(frame, "queue")), "the queue", *frame)
    line = find(frame, "127.0.0.1]")
    check(re.search(r" \d +\d +\d+ +(\S+ (s|min)|-)  .*refused", line), "the destination and what is wrong there", *frame)
    line = find(frame, "supervisor")
    check(re.search(r" %d +[\d.]+%% +[\d.]+ MiB" % s.child.pid, line), "a process, its share of a processor and memory", *frame)
    for role in ("edge", "queue", "relay", "store", "auth", "control"):
        check([line for line in frame if re.match(role + r" .* [\d.]+% +[\d.]+ MiB +\d+  ready", line)], role, *frame)
    equal(t.lflag(), 0, "keys come at once, and are not shown")
    s.send(3)
    t.shows(lambda f: re.search(r" [1-9]\S* accepted| 0\.[1-9] accepted", find(f, "a second")), "a rate")
    t.shows(lambda f: "queue    11 recipients" in find(f, "queue "), "more in the queue")
    t.resize(12, 50)
    frame = t.shows(lambda f: fits(t)(f), "a smaller screen")
    check(find(frame, "DESTINATION"), "with the most important", *frame)
    t.resize(60, 200)
    t.shows(lambda f: any(len(line) > 90 for line in f), "a larger screen")
    equal(t.end(b"q"), 0, "q ends it")
    check(t.bytes.endswith(b"\x1b[?25h\x1b[?1049l"), "the screen is as it was", t.bytes[-60:])
    t = Terminal([KURIRCTL, "-c", s.conf, "top", "5"], 24, 80)
    t.shows(lambda f: True, "another")
    before = t.lflag()
    equal((before, t.end(b"\x03")), (0, 0), "an interrupt ends it")
    check(t.bytes.endswith(b"\x1b[?25h\x1b[?1049l"), "and the screen is as it was", t.bytes[-60:])


def once(s):
    for words in (("top",), ("--once", "top", "1")):
        status, text, errors = s.run(*words)
        check(status == 0 and "\x1b" not in text and "\r" not in text and "DESTINATION" in text and "supervisor" in text,
              "one frame without a terminal: " + " ".join(words), status, text, errors)
    status, text, errors = s.run("--json", "top", "--once")
    frame = json.loads(text)
    check(status == 0 and frame["queue"]["recipients"] == 11 and frame["destinations"][0]["waiting"] == 11 and
          set(frame["rates"]) == {"accepted", "delivered", "deferred", "bounced", "cancelled"} and
          all(p["memory"] > 0 and p["cpu"] >= 0 for p in frame["status"]["processes"]), "for a program", text)
    for words in (("top", "0"), ("top", "x"), ("top", "26"), ("top", "1", "2"), ("status", "--once")):
        status, _, errors = s.run(*words)
        check(status == 2 and errors.startswith("kurirctl: "), "refused: " + " ".join(words), status, errors)


def queue(s):
    status, text, errors = s.run("queue", "list")
    check(status == 0 and re.match(r"ID +AGE +SIZE +SENDER\n\S+ +[\d.]+ (s|min) +3\.\d KiB  <you@tiga.example>\n    paijo0@dua.example +"
                                   r"waits because smtp:\S* is down \(\S*: .*\), (being tried now|tried again in [\d.]+ (s|min))\n", text),
          "who waits, and why", status, text, errors)
    check(text.endswith("\n11 recipients of 11 messages in the queue\n"), "and how many", text)
    status, text, errors = s.run("queue", "hold", "rcpt=paijo1@dua.example")
    equal((status, text), (0, "2 recipients of 2 messages held\n"), "two are held")
    text = s.run("queue", "show", "state=held")[1]
    check(text.count("held until it is released") == 2 and text.count("came from") == 2, "and shown so", text)
    status, text, errors = s.run("queue", "destinations")
    check(status == 0 and re.search(r"DESTINATION +ACTIVE .*\n\S*127\.0\.0\.1\S+ +0 +9 +\d+ .*\n1 destinations\n", text),
          "the destination", text, errors)
    frame = s.ctl("queue", "list", "sender=you@tiga.example")
    equal((len(frame["list"]), frame["recipients"], frame["list"][0]["sender"]), (11, 11, "you@tiga.example"), "for a program")
    equal([m["arrived"] for m in frame["list"]], sorted(m["arrived"] for m in frame["list"]), "in the order of arrival")
    for bad in ("after=1", "after=1.2.3.4.5.6.7.8", "after=x.1.1.1.1.1.1.1.", "after=1.2.3.4.5.6.7.8.9."):
        check("error" in s.ctl("queue", "list", bad), "refused: " + bad)


def pages(s):
    """More than one answer can hold: the list is whole all the same."""
    s.run("queue", "cancel", "all")
    wait_until(lambda: s.ctl("ledger")["queued"] == 0, 60, "the queue is empty")
    names = ["%s%d@%s" % ("x" * 50, n, SITE) for n in range(400)]
    with smtplib.SMTP("127.0.0.1", s.port["mx"], timeout=60) as c:
        for n in range(8):
            c.sendmail("you@tiga.example", names, "Subject: %d\r\n\r\nx\r\n" % n)
    wait_until(lambda: s.ctl("queue", "list", "domain=" + SITE)["recipients"] == 3200, 60, "all are in the queue")
    whole = s.ctl("queue", "list")
    equal((whole["recipients"], whole["messages"]), (3200, 8), "one list of several pages")
    equal(sorted(r["address"] for m in whole["list"] for r in m["recipients"]), sorted(names * 8), "with everybody once")
    text = s.run("queue", "list")[1]
    equal([text.count(n + " ") for n in names], [8] * 400, "and as text")
    equal(text.count("AGE"), 1, "with one title")
    check(text.endswith("\n3200 recipients of 8 messages in the queue\n"), "and one sum", text[-200:])


def main():
    s = Post("post", single=False)
    s.send(8)
    wait_until(lambda: s.ctl("queue", "destinations")["list"][0]["waiting"] == 8, 60, "the destination is in trouble")
    live(s)
    once(s)
    queue(s)
    pages(s)
    equal(s.stop(), 0, "the server ends well")
    done()


main()
