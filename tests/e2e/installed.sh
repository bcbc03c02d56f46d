#!/bin/sh
# installed.sh - `make install` puts everything where it belongs, and a module can be built
# with what was installed.
: "${top_srcdir:=.}" "${top_builddir:=build}" "${CC:=cc}"
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
n=0
tab=$(printf '\t')

# point NAME COMMAND...
point() {
	name=$1
	shift
	n=$((n + 1))
	if "$@" >"$tmp/said" 2>&1; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
		tail -n 20 "$tmp/said" | sed 's/^/# /'
	fi
}

value() {
	sed -n "s|^$1 = ||p" "$top_builddir/Makefile" | head -n 1
}

install_tree() {
	MAKEFLAGS='' make -C "$top_builddir" install DESTDIR="$tmp/root"
}

prefix=$(value prefix)
root=$tmp/root$prefix

there() {
	for file; do
		[ -e "$root/$file" ] || { echo "$prefix/$file is missing"; return 1; }
	done
}

modules_there() {
	for module in $KURIR_MODULES; do
		there "lib/kurir/$module.so" "share/man/man5/kurir-$module.5" || return
	done
}

no_la() {
	! find "$tmp/root" -name '*.a' | grep .
}

relocated() {
	PKG_CONFIG_PATH=$root/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$tmp/root pkg-config "$@" kurir
}

build_module() {
	cat >"$tmp/sample.c" <<-EOF
		#include <kurir/module.h>
		KURIR_MODULE(sample, .version = "1", .summary = "built outside");
	EOF
	# shellcheck disable=SC2046,SC2086  # lists of words
	$CC -std=c11 -fvisibility=hidden -fPIC -shared $SANITIZE_FLAGS $(relocated --cflags) \
		-o "$tmp/sample.so" "$tmp/sample.c" -Wl,-z,now $(relocated --libs)
}

# A program of the installed tree finds its library although the tree is elsewhere.
program() {
	LD_LIBRARY_PATH=$root/lib/kurir "$@"
}

program_in_folder() (
	unset top_builddir
	program "$@"
)

# The example of kurir-module(7), compiled as that page says, in an installed server.
example() {
	there share/man/man7/kurir-module.7 || return
	mkdir -p "$tmp/outside" && sed -n '/^.Bd -literal$/,/^.Ed$/{/^\.[BE]d/!p;}' \
		"$root/share/man/man7/kurir-module.7" >"$tmp/outside/strangers.c"
	# shellcheck disable=SC2046,SC2086  # lists of words
	$CC -std=c11 -Wall -Wextra -Werror -fvisibility=hidden -fPIC -shared $SANITIZE_FLAGS \
		$(relocated --cflags) -o "$tmp/outside/strangers.so" "$tmp/outside/strangers.c" \
		-Wl,-z,now $(relocated --libs) || return
	KURIRD=$root/sbin/kurird KURIRCTL=$root/bin/kurirctl KURIR_MODULE_PATH=$root/lib/kurir:$tmp/outside \
		program "${PYTHON3:-python3}" "$top_srcdir/tests/e2e/outside.py"
}

# From nothing to a module at work.
stranger() {
	KURIRD=$root/sbin/kurird KURIRCTL=$root/bin/kurirctl ROOT=$root \
		program "${PYTHON3:-python3}" "$top_srcdir/tests/e2e/stranger.py"
}

# A module with a configure script of its own, by KURIR_SDK.
autotools() {
	mkdir "$tmp/auto" && cd "$tmp/auto" || return
	"$root/bin/kurirctl" module new sdk_example --dir from && mv from/*.c from/*.scn . || return
	cat >configure.ac <<-EOF
		AC_INIT([sdk_example], [1])
		AM_INIT_AUTOMAKE([foreign])
		AC_PROG_CC
		LT_INIT([disable-static])
		KURIR_SDK([0.1], [], [AC_MSG_ERROR([no Kurir])])
		AC_CONFIG_FILES([Makefile])
		AC_OUTPUT
	EOF
	cat >Makefile.am <<-EOF
		kurirmodule_LTLIBRARIES = sdk_example.la
		sdk_example_la_SOURCES  = sdk_example.c
		sdk_example_la_CFLAGS   = \$(KURIR_MODULE_CFLAGS)
		sdk_example_la_LDFLAGS  = \$(KURIR_MODULE_LDFLAGS)
		sdk_example_la_LIBADD   = \$(KURIR_LIBS)
		check-local: sdk_example.la
		${tab}\$(KURIR_MODTEST) .libs/sdk_example.so \$(srcdir)/sdk_example.scn
	EOF
	ACLOCAL_PATH=$root/share/aclocal autoreconf -fi &&
		PKG_CONFIG_PATH=$root/lib/pkgconfig ./configure -q PKG_CONFIG='pkg-config --define-prefix' &&
		MAKEFLAGS='' LD_LIBRARY_PATH=$root/lib/kurir make check install DESTDIR="$tmp/auto/there" &&
		grep . there"$root"/lib/kurir/sdk_example.so >/dev/null
}

# What the administrator wrote is his, whatever is installed over it or taken away.
kept() {
	conf=$tmp/root$(value sysconfdir | sed "s|\${prefix}|$prefix|")/kurir/kurir.json
	grep -q '"version": 1' "$conf" && cp "$conf" "$tmp/shipped" && echo '// mine' >>"$conf" && install_tree &&
		uninstall_tree "$@" && tail -n 1 "$conf" | grep -q mine && cp "$tmp/shipped" "$conf" && install_tree
}

uninstall_tree() {
	MAKEFLAGS='' make -C "$top_builddir" uninstall DESTDIR="$tmp/root" &&
		! find "$tmp/root" -type f -path '*kurir*' ! -name "${1:-}" | grep .
}

point "make install" install_tree
point "programs, library, headers" there sbin/kurird bin/kurirctl bin/kurir-module \
	bin/kurir-modtest lib/kurir/libkurir.so lib/kurir/test/queue_memory.so share/kurir/template/Makefile \
	include/kurir/module.h lib/pkgconfig/kurir.pc share/aclocal/kurir.m4
point "every module and its manual page" modules_there
point "no static libraries" no_la
point "a module is built with kurir.pc" build_module
point "the example of kurir-module(7) is built and decides" example
point "a stranger makes a module, and sees it at work" stranger
point "a module with a configure script finds it by kurir.m4" program_in_folder autotools
point "kurird --version" program "$root/sbin/kurird" --version
point "kurirctl --help" program "$root/bin/kurirctl" --help
point "a configuration is not overwritten, and not taken away" kept kurir.json
point "make uninstall leaves nothing" uninstall_tree
echo "1..$n"
