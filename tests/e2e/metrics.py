#!/usr/bin/env python3
"""The figures over HTTP: a parser of Prometheus reads them, the dashboard finds what it asks for, and rubbish is refused."""
import json
import os
import re
import shutil
import smtplib
import socket
import subprocess
import sys

from mailboxlib import MailServer
from netlib import KURIRCTL, SRC, check, done, equal, free_port, path, wait_until

try:
    from prometheus_client.parser import text_string_to_metric_families
except ImportError:
    sys.path.append("/usr/lib/python3/dist-packages")  # another python3 than the distribution's
    try:
        from prometheus_client.parser import text_string_to_metric_families
    except ImportError:
        text_string_to_metric_families = None

ODD = 'hooks_fixed/odd'


class Told(MailServer):
    networks = {}

    def start(self):
        self.port["metrics"] = free_port()
        self.modules.update({"metrics": dict({"timeout": "2s"}, **self.networks),
                             "hooks_rogue/calm": {"isolation": "process", "deadline": "20s"},
                             ODD: {"mail": "next"}})
        self.more["pipelines"] = {"in": ["hooks_rogue/calm", ODD, "accounts"]}
        self.more["listeners"]["metrics"] = {"protocol": "metrics", "address": ["127.0.0.1:%d" % self.port["metrics"], "unix:" + path("metrics.sock")]}
        super().start()


