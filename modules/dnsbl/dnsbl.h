/* dnsbl.h - private to the module: what the answers of a list are worth. */
#ifndef DNSBL_H
#define DNSBL_H

#include <kurir/module.h>

#define DNSBL_SCORE_MAX 1000

/* One octet of an answer: low to high; or, with mask, any of these bits. */
struct dnsbl_octet {
	unsigned char low, high, mask;
};
struct dnsbl_rule {
	struct dnsbl_octet octets[4];
	int score;
};
struct dnsbl_list {
	struct kurir_str zone;
	size_t count;
	struct dnsbl_rule *rules;
};

/* rule = [ codes "=" ] score; -EINVAL with *why set. */
int dnsbl_rule_parse(struct kurir_str, struct dnsbl_rule *ret, const char **why);
/* All of the option: lists in arena; -EINVAL with *error set. */
int dnsbl_lists_parse(
    struct kurir_arena *, struct kurir_map, struct dnsbl_list **ret, struct kurir_str *error);

enum dnsbl_answer {
	DNSBL_LISTED,
	DNSBL_STRANGE, /* not in 127.0.0.0/8: a list that is gone answers everything */
	DNSBL_REFUSED, /* 127.255.255.x: the list does not want to answer this resolver */
};
/* One address of an answer, "127.0.0.2"; matched has room for count and remembers, over the
 * addresses of one answer, which rules have been counted. *score is added to. */
enum dnsbl_answer dnsbl_score(
    const struct dnsbl_list *, struct kurir_str address, bool *matched, int *score);

#endif
