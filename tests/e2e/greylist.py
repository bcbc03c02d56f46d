#!/usr/bin/env python3
"""The module greylist with several edge processes: they know the same, also after a restart and a reload."""
import smtplib

from mailboxlib import Gate
from netlib import check, done, equal, wait_until

TO = "hyd@satu.example"


def main():
    s = Gate({"greylist": {"delay": "1s", "allow-after": 2}}, ["greylist", "accounts"], single=False,
             processes={"edge": 3})
    said = s.say("a@b.example", TO)
    equal(said[1][0], 451, "who is not known waits")
    check("try again in 1 seconds" in said[1][1], "and is told how long", said)

    # Connections go to whichever process takes them.
    def comes_back(sender):
        return wait_until(lambda: s.say(sender, TO, "Subject: back\n\nx\n")[-1][0] == 250, 60, "the delay is over")

    check(comes_back("a@b.example"), "who comes back is known")
    check(all(s.say("a@b.example", TO)[-1][0] == 250 for _ in range(9)), "to every process")
    s.with_subject("back")

    # Twenty at once: one transaction or several, each is remembered.
    many = [smtplib.SMTP("127.0.0.1", s.port["mx"], timeout=60) for _ in range(20)]
    for i, c in enumerate(many):
        c.ehlo("client.example")
        c.mail("%s@c.example" % chr(ord("a") + i))
    for c in many:
        c.putcmd("RCPT TO:<%s>" % TO)
    equal([c.getreply()[0] for c in many], [451] * 20, "twenty ask at once")
    for c in many:
        c.quit()
    data = s.ctl("greylist")
    equal((data["waiting"], data["known"], data["networks"]), (20, 1, 1), "kurirctl counts them")

    equal(s.stop(), 0, "the server ends well")
    s.start()
    data = s.ctl("greylist")
    equal((data["waiting"], data["known"]), (20, 1), "what was known is known after a restart")
    equal(s.say("a@b.example", TO)[-1][0], 250, "and counts")
    s.ctl("reload")
    check(comes_back("b@c.example"), "after a reload, too")
    equal(s.say("new@d.example", TO)[-1][0], 250, "a network that came back twice need not wait")
    equal(s.ctl("greylist", "forget", "127.0.0.1")["triplets"], 21, "kurirctl makes it forget a network")
    equal(s.say("new@d.example", TO)[1][0], 451, "which waits again")
    equal(s.ctl("greylist", "allow", "127.0.0.1")["network"], "127.0.0.0", "or allows it")
    equal(s.say("newer@d.example", TO)[-1][0], 250, "and it need not wait")
    check("error" in s.ctl("greylist", "what"), "other words are an error")
    equal(s.stop(), 0, "the server ends well again")
    done()


main()
