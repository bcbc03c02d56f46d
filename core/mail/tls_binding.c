/* tls_binding.c - what both ends of a TLS connection know of it, and nobody between them. */
#include "tls.h"

#include <errno.h>
#include <kurir/stream.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <string.h>

/* RFC 9266 section 2.  TLS 1.2 without the extended master secret binds nothing. */
static int exporter(SSL *ssl, unsigned char *ret)
{
	static const char label[] = "EXPORTER-Channel-Binding";
	int r = 0;

	if (SSL_version(ssl) == TLS1_3_VERSION || SSL_get_extms_support(ssl) == 1)
		r = SSL_export_keying_material(
		    ssl, ret, 32, label, strlen(label), (const unsigned char *)"", 0, 1);
	ERR_clear_error();
	return r == 1 ? 32 : -ENOTSUP;
}

/* The server's certificate, hashed as its signature is; by nothing weaker than SHA-256. */
static int end_point(SSL *ssl, unsigned char *ret)
{
	X509 *cert =
	    SSL_is_server(ssl) ? SSL_get_certificate(ssl) : SSL_get0_peer_certificate(ssl);
	const EVP_MD *hash = EVP_sha256();
	unsigned int len = 0;
	int nid = NID_undef;

	if (cert == NULL || X509_get_signature_info(cert, &nid, NULL, NULL, NULL) != 1) {
		ERR_clear_error();
		return -ENOTSUP;
	}
	if (nid != NID_undef && nid != NID_md5 && nid != NID_sha1)
		hash = EVP_get_digestbynid(nid);
	if (hash == NULL || EVP_MD_get_size(hash) > KURIR_TLS_BINDING_MAX ||
	    X509_digest(cert, hash, ret, &len) != 1)
		len = 0;
	ERR_clear_error();
	return len > 0 ? (int)len : -ENOTSUP;
}

int tls_binding(SSL *ssl, enum kurir_tls_binding which, unsigned char *ret)
{
	return which == KURIR_TLS_EXPORTER ? exporter(ssl, ret) : end_point(ssl, ret);
}
