/* test_tls.c - handshakes over a pair in memory: SNI, replacement, trust, DANE, injection. */
#include "loop_unit.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tls.h>

#define SOON (kurir_now() + 20000)

static char folder[64];
static struct kurir_arena *arena;

/* Certificates. */

struct made {
	EVP_PKEY *key;
	X509 *certificate;
	X509 *issuer; /* borrowed, sent along; NULL: self-signed */
};

static void path_of(char *to, size_t room, const char *name)
{
	snprintf(to, room, "%s/%s", folder, name);
}

static void extension(X509 *x, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(e);
	X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
}

/* For names ("DNS:a,DNS:b"); self-signed when there is no issuer. */
static struct made make_from(const char *common, const char *names, const struct made *issuer)
{
	static long serial = 1;
	struct made m = { EVP_EC_gen("P-256"), X509_new(), issuer ? issuer->certificate : NULL };
	X509 *x = m.certificate;
	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, m.key);
	X509_NAME *n = X509_get_subject_name(x);
	X509_NAME_add_entry_by_txt(
	    n, "CN", MBSTRING_ASC, (const unsigned char *)common, -1, -1, 0);
	X509_set_issuer_name(x, issuer ? X509_get_subject_name(issuer->certificate) : n);
	if (names)
		extension(x, NID_subject_alt_name, names);
	extension(x, NID_basic_constraints, issuer ? "critical,CA:FALSE" : "critical,CA:TRUE");
	assert_true(X509_sign(x, issuer ? issuer->key : m.key, EVP_sha256()) > 0);
	return m;
}

static struct made make(const char *common, const char *names)
{
	return make_from(common, names, NULL);
}

static void made_free(struct made m)
{
	EVP_PKEY_free(m.key);
	X509_free(m.certificate);
}

static void save(struct made m, const char *name)
{
	char path[128], temporary[140];
	for (int key = 0; key < 2; key++) {
		snprintf(path, sizeof(path), "%s/%s.%s", folder, name, key ? "key" : "crt");
		snprintf(temporary, sizeof(temporary), "%s.new", path);
		FILE *f = fopen(temporary, "w");
		assert_non_null(f);
		if (key)
			PEM_write_PrivateKey(f, m.key, NULL, NULL, 0, NULL, NULL);
		else
			PEM_write_X509(f, m.certificate);
		if (!key && m.issuer)
			PEM_write_X509(f, m.issuer);
		fclose(f);
		assert_int_equal(rename(temporary, path), 0);
	}
}

static struct kurir_str file_of(const char *name, const char *kind)
{
	return kurir_format(arena, "%s/%s.%s", folder, name, kind);
}

static int serve_with(size_t count, const char *const *names, enum conf_tls_minimum least)
{
	struct conf_certificate c[4];
	struct kurir_str error = KURIR_STR("");
	for (size_t i = 0; i < count; i++)
		c[i] = (struct conf_certificate){ file_of(names[i], "crt"),
			file_of(names[i], "key") };
	return tls_server_init(c, count, least, arena, &error);
}

/* A server that greets, echoes one line and says goodbye. */

struct served {
	struct kurir_stream *s;
	int accepted;
	bool inject_check;
	unsigned char exporter[KURIR_TLS_BINDING_MAX], certificate[KURIR_TLS_BINDING_MAX];
};

static void server(void *arg)
{
	struct served *v = arg;
	struct kurir_str line;
	v->accepted = kurir_tls_accept(v->s, SOON);
	if (v->accepted == 0) {
		CHECK_IS(kurir_tls_binding(v->s, KURIR_TLS_EXPORTER, v->exporter), 32);
		CHECK_IS(kurir_tls_binding(v->s, KURIR_TLS_SERVER_END_POINT, v->certificate), 32);
		CHECK_IS(kurir_readline(v->s, 1000, &line, SOON), 1);
		kurir_write(v->s, line);
		CHECK_IS(kurir_flush(v->s, SOON), 0);
		CHECK_IS(kurir_readline(v->s, 1000, &line, SOON), 0); /* close_notify */
	}
	kurir_close(v->s);
}

