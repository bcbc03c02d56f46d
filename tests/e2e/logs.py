#!/usr/bin/env python3
"""The log by way of syslog and of journald: what a receiver of our own gets, byte by byte, and what rsyslog and
systemd's journald make of it.  All of it in a mount namespace, where /dev/log and /run are the test's."""
import glob
import json
import os
import re
import shutil
import smtplib
import socket
import subprocess
import sys
import threading

from mailboxlib import MailServer
from netlib import FOLDER, check, done, equal, path, skip_all, start, wait_until, write
from peerlib import PLACES

SYSLOG, JOURNALD = "/dev/log", "/run/systemd/journal/socket"
STRANGE = "two words\\\" =é"
RSYSLOG = """module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="%s" CreatePath="on")
template(name="fields" type="list" option.jsonf="on") {
  property(outname="name" name="programname" format="jsonf")
  property(outname="pid" name="procid" format="jsonf")
  property(outname="facility" name="syslogfacility-text" format="jsonf")
  property(outname="level" name="syslogseverity-text" format="jsonf")
  property(outname="text" name="msg" format="jsonf")
}
action(type="omfile" file="%s" template="fields")
"""


def in_namespace():
    """This script again, where it may mount; afterwards /dev and /run are ours."""
    if "KURIR_OUTSIDE" not in os.environ:
        own = ["unshare", "--mount"] + ["--map-root-user"] * (os.geteuid() != 0)
        # In a root folder that is no mount point the second is the one that works.
        for how in (["--propagation", "private"], ["--propagation", "unchanged"]):
            if subprocess.run(own + how + ["true"], capture_output=True, check=False).returncode == 0:
                sys.exit(subprocess.run(own + how + [sys.executable] + sys.argv, check=False,
                                        env=dict(os.environ, KURIR_OUTSIDE=str(os.getpid()))).returncode)
        skip_all("no mount namespace may be made here")
    os.mkdir(path("private"))
    subprocess.run(["mount", "-t", "tmpfs", "none", path("private")], check=True)
    with open("/proc/%s/mountinfo" % os.environ["KURIR_OUTSIDE"]) as f:
        seen = path("private") in f.read()
    subprocess.run(["umount", path("private")], check=True)
    if seen:
        skip_all("what is mounted here is seen everywhere")
    commands = ["mount -t tmpfs -o mode=755 none /run", "mkdir -p /run/systemd/journal /run/log/journal /run/own/shm"]
    for name in ("null", "zero", "full", "random", "urandom", "tty", "kmsg"):
        if os.path.exists("/dev/" + name):
            commands += ["touch /run/own/" + name, "mount --bind /dev/{0} /run/own/{0}".format(name)]
    commands += ["ln -s /proc/self/fd /run/own/fd", "mount --rbind /run/own /dev", "chmod 1777 /dev/shm"]
    if not os.path.exists("/etc/machine-id"):
        commands += ["cp -a /etc /run/etc", "echo %s > /run/etc/machine-id" % ("0123456789abcdef" * 2),
                     "mount --bind /run/etc /etc"]
    subprocess.run("set -e; " + "; ".join(commands), shell=True, check=True)


