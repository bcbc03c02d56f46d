#!/usr/bin/env python3
"""certificates.py - a certificate that is replaced under a running, sandboxed server."""

import json
import os
import signal
import socket
import ssl
import subprocess

from netlib import check, done, equal, free_port, path, skip_all, start, wait_until, write

BUILD = os.environ.get("top_builddir", "build")
os.environ["KURIR_MODULE_PATH"] = os.path.join(BUILD, ".libs")
port = free_port()
plain = free_port()


def make(name):
    """A new pair in the place of the old one, for root only, as an ACME client leaves it."""
    new = [path("new.crt"), path("new.key")]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=" + name,
                    "-addext", "subjectAltName=DNS:mx.satu.example",
                    "-keyout", new[1], "-out", new[0]], check=True, stderr=subprocess.DEVNULL)
    os.chmod(new[1], 0o600)
    with open(new[0]) as f:
        pem = f.read()
    os.rename(new[0], path("mx.crt"))
    os.rename(new[1], path("mx.key"))
    return ssl.PEM_cert_to_DER_cert(pem)


def seen():
    """The certificate that is shown now, or why there is none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection(("127.0.0.1", port), 10) as s, \
                context.wrap_socket(s, server_hostname="mx.satu.example") as t:
            return t.getpeercert(True)
    except OSError as e:
        return str(e)


try:
    first = make("first")
except FileNotFoundError:
    skip_all("no openssl program")
users = '"users": {"default": 64120, "edge": 64121},' if os.geteuid() == 0 else ""
write("kurir.json", """{
	"version": 1, "hostname": "mx.satu.example", "state": "state", "run": "run", %s
	"sandbox": "best-effort", "processes": {"edge": 2},
	"tls": {"certificates": [{"certificate": "mx.crt", "key": "mx.key"}]},
	"listeners": {"mx": {"protocol": "smtp", "address": "127.0.0.1:%d", "tls": "implicit",
	                     "pipeline": "inbound"},
	              "plain": {"protocol": "smtp", "address": "127.0.0.1:%d", "tls": "none",
	                        "pipeline": "inbound"}},
	"pipelines": {"inbound": ["accounts"]},
	"modules": {"smtp": {}, "accounts": {"domains": ["satu.example"]}, "queue_journal": {}}
}
""" % (users, port, plain))
os.chmod(path("."), 0o755)
server = start([os.path.join(BUILD, "kurird"), "-c", path("kurir.json")], "log")


def log():
    with open(path("log")) as f:
        return f.read()


def replace():
    wait_until(lambda: "is serving" in log(), 60, "the server serves")
    equal(seen() == first, True, "the first certificate is shown")
    second = make("second")
    wait_until(lambda: log().count("replaced certificate is in use") == 2, 30,
               "both edge processes have taken the second one")
    equal([seen() == second for _ in range(4)], [True] * 4, "the second certificate is shown")
    write("mx.key", "nonsense")
    wait_until(lambda: log().count("going on with the old certificate") == 2, 30,
               "a broken key is refused")
    equal([seen() == second for _ in range(4)], [True] * 4, "the second certificate goes on")
    third = make("third")
    wait_until(lambda: log().count("replaced certificate is in use") == 4, 30,
               "a whole pair is taken again")
    equal(seen() == third, True, "the third certificate is shown")


def ctl(*args):
    return subprocess.run([os.path.join(BUILD, "kurirctl"), "-c", path("kurir.json"), "--json"] + list(args),
                          capture_output=True, text=True, timeout=60, check=False)


def edges():
    """Those that serve."""
    told = ctl("status")
    return {p["pid"] for p in json.loads(told.stdout)["processes"] if p["role"] == "edge" and p["state"] == "ready"} \
        if told.returncode == 0 else set()


def killed_meanwhile():
    """The edge dies between the two renames of a replacement, again and again: there is no pair to be had."""
    write("mx.key", "nonsense")
    for _ in range(2):
        old = edges()
        for pid in old:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda o=old: len(edges()) == 2 and not edges() & o, 30, "both edge processes are back")
    check(log().count("certificate-unusable") == 4, "the log says what is missing", log())
    with socket.create_connection(("127.0.0.1", plain), 10) as s:
        check(s.recv(100).startswith(b"220 "), "who needs no certificate is served")
    check(isinstance(seen(), str), "who needs one is not, for now", seen())
    refused = ctl("reload")
    check(refused.returncode == 1 and "there is no usable key" in refused.stdout + refused.stderr,
          "a reload is refused for that reason", refused)
    whole = make("fourth")
    wait_until(lambda: [seen() == whole for _ in range(4)] == [True] * 4, 30, "a whole pair is taken")
    check(True, "a whole pair is taken by processes that had none")


def stop():
    server.terminate()
    check(server.wait(30) == 0, "the server stops", log())


try:
    replace()
    killed_meanwhile()
    stop()
except AssertionError as e:
    check(False, str(e), *log().splitlines()[-20:])
done()