static int connect_with(
    const struct kurir_tls_client *c, int *ret_accepted, struct kurir_str *ret_error)
{
	struct kurir_stream *mine;
	struct served v = { .accepted = 1 };
	unsigned char bytes[KURIR_TLS_BINDING_MAX];
	struct kurir_str line;
	kurir_stream_pair(&mine, &v.s);
	CHECK_IS(kurir_tls_binding(mine, KURIR_TLS_EXPORTER, bytes), -ENOTSUP);
	struct kurir_group *g = kurir_group_begin(NULL);
	kurir_group_go(g, "server", server, &v);
	int r = kurir_tls_connect(mine, c, SOON);
	if (r == 0) {
		CHECK(kurir_str_starts(kurir_tls_summary(mine), KURIR_STR("TLSv1.")));
		kurir_printf(mine, "hello\r\n");
		CHECK_IS(kurir_flush(mine, SOON), 0);
		CHECK_IS(kurir_readline(mine, 100, &line, SOON), 1);
		CHECK_STR(line, "hello\r\n");
		CHECK_IS(kurir_tls_binding(mine, KURIR_TLS_EXPORTER, bytes), 32);
		CHECK(memcmp(bytes, v.exporter, 32) == 0);
		CHECK_IS(kurir_tls_binding(mine, KURIR_TLS_SERVER_END_POINT, bytes), 32);
		CHECK(memcmp(bytes, v.certificate, 32) == 0);
	}
	if (ret_error)
		*ret_error = kurir_copy(arena, kurir_tls_error(mine));
	kurir_close(mine);
	kurir_group_wait(g, SOON);
	kurir_group_end(g);
	if (ret_accepted)
		*ret_accepted = v.accepted;
	return r;
}

static struct kurir_tls_client client(const char *name, enum kurir_tls_verify verify)
{
	return (struct kurir_tls_client){ sizeof(struct kurir_tls_client), kurir_str_of(name),
		verify, NULL, 0 };
}

static void body_plain_round(void *arg)
{
	int accepted;
	struct kurir_tls_client c = client("satu.example", KURIR_TLS_ANY);
	(void)arg;
	CHECK_IS(connect_with(&c, &accepted, NULL), 0);
	CHECK_IS(accepted, 0);
}

static void body_names(void *arg)
{
	struct kurir_str error;
	struct {
		const char *name;
		int want;
	} cases[] = {
		{ "satu.example", 0 },
		{ "mx.satu.example", 0 },
		{ "SATU.example", 0 },
		{ "dua.example", 0 },
		{ "a.dua.example", 0 },
		{ "a.b.dua.example", -EPROTO },
		{ "unknown.example", -EPROTO },
		{ "127.0.0.1", -EPROTO },
	};
	(void)arg;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct kurir_tls_client c = client(cases[i].name, KURIR_TLS_NAME);
		CHECK_IS(connect_with(&c, NULL, &error), cases[i].want);
		if (cases[i].want)
			CHECK(kurir_str_starts(error, KURIR_STR("certificate not accepted")));
	}
}

static void body_replaced(void *arg)
{
	const char *const names[] = { "satu" };
	struct kurir_tls_client old = client("satu.example", KURIR_TLS_NAME);
	struct kurir_tls_client fresh = client("baru.example", KURIR_TLS_NAME);
	(void)arg;
	CHECK_IS(serve_with(1, names, CONF_TLS_1_2), 0);
	CHECK_IS(connect_with(&old, NULL, NULL), 0);
	CHECK_IS(connect_with(&fresh, NULL, NULL), -EPROTO);
	struct made m = make("baru", "DNS:baru.example");
	char ca[128];
	save(m, "satu");
	save(m, "baru");
	path_of(ca, sizeof(ca), "baru.crt");
	CHECK_IS(tls_client_init(kurir_str_of(ca)), 0);
	CHECK_IS(connect_with(&fresh, NULL, NULL), -EPROTO); /* not looked at yet */
	kurir_sleep(kurir_now() + 1000);
	CHECK_IS(connect_with(&fresh, NULL, NULL), 0);
	/* A broken file leaves the old one. */
	path_of(ca, sizeof(ca), "satu.key");
	FILE *f = fopen(ca, "w");
	fputs("nonsense", f);
	fclose(f);
	kurir_sleep(kurir_now() + 1000);
	CHECK_IS(connect_with(&fresh, NULL, NULL), 0);
	unlink(ca);
	kurir_sleep(kurir_now() + 1000);
	CHECK_IS(connect_with(&fresh, NULL, NULL), 0);
	/* Offered by somebody else, where the files cannot be read: they are not looked at. */
	struct made third = make("tiga", "DNS:satu.example");
	save(third, "satu");
	CHECK_IS(tls_client_init(file_of("satu", "crt")), 0);
	tls_server_follow();
	kurir_sleep(kurir_now() + 5000);
	CHECK_IS(connect_with(&old, NULL, NULL), -EPROTO);
	int certificate = open(file_of("satu", "crt").ptr, O_RDONLY | O_CLOEXEC);
	tls_server_offer(0, true, -1);
	tls_server_offer(0, false, certificate);
	tls_server_offer(1, true, open(file_of("satu", "key").ptr, O_RDONLY | O_CLOEXEC));
	CHECK_IS(connect_with(&old, NULL, NULL), -EPROTO); /* not a pair */
	for (int key = 0; key < 2; key++)
		tls_server_offer(
		    0, key, open(file_of("satu", key ? "key" : "crt").ptr, O_RDONLY | O_CLOEXEC));
	CHECK_IS(connect_with(&old, NULL, NULL), 0);
	made_free(third);
	made_free(m);
}

