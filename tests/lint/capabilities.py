#!/usr/bin/env python3
"""What IMAP says it can do: each capability is proved by a scenario, and the manual has the same list."""
import os
import re
from source import Laws, ROOT, read

TABLE, PAGE = "modules/imap/imap_capability.c", "modules/imap/kurir-imap.5"
LINE = re.compile(r'^\t\{ "([^"]+)",[^\n]*?\}, ?[ \t]*(?:/\* (\S+) \*/)?', re.M)


def there(path):
    return read(path) if os.path.exists(os.path.join(ROOT, path)) else ""


def capabilities():
    text = read(TABLE)
    start = text.index("} capabilities[] = {")
    return LINE.findall(text[start:text.index("\n};", start)])


def unproved():
    """The scenario must be there, be played, and say the capability or what it is known by."""
    played = there("tests/Makefile.inc")
    for name, scenario in capabilities():
        path = f"tests/scenario/{scenario}.scn"
        if not scenario:
            yield f"{TABLE}: {name} names no scenario"
        elif not os.path.exists(os.path.join(ROOT, path)):
            yield f"{TABLE}: {name} names {path}, which is missing"
        elif path not in played:
            yield f"{TABLE}: {name} names {path}, which is not played"


def manual():
    section = there(PAGE).partition(".Sh CAPABILITIES\n")[2].split("\n.Sh ")[0]
    return re.findall(r"^\.It Li (\S+)$", section, re.M)


def differences():
    table, page = [name for name, _ in capabilities()], manual()
    yield from (f"{PAGE}: {name} is missing" for name in table if name not in page)
    yield from (f"{PAGE}: {name} is no capability" for name in page if name not in table)
    if sorted(page) == sorted(table) and page != table:
        yield f"{PAGE}: the order is not that of {TABLE}"


def exact():
    """One scenario has the whole list, so that no capability can be lost unseen."""
    said = there("tests/scenario/imap-capability.scn")
    for name, _ in capabilities():
        if name not in ("STARTTLS", "LOGINDISABLED", "MESSAGELIMIT=") and "SCRAM" not in name and "OAUTH" not in name and \
                not re.search(rf"[ ]{re.escape(name)}(?=[ \]\n0-9])", said):
            yield f"tests/scenario/imap-capability.scn: no {name}"


laws = Laws()
laws.law("there are capabilities", [] if len(capabilities()) > 20 else [TABLE])
laws.law("each is proved by a scenario", unproved())
laws.law("the manual has the same list", differences())
laws.law("one scenario has all that are always said", exact())
laws.done()
