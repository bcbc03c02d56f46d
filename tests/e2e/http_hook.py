#!/usr/bin/env python3
"""The module http: a service that follows a script, each answer at each step, each way to fail; and the manual's service."""
import http.server
import json
import os
import re
import smtplib
import socketserver
import subprocess
import sys
import threading

from mailboxlib import Gate
from netlib import check, done, equal, free_port, path, start, wait_until, write

TO = "hyd@satu.example"
ROLES = ("edge", "queue", "resolver", "relay", "store", "access", "auth", "control")
ALL = ["connect", "helo", "auth", "mail", "rcpt", "data", "message"]
TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")


class Service(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answers, seen, connections, status, chunked = {}, [], 0, 200, False

    def setup(self):
        Service.connections += 1
        super().setup()

    def do_POST(self):
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        step, _, message = raw.partition(b"\n")
        step = json.loads(step)
        Service.seen.append((step, message, self.headers, self.path))
        body = json.dumps(Service.answers.get(step["point"], {})).encode() + b"  "
        self.send_response(Service.status)
        if Service.status == 204:
            self.end_headers()
        elif Service.chunked:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"3;x=y\r\n%s\r\n%x\r\n%s\r\n0\r\nTrailer: t\r\n\r\n" % (body[:3], len(body) - 3, body[3:]))
        else:
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_):
        pass


class Raw(socketserver.StreamRequestHandler):
    """Says bytes, whatever is asked."""
    answer = b""

    def handle(self):
        self.request.settimeout(60)
        self.request.recv(65536)
        if Raw.answer is None:
            return
        self.wfile.write(Raw.answer)
        if Raw.answer == b"":
            self.request.recv(1)  # until the other side gives up


def serve(handler):
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return "127.0.0.1:%d" % server.server_address[1]


def answers(s):
    def say(subject="x", status=200, chunked=False, log_in=None, **what):
        Service.answers, Service.status, Service.chunked, Service.seen = what, status, chunked, []
        try:
            return s.say(log_in or "a@b.example", TO, "Subject: %s\n\nx\n" % subject, log_in=log_in)
        except smtplib.SMTPResponseException as e:  # to DATA
            return [(e.smtp_code, e.smtp_error)]

    equal(say("one")[-1][0], 250, "no opinion")
    equal([q[0]["point"] for q in Service.seen], ["connect", "helo", "mail", "rcpt", "data", "message"], "every step is asked about")
    step, message, headers, target = Service.seen[-1]
    equal((step["sender"], step["recipients"], step["helo"], step["trusted"], step["connection"]["peer"], target),
          ("a@b.example", [TO], "client.example", False, "127.0.0.1", "/mail?x=1"), "what is asked")
    check(step["size"] == len(message) and message.endswith(b"Subject: one\r\n\r\nx\r\n"), "the message comes along", message)
    equal((headers["Authorization"], headers["Content-Type"]), ("Bearer geheim", "application/x-kurir-message"), "its header")
    equal([q[0].get("recipient") for q in Service.seen if q[0]["point"] == "rcpt"], [TO], "the recipient")
    check(Service.connections < 6, "connections are used again", Service.connections)
    equal(say(log_in="siti@satu.example")[-1][0], 250, "somebody who has logged in")
    check([q[0]["account"] for q in Service.seen if q[0]["point"] == "auth"] == ["siti@satu.example"], "auth", Service.seen)
    equal(say(status=204)[-1][0], 250, "204")
    no = {"verdict": "reject"}
    equal(say(rcpt=no)[1][0], 550, "a refusal without words")
    equal(say(rcpt=dict(no, code=571, xyz="5.7.2", text="Not today"))[1], (571, "5.7.2 Not today"), "a refusal with words")
    equal(say(chunked=True, rcpt=dict(verdict="defer", text="Later"))[1], (450, "4.7.1 Later"), "in chunks, later")
    equal(say(mail=dict(no, text="Go away"))[0], (550, "5.7.1 Go away"), "at mail")
    equal(say(message=no)[-1][0], 554, "at the message")
    equal(say("above", data={"headers": [["X-Told", "you\r\nX-Evil: 1"]]})[-1][0], 451, "a field with a line end")
    equal(say("field", data={"headers": [["X-Told", "you"]]})[-1][0], 250, "a field")
    check("X-Told: you" in s.with_subject("field"), "lies above the message")
    equal(say("other", rcpt={"add": ["siti@satu.example"], "sender": "c@d.example"})[-1][0], 250, "more recipients")
    check("Return-Path: <c@d.example>" in s.with_subject("other", "siti"), "get it, from the other sender")
    equal(say("less", data={"add": ["siti@satu.example"], "drop": [TO, "nobody@satu.example"]})[-1][0], 250, "fewer recipients")
    s.with_subject("less", "siti")
    equal(say("held", message={"hold": "odd"})[-1][0], 250, "hold")
    wait_until(lambda: "why=odd" in s.text(), 60, "the event")
    for what, bad in (("a word too many", {"veredict": "reject"}), ("another type", {"code": "550"}),
                      ("a code without a verdict", {"code": 550}), ("a code of the other sort", dict(no, code=450)),
                      ("no address", {"add": ["\n"]}), ("nothing to discard", None)):
        got = say(data={"verdict": "discard"})[-1] if bad is None else say(rcpt=bad)[1]
        check(400 <= got[0] < 500, what + ": deferred", got)
    equal(say(connect={}, message={"verdict": "discard"}, subject="gone")[-1][0], 250, "discarded")
    equal(say("after")[-1][0], 250, "and all is well again")
    s.with_subject("after")
    check(not any("Subject: %s\n" % gone in m.replace("\r", "") for m in s.mail() for gone in ("gone", "less", "held")),
          "what was discarded, dropped and held did not come")


