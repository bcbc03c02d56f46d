/* kurirctl.h - the parts of kurirctl. */
#ifndef CORE_KURIRCTL_H
#define CORE_KURIRCTL_H

/* Says "kurirctl: what: why" and returns status. */
int ctl_fail(int status, const char *what, const char *why);
/* Sets user's password in a users file; the exit status. */
int ctl_passwd(const char *file, const char *user);

#endif
