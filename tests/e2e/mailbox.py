#!/usr/bin/env python3
"""IMAP and POP3 by Python's own clients: every command, two sessions on one mailbox, and what must be refused."""
import imaplib
import os
import poplib
import re
import socket
import ssl
import time
import zlib

from mailboxlib import USERS, MailServer, tls
from netlib import check, done, equal

MESSAGE = (b"From: \"You, there\" <you@dua.example>\r\nTo: hyd@satu.example\r\nSubject: =?utf-8?q?caf=C3=A9?= one\r\n"
           b"Date: Mon, 5 Jan 2026 10:00:00 +0000\r\nMessage-ID: <1@dua.example>\r\nMIME-Version: 1.0\r\n"
           b"Content-Type: multipart/mixed; boundary=\"b\"\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
           b".first\r\n..second\r\n--b\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n"
           b"PGI+SGVsbG8gdGhlcmU8L2I+\r\n--b--\r\n")


def plain(n):
    return b"From: a@dua.example\r\nTo: hyd@satu.example\r\nSubject: number %d\r\n\r\nText %d\r\n" % (n, n)


def imap(s, user="hyd@satu.example", how="imaps"):
    if how == "imaps":
        c = imaplib.IMAP4_SSL("localhost", s.port["imaps"], ssl_context=tls(), timeout=60)
    else:
        c = imaplib.IMAP4("localhost", s.port["imap"], timeout=60)
        c.starttls(tls())
    c.login(user, USERS[user])
    return c


def pop(s, how="pop3s"):
    if how == "pop3s":
        c = poplib.POP3_SSL("localhost", s.port["pop3s"], context=tls(), timeout=60)
    else:
        c = poplib.POP3("localhost", s.port["pop3"], timeout=60)
        c.stls(tls())
    c.user("hyd@satu.example")
    c.pass_("rahasia")
    return c


def ok(result, what):
    check(result[0] == "OK", what, result)
    return result[1]


def number(c, name):
    return int(re.search(rb"%s (\d+)" % name.encode(), ok(c.status("INBOX", "(%s)" % name), "STATUS")[0]).group(1))


def logins(s):
    c = imaplib.IMAP4("localhost", s.port["imap"], timeout=60)
    check("LOGINDISABLED" in c.capabilities and "STARTTLS" in c.capabilities, "no login before TLS", c.capabilities)
    try:
        c.login("hyd", "rahasia")
        check(False, "LOGIN without TLS")
    except imaplib.IMAP4.error as e:
        check("PRIVACYREQUIRED" in str(e), "LOGIN without TLS", e)
    ok(c.starttls(tls()), "STARTTLS")
    check("AUTH=PLAIN" in c.capabilities and "STARTTLS" not in c.capabilities, "after TLS", c.capabilities)
    try:
        c.login("hyd", "wrong")
        check(False, "a wrong password")
    except imaplib.IMAP4.error as e:
        check("AUTHENTICATIONFAILED" in str(e), "a wrong password", e)
    ok(c.authenticate("PLAIN", lambda _: b"\0hyd@satu.example\0rahasia"), "AUTHENTICATE PLAIN")
    equal(c.logout()[0], "BYE", "LOGOUT")
    c = imap(s, "siti@satu.example")
    check(True, "a password that needs quoting")
    c.logout()


