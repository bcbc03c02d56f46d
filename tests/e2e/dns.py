#!/usr/bin/env python3
"""The modules dns and route_dns against a real name server with a signed and an unsigned zone, and against
servers that are down, slow or broken."""
import os
import shutil
import socket
import struct
import subprocess
import threading

from netlib import FOLDER, Server, check, done, equal, free_port, path, skip_all, write
from peerlib import begin_nsd

FOUND, NODATA, NXDOMAIN, SERVFAIL, BOGUS = range(5)
A, CNAME, PTR, MX, TXT, AAAA, TLSA = 1, 5, 12, 15, 16, 28, 52
TO, FAIL, LATER = 1, 2, 3
MAY, DANE = 0, 4

HEAD = """$ORIGIN %(zone)s.
$TTL 300
@ SOA ns hostmaster 1 3600 600 86400 60
@ NS ns
ns A 127.0.0.1
"""
PLAIN = HEAD + """
@ MX 20 mx2
@ MX 10 mx1
mx1 A 127.0.0.11
mx2 A 127.0.0.12
mx2 AAAA ::1
@ TXT "v=spf1 " "-all"
www CNAME mx1
nodata TXT "nothing else"
null MX 0 .
implicit A 127.0.0.13
xn--bcher-kva A 127.0.0.14
self MX 10 mx.satu.example.
better MX 5 mx1
better MX 10 mx.satu.example.
better MX 20 mx2
ownip MX 10 me
me A 127.0.0.99
dangling MX 10 gone
alias CNAME implicit
toslow MX 10 mx.slow.example.
mixed MX 10 mx.down.example.
mixed MX 20 mx1
"""
SIGNED = HEAD + """
@ MX 10 mx
mx A 127.0.0.21
_25._tcp.mx TLSA 3 1 1 """ + "ab" * 32 + """
_25._tcp.mx TLSA 1 1 1 """ + "cd" * 32 + """
forged A 127.0.0.66
forgedmx MX 10 forged
weak MX 10 weakhost
weakhost A 127.0.0.22
_25._tcp.weakhost TLSA 0 0 1 """ + "ef" * 32 + """
"""


def sign(zone, text):
    """Signs, and then forges one address."""
    name = write(zone + ".zone", text % {"zone": zone})
    keys = []
    for flags in (["-k"], []):
        run = subprocess.run(["ldns-keygen", "-a", "ECDSAP256SHA256"] + flags + [zone], cwd=FOLDER,
                             capture_output=True, text=True, check=True)
        keys.append(path(run.stdout.strip()))
    subprocess.run(["ldns-signzone", "-o", zone, name] + keys, cwd=FOLDER, check=True, capture_output=True)
    with open(name + ".signed") as f:
        signed = f.read()
    assert "127.0.0.66" in signed
    write(zone + ".zone.signed", signed.replace("127.0.0.66", "127.0.0.67"))
    with open(keys[0] + ".ds") as f:
        return f.read().strip()


class Odd(threading.Thread):
    """A name server that fails on purpose: answers with a code, or never."""

    def __init__(self, rcode):
        super().__init__(daemon=True)
        self.rcode = rcode
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.seen = 0
        self.start()

    def run(self):
        while True:
            query, peer = self.socket.recvfrom(4096)
            self.seen += 1
            if self.rcode is None or len(query) < 12:
                continue
            if self.rcode == "garbage":
                self.socket.sendto(query[:2] + os.urandom(40), peer)
                continue
            end = query.index(b"\0", 12) + 5
            self.socket.sendto(query[:2] + struct.pack(">HHHHH", 0x8080 | self.rcode, 1, 0, 0, 0) +
                               query[12:end], peer)


