#!/bin/sh
# kill_sqlite.sh - kill.py with the mailboxes in store_sqlite.
exec "${PYTHON3:-python3}" "${top_srcdir:-.}/tests/fault/kill.py" --store sqlite
