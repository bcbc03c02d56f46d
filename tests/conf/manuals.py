#!/usr/bin/env python3
"""What --describe says of an option, and what --schema allows, the manual pages say, too."""
import json
import os
import re
import subprocess

SRC = os.environ.get("top_srcdir", os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
BUILD = os.environ.get("top_builddir", os.path.join(SRC, "build"))
KURIRD = os.environ.get("KURIRD_DESCRIBE", os.path.join(BUILD, "kurird") + " --describe").split()
MODULES = os.environ.get("KURIR_MODULES", "").split()
BY_PREFIX = {"state", "run", "module-path"}  # their presets are configure's


def describe(name):
    """[(group, option, preset or None, help)] as kurird tells them; preset '' is required."""
    env = dict(os.environ, KURIR_MODULE_PATH=BUILD)
    text = subprocess.run(KURIRD + [name], env=env, stdout=subprocess.PIPE, check=True).stdout.decode()
    group, found = "", []
    lines = text.splitlines()
    for i, line in enumerate(lines):
        title = re.match(r'"([\w-]+)"', line)
        if title:
            group = title[1]
        option = re.match(r"  (\S+)\s+(.*)", line)
        if option and not line.startswith("   "):
            preset = re.search(r", preset: (.*?)(?:, \S+ to \S+)?$", option[2])
            value = "" if ", required" in option[2] else preset[1] if preset else None
            found.append((group, option[1], None if value == "empty" else value, lines[i + 1].strip()))
    return found


def plain(mdoc):
    return mdoc.replace("\\e", "\\").replace("\\(dq", '"').replace("\\&", "")


def items(page):
    """{(group, option): text} of a page's OPTIONS, outer lists only."""
    text = re.search(r"^\.Sh OPTIONS\n(.*?)^\.Sh ", page, re.M | re.S)[1]
    group, depth, option, found = "", 0, None, {}
    for line in text.splitlines():
        if line.startswith(".Ss "):
            group = line[4:] if " " not in line[4:] else ""
        elif line.startswith(".Bl"):
            depth += 1
        elif line.startswith(".El"):
            depth -= 1
        elif line.startswith(".It Cm ") and depth == 1:
            option = (group, line.split()[2])
            found[option] = ""
        elif option and depth:
            found[option] += plain(line) + "\n"
    return found


def compare(name, page):
    with open(os.path.join(SRC, page), encoding="utf-8") as f:
        written = items(f.read())
    told = describe(name)
    for group, option, preset, text in told:
        if (group, option) not in written:
            yield "%s lacks %s %s" % (page, group, option)
            continue
        said = written[group, option]
        if name == "core" and text not in said.split("\n"):
            yield "%s: %s: \"%s\" is missing" % (page, option, text)
        if preset == "" and "Required." not in said:
            yield "%s: %s is required" % (page, option)
        if preset and option not in BY_PREFIX and preset not in said:
            yield "%s: %s: the preset %s is missing" % (page, option, preset)
    for group, option in written.keys() - {(g, o) for g, o, _, _ in told}:
        yield "%s: there is no option %s %s" % (page, group, option)


def schema_keys(schema, module=None):
    """(module or None, key) of every property that --schema knows."""
    for key, below in schema.get("properties", {}).items():
        yield module, key
        yield from schema_keys(below, module)
    for pattern, below in schema.get("patternProperties", {}).items():
        yield from schema_keys(below, re.match(r"\^(\w+)\(", pattern)[1])
    for word in ("additionalProperties", "items"):
        if isinstance(schema.get(word), dict):
            yield from schema_keys(schema[word], module)
    for word in ("anyOf", "oneOf", "allOf"):
        for below in schema.get(word, []):
            yield from schema_keys(below, module)


def undescribed(pages):
    """Keys that no page names; what the page of the core names goes for every module."""
    run = subprocess.run(KURIRD[:-1] + ["--schema"], env=dict(os.environ, KURIR_MODULE_PATH=BUILD),
                         stdout=subprocess.PIPE, check=True)
    known = {}
    for name, page in pages:
        with open(os.path.join(SRC, page), encoding="utf-8") as f:
            known[name] = set(re.findall(r"^\.(?:It Cm|Cm|Ss|Ql {)[ \"]([\w-]+)", plain(f.read()), re.M))
    keys = {(m, k) for m, k in schema_keys(json.loads(run.stdout)) if m is None or m in known}
    assert len(keys) > 100, "this is not the schema"
    return sorted("%s: %s" % (module or "core", key) for module, key in keys
                  if key not in known["core"] | known.get(module, set()))


def main():
    pages = [("core", "doc/kurir.json.5")]
    pages += [(m, "modules/%s/kurir-%s.5" % (m, m)) for m in MODULES]
    print("1..%d" % (len(pages) + 1))
    for number, (name, page) in enumerate(pages, 1):
        wrong = list(compare(name, page))
        print("%sok %d - %s" % ("not " if wrong else "", number, page))
        for line in wrong:
            print("# " + line)
    wrong = undescribed(pages)
    print("%sok %d - every key of --schema is in a manual page" % ("not " if wrong else "", len(pages) + 1))
    for line in wrong:
        print("# " + line)


main()
