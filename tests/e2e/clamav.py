#!/usr/bin/env python3
"""The module clamav with a daemon that follows a script, as the real one needs a gigabyte of signatures."""
import socketserver
import struct
import threading

from mailboxlib import Gate
from netlib import check, done, equal

TO = "hyd@satu.example"


class Clamd(socketserver.StreamRequestHandler):
    seen, answer = [], None

    def handle(self):
        if self.rfile.read(10) != b"zINSTREAM\0":
            return
        data = b""
        while True:
            n, = struct.unpack(">I", self.rfile.read(4))
            if n == 0:
                break
            data += self.rfile.read(n)
            if Clamd.answer == "early" and len(data) > 1000:
                self.wfile.write(b"INSTREAM size limit exceeded. ERROR\0")
                return
        Clamd.seen.append(data)
        if Clamd.answer is not None:
            self.wfile.write(Clamd.answer)
            return
        self.wfile.write(b"stream: Test.Signature FOUND\0" if b"MARK" in data else b"stream: OK\0")


def main():
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Clamd)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    place = "127.0.0.1:%d" % server.server_address[1]
    s = Gate({"clamav": {"server": place, "timeout": "5s", "size": "1M"}}, ["accounts", "clamav"], name="one")

    def say(text, answer=None):
        Clamd.answer = answer
        return s.say("a@b.example", TO, text)[-1]

    equal(say("Subject: clean\n\nx\n")[0], 250, "a clean message")
    check(Clamd.seen[-1].startswith(b"Received:") and Clamd.seen[-1].endswith(b"Subject: clean\r\n\r\nx\r\n"),
          "the daemon has seen all of it", Clamd.seen[-1])
    equal(say("Subject: bad\n\nMARK\n"), (554, "5.7.1 The message contains Test.Signature"), "one with something in it")
    large = "Subject: large\n\n" + "0123456789\n" * 40000
    equal(say(large)[0], 250, "a large one")
    check(Clamd.seen[-1].endswith(b"0123456789\r\n") and len(Clamd.seen[-1]) > 480000, "is shown whole")
    seen = len(Clamd.seen)
    equal((say("Subject: huge\n\n" + "0123456789\n" * 100000)[0], len(Clamd.seen)), (250, seen), "a larger one is not shown")
    for what, answer in (("an error", b"stream: Can't allocate memory ERROR\0"), ("nothing", b""), ("half an answer", b"stream: OK"),
                         ("nonsense", b"what?\0"), ("too much", b"x" * 5000 + b"\0"), ("another name", b"file: OK\0")):
        equal(say("Subject: never\n\nx\n", answer)[0], 451, "a daemon that says %s: deferred" % what)
        equal(say("Subject: well\n\nx\n")[0], 250, "and the next message is taken")
    equal(say(large, "early")[0], 451, "one that stops in the middle, too")
    c = s.counters("clamav")
    equal((c["clean"], c["found"], c["large"], c["failed"]), (8, 1, 1, 7), "all is counted")
    equal(s.stop(), 0, "the server ends well")

    s = Gate({"clamav/d": {"server": place, "action": "discard"}, "clamav/h": {"server": place, "action": "hold"}},
             ["accounts"], name="two", single=False)
    for pipeline, log in (("clamav/d", "action=discard"), ("clamav/h", "held id=")):
        s.stop()
        s.pipeline = ["accounts", pipeline]
        s.start()
        equal(say("Subject: bad\n\nMARK\n")[0], 250, pipeline + " takes the message")
        check(log in s.text(), "and says what it does", s.text()[-1500:])
    s.stop()
    check(not s.mail(), "nobody gets it")
    done()


main()
