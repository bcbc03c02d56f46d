#!/usr/bin/env python3
"""The module policy with a server that follows a script: each action, at each step, and each way to fail."""
import os
import socketserver
import threading

from mailboxlib import Gate
from netlib import check, done, equal

TO, HYD = "hyd@satu.example", "hyd@satu.example"
ROLES = ("edge", "queue", "resolver", "relay", "store", "access", "auth", "control")


class Policy(socketserver.StreamRequestHandler):
    answer, seen, connections = "DUNNO", [], 0

    def handle(self):
        Policy.connections += 1
        asked = {}
        for line in self.rfile:
            line = line.decode().rstrip("\n")
            if line:
                name, _, value = line.partition("=")
                asked[name] = value
                continue
            Policy.seen.append(asked)
            asked = {}
            if Policy.answer is None:
                return
            raw = Policy.answer
            self.wfile.write(raw if isinstance(raw, bytes) else ("action=%s\n\n" % raw).encode())


def main():
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Policy)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    place = "127.0.0.1:%d" % server.server_address[1]
    more = {}
    if os.geteuid() == 0:  # the edge has no network then: the resolver connects for it
        more = {"single": False, "sandbox": "required", "users": {r: 64500 + n for n, r in enumerate(ROLES)}}
    s = Gate({"policy": {"server": place, "timeout": "2s"}}, ["policy", "accounts"], name="rcpt", **more)

    def say(answer, subject="x", **more):
        Policy.answer = answer
        return s.say(more.get("log_in", "a@b.example"), TO, "Subject: %s\n\nx\n" % subject, **more)

    equal(say("DUNNO", "one")[-1][0], 250, "no opinion")
    q = Policy.seen[-1]
    equal((q["request"], q["protocol_state"], q["helo_name"], q["sender"], q["recipient"], q["client_address"],
           q["sasl_username"]), ("smtpd_access_policy", "RCPT", "client.example", "a@b.example", TO, "127.0.0.1", ""),
          "what is asked")
    check(len(q["instance"]) >= 10 and q["client_port"].isdigit(), "the message's id and the client's port", q)
    equal([say("OK")[-1][0] for _ in range(3)], [250] * 3, "more questions")
    equal(Policy.connections, 1, "are asked on one connection")
    equal(say("REJECT")[1], (554, "5.7.1 Refused by policy"), "REJECT")
    equal(say("550 5.7.23 SPF says no")[1], (550, "5.7.23 SPF says no"), "a code and words")
    equal(say("DEFER_IF_PERMIT Greylisted")[1], (450, "4.7.1 Greylisted"), "DEFER_IF_PERMIT")
    equal(say("PREPEND X-Policy: told you", "above")[-1][0], 250, "PREPEND")
    check("X-Policy: told you" in s.with_subject("above"), "puts a field above the message")
    equal(say("HOLD looks odd", "held")[-1][0], 250, "HOLD")
    check('why="looks odd"' in s.text(), "holds the message")
    say("DISCARD", "gone")
    equal(say("INFO a line\n")[-1][0], 250, "INFO")
    check("the policy server says: a line" in s.text(), "is in the log")
    for what, answer in (("says what is not understood", "FILTER x"), ("closes", None), ("says no action", b"\n"),
                         ("never ends", b"x" * 5000 + b"\n"), ("talks and talks", b"a=b\n" * 60), ("is silent", b"")):
        got = say(answer)[1]
        check(400 <= got[0] < 500, "a server that %s: deferred" % what, got)
    equal(say("OK", "again")[-1][0], 250, "and all is well again")
    equal(say("OK", log_in=HYD)[-1][0], 250, "who has logged in")
    equal(Policy.seen[-1]["sasl_username"], HYD, "is named")
    equal(s.stop(), 0, "the server ends well")

    s = Gate({"policy/m": {"server": place, "at": "mail"}, "policy/d": {"server": place, "at": "data"},
              "policy/e": {"server": place, "at": "message", "trusted": False}},
             ["policy/m", "policy/d", "policy/e", "accounts"], name="steps")
    del Policy.seen[:]
    equal(say("DUNNO", "steps")[-1][0], 250, "three steps")
    equal([q["protocol_state"] for q in Policy.seen], ["MAIL", "DATA", "END-OF-MESSAGE"], "are asked about")
    check(int(Policy.seen[-1]["size"]) > 20 and Policy.seen[-1]["recipient_count"] == "1", "the last with the size")
    del Policy.seen[:]
    say("DUNNO", log_in=HYD)
    equal(len(Policy.seen), 2, "an instance may leave out who is trusted")
    server.shutdown()
    server.server_close()
    equal(say(None)[0][0], 451, "without a server mail is deferred")
    equal(s.counters("policy/m")["failed"], 1, "no server, no answer")
    equal(s.stop(), 0, "the server ends well, too")
    done()


main()
