#!/usr/bin/env python3
"""Postfix as next hop and as sender."""
import smtplib
import socket
import socketserver
import subprocess
import threading

from netlib import check, done, equal, free_port, wait_until
from peerlib import Exchange, Root, arrives, log_of, notified, postfix_files

NAMES = ("paijo", "late", "söz")


class Greylist(socketserver.ThreadingTCPServer):
    """A policy service: late@ is told to come back, once."""
    daemon_threads = True
    asked = 0

    class Answers(socketserver.StreamRequestHandler):
        def handle(self):
            late = False
            for line in self.rfile:
                late = late or line.strip() == b"recipient=late@dua.example"
                if not line.strip():
                    self.server.asked += late
                    say = b"450 4.7.1 come back later" if late and self.server.asked == 1 else b"DUNNO"
                    self.wfile.write(b"action=" + say + b"\n\n")
                    late = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.Answers)
        threading.Thread(target=self.serve_forever, daemon=True).start()


def configure(root, port, policy, s):
    options = {
        "smtputf8_enable": "yes", "message_size_limit": "40000000",
        "smtpd_recipient_restrictions": "check_policy_service inet:127.0.0.1:%d" % policy,
        "smtpd_data_restrictions": "reject_unauth_pipelining", "virtual_mailbox_limit": "0",
        "virtual_mailbox_domains": "dua.example", "virtual_mailbox_base": "/boxes",
        "virtual_mailbox_maps": "inline:{%s}" % " ".join("%s@dua.example=%s/" % (n, n) for n in NAMES),
        "virtual_uid_maps": "static:64205", "virtual_gid_maps": "static:64205", "virtual_minimum_uid": "100",
        "transport_maps": "inline:{siti@satu.example=lmtp:inet:127.0.0.1:%d satu.example=smtp:[127.0.0.1]:%d}"
        % (s.lmtp, s.port["mx"]), "smtp_tls_security_level": "encrypt", "lmtp_tls_security_level": "none",
        "smtpd_tls_security_level": "may", "smtpd_tls_cert_file": "/etc/cert.pem", "smtp_tls_loglevel": "1",
        "smtpd_tls_key_file": "/etc/key.pem", "smtpd_tls_received_header": "yes"}
    postfix_files(root, port, options)


def listens(port):
    with socket.socket() as c:
        return c.connect_ex(("127.0.0.1", port)) == 0


def next_hop(s, root, policy, logs):
    s.submit(["paijo@dua.example"], "Subject: to postfix\r\n\r\n.dot\r\nlast\r\n")
    text = arrives(root.boxes, "to postfix", "postfix takes our mail", *logs)
    check("using TLSv1" in text, "over TLS", text)
    check("\n.dot\nlast" in text, "with its dot", text)
    s.submit(["paijo@dua.example"], "Subject: 8bit\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
             "Content-Transfer-Encoding: 8bit\r\n\r\nséparé\r\n".encode(), ["BODY=8BITMIME"])
    check("séparé" in arrives(root.boxes, "8bit", "8BITMIME", *logs), "as it was")
    s.submit(["söz@dua.example"], "Subject: übrig\r\n\r\nx\r\n".encode(), ["SMTPUTF8", "BODY=8BITMIME"])
    text = arrives(root.boxes, "übrig", "SMTPUTF8", *logs)
    check("UTF8SMTP" in text or "söz@dua.example" in text, "to an address of it", text)
    s.submit(["late@dua.example"], "Subject: late\r\n\r\nx\r\n")
    arrives(root.boxes, "late", "what it defers is tried again", *logs)
    equal(policy.asked, 2, "it was asked for twice")
    s.submit(["paijo@dua.example", "none@dua.example"], "Subject: half\r\n\r\nx\r\n")
    arrives(root.boxes, "half", "one of two recipients", *logs)
    notified(s, ("none@dua.example", "550"), "the other one is reported", *logs)
    big = ("Subject: big\r\n\r\n" + ("y" * 76 + "\r\n") * 300000)
    s.submit(["paijo@dua.example"], big)
    text = arrives(root.boxes, "big", "23 MB", *logs)
    equal(text.count("y" * 76 + "\n"), 300000, "all of its lines")
    s.submit(["paijo@dua.example"], "Subject: huge\r\n\r\n" + ("z" * 76 + "\r\n") * 540000)
    notified(s, ("paijo@dua.example", "5.3.4"), "above its SIZE it is reported", *logs)


def sender(s, port, logs):
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as c:
        c.sendmail("you@tiga.example", ["hyd@satu.example"], "Subject: by smtp\r\n\r\n.x\r\n")
        c.sendmail("you@tiga.example", ["siti@satu.example"], "Subject: by lmtp\r\n\r\n.x\r\n")
        c.sendmail("you@tiga.example", ["hyd@satu.example", "siti@satu.example", "nobody@satu.example"],
                   "Subject: several\r\n\r\nx\r\n")
        c.sendmail("hyd@satu.example", ["nobody@satu.example"], "Subject: back\r\n\r\nx\r\n")
        c.sendmail("you@tiga.example", ["siti@satu.example"], "Subject: large\r\n\r\n" + ("w" * 76 + "\r\n") * 100000)
    text = arrives(s.arrived, "by smtp", "postfix as sender, SMTP", *logs)
    check("mx.dua.example" in text and "ESMTPS" in text and "\n.x\n" in text, "over TLS, with its dot", text)
    text = arrives(s.arrived, "by lmtp", "LMTP", *logs)
    check("LMTP" in text and "\n.x\n" in text, "says so", text)
    equal(arrives(s.arrived, "large", "a large one over LMTP", *logs).count("w" * 76 + "\n"), 100000, "whole")
    try:
        wait_until(lambda: sum("Subject: several\n" in t and "multipart/report" not in t for t in s.arrived()) == 2, 20,
                   "two copies")
        check(True, "several recipients, by both ways")
    except AssertionError as e:
        check(False, "several recipients, by both ways", e, *[log()[-2500:] for log in logs])
    notified(s, ("nobody@satu.example", "X-Postfix-Queue-ID"), "who is not here is reported by it", *logs)


def main():
    port, policy = free_port(), Greylist()
    s = Exchange(port)
    root = Root("postfix")
    logs = (s.text, log_of("postfix.log", "postfix/var/log/mail.log"))
    configure(root, port, policy.server_address[1], s)
    master = root.start("postfix.log", "/usr/lib/postfix/sbin/master", "-d")
    for part in (lambda: wait_until(lambda: listens(port), 20, "postfix listens"),
                 lambda: next_hop(s, root, policy, logs), lambda: sender(s, port, logs)):
        try:
            part()
        except (OSError, AssertionError, smtplib.SMTPException, subprocess.SubprocessError) as e:
            check(False, "it ended: %r" % e, *[log()[-2500:] for log in logs])
    equal(s.stop(), 0, "the server ends well")
    master.terminate()
    master.wait(30)
    done()


main()