def rubbish(s):
    head = b"HTTP/1.1 200 OK\r\n"
    for what, raw in (("is silent", b""), ("closes", None), ("says no HTTP", b"hello\r\n\r\n"),
                      ("says 500", b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"),
                      ("has two lengths", head + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} "),
                      ("has a length and chunks", head + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}"),
                      ("answers without end", head + b"Content-Length: 99999999999\r\n\r\n{}"),
                      ("has chunks that lie", head + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n{}"),
                      ("has a field without end", head + b"x" * 9000),
                      ("has fields without end", head + b"a: b\r\n" * 200),
                      ("closes in the middle", head + b"Content-Length: 10\r\n\r\n{}"),
                      ("says no JSON", head + b"Content-Length: 1\r\n\r\n{"),
                      ("says a list", head + b"Content-Length: 2\r\n\r\n[]"),
                      ("nests without end", head + b"Content-Length: 9000\r\n\r\n" + b"[" * 9000)):
        Raw.answer = raw
        got = s.say("a@b.example", TO)[1]
        check(400 <= got[0] < 500, "a service that %s: deferred" % what, got)
    Raw.answer = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\n\r\n{\"verdict\":\"reject\"}"
    equal(s.say("a@b.example", TO)[1][0], 550, "an old server that closes behind its answer")


def manual(s, port):
    """The service that the manual shows."""
    page = open(os.path.join(TOP, "modules/http/kurir-http.5"), encoding="ascii").read()
    text = re.search(r"^\.Bd -literal\n(from http.*?)^\.Ed", page, re.S | re.M).group(1).replace("8080", str(port))
    child = start([sys.executable, write("service.py", text)], "service.log")
    wait_until(lambda: s.say("a@b.example", TO)[1][0] == 250, 60, "the manual's service answers")
    equal(s.say("a@b.example", "nobody@satu.example")[1], (550, "5.7.1 Nobody lives here"), "and refuses")
    child.terminate()
    child.wait(60)


def main():
    more = {}
    if os.geteuid() == 0:  # the edge has no network then: the resolver connects for it
        more = {"single": False, "sandbox": "required", "users": {r: 64500 + n for n, r in enumerate(ROLES)}}
    place = serve(Service)
    write("token", "geheim", 0o600)
    s = Gate({"http": {"server": place, "target": "/mail?x=1", "at": ALL, "body": True, "timeout": "10s",
                       "token": {"file": path("token")}}}, ["http", "accounts"], name="all", **more)
    answers(s)
    equal(s.stop(), 0, "the server ends well")
    s = Gate({"http": {"server": serve(Raw), "timeout": "2s"}}, ["http", "accounts"], name="raw")
    rubbish(s)
    equal(s.stop(), 0, "and again")
    port = free_port()
    s = Gate({"http": {"server": "127.0.0.1:%d" % port, "timeout": "2s"}}, ["http", "accounts"], name="manual")
    manual(s, port)
    equal(s.stop(), 0, "and again")
    for bad, want in (({"at": ["rctp"]}, 'there is no step "rctp"'), ({"target": "mail"}, "a path begins with")):
        conf = json.load(open(path("manual.json"), encoding="utf-8"))
        conf["modules"]["http"].update(bad)
        r = subprocess.run([os.environ["top_builddir"] + "/kurird", "--check", "-c", write("bad.json", json.dumps(conf))],
                           capture_output=True, text=True, timeout=60, check=False)
        check(r.returncode != 0 and want in r.stdout + r.stderr, "refused: " + want, r)
    done()


main()
