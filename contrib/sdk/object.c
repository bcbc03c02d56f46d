/* object.c - reads a shared object (System V ABI, chapters 4 and 5) without loading it. */
#include "object.h"

#include <errno.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

#if __SIZEOF_POINTER__ == 8
#define OUR_CLASS    ELFCLASS64
#define SYMBOL_OF(i) ELF64_R_SYM(i)
#else
#define OUR_CLASS    ELFCLASS32
#define SYMBOL_OF(i) ELF32_R_SYM(i)
#endif
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define OUR_DATA ELFDATA2LSB
#else
#define OUR_DATA ELFDATA2MSB
#endif
#if defined(__x86_64__)
#define OUR_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define OUR_MACHINE EM_AARCH64
#elif defined(__i386__)
#define OUR_MACHINE EM_386
#elif defined(__arm__)
#define OUR_MACHINE EM_ARM
#elif defined(__riscv)
#define OUR_MACHINE EM_RISCV
#elif defined(__powerpc64__)
#define OUR_MACHINE EM_PPC64
#elif defined(__s390__)
#define OUR_MACHINE EM_S390
#else
#define OUR_MACHINE EM_NONE /* any: the class and the order of bytes have to do */
#endif
#define SEGMENTS_MAX 32

/* n bytes of the file; a whole struct is copied, as nothing in it need be aligned. */
static bool file_read(const struct object *e, uint64_t at, void *to, size_t n)
{
	if (at > e->bytes.len || n > e->bytes.len - at)
		return false;
	memcpy(to, e->bytes.ptr + at, n);
	return true;
}

static bool segment(const struct object *e, size_t i, ElfW(Phdr) * ret)
{
	return i < e->segment_count &&
	    file_read(e, e->segments_at + i * sizeof(*ret), ret, sizeof(*ret));
}

/* The loadable segment of an address, and how far into it. */
static bool segment_of(
    const struct object *e, uint64_t address, ElfW(Phdr) * ret, uint64_t *ret_in)
{
	for (size_t i = 0; segment(e, i, ret); i++) {
		*ret_in = address - ret->p_vaddr;
		if (ret->p_type == PT_LOAD && address >= ret->p_vaddr && *ret_in < ret->p_memsz)
			return true;
	}
	return false;
}

bool object_read(const struct object *e, uint64_t address, void *to, size_t n)
{
	ElfW(Phdr) s;
	uint64_t in;
	size_t here;

	if (n == 0)
		return true;
	if (!segment_of(e, address, &s, &in) || n > s.p_memsz - in)
		return false;
	here = in >= s.p_filesz ? 0 : n <= s.p_filesz - in ? n : (size_t)(s.p_filesz - in);
	if (s.p_offset > e->bytes.len || (here > 0 && in > e->bytes.len - s.p_offset))
		return false;
	memset((char *)to + here, 0, n - here);
	return here == 0 || file_read(e, s.p_offset + in, to, here);
}

bool object_text(const struct object *e, uint64_t address, size_t max, struct kurir_str *ret)
{
	ElfW(Phdr) s;
	uint64_t in, at, left;
	const char *end;

	if (!segment_of(e, address, &s, &in) || in >= s.p_filesz || s.p_offset > e->bytes.len ||
	    in >= e->bytes.len - s.p_offset)
		return false;
	at = s.p_offset + in;
	left = s.p_filesz - in;
	if (left > e->bytes.len - at)
		left = e->bytes.len - at;
	if (left > max + 1)
		left = max + 1;
	end = memchr(e->bytes.ptr + at, 0, (size_t)left);
	if (end == NULL)
		return false;
	*ret = (struct kurir_str){ e->bytes.ptr + at, (size_t)(end - e->bytes.ptr) - (size_t)at };
	return true;
}

static int by_address(const void *a, const void *b)
{
	const struct object_fix *x = a, *y = b;

	return (x->address > y->address) - (x->address < y->address);
}

