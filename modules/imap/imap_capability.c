/* imap_capability.c - what the server can do: one table, of which CAPABILITY (RFC 9051 section
 * 6.1.1) and its response code are made.
 *
 *   capability-data = "CAPABILITY" *(SP capability) SP "IMAP4rev2" *(SP capability)
 *
 * The comment behind each line names the scenario that proves it; tests/lint/capabilities.py
 * looks, and compares the table with the manual. */

#include "imap.h"

#include <sasl/sasl.h>

#define ANY    (IMAP_NOT_AUTHENTICATED | IMAP_AUTHENTICATED | IMAP_SELECTED)
#define BEFORE IMAP_NOT_AUTHENTICATED
#define LOGGED (IMAP_AUTHENTICATED | IMAP_SELECTED)

bool imap_may_log_in(const struct imap *s)
{
	return kurir_conn_encrypted(s->conn) || s->conf->plaintext;
}

bool imap_may_scram(const struct imap *s)
{
	return s->conf->scram && imap_may_log_in(s);
}

bool imap_may_bind(const struct imap *s)
{
	return imap_may_scram(s) && kurir_conn_encrypted(s->conn) && scram_offers_plus(s->stream);
}

bool imap_may_bearer(const struct imap *s)
{
	return s->conf->bearer && imap_may_log_in(s);
}

static bool may_not_log_in(const struct imap *s)
{
	return !imap_may_log_in(s);
}

bool imap_may_upgrade(const struct imap *s)
{
	return s->state == IMAP_NOT_AUTHENTICATED && !kurir_conn_encrypted(s->conn) &&
	    kurir_conn_tls_mode(s->conn) == KURIR_TLS_UPGRADE;
}

static bool has_limit(const struct imap *s)
{
	return s->conf->messages_max > 0;
}

#ifdef HAVE_ZLIB
static bool may_compress(const struct imap *s)
{
	return !s->compressed;
}
#endif

static uint64_t append_limit(const struct imap *s)
{
	return s->conf->append_max;
}

static uint64_t message_limit(const struct imap *s)
{
	return (uint64_t)s->conf->messages_max;
}

