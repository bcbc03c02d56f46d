#!/usr/bin/env python3
"""The module lua: what a script can see and do at each step, what it cannot, and scripts that fail, spin and hoard."""
import json
import os
import re
import smtplib
import subprocess

from mailboxlib import Gate
from netlib import check, done, equal, path, wait_until, write

TO = "hyd@satu.example"
TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")

SCRIPT = r"""
seen = {}
local function note(...) local t = table.pack(...) for i = 1, t.n do t[i] = tostring(t[i]) end log("note " .. table.concat(t, "|")) end
function connect(conn) note("connect", conn.peer, conn.listener, conn.protocol, conn.encrypted, conn.account) seen.conn = conn end
function helo(conn, name) note("helo", name) if name == "bad.example" then return "550 5.7.1 Bad name" end end
function auth(conn, account) note("auth", account) end
function mail(tx, sender)
  note("mail", sender, tx.helo, tx.trusted, #tx.recipients, tx.conn.peer, #tx.id >= 10)
  if sender == "no@b.example" then return "reject" end
  if sender == "late@b.example" then return "451 4.7.9 Come back" end
end
function rcpt(tx, address)
  note("rcpt", address)
  if address == "spin@satu.example" then while true do end end
  if address == "nest@satu.example" then local function f() return ("x"):gsub("x", f) end return f() end
  if address == "hoard@satu.example" then local t = {} while true do t[#t + 1] = ("x"):rep(100000) end end
  if address == "deep@satu.example" then local function f(n) return 1 + f(n + 1) end return f(1) end
  if address == "wrong@satu.example" then return 7 end
  if address == "words@satu.example" then return "maybe" end
  if address == "nil@satu.example" then return nothing.there end
  if address == "set@satu.example" then tx.sender = "x" end
  if address == "field@satu.example" then return tx.colour end
  if address == "pattern@satu.example" then return address:match((".-"):rep(70)) end
  if address == "sort@satu.example" then local t = {3, 1, 2} table.sort(t, function(a, b) return a > b end) return "550 5.1.1 " .. table.concat(t) end
  if address == "plain@satu.example" then return "550 " .. tostring(("(a"):rep(80):find("(a", 1, true)) end
end
function data(tx)
  note("data", table.concat(tx.recipients, ","))
  if tx.sender == "mark@b.example" then tx:header("X-Lua", config.mark .. config.list[2]) end
  if tx.sender == "more@b.example" then tx:add("siti@satu.example") tx:set_sender("c@d.example") note("drop", tx:drop("ghost@x.example")) end
end
function message(tx, mail)
  note("message", mail.size > 10, mail:header("SUBJECT"), mail:header("X-None"))
  local text, size = "", 0
  for piece in function() return mail:read(7) end do size = size + #piece text = text .. piece end
  note("body", size, #mail:head())
  if text:find("virus", 1, true) then return "554 5.7.1 No viruses" end
  if mail:header("X-Hold") then tx:hold("asked for") end
  if tx.sender == "gone@b.example" then return "discard" end
end
"""


def steps(s):
    def say(sender="a@b.example", to=TO, text="Subject: a\n b\n\nxyz\n", **more):
        try:
            return s.say(sender, to, text, **more)
        except smtplib.SMTPResponseException as e:
            return [(e.smtp_code, e.smtp_error)]

    def noted(what):
        return what in s.text()
    equal(say()[-1][0], 250, "nothing to say")
    for line in ('note connect|127.0.0.1|mx|smtp|false|', "note helo|client.example", "note mail|a@b.example|client.example|false|0|127.0.0.1|true",
                 "note rcpt|" + TO, "note data|" + TO, "note message|true|a b|nil"):
        wait_until(lambda n=line: noted(n), 60, "the script sees " + line)
    wait_until(lambda: noted("note body|"), 60, "the message")
    size, head = map(int, re.search(r"note body\|(\d+)\|(\d+)", s.text()).groups())
    equal((size, head > 50), (5, True), "the message in pieces, behind its head")
    equal(say(log_in="siti@satu.example", sender="siti@satu.example")[-1][0], 250, "somebody who has logged in")
    wait_until(lambda: noted("note auth|siti@satu.example"), 60, "auth")
    equal(say("no@b.example")[0][0], 550, "reject")
    equal(say("late@b.example")[0], (451, "4.7.9 Come back"), "a reply of its own, later")
    equal(say(to="sort@satu.example")[1], (550, "5.1.1 321"), "table.sort")
    check(say(to="plain@satu.example")[1][1].endswith("1"), "a search without pattern")
    equal(say(text="Subject: v\n\na virus\n")[-1], (554, "5.7.1 No viruses"), "at the message")
    equal(say("mark@b.example", text="Subject: mark\n\nx\n")[-1][0], 250, "a field")
    check("X-Lua: here2" in s.with_subject("mark"), "is above the message, with what config says")
    equal(say("more@b.example", text="Subject: more\n\nx\n")[-1][0], 250, "more recipients")
    check("Return-Path: <c@d.example>" in s.with_subject("more", "siti"), "from another sender")
    wait_until(lambda: noted("note drop|false"), 60, "nobody is dropped who is not there")
    equal(say(text="Subject: held\nX-Hold: 1\n\nx\n")[-1][0], 250, "hold")
    wait_until(lambda: noted('why="asked for"'), 60, "the event")
    equal(say("gone@b.example", text="Subject: gone\n\nx\n")[-1][0], 250, "discard")
    for box, why in (("spin", "more steps than it may"), ("hoard", "not enough memory"), ("deep", "not enough memory"),
                     ("nest", "within functions within functions"), ("wrong", "neither nil nor a text"),
                     ("words", "a text that is no verdict"), ("nil", "attempt to index a nil value"),
                     ("set", "nothing can be set here"), ("field", 'a transaction has no "colour"'),
                     ("pattern", "more than 64 special characters")):
        got = say(to=box + "@satu.example")[1]
        check(400 <= got[0] < 500, "a script that errs: deferred (%s)" % box, got)
        # A module that errs again and again has some of its lines left out.
        wait_until(lambda w=why, b=box: noted(w) or not say(to=b + "@satu.example"), 60, "the log says why: " + why)
    equal(say(text="Subject: after\n\nx\n")[-1][0], 250, "and all is well again")
    s.with_subject("after")
    check(not any(("Subject: %s\n" % w) in m.replace("\r", "") for m in s.mail() for w in ("gone", "held")), "what was discarded or held did not come")


