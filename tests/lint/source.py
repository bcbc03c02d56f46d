"""source.py - what the laws share: the list of sources, C without comments, functions, TAP."""
import os
import re
import subprocess
import sys

ROOT = os.environ.get("top_srcdir", ".")
BUILD = os.environ.get("top_builddir", ROOT)
CORE = ["core", "core/mail", "core/config", "core/process", "core/control", "core/worker"]


def files(*folders, ends=(".c", ".h")):
    """Paths below the root, sorted."""
    found = []
    for folder in folders:
        for path, below, names in os.walk(os.path.join(ROOT, folder)):
            below[:] = sorted(b for b in below if not b.startswith("."))
            found += [os.path.relpath(os.path.join(path, n), ROOT)
                      for n in names if n.endswith(ends) and not n.startswith(".")]
    return sorted(found)


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as f:
        return f.read()


TOKEN = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.S)


def bare(text):
    """C with comments and the insides of strings blanked; lines stay where they are."""
    def blank(match):
        word = match.group()
        if word[0] in "\"'":
            return word[0] + " " * (len(word) - 2) + word[0]
        return re.sub(r"[^\n]", " ", word)
    return TOKEN.sub(blank, text)


class Function:
    def __init__(self, path, line, head, body):
        self.path, self.line, self.head, self.body = path, line, head, body
        plain = re.sub(r"\b(KURIR_\w+|__attribute__)\s*(\(\(.*?\)\)|\(\d+\))?", " ", head)
        match = re.search(r"(\w+)\s*\(", plain)
        self.name = match.group(1) if match else "?"
        self.static = re.search(r"\bstatic\b", head) is not None
        self.lines = body.count("\n") + 1


def functions(path, text=None):
    """The functions of one file, which has the form that clang-format gives it."""
    lines = bare(read(path) if text is None else text).split("\n")
    found, i = [], 0
    while i < len(lines):
        if lines[i].rstrip() != "{":
            i += 1
            continue
        start = i
        while start > 0 and lines[start - 1].strip() and lines[start - 1][0] not in "#}" \
                and not lines[start - 1].rstrip().endswith((";", "\\")):
            start -= 1
        end = i
        while end < len(lines) - 1 and not lines[end].startswith("}"):
            end += 1
        head = " ".join(lines[start:i])
        if "(" in head:
            found.append(Function(path, start + 1, head, "\n".join(lines[i:end + 1])))
        i = end + 1
    return found


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    return done.returncode, done.stdout + done.stderr


class Laws:
    """TAP: one point a law, the offences as diagnostics."""

    def __init__(self):
        self.count, self.broken = 0, False

    def law(self, name, offences):
        self.count += 1
        offences = list(offences)
        print(f"{'not ok' if offences else 'ok'} {self.count} - {name}")
        for line in offences[:60]:
            print("# " + str(line).replace("\n", "\n# "))
        if len(offences) > 60:
            print(f"# and {len(offences) - 60} more")
        self.broken |= bool(offences)

    def skip(self, name, why):
        self.count += 1
        print(f"ok {self.count} - {name} # SKIP {why}")

    def done(self):
        print(f"1..{self.count}")
        sys.exit(1 if self.broken and os.environ.get("LINT_SELFTEST") else 0)
