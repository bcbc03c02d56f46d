/* table_ldap.c - the endpoint "table.ldap": maps that are searches of a directory (RFC 4511), and
 * passwords that it verifies by a bind.
 *
 * What comes from outside is escaped before it goes into a filter (RFC 4515):
 *
 *   %s the key   %u what stands before its @   %d what stands behind it   %% a percent sign */
#include <ldap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <tablepool/tablepool.h>

#define FILTER_MAX 8192

struct conf {
	struct kurir_str server, base, bind, password, attribute;
	struct kurir_map filters, attributes;
	struct kurir_str verify;
	bool starttls;
	struct kurir_str ca;
	int64_t connections;
	kurir_time timeout;
};

static const struct kurir_option options[] = {
	KURIR_OPT_TEXT("server", struct conf, server, NULL,
	    "Where the directory is: \"ldap://127.0.0.1\", \"ldaps://ldap.example\"."),
	KURIR_OPT_BOOL("starttls", struct conf, starttls, "false",
	    "Whether a connection by \"ldap:\" is encrypted before anything is asked."),
	KURIR_OPT_PATH("ca", struct conf, ca, "",
	    "The authorities that the directory's certificate is checked by; else the system's."),
	KURIR_OPT_TEXT("bind", struct conf, bind, "", "As whom to ask; empty: as nobody."),
	KURIR_OPT_SECRET("password", struct conf, password, "", "The password of \"bind\"."),
	KURIR_OPT_TEXT("base", struct conf, base, NULL, "Below which entry to search."),
	KURIR_OPT_MAP("filters", struct conf, filters, "",
	    "For each map a filter: \"(mail=%s)\". %s is the key, %u what stands before its @, %d"
	    " what stands behind it."),
	KURIR_OPT_MAP("attributes", struct conf, attributes, "",
	    "For each map the attribute whose values a key stands for."),
	KURIR_OPT_TEXT("attribute", struct conf, attribute, "mail",
	    "The attribute of maps that \"attributes\" does not name."),
	KURIR_OPT_TEXT("verify", struct conf, verify, "",
	    "A filter that finds the one entry of a user: his password is right when one can bind"
	    " as that entry with it. Empty: no passwords are verified."),
	KURIR_OPT_RANGE("connections", KURIR_INT, int64_t, struct conf, connections, "4", 1,
	    TABLE_LINKS, "Connections at one time; who comes later waits for one."),
	KURIR_OPT_RANGE("timeout", KURIR_SPAN, kurir_time, struct conf, timeout, "10s", 100,
	    300000, "How long a question may wait, and how long its answer may take."),
	{ 0 },
};

static struct timeval span(int milliseconds)
{
	return (struct timeval){ .tv_sec = milliseconds / 1000,
		.tv_usec = milliseconds % 1000 * 1000 };
}

static void close_link(void *link)
{
	(void)ldap_unbind_ext(link, NULL, NULL);
}

static int bind_as(LDAP *ld, const char *dn, const char *password)
{
	struct berval secret = { .bv_val = (char *)(uintptr_t)password,
		.bv_len = strlen(password) };

	return ldap_sasl_bind_s(ld, dn, LDAP_SASL_SIMPLE, &secret, NULL, NULL, NULL);
}

static int set_up(LDAP *ld, const struct conf *c, int timeout)
{
	struct timeval t = span(timeout);
	int version = LDAP_VERSION3, demand = LDAP_OPT_X_TLS_DEMAND, none = 0;
	int r = ldap_set_option(ld, LDAP_OPT_PROTOCOL_VERSION, &version);

	if (r == LDAP_SUCCESS)
		r = ldap_set_option(ld, LDAP_OPT_NETWORK_TIMEOUT, &t);
	if (r == LDAP_SUCCESS)
		r = ldap_set_option(ld, LDAP_OPT_TIMEOUT, &t);
	if (r == LDAP_SUCCESS)
		r = ldap_set_option(ld, LDAP_OPT_REFERRALS, LDAP_OPT_OFF);
	if (r == LDAP_SUCCESS && c->ca.len > 0)
		r = ldap_set_option(ld, LDAP_OPT_X_TLS_CACERTFILE, c->ca.ptr);
	if (r == LDAP_SUCCESS)
		r = ldap_set_option(ld, LDAP_OPT_X_TLS_REQUIRE_CERT, &demand);
	if (r == LDAP_SUCCESS)
		r = ldap_set_option(ld, LDAP_OPT_X_TLS_NEWCTX, &none);
	if (r == LDAP_SUCCESS && c->starttls)
		r = ldap_start_tls_s(ld, NULL, NULL);
	return r;
}

