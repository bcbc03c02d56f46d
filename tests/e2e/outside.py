#!/usr/bin/env python3
"""The example of kurir-module(7) in a pipeline of an installed server; installed.sh has built both."""
import os
import smtplib

from netlib import Server, check, cleanup, done, free_port


class Outside(Server):
    """With the modules of KURIR_MODULE_PATH and no others."""

    def start(self):
        self.port = free_port()
        self.more = {"listeners": {"in": {"protocol": "smtp", "address": "127.0.0.1:%d" % self.port, "tls": "none",
                                          "pipeline": "in"}},
                     "pipelines": {"in": ["strangers", "accounts"]}, "modules": self.modules,
                     "module-path": os.environ["KURIR_MODULE_PATH"].split(":")}
        super().start()


def main():
    s = Outside({"smtp": {}, "strangers": {"domains": ["tiga.example"], "recipients": 2}, "queue_journal": {},
                 "accounts": {"domains": ["satu.example"], "mailboxes": ["hyd@satu.example", "siti@satu.example",
                                                                         "paijo@satu.example"]}})
    with smtplib.SMTP("127.0.0.1", s.port, timeout=60) as c:
        c.ehlo()
        answer = c.mail("you@TIGA.example")
        check(answer[0] == 550 and b"Not from tiga.example" in answer[1], "a sender of that domain is refused", answer)
        answers = [c.mail("you@dua.example")[0]]
        answers += [c.rcpt("%s@satu.example" % name)[0] for name in ("hyd", "siti", "paijo")]
        check(answers == [250, 250, 250, 452], "and the third recipient is to come back", answers)
    seen = s.counters("strangers")
    check((seen["senders"], seen["recipients"]) == (1, 1), "both are counted", seen)
    s.stop()
    cleanup()
    done()


main()
