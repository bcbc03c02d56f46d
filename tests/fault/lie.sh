#!/bin/sh
# lie.sh - the test of the test: where no sync keeps its promise, powercut.py finds losses.
exec "${PYTHON3:-python3}" "${top_srcdir:-.}/tests/fault/powercut.py" --lie sync --cuts 8
