#!/usr/bin/env python3
"""The module dnsbl with lists that a real name server has: scores, bits, lists of good hosts, both families."""
import smtplib

from mailboxlib import Gate
from netlib import check, done, equal, free_port, write
from peerlib import begin_nsd

HEAD = "$ORIGIN %s.\n$TTL 300\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 127.0.0.1\n"
ZONES = {
    # RFC 5782 5: 127.0.0.2 is on every list.
    "bl.example": """2.0.0.127 A 127.0.0.2
2.0.0.127 TXT "an open proxy, see https://bl.example/?ip=127.0.0.2"
3.0.0.127 A 127.0.0.4
3.0.0.127 A 127.0.0.9
4.0.0.127 A 127.0.0.2
5.0.0.127 A 127.0.0.2
1%s A 127.0.0.2
""" % (".0" * 31),
    "bits.example": "3.0.0.127 A 127.0.0.6\n",
    "wl.example": "4.0.0.127 A 127.0.10.3\n",
    "gone.example": "* A 192.0.2.99\n",
    "shy.example": "5.0.0.127 A 127.255.255.254\n",
}


def main():
    port = free_port()
    for zone, text in ZONES.items():
        write(zone, HEAD % zone + text)
    begin_nsd(port, [(zone, zone) for zone in ZONES])
    stubs = {zone: "127.0.0.1@%d" % port for zone in ZONES}
    stubs["down.example"] = "127.0.0.1@%d" % free_port()
    six = free_port()
    s = Gate({"dns": {"stub-zones": stubs, "timeout": "2s"},
              "dnsbl": {"lists": {"bl.example": ["127.0.0.2=5", "127.0.0.4-8=2"], "bits.example": "127.0.0.&2=1",
                                  "wl.example": ["127.0.*.0-1=-1", "127.0.*.2-3=-4"], "gone.example": "9",
                                  "shy.example": "9", "down.example": "9"},
                        "reject": 5, "defer": 3, "mark": 1, "timeout": "20s", "exempt": "127.0.0.77"}},
             ["dnsbl", "accounts"])
    to = ["hyd@satu.example", "postmaster@satu.example"]

    said = s.say("a@b.example", to, "Subject: bad\n\nx\n", peer="127.0.0.2")
    equal(said[1], (554, "5.7.1 127.0.0.2 is listed by bl.example: an open proxy, see https://bl.example/?ip=127.0.0.2"),
          "a listed host is refused, with the list's words")
    check(said[2][0] == 550 and "5.1.1" in said[2][1], "mail to postmaster is left to the next module", said)
    said = s.say("a@b.example", to[0], peer="127.0.0.3")
    equal(said[1], (450, "4.7.1 127.0.0.3 is listed by bl.example"), "two lists together are enough to defer")
    said = s.say("a@b.example", to[0], "Subject: one\n\nx\n", peer="127.0.0.4")
    equal(said[-1][0], 250, "a list of good hosts weighs against one of bad ones")
    text = s.with_subject("one")
    check("X-DNSBL: 1 bl.example=5 wl.example=-4\r\n" in text or "X-DNSBL: 1 bl.example=5 wl.example=-4\n" in text,
          "the message has the score", text)
    equal(s.say("a@b.example", to[0], peer="127.0.0.5")[1][0], 554, "a list that does not want to answer changes nothing")
    said = s.say("a@b.example", to[0], "Subject: none\n\nx\n", peer="127.0.0.6")
    equal(said[-1][0], 250, "a host on no list is welcome")
    check("X-DNSBL" not in s.with_subject("none"), "and its mail has no mark")
    equal(s.say("a@b.example", to[0], peer="127.0.0.77")[-1][0], 250, "an exempt host is not asked about")
    said = s.say("hyd@satu.example", to[0], peer="127.0.0.2", log_in="hyd@satu.example")
    equal(said[-1][0], 250, "neither is who has logged in")

    c = s.counters("dnsbl")
    equal((c["asked"], c["listed"], c["rejected"], c["deferred"], c["marked"]), (5, 4, 2, 1, 1), "all is counted")
    check("gone.example says nothing of 127.0.0.6: the answer is not in 127.0.0.0/8" in s.text(), "a dead list is told")
    check("shy.example says nothing of 127.0.0.5: the list refuses" in s.text(), "one that refuses, too")
    check("down.example says nothing of 127.0.0.6: no answer" in s.text(), "and one that does not answer")
    equal(s.stop(), 0, "the server ends well")

    s.more["listeners"]["mx6"] = {"protocol": "smtp", "address": "[::1]:%d" % six, "pipeline": "in"}
    s.start()
    try:
        with smtplib.SMTP("::1", six, timeout=60) as c:
            c.ehlo("client.example")
            c.mail("a@b.example")
            equal(c.rcpt(to[0])[0], 554, "a host with an IPv6 address")
    except OSError as e:
        check(True, "a host with an IPv6 address # SKIP %s" % e)
    equal(s.stop(), 0, "the server ends well again")
    done()


main()
