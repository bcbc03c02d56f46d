/* tls.h - who we are (server contexts) and whom we trust (client contexts). */
#ifndef CORE_TLS_H
#define CORE_TLS_H

#include <kurir/stream.h>
#include <openssl/ssl.h>

#include "conf.h"

/*
 * Reads the certificates, before the sandbox closes.  Later the files are looked at again, at
 * most once a second and only when somebody connects: a replaced pair is taken, a broken one
 * leaves the old one in use, with a warning.  The first usable pair serves those who ask for no
 * known name.  0, or -errno with a sentence in *error (in the arena) about the first pair that
 * is broken: the others serve, and it does when it has been replaced.
 */
int tls_server_init(const struct conf_certificate *, size_t count, enum conf_tls_minimum,
    struct kurir_arena *, struct kurir_str *error);
void tls_server_fini(void);
/* Where the sandbox hides the files: they are not looked at any more, and keywatch.c of the
 * supervisor offers descriptors of replaced ones: a certificate, then its key.  Takes fd. */
void tls_server_follow(void);
void tls_server_offer(size_t index, bool key, int fd);
/* The same check, without a trace: for --check. */
int tls_server_check(
    const struct conf_certificate *, struct kurir_arena *, struct kurir_str *error);

/* Trusted authorities: a PEM file; empty: those of the system's OpenSSL.  0 or -errno; without it
 * KURIR_TLS_NAME trusts nobody. */
int tls_client_init(struct kurir_str ca_file);
void tls_client_fini(void);

/* For stream_tls.c: a new SSL, set up but for its BIO; NULL: there is no usable certificate. */
SSL *tls_server_new(void);
/* 0, -EINVAL. */
int tls_client_new(const struct kurir_tls_client *, SSL **ret);
int tls_binding(SSL *, enum kurir_tls_binding, unsigned char *ret);
/* What both sides share. */
SSL_CTX *tls_context_new(const SSL_METHOD *);

#endif
