#!/usr/bin/env python3
"""Broken configurations, and the reports they must get.

Each tests/conf/broken/*.case holds cases:

    === what is wrong
    the text of kurir.json
    --- another.json 0640
    the text of another file, and its mode when it matters
    >>>
    kurir.json:3:7: /json/pointer: the report, exactly

@core stands for the two options that every configuration needs, @certificate for
a certificate, @here for a state folder that exists and our modules, <<certificate>>, <<key>> and <<other key>> for PEM, <<ff>> for that byte, DIR for the folder of the case and MODULES
for that of the test modules.  "run.py --update" writes what is reported now.
"""
import glob
import os
import re
import subprocess
import sys
import tempfile

SRC = os.environ.get("top_srcdir", os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
BUILD = os.environ.get("top_builddir", os.path.join(SRC, "build"))
KURIRD = os.environ.get("KURIRD", os.path.join(BUILD, "kurird"))
CHECK = os.environ.get("KURIRD_CHECK", KURIRD + " --check -c").split()
MODULES = os.environ.get("TEST_MODULES", os.path.join(BUILD, "tests/modules"))
PEM = {}
SHORT = {
    b"@core": b'"version": 1, "hostname": "mx.example"',
    b"@certificate": b'"tls": {"certificates": [{"certificate": "c.pem", "key": "k.pem"}]}',
    b"@here": b'"state": ".", "module-path": "%s"' % os.path.realpath(BUILD).encode(),
}


def read(path):
    """The cases of a file: (title, [(name, mode, text)], expected)."""
    with open(path, "rb") as f:
        parts = re.split(rb"^=== (.*)\n", f.read(), flags=re.M)
    for title, body in zip(parts[1::2], parts[2::2]):
        body, _, expected = body.partition(b">>>\n")
        files = re.split(rb"^--- (\S+)(?: (\d+))?\n", body, flags=re.M)
        texts = [(b"kurir.json", b"0600", files[0])]
        texts += list(zip(files[1::3], files[2::3], files[3::3]))
        yield title.decode(), texts, expected


def make_pem():
    """A certificate, its key, and a key that is not."""
    curve = ["-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "-"]
    for certificate, key in ((b"<<certificate>>", b"<<key>>"), (b"", b"<<other key>>")):
        text = subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-subj", "/CN=mx.example"] + curve,
                              capture_output=True, check=True).stdout
        at = text.index(b"-----BEGIN CERTIFICATE")
        PEM.update({key: text[:at], certificate: text[at:]})
    del PEM[b""]


def unpack(text):
    for short, long in list(SHORT.items()) + list(PEM.items()):
        text = text.replace(short, long)
    text = re.sub(rb"<<((?:[0-9a-f]{2})+)>>", lambda m: bytes.fromhex(m[1].decode()), text)
    repeat = re.compile(rb"<<(\d+)\*(.*?)>>")
    return repeat.sub(lambda m: m[2] * int(m[1]), text)


def report(texts):
    env = {"PATH": os.environ["PATH"], "KURIR_MODULE_PATH": MODULES, "HAS_VALUE": "secret"}
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LD_LIBRARY_PATH"):
        if name in os.environ:
            env[name] = os.environ[name]
    with tempfile.TemporaryDirectory() as folder:
        folder = os.path.realpath(folder)
        for name, mode, text in texts:
            path = os.path.join(folder, name.decode())
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as f:
                f.write(unpack(text))
            os.chmod(path, int(mode or b"600", 8))
        run = subprocess.run(CHECK + ["kurir.json"], cwd=folder, env=env, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, timeout=60, check=False)
    out = run.stdout.replace(folder.encode(), b"DIR")
    for modules in (os.path.join(os.path.realpath(MODULES), ".libs"), os.path.realpath(MODULES)):
        out = out.replace(modules.encode(), b"MODULES")
    return run.returncode, out


def show(number, title, expected, got, status):
    if title.endswith("(as root)") and os.geteuid() != 0:
        print("ok %d - %s # SKIP not root" % (number, title))
        return
    good = expected == got and status == 1
    print("%sok %d - %s" % ("" if good else "not ", number, title))
    if not good:
        print("# status %d, expected 1" % status)
        for mark, text in ((b"-", expected), (b"+", got)):
            for line in text.splitlines():
                print("# " + (mark + line).decode("utf-8", "replace"))


def main():
    make_pem()
    update = "--update" in sys.argv
    number = 0
    for path in sorted(glob.glob(os.path.join(SRC, "tests/conf/broken/*.case"))):
        written = []
        for title, texts, expected in read(path):
            number += 1
            status, got = report(texts)
            body = texts[0][2] + b"".join(b"--- " + n + (b" " + m if m else b"") + b"\n" + t for n, m, t in texts[1:])
            written.append(b"=== " + title.encode() + b"\n" + body + b">>>\n" + got)
            if update and status != 1:
                print("# %s: status %d" % (title, status))
            if not update:
                show(number, title, expected, got, status)
        if update:
            with open(path, "wb") as f:
                f.write(b"".join(written))
    print("1..%d" % number)


main()
