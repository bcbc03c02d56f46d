/* object.h - a shared object of this machine as bytes: what would stand where if it were loaded.
 *
 * Nothing is mapped, linked or run.  The bytes may be anybody's: every read is checked against
 * the file, and what a call costs is bounded by the file's size.  Only what the dynamic linker
 * itself goes by is looked at (program headers, PT_DYNAMIC), so that stripping takes nothing. */
#ifndef SDK_OBJECT_H
#define SDK_OBJECT_H

#include <kurir/module.h>

struct object_fix { /* a pointer that the dynamic linker fills in */
	uint64_t address;
	uint64_t value; /* 0: it comes from another object */
};
struct object {
	struct kurir_str bytes; /* borrowed */
	size_t segments_at, segment_count;
	uint64_t symbols, names, names_size, gnu_hash, hash;
	struct object_fix *fixes; /* by address; owned */
	size_t fix_count;
};

/* 0; or -ENOEXEC with the reason in a few words, and nothing to be freed. */
int object_open(struct object *, struct kurir_str bytes, const char **ret_why);
void object_close(struct object *);
/* The address of an exported symbol that is data or a function, and its size. */
bool object_symbol(
    const struct object *, struct kurir_str name, uint64_t *ret_address, uint64_t *ret_size);
/* n bytes from an address; what the file does not have of a segment is zero. */
bool object_read(const struct object *, uint64_t address, void *to, size_t n);
/* The pointer that stands at an address.  *ret_outside: it is one into another object. */
bool object_pointer(const struct object *, uint64_t address, uint64_t *ret, bool *ret_outside);
/* The text at an address, of at most max bytes, without its NUL; borrowed from the file. */
bool object_text(const struct object *, uint64_t address, size_t max, struct kurir_str *ret);

#endif
