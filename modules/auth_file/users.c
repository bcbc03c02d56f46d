/* users.c - the users file: parsed, and searched by name.  No I/O.
 *
 * users = *( line LF ) [ line ]
 * line  = [ user ":" hash [ ":" verifier / ":" *CHAR ] ] / "#scram-secret: " base64 / "#" *CHAR
 * verifier: see scram.c
 * user  = 1*255( any but ":" and controls )	; compared without ASCII case
 * hash  = "$" 1*511VCHAR / "!" *VCHAR / "*" *VCHAR	; crypt(5); "!" and "*": nobody gets in */
#include "auth_file.h"

#include <errno.h>
#include <string.h>

#define USER_MAX   255
#define HASH_MAX   511
#define KINDS	   16
#define SCRAM	   KURIR_STR("SCRAM-SHA-256$")
#define SECRET	   KURIR_STR("#scram-secret: ")
#define ITERATIONS 100000 /* as kurirctl writes them */

struct users {
	struct users_user *table; /* open addressing */
	size_t room, count;
	struct kurir_str decoy, secret;
	uint32_t iterations; /* of the first that has some */
};

int users_line(struct kurir_str line, struct users_line *ret)
{
	struct users_line l;
	ssize_t colon;

	if (line.len > 0 && line.ptr[line.len - 1] == '\r')
		line.len--;
	if (kurir_str_trim(line).len == 0 || line.ptr[0] == '#')
		return 0;
	colon = kurir_str_find(line, ':');
	if (colon <= 0 || colon > USER_MAX)
		return -EINVAL;
	l.name = kurir_str_part(line, 0, (size_t)colon);
	l.hash = kurir_str_part(line, (size_t)colon + 1, line.len);
	colon = kurir_str_find(l.hash, ':');
	l.scram = KURIR_STR("");
	if (colon >= 0) {
		struct kurir_str rest = kurir_str_part(l.hash, (size_t)colon + 1, l.hash.len);

		if (kurir_str_starts(rest, SCRAM))
			l.scram = rest;
		l.hash.len = (size_t)colon;
	}
	if (l.hash.len == 0 || l.hash.len > HASH_MAX || strchr("$!*", l.hash.ptr[0]) == NULL)
		return -EINVAL;
	for (size_t i = 0; i < l.name.len; i++)
		if ((unsigned char)l.name.ptr[i] < ' ' || l.name.ptr[i] == 127)
			return -EINVAL;
	for (size_t i = 0; i < l.hash.len; i++)
		if ((unsigned char)l.hash.ptr[i] <= ' ' || (unsigned char)l.hash.ptr[i] >= 127)
			return -EINVAL;
	*ret = l;
	return 1;
}

struct kurir_str users_name(
    struct kurir_arena *arena, struct kurir_str name, struct kurir_str domain)
{
	char *p;

	if (domain.len == 0 || kurir_str_find(name, '@') >= 0)
		return kurir_lower(arena, name);
	p = kurir_alloc(arena, name.len + domain.len + 2);
	memcpy(p, name.ptr, name.len);
	p[name.len] = '@';
	memcpy(p + name.len + 1, domain.ptr, domain.len);
	return kurir_lower(arena, (struct kurir_str){ p, name.len + 1 + domain.len });
}

static struct users_user *slot(const struct users *u, struct kurir_str name)
{
	size_t i = (size_t)kurir_str_hash(name) & (u->room - 1);

	while (u->table[i].name.len > 0 && !kurir_str_equal(u->table[i].name, name))
		i = (i + 1) & (u->room - 1);
	return &u->table[i];
}

/* Hashes that cost the same: "$y$j9T$salt$hash" -> "$y$j9T", "$2b$06$salt+hash" -> "$2b$06",
 * "$6$salt$hash" -> "$6". */
struct kind {
	struct kurir_str prefix, hash;
	size_t count;
};

static struct kurir_str kind_of(struct kurir_str hash)
{
	unsigned fields = hash.len > 1 && hash.ptr[1] == '2' ? 1 : 2;
	size_t end = hash.len;

	while (fields > 0 && end > 1)
		fields -= hash.ptr[--end] == '$';
	return kurir_str_part(hash, 0, end);
}