/* A record with the SHA-256 of what selector says. */
static struct kurir_str record(char usage, char selector, X509 *x)
{
	unsigned char hash[EVP_MAX_MD_SIZE], *der = NULL;
	unsigned n;
	if (selector == 0) {
		X509_digest(x, EVP_sha256(), hash, &n);
	} else {
		int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);
		EVP_Digest(der, (size_t)len, hash, &n, EVP_sha256(), NULL);
		OPENSSL_free(der);
	}
	char rdata[35] = { usage, selector, 1 };
	memcpy(rdata + 3, hash, 32);
	return kurir_copy(arena, (struct kurir_str){ rdata, sizeof(rdata) });
}

static void body_dane(void *arg)
{
	struct made *all = arg; /* satu, the authority, and tiga below it */
	struct kurir_str ee = record(3, 1, all[0].certificate);
	struct kurir_str ta = record(2, 0, all[1].certificate);
	struct kurir_str wrong = record(3, 1, all[1].certificate);
	struct kurir_str pkix = record(0, 0, all[0].certificate);
	struct kurir_str list[2] = { ee };
	struct kurir_tls_client c = client("satu.example", KURIR_TLS_DANE);
	tls_client_fini(); /* trusts nobody else */
	c.tlsa = list;
	c.tlsa_count = 1;
	CHECK_IS(connect_with(&c, NULL, NULL), 0);
	c.name = KURIR_STR("other.example"); /* usage 3: the name does not matter */
	CHECK_IS(connect_with(&c, NULL, NULL), 0);
	list[0] = wrong;
	CHECK_IS(connect_with(&c, NULL, NULL), -EPROTO);
	c.tlsa_count = 2; /* one of two is enough */
	list[1] = ee;
	CHECK_IS(connect_with(&c, NULL, NULL), 0);
	list[1] = ta; /* usage 2: of the authority, and the name counts */
	CHECK_IS(connect_with(&c, NULL, NULL), -EPROTO);
	c.name = KURIR_STR("tiga.example");
	CHECK_IS(connect_with(&c, NULL, NULL), 0);
	list[0] = pkix; /* none usable: encrypted, unauthenticated */
	list[1] = KURIR_STR("\3\1");
	CHECK_IS(connect_with(&c, NULL, NULL), 0);
}

static void body_injected(void *arg)
{
	struct kurir_stream *a, *b;
	struct kurir_str line;
	struct kurir_tls_client c = client("satu.example", KURIR_TLS_ANY);
	(void)arg;
	kurir_stream_pair(&a, &b);
	kurir_write(a, KURIR_STR("GO\r\nEVIL\r\n"));
	CHECK_IS(kurir_flush(a, SOON), 0);
	CHECK_IS(kurir_readline(b, 100, &line, SOON), 1);
	CHECK_IS(kurir_tls_accept(b, SOON), -EBADMSG);
	CHECK_IS(kurir_pending(b), 0);
	CHECK(kurir_tls_error(b).len > 0);
	kurir_write(b, KURIR_STR("GO\r\nEVIL\r\n"));
	CHECK_IS(kurir_flush(b, SOON), 0);
	CHECK_IS(kurir_readline(a, 100, &line, SOON), 1);
	CHECK_IS(kurir_tls_connect(a, &c, SOON), -EPROTO);
	kurir_close(a);
	kurir_close(b);
}

