/* kurirctl.h - the parts of kurirctl. */
#ifndef CORE_KURIRCTL_H
#define CORE_KURIRCTL_H

#include <stdbool.h>
#include <stdio.h>

/* Says "kurirctl: what: why" and returns status. */
int ctl_fail(int status, const char *what, const char *why);
void ctl_quiet(bool); /* ctl_fail() says nothing */
/* To the control socket: 0, or the exit status; it was said why. */
int ctl_connect(FILE **ret);
int ctl_send(FILE *, char **args, int n);
/* The live view; seconds: text, or NULL.  The exit status. */
int ctl_top(const char *seconds, bool once, bool json);
/* Sets user's password in a users file; the exit status. */
int ctl_passwd(const char *file, const char *user);

/* The options of "explain": kept, then put behind its words.  0, or the exit status. */
int ctl_explain_option(const char *name, const char *value);
int ctl_explain_words(char **args, int *n);
void ctl_explain_free(void);

#endif
