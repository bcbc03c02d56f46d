#!/usr/bin/env python3
"""kurirctl explain --simulate: says what would become of a message and who decides that, as a real session shows, and
leaves nothing behind."""
import json
import subprocess

from mailboxlib import Gate
from netlib import KURIRCTL, check, done, equal, path, wait_until, write

PEER, NEAR, FAR = "192.0.2.1", "hyd@satu.example", "paijo@dua.example"
YES, NO = "hooks_fixed/yes", "hooks_fixed/no"


class Played(Gate):
    def start(self):
        self.modules.update({"route_static": {"routes": {"dua.example": "smtp:[127.0.0.1]:1"}}, "relay_smtp": {},
                             "accounts": {"domains": ["satu.example"], "mailboxes": [NEAR, "siti@satu.example"],
                                          "aliases": {"both@satu.example": [NEAR, FAR]}}})
        super().start()


def run(s, *args, **more):
    said = subprocess.run([KURIRCTL, "-c", s.conf, *args], capture_output=True, text=True, timeout=90, check=False, **more)
    return said.returncode, said.stdout, said.stderr


def play(s, to, sender="you@dua.example", peer=PEER, *more, **kept):
    tos = [w for a in ([to] if isinstance(to, str) else to) for w in ("--to", a)]
    code, text, errors = run(s, "--json", "explain", "--simulate", "--from", sender, "--ip", peer, *tos, *more, **kept)
    try:
        return json.loads(text)
    except ValueError:
        raise AssertionError("%d %r %r\n%s" % (code, text, errors, s.text()[-2000:])) from None


def replies(told):
    return [(r["at"], r["code"]) for r in told["replies"]]


def reply(told, at, n=0):
    return [r for r in told["replies"] if r["at"] == at][n]


def hooks(r):
    return [(p["hook"], h["instance"], h["verdict"]) for p in r["points"] for h in p["asked"]]


def as_real(s):
    """The same words as a session hears, for good and bad ones."""
    for what, sender, to in (("taken", "you@dua.example", [NEAR]), ("one of two", "you@dua.example", [NEAR, "nobody@satu.example"]),
                             ("relaying denied", "you@dua.example", [FAR]), ("no address", "you@dua.example", ["not an address"]),
                             ("a module fails", "error@dua.example", [NEAR]), ("bounce", "", [NEAR])):
        real = [code for code, _ in s.say(sender, to, peer="127.0.0.2")] if what != "no address" else [250, 501]
        if what == "a module fails":
            real = real[:1]
        got = [c for at, c in replies(play(s, to, sender, "127.0.0.2")) if at in ("mail", "rcpt", "message")]
        equal(got, real, "a session is played as it is: " + what)


