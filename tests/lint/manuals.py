#!/usr/bin/env python3
"""Every module has its manual page, with the six headings in order."""
import os
import re
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


laws = Laws()
laws.law("six headings in each module's manual page", headings())
laws.law("manual pages are mdoc", (p for p in files("doc", "modules", ends=(".5", ".7", ".8"))
                                   if ".Dt" not in read(p) or ".Nd" not in read(p)))
laws.done()