def boxes(s):
    c = imap(s)
    ok(c.noop(), "NOOP")
    ok(c.namespace(), "NAMESPACE")
    ok(c.enable("UTF8=ACCEPT") if "UTF8=ACCEPT" in c.capabilities else c.noop(), "ENABLE")
    ok(c.xatom("ID", "NIL"), "ID")
    ok(c.create("Sent"), "CREATE")
    ok(c.create("a"), "CREATE")
    ok(c.create("a/b"), "CREATE below")
    equal(c.create("a")[0], "NO", "CREATE what is there")
    equal(c.create('"../x"')[0], "OK", "dots are only dots")
    check(not os.path.exists(os.path.join(s.root(s.name), "x")) and
          not os.path.exists(os.path.join(s.root(s.name), "satu.example/x")), "and leave no folder")
    equal(c.create('"/etc"')[0], "NO", "CREATE from the root")
    ok(c.create('"&AOk-"'), "CREATE in modified UTF-7")
    names = b"\n".join(ok(c.list(), "LIST"))
    for name in (b'"INBOX"', b'\\Sent) "/" "Sent"', b'\\HasChildren) "/" "a"', b'"a/b"', b'"&AOk-"'):
        check(name in names, "LIST has %r" % name, names)
    check(b'"a/b"' not in b"\n".join(ok(c.list('""', "%"), "LIST %")), "% stops at the separator")
    ok(c.list('""', '""'), "LIST asks for the separator")
    begin = time.monotonic()
    c.list('""', '"*a*a*a*a*a*a*a*b"')
    check(time.monotonic() - begin < 5, "a pattern with many wildcards")
    ok(c.subscribe("a/b"), "SUBSCRIBE")
    equal(ok(c.lsub(), "LSUB"), [b'(\\HasNoChildren) "/" "a/b"'], "LSUB")
    ok(c.rename("a", "z"), "RENAME")
    names = b"\n".join(c.list()[1])
    check(b'"z/b"' in names and b'"a/b"' not in names, "RENAME takes what is below", names)
    equal(c.rename("z", "z/y")[0], "NO", "RENAME into itself")
    ok(c.unsubscribe("a/b"), "UNSUBSCRIBE")
    ok(c.delete("z/b"), "DELETE")
    equal(c.delete("z/b")[0], "NO", "DELETE what is not there")
    equal(c.delete("INBOX")[0], "NO", "DELETE INBOX")
    equal(c.select("nowhere")[0], "NO", "SELECT what is not there")
    equal(c.state, "AUTH", "the state after it")
    c.logout()


def levels(s):
    """Mailboxes whose parents are none, and names that are taken below the new one."""
    c = imap(s)
    for name in (".only.below", ".from", ".from.x", ".from.y", ".to.y", ".up.b", ".up.b.b", ".up.b.b.c"):
        for part in ("tmp", "new", "cur"):
            os.makedirs(os.path.join(s.maildir(), name, part))
    names = b"\n".join(c.list()[1])
    check(b'(\\HasChildren \\Noselect) "/" "only"' in names, "a missing parent is listed", names)
    equal(names.count(b'"only"'), 1, "once")
    check(b'(\\HasChildren) "/" "from"' in names, "one that is there can be selected", names)
    before = sorted(os.listdir(s.maildir()))
    equal(c.rename("from", "to")[0], "NO", "RENAME onto what has a child of that name")
    equal(sorted(os.listdir(s.maildir())), before, "moves nothing")
    ok(c.rename("only", "other"), "RENAME of a level")
    ok(c.rename("up/b", "up"), "RENAME upwards")
    equal([x for x in sorted(os.listdir(s.maildir())) if x.startswith((".up", ".on", ".ot"))],
          [".other.below", ".up", ".up.b", ".up.b.c"], "and what is below comes with it")
    equal(c.rename("nowhere", "x")[0], "NO", "RENAME what is not there")
    for name in ("other/below", "from/x", "from/y", "from", "to/y", "up/b/c", "up/b", "up"):
        ok(c.delete(name), "DELETE")
    c.logout()


def strangers(s):
    """What is no message in the folders, messages that cannot be read, and names of other programs."""
    c = imap(s, "siti@satu.example")
    c.select()
    cur = os.path.join(s.maildir("siti"), "cur")
    for name in ("1700000001.a:2,PSab", "1700000002.b:2,", "1700000003.c:2,S"):
        with open(os.path.join(cur, name), "wb") as f:
            f.write(b"Subject: odd\n\nx\n")
    with open(os.path.join(s.maildir("siti"), "new", "1700000004.d:2,Pc"), "wb") as f:
        f.write(b"Subject: odd\n\nx\n")
    equal(int(c.select()[1][0]), 4, "found")
    ok(c.store("1", "+FLAGS", "(\\Flagged)"), "STORE")
    ok(c.store("4", "+FLAGS", "(\\Seen)"), "STORE")
    names = os.listdir(cur)
    check("1700000001.a:2,FPSab" in names and "1700000004.d:2,PSc" in names, "letters of others stay", names)
    os.unlink(os.path.join(cur, "1700000002.b:2,"))
    os.unlink(os.path.join(cur, "1700000003.c:2,S"))
    r = c.fetch("1:2", "(BODY.PEEK[])")
    check(r[0] == "NO" and b"EXPUNGEISSUED" in r[1][0], "FETCH of what is gone", r)
    os.mkfifo(os.path.join(cur, "1700000003.c:2,S"))
    os.symlink("/etc/passwd", os.path.join(cur, "1700000002.b:2,"))
    for n in ("2", "3", "1:4"):
        r = c.fetch(n, "(BODY.PEEK[])")
        check(r[0] == "NO" and b"UNAVAILABLE" in r[1][0], "FETCH of what is no file", r)
    r = c.fetch("1", "(BODY.PEEK[HEADER.FIELDS ({7+}\r\nSubject \"To\")])")
    check(r[0] == "OK" and b'HEADER.FIELDS ("Subject" "To")]' in r[1][-2][0], "names of fields as literals", r)
    os.unlink(os.path.join(cur, "1700000002.b:2,"))
    os.unlink(os.path.join(cur, "1700000003.c:2,S"))
    c.store("1:*", "+FLAGS", "(\\Deleted)")
    ok(c.expunge(), "EXPUNGE")
    c.logout()


