#!/usr/bin/env python3
"""What leaves the finished libraries: the declared names, and nothing else."""
import glob
import os
import re
from source import BUILD, Laws, ROOT, bare, files, read, run

laws = Laws()


def declared():
    names = set()
    for path in files("include", ends=(".h",)):
        text = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", " ", bare(read(path)), flags=re.M)
        for part in re.split(r"[;{}]", text):
            at = part.find("KURIR_API")
            if at >= 0:
                match = re.search(r"(\w+)\s*\(|(\w+)\s*$", part[at + 9:])
                names.add(match.group(1) or match.group(2))
    return names


def node(name):
    text = re.sub(r"#.*", "", read("core/libkurir.map"))
    match = re.search(name + r"\s*\{\s*global:(.*?)(?:local:|\})", text, re.S)
    return set(re.findall(r"[\w*]+", match.group(1))) if match else set()


def exported(library):
    said = run("nm", "-D", "--defined-only", library)[1]
    return {w[2].split("@")[0] for w in map(str.split, said.split("\n")) if len(w) == 3
            and w[1] != "A" and not w[2].startswith(("__asan", "__ubsan", "__odr_asan"))}


wanted, private = declared(), node("KURIR_PRIVATE")
public = node("KURIR_1")
if "kurir_*" not in public:
    laws.law("core/libkurir.map names what the public headers declare",
             [f"not in the map: {n}" for n in sorted(wanted - public)] +
             [f"only in the map: {n}" for n in sorted(public - wanted)])
library = os.path.join(BUILD, "core/.libs/libkurir.so")
if os.path.exists(library):
    real = exported(library) - private
    laws.law("libkurir exports what the public headers declare",
             [f"declared, not there: {n}" for n in sorted(wanted - real)] +
             [f"there, not declared: {n}" for n in sorted(real - wanted)])
else:
    laws.skip("libkurir exports what the public headers declare", "no shared libkurir here")


def modules():
    for path in sorted(glob.glob(os.path.join(BUILD, ".libs/*.so"))):
        name = os.path.basename(path)[:-3]
        names = exported(path)
        if names != {name + "_LTX_kurir_module", name + "_LTX_kurir_description"}:
            yield f"{name} exports {sorted(names)}"


laws.law("each module exports its descriptor only", modules())
laws.done()
