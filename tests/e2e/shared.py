#!/usr/bin/env python3
"""A mailbox that two accounts use, by Python's imaplib: rights given, used, and taken away; also when the roles are processes."""
import glob
import imaplib
import os
import sqlite3

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


def bodies(c, mailbox):
    count = int(c.select(mailbox, readonly=True)[1][0])
    rows = c.fetch("1:*", "(BODY.PEEK[])")[1] if count else []
    c.close()
    return [r[1] for r in rows if isinstance(r, tuple)]


def flags(c, mailbox):
    c.select(mailbox, readonly=True)
    rows = c.fetch("1:*", "(FLAGS)")[1]
    c.close()
    return [r.decode().split("(FLAGS (")[1].split(")")[0] for r in rows]


def between(owner, other, what):
    """Messages go from one account to the other, as far as rights allow it."""
    texts = [b"Subject: %d\r\n\r\n%s\r\n" % (n, b"x" * (n * 1000)) for n in range(1, 120)]
    owner.create("Team")
    other.create("Mine")
    for n, text in enumerate(texts):
        other.append("Mine", r"(\Flagged work)" if n == 0 else r"(\Seen)", '"01-Feb-2026 10:00:00 +0000"', text)
    team = "user/%s/Team" % HYD
    other.select("Mine")
    said = other.copy("1", team)
    check(said[0] == "NO" and b"TRYCREATE" in said[1][0], "nothing is copied to where nobody lets one, %s" % what, said)
    check(other.append(team, None, None, TEXT)[0] == "NO", "nor appended, %s" % what)
    owner.setacl("Team", SITI, "l")
    said = other.append(team, None, None, TEXT)
    check(said[0] == "NO" and b"NOPERM" in said[1][0], "nor where one may only see it, %s" % what, said)
    owner.setacl("Team", SITI, "lri")
    said = other.copy("1:*", team)
    equal(said[0], "OK", "with the right i all are copied, %s" % what)
    check(b"COPYUID" in said[1][0] and said[1][0].split()[2:4] == [b"1:119", b"1:119]"] or b"1:119 1:119" in said[1][0],
          "and their UIDs told, %s" % what, said)
    equal(bodies(owner, "Team"), texts, "whole, and in their order, %s" % what)
    equal({f.replace("\\Recent", "") for f in flags(owner, "Team")}, {""}, "without flags that one may not set, %s" % what)
    equal(other.append(team, r"(\Seen \Deleted work)", None, TEXT)[0], "OK", "and one is appended, %s" % what)
    equal(flags(owner, "Team")[119].replace("\\Recent", "").strip(), "", "without flags too, %s" % what)
    owner.setacl("Team", SITI, "lriswte")
    other.select("Mine")
    equal(other._simple_command("MOVE", "1:2", team)[0], "OK", "they are moved, %s" % what)
    equal(len(bodies(other, "Mine")), 117, "and leave where they were, %s" % what)
    got = flags(owner, "Team")
    check("work" in got[120] and "Flagged" in got[120] and "Seen" in got[121], "with their flags, %s" % what, got[118:])
    other.select(team)
    equal(other._simple_command("MOVE", "1:2", "Mine")[0], "OK", "and back, %s" % what)
    equal(len(bodies(other, "Mine")), 119, "to one's own, %s" % what)
    equal(len(bodies(owner, "Team")), 120, "away from the other, %s" % what)


def levels(owner, other, what):
    """Mailboxes are made, renamed, removed, and opened to a third by who has the rights."""
    team = "user/%s/Team" % HYD
    check(other.create(team + "/Satu")[0] == "NO", "no mailbox is made without k, %s" % what)
    owner.setacl("Team", SITI, "+k")
    equal(other.create(team + "/Satu/Dua")[0], "OK", "with k one is, %s" % what)
    for name in ("Team/Satu", "Team/Satu/Dua"):
        check(SITI.encode() in owner.getacl(name)[1][0], "it has the rights of the one above, %s" % what, owner.getacl(name))
    check(other.create("user/%s/Lain" % HYD)[0] == "NO", "but not beside all others, %s" % what)
    check(other.create("user/%s/Lain" % "nobody@satu.example")[0] == "NO", "nor with nobody, %s" % what)
    said = other.rename(team + "/Satu", team + "/Tiga")
    check(said[0] == "NO" and b"NOPERM" in said[1][0], "it is not renamed without x, %s" % what, said)
    owner.setacl("Team/Satu", SITI, "+x")
    equal(other.rename(team + "/Satu", team + "/Tiga")[0], "OK", "with x it is, %s" % what)
    check(b"CANNOT" in other.rename(team + "/Tiga", "Tiga")[1][0], "but not out of the account, %s" % what)
    check(other.delete(team + "/Tiga/Dua")[0] == "NO", "one below keeps its own rights, %s" % what)
    owner.setacl("Team/Tiga/Dua", SITI, "+x")
    equal(other.delete(team + "/Tiga/Dua")[0], "OK", "and goes with x, %s" % what)
    equal(other.delete(team + "/Tiga")[0], "OK", "so does the one above, %s" % what)
    check(other.setacl(team, "anyone", "lr")[0] == "NO", "rights are not given without a, %s" % what)
    owner.setacl("Team", SITI, "+a")
    equal(other.setacl(team, "anyone", "lr")[0], "OK", "with a they are, %s" % what)
    check(other.setacl(team, HYD, "lr")[0] == "NO", "but the owner's, %s" % what)
    equal(other.deleteacl(team, "nobody@satu.example")[0], "OK", "who is no more loses what he had, %s" % what)
    owner.delete("Team")


