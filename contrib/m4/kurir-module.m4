# KURIR_MODULE(NAME, DEFAULT, WHY-NOT)
# A module of this tree: switches --enable-module-NAME and --disable-module-NAME, and the
# conditional MODULE_NAME.  WHY-NOT is shell code that sets kurir_why to a few words when
# the module cannot be built here; the module is then left out, and the table at the end
# says why.  A folder without its NAME.c or its manual page is left out alike.
AC_DEFUN([KURIR_MODULE], [
	AC_ARG_ENABLE([module-$1],
		[AS_HELP_STRING([--enable-module-$1], [build the module $1 @<:@$2@:>@])],
		[kurir_wanted=$enableval], [kurir_wanted=$2])
	kurir_why=
	AS_IF([test "$kurir_wanted" != yes], [kurir_why="not asked for"],
		[test ! -f "$srcdir/modules/$1/$1.c"], [kurir_why="modules/$1/$1.c is not there"],
		[test ! -f "$srcdir/modules/$1/kurir-$1.5"],
		[kurir_why="modules/$1/kurir-$1.5 is not there"],
		[m4_default([$3], [:])])
	AM_CONDITIONAL([MODULE_$1], [test -z "$kurir_why"])
	AS_IF([test -z "$kurir_why"],
		[AS_VAR_APPEND([kurir_built_modules], [" $1"])],
		[AS_VAR_APPEND([kurir_left_out], ["kurir_row 'module $1' 'left out: $kurir_why'; "])])
])

# KURIR_TABLE
# The last words of configure: what is built, what is not, and the reason.
AC_DEFUN([KURIR_TABLE], [
	kurir_row() { printf '  %-24s %s\n' "$[1]" "$[2]"; }
	printf '\nKurir %s for %s\n' "$PACKAGE_VERSION" "$host"
	kurir_row "compiler" "$CC $CFLAGS"
	kurir_row "sanitizers" "${kurir_sanitizers:-none}"
	kurir_row "fuzzers" "$enable_fuzz"
	kurir_row "context switch" "$kurir_context"
	kurir_row "seccomp" "$kurir_seccomp"
	kurir_row "domains beyond ASCII" "$kurir_idn"
	kurir_row "unit tests" "$kurir_cmocka"
	for kurir_name in $kurir_built_modules; do
		kurir_row "module $kurir_name" "built"
	done
	eval "$kurir_left_out"
	printf '\n'
])
