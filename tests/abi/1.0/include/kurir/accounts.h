/* kurir/accounts.h - which addresses are ours.  Service kind "accounts". */
#ifndef KURIR_ACCOUNTS_H
#define KURIR_ACCOUNTS_H

#include <kurir/module.h>

#ifdef __cplusplus
extern "C" {
#endif

enum kurir_account_kind {
	KURIR_ACCOUNT_FOREIGN = 0, /* not a domain of ours */
	KURIR_ACCOUNT_UNKNOWN,	   /* our domain, nobody of that name */
	KURIR_ACCOUNT_MAILBOX,
	KURIR_ACCOUNT_ALIAS,
};
struct kurir_account_match {
	enum kurir_account_kind kind;
	struct kurir_str account;     /* MAILBOX: "paijo@dua.example", lower case */
	struct kurir_str detail;      /* what stood after the '+' , or empty */
	struct kurir_texts addresses; /* ALIAS */
	uint64_t reserved[4];
};
struct kurir_accounts_ops {
	size_t size;
	/* 0 or -errno when it could not be found out, -ETIMEDOUT past the deadline.  Texts are in
	 * arena. */
	int (*find)(struct kurir_self *, struct kurir_str address, kurir_time,
	    struct kurir_arena *, struct kurir_account_match *ret) KURIR_PARKS;
};

#ifdef __cplusplus
}
#endif
#endif