def messages(s):
    c = imap(s, how="starttls")
    made = ok(c.append("INBOX", "(\\Flagged $Work)", '"05-Jan-2026 10:00:00 +0000"', MESSAGE), "APPEND")
    check(b"APPENDUID" in made[0], "APPENDUID", made)
    equal(c.append("nowhere", "", None, MESSAGE)[0], "NO", "APPEND to nowhere")
    s.deliver(plain(1))
    equal(int(ok(c.select("INBOX"), "SELECT")[0]), 2, "two messages")
    check(c.response("UIDVALIDITY")[1][0] and c.response("UIDNEXT")[1][0] == b"3", "UIDVALIDITY and UIDNEXT")
    d = ok(c.fetch("1", "(FLAGS UID INTERNALDATE RFC822.SIZE)"), "FETCH")[0]
    check(b"RFC822.SIZE %d" % len(MESSAGE) in d and b"\\Flagged" in d and b"$Work" in d and
          b'" 5-Jan-2026 10:00:00 +0000"' in d, "what was appended", d)
    equal(c.fetch("1", "(BODY.PEEK[])")[1][0][1], MESSAGE, "BODY.PEEK[] is what was appended")
    d = ok(c.fetch("1", "(ENVELOPE BODY BODYSTRUCTURE)"), "ENVELOPE and BODYSTRUCTURE")[0]
    check(b'(("You, there" NIL "you" "dua.example"))' in d and b'"html"' in d and b'"multipart"' not in d and
          b'"mixed"' in d, "their text", d)
    equal(c.fetch("1", "(BODY.PEEK[1])")[1][0][1], b".first\r\n..second", "BODY[1]")
    equal(c.fetch("1", "(BODY.PEEK[2.MIME])")[1][0][1],
          b"Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n", "BODY[2.MIME]")
    equal(c.fetch("1", "(BODY.PEEK[HEADER.FIELDS (Message-ID)])")[1][0][1], b"Message-ID: <1@dua.example>\r\n\r\n",
          "HEADER.FIELDS")
    equal(c.fetch("1", "(BODY.PEEK[]<6.9>)")[1][0][1], MESSAGE[6:15], "a part of it")
    equal(c.fetch("1", "(BODY.PEEK[HEADER])")[1][0][1] + c.fetch("1", "(BODY.PEEK[TEXT])")[1][0][1], MESSAGE,
          "HEADER and TEXT are the whole")
    d = c.fetch("1", "(RFC822)")[1]
    check(d[0][1] == MESSAGE and b"\\Seen" in d[0][0] + d[1], "RFC822 sets \\Seen", d)
    for m in ("FAST", "ALL", "FULL"):
        ok(c.fetch("1:*", m), m)
    equal(len(ok(c.uid("FETCH", "1:*", "(FLAGS)"), "UID FETCH")), 2, "of two")
    search(c)
    stores(c)
    c.logout()