def lookups(s):
    def ask(name, kind, span=15000):
        a = s.probe("lookup", name=name, type=kind, span=span)
        return a.get("status"), a.get("secure"), [r["text"] for r in a.get("records", [])], a

    status, secure, texts, a = ask("dua.example", MX)
    equal((status, secure, texts), (FOUND, False, ["mx1.dua.example", "mx2.dua.example"]), "MX in order")
    equal(a["summary"], "MX dua.example = 10 mx1.dua.example, 20 mx2.dua.example (insecure, ttl 300)",
          "the summary says so")
    equal(ask("DUA.Example.", MX)[2], texts, "case and a final dot do not matter")
    equal(ask("mx1.dua.example", A)[:3], (FOUND, False, ["127.0.0.11"]), "A")
    equal(ask("mx2.dua.example", AAAA)[:3], (FOUND, False, ["::1"]), "AAAA")
    equal(ask("dua.example", TXT)[2], ["v=spf1 -all"], "TXT is joined")
    status, _, texts, a = ask("www.dua.example", A)
    equal((status, texts, a["canonical"]), (FOUND, ["127.0.0.11"], "mx1.dua.example"), "CNAME is followed")
    equal(ask("www.dua.example", CNAME)[2], ["mx1.dua.example"], "CNAME itself")
    equal(ask("nodata.dua.example", A)[:2], (NODATA, False), "no such record")
    equal(ask("gone.dua.example", A)[:2], (NXDOMAIN, False), "no such name")
    equal(ask("null.dua.example", MX)[:3], (FOUND, False, [""]), "null MX")
    equal(ask("11.0.0.127.in-addr.arpa", PTR)[2], ["mx1.dua.example"], "PTR, though it is a local zone")
    equal(ask("satu.test", MX)[2], ["mx.satu.test"], "test. is no local zone either")
    status, secure, texts, _ = ask("aman.example", MX)
    equal((status, secure, texts), (FOUND, True, ["mx.aman.example"]), "a signed zone is secure")
    equal(ask("none.aman.example", MX)[:2], (NXDOMAIN, True), "a signed denial is secure")
    equal(ask("mx.aman.example", AAAA)[:2], (NODATA, True), "a signed denial of a record is secure")
    status, secure, texts, a = ask("forged.aman.example", A)
    equal((status, secure, texts), (BOGUS, False, []), "a forged record is bogus")
    status, secure, texts, _ = ask("_25._tcp.mx.aman.example", TLSA)
    equal((status, secure, len(texts)), (FOUND, True, 2), "TLSA")
    equal(ask("broken.example", MX)[0], SERVFAIL, "a server that says SERVFAIL")
    equal(ask("refused.example", MX)[0], SERVFAIL, "a server that says REFUSED")
    equal(ask("down.example", MX)[0], SERVFAIL, "a server that is down")
    equal(ask("garbage.example", MX)[0], SERVFAIL, "a server that talks nonsense")
    equal(ask("slow.example", MX)[0], SERVFAIL, "a server that never answers: the module's own time")
    equal(ask("slow.example", A, 300)[3]["result"] in (0, -110), True, "the caller's time counts, too")
    equal(ask("a b.example", MX)[3]["result"], -22, "not a name")
    equal(ask("x" * 64 + ".example", MX)[3]["result"], -22, "too long a label")