def tree(s):
    told = play(s, [NEAR, "nobody@satu.example"])
    equal(replies(told), [("connect", 220), ("helo", 250), ("mail", 250), ("rcpt", 250), ("rcpt", 550), ("data", 354), ("message", 250)],
          "all that a client hears")
    mail = reply(told, "mail")["points"][0]["asked"][0]
    equal((mail["instance"], mail["verdict"]), ("hooks_rogue/calm", "next"), "an isolated module is asked")
    check(any("X-Rogue: 1 192.0.2.1 client.example" in c for c in mail["changes"]) and mail["us"] > 0, "with what it changes", mail)
    yes = reply(told, "rcpt", 0)
    equal((yes["by"], yes["points"][0]["not-asked"]), ("accounts", [NO]), "who settles is told, and who is not asked any more")
    no = reply(told, "rcpt", 1)
    equal((no["by"], hooks(no)[-1]), ("accounts", ("rcpt", "accounts", "reject")), "and who refuses")
    equal((told["kept"], told["recipients"], told["sender"]), (True, [NEAR], "you@dua.example"), "what would be queued")
    route = told["routes"][0]
    equal((route["address"], route["kind"], route["transport"], route["by"]), (NEAR, "to", "local", "route_local"), "and its route")
    told = play(s, FAR)
    equal((reply(told, "rcpt")["by"], told["kept"]), ("nobody: the server's own rule", False), "relaying is denied by no module")
    told = play(s, "bad address")
    equal((reply(told, "rcpt")["by"], reply(told, "rcpt")["points"]), ("smtp", []), "what cannot be read is refused by the protocol")
    told = play(s, "both@satu.example")
    routes = {r["address"]: r for r in told["routes"]}
    equal((routes["both@satu.example"]["kind"], routes[FAR]["addresses"]), ("expand", ["127.0.0.1:1"]), "aliases and relays are followed")
    told = play(s, FAR, NEAR, PEER, "--auth", NEAR, "--listener", "submission")
    equal(replies(told)[2:4], [("auth", 235), ("mail", 250)], "as somebody who has logged in")
    equal(told["routes"][0]["by"], "route_static", "mail goes out")
    told = play(s, FAR, "siti@satu.example", PEER, "--auth", NEAR, "--listener", "submission")
    equal((reply(told, "mail")["code"], reply(told, "mail")["by"]), (550, "smtp"), "but not as somebody else")
    told = play(s, "x@tiga.example", NEAR, PEER, "--auth", NEAR, "--listener", "submission")
    equal((told["routes"][0]["kind"], told["routes"][0]["xyz"]), ("fail", "5.4.4"), "without a route it would be returned")
    told = play(s, NEAR, "error@dua.example")
    failed = reply(told, "mail")["points"][0]["asked"][0]
    equal((failed["verdict"], failed["error"], failed["on-error"], reply(told, "mail")["code"]),
          ("error", "Input/output error", "defer", 451), "a module that fails, and what follows")
    told = play(s, NEAR, "crash@dua.example")
    equal((reply(told, "mail")["code"], reply(told, "mail")["by"]), (451, "hooks_rogue/calm"), "one that crashes")
    wait_until(lambda: reply(play(s, NEAR), "mail")["code"] == 250, 60, "the worker is back")


def contradiction(s):
    """One says yes, a later one no: who decided is told at each point, and for the whole."""
    told = play(s, NEAR, "you@dua.example", PEER, "--file", write("mail", "Subject: x\n\n.dot\nFORBIDDEN\n"))
    equal((reply(told, "rcpt")["by"], reply(told, "message")["by"]), ("accounts", NO), "at RCPT accounts decides, at the message another")
    equal([h for h in hooks(reply(told, "message")) if h[1] in (YES, NO)], [("message", YES, "next"), ("message", NO, "reject")],
          "the one who says no, and the one before him")
    equal((reply(told, "message")["text"].split()[-1], told["kept"], told.get("routes")), ("cannot", False, None), "nothing would be queued")
    check(("filter", YES, "next") in hooks(reply(told, "data")), "filters are among them", hooks(reply(told, "data")))
    text = run(s, "explain", "--simulate", "--from", "you@dua.example", "--to", NEAR, "--ip", PEER, "--file", path("mail"))[1]
    check("message  %s" % NO in text and "(decided by %s)" % NO in text and "nothing would be queued" in text, "for people, too", text)
    real = s.say("you@dua.example", NEAR, "Subject: x\n\n.dot\nFORBIDDEN\n", peer="127.0.0.2")[-1]
    equal(real, (571, "5.0.0 this is what one cannot"), "as in a real session")
    wait_until(lambda: [e for e in s.ctl("explain", "127.0.0.2") if e["event"] == "message" and e.get("verdict") == "reject"
                        and e["module"] in (NO, "kurird")], 60, "the story of that has it")
    story = run(s, "explain", "127.0.0.2")[1]
    check("message   reject" in story and NO in story, "and names him", story)


