#!/bin/sh
# demo.sh - the story that `make demo` tells comes true; each of its steps is checked there.
: "${top_srcdir:=.}" "${top_builddir:=build}"
tmp=$(mktemp -d) && chmod 755 "$tmp" || exit 99 # as root, every role is somebody else
trap 'rm -rf "$tmp"' EXIT
echo 1..1
for tool in unbound swaks curl; do
	PATH=$PATH:/usr/sbin command -v $tool >/dev/null || missing="$missing $tool"
done
if [ -n "$missing" ]; then
	echo "ok 1 - the demo # SKIP not installed:$missing"
	exit
fi
if KURIR_DEMO=$tmp/demo python3 "$top_srcdir/contrib/demo/demo.py" "$top_builddir" check \
	>"$tmp/said" 2>&1 </dev/null; then
	echo "ok 1 - the demo"
else
	echo "not ok 1 - the demo"
	tail -n 40 "$tmp/said" | sed 's/^/# /'
fi