def search(c):
    for keys, want in (("ALL", b"1 2"), ("SEEN", b"1"), ("UNSEEN", b"2"), ("FLAGGED", b"1"), ("KEYWORD $work", b"1"),
                       ("SUBJECT number", b"2"), ("SUBJECT \"caf\u00e9\"", b"1"), ("BODY \"hello there\"", b"1"),
                       ("TEXT dua", b"1 2"), ("FROM you", b"1"), ("NOT FLAGGED", b"2"), ("OR FLAGGED UNSEEN", b"1 2"),
                       ("SENTON 5-Jan-2026", b"1"), ("BEFORE 6-Jan-2026", b"1"), ("LARGER 200", b"1 2"),
                       ("1:* (FLAGGED SEEN)", b"1"), ("UID 2", b"2"), ("HEADER Message-ID \"\"", None),
                       ("SMALLER 1", b""), ("NEW", None), ("UNKEYWORD $Work", b"2")):
        keys = keys.encode()
        r = c.search("UTF-8", keys)
        check(r[0] == "OK" and (want is None or r[1][0] == want), "SEARCH %r" % keys, r)
    equal(c.search("KOI8-R", "ALL")[0], "NO", "an unknown charset")


def stores(c):
    d = ok(c.store("2", "+FLAGS", "(\\Answered Later)"), "STORE +FLAGS")[0]
    check(b"\\Answered" in d and b"Later" in d, "told", d)
    d = ok(c.store("2", "-FLAGS", "(\\Answered)"), "STORE -FLAGS")[0]
    check(b"\\Answered" not in d, "told", d)
    equal(ok(c.store("2", "FLAGS.SILENT", "(\\Draft)"), "STORE SILENT"), [None], "nothing told")
    check(b"\\Draft" in c.fetch("2", "(FLAGS)")[1][0], "but done")
    ok(c.copy("1:2", "Sent"), "COPY")
    check(c.response("COPYUID")[1][0].endswith(b" 1:2 1:2"), "COPYUID")
    check(b"TRYCREATE" in c.copy("1", "nowhere")[1][0], "TRYCREATE")
    ok(c.uid("MOVE", "2", "Sent"), "UID MOVE")
    equal(c.response("EXPUNGE")[1], [b"2"], "told that it is gone")
    c.append("INBOX", "(\\Deleted)", None, plain(3))
    ok(c.noop(), "NOOP")
    equal(ok(c.expunge(), "EXPUNGE"), [b"2"], "of one")
    ok(c.check(), "CHECK")
    ok(c.select("Sent", readonly=True), "EXAMINE")
    equal(c.store("1", "+FLAGS", "(\\Deleted)")[0], "NO", "STORE after EXAMINE")
    ok(c.unselect(), "UNSELECT")
    ok(c.select("Sent"), "SELECT")
    c.store("3", "+FLAGS", "(\\Deleted)")
    ok(c.close(), "CLOSE")
    equal(int(c.select("Sent")[1][0]), 2, "CLOSE has removed one")


def pops(s):
    c = imap(s)
    c.select()
    c.store("1:*", "+FLAGS", "(\\Deleted)")
    c.expunge()
    texts = [MESSAGE, plain(1), plain(2), b"Subject: dots\r\n\r\n.\r\n..\r\n.x\r\n" + b"y" * 1900 + b"\r\n.\r\n"]
    for t in texts:
        c.append("INBOX", "", None, t)
    p = pop(s)
    equal(p.stat(), (4, sum(map(len, texts))), "STAT")
    equal([x.split()[1] for x in p.list()[1]], [b"%d" % len(t) for t in texts], "LIST")
    uids = p.uidl()[1]
    check(len(set(uids)) == 4, "UIDL", uids)
    check("UIDL" in p.capa() and "TOP" in p.capa(), "CAPA")
    for i, t in enumerate(texts):
        equal(b"\r\n".join(p.retr(i + 1)[1]) + b"\r\n", t, "RETR %d" % (i + 1))
    equal(p.top(1, 1)[1][-2:], [b"", b"--b"], "TOP")
    equal(p.top(1, 0)[1][-1:], [b""], "TOP 0")
    p.dele(2)
    for f in (p.retr, p.dele, p.list, p.uidl):
        try:
            f(2)
            check(False, "a deleted message")
        except poplib.error_proto:
            check(True, "a deleted message")
    p.rset()
    p.noop()
    p.dele(2)
    try:
        pop(s)
        check(False, "two sessions at once")
    except poplib.error_proto as e:
        check("IN-USE" in str(e), "two sessions at once", e)
    p.quit()
    p = pop(s, "stls")
    equal([x.split()[1] for x in p.uidl()[1]], [u.split()[1] for u in uids if not u.startswith(b"2 ")],
          "the UIDs of the others stay")
    p.dele(1)
    p.close()
    ok(c.noop(), "NOOP")
    equal(c.response("EXISTS")[1][-1], b"3", "a session that breaks deletes nothing")
    c.logout()