def nothing_left(s):
    before = {n: s.ctl("ledger")[n] for n in ("accepted", "queued")}
    calls = {(h["instance"], h["hook"], h["role"]): h["calls"] for h in s.ctl("status")["hooks"] if h["role"] == "edge"}
    for n in range(6):
        told = play(s, NEAR, "you@dua.example", "198.51.100.7")
        equal(reply(told, "rcpt")["code"], 451, "greylisted, as if it were the first") if n in (0, 5) else None
    equal({n: s.ctl("ledger")[n] for n in before}, before, "nothing is queued")
    equal({(h["instance"], h["hook"], h["role"]): h["calls"] for h in s.ctl("status")["hooks"] if h["role"] == "edge"}, calls,
          "hooks are not counted")
    equal(s.ctl("greylist")["known"] + s.ctl("greylist")["waiting"], 0, "the greylist has not seen it")
    equal(run(s, "explain", "198.51.100.7")[0], 1, "the history does not know of it")
    for n in range(2):
        equal(s.say("limited@dua.example", NEAR, peer="127.0.0.3")[0][0], 250, "real mail is within its limit: %d" % n)
    equal(s.say("limited@dua.example", NEAR, peer="127.0.0.3")[0][0], 450, "and beyond it")
    equal(reply(play(s, NEAR, "limited@dua.example", "127.0.0.3"), "mail")["by"], "limits", "which a simulation shows")


def misunderstood(s):
    for words, status, said in (
            (("--from", "a@b", "--to", NEAR), 1, "--ip"), (("--from", "a@b", "--ip", PEER), 1, "--to"),
            (("--to", NEAR, "--ip", PEER), 1, "--from"), (("--from", "a@b", "--to", NEAR, "--ip", "1.2.3.4.5"), 1, "--ip"),
            (("--from", "a@b", "--to", NEAR, "--ip", "10.0.0.0/8"), 1, "--ip"),
            (("--from", "a@b", "--to", NEAR, "--ip", PEER, "--listener", "imap"), 1, "takes no mail"),
            (("--from", "a@b", "--to", NEAR, "--ip", PEER, "--listener", "x"), 1, "no listener"),
            (("--from", "a@b", "--to", "a@b\nRSET", "--ip", PEER), 1, "no line"),
            (("--from", "a@b", "--to", NEAR, "--ip", PEER, "--file", path("none")), 2, "No such file"),
            (("--from", "a@b", "--to", NEAR, "--ip", PEER, "--file", write("large", "x\n" * 400000)), 2, "at most"),
            (("--from", "a@b", "--to", NEAR, "--ip", PEER, "word"), 2, "too many"),
            (tuple(w for n in range(70) for w in ("--to", "x%d@satu.example" % n)), 2, "too many")):
        code, _, errors = run(s, "explain", "--simulate", *words)
        check(code == status and said in errors, "%s: %s" % (repr(" ".join(words))[:60], said), code, errors)
    code, _, errors = run(s, "status", "--simulate")
    check(code == 2 and "explain" in errors, "no other command has these", code, errors)
    code, _, errors = run(s, "explain", NEAR, "--from", "a@b")
    check(code == 2, "and they mean nothing without --simulate", code, errors)
    told = play(s, NEAR, "you@dua.example", PEER, "--file", "-", input="Subject: \xe9\r\n\r\n" + "x" * 600000 + "\r\n")
    check(told["bytes"] > 600000, "a long message from standard input", told["bytes"])


def main():
    blocks = {"hooks_rogue/calm": {"isolation": "process", "deadline": "20s"}, YES: {"rotate": False, "find": ""},
              NO: {"find": "FORBIDDEN", "reply": "this is what one cannot"}}
    s = Played(blocks, ["hooks_rogue/calm", YES, "accounts", NO], name="first", single=False)
    for part in (as_real, tree, contradiction, misunderstood):
        part(s)
    equal(s.stop(), 0, "the server ends well")
    s = Played({"greylist": {"exempt": ["127.0.0.0/8"]}, "limits": {"rates": {"sender": ["2 messages/1h"]}}},
               ["limits", "greylist", "accounts"], name="second", single=False)
    nothing_left(s)
    equal(s.stop(), 0, "the server ends well")
    s = Played({}, ["accounts"], name="third")
    equal(replies(play(s, NEAR))[-1], ("message", 250), "in one process, too")
    equal(s.stop(), 0, "the server ends well")
    done()


main()