/* Bound as whom the configuration says, or with dn as that one: an LDAP code. */
static int open_as(
    const struct conf *c, int timeout, const char *dn, const char *password, LDAP **ret)
{
	int r = ldap_initialize(ret, c->server.ptr);

	if (r != LDAP_SUCCESS)
		return r;
	r = set_up(*ret, c, timeout);
	if (r == LDAP_SUCCESS)
		r = bind_as(*ret, dn, password);
	if (r != LDAP_SUCCESS) {
		close_link(*ret);
		*ret = NULL;
	}
	return r;
}

static void *open_link(const void *conf, int timeout, char error[TABLE_ERROR])
{
	const struct conf *c = conf;
	LDAP *ld = NULL;
	int r = open_as(c, timeout, c->bind.ptr, c->password.ptr, &ld);

	if (r != LDAP_SUCCESS)
		(void)snprintf(error, TABLE_ERROR, "%s: %s", c->server.ptr, ldap_err2string(r));
	return ld;
}

/* Each byte that means something in a filter, or is no ASCII, by its number. */
static bool put_escaped(char **to, const char *end, const char *text)
{
	for (; *text != '\0'; text++) {
		unsigned char b = (unsigned char)*text;

		if (end - *to < 4)
			return false;
		if (b < 0x20 || b > 0x7e || strchr("*()\\", b) != NULL)
			*to += snprintf(*to, 4, "\\%02x", b);
		else
			*(*to)++ = (char)b;
	}
	return true;
}

static bool make_filter(char filter[FILTER_MAX], const struct table_job *job)
{
	char *to = filter;
	const char *end = filter + FILTER_MAX - 1;
	bool fits = true;

	for (const char *p = job->query; *p != '\0' && fits; p++) {
		char kind = *p == '%' ? p[1] : '\0';
		const char *value = kind == 's' ? job->key
		    : kind == 'u'		? job->local
		    : kind == 'd'		? job->domain
						: NULL;

		fits = to < end;
		if (value != NULL)
			fits = fits && put_escaped(&to, end, value);
		else if (fits)
			*to++ = *p;
		if (value != NULL || kind == '%')
			p++;
	}
	*to = '\0';
	return fits;
}

/* What an LDAP code says: whether the connection is to blame, and what the key is.  A directory
 * that gives no more, or looks no longer, has answered: only who asked that has to do without. */
static int judge(struct table_job *job, int code)
{
	if (code == LDAP_SUCCESS)
		return 0;
	if (code == LDAP_NO_SUCH_OBJECT)
		return -ENODATA;
	table_job_fail(job, ldap_err2string(code));
	switch (code) {
	case LDAP_FILTER_ERROR:
	case LDAP_INVALID_SYNTAX:
	case LDAP_UNDEFINED_TYPE:
		return -EINVAL;
	case LDAP_SIZELIMIT_EXCEEDED:
	case LDAP_TIMELIMIT_EXCEEDED:
	case LDAP_ADMINLIMIT_EXCEEDED:
		return -E2BIG;
	default:
		return code == LDAP_TIMEOUT ? -ETIMEDOUT : -EIO;
	}
}

/* The directory's word about a user; some say "constraint violation" of who failed too often. */
static bool is_refusal(int code)
{
	return code == LDAP_INVALID_CREDENTIALS || code == LDAP_INAPPROPRIATE_AUTH ||
	    code == LDAP_UNWILLING_TO_PERFORM || code == LDAP_CONSTRAINT_VIOLATION ||
	    code == LDAP_INSUFFICIENT_ACCESS;
}

static int add_values(LDAP *ld, LDAPMessage *entry, const char *attribute, struct table_job *job)
{
	struct berval **values = ldap_get_values_len(ld, entry, attribute);
	int r = 0;

	for (int i = 0; values != NULL && values[i] != NULL && r == 0; i++)
		r = table_job_add(
		    job, (struct kurir_str){ values[i]->bv_val, values[i]->bv_len });
	ldap_value_free_len(values);
	return r;
}

