/* stream_tls.c - the layer that encrypts.
 * OpenSSL reads and writes the layer below through a BIO that never waits, so it is never left
 * in the middle of a call on a parked stack: its error queue belongs to the thread, not to the
 * fiber.  A failed handshake leaves a stream that can only be closed. */
#include "stream.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "tls.h"

struct stream_tls {
	struct stream_layer layer;
	struct stream_layer *lower;
	SSL *ssl;
	enum stream_want read_want, write_want; /* what the lower layer lacked */
	int lower_error;
	bool lower_ended, broken;
	char summary[64];
};

static struct stream_tls *of_layer(struct stream_layer *l)
{
	return (struct stream_tls *)l;
}

/* The BIO. */

static int bio_write(BIO *b, const char *p, int n)
{
	struct stream_tls *t = BIO_get_data(b);
	struct iovec v = { (char *)(uintptr_t)p, (size_t)n };
	BIO_clear_retry_flags(b);
	ssize_t r = t->lower->ops->write(t->lower, &v, 1);
	if (r == -EAGAIN)
		BIO_set_retry_write(b);
	else if (r < 0)
		t->lower_error = (int)r;
	return r < 0 ? -1 : (int)r;
}

static int bio_read(BIO *b, char *p, int n)
{
	struct stream_tls *t = BIO_get_data(b);
	BIO_clear_retry_flags(b);
	ssize_t r = t->lower->ops->read(t->lower, p, (size_t)n);
	if (r == -EAGAIN)
		BIO_set_retry_read(b);
	else if (r < 0)
		t->lower_error = (int)r;
	else if (r == 0)
		t->lower_ended = true;
	return r < 0 ? -1 : (int)r;
}

static long bio_ctrl(BIO *b, int command, long number, void *arg)
{
	struct stream_tls *t = BIO_get_data(b);
	(void)number, (void)arg;
	if (command == BIO_CTRL_FLUSH)
		return 1;
	return command == BIO_CTRL_EOF && t->lower_ended;
}

static BIO *bio_new(struct stream_tls *t)
{
	static BIO_METHOD *method;
	if (!method) {
		method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "kurir layer");
		if (!method)
			check_no_memory();
		BIO_meth_set_write(method, bio_write);
		BIO_meth_set_read(method, bio_read);
		BIO_meth_set_ctrl(method, bio_ctrl);
	}
	BIO *b = BIO_new(method);
	if (!b)
		check_no_memory();
	BIO_set_data(b, t);
	BIO_set_init(b, 1);
	return b;
}

/* The layer. */

static int tls_failed(struct stream_tls *t, int n, enum stream_want *want)
{
	int error = SSL_get_error(t->ssl, n);
	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
		*want = error == SSL_ERROR_WANT_READ ? STREAM_READ : STREAM_WRITE;
		return -EAGAIN;
	}
	if (error == SSL_ERROR_ZERO_RETURN)
		return 0;
	t->broken = true;
	if (t->lower_error)
		return t->lower_error;
	unsigned long reason = ERR_peek_error();
	bool cut = error == SSL_ERROR_SYSCALL || t->lower_ended ||
	    (ERR_GET_LIB(reason) == ERR_LIB_SSL &&
		ERR_GET_REASON(reason) == SSL_R_UNEXPECTED_EOF_WHILE_READING);
	return cut ? -ECONNRESET : -EPROTO;
}

static ssize_t tls_read(struct stream_layer *l, void *p, size_t n)
{
	struct stream_tls *t = of_layer(l);
	if (t->broken)
		return -ECONNRESET;
	ERR_clear_error();
	int r = SSL_read(t->ssl, p, n > INT_MAX ? INT_MAX : (int)n);
	return r > 0 ? r : tls_failed(t, r, &t->read_want);
}

static ssize_t tls_write(struct stream_layer *l, const struct iovec *v, int count)
{
	struct stream_tls *t = of_layer(l);
	ssize_t sent = 0;
	if (t->broken)
		return -EPIPE;
	for (int i = 0; i < count; i++) {
		for (size_t at = 0; at < v[i].iov_len;) {
			size_t n = v[i].iov_len - at;
			ERR_clear_error();
			int r = SSL_write(
			    t->ssl, (char *)v[i].iov_base + at, n > INT_MAX ? INT_MAX : (int)n);
			if (r <= 0) {
				r = tls_failed(t, r, &t->write_want);
				/* Errors come again; what was sent must be known first. */
				return sent ? sent : r == 0 ? -EPIPE : r;
			}
			at += (size_t)r;
			sent += r;
		}
	}
	return sent;
}

KURIR_PARKS static int tls_wait(struct stream_layer *l, enum stream_want want, kurir_time until)
{
	struct stream_tls *t = of_layer(l);
	want = want == STREAM_READ ? t->read_want : t->write_want;
	return t->lower->ops->wait(t->lower, want, until);
}

static size_t tls_pending(struct stream_layer *l)
{
	return (size_t)SSL_pending(of_layer(l)->ssl);
}

static bool tls_waited(struct stream_layer *l)
{
	return of_layer(l)->lower->ops->waited(of_layer(l)->lower);
}

static void tls_drop(struct stream_tls *t)
{
	SSL_free(t->ssl);
	free(t);
}

