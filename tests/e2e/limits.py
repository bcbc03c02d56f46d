#!/usr/bin/env python3
"""What "limits" promises: connections, also where several processes share them."""
import socket

from netlib import Server, check, done, equal, free_port, path


class Limited(Server):
    """An SMTP server without anything to spare."""

    def __init__(self, name, edges, **limits):
        self.port = free_port()
        super().__init__({"smtp": {"message-size": 1 << 20},
                          "accounts": {"domains": ["satu.example"], "mailboxes": ["hyd@satu.example"]},
                          "route_local": {}, "queue_journal": {}, "store_maildir": {"root": path(name)}},
                         name=name, single=False, processes={"edge": edges}, limits=limits,
                         listeners={"mx": {"protocol": "smtp", "address": "127.0.0.1:%d" % self.port, "tls": "none",
                                           "pipeline": "in"}},
                         pipelines={"in": ["accounts"]})

    def start(self):
        self.more["modules"] = self.modules  # no probe
        super().start()

    def connect(self):
        """A connection and the first three digits it hears."""
        c = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        return c, c.recv(1000)[:3].decode()

    def ends(self):
        equal(self.stop(), 0, "the server ends well")
        check(not any(w in self.text() for w in ("assert", "Sanitizer", "killed")), "nothing broke", self.text()[-3000:])


def heard(s, count):
    """What so many clients hear who all stay."""
    all_ = [s.connect() for _ in range(count)]
    said = [code for _, code in all_]
    for c, _ in all_:
        c.close()
    return said


def shared():
    s = Limited("one", 3, connections=1)
    said = heard(s, 12)
    check(1 <= said.count("220") <= 3 and said[0] == "220", "less than one connection a process is one each", said)
    s.ends()
    s = Limited("five", 2, connections=5)
    said = heard(s, 12)
    check(3 <= said.count("220") <= 6, "each process has its share, rounded up", said)
    check(set(said) == {"220", "421"}, "the others are told to come back", said)
    s.ends()
    s = Limited("peer", 2, **{"connections-per-peer": 3})
    said = heard(s, 12)
    check(3 <= said.count("220") <= 6 and "421" in said, "each process counts the connections of a client", said)
    s.ends()


for part in (shared,):
    try:
        part()
    except (OSError, AssertionError) as e:
        check(False, "%s ended: %r" % (part.__name__, e))
done()
