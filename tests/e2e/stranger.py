#!/usr/bin/env python3
"""The way of somebody who has an installed Kurir and wants a module: made, changed, built, tested,
installed, enabled in a running server, and seen at work.  installed.sh has installed it in $ROOT."""
import json
import os
import shutil
import smtplib
import subprocess

from netlib import KURIRCTL, Server, check, cleanup, done, free_port, path, wait_until, write

ROOT = os.environ["ROOT"]
MODULES = os.path.join(ROOT, "lib/kurir")
ENV = dict(os.environ, PKG_CONFIG_PATH=os.path.join(ROOT, "lib/pkgconfig"), LD_LIBRARY_PATH=MODULES)
for name in ("KURIR_MODULE_PATH", "MAKEFLAGS", "MAKELEVEL", "top_builddir"):
    ENV.pop(name, None)
# A tree that was not installed where it says: pkg-config goes by where its file is.
MAKE = ["make", "PKG_CONFIG=pkg-config --define-prefix"]


def run(*argv, folder=path("warn")):
    made = subprocess.run(argv, cwd=folder, env=ENV, capture_output=True, text=True, timeout=300, check=False)
    return made.returncode, made.stdout + made.stderr


def edit(name, *changes):
    with open(path("warn/" + name), encoding="utf-8") as f:
        text = f.read()
    for old, new in changes:
        assert old in text, (name, old)
        text = text.replace(old, new)
    with open(path("warn/" + name), "w", encoding="utf-8") as f:
        f.write(text)


def build():
    status, said = run(KURIRCTL, "module", "new", "warn", folder=os.path.dirname(path("warn")))
    check(status == 0 and os.path.exists(path("warn/warn.c")), "kurirctl module new", said)
    status, said = run(KURIRCTL, "module", "new", "warn", folder=os.path.dirname(path("warn")))
    check(status == 1 and "File exists" in said, "what is there is not touched", said)
    status, said = run(KURIRCTL, "module", "new", "No-name", folder=os.path.dirname(path("warn")))
    check(status == 2 and "a-z" in said, "a name that cannot be is refused", said)
    status, said = run(*MAKE, "check")
    check(status == 0 and "ok 1 - warn.scn" in said and "warning" not in said, "as it comes, it is built and passes",
          said)
    edit("warn.c", ("550, \"5.7.1\", \"You are not welcome\"", "450, \"4.7.1\", \"Ask by telephone\""),
         ("return KURIR_REJECT;", "return KURIR_DEFER;"), ("\"0.1\"", "\"0.2\""),
         ("\"Senders that are refused.\"", "\"Senders that have to ask before.\""),
         ("\"Refuses some senders\"", "\"Wants to be asked\""))
    status, said = run(*MAKE, "check")
    check(status != 0 and 'expected "550 5.7.1 You are not welcome", got "450 4.7.1 Ask by telephone"' in said,
          "five lines later, its test says what is different", said)
    edit("warn.scn", ("550 5.7.1 You are not welcome", "450 4.7.1 Ask by telephone"), ("mail reject", "mail defer"))
    status, said = run(*MAKE, "check", "torture", "fuzz")
    check(status == 0 and "ok 1 - warn.scn, waits that fail" in said and "ok 1 - warn.scn, other bytes" in said,
          "make check, make torture, make fuzz", said)
    if shutil.which("mandoc"):
        status, said = run("mandoc", "-Tlint", "-Wwarning", "kurir-warn.5")
        check(status == 0, "its manual page is one", said)
    status, said = run(KURIRCTL, "module", "info", "./warn.so")
    check(status == 0 and "warn 0.2 - Wants to be asked" in said and "hooks: mail\n" in said and
          "Senders that have to ask before." in said, "kurirctl module info", said)
    status, said = run(*MAKE, "install")
    check(status == 0 and os.path.exists(os.path.join(MODULES, "warn.so")), "make install", said)


class Installed(Server):
    """First without the module."""

    def start(self):
        self.port = free_port()
        self.more = self.conf_with(["accounts"], {})
        super().start()

    def conf_with(self, pipeline, modules):
        return {"listeners": {"in": {"protocol": "smtp", "address": "127.0.0.1:%d" % self.port, "pipeline": "in"}},
                "pipelines": {"in": pipeline}, "module-path": [MODULES], "modules": dict(self.modules, **modules)}

    def enable(self):
        with open(self.conf, encoding="utf-8") as f:
            conf = json.load(f)
        conf.update(self.conf_with(["warn", "accounts"], {"warn": {"refuse": ["paijo@dua.example"]}}))
        write(self.name + ".json", json.dumps(conf))
        return self.ctl("reload")


def mail(port, sender):
    """The answers to MAIL and, if there is one, to the message."""
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as c:
        c.ehlo()
        answers = [c.mail(sender)]
        if answers[0][0] == 250:
            answers += [c.rcpt("hyd@satu.example"), c.data(b"Subject: hello\r\n\r\nHello\r\n")]
        return answers


def serves(port):
    """The generation that knows the module; the one before sends away who comes."""
    try:
        return mail(port, "paijo@dua.example")[0][0] == 450
    except (OSError, smtplib.SMTPException):
        return False


def serve():
    s = Installed({"smtp": {}, "queue_journal": {},
                   "accounts": {"domains": ["satu.example"], "mailboxes": ["hyd@satu.example"]}}, single=False)
    check(mail(s.port, "paijo@dua.example")[-1][0] == 250, "without it everybody may send")
    answer = s.enable()
    check("error" not in answer, "enabled in the configuration, and reloaded", answer)
    wait_until(lambda: serves(s.port), 60, "the new one serves")
    answers = mail(s.port, "paijo@dua.example")
    check(answers[0] == (450, b"4.7.1 Ask by telephone"), "it answers", answers)
    answers = mail(s.port, "budi@dua.example")
    check(answers[-1][0] == 250, "and lets others pass", answers)

    def told():
        """Events are told to the control process by and by."""
        said = subprocess.run([KURIRCTL, "-c", s.conf, "explain", "paijo@dua.example"], capture_output=True, text=True,
                              timeout=60, check=False).stdout
        return said if "Ask by telephone" in said else None
    said = wait_until(told, 60, "kurirctl explain knows of it")
    check("mail      defer" in said and "450/4.7.1: Ask by telephone [warn]" in said,
          "kurirctl explain tells of it", said)
    loaded = [m for m in s.ctl("modules") if m.get("name") == "warn"]
    check(loaded and loaded[0]["file"] == os.path.join(MODULES, "warn.so"), "kurirctl modules has it", loaded)
    s.stop()


def main():
    try:
        build()
        serve()
    finally:
        if os.path.isdir(path("warn")):
            status, said = run(*MAKE, "uninstall", "clean")
            check(status == 0 and not os.path.exists(os.path.join(MODULES, "warn.so")), "make uninstall", said)
    cleanup()
    done()


main()
