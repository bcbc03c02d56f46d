#!/bin/sh
# powercut_sqlite.sh - powercut.py with the mailboxes in store_sqlite.
exec "${PYTHON3:-python3}" "${top_srcdir:-.}/tests/fault/powercut.py" --store sqlite --cuts 60 --messages 80
