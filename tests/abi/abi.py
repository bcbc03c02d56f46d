#!/usr/bin/env python3
"""Is a module that was built with the frozen headers at home in today's core?

Of both sets of headers a library is made that has every function that they declare, every struct,
member, enum and number; abidiff(1) compares the two.  Only what doc/ABI.md allows passes: new names, members
behind those of a struct that begins with its size, and new enumerators.  That the comparison sees
what it should see is tried with headers that are changed on purpose.

    abi.py              the test
    abi.py OLD NEW      compares two folders of headers"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lint"))
from source import ROOT, bare  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
FROZEN = os.path.join(HERE, "1.0/include")
TODAY = os.path.join(ROOT, "include")
# Numbers that say how much a header has, and grow with it.
COUNTS = {"KURIR_ABI_MINOR", "KURIR_FACTS", "KURIR_ROLE_ALL"}
points = 0


def point(good, name, why=""):
    global points
    points += 1
    print(f"{'ok' if good else 'not ok'} {points} - {name}")
    if not good:
        print("\n".join("# " + line for line in why.splitlines()[:60]))


class Headers:
    """What a folder of headers declares."""

    def __init__(self, folder):
        self.folder = folder
        self.names = sorted(n for n in os.listdir(os.path.join(folder, "kurir")) if n.endswith(".h"))
        self.text = ""
        self.raw = ""
        for name in self.names:
            with open(os.path.join(folder, "kurir", name), encoding="utf-8") as f:
                raw = bare(f.read())
            self.raw += raw
            self.text += re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", " ", raw, flags=re.M)

    def functions(self):
        """Each as the head of its definition: C23 lets parameters be without a name."""
        for part in re.split(r"[;{}]", self.text):
            at = part.find("KURIR_API")
            if at >= 0:
                yield re.sub(r"\bKURIR_(PARKS|FMT|FMT_LIST)\b(\(\d+\))?", "", part[at + 9:]).strip()

    def types(self, kind):
        return re.findall(rf"^{kind}\s+(kurir_\w+)\s*\{{", self.text, re.M)

    def sized(self):
        """Structs that begin with their size, and their members."""
        for name, body in re.findall(r"^struct\s+(kurir_\w+)\s*\{\s*(size_t size;.*?)^\}", self.text,
                                     re.M | re.S):
            for part in re.sub(r"\bKURIR_PARKS\b", "", body).split(";"):
                pointer = re.search(r"\(\s*\*\s*(\w+)\s*\)\s*\(", part)
                for one in [pointer.group(1)] if pointer else re.findall(r"(\w+)\s*(?:,|$)", part.strip()):
                    yield name, one

    def numbers(self):
        """Constants and enumerators; abidiff itself takes two that changed places for equal."""
        found = set(re.findall(r"^[ \t]*#define\s+(KURIR_[A-Z0-9_]+)[ \t]+\(?\d", self.raw, re.M))
        for body in re.findall(r"^enum\s+kurir_\w+\s*\{(.*?)\}", self.text, re.M | re.S):
            found |= {part.split("=")[0].strip() for part in body.split(",")} - {""}
        return sorted(found - COUNTS)

    def library(self, to):
        """A shared object with all of it, and what is needed to compare it."""
        source = to + ".c"
        with open(source, "w", encoding="utf-8") as f:
            f.writelines(f"#include <kurir/{name}>\n" for name in self.names)
            f.writelines(f"{head}\n{{\n\t__builtin_trap();\n}}\n" for head in self.functions())
            sized = list(self.sized())
            f.writelines(f"struct {name} struct_{name};\n" for name in self.types("struct")
                         if name not in dict(sized))
            f.writelines(f"__typeof__(((struct {s} *)0)->{m}) {s}_{m};\n" for s, m in sized)
            f.writelines(f"char enum_{name}[sizeof(enum {name})];\n" for name in self.types("enum"))
            f.writelines(f"char at_{s}_{m}[__builtin_offsetof(struct {s}, {m}) + 1];\n" for s, m in sized)
            f.writelines(f"char is_{n}[{n} + 1];\n" for n in self.numbers())
        built = subprocess.run(["gcc", "-std=gnu2x", "-g", "-O0", "-fPIC", "-shared", "-w", "-I", self.folder,
                                source, "-o", to], capture_output=True, text=True)
        if built.returncode:
            raise SystemExit(f"Bail out! {self.folder} cannot be compiled:\n{built.stderr}")


def allowed(old, new, to):
    """What abidiff shall not mind, in its words."""
    with open(to, "w", encoding="utf-8") as f:
        for name in sorted(dict(old.sized())):    # their members are looked at one by one
            f.write(f"[suppress_type]\n type_kind = struct\n name = {name}\n\n")
        f.write("[suppress_type]\n type_kind = enum\n")    # their enumerators, too


def compare(old_folder, new_folder):
    """What would break modules; empty: nothing."""
    old, new = Headers(old_folder), Headers(new_folder)
    with tempfile.TemporaryDirectory() as tmp:
        libraries = [os.path.join(tmp, "old.so"), os.path.join(tmp, "new.so")]
        old.library(libraries[0])
        new.library(libraries[1])
        rules = os.path.join(tmp, "rules")
        allowed(old, new, rules)
        done = subprocess.run(["abidiff", "--no-default-suppression", "--suppressions", rules,
                               "--no-added-syms", *libraries], capture_output=True, text=True)
    if done.returncode & 3:
        raise SystemExit(f"Bail out! abidiff: {done.stderr}{done.stdout}")
    return done.stdout if done.returncode else ""


def number(folder, name):
    with open(os.path.join(folder, "kurir/module.h"), encoding="utf-8") as f:
        return int(re.search(rf"#define {name} (\d+)", f.read()).group(1))


def released():
    """From the tag of 1.0 on."""
    with open(os.path.join(ROOT, "configure.ac"), encoding="utf-8") as f:
        return int(re.search(r"AC_INIT\(\[[^]]*\], \[(\d+)\.", f.read()).group(1)) >= 1


def changed(header, pattern, to):
    """The report on headers with one change."""
    with tempfile.TemporaryDirectory() as tmp:
        folder = os.path.join(tmp, "include")
        shutil.copytree(FROZEN, folder)
        path = os.path.join(folder, "kurir", header)
        with open(path, encoding="utf-8") as f:
            text = f.read()
        new, count = re.subn(pattern, to, text, count=1, flags=re.S)
        if count != 1:
            raise SystemExit(f"Bail out! {header} has no {pattern}")
        with open(path, "w", encoding="utf-8") as f:
            f.write(new)
        return compare(FROZEN, folder)


# header, what, by what, the sentence
BREAKS = (
    ("module.h", r"KURIR_API int kurir_yield\(void\)[^;]*;", "", "a function that is gone"),
    ("module.h", r"kurir_sleep\(kurir_time until\)", "kurir_sleep(int until)", "a parameter of another type"),
    ("module.h", r"KURIR_API int kurir_yield", "KURIR_API int64_t kurir_yield", "a result of another type"),
    ("module.h", r"uint32_t caps;", "uint32_t first; uint32_t caps;", "a member in the middle"),
    ("module.h", r"(void \(\*stop\)\(struct kurir_self \*)\)", r"\1, int)", "a hook with one parameter more"),
    ("session.h", r"const char \*busy;", "", "a last member that is gone"),
    ("stream.h", r"(enum kurir_tls_verify verify;)\s*(const struct kurir_str \*tlsa;)", r"\2 \1",
     "members that changed places"),
    ("module.h", r"KURIR_REJECT,(.*?)KURIR_DEFER,", r"KURIR_DEFER,\1KURIR_REJECT,",
     "enumerators that changed places"),
    ("module.h", r"KURIR_REJECT,", "KURIR_NEVER, KURIR_REJECT,", "enumerators that moved"),
    ("smtp.h", r"(struct kurir_recipient \{.*?)\};", r"\1 int more; };",
     "a member more in a struct of fixed size"),
    ("smtp.h", r"(struct kurir_envelope \{.*?)uint32_t flags;", r"\1int32_t flags;",
     "a member of another sign"),
    ("smtp.h", r"KURIR_ENV_UTF8 = 1u << 1", "KURIR_ENV_UTF8 = 1u << 9", "another value of a flag"),
    ("call.h", r"#define KURIR_CALL_MAX \(1u << 20\)", "#define KURIR_CALL_MAX (1u << 21)", "another limit"),
    ("store.h", r"int \(\*lock\)\(struct kurir_self \*", "int (*lock)(struct kurir_arena *",
     "a service's function with another parameter"),
)
KEEPS = (
    ("module.h", r"(KURIR_API int kurir_yield)", r"KURIR_API int kurir_more(struct kurir_mark); \1",
     "a new function"),
    ("module.h", r"/\* append here, and nowhere else \*/", "int (*more)(struct kurir_self *);",
     "a member behind the others of a struct that begins with its size"),
    ("store.h", r"(struct kurir_store_ops \{.*?)\n\};", r"\1\n int (*more)(void);\n};",
     "a new function of a service"),
    ("module.h", r"KURIR_CAP_FILES = 1u << 4,", "KURIR_CAP_FILES = 1u << 4, KURIR_CAP_MORE = 1u << 5,",
     "a new flag"),
    ("dns.h", r"(enum kurir_dns_type)", r"struct kurir_more {\n int more;\n};\n\1", "a new struct"),
    ("module.h", r"KURIR_ROLE_WORKER = 1u << 8,(.*?)1u << 9\) - 1", "KURIR_ROLE_WORKER = 1u << 8, "
     r"KURIR_ROLE_MORE = 1u << 9,\g<1>1u << 10) - 1", "a new role"),
    ("module.h", r"KURIR_ABI_MINOR 0", "KURIR_ABI_MINOR 1", "a new minor version"),
)

if __name__ == "__main__":
    if shutil.which("abidiff") is None or shutil.which("gcc") is None:
        print("1..0 # SKIP abidiff (package abigail-tools) and gcc are needed")
        sys.exit(0)
    if len(sys.argv) == 3:
        said = compare(*sys.argv[1:])
        print(said or "compatible")
        sys.exit(1 if said else 0)
    said = compare(FROZEN, TODAY)
    point(not said, "today's headers keep what the frozen ones promise",
          said + "\ndoc/ABI.md says what may change; before 1.0 tests/abi/freeze makes this the promise")
    # The other way round: what today's headers have more.
    grown = compare(TODAY, FROZEN) and number(TODAY, "KURIR_ABI_MINOR") == number(FROZEN, "KURIR_ABI_MINOR")
    point(not (grown and released()), "what was appended has a minor version of its own, from 1.0 on",
          "raise KURIR_ABI_MINOR, and write a line in doc/ABI.md")
    for header, pattern, to, name in BREAKS:
        point(changed(header, pattern, to), f"seen: {name}")
    for header, pattern, to, name in KEEPS:
        said = changed(header, pattern, to)
        point(not said, f"allowed: {name}", said)
    print(f"1..{points}")
