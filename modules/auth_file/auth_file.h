/* auth_file.h - private to the module: the users file and its verifiers. */
#ifndef AUTH_FILE_H
#define AUTH_FILE_H

#include <kurir/auth.h>
#include <login/login.h>

/* What proves a password that is never sent (RFC 5802 section 3, RFC 7677). */
#define SCRAM_KEY 32
struct scram_verifier {
	uint32_t iterations;
	struct kurir_str salt;
	unsigned char stored[SCRAM_KEY], server[SCRAM_KEY];
};
/* scram.c: 0 or -EINVAL. */
int scram_parse(struct kurir_arena *, struct kurir_str text, struct scram_verifier *ret);
/* 1 and the ServerSignature when the proof is right, 0 when it is not; in the same time. */
int scram_check(const struct scram_verifier *, struct kurir_str message, struct kurir_str proof,
    unsigned char ret_signature[SCRAM_KEY]);
/* For a name that has none: looks like one, and stays the same as long as the secret does. */
void scram_decoy(struct kurir_arena *, struct kurir_str secret, struct kurir_str name,
    uint32_t iterations, struct scram_verifier *ret);

/* users = *( [ user ":" hash [ ":" rest ] ] LF ), see users.c */
struct users;
struct users_user {
	struct kurir_str name;		    /* lower case */
	struct kurir_str hash;		    /* NUL follows */
	const struct scram_verifier *scram; /* NULL: none */
};
struct users_line {
	struct kurir_str name, hash;
	struct kurir_str scram; /* or empty */
};
/* One line without its LF: 1 with *ret, 0 empty or a comment, -EINVAL. */
int users_line(struct kurir_str line, struct users_line *ret);
/* All of a file; domain is added to names without one.  Wrong lines are left out, the first
 * one's number
 * in *ret_bad_line (0: none).  The first of two equal names counts. */
struct users *users_parse(
    struct kurir_arena *, struct kurir_str text, struct kurir_str domain, unsigned *ret_bad_line);
const struct users_user *users_find(const struct users *, struct kurir_str name);
size_t users_count(const struct users *);
/* A hash that a password for nobody is checked against: of the method and cost of most. */
struct kurir_str users_decoy(const struct users *);
/* As most have it; and the secret of the file that decoys are made of, empty: it has none. */
uint32_t users_scram_iterations(const struct users *);
struct kurir_str users_scram_secret(const struct users *);
/* "paijo" -> "paijo@domain", lower case. */
struct kurir_str users_name(struct kurir_arena *, struct kurir_str name, struct kurir_str domain);

#endif