static int search(LDAP *ld, const struct conf *c, struct table_job *job, const char *attribute,
    LDAPMessage **ret)
{
	char *filter = malloc(FILTER_MAX);
	char *attributes[] = { (char *)(uintptr_t)attribute, NULL };
	struct timeval t = span(job->timeout);
	int r = filter == NULL ? -ENOMEM : make_filter(filter, job) ? 0 : -ENODATA;

	*ret = NULL;
	if (r == 0)
		r = judge(job,
		    ldap_search_ext_s(ld, c->base.ptr, LDAP_SCOPE_SUBTREE, filter, attributes, 0,
			NULL, NULL, &t, (int)KURIR_TABLE_VALUES_MAX, ret));
	free(filter);
	return r;
}

/* The name of the one entry that the filter finds, to be freed; two are nobody. */
static int find_entry(LDAP *ld, const struct conf *c, struct table_job *job, char **ret_dn)
{
	LDAPMessage *found;
	int r = search(ld, c, job, LDAP_NO_ATTRS, &found);

	*ret_dn = NULL;
	if (r == 0 && ldap_count_entries(ld, found) == 1)
		*ret_dn = ldap_get_dn(ld, ldap_first_entry(ld, found));
	ldap_msgfree(found);
	return r < 0 ? r : *ret_dn == NULL ? -ENODATA : 0;
}

/* On a connection of its own, as the bind changes who asks.  Of a user who is not there the
 * base's entry is tried in vain, so that it takes as long. */
static int verify(LDAP *ld, const struct conf *c, struct table_job *job)
{
	LDAP *other = NULL;
	char *dn;
	int r = find_entry(ld, c, job, &dn), code;

	if (r < 0 && r != -ENODATA)
		return r;
	code = open_as(c, job->timeout, dn != NULL ? dn : c->base.ptr, job->secret, &other);
	ldap_memfree(dn);
	if (other != NULL)
		close_link(other);
	if (r == -ENODATA)
		return r;
	return is_refusal(code) ? -EACCES : judge(job, code);
}

static int ask(void *link, const void *conf, struct table_job *job)
{
	const struct conf *c = conf;
	const char *attribute = table_map_of(&c->attributes, job->map);
	LDAPMessage *found;
	int r;

	if (job->secret != NULL)
		return verify(link, c, job);
	if (attribute == NULL)
		attribute = c->attribute.ptr;
	r = search(link, c, job, attribute, &found);
	for (LDAPMessage *e = r == 0 ? ldap_first_entry(link, found) : NULL; e != NULL && r == 0;
	     e = ldap_next_entry(link, e))
		r = add_values(link, e, attribute, job);
	ldap_msgfree(found);
	return r == 0 && job->count == 0 ? -ENODATA : r;
}

static const char *query_of(const void *conf, struct kurir_str map, bool verify)
{
	const struct conf *c = conf;

	if (verify)
		return c->verify.len > 0 ? c->verify.ptr : NULL;
	return table_map_of(&c->filters, map);
}

static const struct table_backend backend = { query_of, open_link, ask, close_link };

static int check(const void *conf, struct kurir_arena *arena, struct kurir_str *error)
{
	const struct conf *c = conf;

	if (ldap_is_ldap_url(c->server.ptr) || ldap_is_ldaps_url(c->server.ptr))
		return 0;
	*error = kurir_format(
	    arena, "server \"%.*s\" is no ldap: or ldaps: URL", KURIR_ARG(c->server));
	return -EINVAL;
}

static int start(struct kurir_self *self)
{
	const struct conf *c = kurir_conf(self);

	return tablepool_start(self, &backend, (unsigned)c->connections, c->timeout);
}

static const struct kurir_service services[] = { { .kind = "endpoint",
						     .name = "table.ldap",
						     .ops = &tablepool_endpoint,
						     .roles = KURIR_ROLE_RESOLVER },
	{ 0 } };
static const struct kurir_path paths[] = { { .option = "ca", .read = KURIR_ROLE_RESOLVER },
	{ 0 } };

KURIR_MODULE(table_ldap, .version = "1.0", .summary = "Looks things up in a directory (LDAP)",
    .roles = KURIR_ROLE_RESOLVER, .caps = KURIR_CAP_NET | KURIR_CAP_FILES | KURIR_CAP_SPAWN,
    .conf_size = sizeof(struct conf), .self_size = sizeof(struct tablepool), .options = options,
    .counters = tablepool_counters, .services = services, .paths = paths, .check = check,
    .start = start, .stop = tablepool_stop);
