/* accounts.h - private to the module: the table of local addresses. */
#ifndef ACCOUNTS_H
#define ACCOUNTS_H

#include <kurir/accounts.h>

struct accounts_conf {
	struct kurir_texts domains;
	struct kurir_texts mailboxes;
	struct kurir_map aliases;
	struct kurir_map catch_all;
	struct kurir_str delimiter;
	struct kurir_str postmaster;
	struct kurir_str file;
	struct kurir_str table; /* whose endpoint is asked, too; or empty */
};

/* Built once, then only read.  Lives in the arena it was built in. */
struct accounts_table;

/* NULL with *error set: everything that is wrong, joined by "; ".  more: lines of the
 * mailboxes file,
 * or empty; wrong lines there are left out and counted in *ret_bad. */
struct accounts_table *accounts_table_build(struct kurir_arena *, const struct accounts_conf *,
    struct kurir_str more, size_t *ret_bad, struct kurir_str *error);
/* Texts are in arena or in the table's. */
void accounts_table_find(const struct accounts_table *, struct kurir_str address,
    struct kurir_arena *, struct kurir_account_match *ret);
size_t accounts_table_count(const struct accounts_table *);

/* accounts_far.c: what the table "table.NAME" says: its maps "domains", "mailboxes" and "aliases".
 * ours: the domain is known to be; *ret is UNKNOWN or FOREIGN when it is in none of them.  0, or
 * -errno: it could not be asked. */
int accounts_far_find(struct kurir_self *, const char *endpoint, struct kurir_str address,
    bool ours, kurir_time, struct kurir_arena *, struct kurir_account_match *ret) KURIR_PARKS;

/* "local@domain" -> both halves in lower case, quotes that are not needed taken off.  -EINVAL:
 * not an address. A bare
 * name has an empty domain. */
int accounts_address(struct kurir_arena *, struct kurir_str, struct kurir_str *ret_local,
    struct kurir_str *ret_domain);

#endif
