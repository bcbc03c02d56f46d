/* auth.h - who is this, and the tickets that let a session into the access role. */
#ifndef CORE_AUTH_H
#define CORE_AUTH_H

#include <kurir/auth.h>
#include <kurir/call.h>

/* Registers the endpoints "auth" and "ticket.redeem": in every process, before it serves. */
void auth_serve(void);

/* Credentials packed, also for other calls with more behind them. */
int auth_put(struct kurir_buf *, const struct kurir_credentials *);
struct kurir_credentials auth_get(struct kurir_reader *);
uint64_t auth_key(struct kurir_arena *, struct kurir_str user);
int auth_get_identity(struct kurir_reader *, struct kurir_identity *ret);
/* AUTH: what a provider found (r) becomes an event, and the reply an identity. */
int auth_answer(struct kurir_self *who, int r, const struct kurir_credentials *,
    struct kurir_str account, struct kurir_buf *reply);
void scram_serve(void);	 /* the endpoints "auth.salt" and "auth.scram" */
void bearer_serve(void); /* "auth.bearer" */

/* Whether a provider has a function; one of an older ABI is shorter. */
#define auth_provides(ops, member) \
	((ops)->size > offsetof(struct kurir_auth_ops, member) && (ops)->member != NULL)

/* AUTH: a ticket for the account; good once, for 30 seconds. key: what the redeemer's call goes
 * by. */
int ticket_issue(struct kurir_arena *, uint64_t key, struct kurir_str account,
    struct kurir_str protocol, struct kurir_str *ret);
/* AUTH: 0 with the account in arena; -EACCES: not ours, too old, used, or for another protocol.
 */
int ticket_take(struct kurir_arena *, struct kurir_str ticket, struct kurir_str protocol,
    struct kurir_str *ret_account);
/* ACCESS: asks the auth role.  Results as of ticket_take(), or why it could not be asked. */
int ticket_redeem(struct kurir_str ticket, struct kurir_str protocol, kurir_time,
    struct kurir_arena *, struct kurir_str *ret_account) KURIR_PARKS;
void ticket_serve(void);

#endif
