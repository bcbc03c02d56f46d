#!/usr/bin/env python3
"""What is told of a message that comes back: a code for what no peer said, and whose child the notification is."""
import re
import smtplib

from netlib import Server, check, done, equal, free_port, path, wait_until


class Plain(Server):
    """Without the probe, which would be the queue."""

    def start(self):
        self.more["modules"] = self.modules
        super().start()


def event(s, name, **wanted):
    """The fields of the first line of an event that has these."""
    for line in s.text().splitlines():
        if " %s " % name not in line:
            continue
        fields = {k: v.strip('"') for k, v in re.findall(r'([a-z-]+)=("(?:[^"\\]|\\.)*"|\S*)', line)}
        if all(fields.get(k) == v for k, v in wanted.items()):
            return fields
    return None


def main():
    port = free_port()
    s = Plain({"smtp": {"relay-networks": ["127.0.0.0/8"]},
               "accounts": {"domains": ["satu.example"], "mailboxes": ["hyd@satu.example"]},
               "route_local": {}, "queue_journal": {}, "bounce": {}, "store_maildir": {"root": path("mail")}},
              listeners={"mx": {"protocol": "smtp", "address": "127.0.0.1:%d" % port, "pipeline": "in"}},
              pipelines={"in": ["accounts"]})
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as c:
        c.sendmail("hyd@satu.example", ["paijo@tiga.example"], "Subject: x\r\n\r\nx\r\n")
    there = wait_until(lambda: event(s, "bounced", to="paijo@tiga.example"), 20, "it comes back")
    equal((there["code"], there["xyz"]), ("550", "5.4.4"), "with a reply code")
    back = wait_until(lambda: event(s, "message", parent=there["id"]), 20, "the notification is told of")
    check(re.match("[0-9a-z]{10,24}$", back["id"]) and back["id"] != there["id"], "by an id of its own", back)
    equal((back["from"], back["to"]), ("", "hyd@satu.example"), "from nobody to the sender")
    wait_until(lambda: event(s, "delivered", id=back["id"]), 20, "which is the one that is delivered")
    equal(s.stop(), 0, "the server ends well")
    done()


if __name__ == "__main__":
    main()
