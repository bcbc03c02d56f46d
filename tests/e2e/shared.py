#!/usr/bin/env python3
"""A mailbox that two accounts use, by Python's imaplib: rights given, used, and taken away; also when the roles are processes."""
import imaplib

from mailboxlib import USERS, MailServer, tls
from netlib import check, done, equal

HYD, SITI = "hyd@satu.example", "siti@satu.example"
SHARED = "user/%s/Lists" % HYD
TEXT = b"Subject: shared\r\n\r\nHello.\r\n"


def session(s, user):
    c = imaplib.IMAP4_SSL("127.0.0.1", s.port["imaps"], ssl_context=tls(), timeout=60)
    c.login(user, USERS[user])
    return c


def rights(c, mailbox):
    return set(c.myrights(mailbox)[1][0].decode().rsplit(" ", 1)[1].strip('"'))


def main():
    for single in (True, False):
        what = "one process" if single else "processes"
        s = MailServer(name="shared-%s" % single, single=single, store="store_sqlite")
        owner, other = session(s, HYD), session(s, SITI)
        check("ACL" in owner.capabilities or "ACL" in owner.capability()[1][0].decode().split(), "ACL is offered, %s" % what)
        owner.create("Lists")
        for _ in range(2):
            owner.append("Lists", None, None, TEXT)
        equal(other.select(SHARED)[0], "NO", "nobody else sees it, %s" % what)
        equal(owner.setacl("Lists", SITI, "lrst")[0], "OK", "rights are given, %s" % what)
        check(SITI.encode() in owner.getacl("Lists")[1][0], "and shown, %s" % what, owner.getacl("Lists"))
        equal(rights(other, SHARED) - {"d"}, set("lrst"), "and known to who has them, %s" % what)
        equal([r for r in other.list()[1] if SHARED.encode() in r] != [], True, "LIST shows it, %s" % what)
        equal(other.select(SHARED), ("OK", [b"2"]), "it can be opened, %s" % what)
        equal(other.fetch("1", "(BODY[])")[1][0][1], TEXT, "and read, %s" % what)
        equal(other.store("1", "+FLAGS", r"(\Deleted)")[0], "OK", "and marked, %s" % what)
        equal(other.expunge()[0], "NO", "but not expunged, %s" % what)
        owner.select("Lists")
        flags = owner.fetch("1:2", "(FLAGS)")[1]
        check(rb"\Deleted" in flags[0] and rb"\Seen" in flags[0] and rb"\Seen" not in flags[1],
              "the owner has the same flags, %s" % what, flags)
        equal(owner.deleteacl("Lists", SITI)[0], "OK", "rights are taken away, %s" % what)
        try:
            said = other.fetch("1", "(FLAGS)")
        except imaplib.IMAP4.abort as e:
            said = str(e)
        check("may not be read any more" in said, "who has it open reads no more, %s" % what, said)
        other.shutdown()
        other = session(s, SITI)
        equal(other.select(SHARED)[0], "NO", "and it is there no more, %s" % what)
        for c in (owner, other):
            c.logout()
        equal(s.stop(), 0, "the server ends well, %s" % what)
    done()


main()
