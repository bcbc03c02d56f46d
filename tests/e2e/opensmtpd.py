#!/usr/bin/env python3
"""OpenSMTPD as next hop and as sender."""
import smtplib
import socket
import subprocess

from netlib import check, done, equal, free_port, wait_until
from peerlib import Exchange, Root, arrives, log_of, notified, opensmtpd_spool

CONF = """
pki here cert "/etc/cert.pem"
pki here key "/etc/key.pem"
table late file:/etc/late
table boxes { "paijo@dua.example" = vmail, "late@dua.example" = vmail, "@" = vmail }
filter later phase rcpt-to match rcpt-to <late> reject "450 4.7.1 come back later"
filter never phase rcpt-to match rcpt-to { "none@dua.example" } reject "550 5.1.1 nobody of that name"
filter all chain { later, never }
smtp max-message-size 30M
listen on 127.0.0.1 port %d hostname mx.dua.example tls pki here filter all
action box maildir "/boxes/mail" virtual <boxes>
action by_lmtp relay host "lmtp://127.0.0.1:%d"
action by_smtp relay host "smtp://127.0.0.1:%d"
match from any for domain "dua.example" action box
match from any for rcpt-to "siti@satu.example" action by_lmtp
match from any for domain "satu.example" action by_smtp
"""


def configure(root, port, s):
    root.write("etc/smtpd.conf", CONF % (port, s.lmtp, s.port["mx"]))
    root.write("etc/late", "late@dua.example\n")
    root.write("etc/mailname", "mx.dua.example\n")
    opensmtpd_spool(root)


def listens(port):
    with socket.socket() as c:
        return c.connect_ex(("127.0.0.1", port)) == 0


def next_hop(s, root, logs):
    s.submit(["paijo@dua.example"], "Subject: to opensmtpd\r\n\r\n.dot\r\nlast\r\n")
    text = arrives(root.boxes, "to opensmtpd", "opensmtpd takes our mail", *logs)
    check("(TLSv1" in text, "over TLS", text)
    check("\n.dot\nlast" in text, "with its dot", text)
    s.submit(["paijo@dua.example"], "Subject: 8bit\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
             "Content-Transfer-Encoding: 8bit\r\n\r\nséparé\r\n".encode(), ["BODY=8BITMIME"])
    check("séparé" in arrives(root.boxes, "8bit", "8BITMIME", *logs), "as it was")
    s.submit(["söz@dua.example"], "Subject: utf\r\n\r\nx\r\n".encode(), ["SMTPUTF8", "BODY=8BITMIME"])
    notified(s, ("SMTPUTF8", "5.6.7"), "an address it does not offer to take is reported", *logs)
    s.submit(["late@dua.example"], "Subject: late\r\n\r\nx\r\n")
    try:
        wait_until(lambda: "come back later" in s.text(), 20, "the refusal is known")
        check(True, "it defers")
    except AssertionError as e:
        check(False, "it defers", e, *[log()[-2500:] for log in logs])
    root.write("etc/late", "nobody@dua.example\n")
    r = root.run("/usr/sbin/smtpctl", "update", "table", "late")
    equal(r.returncode, 0, "and does no more")
    arrives(root.boxes, "late", "what it deferred is tried again", *logs)
    s.submit(["paijo@dua.example", "none@dua.example"], "Subject: half\r\n\r\nx\r\n")
    arrives(root.boxes, "half", "one of two recipients", *logs)
    notified(s, ("none@dua.example", "550"), "the other one is reported", *logs)
    s.submit(["paijo@dua.example"], "Subject: big\r\n\r\n" + ("y" * 76 + "\r\n") * 300000)
    equal(arrives(root.boxes, "big", "23 MB", *logs).count("y" * 76 + "\n"), 300000, "all of its lines")
    s.submit(["paijo@dua.example"], "Subject: huge\r\n\r\n" + ("z" * 76 + "\r\n") * 500000)
    notified(s, ("paijo@dua.example", "5.3.4"), "above its SIZE it is reported", *logs)


def sender(s, port, logs):
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as c:
        c.sendmail("you@tiga.example", ["hyd@satu.example"], "Subject: by smtp\r\n\r\n.x\r\n")
        c.sendmail("you@tiga.example", ["siti@satu.example"], "Subject: by lmtp\r\n\r\n.x\r\n")
        c.sendmail("you@tiga.example", ["hyd@satu.example", "siti@satu.example", "nobody@satu.example"],
                   "Subject: several\r\n\r\nx\r\n")
        c.sendmail("you@tiga.example", ["siti@satu.example"], "Subject: large\r\n\r\n" + ("w" * 76 + "\r\n") * 100000)
    text = arrives(s.arrived, "by smtp", "opensmtpd as sender, SMTP", *logs)
    check("mx.dua.example" in text and "ESMTPS" in text and "\n.x\n" in text, "over TLS, with its dot", text)
    text = arrives(s.arrived, "by lmtp", "LMTP", *logs)
    check("LMTP" in text and "\n.x\n" in text, "says so", text)
    equal(arrives(s.arrived, "large", "a large one over LMTP", *logs).count("w" * 76 + "\n"), 100000, "whole")
    try:
        wait_until(lambda: sum("Subject: several\n" in t for t in s.arrived()) == 2, 20, "two copies")
        check(True, "several recipients, by both ways")
    except AssertionError as e:
        check(False, "several recipients, by both ways", e, *[log()[-2500:] for log in logs])


def main():
    port = free_port()
    s = Exchange(port)
    root = Root("opensmtpd", tools=("/bin/sh",))
    logs = (s.text, log_of("opensmtpd.log"))
    configure(root, port, s)
    peer = root.start("opensmtpd.log", "/usr/sbin/smtpd", "-d")
    for part in (lambda: wait_until(lambda: listens(port), 20, "opensmtpd listens"),
                 lambda: next_hop(s, root, logs), lambda: sender(s, port, logs)):
        try:
            part()
        except (OSError, AssertionError, smtplib.SMTPException, subprocess.SubprocessError) as e:
            check(False, "it ended: %r" % e, *[log()[-2500:] for log in logs])
    equal(s.stop(), 0, "the server ends well")
    peer.terminate()
    peer.wait(30)
    done()


main()