def fetch(port, request=b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", half=False):
    """Status, fields, body: what comes until the server hangs up."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as c:
        got = b""
        try:
            c.sendall(request)
            if not half:
                c.shutdown(socket.SHUT_WR)
            while True:
                more = c.recv(65536)
                if not more:
                    break
                got += more
        except ConnectionError:
            pass
    if not got:
        return 0, {}, ""
    head, _, body = got.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    fields = dict(line.lower().split(": ", 1) for line in lines[1:])
    return int(lines[0].split()[1]), fields, body.decode()


def read(text):
    """{family: {labels: value}} by a reader of our own, as strict as the format is."""
    families, name = {}, None
    for line in text.split("\n")[:-1]:
        if line.startswith("# HELP "):
            name = line.split()[2]
            assert name not in families, "twice: " + name
            families[name] = {}
        elif line.startswith("# TYPE "):
            assert line.split()[2] == name and line.split()[3] in ("counter", "gauge", "histogram"), line
        else:
            m = re.fullmatch(r'([a-z_]+[a-z0-9_]*)(\{([a-z_]+="([^"\\\n]|\\["\\n])*",?)+\})? ([0-9.e+-]+|\+Inf)', line)
            assert m and m[1] in (name, name + "_bucket", name + "_sum", name + "_count"), line
            assert m[1] + (m[2] or "") not in families[name], "twice: " + line
            families[name][m[1] + (m[2] or "")] = float(m[5])
    return families


def exposition(s):
    code, fields, text = fetch(s.port["metrics"])
    equal((code, fields["content-type"], fields["content-length"]),
          (200, "text/plain; version=0.0.4; charset=utf-8", str(len(text.encode()))), "GET /metrics")
    families = read(text)
    check(len(families) > 30, "there are families of all kinds", list(families))
    sample = lambda start, *parts: [v for f in families.values() for n, v in f.items()
                                    if n.startswith(start + "{") and all(p in n for p in parts)]
    equal(sample("kurir_hook_verdicts_total", 'instance="accounts"', 'hook="rcpt"', 'verdict="accept"'), [3], "accepted recipients")
    equal(sample("kurir_hook_verdicts_total", 'instance="hooks_rogue/calm"', 'hook="mail"', 'verdict="next"', 'role="edge"'), [3],
          "an isolated module is seen from outside")
    equal(sample("kurir_hook_seconds_count", 'instance="hooks_rogue/calm"', 'hook="mail"', 'role="worker"'), [4], "and from within")
    equal(sample("kurir_hook_errors_total", 'instance="hooks_rogue/calm"', 'hook="mail"', 'role="edge"'), [1], "its error is one")
    equal(sample("kurir_queue_fates_total", 'fate="accepted"'), [3], "the queue's counts")
    equal(sample("kurir_module_smtp_messages_total", 'instance="smtp"'), [3], "a module's counter")
    equal(sample("kurir_process_up_seconds", 'module="hooks_rogue/calm"') != [], True, "the worker's process has its name")
    for name, values in families["kurir_hook_seconds"].items():
        if name.startswith("kurir_hook_seconds_count"):
            labels = name[len("kurir_hook_seconds_count{"):-1]
            steps = [v for n, v in families["kurir_hook_seconds"].items() if n.startswith("kurir_hook_seconds_bucket{" + labels)]
            if steps != sorted(steps) or steps[-1] != values:
                check(False, "a histogram grows up to its count", name, steps)
    if text_string_to_metric_families is None:
        check(True, "the parser of Prometheus # SKIP no python3-prometheus-client")
    else:
        parsed = {f.name: f for f in text_string_to_metric_families(text)}
        equal({f.type for f in parsed.values()}, {"counter", "gauge", "histogram"}, "the parser of Prometheus reads it")
        equal(sum(len(f.samples) for f in parsed.values()), sum(len(f) for f in families.values()), "and finds each sample")
    if shutil.which("promtool"):
        said = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
        equal((said.returncode, said.stderr), (0, ""), "promtool has nothing to say")
    return families


def dashboard(families):
    with open(os.path.join(SRC, "contrib/grafana/kurir.json"), encoding="utf-8") as f:
        asked = {e for panel in json.load(f)["panels"] for t in panel["targets"] for e in re.findall(r"kurir_[a-z0-9_]+", t["expr"])}
    there = set(families) | {n + e for n in families for e in ("_bucket", "_sum", "_count")}
    check(len(asked) > 10 and asked <= there, "the dashboard asks for what there is", asked - there)


def refused(s):
    port = s.port["metrics"]
    for request, code in ((b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 404), (b"GET /metrics/../x HTTP/1.1\r\nHost: x\r\n\r\n", 404),
                          (b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 405),
                          (b"GET /metrics HTTP/1.1\r\n\r\n", 400), (b"GET /metrics HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
                          (b"GET /metrics HTTP/2.0\r\n\r\n", 505), (b"GET /metrics\r\n\r\n", 400), (b"\x16\x03\x01\0\r\n\r\n", 400),
                          (b"GET /met\0rics HTTP/1.1\r\n\r\n", 400), (b"GET /metrics HTTP/1.1\r\nHost x\r\n\r\n", 400),
                          (b"GET /" + b"x" * 10000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
                          (b"GET /metrics HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", 431)):
        equal(fetch(port, request)[0], code, "%r is answered %d" % (request[:40], code))
    for request, code in ((b"GET /metrics?x=y HTTP/1.0\r\n\r\n", 200), (b"GET http://x:1/metrics HTTP/1.1\r\nHost: x:1\r\n\r\n", 200),
                          (b"GET /metrics HTTP/1.1\nhost: x\n\n", 200)):
        equal(fetch(port, request)[0], code, "%r is answered %d" % (request[:40], code))
    code, fields, body = fetch(port, b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    check(code == 200 and int(fields["content-length"]) > 1000 and body == "", "HEAD has no body", code, fields)
    equal(fetch(port, b"GET /metr", half=True)[0], 0, "who is silent is told nothing, and does not stay")
    equal(fetch(port, b"")[0], 0, "nor who says nothing")
    with socket.create_connection(("127.0.0.1", port)) as deaf:
        deaf.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    c = s.counters("metrics")
    check(c["bad"] >= 14 and c["requests"] >= 5, "all is counted", c)


def elsewhere(s):
    s.stop()
    s.networks = {"networks": "192.0.2.0/24"}
    s.start()
    equal(fetch(s.port["metrics"])[0], 403, "who is in none of the networks is told so")
    equal(s.counters("metrics")["refused"], 1, "and counted")
    with socket.socket(socket.AF_UNIX) as c:
        c.connect(path("metrics.sock"))
        c.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        check(c.recv(100).startswith(b"HTTP/1.1 200 "), "on a Unix socket files' rights say who may ask")


def status(s):
    text = subprocess.run([KURIRCTL, "-c", s.conf, "status"], capture_output=True, text=True, check=True).stdout
    check(re.search(r"^worker +0 .* hooks_rogue/calm$", text, re.M), "status names the module of a worker", text)
    check(re.search(r"^rcpt +accounts +3 +0 +0 +[0-9.]+ [um]?s +[0-9.]+ [um]?s$", text, re.M), "and has what hooks took", text)
    hooks = {(h["role"], h["instance"], h["hook"]): h for h in s.ctl("status")["hooks"]}
    h = hooks["edge", "accounts", "rcpt"]
    check(h["calls"] == 3 and h["verdicts"]["accept"] == 3 and 0 < h["p50-us"] <= h["p99-us"], "for programs, too", h)


def main():
    s = Told(single=False)
    for n in range(3):
        with smtplib.SMTP("127.0.0.1", s.port["mx"], timeout=60) as c:
            c.sendmail("you@dua.example", ["hyd@satu.example"], "Subject: %d\r\n\r\nx\r\n" % n)
    with smtplib.SMTP("127.0.0.1", s.port["mx"], timeout=60) as c:
        c.ehlo("x")
        equal(c.mail("error@dua.example")[0], 451, "a module that cannot decide")
    wait_until(lambda: s.ctl("ledger")["delivered"] == 3, 60, "all is delivered")
    families = exposition(s)
    dashboard(families)
    status(s)
    refused(s)
    elsewhere(s)
    equal(s.stop(), 0, "the server ends well")
    done()


main()