/* Plain bytes where a handshake should be; a peer that says nothing; one that goes. */
static void body_no_handshake(void *arg)
{
	struct kurir_stream *a, *b;
	struct kurir_tls_client c = client("satu.example", KURIR_TLS_ANY);
	(void)arg;
	kurir_stream_pair(&a, &b);
	kurir_write(a, KURIR_STR("this is not a client's greeting\r\n"));
	CHECK_IS(kurir_flush(a, SOON), 0);
	CHECK_IS(kurir_tls_accept(b, SOON), -EPROTO);
	CHECK_IS(kurir_write(b, KURIR_STR("x")), -EPROTO);
	CHECK_IS(kurir_tls_summary(b).len, 0);
	kurir_close(a);
	kurir_close(b);
	kurir_stream_pair(&a, &b);
	CHECK_IS(kurir_tls_accept(b, kurir_now() + 100), -ETIMEDOUT);
	CHECK_STR(kurir_tls_error(b), "timed out during the handshake");
	kurir_close(a);
	kurir_close(b);
	kurir_stream_pair(&a, &b);
	kurir_close(a);
	CHECK_IS(kurir_tls_connect(b, &c, SOON), -EPIPE);
	kurir_close(b);
}

/* Much, both ways, against a slow reader: partial writes at every layer. */
static void bulk_server(void *arg)
{
	struct served *v = arg;
	char part[1000];
	unsigned char want = 0;
	size_t total = 0;
	ssize_t n;
	v->accepted = kurir_tls_accept(v->s, SOON);
	CHECK_IS(v->accepted, 0);
	while ((n = kurir_read(v->s, part, sizeof(part), SOON)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			CHECK_IS((unsigned char)part[i], want++);
		total += (size_t)n;
		if (total % 3 == 0)
			kurir_sleep(kurir_now() + 1);
	}
	CHECK_IS(n, 0);
	CHECK_IS(total, 300000 + 7);
	kurir_close(v->s);
}

static void body_bulk(void *arg)
{
	struct kurir_stream *a;
	struct served v = { 0 };
	struct kurir_tls_client c = client("satu.example", KURIR_TLS_ANY);
	char *data = malloc(300000 + 7);
	(void)arg;
	for (size_t i = 0; i < 300000 + 7; i++)
		data[i] = (char)(unsigned char)i;
	kurir_stream_pair(&a, &v.s);
	struct kurir_group *g = kurir_group_begin(NULL);
	kurir_group_go(g, "bulk", bulk_server, &v);
	CHECK_IS(kurir_tls_connect(a, &c, SOON), 0);
	kurir_write(a, (struct kurir_str){ data, 7 });
	CHECK_IS(kurir_write(a, (struct kurir_str){ data + 7, 200000 }), 0);
	kurir_write(a, (struct kurir_str){ data + 200007, 100 });
	CHECK_IS(kurir_write(a, (struct kurir_str){ data + 200107, 99900 }), 0);
	CHECK_IS(kurir_flush(a, SOON), 0);
	kurir_close(a);
	kurir_group_wait(g, SOON);
	kurir_group_end(g);
	free(data);
}

/* Every wait of a session fails in turn; nothing may leak, hang or be touched after its end. */
static void body_torture(void *arg)
{
	int errors[] = { -ETIMEDOUT, -ECANCELED };
	(void)arg;
	for (size_t e = 0; e < 2; e++)
		for (unsigned n = 1; n < 12; n++) {
			struct kurir_stream *mine;
			struct served v = { .accepted = 1 };
			struct kurir_tls_client c = client("satu.example", KURIR_TLS_ANY);
			kurir_stream_pair(&mine, &v.s);
			struct kurir_group *g = kurir_group_begin(NULL);
			kurir_group_go(g, "server", server, &v);
			const char *before = loop_unit_failed;
			fiber_fail_park(n, errors[e]);
			if (kurir_tls_connect(mine, &c, SOON) == 0) {
				kurir_printf(mine, "hello\r\n");
				(void)kurir_flush(mine, SOON);
			}
			kurir_close(mine);
			kurir_group_end(g);
			fiber_fail_park(0, 0);
			loop_unit_failed = before; /* the server's wishes do not count here */
			if (fiber_canceled())
				return;
		}
}

static void over_all(void **state)
{
	(void)state;
	struct made satu = make("satu", "DNS:satu.example,DNS:mx.satu.example");
	struct made dua = make("dua", "DNS:dua.example,DNS:*.dua.example");
	struct made authority = make("authority", NULL);
	struct made tiga = make_from("tiga", "DNS:tiga.example", &authority);
	struct made for_dane[] = { satu, authority, tiga };
	const char *const all[] = { "satu", "dua", "tiga" };
	save(tiga, "tiga");
	save(satu, "satu");
	save(dua, "dua");
	char ca[128];
	path_of(ca, sizeof(ca), "ca.crt");
	FILE *f = fopen(ca, "w");
	PEM_write_X509(f, satu.certificate);
	PEM_write_X509(f, dua.certificate);
	fclose(f);
	for (int version = 0; version < 2; version++) {
		assert_int_equal(serve_with(3, all, version ? CONF_TLS_1_3 : CONF_TLS_1_2), 0);
		assert_int_equal(tls_client_init(kurir_str_of(ca)), 0);
		run_on_loop(true, body_plain_round, NULL);
		run_on_loop(true, body_names, NULL);
		run_on_loop(true, body_dane, for_dane);
		run_on_loop(true, body_injected, NULL);
		run_on_loop(true, body_no_handshake, NULL);
		run_on_loop(true, body_bulk, NULL);
		run_on_loop(true, body_torture, NULL);
	}
	assert_int_equal(tls_client_init(kurir_str_of(ca)), 0);
	run_on_loop(true, body_replaced, NULL);
	made_free(satu);
	made_free(dua);
	made_free(authority);
	made_free(tiga);
}

/* What is usable serves, also who wanted the other; a slot that was empty is filled. */
static void body_half(void *arg)
{
	struct kurir_tls_client a = client("a.example", KURIR_TLS_ANY);
	(void)arg;
	CHECK_IS(tls_client_init(file_of("b", "crt")), 0);
	CHECK_IS(connect_with(&a, NULL, NULL), 0);
	CHECK_IS(tls_client_init(file_of("a", "crt")), 0);
	a.verify = KURIR_TLS_NAME;
	CHECK_IS(connect_with(&a, NULL, NULL), -EPROTO);
	struct made m = make("a", "DNS:a.example");
	save(m, "a");
	made_free(m);
	CHECK_IS(tls_client_init(file_of("a", "crt")), 0);
	for (int key = 0; key < 2; key++)
		tls_server_offer(
		    1, key, open(file_of("a", key ? "key" : "crt").ptr, O_RDONLY | O_CLOEXEC));
	CHECK_IS(connect_with(&a, NULL, NULL), 0);
}

static void body_none(void *arg)
{
	struct kurir_tls_client a = client("a.example", KURIR_TLS_ANY);
	int accepted = 0;
	(void)arg;
	CHECK(connect_with(&a, &accepted, NULL) < 0);
	CHECK_IS(accepted, -EOPNOTSUPP);
}

/* The pair is refused with its reason, and leaves nothing to serve with. */
static void broken(const char *certificate, const char *key, int want, const char *words)
{
	struct kurir_str error = KURIR_STR("");
	struct conf_certificate c = { kurir_str_of(certificate), kurir_str_of(key) };
	assert_int_equal(tls_server_check(&c, arena, &error), want);
	assert_non_null(strstr(error.ptr, words));
	error = KURIR_STR("");
	assert_int_equal(tls_server_init(&c, 1, CONF_TLS_1_2, arena, &error), want);
	assert_non_null(strstr(error.ptr, words));
	run_on_loop(true, body_none, NULL);
}

static void refusals(void **state)
{
	(void)state;
	struct made a = make("a", "DNS:a.example"), b = make("b", NULL);
	save(a, "a");
	save(b, "b");
	const char *crt = file_of("a", "crt").ptr, *key = file_of("a", "key").ptr;
	broken(crt, file_of("b", "key").ptr, -EKEYREJECTED, "does not belong");
	broken(file_of("none", "crt").ptr, key, -ENOENT, "No such file");
	broken(key, crt, -EINVAL, "no usable certificate");
	struct kurir_str error = KURIR_STR("");
	struct conf_certificate pairs[] = { { file_of("none", "crt"), file_of("none", "key") },
		{ file_of("a", "crt"), file_of("a", "key") },
		{ file_of("b", "crt"), file_of("b", "key") } };
	assert_int_equal(tls_server_check(&pairs[1], arena, &error), 0);
	assert_int_equal(unlink(key), 0);
	assert_int_equal(tls_server_init(pairs, 3, CONF_TLS_1_2, arena, &error), -ENOENT);
	run_on_loop(true, body_half, NULL);
	made_free(a);
	made_free(b);
}

static int set_up(void **state)
{
	(void)state;
	arena = kurir_arena_new("test");
	snprintf(folder, sizeof(folder), "/tmp/kurir-tls-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
	static const char *const names[] = { "satu", "dua", "tiga", "baru", "a", "b", "ca" };
	char path[128];
	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		for (int key = 0; key < 2; key++) {
			snprintf(path, sizeof(path), "%s/%s.%s", folder, names[i],
			    key ? "key" : "crt");
			(void)unlink(path);
		}
	(void)rmdir(folder);
	tls_server_fini();
	tls_client_fini();
	kurir_arena_free(arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(over_all),
		cmocka_unit_test(refusals),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
