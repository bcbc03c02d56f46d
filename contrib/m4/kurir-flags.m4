# KURIR_FLAG(VARIABLE, FLAG)
# Appends FLAG to VARIABLE when the compiler takes it without a word.
AC_DEFUN([KURIR_FLAG], [
	AS_VAR_PUSHDEF([cached], [kurir_cv_flag_$2])
	AC_CACHE_CHECK([whether $CC takes $2], [cached], [
		kurir_saved_CFLAGS=$CFLAGS
		CFLAGS="$CFLAGS -O2 -Werror $2"
		AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <string.h>]], [[]])],
			[AS_VAR_SET([cached], [yes])], [AS_VAR_SET([cached], [no])])
		CFLAGS=$kurir_saved_CFLAGS])
	AS_VAR_IF([cached], [yes], [AS_VAR_APPEND([$1], [" $2"])])
	AS_VAR_POPDEF([cached])
])

# KURIR_HARDENING
# Sets HARDEN_CPPFLAGS, HARDEN_CFLAGS, HARDEN_LDFLAGS (everything) and PIE_CFLAGS,
# PIE_LDFLAGS (programs).  A sanitizer replaces the fortified functions, as it checks more.
AC_DEFUN([KURIR_HARDENING], [
	HARDEN_CPPFLAGS= HARDEN_CFLAGS= HARDEN_LDFLAGS= PIE_CFLAGS= PIE_LDFLAGS=
	KURIR_FLAG([PIE_CFLAGS], [-fPIE])
	KURIR_FLAG([PIE_LDFLAGS], [-pie])
	KURIR_FLAG([HARDEN_LDFLAGS], [-Wl,-z,relro,-z,now])
	KURIR_FLAG([HARDEN_CFLAGS], [-fstack-protector-strong])
	KURIR_FLAG([HARDEN_CFLAGS], [-fcf-protection=branch])
	AS_IF([test -z "$kurir_sanitizers"], [
		KURIR_FLAG([HARDEN_CPPFLAGS], [-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3])
		AS_IF([test -z "$HARDEN_CPPFLAGS"],
			[KURIR_FLAG([HARDEN_CPPFLAGS], [-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2])])
	])
	AC_SUBST([HARDEN_CPPFLAGS])
	AC_SUBST([HARDEN_CFLAGS])
	AC_SUBST([HARDEN_LDFLAGS])
	AC_SUBST([PIE_CFLAGS])
	AC_SUBST([PIE_LDFLAGS])
])

# KURIR_WARNINGS
# Sets WARN_CFLAGS (everything) and CORE_WARN_CFLAGS (the core, in addition).
AC_DEFUN([KURIR_WARNINGS], [
	WARN_CFLAGS= CORE_WARN_CFLAGS= TEST_FRAME=
	for kurir_flag in -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	    -Wvla -Wformat=2; do
		KURIR_FLAG([WARN_CFLAGS], [$kurir_flag])
	done
	dnl Red zones of a sanitizer make every frame larger than what was written, and its calls
	dnl hide from the compiler what was initialized.
	AS_IF([test -z "$kurir_sanitizers"],
		[KURIR_FLAG([WARN_CFLAGS], [-Wframe-larger-than=4096])
		dnl Tests run on fibers, too, but may hold what they compare.
		KURIR_FLAG([TEST_FRAME], [-Wframe-larger-than=49152])],
		[KURIR_FLAG([WARN_CFLAGS], [-Wno-maybe-uninitialized])])
	dnl A fiber that waits is in lists by what stands on its stack; it leaves them before it returns.
	KURIR_FLAG([WARN_CFLAGS], [-Wno-dangling-pointer])
	dnl A stack of a fiber is small: the frames of what was called are given back.
	KURIR_FLAG([WARN_CFLAGS], [-fno-inline-functions-called-once])
	KURIR_FLAG([CORE_WARN_CFLAGS], [-Wconversion])
	AS_IF([test "$enable_werror" = yes], [AS_VAR_APPEND([WARN_CFLAGS], [" -Werror"])])
	AC_SUBST([WARN_CFLAGS])
	AC_SUBST([TEST_FRAME])
	AC_SUBST([CORE_WARN_CFLAGS])
])
