#!/usr/bin/env python3
"""certificates.py - a certificate that is replaced under a running, sandboxed server."""

import os
import socket
import ssl
import subprocess

from netlib import check, done, equal, free_port, path, skip_all, start, wait_until, write

BUILD = os.environ.get("top_builddir", "build")
os.environ["KURIR_MODULE_PATH"] = os.path.join(BUILD, ".libs")
port = free_port()


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
	                     "pipeline": "inbound"}},
	"pipelines": {"inbound": ["accounts"]},
	"modules": {"smtp": {}, "accounts": {"domains": ["satu.example"]}, "queue_journal": {}}
}
""" % (users, port))
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
    server.terminate()
    check(server.wait(30) == 0, "the server stops", log())


try:
    replace()
except AssertionError as e:
    check(False, str(e), *log().splitlines()[-20:])
done()
