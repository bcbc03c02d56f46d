#!/usr/bin/env python3
"""The layout of the public structs: sizes and offsets are those in tests/abi/layout.

A member may be appended and nothing else may change, so every recorded line must stay true
but for the sizes of structs that only grow.  `layout.py --update` records new lines."""
import os
import re
import subprocess
import sys
import tempfile
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lint"))
from source import Laws, ROOT, bare, files, read  # noqa: E402

RECORD = os.path.join(ROOT, "tests/abi/layout")
# Embedded by value in module code, so that they may not even grow.
BY_VALUE = {"kurir_str", "kurir_buf", "kurir_mark", "kurir_texts", "kurir_map", "kurir_pair",
            "kurir_field", "kurir_option", "kurir_service", "kurir_path"}


def structs(path):
    """Yields struct and member names of one header."""
    text = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", " ", bare(read(path)), flags=re.M)
    for match in re.finditer(r"^struct\s+(kurir_\w+)\s*\{(.*?)^\}", text, re.M | re.S):
        members = []
        body = re.sub(r"\{[^{}]*\}", " ", match.group(2))
        for part in body.split(";"):
            part = re.sub(r"\bKURIR_\w+(\(\d+\))?|__attribute__\(\(.*?\)\)", " ", part).strip()
            if not part:
                continue
            pointer = re.search(r"\(\s*\*\s*(?:const\s+)?(\w+)\s*\)\s*\(", part)
            if pointer:
                members.append(pointer.group(1))
                continue
            if re.search(r":\s*\d+", part):
                continue    # a bit field has no offset
            for name in part.split(","):
                name = re.sub(r"\[.*\]", "", name).strip()
                members.append(re.search(r"(\w+)$", name).group(1))
        yield match.group(1), members


def measure():
    lines = ["#include <stddef.h>", "#include <stdio.h>"]
    body = []
    for path in files("include", ends=(".h",)):
        lines.append(f"#include <{path[len('include/'):]}>")
        for struct, members in structs(path):
            body.append(f'printf("{struct} %zu\\n", sizeof(struct {struct}));')
            body += [f'printf("{struct}.{m} %zu %zu\\n", offsetof(struct {struct}, {m}), '
                     f"sizeof(((struct {struct} *)0)->{m}));" for m in members]
    lines += ["int main(void)", "{", *body, "return 0;", "}"]
    with tempfile.TemporaryDirectory() as folder:
        source, program = os.path.join(folder, "layout.c"), os.path.join(folder, "layout")
        with open(source, "w", encoding="utf-8") as f:
            f.write("\n".join(lines) + "\n")
        subprocess.run(["cc", "-std=gnu11", "-I", os.path.join(ROOT, "include"), source, "-o",
                        program], check=True)
        return subprocess.run([program], check=True, capture_output=True,
                              text=True).stdout.splitlines()


def changes(recorded, real):
    now = dict(line.split(" ", 1) for line in real)
    for line in recorded:
        name, value = line.split(" ", 1)
        grows = "." not in name and name not in BY_VALUE
        if name not in now:
            yield f"{name} is gone"
        elif now[name] != value and not (grows and int(now[name]) > int(value)):
            yield f"{name}: was {value}, is {now[name]}"


found = measure()
if "--update" in sys.argv:
    with open(RECORD, "w", encoding="utf-8") as f:
        f.write("\n".join(found) + "\n")
    sys.exit(0)
laws = Laws()
laws.law("public structs keep their layout",
         changes(open(RECORD, encoding="utf-8").read().splitlines(), found))
known = {line.split(" ")[0] for line in open(RECORD, encoding="utf-8")}
laws.law("every public struct is recorded (layout.py --update)",
         (line for line in found if line.split(" ")[0] not in known))
laws.done()
