/* tls_client.c - whom we believe: nobody in particular, a trusted certificate, or DANE.
 *
 * DANE for mail is RFC 7672: usages 2 (DANE-TA) and 3 (DANE-EE) count, 0 and 1 do not; with
 * usage 3 the name in the certificate does not matter; when no record can be used the session
 * is encrypted and nobody is believed. */
#include "tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <arpa/inet.h>

#include "check.h"

#define NAME_MAX_BYTES 255

static SSL_CTX *any, *strict;

void tls_client_fini(void)
{
	SSL_CTX_free(any);
	SSL_CTX_free(strict);
	any = strict = NULL;
}

static void contexts_make(void)
{
	if (any)
		return;
	any = tls_context_new(TLS_client_method());
	/* The alternative is no encryption at all: short keys and old hashes are better. */
	(void)SSL_CTX_set_cipher_list(any, "DEFAULT:@SECLEVEL=0");
	(void)SSL_CTX_set_options(any, SSL_OP_LEGACY_SERVER_CONNECT);
	strict = tls_context_new(TLS_client_method());
	kurir_assert(SSL_CTX_dane_enable(strict) == 1);
}

int tls_client_init(struct kurir_str ca_file)
{
	char path[2048];
	if (ca_file.len >= sizeof(path))
		return -ENAMETOOLONG;
	tls_client_fini();
	contexts_make();
	if (ca_file.len)
		memcpy(path, ca_file.ptr, ca_file.len);
	path[ca_file.len] = '\0';
	int good = ca_file.len ? SSL_CTX_load_verify_file(strict, path)
			       : SSL_CTX_set_default_verify_paths(strict);
	ERR_clear_error();
	return good == 1 ? 0 : -ENOENT;
}

/* Adds what can be used; how many, or -EINVAL. */
static int add_records(SSL *ssl, const struct kurir_tls_client *c)
{
	int usable = 0;
	for (size_t i = 0; i < c->tlsa_count; i++) {
		const unsigned char *p = (const unsigned char *)c->tlsa[i].ptr;
		if (c->tlsa[i].len < 4 || (p[0] != 2 && p[0] != 3))
			continue;
		if (SSL_dane_tlsa_add(ssl, p[0], p[1], p[2], p + 3, c->tlsa[i].len - 3) > 0)
			usable++;
	}
	ERR_clear_error();
	return usable;
}

static int want_dane(SSL *ssl, const struct kurir_tls_client *c, const char *name)
{
	if (SSL_dane_enable(ssl, name) <= 0)
		return -EINVAL;
	(void)SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
	SSL_set_verify(ssl, add_records(ssl, c) ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	return 0;
}

static int want_name(SSL *ssl, const char *name, bool is_ip)
{
	X509_VERIFY_PARAM *p = SSL_get0_param(ssl);
	X509_VERIFY_PARAM_set_hostflags(p, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	int good = is_ip ? X509_VERIFY_PARAM_set1_ip_asc(p, name) : SSL_set1_host(ssl, name);
	SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
	return good == 1 ? 0 : -EINVAL;
}

int tls_client_new(const struct kurir_tls_client *c, SSL **ret)
{
	char name[NAME_MAX_BYTES + 1];
	struct in6_addr ip;
	struct kurir_str n = c->name;
	/* No authority of ours is called "mx.example." */
	if (n.len && n.ptr[n.len - 1] == '.')
		n.len--;
	if (n.len >= sizeof(name) || (n.len && memchr(n.ptr, '\0', n.len)))
		return -EINVAL;
	if (n.len)
		memcpy(name, n.ptr, n.len);
	name[n.len] = '\0';
	if (!n.len && c->verify != KURIR_TLS_ANY)
		return -EINVAL;
	bool is_ip = inet_pton(AF_INET, name, &ip) == 1 || inet_pton(AF_INET6, name, &ip) == 1;
	contexts_make();
	SSL *ssl = SSL_new(c->verify == KURIR_TLS_ANY ? any : strict);
	if (!ssl)
		check_no_memory();
	int r = 0;
	if (c->verify == KURIR_TLS_DANE)
		r = want_dane(ssl, c, name);
	else if (c->verify == KURIR_TLS_NAME)
		r = want_name(ssl, name, is_ip);
	if (r == 0 && n.len && !is_ip && SSL_set_tlsext_host_name(ssl, name) != 1)
		r = -EINVAL;
	ERR_clear_error();
	if (r < 0) {
		SSL_free(ssl);
		return r;
	}
	*ret = ssl;
	return 0;
}
