#!/usr/bin/env python3
"""The configurations we ship: --check is silent, and --schema agrees in an independent validator's eyes."""
import glob
import json
import os
import re
import subprocess
import tempfile

try:
    import jsonschema
except ImportError:
    jsonschema = None

SRC = os.environ.get("top_srcdir", os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
BUILD = os.environ.get("top_builddir", os.path.join(SRC, "build"))
KURIRD = os.environ.get("KURIRD", os.path.join(BUILD, "kurird"))
ENV = dict(os.environ, KURIR_MODULE_PATH=BUILD)
BROKEN = [  # what a schema must refuse
    {}, {"version": 1}, {"version": 9, "hostname": "a"}, {"version": 1, "hostname": "a", "hostnam": "b"},
    {"version": 1, "hostname": "a", "log": {"level": "loud"}},
    {"version": 1, "hostname": "a", "limits": {"drain": "5 minutes"}},
    {"version": 1, "hostname": "a", "limits": {"drain": 300}},
    {"version": 1, "hostname": "a", "limits": {"memory": "1GB"}},
    {"version": 1, "hostname": "a", "processes": {"edge": 0}},
    {"version": 1, "hostname": "a", "listeners": {"x": {"protocol": "p"}}},
    {"version": 1, "hostname": "a", "tls": {"certificates": [{"key": "k"}]}},
    {"version": 1, "hostname": "a", "modules": {"Smtp": {}}},
    {"version": 1, "hostname": "a", "modules": {"smtp": {"nonsense": 1}}},
    {"version": 1, "hostname": "a", "modules": {"smtp/x": {"on-error": "panic"}}},
]


def plain(text):
    """JSON without comments and trailing commas."""
    token = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.S)
    text = token.sub(lambda m: m[1] or " ", text)
    token = re.compile(r'("(?:\\.|[^"\\])*")|,(?=\s*[}\]])')
    return json.loads(token.sub(lambda m: m[1] or "", text))


def run(*args, **env):
    return subprocess.run([KURIRD] + list(args), env=dict(ENV, **env), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)


def show(number, good, what, lines=()):
    print("%sok %d - %s" % ("" if good else "not ", number, what))
    for line in lines if not good else ():
        print("# " + line)


def accepted(validator, value):
    return not list(validator.iter_errors(value))


def examples():
    """(manual page, configuration) of each EXAMPLE; what the page leaves out is filled in."""
    for page in sorted(glob.glob(os.path.join(SRC, "modules/*/*.5")) + [os.path.join(SRC, "doc/kurir.json.5")]):
        with open(page, encoding="utf-8") as f:
            text = re.search(r"^\.Sh EXAMPLE\n.*?^\.Bd -literal.*?\n(.*?)^\.Ed", f.read(), re.M | re.S)[1]
        text = text.replace("\\e", "\\").replace("\\&", "")
        yield page, text if text.startswith("{") else '{"version": 1, "hostname": "mx.example", %s}' % text


def good_examples(validator):
    for page, text in examples():
        try:
            errors = [e.message for e in validator.iter_errors(plain(text))]
        except ValueError as e:
            errors = [str(e)]
        yield from ("%s: %s" % (os.path.relpath(page, SRC), e) for e in errors)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as f:
        f.write(dict(examples())[os.path.join(SRC, "doc/kurir.json.5")])
        f.flush()
        yield from run("--check", "-c", f.name).stdout.decode("utf-8", "replace").splitlines()


def strays():
    """What somebody sees who begins with the wrong file or folder."""
    with tempfile.TemporaryDirectory() as folder:
        absent, conf = os.path.join(folder, "absent.json"), os.path.join(folder, "kurir.json")
        with open(conf, "w") as f:
            json.dump({"version": 1, "hostname": "a", "module-path": folder, "modules": {"smtp": {}}}, f)
        for what, words, text in (
                ("no file", ["-c", absent], "cannot read %s: No such file or directory (another: -c FILE)\n" % absent),
                ("no modules", ["-c", conf], "%s:1:77: /modules/smtp: there is no module \"smtp\", nor any other, "
                 "in the module path: build/.libs (not absolute), %s\n" % (conf, folder))):
            said = run("--check", *words, KURIR_MODULE_PATH="build/.libs").stdout.decode()
            said = re.sub(r":1:\d+:", ":1:77:", said)
            yield from [] if said == text else [what, said, text]


def main():
    paths = sorted(glob.glob(os.path.join(SRC, "config/*.json")) + glob.glob(os.path.join(SRC, "config/demo/*.json")))
    print("1..%d" % (2 * len(paths) + 3))
    wrong = list(strays())
    number = 1
    show(number, not wrong, "a wrong file and a wrong folder are named", wrong)
    for path in paths:
        number += 1
        done = run("--check", "-c", path)
        show(number, done.returncode == 0 and not done.stdout, "--check of " + os.path.relpath(path, SRC),
             done.stdout.decode("utf-8", "replace").splitlines() + ["status %d" % done.returncode])
    if not jsonschema:
        for number in range(number + 1, 2 * len(paths) + 4):
            print("ok %d # SKIP no python3-jsonschema" % number)
        return
    schema = json.loads(run("--schema").stdout)
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)
    for path in paths:
        number += 1
        with open(path, encoding="utf-8") as f:
            errors = [e.message for e in validator.iter_errors(plain(f.read()))]
        show(number, not errors, "--schema takes " + os.path.relpath(path, SRC), errors)
    wrong = [json.dumps(b) for b in BROKEN if accepted(validator, b)]
    show(number + 1, not wrong, "--schema refuses what is broken", wrong)
    wrong = list(good_examples(validator))
    show(number + 2, not wrong, "the examples of the manual pages are good", wrong)


main()
