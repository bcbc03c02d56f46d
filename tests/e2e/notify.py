#!/usr/bin/env python3
"""NOTIFY (RFC 5465): one session says what it wants to hear, others change things, and it hears just that, without asking."""
import re
import socket

from mailboxlib import MailServer, tls
from netlib import check, done, equal

USER, PASSWORD = "hyd@satu.example", "rahasia"


class Session:
    """Lines over TLS."""

    def __init__(self, s):
        self.socket = tls().wrap_socket(socket.create_connection(("127.0.0.1", s.port["imaps"]), 60), server_hostname="localhost")
        self.file = self.socket.makefile("rwb")
        self.n = 0
        self.line()
        self.ok("LOGIN %s %s" % (USER, PASSWORD))

    def line(self):
        return self.file.readline().decode().rstrip("\r\n")

    def run(self, command):
        """(what was untagged, the tagged reply)"""
        self.n += 1
        tag = "t%d" % self.n
        self.file.write(("%s %s\r\n" % (tag, command)).encode())
        self.file.flush()
        said = []
        while True:
            line = self.line()
            if not line:
                raise AssertionError("the connection ended after %r" % command)
            if line.startswith(tag + " "):
                return said, line[len(tag) + 1:]
            said.append(line)

    def ok(self, command):
        said, reply = self.run(command)
        if not reply.startswith("OK"):
            check(False, command, reply)
        return said

    def append(self, box, subject="x", flags=""):
        text = "Subject: %s\r\nFrom: a@b.example\r\n\r\nx\r\n" % subject
        return self.ok("APPEND %s %s{%d+}\r\n%s" % (box, flags and flags + " ", len(text), text))

    def hears(self, pattern, what):
        """The next line, said without being asked."""
        line = re.sub('"([^"]*)"', r"\1", self.line())
        check(re.fullmatch(pattern, line) is not None, what, line)

    def silent(self, what):
        """Nothing has come that was not asked for; a command proves it."""
        said, reply = self.run("ID NIL")
        equal(([x for x in said if not x.startswith("* ID")], reply[:2]), ([], "OK"), what)


def others(a, b):
    a.ok("CREATE work")
    a.ok("NOTIFY SET (personal (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange MailboxMetadataChange ServerMetadataChange))")
    b.append("work")
    a.hears(r"\* STATUS work \(MESSAGES 1 UIDNEXT 2 UIDVALIDITY \d+ UNSEEN 1\)", "a message in another mailbox")
    b.ok("SELECT work")
    b.ok("STORE 1 +FLAGS (\\Seen)")
    a.hears(r"\* STATUS work \(UIDVALIDITY \d+ UNSEEN 0\)", "a flag")
    b.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    b.ok("EXPUNGE")
    a.hears(r"\* STATUS work \(MESSAGES 0 UIDNEXT 2 UIDVALIDITY \d+ UNSEEN 0\)", "a removal")
    b.ok("CREATE work/new")
    a.hears(r'\* LIST \(\\HasNoChildren\) / work/new', "a new mailbox")
    a.hears(r'\* LIST \(\\HasChildren\) / work', "and what is above it")
    b.ok("SUBSCRIBE work/new")
    a.hears(r'\* LIST \(\\HasNoChildren \\Subscribed\) / work/new', "a subscription")
    b.ok("UNSUBSCRIBE work/new")
    a.hears(r'\* LIST \(\\HasNoChildren\) / work/new', "its end")
    b.ok("UNSELECT")
    b.ok("RENAME work play")
    a.hears(r'\* LIST \(\\HasChildren\) / play \(OLDNAME \(work\)\)', "a renamed mailbox; not those below it")
    b.ok('SETMETADATA play (/private/comment "c")')
    a.hears(r'\* METADATA play /private/comment', "an entry of a mailbox")
    b.ok('SETMETADATA play (/private/comment NIL)')
    a.hears(r'\* METADATA play /private/comment', "its end")
    b.ok('SETMETADATA "" (/private/comment "c")')
    a.hears(r"\* METADATA  /private/comment", "an entry of the account")
    b.ok("DELETE play/new")
    a.hears(r'\* LIST \(\\NonExistent\) / play/new', "a mailbox that is deleted")
    a.hears(r'\* LIST \(\\HasNoChildren\) / play', "and what is above it")
    a.silent("and nothing else")


def chosen(a, b):
    """Only what was asked for."""
    a.ok("CREATE one/deep")
    a.ok("CREATE two")
    a.ok("SUBSCRIBE two")
    a.ok("NOTIFY SET (subtree one (MessageNew MessageExpunge)) (subscribed (MailboxName))")
    for box in ("two", "INBOX", "play"):
        b.append(box)
    b.ok("SETMETADATA two (/private/comment \"c\")")
    b.append("one/deep", flags="(\\Seen)")
    a.hears(r"\* STATUS one/deep \(MESSAGES 1 UIDNEXT 2\)", "a message below the mailbox that was named; nothing of the others")
    b.ok("DELETE two")
    a.hears(r'\* LIST \(\\NonExistent\) / two', "a subscribed mailbox that is deleted")
    a.ok("NOTIFY NONE")
    b.append("one/deep")
    a.silent("nothing after NOTIFY NONE")


