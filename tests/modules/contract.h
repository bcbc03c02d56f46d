/* contract.h - what every store must do: the parts of the contract test. */
#ifndef TESTS_CONTRACT_H
#define TESTS_CONTRACT_H

#include <kurir/store.h>

/* One part of the contract is tried on an account of its own. */
struct contract {
	struct kurir_self *self; /* the test's own */
	const struct kurir_store_ops *ops;
	struct kurir_self *owner; /* of ops */
	struct kurir_str account;
	struct kurir_arena *arena;
	int line; /* of the first expectation that was not met; 0: none */
	char said[400];
};

void contract_said(struct contract *, int line, const char *, ...)
    __attribute__((format(printf, 3, 4)));

/* In functions that return void: says what is wrong, once, and returns. */
#define EXPECT(c, cond) \
	do { \
		if (!(cond)) { \
			contract_said((c), __LINE__, "%s", #cond); \
			return; \
		} \
	} while (0)
#define EXPECT_EQ(c, got, want) \
	do { \
		long long got_ = (long long)(got), want_ = (long long)(want); \
		if (got_ != want_) { \
			contract_said((c), __LINE__, "%s is %lld, not %lld (%s)", #got, got_, \
			    want_, #want); \
			return; \
		} \
	} while (0)
/* A helper has said what is wrong. */
#define EXPECT_DONE(c) \
	do { \
		if ((c)->line != 0) \
			return; \
	} while (0)

#define LATE (kurir_now() + 60000)

/* The functions of the store with what is always the same; -errno as theirs. */
int contract_list(struct contract *, struct kurir_mailbox **ret, size_t *ret_count) KURIR_PARKS;
const struct kurir_mailbox *contract_find(struct contract *, const char *name) KURIR_PARKS;
int contract_view(struct contract *, const char *mailbox, struct kurir_mailbox_view *)
    KURIR_PARKS;
int contract_append(struct contract *, const char *mailbox, const char *body, uint32_t flags,
    const char *keywords, struct kurir_changed *) KURIR_PARKS;
int contract_change(struct contract *, const char *mailbox, enum kurir_change_kind,
    uint32_t first, uint32_t last, uint32_t flags, const char *keywords, const char *target,
    struct kurir_changed *) KURIR_PARKS;
int contract_manage(struct contract *, enum kurir_manage_kind, const char *mailbox,
    const char *new_name) KURIR_PARKS;
/* Exactly that body, or it says what is wrong. */
void contract_body(struct contract *, const char *mailbox, const struct kurir_message *,
    const char *body) KURIR_PARKS;
size_t contract_uids(const struct kurir_uid_set *); /* how many */

struct contract_part {
	const char *name;
	void (*run)(struct contract *) KURIR_PARKS;
};
extern const struct contract_part contract_messages[], contract_mailboxes[], contract_optional[],
    contract_room[]; /* end with { 0 } */

#endif