/* Says goodbye when the socket takes it at once; nobody waits for the peer's. */
static void tls_close(struct stream_layer *l)
{
	struct stream_tls *t = of_layer(l);
	struct stream_layer *lower = t->lower;
	if (!t->broken)
		(void)SSL_shutdown(t->ssl);
	ERR_clear_error();
	tls_drop(t);
	lower->ops->close(lower);
}

static const struct stream_ops tls_ops = {
	.name = "tls",
	.read = tls_read,
	.write = tls_write,
	.wait = tls_wait,
	.pending = tls_pending,
	.waited = tls_waited,
	.close = tls_close,
};

/* The handshake. */

static void set_error(struct kurir_stream *s, const char *text)
{
	free((char *)(uintptr_t)s->tls_error.ptr);
	char *copy = strdup(text);
	if (!copy)
		check_no_memory();
	s->tls_error = kurir_str_of(copy);
}

static void explain(struct kurir_stream *s, struct stream_tls *t, int err)
{
	char text[200];
	unsigned long e = ERR_peek_error();
	long verified = SSL_get_verify_result(t->ssl);
	const char *reason = ERR_reason_error_string(e);
	if (ERR_GET_LIB(e) == ERR_LIB_SSL &&
	    ERR_GET_REASON(e) == SSL_R_CERTIFICATE_VERIFY_FAILED && verified != X509_V_OK)
		(void)snprintf(text, sizeof(text), "certificate not accepted: %s",
		    X509_verify_cert_error_string(verified));
	else if (err == -ETIMEDOUT || err == -ECANCELED)
		(void)snprintf(text, sizeof(text), "%s during the handshake",
		    err == -ETIMEDOUT ? "timed out" : "given up");
	else
		(void)snprintf(text, sizeof(text), "%s",
		    reason ? reason
			: err == -ECONNRESET
			? "the peer closed the connection during the handshake"
			: "the handshake failed");
	set_error(s, text);
}

/* Parks between the steps, never in one. */
KURIR_PARKS static int handshake_steps(struct stream_tls *t, kurir_time until)
{
	for (;;) {
		enum stream_want want;
		ERR_clear_error();
		int n = SSL_do_handshake(t->ssl);
		if (n == 1)
			return 0;
		int r = tls_failed(t, n, &want);
		if (r != -EAGAIN)
			return r == 0 ? -ECONNRESET : r;
		r = t->lower->ops->wait(t->lower, want, until);
		if (r < 0) {
			ERR_clear_error();
			return r;
		}
	}
}

/* Takes the SSL. */
KURIR_PARKS static int handshake(struct kurir_stream *s, SSL *ssl, kurir_time until)
{
	struct stream_tls *t = calloc(1, sizeof(*t));
	if (!t)
		check_no_memory();
	t->layer.ops = &tls_ops;
	t->lower = s->top;
	t->ssl = ssl;
	BIO *b = bio_new(t);
	SSL_set_bio(ssl, b, b);
	kurir_assert(!s->reading && !s->writing);
	s->reading = s->writing = true;
	int r = handshake_steps(t, until);
	s->reading = s->writing = false;
	if (r < 0) {
		explain(s, t, r);
		ERR_clear_error();
		tls_drop(t);
		s->in_error = s->out_error = r;
		return r;
	}
	(void)snprintf(t->summary, sizeof(t->summary), "%s %s", SSL_get_version(ssl),
	    SSL_get_cipher_name(ssl));
	s->top = &t->layer;
	return 0;
}

static bool encrypted(const struct kurir_stream *s)
{
	kurir_assert(s && s->magic == STREAM_MAGIC);
	return s->top->ops == &tls_ops;
}

/* What came before could be anybody's. */
KURIR_PARKS static int prepare(struct kurir_stream *s, kurir_time until, int refusal)
{
	int r = encrypted(s) ? -EALREADY : kurir_flush(s, until);
	if (r < 0 || !kurir_pending(s))
		return r;
	set_error(s, "bytes were sent in the clear ahead of the handshake");
	return refusal;
}

KURIR_PARKS int kurir_tls_accept(struct kurir_stream *s, kurir_time until)
{
	int r = prepare(s, until, -EBADMSG);
	if (r == -EBADMSG)
		kurir_drop_input(s);
	if (r < 0)
		return r;
	SSL *ssl = tls_server_new();
	if (!ssl) {
		set_error(s, "there is no certificate");
		return -EOPNOTSUPP;
	}
	SSL_set_accept_state(ssl);
	return handshake(s, ssl, until);
}

KURIR_PARKS int kurir_tls_connect(
    struct kurir_stream *s, const struct kurir_tls_client *c, kurir_time until)
{
	SSL *ssl;
	int r = prepare(s, until, -EPROTO);
	if (r == 0)
		r = tls_client_new(c, &ssl);
	if (r < 0)
		return r;
	SSL_set_connect_state(ssl);
	return handshake(s, ssl, until);
}

struct kurir_str kurir_tls_summary(struct kurir_stream *s)
{
	return encrypted(s) ? kurir_str_of(of_layer(s->top)->summary) : KURIR_STR("");
}

int kurir_tls_binding(struct kurir_stream *s, enum kurir_tls_binding which, unsigned char *ret)
{
	return encrypted(s) ? tls_binding(of_layer(s->top)->ssl, which, ret) : -ENOTSUP;
}

struct kurir_str kurir_tls_error(struct kurir_stream *s)
{
	kurir_assert(s && s->magic == STREAM_MAGIC);
	return s->tls_error.ptr ? s->tls_error : KURIR_STR("");
}