def merged(s):
    before = s.counters("dns")
    threads = [threading.Thread(target=s.probe, args=("lookup",),
                                kwargs={"name": "many.slow.example", "type": A, "span": 10000})
               for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    after = s.counters("dns")
    equal(after["asked"] - before["asked"], 8, "eight questions at once")
    check(after["merged"] - before["merged"] >= 5, "share one under way", before, after)


def routes(s):
    def way(address):
        return s.probe("route", address=address)

    a = way("x@Dua.Example")
    equal((a["kind"], a["addresses"], a["names"]),
          (TO, ["127.0.0.11:25", "[::1]:25", "127.0.0.12:25"], ["mx1.dua.example"] + 2 * ["mx2.dua.example"]),
          "two mail hosts, three addresses")
    equal(a["tls"], MAY, "no DANE without DNSSEC")
    check("MX dua.example = 10 mx1" in a["why"] and "AAAA mx2.dua.example = ::1" in a["why"],
          "the answers are told", a["why"])
    a = way("x@implicit.dua.example")
    equal((a["kind"], a["addresses"]), (TO, ["127.0.0.13:25"]), "no MX: the domain's own address")
    a = way("x@b\u00fccher.dua.example")
    if "libidn2" not in a["text"]:
        equal((a["kind"], a["addresses"], a["names"]), (TO, ["127.0.0.14:25"], ["xn--bcher-kva.dua.example"]),
              "a name beyond ASCII")
        a = way("x@\u202e.dua.example")
    equal((a["kind"], a["xyz"]), (FAIL, "5.1.2"), "one that no domain may have")
    a = way("x@alias.dua.example")
    equal((a["kind"], a["addresses"]), (TO, ["127.0.0.13:25"]), "the same through a CNAME")
    for domain, kind, xyz in (("null.dua.example", FAIL, "5.1.10"), ("gone.dua.example", FAIL, "5.1.2"),
                              ("nodata.dua.example", FAIL, "5.1.2"), ("dangling.dua.example", FAIL, "5.4.4"),
                              ("self.dua.example", FAIL, "5.4.6"), ("ownip.dua.example", FAIL, "5.4.6"),
                              ("broken.example", LATER, "4.4.3"), ("down.example", LATER, "4.4.3"),
                              ("toslow.dua.example", LATER, "4.4.3"), ("forgedmx.aman.example", LATER, "4.7.0"),
                              ("[1.2.3]", FAIL, "5.1.2"), ("a b", FAIL, "5.1.2")):
        a = way("x@" + domain)
        equal((a["kind"], a["xyz"]), (kind, xyz), "%s: %s" % (domain, xyz))
    a = way("x@better.dua.example")
    equal((a["kind"], a["names"]), (TO, ["mx1.dua.example"]), "only hosts that are better than ourselves")
    a = way("x@mixed.dua.example")
    equal((a["kind"], a["names"]), (TO, ["mx1.dua.example"]), "a host that cannot be looked up is left out")
    a = way("x@[127.0.0.5]")
    equal((a["kind"], a["addresses"]), (TO, ["127.0.0.5:25"]), "an address literal")
    a = way("x@[IPv6:2001:db8::5]")
    equal((a["kind"], a["addresses"]), (TO, ["[2001:db8::5]:25"]), "of IPv6")
    a = way("x@aman.example")
    equal((a["kind"], a["tls"], a["tlsa"], a["tlsa_names"]),
          (TO, DANE, ["030101" + "ab" * 32], ["mx.aman.example"]), "DANE with the usable record")
    a = way("x@weak.aman.example")
    equal((a["kind"], a["tls"], a["tlsa"], a["tlsa_names"]), (TO, DANE, [""], ["weakhost.aman.example"]),
          "no usable record: encryption all the same")


def main():
    for tool in ("ldns-keygen", "ldns-signzone"):
        if not shutil.which(tool):
            skip_all(tool + " is not installed")
    port = free_port()
    write("dua.zone", PLAIN % {"zone": "dua.example"})
    write("test.zone", HEAD % {"zone": "satu.test"} + "@ MX 10 mx\n")
    write("reverse.zone", HEAD % {"zone": "127.in-addr.arpa"} + "11.0.0 PTR mx1.dua.example.\n")
    ds = sign("aman.example", SIGNED)
    begin_nsd(port, [("dua.example", "dua.zone"), ("satu.test", "test.zone"),
                     ("127.in-addr.arpa", "reverse.zone"), ("aman.example", "aman.example.zone.signed")])
    here = "127.0.0.1@%d" % port
    odd = {zone: Odd(rcode) for zone, rcode in
           (("broken.example", 2), ("refused.example", 5), ("slow.example", None),
            ("garbage.example", "garbage"))}
    stubs = {zone: here for zone in ("dua.example", "satu.test", "127.in-addr.arpa", "aman.example")}
    stubs.update({zone: "127.0.0.1@%d" % o.port for zone, o in odd.items()})
    stubs["down.example"] = "127.0.0.1@%d" % free_port()
    s = Server({"dns": {"stub-zones": stubs, "trust-anchors": [ds], "timeout": "4s"},
                "route_dns": {"own": ["127.0.0.99"], "timeout": "10s"}})
    lookups(s)
    merged(s)
    routes(s)
    equal(s.stop(), 0, "the server ends well")
    # The same zone through a forwarder: nsd does not recurse, but answers what it has.
    s = Server({"dns": {"forwarders": [here]}, "route_dns": {}}, name="forward")
    a = s.probe("lookup", name="dua.example", type=MX, span=10000)
    equal((a["status"], len(a.get("records", []))), (FOUND, 2), "by a forwarder")
    equal(s.stop(), 0, "the server ends well")
    s = Server({"dns": {"stub-zones": stubs, "local-zones": True}, "route_dns": {}}, name="local")
    a = s.probe("lookup", name="satu.test", type=MX, span=10000)
    equal(a["status"], NXDOMAIN, "test. is a local zone when we want it")
    equal(s.stop(), 0, "the server ends well")
    done()


main()