def two(s):
    a, b = imap(s), imap(s)
    a.select()
    b.select()
    a.append("INBOX", "(\\Seen)", None, plain(9))
    a.noop()
    b.noop()
    equal(b.response("EXISTS")[1][-1:], [b"4"], "the other sees what is new")
    a.store("4", "+FLAGS", "(\\Flagged)")
    b.noop()
    check(b"\\Flagged" in b.response("FETCH")[1][-1], "and its flags")
    a.store("2", "+FLAGS", "(\\Deleted)")
    a.expunge()
    equal(b.fetch("4", "(UID)")[0], "OK", "numbers stay until it may be told")
    equal(b.response("EXPUNGE")[1], [None], "not in a FETCH")
    b.noop()
    equal(b.response("EXPUNGE")[1], [b"2"], "but in a NOOP")
    equal(a.fetch("1:*", "(UID)")[1], b.fetch("1:*", "(UID)")[1], "both see the same")
    b.send(b"i1 IDLE\r\n")
    b.readline()
    s.deliver(plain(10))
    equal(b.readline(), b"* 4 EXISTS\r\n", "IDLE tells of new mail")
    check(b"RECENT" in b.readline(), "with RECENT")
    a.noop()
    a.store("1", "+FLAGS", "(\\Answered)")
    check(b"\\Answered" in b.readline(), "IDLE tells of flags")
    b.send(b"DONE\r\n")
    equal(b.readline(), b"i1 OK Done\r\n", "DONE")
    name = os.path.join(s.maildir(), "new", "1700000000.other.host")
    with open(name + ".tmp", "wb") as f:
        f.write(b"Subject: by another program\n\nText\n")
    os.rename(name + ".tmp", name)
    a.noop()
    equal(a.fetch("5", "(BODY.PEEK[])")[1][0][1], b"Subject: by another program\r\n\r\nText\r\n", "mail of another program")
    a.logout()
    b.logout()


class Wire:
    def __init__(self, port, secure=False):
        self.s = socket.create_connection(("127.0.0.1", port), timeout=60)
        if secure:
            self.s = tls().wrap_socket(self.s, server_hostname="localhost")
        self.f = self.s.makefile("rb")
        self.greeting = self.f.readline()

    def __call__(self, data):
        try:
            self.s.sendall(data)
        except OSError:
            pass
        return self

    def line(self):
        try:
            return self.f.readline()
        except OSError:
            return b""

    def rest(self):
        lines = []
        while True:
            x = self.line()
            if not x:
                return b"".join(lines)
            lines.append(x)

    def login(self):
        self(b"l LOGIN hyd@satu.example rahasia\r\n")
        return self.line()


def injected(s, port, command, evil):
    """What came before the handshake must not be obeyed after it."""
    w = Wire(s.port[port])
    w(command + b"\r\n" + evil + b"\r\n")
    w.line()
    try:
        t = tls().wrap_socket(w.s, server_hostname="localhost")
        t.settimeout(60)
        got = t.recv(100)
    except (OSError, ssl.SSLError):
        got = b""
    equal(got, b"", "commands before %s are not obeyed" % command.decode())