bool object_pointer(const struct object *e, uint64_t address, uint64_t *ret, bool *ret_outside)
{
	const struct object_fix key = { .address = address }, *found = NULL;
	uintptr_t value;

	if (e->fix_count > 0)
		found = bsearch(&key, e->fixes, e->fix_count, sizeof(key), by_address);
	*ret_outside = found != NULL && found->value == 0;
	if (found != NULL) {
		*ret = found->value;
		return true;
	}
	/* Relative relocations without an addend of their own have it in place. */
	if (!object_read(e, address, &value, sizeof(value)))
		return false;
	*ret = value;
	return true;
}

static bool symbol_at(const struct object *e, uint64_t index, ElfW(Sym) * ret)
{
	return e->symbols != 0 && index <= UINT32_MAX &&
	    object_read(e, e->symbols + index * sizeof(*ret), ret, sizeof(*ret));
}

static bool symbol_is(
    const struct object *e, uint64_t index, struct kurir_str name, ElfW(Sym) * ret)
{
	struct kurir_str its;

	return symbol_at(e, index, ret) && ret->st_shndx != SHN_UNDEF &&
	    ret->st_name < e->names_size &&
	    object_text(e, e->names + ret->st_name, name.len, &its) && kurir_str_equal(its, name);
}

static bool word_at(const struct object *e, uint64_t address, uint32_t *ret)
{
	return object_read(e, address, ret, sizeof(*ret));
}

/* DT_GNU_HASH: four words, a Bloom filter, buckets, and a chain of hashes whose last has bit 0
 * set.  No chain is longer than the file. */
static bool find_gnu(const struct object *e, struct kurir_str name, ElfW(Sym) * ret)
{
	uint32_t h = 5381, buckets, first, words, shift, index, its;
	uint64_t at = e->gnu_hash, chain;

	for (size_t i = 0; i < name.len; i++)
		h = h * 33 + (unsigned char)name.ptr[i];
	if (!word_at(e, at, &buckets) || !word_at(e, at + 4, &first) ||
	    !word_at(e, at + 8, &words) || !word_at(e, at + 12, &shift) || buckets == 0)
		return false;
	at += 16 + (uint64_t)words * sizeof(ElfW(Addr));
	chain = at + (uint64_t)buckets * 4;
	if (!word_at(e, at + (uint64_t)(h % buckets) * 4, &index) || index < first)
		return false;
	for (; index - first < e->bytes.len / 4; index++) {
		if (!word_at(e, chain + (uint64_t)(index - first) * 4, &its))
			return false;
		if ((its | 1) == (h | 1) && symbol_is(e, index, name, ret))
			return true;
		if ((its & 1) != 0)
			return false;
	}
	return false;
}

/* DT_HASH has the number of symbols as its second word. */
static bool find_plain(const struct object *e, struct kurir_str name, ElfW(Sym) * ret)
{
	uint32_t count;

	if (!word_at(e, e->hash + 4, &count))
		return false;
	for (uint32_t i = 1; i < count && i < e->bytes.len / sizeof(*ret); i++) {
		if (symbol_is(e, i, name, ret))
			return true;
		if (!symbol_at(e, i, ret))
			return false;
	}
	return false;
}

bool object_symbol(
    const struct object *e, struct kurir_str name, uint64_t *ret_address, uint64_t *ret_size)
{
	ElfW(Sym) s;

	if (!(e->gnu_hash != 0 && find_gnu(e, name, &s)) &&
	    !(e->hash != 0 && find_plain(e, name, &s)))
		return false;
	*ret_address = s.st_value;
	*ret_size = s.st_size;
	return true;
}

/* What a relocation puts there, whatever its machine calls it: base or symbol, and addend. */
static uint64_t fixed(const struct object *e, uint64_t info, uint64_t addend)
{
	uint64_t index = SYMBOL_OF(info);
	ElfW(Sym) s;

	if (index == 0)
		return addend;
	return symbol_at(e, index, &s) && s.st_shndx != SHN_UNDEF ? s.st_value + addend : 0;
}

