#!/usr/bin/env python3
"""The module limits with accounts that log in and several edge processes: an account that sends too much is put on
hold, stays there over a restart, and is released by kurirctl."""
from mailboxlib import Gate
from netlib import check, done, equal

HYD, SITI, TO = "hyd@satu.example", "siti@satu.example", "hyd@satu.example"


def main():
    s = Gate({"limits": {"rates": {"account": ["5 messages/1h", "20 recipients/1h"]}, "hold": True}},
             ["limits", "accounts"], single=False, processes={"edge": 3})

    def send(user):
        return s.say(user, TO, "Subject: x\n\nx\n", log_in=user)[0]

    equal([send(HYD)[0] for _ in range(5)], [250] * 5, "as many messages as the rate allows")
    said = send(HYD)
    equal(said, (550, "5.7.1 This account is on hold, as it has sent too much: ask your provider"),
          "one more, and the account is on hold, whichever process it meets")
    check("held account=hyd@satu.example" in s.text(), "an event tells")
    equal(send(SITI)[0], 250, "another account is not")
    said = s.say("a@b.example", TO)
    equal(said[-1][0], 250, "nor is who has not logged in")
    held = s.ctl("limits")
    equal([h["account"] for h in held], [HYD], "kurirctl lists it")
    equal(s.stop(), 0, "the server ends well")
    s.start()
    equal(send(HYD)[0], 550, "it is on hold after a restart, too")
    s.ctl("limits", "release", HYD.upper())
    equal(s.ctl("limits"), [], "kurirctl releases it")
    equal(send(HYD)[0], 550, "the rate has not been forgotten, so it is on hold again")
    s.ctl("limits", "release", HYD)
    equal(s.ctl("limits", "hold", SITI)["account"], SITI, "kurirctl puts one on hold")
    equal(send(SITI)[0], 550, "and nothing is taken from it")
    check("not on hold" in str(s.ctl("limits", "release", "nobody")), "an account that is not on hold cannot be released")
    equal(s.counters("limits")["refused-held"] >= 3, True, "all is counted")
    equal(s.stop(), 0, "the server ends well again")
    done()


main()
