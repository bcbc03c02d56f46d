#!/usr/bin/env python3
"""Who may include what."""
import os
import re
from source import Laws, ROOT, files, read

INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]*([<\"])([^>\"]+)[>\"]", re.M)
laws = Laws()
SHARED = ("mime/", "sasl/", "sqlfile/")  # folders of modules/ that are libraries of the others


def includes(*folders):
    for path in files(*folders):
        text = read(path)
        for match in INCLUDE.finditer(text):
            yield path, text.count("\n", 0, match.start()) + 1, match.group(1), match.group(2)


def modules():
    core = {os.path.basename(p) for p in files("core", ends=(".h",))}
    for path, line, kind, name in includes("modules"):
        folder = os.path.dirname(path)
        if kind == '"':
            own = os.path.normpath(os.path.join(folder, name))
            if not own.startswith(folder + "/") or not os.path.exists(os.path.join(ROOT, own)):
                yield f"{path}:{line}: \"{name}\" is not a header of this module"
        elif name.startswith("kurir/"):
            if not os.path.exists(os.path.join(ROOT, "include", name)):
                yield f"{path}:{line}: <{name}> is not a public header"
        elif name.startswith(SHARED):
            if not os.path.exists(os.path.join(ROOT, "modules", name)):
                yield f"{path}:{line}: <{name}> is not a header of a library of modules"
        elif name in core and not os.path.exists("/usr/include/" + name):
            yield f"{path}:{line}: <{name}> is a header of the core"


laws.law("modules include public headers and their own", modules())
laws.law("public headers include public and system headers",
         (f"{p}:{n}: \"{name}\"" for p, n, kind, name in includes("include")
          if kind == '"'))
laws.law("only core/modload.c includes ltdl.h",
         (f"{p}:{n}" for p, n, _, name in includes("core", "modules", "include")
          if name == "ltdl.h" and p != "core/modload.c"))

# Upwards only: what every session runs through, what mail modules share, then the rest.
ABOVE = {"core": {"core/mail", "core/worker", "core/process", "core/control"},
         "core/mail": {"core/worker", "core/process", "core/control"},
         "core/worker": {"core/process", "core/control"},
         "core/config": {"core/process", "core/control"}}
home = {os.path.basename(p): os.path.dirname(p) for p in files("core", ends=(".h",))}
laws.law("a folder of the core includes nothing of the folders above it",
         (f"{p}:{n}: {home[name]}/{name}" for p, n, kind, name in includes("core")
          if kind == '"' and home.get(name) in ABOVE.get(os.path.dirname(p), ())))
laws.law("every header is guarded by its name", (
    path for path in files("core", "modules", "include", ends=(".h",))
    if not re.search(r"^#ifndef \w+_H\n#define \w+_H\n", read(path), re.M)))
laws.done()
