#!/usr/bin/env python3
"""KURIR_PARKS: what calls a parking function is one, and says so.

The mark is trailing in prototypes and members, leading in definitions.  A name is looked up
as the linker would: static in its file, then in its folder, then in the public headers."""
import os
import re
from source import Laws, bare, files, functions, read

PARKS = "KURIR_PARKS"
WORDS = {"if", "for", "while", "switch", "return", "sizeof", "do", "else"}
CALL = re.compile(r"(->|\.)?\s*\b([A-Za-z_]\w*)\s*\(")
MEMBER = re.compile(r"\(\s*\*\s*(\w+)\s*\)\s*\(")
PROTOTYPE = re.compile(r"(\w+)\s*\(")


def statements(text):
    """Declarations outside of function bodies, roughly: what stands between ; { and }."""
    text = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", " ", text, flags=re.M)
    return re.split(r"[;{}]", text)


def scope(path):
    return "include" if path.startswith("include/") else os.path.dirname(path)


parking, members, plain_members, own_members = {}, {}, set(), {}
defined = []
for path in files("include", "core", "modules", "contrib"):
    text = bare(read(path))
    for part in statements(text):
        member = MEMBER.search(part)
        if member and "typedef" not in part:
            if PARKS in part[member.end():]:
                members[member.group(1)] = path
            elif path.endswith(".h"):
                plain_members.add(member.group(1))
            else:
                own_members.setdefault(path, set()).add(member.group(1))
        elif PARKS in part:
            head = re.sub(r"\bKURIR_(API|PARKS|FMT\(\d+\))|__attribute__\(\(.*?\)\)", " ", part)
            match = PROTOTYPE.search(head)
            if match:
                where = path if re.search(r"\bstatic\b", head) else scope(path)
                parking.setdefault(where, set()).add(match.group(1))
    if path.endswith(".c"):
        own = functions(path, read(path))
        defined += own
        for f in own:
            if PARKS in f.head:
                parking.setdefault(path if f.static else scope(path), set()).add(f.name)
statics = {}
for f in defined:
    if f.static:
        statics.setdefault(f.path, set()).add(f.name)


def parks(path, name):
    if name in statics.get(path, ()):
        return name in parking.get(path, ())
    return any(name in parking.get(where, ()) for where in (scope(path), "include"))


def offences():
    for f in defined:
        if PARKS in f.head or parks(f.path, f.name):
            continue
        for match in CALL.finditer(f.body):
            member, name = match.groups()
            if name in WORDS or name == f.name:
                continue
            if member:
                guilty = name in members and name not in plain_members \
                    and name not in own_members.get(f.path, ())
            else:
                guilty = parks(f.path, name)
            if guilty:
                line = f.line + f.head.count("\n") + f.body.count("\n", 0, match.start())
                yield f"{f.path}:{line}: {f.name}() calls {name}(), which parks"
                break


laws = Laws()
laws.law("what calls a parking function is one", offences())
laws.done()