# What a client can say of a mailbox, by its name, and the rights that it takes.  %s is the name.
COMMANDS = [
    ("SELECT %s", "r"), ("EXAMINE %s", "r"), ("STATUS %s (MESSAGES)", "r"), ("DELETE %s", "x"), ("RENAME %s Taken", "x"),
    ("RENAME Own %s/x", "k"), ("CREATE %s/x", "k"), ("GETACL %s", "a"), ("LISTRIGHTS %s anyone", "a"), ("MYRIGHTS %s", "lrikxa"),
    ("SETACL %s anyone lr", "a"), ("SETACL %s nobody@satu.example lr", "a"), ("SETACL %s anyone -r", "a"), ("DELETEACL %s anyone", "a"),
    ("APPEND %s {1+}\r\nx", "i"), ("APPEND %s CATENATE (URL \"/Own/;UID=1\")", "i"), ("UID COPY 1 %s", "i"), ("UID MOVE 1 %s", "i"),
    ("UID REPLACE 1 %s {1+}\r\nx", "i"), ("APPEND Own CATENATE (URL \"/%s/;UID=1\")", "r"), ("LIST \"\" %s RETURN (MYRIGHTS)", ""),
    ("GETQUOTAROOT %s", "li"), ("GETMETADATA %s /shared/comment", ""), ("SETMETADATA %s (/shared/comment \"x\")", ""),
]


def say(c, text):
    """All that is answered, without the tag."""
    tag = c._new_tag()
    c.send(tag + b" " + text.encode() + b"\r\n")
    lines = []
    while True:
        lines.append(c.readline())
        if lines[-1].startswith(tag) or not lines[-1]:
            return b"".join(lines).replace(tag + b" ", b"").decode()


def refused(owner, other, name, commands, given):
    """Those of the commands that are refused for the want of a right."""
    no = []
    for command, right in commands:
        owner.setacl("Rahasia", SITI, given(right))
        other.select("Own")
        said = say(other, command % name)
        if "NO [NOPERM]" in said or "NO [BADURL " in said:
            no.append((command, right))
    return no


def hidden(owner, other, what):
    """Who may not look a mailbox up is told of it what he is told of what is not there."""
    owner.create("Rahasia")
    other.create("Own")
    other.append("Own", None, None, TEXT)
    secret, missing, nobody = ("user/%s/%s" % p for p in ((HYD, "Rahasia"), (HYD, "Hampa"), ("nobody@satu.example", "Rahasia")))
    for given in ("", "s", "w", "t", "e"):
        owner.setacl("Rahasia", SITI, given or '""')
        wrong = []
        for command, _ in COMMANDS:
            said = []
            for name in (secret, missing, nobody):
                other.select("Own")
                said.append(say(other, command % name).replace(name, "NAME"))
            if said != said[:1] * 3 or (" OK" in said[0] and not command.startswith("LIST")):
                wrong.append((command, said))
        equal(wrong, [], "no command tells a mailbox with the rights \"%s\" from none, %s" % (given, what))
    # Known, and no more; then with the right that a command is for.
    needs = [c for c in COMMANDS if len(c[1]) == 1]
    equal(refused(owner, other, secret, needs, lambda right: "l"), needs, "no command does what it lacks the right for, %s" % what)
    equal(rights(other, secret), {"l"}, "the rights are what they were, %s" % what)
    stays = [c for c in needs if c[1] != "x"]
    equal(refused(owner, other, secret, stays, lambda right: "l" + right), [], "each is done with its right, %s" % what)
    owner.delete("Rahasia/x")
    owner.deleteacl("Rahasia", SITI)


def words(s):
    """Owners who are known to have given rights to SITI, as the store keeps them."""
    found = []
    for file in glob.glob(os.path.join(s.root(s.name), "**/index.db"), recursive=True):
        db = sqlite3.connect("file:%s?mode=ro" % file, uri=True)
        found += db.execute("SELECT entry.name FROM entry JOIN account ON account.id = entry.account"
                            " WHERE account.name = ? AND entry.name GLOB 'owner/*'", (SITI,)).fetchall()
        db.close()
    return [name for name, in found]


def room(s, owner, other, what):
    """What owners gave takes no room from annotations, and is forgotten when it is taken away."""
    full = ['(/private/a%d "x")' % n for n in range(100)]
    equal([e for e in full if "OK" not in say(other, 'SETMETADATA "" ' + e)], [], "annotations of the account, %s" % what)
    check("TOOMANY" in say(other, 'SETMETADATA "" (/private/b "x")'), "there is no room for one more, %s" % what)
    equal(words(s), [], "what was given and taken away is forgotten, %s" % what)
    for name in ("Satu", "Dua", "Tiga"):
        owner.create(name)
        equal(owner.setacl(name, SITI, "lr")[0], "OK", "rights take no such room, %s" % what)
    equal(words(s), ["owner/" + HYD], "an owner takes one place, %s" % what)
    for n in range(100):
        say(other, 'SETMETADATA "" (/private/a%d NIL)' % n)
    owner.deleteacl("Satu", SITI)
    equal(words(s), ["owner/" + HYD], "and keeps it while there is another mailbox, %s" % what)
    owner.setacl("Dua", SITI, "-lr")
    owner.delete("Tiga")
    check(SHARED.encode() not in b"".join(other.list()[1]), "nothing is shown any more, %s" % what)
    equal(words(s), [], "nor remembered, %s" % what)


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
        between(owner, other, what)
        levels(owner, other, what)
        hidden(owner, other, what)
        room(s, owner, other, what)
        for c in (owner, other):
            c.logout()
        equal(s.stop(), 0, "the server ends well, %s" % what)
    done()


main()
