#!/usr/bin/env python3
"""The module rspamd: with a server that follows a script, for all that one may say, and with Rspamd itself."""
import email
import http.server
import json
import os
import re
import threading
import urllib.request
from email.header import decode_header, make_header

from mailboxlib import Gate
from netlib import check, done, equal, free_port, path, start, wait_until, write
from peerlib import PLACES

TO, HYD = "siti@satu.example", "hyd@satu.example"


class Script(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answer, seen = {}, []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        Script.seen.append((self.path, self.headers, body))
        said = Script.answer if isinstance(Script.answer, bytes) else json.dumps(Script.answer).encode()
        self.send_response(Script.status)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        try:
            self.wfile.write(said)
        except OSError:
            pass  # who asked has heard enough

    status = 200

    def log_message(self, *args):
        pass


def say(s, answer, text="Subject: one\n\nx\n", status=200, **more):
    Script.answer, Script.status = answer, status
    return s.say("you@dua.example", TO, text, **more)[-1]


def action(name, **more):
    return dict({"action": name, "score": 3.5, "required_score": 15.0, "symbols": {}}, **more)


def scripted(s):
    equal(say(s, action("no action"), "Subject: clean\n\nx\n")[0], 250, "nothing against it")
    place, fields, body = Script.seen[-1]
    equal((place, fields["Ip"], fields["Helo"], fields["From"], fields.get_all("Rcpt")),
          ("/checkv2", "127.0.0.1", "client.example", "you@dua.example", [TO]), "it is shown with its envelope")
    check(body.endswith(b"Subject: clean\r\n\r\nx\r\n") and body.startswith(b"Received:"), "and whole", body)
    check(fields["Queue-Id"] in say(s, action("no action"))[1] or fields["Queue-Id"], "with its id")
    check("X-Spam" not in s.with_subject("clean", "siti"), "nothing is changed")
    equal(say(s, action("reject", messages={"smtp_message": "not like this"})), (554, "5.7.1 not like this"), "rejected, in its words")
    equal(say(s, action("reject")), (554, "5.7.1 This message looks like spam"), "or in ours")
    equal(say(s, action("reject", messages={"smtp_message": "a\r\n250 b" + "c" * 999}))[0], 554, "words that are too much")
    equal(say(s, action("soft reject", messages={"smtp_message": "later"})), (451, "4.7.1 later"), "deferred")
    equal(say(s, action("greylist"))[0], 250, "greylist is for its own module")
    equal(say(s, action("discard"), "Subject: gone\n\nx\n")[0], 250, "discarded")
    forged = "X-Spam: No\nSubject: marked\nX-Other: 1\n folded: yes\nx-other: 2\n\nX-Spam: stays\n"
    more = {"add_headers": {"X-Score": "3.5", "X-Two": [{"value": "a", "order": 0}, "b"], "X-Folded": "one\n two\nthree",
                            "X-Ctl": "a\rb"}, "remove_headers": {"X-Other": 0}}
    equal(say(s, action("add header", milter=more), forged)[0], 250, "marked")
    got = s.with_subject("marked", "siti").replace("\r", "")
    head, _, body = got.partition("\n\n")
    for line in ("X-Spam: Yes", "X-Score: 3.5", "X-Two: a", "X-Two: b", "X-Folded: one\n two\n\tthree", "X-Ctl: ab", "Subject: marked"):
        check(line in head, "the header has " + repr(line), got)
    check("X-Spam: No" not in head and "Other" not in head and "folded" not in head, "what shall not be there is gone", got)
    equal(body, "X-Spam: stays\n", "the body is what it was")
    check(head.index("Received:") < head.index("X-Spam"), "this server's own fields stand above")
    equal(say(s, action("rewrite subject", subject="*** SPAM *** \u00fcber " + "\u20ac" * 40), "Subject: old\n\nx\n")[0], 250, "another subject")
    wait_until(lambda: any("=?UTF-8?B?" in m for m in s.mail("siti")), 60, "the message is there")
    got = [m for m in s.mail("siti") if "=?UTF-8?B?" in m][0]
    subject = str(make_header(decode_header(email.message_from_string(got)["Subject"])))
    equal(subject, "*** SPAM *** \u00fcber " + "\u20ac" * 40, "as people read it")
    check("Subject: old" not in got, "instead of the old one")
    long_line = "Subject: long\nX-Long: " + "y" * 70000 + "\nX-Spam: No\n\nx\n"
    check(say(s, action("add header"), long_line)[0] in (250, 552, 554), "a line that is too long for a field is no trouble")
    equal(say(s, action("add header", milter={"add_headers": {"bad name": "x"}}))[0], 451, "a field that is none: on-error decides")
    for what, answer, status in (("an error", action("no action"), 500), ("nonsense", b"what?", 200), ("no action", {"score": 1}, 200),
                                 ("an unknown action", action("dance"), 200), ("a list", b"[1]", 200), ("nothing", b"", 200),
                                 ("too deep", b"[" * 5000, 200), ("too much", b"{\"action\": \"" + b"x" * 2000000 + b"\"}", 200)):
        equal(say(s, answer, status=status)[0], 451, what + ": deferred")
        equal(say(s, action("no action"))[0], 250, "and the next message is taken")
    seen = len(Script.seen)
    equal((say(s, action("reject"), "Subject: huge\n\n" + "0123456789\n" * 100000)[0], len(Script.seen)), (250, seen), "a larger one is not shown")
    c = s.counters("rspamd")
    check(c["clean"] >= 3 and c["marked"] >= 2 and c["rejected"] == 4 and c["deferred"] == 1 and c["large"] == 1 and c["failed"] == 9,
          "all is counted", c)
    check("rspamd=\"add header, 3.50 of 15.00\"" in s.text(), "the event has action and score", s.text()[-2000:])


def holds(place):
    s = Gate({"rspamd": {"server": place, "reject": "hold", "trusted": False}}, ["accounts", "rspamd"], name="hold")
    equal(say(s, action("reject"))[0], 250, "hold: taken")
    check("held id=" in s.text(), "and held")
    seen = len(Script.seen)
    Script.answer = action("reject")
    equal((s.say(HYD, TO, log_in=HYD)[-1][0], len(Script.seen)), (250, seen), "who has logged in is not asked about")
    equal(s.stop(), 0, "the server ends well")


RULES = """
rspamd_config.MARK = { callback = function(task) return tostring(task:get_content()):find("SPAMMARK") ~= nil end, score = 7.0 }
rspamd_config.SHOWN = { type = "postfilter", callback = function(task)
  task:set_milter_reply({ add_headers = { ["X-Shown"] = tostring(task:get_from("smtp")[1].addr) .. " " .. tostring(task:get_from_ip()) } })
end }
rspamd_config.SOFT = { type = "prefilter", callback = function(task)
  if tostring(task:get_content()):find("LATERMARK") then task:set_pre_result("soft reject", "come back later") end
end }
"""


def real():
    """Rspamd as Debian has it, unpacked."""
    root = next((os.path.join(p, "rspamd") for p in PLACES + [os.environ.get("KURIR_PEERS", "/nowhere")]
                 if os.path.exists(os.path.join(p, "rspamd/usr/bin/rspamd"))), None)
    if root is None:
        check(True, "Rspamd # SKIP it is not there: contrib/build-aux/unpack-peers needs a network")
        return
    port, share = free_port(), os.path.join(root, "usr/share/rspamd")
    os.makedirs(path("rs"), exist_ok=True)
    write("tld", "com\nexample\n")
    write("rules.lua", RULES)
    conf = write("rspamd.conf", """
options { pidfile = "%(f)s/rs/pid"; filters = ""; url_tld = "%(f)s/tld"; tempdir = "%(f)s/rs"; cache_file = "%(f)s/rs/cache";
          dns { nameserver = ["127.0.0.1:9"]; timeout = 0.1s; } control_socket = "%(f)s/rs/ctl mode=0600"; }
logging { type = "console"; level = "info"; }
worker "normal" { bind_socket = "127.0.0.1:%(p)d"; count = 1; }
actions { reject = 15; add_header = 6; }
lua = "%(f)s/rules.lua";
""" % {"f": path("")[:-1], "p": port})
    places = {"RUNDIR": path("rs"), "LOGDIR": path("rs"), "DBDIR": path("rs"), "CONFDIR": root + "/etc/rspamd",
              "LOCAL_CONFDIR": root + "/etc/rspamd", "SHAREDIR": share, "RULESDIR": share + "/rules", "LUALIBDIR": share + "/lualib",
              "PLUGINSDIR": share + "/plugins"}
    child = start([root + "/usr/bin/rspamd", "-f"] + (["-i"] if os.geteuid() == 0 else []) + ["-c", conf] +
                  ["--var=%s=%s" % v for v in places.items()], "rspamd.log",
                  env=dict(os.environ, LD_LIBRARY_PATH=root + "/usr/lib/rspamd", ASAN_OPTIONS=""))

    def listens():
        if child.poll() is not None:
            return True
        try:
            return urllib.request.urlopen("http://127.0.0.1:%d/ping" % port, timeout=5).read()
        except OSError:
            return False
    wait_until(listens, 90, "Rspamd listens")
    if child.poll() is not None:
        with open(path("rspamd.log"), errors="replace") as f:
            why = f.read().strip().split("\n")[-1][-150:]
        check(True, "Rspamd # SKIP it does not run here: " + why)
        return
    s = Gate({"rspamd": {"server": "127.0.0.1:%d" % port}}, ["accounts", "rspamd"], name="real", single=False)
    from_ = "From: <you@dua.example>\n"
    equal(s.say("you@dua.example", TO, from_ + "Subject: good\n\nHello\n")[-1][0], 250, "Rspamd has nothing against a mail")
    check("X-Shown: you@dua.example 127.0.0.1" in s.with_subject("good", "siti"), "and has seen its envelope")
    equal(s.say("you@dua.example", TO, from_ + "Subject: bad\n\nSPAMMARK\n")[-1][0], 250, "one that it marks")
    check(re.search(r"^X-Spam: Yes\r?$", s.with_subject("bad", "siti"), re.M), "is marked")
    equal(s.say("you@dua.example", TO, from_ + "Subject: l\n\nLATERMARK\n")[-1], (451, "4.7.1 come back later"), "one for later")
    gtube = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
    equal(s.say("you@dua.example", TO, from_ + "Subject: g\n\n" + gtube + "\n")[-1], (554, "5.7.1 Gtube pattern"), "the test pattern")
    told = s.ctl("explain", "--simulate", "--from", "you@dua.example", "--to", TO, "--ip", "192.0.2.1", "--file",
                 write("g", from_ + "Subject: g\n\n" + gtube + "\n"))
    equal((told["replies"][-1]["code"], told["replies"][-1]["by"]), (554, "rspamd"), "which a simulation shows")
    child.terminate()
    child.wait(60)
    equal(s.say("you@dua.example", TO)[-1][0], 451, "without it mail is deferred")
    equal(s.stop(), 0, "the server ends well")


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Script)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # who asked has gone
    threading.Thread(target=server.serve_forever, daemon=True).start()
    place = "127.0.0.1:%d" % server.server_address[1]
    s = Gate({"rspamd": {"server": place, "timeout": "10s", "size": "1M"}}, ["accounts", "rspamd"], name="one")
    scripted(s)
    equal(s.stop(), 0, "the server ends well")
    holds(place)
    real()
    done()


main()
