# kurir.m4 - for the configure.ac of a module that is built outside Kurir's tree.
#
# KURIR_SDK([VERSION], [IF-FOUND], [IF-NOT-FOUND])
# Finds an installed Kurir of at least VERSION by pkg-config and substitutes
#   KURIR_CFLAGS, KURIR_LIBS                  headers and library
#   KURIR_MODULE_CFLAGS, KURIR_MODULE_LDFLAGS what a module is compiled and linked with
#   kurirmoduledir                            where the server looks for modules
#   KURIR_MODTEST                             what plays scenarios against a module
# In Makefile.am:
#   kurirmodule_LTLIBRARIES = example.la
#   example_la_SOURCES      = example.c
#   example_la_CFLAGS       = $(KURIR_MODULE_CFLAGS)
#   example_la_LDFLAGS      = $(KURIR_MODULE_LDFLAGS)
#   example_la_LIBADD       = $(KURIR_LIBS)
#   check-local: example.la
#   	$(KURIR_MODTEST) .libs/example.so $(srcdir)/*.scn
AC_DEFUN([KURIR_SDK], [
	PKG_CHECK_MODULES([KURIR], [kurir m4_ifnblank([$1], [>= $1])], [
		PKG_CHECK_VAR([kurirmoduledir], [kurir], [moduledir])
		PKG_CHECK_VAR([KURIR_MODTEST], [kurir], [modtest])
		AC_SUBST([KURIR_MODULE_CFLAGS], ["$KURIR_CFLAGS -std=c11 -fvisibility=hidden"])
		AC_SUBST([KURIR_MODULE_LDFLAGS],
			["-module -avoid-version -shared -Wl,-z,now -Wl,-z,defs"])
		$2
	], m4_ifnblank([$3], [[$3]]))
])