def hostile(s):
    injected(s, "imap", b"a STARTTLS", b"b NOOP")
    injected(s, "pop3", b"STLS", b"CAPA")
    for port in ("imaps", "pop3s"):
        check(len(Wire(s.port[port], True)(b"x" * (1 << 20) + b"\r\n").rest()) < 400, "a line of 1 MiB, %s" % port)
    for text in (b"a LOGIN {4294967296}\r\n", b"a LOGIN {4294967295+}\r\n", b"a LOGIN {99999999999999999999}\r\n",
                 b"a LOGIN {5000}\r\n"):
        check(b"BYE" in Wire(s.port["imaps"], True)(text).rest(), "a literal of %r" % text)
    w = Wire(s.port["imaps"], True)
    check(b"OK" in w.login(), "LOGIN")
    w(b"a APPEND INBOX {4294967296}\r\n")
    check(b"TOOBIG" in w.line(), "APPEND of 4 GiB")
    w(b"b SELECT INBOX\r\n")
    while not w.line().startswith(b"b "):
        pass
    w(b"c SEARCH " + b"(" * 60000 + b"\r\n")
    check(b"BAD" in w.line(), "nested parentheses")
    w(b"d SEARCH " + b"NOT " * 15000 + b"ALL\r\n")
    check(b"BAD" in w.line(), "nested NOT")
    w(b"e FETCH 1 (" + b"FLAGS " * 10000 + b")\r\n")
    check(b"BAD" in w.line(), "many items")
    w(b"f STATUS {3}\r\n")
    check(b"+" in w.line(), "a literal")
    w(b"{5} (MESSAGES)\r\n")
    w(b"g LIST \"\" {3}\r\n")
    w.line()
    w.line()
    w(b"{5}\r\n")
    check(w.line().startswith(b"g OK"), "a literal that looks like the mark of one")
    w(b"h LOGOUT\r\n")
    w.rest()
    w = Wire(s.port["imaps"], True)
    check(b"BYE" in w(b"a\r\n" * 100).rest(), "errors have an end")


def compressed(s):
    """DEFLATE above TLS, by another implementation's streams, with more than any window holds."""
    w = Wire(s.port["imaps"], True)
    w.login()
    w(b"a COMPRESS DEFLATE\r\n")
    if b"OK" not in w.line():
        print("# no compression here")
        return
    out, back = zlib.compressobj(9, zlib.DEFLATED, -15), zlib.decompressobj(-15)
    text = b"Subject: big\r\n\r\n" + b"".join(b"%d %x\r\n" % (n, n * n) for n in range(100000))
    size = [0]

    def said(until):
        got = b""
        while until not in got:
            data = w.s.recv(65536)
            if not data:
                return got
            size[0] += len(data)
            got += back.decompress(data)
        return got

    def say(data):
        w.s.sendall(out.compress(data) + out.flush(zlib.Z_SYNC_FLUSH))

    say(b"b APPEND INBOX {%d+}\r\n" % len(text) + text + b"\r\n")
    check(b"b OK" in said(b"b OK"), "APPEND through DEFLATE")
    say(b"c SELECT INBOX\r\nd FETCH * BODY.PEEK[]\r\n")
    size[0] = 0
    got = said(b"d OK")
    check(text in got, "FETCH through DEFLATE", len(got))
    check(size[0] < len(text) / 2, "and it is smaller", size[0], len(text))
    say(b"e UID STORE * +FLAGS.SILENT (\\Deleted)\r\nf EXPUNGE\r\ng LOGOUT\r\n")
    check(b"g OK" in said(b"g OK"), "LOGOUT through DEFLATE")
    w.s.close()


def never_reads(s):
    """The others are served while one client asks for much and reads nothing."""
    c = imap(s)
    c.append("INBOX", "", None, b"Subject: big\r\n\r\n" + b"z" * 3000000 + b"\r\n")
    n = int(c.select()[1][0])
    w = Wire(s.port["imaps"], True)
    w.login()
    w(b"b SELECT INBOX\r\n")
    w(b"c FETCH %d BODY.PEEK[]\r\n" % n * 20)
    begin = time.monotonic()
    for _ in range(5):
        c.noop()
    equal(len(c.fetch(b"%d" % n, "(BODY.PEEK[])")[1][0][1]), 3000018, "a large message")
    check(time.monotonic() - begin < 20, "others are served meanwhile")
    w.s.close()
    c.logout()


def run(single):
    s = MailServer(name="one" if single else "many", single=single)
    for part in (logins, boxes, levels, strangers, messages, pops, two, hostile, compressed, never_reads):
        try:
            part(s)
        except Exception as e:  # noqa: the rest is still worth trying
            check(False, "%s ended: %r" % (part.__name__, e), *s.text().splitlines()[-15:])
    equal(s.stop(), 0, "the server ends well")
    check("assert" not in s.text() and "crashed" not in s.text(), "nothing broke", s.text()[-3000:])


run(True)
run(False)
done()