def selected(a, b):
    a.ok("SELECT INBOX")
    had = int([x for x in a.ok("STATUS one (MESSAGES)") + a.ok("STATUS INBOX (UIDNEXT)") if "INBOX" in x][0].split()[-1].rstrip(")"))
    a.ok("NOTIFY SET (selected (MessageNew (UID BODY.PEEK[HEADER.FIELDS (SUBJECT)]) MessageExpunge FlagChange))")
    b.append("INBOX", "tell me")
    a.hears(r"\* 2 EXISTS", "a message in the selected mailbox")
    a.hears(r"\* \d+ RECENT", "recent")
    a.hears(r"\* 2 FETCH \(UID %d BODY\[HEADER.FIELDS \(SUBJECT\)\] \{20\}" % had, "with what was asked for")
    equal([a.line() for _ in range(3)], ["Subject: tell me", "", ")"], "its subject")
    b.ok("SELECT INBOX")
    b.ok("STORE 2 +FLAGS (\\Flagged)")
    a.hears(r"\* 2 FETCH \(UID %d FLAGS \(\\Flagged.*\)\)" % had, "a flag")
    b.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    a.hears(r"\* 1 FETCH .*", "another")
    b.ok("EXPUNGE")
    a.hears(r"\* 1 EXPUNGE", "a removal, at once")
    a.ok("NOTIFY SET (selected-delayed (MessageNew MessageExpunge FlagChange))")
    b.append("INBOX", "second")
    a.hears(r"\* 2 EXISTS", "delayed: a message at once")
    a.hears(r"\* \d+ RECENT", "recent")
    b.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    a.hears(r"\* 1 FETCH .*", "a flag, too")
    b.ok("EXPUNGE")
    b.ok("STORE 1 +FLAGS (\\Answered)")
    a.hears(r"\* 2 FETCH .*Answered.*", "flags of the second, whose number has not changed")
    check("* 1 EXPUNGE" in a.ok("NOOP"), "the removal with NOOP")
    a.ok("NOTIFY SET (personal (MessageNew MessageExpunge))")
    b.append("INBOX", "third")
    b.append("one/deep")
    a.hears(r"\* STATUS one/deep .*", "without the selected mailbox nothing of that")
    check(any("EXISTS" in x for x in a.ok("NOOP")), "but when it asks")


def large(a, b):
    """A client that speaks while a large message is being sent hears it to its end first."""
    a.ok("NOTIFY SET (selected (MessageNew (UID BODY.PEEK[]) MessageExpunge))")
    text = "Subject: large\r\n\r\n" + ("y" * 70 + "\r\n") * 60000
    b.ok("APPEND INBOX {%d+}\r\n%s" % (len(text), text))
    a.hears(r"\* \d+ EXISTS", "a large message")
    a.hears(r"\* \d+ RECENT", "recent")
    a.file.write(b"big NOOP\r\n")
    a.file.flush()
    a.hears(r"\* \d+ FETCH \(UID \d+ BODY\[\] \{%d\}" % len(text), "comes with all of it")
    equal(a.file.read(len(text)).decode() == text, True, "whole, although the client has said something meanwhile")
    a.hears(r"\)", "its end")
    a.hears(r"big OK.*", "and only then the answer")


def idle(a, b):
    a.ok("NOTIFY SET (mailboxes (one/deep) (MessageNew MessageExpunge))")
    a.file.write(b"i IDLE\r\n")
    a.file.flush()
    a.hears(r"\+ .*", "IDLE")
    b.append("INBOX")
    b.append("one/deep")
    a.hears(r"\* STATUS one/deep .*", "IDLE tells the same and no more")
    a.file.write(b"DONE\r\n")
    a.file.flush()
    a.hears(r"i OK.*", "and ends")


def many(a, b):
    """Changes one after the other while the session works: none is lost, no line is torn."""
    heard = a.ok("NOTIFY SET STATUS (personal (MessageNew MessageExpunge FlagChange MailboxName))")
    for n in range(60):
        b.append("one/deep", str(n))
        heard += a.ok("STATUS one/deep (MESSAGES)")
    last = b.ok("STATUS one/deep (UIDNEXT)")[0].split("UIDNEXT ")[1].rstrip(")")
    while not any("UIDNEXT " + last in x for x in heard):
        heard.append(a.line())
    torn = [x for x in heard if not re.fullmatch(r"\* (STATUS .*\)|LIST .*|\d+ EXISTS|\d+ RECENT|OK .*)", x)]
    equal(torn, [], "the last one is told, and no line is torn")


def main():
    for single in (True, False):
        s = MailServer(name="n%d" % single, single=single, store="store_sqlite")
        a, b = Session(s), Session(s)
        for part in (others, chosen, selected, large, idle, many):
            part(a, b)
        a.socket.close()
        b.socket.close()
        equal(s.stop(), 0, "the server ends well")
        check("AddressSanitizer" not in s.text() and "runtime error" not in s.text(), "and nothing broke", s.text()[-500:])
    done()


main()