def environment():
    """Only what computes is there; what a script is refused for when the configuration is checked."""
    bad = ("os", "io", "debug", "package", "require", "load", "loadfile", "dofile", "loadstring", "pcall", "xpcall", "coroutine",
           "setmetatable", "getmetatable", "collectgarbage", "print", "string.dump")
    script = "".join('if %s ~= nil then error("%s is there") end\n' % (n, n) for n in bad)

    def tried(text):
        conf = json.load(open(path("steps.json"), encoding="utf-8"))
        conf["modules"]["lua"]["script"] = write("try.lua", text, 0o644)
        r = subprocess.run([os.environ["top_builddir"] + "/kurird", "--check", "-c", write("try.json", json.dumps(conf))],
                           capture_output=True, text=True, timeout=60, check=False)
        return r.returncode, r.stdout + r.stderr
    equal(tried(script)[0], 0, "nothing that reaches out of the script is there")
    for what, text, want in (("is no Lua", "function (", "try.lua:1:"), ("ends with an error", 'error("so")', "so"),
                             ("never ends", "while true do end", "more steps"), ("is bytecode", "\x1bLua", "binary chunk"),
                             ("talks to a session that is not there", 'lookup("x")', "no session while"),
                             ("hoards", 't = {} while true do t[#t + 1] = ("x"):rep(100000) end', "not enough memory"),
                             ("nests deeply", "return " + "(" * 100 + "1" + ")" * 100, None),
                             ("nests too deeply", "return " + "(" * 50000 + "1" + ")" * 50000, "C stack overflow")):
        status, said = tried(text)
        check(said != "" and want in said and status != 0 if want else status == 0, "a script that " + what, status, said[-400:])
    os.unlink(path("try.lua"))
    conf = json.load(open(path("try.json"), encoding="utf-8"))
    r = subprocess.run([os.environ["top_builddir"] + "/kurird", "--check", "-c", path("try.json")], capture_output=True, text=True,
                       timeout=60, check=False)
    check(r.returncode != 0 and "No such file" in r.stdout + r.stderr and conf, "no script", r)


def manual():
    page = open(os.path.join(TOP, "modules/lua/kurir-lua.5"), encoding="ascii").read()
    text = re.search(r"^\.Bd -literal\n(function rcpt.*?)^\.Ed", page, re.S | re.M).group(1)
    s = Gate({"lua": {"script": write("manual.lua", text, 0o644)}}, ["lua", "accounts"], name="manual")
    equal(s.say("a@b.example", "noreply@satu.example")[1], (550, "5.1.1 Nobody reads that mailbox"), "the manual's script")
    equal(s.say("a@b.example", TO)[-1][0], 250, "and others")
    equal(s.stop(), 0, "the server ends well")


def main():
    more = {"single": False} if os.geteuid() == 0 else {}
    if more:
        roles = ("edge", "queue", "resolver", "relay", "store", "access", "auth", "control")
        more.update(sandbox="required", users={r: 64500 + n for n, r in enumerate(roles)})
    script = write("steps.lua", SCRIPT, 0o644)
    s = Gate({"lua": {"script": script, "memory": "2M", "config": {"mark": "here", "list": ["1", "2"]}}}, ["lua", "accounts"],
             name="steps", **more)
    steps(s)
    equal(s.stop(), 0, "the server ends well")
    environment()
    manual()
    done()


main()