class Receiver:
    """A daemon that keeps what it gets."""

    def __init__(self, place):
        self.place = place
        self.packets = []
        self.open()

    def open(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        if os.path.lexists(self.place):
            os.unlink(self.place)
        self.socket.bind(self.place)
        os.chmod(self.place, 0o666)
        threading.Thread(target=self.read, args=(self.socket,), daemon=True).start()

    def read(self, s):
        while True:
            try:
                packet = s.recv(65536)
            except OSError:
                return
            if packet == b"":
                return
            self.packets.append(packet)

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def lines(self):
        parse = from_syslog if self.place == SYSLOG else from_native
        return [parse(p) for p in list(self.packets)]

    def text(self):
        return "\n".join(line["text"] for line in self.lines())


def from_syslog(packet):
    """RFC 3164 4.1, without time and host, which a local receiver adds (4.3)."""
    m = re.fullmatch(r"<(\d{1,3})>([!-9;-Z\\^-~]{1,32})\[(\d+)\]: ([^\0-\x1f\x7f]+)", packet.decode("utf-8"))
    if not m:
        return {"text": "", "bad": packet}
    return {"facility": int(m[1]) // 8, "level": int(m[1]) % 8, "name": m[2], "pid": m[3], "text": m[4]}


def from_native(packet):
    """systemd's native protocol: NAME=value LF, or NAME LF 64 bits of length value LF."""
    fields, rest = {}, packet
    while rest:
        line, lf, rest = rest.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            length = int.from_bytes(rest[:8], "little")
            value, lf, rest = rest[8:8 + length], rest[8 + length:9 + length], rest[9 + length:]
        if lf != b"\n" or not re.fullmatch(rb"[A-Z][A-Z0-9_]{0,63}", name):
            return {"text": "", "bad": packet}
        fields[name.decode()] = value.decode("utf-8")
    return {"facility": int(fields["SYSLOG_FACILITY"]), "level": int(fields["PRIORITY"]),
            "name": fields["SYSLOG_IDENTIFIER"], "pid": fields["SYSLOG_PID"], "text": fields.get("MESSAGE", "")}


class LoggingServer(MailServer):
    """Its log is with the receiver."""

    def __init__(self, receiver, to, style):
        self.receiver = receiver
        super().__init__(name=to + "-" + style, single=False,
                         log={"to": to, "format": "json" if style == "json" else "text"},
                         sandbox="best-effort")

    def text(self):
        return super().text() + self.receiver.text()

    def refuse(self, who):
        """A recipient that is not here is an event, with all that was said."""
        with smtplib.SMTP("127.0.0.1", self.port["mx"], timeout=60) as c:
            c.ehlo()
            c.mail("you@dua.example", ["SMTPUTF8"])
            c.docmd("RCPT", 'TO:<"%s"@satu.example>' % who)


def by_ourselves(place, to, style):
    receiver = Receiver(place)
    s = LoggingServer(receiver, to, style)
    c = smtplib.SMTP("127.0.0.1", s.port["mx"], timeout=60)
    c.command_encoding = "utf-8"
    c.ehlo()
    c.docmd("MAIL", "FROM:<you@dua.example> SMTPUTF8")
    c.docmd("RCPT", "TO:<\"%s\"@satu.example>" % STRANGE)
    c.docmd("RCPT", "TO:<%s@satu.example>" % ("long." * 12 + "x"))
    c.docmd("BYE\x01\x1b[2J")
    c.quit()
    wait_until(lambda: "long.long" in receiver.text() and "two words" in receiver.text(), 20, "the refusals are logged")
    lines = receiver.lines()
    equal([p["bad"] for p in lines if "bad" in p], [], "%s, %s: each packet is well formed" % (to, style))
    equal({(p["facility"], p["name"]) for p in lines}, {(2, "kurird")}, "of the mail system, by its name")
    check({p["level"] for p in lines} <= {3, 4, 5, 6}, "a level as syslog counts them", lines)
    strange = [p for p in lines if "two words" in p["text"]][0]
    check(os.path.exists("/proc/" + strange["pid"]), "the process that said it", strange)
    if style == "json":
        check(all(isinstance(json.loads(p["text"]), dict) for p in lines), "and each text is JSON")
    check("é" in strange["text"], "what can be read is", strange)
    receiver.close()
    s.refuse("nobody hears this")
    wait_until(lambda: s.counters("log")["lost"] > 0, 20, "a line is lost, and counted")
    check(True, "without it lines are lost, and counted")
    receiver.open()
    s.refuse("again")
    wait_until(lambda: "again" in receiver.text(), 20, "after the receiver began anew")
    check(True, "a receiver that begins anew gets the next line")
    equal(s.stop(), 0, "the server ends well")
    receiver.close()


class Journal:
    """systemd-journald, which is asked by journalctl."""

    def __init__(self, folder):
        def find(name):
            return path_of(folder, "lib/systemd/" + name, "usr/bin/" + name, "bin/" + name)
        self.ctl = find("journalctl")
        shutil.rmtree("/run/log/journal")
        os.mkdir("/run/log/journal")
        self.child = start([find("systemd-journald")], "journald.log")
        wait_until(lambda: os.path.exists("/run/systemd/journal/dev-log"), 20, "journald listens")
        if os.path.lexists(SYSLOG):
            os.unlink(SYSLOG)
        os.symlink("/run/systemd/journal/dev-log", SYSLOG)

    def lines(self):
        run = subprocess.run([self.ctl, "--directory=/run/log/journal", "-o", "json", "--no-pager", "-q",
                              "SYSLOG_IDENTIFIER=kurird"], capture_output=True, text=True, check=False)
        found = [json.loads(line) for line in run.stdout.splitlines()]
        return [{"facility": e.get("SYSLOG_FACILITY"), "level": e.get("PRIORITY"), "pid": e.get("SYSLOG_PID"),
                 "text": e.get("MESSAGE") or "", "way": e.get("_TRANSPORT")} for e in found]

    def text(self):
        return "\n".join(line["text"] for line in self.lines())

    def close(self):
        self.child.terminate()
        self.child.wait(20)


class Rsyslog:
    def __init__(self, folder):
        self.file = path("rsyslog.json")
        conf = write("rsyslog.conf", RSYSLOG % (SYSLOG, self.file))
        if os.path.lexists(SYSLOG):
            os.unlink(SYSLOG)
        modules = os.path.dirname(path_of(folder, "usr/lib/*/rsyslog/imuxsock.so"))
        self.child = start([path_of(folder, "usr/sbin/rsyslogd"), "-n", "-f", conf, "-i", path("rsyslog.pid"), "-M", modules],
                           "rsyslog.log")
        wait_until(lambda: os.path.exists(SYSLOG), 20, "rsyslog listens")

    def lines(self):
        if not os.path.exists(self.file):
            return []
        with open(self.file, encoding="utf-8") as f:
            found = [json.loads(line) for line in f.read().splitlines(True) if line.endswith("\n")]
        return [e for e in found if e["name"] == "kurird"]

    def text(self):
        return "\n".join(line["text"] for line in self.lines())

    def close(self):
        self.child.terminate()
        self.child.wait(20)


def path_of(folder, *names):
    """The first that there is."""
    found = [p for n in names for p in glob.glob(os.path.join(folder, n))]
    return found[0] if found else None


def place_of(package, program):
    """Where the package is: unpacked, else installed; None where it is not or lacks a library."""
    for folder in [os.path.join(p, package) for p in PLACES] + ["/"]:
        there = path_of(folder, program)
        if there and "not found" not in subprocess.run(["ldd", there], capture_output=True, text=True, check=False).stdout:
            return folder
    return None


def by_journald(to):
    folder = place_of("systemd", "lib/systemd/systemd-journald")
    if not folder:
        return check(True, "journald, by %s # SKIP it is not unpacked" % to)
    receiver = Journal(folder)
    s = LoggingServer(receiver, to, "journal")
    s.refuse("two words")
    wait_until(lambda: "two words" in receiver.text(), 20, "the refusal is in the journal")
    lines = receiver.lines()
    equal([p for p in lines if not p["text"] or p["facility"] != "2" or not p["level"] or not p["pid"]], [],
          "journald understands all, by " + to)
    equal({p["way"] for p in lines}, {"journal" if to == "journald" else "syslog"}, "which came that way")
    equal(s.stop(), 0, "the server ends well")
    receiver.close()


def by_rsyslog():
    folder = place_of("rsyslog", "usr/sbin/rsyslogd")
    if not folder:
        return check(True, "rsyslog # SKIP it is not unpacked")
    receiver = Rsyslog(folder)
    s = LoggingServer(receiver, "syslog", "rsyslog")
    s.refuse("two words")
    wait_until(lambda: "two words" in receiver.text(), 20, "the refusal is in rsyslog's file")
    lines = receiver.lines()
    equal({p["facility"] for p in lines}, {"mail"}, "rsyslog sees the mail system")
    check({p["level"] for p in lines} <= {"info", "notice", "warning"}, "the levels", lines)
    check(all(os.path.exists("/proc/" + p["pid"]) for p in lines if "two words" in p["text"]), "the processes", lines)
    equal(s.stop(), 0, "the server ends well")
    receiver.close()


class Nobody:
    @staticmethod
    def text():
        return ""


def main():
    in_namespace()
    s = LoggingServer(Nobody(), "syslog", "nobody")
    check("is serving" in s.text(), "without a receiver it logs to standard error", s.text())
    equal(s.stop(), 0, "and ends well")
    for style in ("text", "json"):
        by_ourselves(SYSLOG, "syslog", style)
        by_ourselves(JOURNALD, "journald", style)
    by_rsyslog()
    for to in ("syslog", "journald"):
        by_journald(to)
    done()


main()