static const struct {
	const char *name;
	unsigned states;
	bool (*when)(const struct imap *);	 /* NULL: always */
	uint64_t (*number)(const struct imap *); /* what follows the name */
} capabilities[] = {
	{ "IMAP4rev1", ANY, NULL, NULL },			    /* imap-login */
	{ "IMAP4rev2", ANY, NULL, NULL },			    /* imap-rev2 */
	{ "STARTTLS", BEFORE, imap_may_upgrade, NULL },		    /* imap-starttls-injection */
	{ "AUTH=SCRAM-SHA-256-PLUS", BEFORE, imap_may_bind, NULL }, /* imap-scram-tls */
	{ "AUTH=SCRAM-SHA-256", BEFORE, imap_may_scram, NULL },	    /* imap-scram */
	{ "AUTH=OAUTHBEARER", BEFORE, imap_may_bearer, NULL },	    /* imap-oauth */
	{ "AUTH=XOAUTH2", BEFORE, imap_may_bearer, NULL },	    /* imap-oauth */
	{ "AUTH=PLAIN", BEFORE, imap_may_log_in, NULL },	    /* imap-authenticate */
	{ "LOGINDISABLED", BEFORE, may_not_log_in, NULL },	    /* imap-no-plaintext */
	{ "SASL-IR", ANY, NULL, NULL },				    /* imap-authenticate */
	{ "LITERAL+", ANY, NULL, NULL },			    /* imap-literals */
	{ "ENABLE", ANY, NULL, NULL },				    /* imap-enable */
	{ "ID", ANY, NULL, NULL },				    /* imap-id */
	{ "IDLE", ANY, NULL, NULL },				    /* imap-idle-done */
	{ "NAMESPACE", LOGGED, NULL, NULL },			    /* imap-namespace */
	{ "CHILDREN", LOGGED, NULL, NULL },			    /* imap-list */
	{ "LIST-EXTENDED", LOGGED, NULL, NULL },		    /* imap-list-extended */
	{ "LIST-STATUS", LOGGED, NULL, NULL },			    /* imap-list-status */
	{ "SPECIAL-USE", LOGGED, NULL, NULL },			    /* imap-list-special */
	{ "CREATE-SPECIAL-USE", LOGGED, imap_keeps_uses, NULL },    /* imap-create */
	{ "LIST-METADATA", LOGGED, imap_has_metadata, NULL },	    /* imap-metadata */
	{ "METADATA", LOGGED, imap_has_metadata, NULL },	    /* imap-metadata */
	{ "NOTIFY", LOGGED, imap_can_notify, NULL },		    /* imap-notify */
	{ "ACL", LOGGED, imap_has_acl, NULL },			    /* imap-acl */
	{ "RIGHTS=texk", LOGGED, imap_has_acl, NULL },		    /* imap-acl */
	{ "LIST-MYRIGHTS", LOGGED, imap_has_acl, NULL },	    /* imap-shared */
	{ "QUOTA", LOGGED, imap_has_quota, NULL },		    /* imap-quota */
	{ "QUOTA=RES-STORAGE", LOGGED, imap_has_quota, NULL },	    /* imap-quota */
	{ "QUOTA=RES-MESSAGE", LOGGED, imap_has_quota, NULL },	    /* imap-quota */
	{ "UNSELECT", LOGGED, NULL, NULL },			    /* imap-unselect */
	{ "UIDPLUS", LOGGED, NULL, NULL },			    /* imap-uidplus */
	{ "MOVE", LOGGED, NULL, NULL },				    /* imap-move */
	{ "STATUS=SIZE", LOGGED, NULL, NULL },			    /* imap-status */
	{ "APPENDLIMIT=", LOGGED, NULL, append_limit },		    /* imap-append-refused */
	{ "ESEARCH", LOGGED, NULL, NULL },			    /* imap-esearch */
	{ "SEARCHRES", LOGGED, NULL, NULL },			    /* imap-searchres */
	{ "WITHIN", LOGGED, NULL, NULL },			    /* imap-within */
	{ "PARTIAL", LOGGED, NULL, NULL },			    /* imap-partial */
	{ "CONDSTORE", LOGGED, NULL, NULL },			    /* imap-condstore */
	{ "QRESYNC", LOGGED, imap_can_resync, NULL },		    /* imap-qresync */
	{ "SORT", LOGGED, NULL, NULL },				    /* imap-sort */
	{ "SORT=DISPLAY", LOGGED, NULL, NULL },			    /* imap-sort */
	{ "ESORT", LOGGED, NULL, NULL },			    /* imap-sort */
	{ "THREAD=ORDEREDSUBJECT", LOGGED, NULL, NULL },	    /* imap-thread */
	{ "THREAD=REFERENCES", LOGGED, NULL, NULL },		    /* imap-thread */
	{ "OBJECTID", LOGGED, imap_has_ids, NULL },		    /* imap-objectid */
	{ "SAVEDATE", LOGGED, NULL, NULL },			    /* imap-savedate */
	{ "MULTIAPPEND", LOGGED, NULL, NULL },			    /* imap-multiappend */
	{ "CATENATE", LOGGED, NULL, NULL },			    /* imap-catenate */
	{ "BINARY", LOGGED, NULL, NULL },			    /* imap-binary */
	{ "REPLACE", LOGGED, NULL, NULL },			    /* imap-replace */
	{ "PREVIEW", LOGGED, NULL, NULL },			    /* imap-preview */
	{ "UTF8=ACCEPT", LOGGED, NULL, NULL },			    /* imap-utf8 */
	{ "UIDONLY", LOGGED, NULL, NULL },			    /* imap-uidonly */
	{ "INPROGRESS", LOGGED, NULL, NULL },			    /* imap-inprogress */
	{ "MESSAGELIMIT=", LOGGED, has_limit, message_limit },	    /* imap-messagelimit */
#ifdef HAVE_ZLIB
	{ "COMPRESS=DEFLATE", LOGGED, may_compress, NULL }, /* imap-compress */
#endif
};

KURIR_PARKS void imap_put_capability(struct imap *s)
{
	const char *before = "";

	for (size_t i = 0; i < sizeof(capabilities) / sizeof(*capabilities); i++) {
		if (!(capabilities[i].states & s->state) ||
		    (capabilities[i].when && !capabilities[i].when(s)))
			continue;
		kurir_printf(s->stream, "%s%s", before, capabilities[i].name);
		if (capabilities[i].number)
			kurir_printf(
			    s->stream, "%llu", (unsigned long long)capabilities[i].number(s));
		before = " ";
	}
}

KURIR_PARKS void imap_capability(struct imap *s, struct imap_args *a)
{
	(void)a;
	imap_puts(s, "* CAPABILITY ");
	imap_put_capability(s);
	imap_puts(s, "\r\n");
	imap_ok(s, "Done");
}