static bool read_fixes(struct object *e, uint64_t at, uint64_t size, bool addends)
{
	size_t each = addends ? sizeof(ElfW(Rela)) : sizeof(ElfW(Rel));
	uint64_t count = size / each;
	struct object_fix *more;

	if (count == 0)
		return true;
	if (size > e->bytes.len)
		return false;
	more = realloc(e->fixes, (e->fix_count + (size_t)count) * sizeof(*more));
	if (more == NULL)
		return false;
	e->fixes = more;
	for (uint64_t i = 0; i < count; i++) {
		ElfW(Rela) r = { 0 };
		uintptr_t place = 0;

		if (!object_read(e, at + i * each, &r, each))
			return false;
		if (!addends && object_read(e, r.r_offset, &place, sizeof(place)))
			r.r_addend = (__typeof__(r.r_addend))place;
		e->fixes[e->fix_count++] =
		    (struct object_fix){ r.r_offset, fixed(e, r.r_info, (uint64_t)r.r_addend) };
	}
	return true;
}

/* PT_DYNAMIC ends with DT_NULL or with its segment. */
static bool read_dynamic(struct object *e, const ElfW(Phdr) * s)
{
	uint64_t rela = 0, rela_size = 0, rel = 0, rel_size = 0;
	ElfW(Dyn) d;

	for (uint64_t i = 0; i < s->p_memsz / sizeof(d); i++) {
		if (!object_read(e, s->p_vaddr + i * sizeof(d), &d, sizeof(d)))
			return false;
		switch (d.d_tag) {
		case DT_NULL:
			return read_fixes(e, rela, rela_size, true) &&
			    read_fixes(e, rel, rel_size, false);
		case DT_SYMTAB:
			e->symbols = d.d_un.d_ptr;
			break;
		case DT_STRTAB:
			e->names = d.d_un.d_ptr;
			break;
		case DT_STRSZ:
			e->names_size = d.d_un.d_val;
			break;
		case DT_GNU_HASH:
			e->gnu_hash = d.d_un.d_ptr;
			break;
		case DT_HASH:
			e->hash = d.d_un.d_ptr;
			break;
		case DT_RELA:
			rela = d.d_un.d_ptr;
			break;
		case DT_RELASZ:
			rela_size = d.d_un.d_val;
			break;
		case DT_REL:
			rel = d.d_un.d_ptr;
			break;
		case DT_RELSZ:
			rel_size = d.d_un.d_val;
			break;
		}
	}
	return false;
}

static const char *read_header(struct object *e)
{
	ElfW(Ehdr) h;

	if (e->bytes.len < EI_NIDENT || memcmp(e->bytes.ptr, ELFMAG, SELFMAG) != 0)
		return "it is no ELF file";
	if (e->bytes.ptr[EI_CLASS] != OUR_CLASS || e->bytes.ptr[EI_DATA] != OUR_DATA)
		return "it is for another kind of machine";
	if (!file_read(e, 0, &h, sizeof(h)))
		return "it is cut off";
	if (OUR_MACHINE != EM_NONE && h.e_machine != OUR_MACHINE)
		return "it is for another kind of machine";
	if (h.e_type != ET_DYN || h.e_phentsize != sizeof(ElfW(Phdr)) || h.e_phnum > SEGMENTS_MAX)
		return "it is no shared object";
	e->segments_at = h.e_phoff;
	e->segment_count = h.e_phnum;
	return h.e_phoff > e->bytes.len ? "it is cut off" : NULL;
}

int object_open(struct object *e, struct kurir_str bytes, const char **ret_why)
{
	ElfW(Phdr) s;

	*e = (struct object){ .bytes = bytes };
	*ret_why = read_header(e);
	if (*ret_why != NULL)
		return -ENOEXEC;
	for (size_t i = 0; segment(e, i, &s); i++) {
		if (s.p_type != PT_DYNAMIC)
			continue;
		if (!read_dynamic(e, &s))
			break;
		if (e->fix_count > 0)
			qsort(e->fixes, e->fix_count, sizeof(*e->fixes), by_address);
		return 0;
	}
	*ret_why = "what it says for the dynamic linker cannot be read";
	object_close(e);
	return -ENOEXEC;
}

void object_close(struct object *e)
{
	free(e->fixes);
	*e = (struct object){ 0 };
}
