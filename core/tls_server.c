/* tls_server.c - server contexts: one for each pair of certificate and key, chosen by SNI.
 * TLS 1.2 and 1.3 with the suites that Mozilla calls intermediate.  A context is replaced as a
 * whole; handshakes and sessions under way keep the one they began with. */
#include "tls.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "keywatch.h"

#define LOOK_AGAIN 1000	      /* ms between two looks at the files */
#define FILE_LIMIT (1u << 20) /* bytes of a PEM file */

#define SUITES \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:" \
	"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:" \
	"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"

struct server {
	struct kurir_str certificate, key; /* paths, NUL follows */
	struct keywatch_mark certificate_mark, key_mark;
	struct kurir_arena *arena; /* of the names */
	struct kurir_texts names;  /* lower case */
	SSL_CTX *ctx;		   /* NULL: there has been no usable pair */
};

/* In place of the files: certificate and key, or -1. */
struct offer {
	int fds[2];
	size_t index;
};
static const struct offer no_offer = { .fds = { -1, -1 } };
static struct offer offer = { .fds = { -1, -1 } };

static struct server *servers;
static size_t server_count;
static enum conf_tls_minimum minimum;
static kurir_time looked;
static bool following; /* somebody else looks at the files */

SSL_CTX *tls_context_new(const SSL_METHOD *method)
{
	SSL_CTX *c = SSL_CTX_new(method);
	if (!c)
		check_no_memory();
	(void)SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
	(void)SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	(void)SSL_CTX_set_mode(c,
	    SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
		SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	(void)SSL_CTX_clear_mode(c, SSL_MODE_AUTO_RETRY);
	(void)SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_read_ahead(c, 1);
	return c;
}

/* Files. */

/* A whole small file as a BIO, in memory that is wiped, as it may be a key.  The descriptor is
 * shared with other processes: its position is nobody's. */
static int slurp(int fd, BIO **ret)
{
	char part[2048];
	size_t total = 0;
	ssize_t n;
	BIO *b = BIO_new(BIO_s_secmem());
	if (!b)
		check_no_memory();
	while ((n = pread(fd, part, sizeof(part), (off_t)total)) > 0 && total <= FILE_LIMIT) {
		total += (size_t)n;
		if (BIO_write(b, part, (int)n) != n)
			check_no_memory();
	}
	int r = n < 0 ? -errno : total > FILE_LIMIT ? -EFBIG : 0;
	OPENSSL_cleanse(part, sizeof(part));
	if (r < 0)
		BIO_free(b);
	else
		*ret = b;
	return r;
}

static int read_file(struct kurir_str path, int offered, BIO **ret)
{
	if (offered >= 0)
		return slurp(offered, ret);
	int fd = open(path.ptr, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	int r = slurp(fd, ret);
	(void)close(fd);
	return r;
}

/* Never asks on a terminal. */
static int no_password(char *p, int size, int writing, void *arg)
{
	(void)p, (void)size, (void)writing, (void)arg;
	return 0;
}

static int use_certificates(SSL_CTX *ctx, BIO *b)
{
	X509 *x = PEM_read_bio_X509_AUX(b, NULL, no_password, NULL);
	if (!x)
		return -EINVAL;
	int r = SSL_CTX_use_certificate(ctx, x) == 1 ? 0 : -EINVAL;
	X509_free(x);
	while (r == 0 && (x = PEM_read_bio_X509(b, NULL, no_password, NULL)) != NULL)
		if (SSL_CTX_add0_chain_cert(ctx, x) != 1) {
			X509_free(x);
			r = -EINVAL;
		}
	if (r == 0)
		ERR_clear_error(); /* the end of the file is one */
	return r;
}

static int use_key(SSL_CTX *ctx, BIO *b)
{
	EVP_PKEY *k = PEM_read_bio_PrivateKey(b, NULL, no_password, NULL);
	if (!k)
		return -EINVAL;
	bool good = SSL_CTX_use_PrivateKey(ctx, k) == 1 && SSL_CTX_check_private_key(ctx) == 1;
	EVP_PKEY_free(k);
	return good ? 0 : -EKEYREJECTED;
}

/* Names. */

static void name_add(struct kurir_arena *a, struct kurir_texts *names, const ASN1_STRING *s)
{
	struct kurir_str raw = { (const char *)ASN1_STRING_get0_data(s),
		(size_t)ASN1_STRING_length(s) };
	struct kurir_str *items = kurir_alloc(a, (names->count + 1) * sizeof(*items));
	if (names->count)
		memcpy(items, names->items, names->count * sizeof(*items));
	items[names->count] = kurir_lower(a, raw);
	*names = (struct kurir_texts){ names->count + 1, items };
}

/* RFC 6125: the alternative names, or the common name when there are none. */
static void read_names(X509 *x, struct kurir_arena *a, struct kurir_texts *names)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	for (int i = 0; i < sk_GENERAL_NAME_num(all); i++) {
		const GENERAL_NAME *n = sk_GENERAL_NAME_value(all, i);
		if (n->type == GEN_DNS)
			name_add(a, names, n->d.dNSName);
	}
	GENERAL_NAMES_free(all);
	const X509_NAME *subject = X509_get_subject_name(x);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	if (!names->count && at >= 0)
		name_add(a, names, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
}

static bool matches(struct kurir_str pattern, struct kurir_str name, bool wildcard)
{
	if (!wildcard)
		return kurir_str_equal_nocase(pattern, name);
	ssize_t dot = kurir_str_find(name, '.');
	return dot > 0 && kurir_str_starts(pattern, KURIR_STR("*.")) &&
	    kurir_str_equal_nocase(kurir_str_part(pattern, 1, pattern.len),
		kurir_str_part(name, (size_t)dot, name.len));
}

static struct server *find(struct kurir_str name)
{
	for (int wildcard = 0; wildcard < 2; wildcard++)
		for (size_t i = 0; i < server_count; i++)
			for (size_t k = 0; k < servers[i].names.count; k++)
				if (matches(servers[i].names.items[k], name, wildcard))
					return &servers[i];
	return NULL;
}

static int choose(SSL *ssl, int *alert, void *arg)
{
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	struct server *s = name ? find(kurir_str_of(name)) : NULL;
	(void)alert, (void)arg;
	if (!s)
		return SSL_TLSEXT_ERR_NOACK;
	(void)SSL_set_SSL_CTX(ssl, s->ctx);
	return SSL_TLSEXT_ERR_OK;
}

/* Contexts. */

/* Reads both files into s->ctx and s->names; what went wrong is a sentence in *error. */
static int server_load(struct server *s, const struct offer *from, enum conf_tls_minimum least,
    struct kurir_arena *a, struct kurir_str *error)
{
	BIO *certificate = NULL, *key = NULL;
	struct kurir_str at = s->certificate;
	s->certificate_mark = keywatch_mark(s->certificate);
	s->key_mark = keywatch_mark(s->key);
	SSL_CTX *ctx = tls_context_new(TLS_server_method());
	ERR_clear_error();
	int r = read_file(at, from->fds[0], &certificate);
	if (r == 0)
		r = use_certificates(ctx, certificate);
	if (r == 0) {
		at = s->key;
		r = read_file(at, from->fds[1], &key);
	}
	if (r == 0)
		r = use_key(ctx, key);
	if (r == -EKEYREJECTED)
		*error = kurir_format(
		    a, "%s: this key does not belong to %s", s->key.ptr, s->certificate.ptr);
	else if (r == -EINVAL)
		*error = kurir_format(a, "%s: there is no usable %s in it", at.ptr,
		    key ? "key (PEM, without a password)" : "certificate (PEM)");
	else if (r < 0)
		*error = kurir_format(a, "%s: cannot be read: %s", at.ptr, strerrordesc_np(-r));
	BIO_free(certificate);
	BIO_free(key);
	ERR_clear_error();
	if (r < 0) {
		SSL_CTX_free(ctx);
		return r;
	}
	if (least == CONF_TLS_1_3)
		(void)SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
	if (SSL_CTX_set_cipher_list(ctx, SUITES) != 1 ||
	    SSL_CTX_set1_groups_list(ctx, "X25519:P-256:P-384") != 1)
		check_no_memory();
	(void)SSL_CTX_set_num_tickets(ctx, 1);
	(void)SSL_CTX_set_tlsext_servername_callback(ctx, choose);
	s->ctx = ctx;
	s->arena = kurir_arena_new("certificate");
	s->names = (struct kurir_texts){ 0 };
	read_names(SSL_CTX_get0_certificate(ctx), s->arena, &s->names);
	return 0;
}

static void server_unload(struct server *s)
{
	SSL_CTX_free(s->ctx);
	kurir_arena_free(s->arena);
}

static void servers_free(struct server *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		server_unload(&list[i]);
		free((char *)(uintptr_t)list[i].certificate.ptr);
		free((char *)(uintptr_t)list[i].key.ptr);
	}
	free(list);
}

static struct kurir_str path_copy(struct kurir_str s)
{
	char *p = strndup(s.ptr, s.len);
	if (!p)
		check_no_memory();
	return kurir_str_of(p);
}

int tls_server_init(const struct conf_certificate *files, size_t count,
    enum conf_tls_minimum least, struct kurir_arena *a, struct kurir_str *error)
{
	struct server *list = calloc(count + 1, sizeof(*list));
	struct kurir_str why;
	int first = 0;
	if (!list)
		check_no_memory();
	for (size_t i = 0; i < count; i++) {
		list[i].certificate = path_copy(files[i].certificate);
		list[i].key = path_copy(files[i].key);
		int r = server_load(&list[i], &no_offer, least, a, &why);
		if (r == 0)
			continue;
		KURIR_EMIT(NULL, KURIR_ERROR, "certificate-unusable",
		    { "certificate", files[i].certificate }, { "reason", why });
		*error = first < 0 ? *error : why;
		first = first < 0 ? first : r;
	}
	tls_server_fini();
	servers = list;
	server_count = count;
	minimum = least;
	looked = kurir_now();
	return first;
}

void tls_server_fini(void)
{
	servers_free(servers, server_count);
	servers = NULL;
	server_count = 0;
}

int tls_server_check(
    const struct conf_certificate *files, struct kurir_arena *a, struct kurir_str *error)
{
	struct server s = { .certificate = path_copy(files->certificate),
		.key = path_copy(files->key) };
	int r = server_load(&s, &no_offer, CONF_TLS_1_2, a, error);
	server_unload(&s);
	free((char *)(uintptr_t)s.certificate.ptr);
	free((char *)(uintptr_t)s.key.ptr);
	return r;
}

static bool unchanged(const struct server *s)
{
	return keywatch_same(s->certificate_mark, keywatch_mark(s->certificate)) &&
	    keywatch_same(s->key_mark, keywatch_mark(s->key));
}

static void server_replace(struct server *s, const struct offer *from)
{
	struct kurir_str error;
	struct kurir_arena *a = kurir_arena_new("certificate");
	struct server fresh = *s;
	int r = server_load(&fresh, from, minimum, a, &error);
	/* A broken pair is not tried again before it changes. */
	s->certificate_mark = fresh.certificate_mark;
	s->key_mark = fresh.key_mark;
	if (r < 0) {
		(void)kurir_log(NULL, KURIR_WARN, 0, "%.*s, going on with%s", KURIR_ARG(error),
		    s->ctx ? " the old certificate" : "out");
	} else {
		server_unload(s);
		*s = fresh;
		(void)kurir_log(NULL, KURIR_INFO, 0, "%s: replaced certificate is in use",
		    s->certificate.ptr);
	}
	kurir_arena_free(a);
}

void tls_server_follow(void)
{
	following = true;
}

void tls_server_offer(size_t index, bool key, int fd)
{
	if (offer.fds[key] >= 0)
		(void)close(offer.fds[key]);
	offer.fds[key] = fd;
	if (!key)
		offer.index = index;
	if (!key || fd < 0)
		return;
	if (offer.index == index && index < server_count && offer.fds[0] >= 0)
		server_replace(&servers[index], &offer);
	for (int i = 0; i < 2; i++)
		if (offer.fds[i] >= 0)
			(void)close(offer.fds[i]);
	offer = no_offer;
}

SSL *tls_server_new(void)
{
	kurir_time now = kurir_now();
	if (!following && now - looked >= LOOK_AGAIN) {
		looked = now;
		for (size_t i = 0; i < server_count; i++)
			if (!unchanged(&servers[i]))
				server_replace(&servers[i], &no_offer);
	}
	size_t i = 0;
	while (i < server_count && !servers[i].ctx)
		i++;
	if (i == server_count)
		return NULL;
	SSL *ssl = SSL_new(servers[i].ctx);
	if (!ssl)
		check_no_memory();
	return ssl;
}
