/* maildir_path.c - where an account and a mailbox lie. Names come from the network: none may
 * leave the root, and two different ones never share a folder. */

#include <errno.h>
#include <string.h>

#include "maildir.h"

/* A domain or local part that can be a folder: no '/', no control bytes, no leading dot. */
static bool can_be_folder(struct kurir_str s)
{
	if (s.len == 0 || s.len > 200 || s.ptr[0] == '.')
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] == '/' || (unsigned char)s.ptr[i] < 33 || s.ptr[i] == 127)
			return false;
	return true;
}

/* Appends s and a NUL at *at; false when it does not fit. */
static bool append(char ret[MAILDIR_PATH_MAX], size_t *at, struct kurir_str s)
{
	if (*at + s.len + 1 > MAILDIR_PATH_MAX - 300)
		return false;
	memcpy(ret + *at, s.ptr, s.len);
	*at += s.len;
	ret[*at] = '\0';
	return true;
}

int maildir_account_path(
    struct kurir_str root, struct kurir_str account, char ret[MAILDIR_PATH_MAX])
{
	ssize_t sign = kurir_str_find_last(account, '@');
	struct kurir_str local, domain;
	size_t at = 0;

	if (sign < 0) {
		local = account;
		domain = KURIR_STR("-");
	} else {
		local = kurir_str_part(account, 0, (size_t)sign);
		domain = kurir_str_part(account, (size_t)sign + 1, account.len);
	}
	if (!can_be_folder(local) || !can_be_folder(domain))
		return -EINVAL;
	if (!append(ret, &at, root) || !append(ret, &at, KURIR_STR("/")) ||
	    !append(ret, &at, domain) || !append(ret, &at, KURIR_STR("/")) ||
	    !append(ret, &at, local))
		return -ENAMETOOLONG;
	return 0;
}

/* "a/b": no empty level, no control bytes, not too deep. */
static bool can_be_mailbox(struct kurir_str name)
{
	size_t depth = 1;

	if (name.len == 0 || name.len > 200 || name.ptr[0] == '/' ||
	    name.ptr[name.len - 1] == '/')
		return false;
	for (size_t i = 0; i < name.len; i++) {
		if ((unsigned char)name.ptr[i] < 32 || name.ptr[i] == 127)
			return false;
		if (name.ptr[i] == '/' && (name.ptr[i + 1] == '/' || ++depth > MAILDIR_DEPTH))
			return false;
	}
	return true;
}

int maildir_mailbox_path(struct kurir_str root, struct kurir_str account,
    struct kurir_str mailbox, char ret[MAILDIR_PATH_MAX])
{
	struct kurir_buf folder = KURIR_BUF(240);
	int r = maildir_account_path(root, account, ret);
	size_t at;

	if (r < 0 || kurir_str_equal_nocase(mailbox, KURIR_STR("INBOX")))
		return r;
	if (!can_be_mailbox(mailbox))
		return -EINVAL;
	r = kurir_buf_add(&folder, KURIR_STR("/."));
	while (r >= 0 && mailbox.len > 0) {
		ssize_t slash = kurir_str_find(mailbox, '/');
		size_t n = slash < 0 ? mailbox.len : (size_t)slash;

		r = kurir_utf7_encode(&folder, kurir_str_part(mailbox, 0, n), "./");
		if (slash >= 0 && r >= 0)
			r = kurir_buf_add(&folder, KURIR_STR("."));
		mailbox = kurir_str_part(mailbox, slash < 0 ? n : n + 1, mailbox.len);
	}
	at = strlen(ret);
	if (r >= 0 && !append(ret, &at, kurir_buf_str(&folder)))
		r = -ENAMETOOLONG;
	kurir_buf_free(&folder);
	return r == -EMSGSIZE ? -ENAMETOOLONG : r;
}

int maildir_folder_name(struct kurir_arena *arena, const char *folder, struct kurir_str *ret)
{
	struct kurir_str rest = kurir_str_of(folder);
	struct kurir_buf name = KURIR_BUF(512);
	int r = 0;

	if (rest.len < 2 || rest.ptr[0] != '.' || rest.ptr[1] == '.')
		return -EINVAL;
	rest = kurir_str_part(rest, 1, rest.len);
	while (r >= 0 && rest.len > 0) {
		ssize_t dot = kurir_str_find(rest, '.');
		size_t n = dot < 0 ? rest.len : (size_t)dot;

		r = n == 0 ? -EINVAL : kurir_utf7_decode(&name, kurir_str_part(rest, 0, n));
		if (dot >= 0 && r >= 0)
			r = kurir_buf_add(&name, KURIR_STR("/"));
		rest = kurir_str_part(rest, dot < 0 ? n : n + 1, rest.len);
	}
	if (r >= 0 && (name.len == 0 || name.ptr[name.len - 1] == '/'))
		r = -EINVAL;
	if (r >= 0)
		*ret = kurir_copy(arena, kurir_buf_str(&name));
	kurir_buf_free(&name);
	return r < 0 ? -EINVAL : 0;
}
