/* cert.c - a certificate for mx.satu.example, made when a scenario asks for one. */
#include "runner.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

static bool sign(X509 *x, EVP_PKEY *key)
{
	X509_NAME *name = X509_get_subject_name(x);
	X509_EXTENSION *san =
	    X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:mx.satu.example");
	bool good;

	good = san != NULL && X509_set_version(x, 2) == 1 &&
	    ASN1_INTEGER_set(X509_get_serialNumber(x), 1) == 1 &&
	    X509_gmtime_adj(X509_getm_notBefore(x), -86400) != NULL &&
	    X509_gmtime_adj(X509_getm_notAfter(x), 86400L * 30) != NULL &&
	    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
		(const unsigned char *)"mx.satu.example", -1, -1, 0) == 1 &&
	    X509_set_issuer_name(x, name) == 1 && X509_set_pubkey(x, key) == 1 &&
	    X509_add_ext(x, san, -1) == 1 && X509_sign(x, key, EVP_sha256()) > 0;
	X509_EXTENSION_free(san);
	return good;
}

int run_make_certificate(const char *cert, const char *key_file)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	FILE *c = fopen(cert, "we"), *k = fopen(key_file, "we");
	int r = -EIO;

	if (key != NULL && x != NULL && c != NULL && k != NULL && sign(x, key) &&
	    PEM_write_X509(c, x) == 1 &&
	    PEM_write_PrivateKey(k, key, NULL, NULL, 0, NULL, NULL) == 1)
		r = 0;
	if (c != NULL)
		fclose(c);
	if (k != NULL)
		fclose(k);
	X509_free(x);
	EVP_PKEY_free(key);
	return r;
}