/* Kinds beyond the first few are left out: some of them are in the file anyway. */
static void count_kind(struct kind kinds[KINDS], struct kurir_str hash)
{
	struct kurir_str prefix = kind_of(hash);
	size_t i = 0;

	while (i < KINDS && kinds[i].count > 0 && !kurir_str_equal(kinds[i].prefix, prefix))
		i++;
	if (i == KINDS)
		return;
	if (kinds[i].count++ == 0) {
		kinds[i].prefix = prefix;
		kinds[i].hash = hash;
	}
}

static struct kurir_str most_common(const struct kind kinds[KINDS])
{
	const struct kind *most = &kinds[0];

	for (size_t i = 1; i < KINDS; i++)
		if (kinds[i].count > most->count)
			most = &kinds[i];
	return most->count > 0 ? most->hash : KURIR_STR("");
}

/* A verifier that cannot be read makes the line a wrong one. */
static int take_scram(struct users *u, struct kurir_arena *arena, struct kurir_str text,
    const struct scram_verifier **ret)
{
	struct scram_verifier *s;

	if (text.len == 0)
		return 0;
	s = kurir_alloc(arena, sizeof(*s));
	if (scram_parse(arena, text, s) < 0)
		return -EINVAL;
	if (u->iterations == 0)
		u->iterations = s->iterations;
	*ret = s;
	return 0;
}

static void take_secret(struct users *u, struct kurir_arena *arena, struct kurir_str line)
{
	struct kurir_str text = kurir_str_trim(kurir_str_part(line, SECRET.len, line.len)), bytes;

	if (kurir_str_starts(line, SECRET) && kurir_base64_decode(arena, text, &bytes) == 0 &&
	    bytes.len >= 16)
		u->secret = bytes;
}

struct users *users_parse(struct kurir_arena *arena, struct kurir_str text,
    struct kurir_str domain, unsigned *ret_bad_line)
{
	struct users *u = kurir_alloc(arena, sizeof(*u));
	struct kind kinds[KINDS] = { 0 };
	size_t lines = 1;
	unsigned number = 0;

	*ret_bad_line = 0;
	for (size_t i = 0; i < text.len; i++)
		lines += text.ptr[i] == '\n';
	for (u->room = 16; u->room < 2 * lines;)
		u->room *= 2;
	u->table = kurir_alloc(arena, u->room * sizeof(*u->table));
	while (text.len > 0) {
		ssize_t lf = kurir_str_find(text, '\n');
		struct kurir_str line = kurir_str_part(text, 0, lf < 0 ? text.len : (size_t)lf);
		struct users_line l;
		const struct scram_verifier *scram = NULL;
		struct users_user *to;
		struct kurir_str name;
		int r = users_line(line, &l);

		if (r > 0 && take_scram(u, arena, l.scram, &scram) < 0)
			r = -EINVAL;
		if (r == 0)
			take_secret(u, arena, line);

		number++;
		text = kurir_str_part(text, lf < 0 ? text.len : (size_t)lf + 1, text.len);
		if (r < 0 && *ret_bad_line == 0)
			*ret_bad_line = number;
		if (r <= 0)
			continue;
		name = users_name(arena, l.name, domain);
		to = slot(u, name);
		if (to->name.len > 0) {
			*ret_bad_line = *ret_bad_line == 0 ? number : *ret_bad_line;
			continue;
		}
		to->name = name;
		to->hash = kurir_copy(arena, l.hash);
		to->scram = scram;
		u->count++;
		if (l.hash.ptr[0] == '$')
			count_kind(kinds, to->hash);
	}
	u->decoy = most_common(kinds);
	return u;
}

const struct users_user *users_find(const struct users *u, struct kurir_str name)
{
	const struct users_user *e = slot(u, name);

	return e->name.len > 0 ? e : NULL;
}

size_t users_count(const struct users *u)
{
	return u->count;
}

uint32_t users_scram_iterations(const struct users *u)
{
	return u->iterations > 0 ? u->iterations : ITERATIONS;
}

struct kurir_str users_scram_secret(const struct users *u)
{
	return u->secret;
}

struct kurir_str users_decoy(const struct users *u)
{
	return u->decoy;
}
