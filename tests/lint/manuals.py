#!/usr/bin/env python3
"""Every module has its manual page, with the six headings in order; all pages are good mdoc."""
import os
import re
import shutil
import subprocess
from source import Laws, ROOT, files, read

HEADINGS = ["WHAT IT DOES", "EXAMPLE", "OPTIONS", "VERDICTS AND REPLIES", "COUNTERS", "SEE ALSO"]


def modules():
    folder = os.path.join(ROOT, "modules")
    return sorted(m for m in os.listdir(folder)
                  if os.path.exists(os.path.join(folder, m, m + ".c")))


def headings():
    for name in modules():
        page = f"modules/{name}/kurir-{name}.5"
        if not os.path.exists(os.path.join(ROOT, page)):
            yield f"{page} is missing"
            continue
        found = [h.strip('" ') for h in re.findall(r"^\.Sh (.*)$", read(page), re.M)]
        wanted = [h for h in found if h in HEADINGS]
        if wanted != HEADINGS:
            yield f"{page}: has {found}"


def pages():
    return sorted(p for p in files("doc", "modules", ends=(".5", ".7", ".8")))


def complaints():
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", *pages()], cwd=ROOT, text=True,
                          capture_output=True, check=False)
    yield from done.stdout.splitlines()


def lost_references():
    """To pages of ours that are not there."""
    there = {os.path.basename(p) for p in pages()}
    for page in pages():
        for name, section in re.findall(r"^\.Xr (kurir\S*) (\d)", read(page), re.M):
            if f"{name}.{section}" not in there:
                yield f"{page}: there is no {name}({section})"


laws = Laws()
laws.law("six headings in each module's manual page", headings())
laws.law("manual pages are mdoc", (p for p in pages() if ".Dt" not in read(p) or ".Nd" not in read(p)))
laws.law("they refer to pages that are there", lost_references())
if shutil.which("mandoc"):
    laws.law("mandoc has nothing to say", complaints())
else:
    laws.skip("mandoc has nothing to say", "no mandoc")
laws.done()
