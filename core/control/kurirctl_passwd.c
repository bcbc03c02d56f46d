/* kurirctl_passwd.c - "kurirctl passwd FILE USER": a line in a users file, with a yescrypt hash and
 * a verifier for SCRAM-SHA-256 (RFC 5803).
 * The password comes from the terminal, twice, or as one line from standard input.  The file is
 * replaced in one step, so that a reader sees the old one or the new one. */
#include "kurirctl.h"

#include <kurir/auth.h>

#include <crypt.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define PASSWORD_MAX 512
#define ITERATIONS   100000
#define SALT	     16
#define KEY	     32
#define SECRET	     "#scram-secret: " /* of the salts that nobody's names are given */

static bool read_line(char *to, size_t size)
{
	size_t n;

	if (fgets(to, (int)size, stdin) == NULL)
		return false;
	n = strcspn(to, "\r\n");
	to[n] = 0;
	return n > 0;
}

static bool ask(const char *prompt, char *to, size_t size)
{
	struct termios was, silent;
	bool terminal = tcgetattr(STDIN_FILENO, &was) == 0, r;

	if (terminal) {
		silent = was;
		silent.c_lflag &= ~(tcflag_t)ECHO;
		(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
		(void)fputs(prompt, stderr);
	}
	r = read_line(to, size);
	if (terminal) {
		(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &was);
		(void)fputc('\n', stderr);
	}
	return r;
}

static struct kurir_str base64(const unsigned char *bytes, size_t len)
{
	return kurir_base64_encode(
	    kurir_scratch(), (struct kurir_str){ (const char *)bytes, len });
}

static int put_secret(FILE *to)
{
	unsigned char bytes[KEY];

	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		return -EIO;
	(void)fprintf(to, SECRET "%.*s\n", KURIR_ARG(base64(bytes, sizeof(bytes))));
	return 0;
}

/* hash:SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey */
static int with_verifier(const char *hash, const char *password, char *to, size_t size)
{
	unsigned char salt[SALT], salted[KEY], client[KEY], stored[KEY], server[KEY];
	unsigned int n = KEY;
	struct kurir_str texts[3];
	int r = -1;

	if (getrandom(salt, sizeof(salt), 0) == (ssize_t)sizeof(salt) &&
	    PKCS5_PBKDF2_HMAC(password, (int)strlen(password), salt, SALT, ITERATIONS,
		EVP_sha256(), KEY, salted) == 1 &&
	    HMAC(EVP_sha256(), salted, KEY, (const unsigned char *)"Client Key", 10, client,
		&n) != NULL &&
	    EVP_Digest(client, KEY, stored, &n, EVP_sha256(), NULL) == 1 &&
	    HMAC(EVP_sha256(), salted, KEY, (const unsigned char *)"Server Key", 10, server,
		&n) != NULL) {
		texts[0] = base64(salt, SALT);
		texts[1] = base64(stored, KEY);
		texts[2] = base64(server, KEY);
		r = snprintf(to, size, "%s:SCRAM-SHA-256$%d:%.*s$%.*s:%.*s", hash, ITERATIONS,
		    KURIR_ARG(texts[0]), KURIR_ARG(texts[1]), KURIR_ARG(texts[2]));
	}
	explicit_bzero(salted, sizeof(salted));
	explicit_bzero(client, sizeof(client));
	return r > 0 && (size_t)r < size ? 0 : -EIO;
}

/* Copies from without user's line, with the new one in its place or at the end.  Names are
 * compared as the server does, which takes the first of two. */
static int rewrite(FILE *from, FILE *to, const char *user, const char *hash)
{
	char *line = NULL;
	size_t room = 0, n = strlen(user);
	bool done = false, secret = false;
	ssize_t len;

	while (from != NULL && (len = getline(&line, &room, from)) > 0) {
		secret |= strncmp(line, SECRET, strlen(SECRET)) == 0;
		if (strncasecmp(line, user, n) != 0 || line[n] != ':') {
			(void)fputs(line, to);
			if (line[len - 1] != '\n')
				(void)fputc('\n', to);
		} else if (!done) {
			(void)fprintf(to, "%s:%s\n", user, hash);
			done = true;
		}
	}
	free(line);
	if (!done)
		(void)fprintf(to, "%s:%s\n", user, hash);
	if (!secret && put_secret(to) < 0)
		return -EIO;
	return fflush(to) == 0 && fsync(fileno(to)) == 0 && !ferror(to) ? 0 : -EIO;
}

static int replace(const char *file, const char *user, const char *hash)
{
	char fresh[3072];
	struct stat st = { .st_mode = 0640 };
	FILE *from = fopen(file, "re"), *to;
	int fd, r;

	if (from == NULL && errno != ENOENT)
		return ctl_fail(1, file, strerror(errno));
	if (snprintf(fresh, sizeof(fresh), "%s.%d", file, (int)getpid()) >= (int)sizeof(fresh))
		return ctl_fail(1, file, "the path is too long");
	if (from != NULL)
		(void)fstat(fileno(from), &st);
	fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	to = fd >= 0 ? fdopen(fd, "w") : NULL;
	if (to == NULL)
		return ctl_fail(1, fresh, strerror(errno));
	if (from != NULL)
		(void)!fchown(fd, st.st_uid, st.st_gid);
	(void)fchmod(fd, st.st_mode & 0777);
	r = rewrite(from, to, user, hash);
	if (from != NULL)
		(void)fclose(from);
	if (fclose(to) != 0 || r < 0 || rename(fresh, file) < 0) {
		r = ctl_fail(1, file, strerror(errno));
		(void)unlink(fresh);
	}
	return r;
}

int ctl_passwd(const char *file, const char *user)
{
	char once[PASSWORD_MAX], twice[PASSWORD_MAX], line[CRYPT_OUTPUT_SIZE + 256];
	struct crypt_data *data = calloc(1, sizeof(*data));
	const char *setting, *hash = NULL;
	int r = 0;

	if (*user == 0 || strpbrk(user, ": \t\r\n#") != NULL)
		r = ctl_fail(2, user, "a user's name has no colon, space or #");
	else if (data == NULL || !ask("New password: ", once, sizeof(once)))
		r = ctl_fail(1, "no password was given", NULL);
	else if (isatty(STDIN_FILENO) &&
	    (!ask("Once more: ", twice, sizeof(twice)) || strcmp(once, twice) != 0))
		r = ctl_fail(1, "the two are not equal", NULL);
	if (r == 0) {
		setting = crypt_gensalt_ra("$y$", 0, NULL, 0);
		hash = setting != NULL ? crypt_r(once, setting, data) : NULL;
		if (hash == NULL || hash[0] == '*')
			r = ctl_fail(1, "this system's libcrypt has no yescrypt", NULL);
		else if (with_verifier(hash, once, line, sizeof(line)) < 0)
			r = ctl_fail(1, "no verifier for SCRAM can be made", NULL);
		else
			r = replace(file, user, line);
		free((void *)(uintptr_t)setting);
	}
	explicit_bzero(once, sizeof(once));
	explicit_bzero(twice, sizeof(twice));
	free(data);
	return r;
}
