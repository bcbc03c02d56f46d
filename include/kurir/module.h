/* kurir/module.h - everything a module needs to exist.  Start with kurir-module(7). */
#ifndef KURIR_MODULE_H
#define KURIR_MODULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * ABI; doc/ABI.md has the whole promise.  MAJOR: something was removed or reshaped; equal or
 * refused.  MINOR: something was appended; a module built with a newer one than the core's is
 * refused.  A struct that begins with its own size grows at its end; a member it is too short
 * to have reads as zero, and zero always means "as before".  No other struct changes its size
 * or its members: some have "reserved" room, which is zero (as is what a designated initializer
 * or an arena leaves out), and becomes a member whose zero means "as before".
 */
#define KURIR_ABI_MAJOR 1
#define KURIR_ABI_MINOR 0

#define KURIR_API	  __attribute__((visibility("default")))
#define KURIR_PARKS	  /* may park the fiber: shared state can change under the caller */
#define KURIR_FMT(f)	  __attribute__((format(printf, f, (f) + 1)))
#define KURIR_FMT_LIST(f) __attribute__((format(printf, f, 0))) /* with a va_list */

/* Opaque, owned by the core, never freed by a module.  Each lives as long as its arena. */
struct kurir_self;   /* one configured instance of a module: from start() to stop() */
struct kurir_conn;   /* one client connection: kurir/session.h */
struct kurir_tx;     /* one mail transaction: kurir/smtp.h */
struct kurir_arena;  /* memory that is freed all at once */
struct kurir_stream; /* bytes, both ways: kurir/stream.h */
struct kurir_group;  /* fibers that cannot outlive their scope */
struct kurir_signal; /* something fibers wait for */

/* Bytes that somebody else owns: not NUL-terminated, never NULL, passed by value. */
struct kurir_str {
	const char *ptr;
	size_t len;
};
#define KURIR_STR(lit) ((struct kurir_str){ "" lit, sizeof(lit) - 1 })
#define KURIR_ARG(s)   (int)(s).len, (s).ptr /* for "%.*s"; the caller knows s is short */

KURIR_API struct kurir_str kurir_str_of(const char *nul_terminated);
KURIR_API bool kurir_str_equal(struct kurir_str, struct kurir_str);
KURIR_API bool kurir_str_equal_nocase(struct kurir_str, struct kurir_str); /* ASCII only */
/* By bytes, a shorter one before those that begin with it: < 0, 0, > 0. */
KURIR_API int kurir_str_compare(struct kurir_str, struct kurir_str);
KURIR_API bool kurir_str_starts(struct kurir_str, struct kurir_str prefix);
KURIR_API bool kurir_str_starts_nocase(struct kurir_str, struct kurir_str prefix);
/* Index of the first (last) c, or -1. */
KURIR_API ssize_t kurir_str_find(struct kurir_str, char c);
KURIR_API ssize_t kurir_str_find_last(struct kurir_str, char c);
/* From start (clamped) up to len bytes (clamped); no copy. */
KURIR_API struct kurir_str kurir_str_part(struct kurir_str, size_t start, size_t len);
KURIR_API struct kurir_str kurir_str_trim(struct kurir_str); /* SP, HT, CR, LF at both ends */
/* All of s as a decimal number up to max: 0, or -EINVAL, -ERANGE. */
KURIR_API int kurir_str_number(struct kurir_str, uint64_t max, uint64_t *ret);
/* Whether arrays and objects in a JSON text are nested no deeper than so.  A parser that goes down
 * with them needs more stack than a fiber has: ask before what a stranger wrote is parsed. */
KURIR_API bool kurir_json_is_flat(struct kurir_str, unsigned most);
KURIR_API uint64_t kurir_str_hash(struct kurir_str); /* stable across releases: it names shards */

/* Milliseconds.  Deadlines are absolute on a clock that only goes forward. */
typedef int64_t kurir_time;
#define KURIR_FOREVER INT64_MAX
KURIR_API kurir_time kurir_now(void); /* monotonic; a deadline is kurir_now() + 30000 */
KURIR_API kurir_time kurir_wallclock(
    void); /* since 1970-01-01T00:00:00Z; for headers and files */

/*
 * Memory.  Zeroed, aligned for anything, never NULL: what we size cannot fail (true
 * exhaustion aborts; the queue makes that survivable).  What a peer can make large lives
 * in kurir_buf and streams, which have limits and can refuse.
 */
KURIR_API struct kurir_arena *kurir_arena_new(const char *name); /* name: for people; a literal */
KURIR_API void kurir_arena_free(struct kurir_arena *);		 /* NULL is fine */
KURIR_API void kurir_arena_clear(struct kurir_arena *); /* as freed and made anew, but cheaper */
KURIR_API void *kurir_alloc(struct kurir_arena *, size_t bytes);
KURIR_API struct kurir_str kurir_copy(struct kurir_arena *, struct kurir_str); /* NUL follows */
KURIR_API struct kurir_str kurir_lower(
    struct kurir_arena *, struct kurir_str); /* ASCII, copied */
/* printf(3) into the arena; NUL follows. */
KURIR_API struct kurir_str kurir_format(struct kurir_arena *, const char *, ...) KURIR_FMT(2);
/* Runs fn(arg) when the arena is freed or cleared, last registered first. */
KURIR_API void kurir_at_end(struct kurir_arena *, void (*fn)(void *), void *arg);
/* Everything allocated since the mark is given back; marks nest. */
struct kurir_mark {
	void *block;
	size_t used;
	void *ends;
};
KURIR_API struct kurir_mark kurir_mark(struct kurir_arena *);
KURIR_API void kurir_rewind(struct kurir_arena *, struct kurir_mark);
/* The running fiber's own arena.  The core rewinds it when a hook or a call handler
 * returns; a session loop rewinds it itself, once a command. */
KURIR_API struct kurir_arena *kurir_scratch(void);

/*
 * A growing buffer with a limit given at birth.  A zeroed struct with a limit is empty and
 * owns nothing.  The byte after the end is NUL whenever ptr is not NULL.
 */
struct kurir_buf {
	char *ptr;
	size_t len, room, limit;
};
#define KURIR_BUF(max) ((struct kurir_buf){ .limit = (max) })
KURIR_API int kurir_buf_add(
    struct kurir_buf *, struct kurir_str); /* 0 or -EMSGSIZE, then unchanged */
/* likewise */
KURIR_API int kurir_buf_printf(struct kurir_buf *, const char *, ...) KURIR_FMT(2);
KURIR_API int kurir_buf_reserve(
    struct kurir_buf *, size_t more); /* room for more bytes after len: 0 or -EMSGSIZE */
KURIR_API void kurir_buf_cut(struct kurir_buf *, size_t from_start); /* drops the first bytes */
KURIR_API struct kurir_str kurir_buf_str(
    const struct kurir_buf *);			    /* borrowed until the next change */
KURIR_API void kurir_buf_clear(struct kurir_buf *); /* len = 0, memory kept */
KURIR_API void kurir_buf_free(struct kurir_buf *);  /* memory given back, limit kept */

/*
 * Verdicts.  A hook returns one of these, or -errno when it could not decide; the
 * instance's "on-error" option turns that into DEFER (the default), NEXT or REJECT.
 * The first verdict that is not NEXT settles the chain.
 */
enum kurir_verdict {
	KURIR_NEXT = 0, /* no opinion: ask the next module */
	KURIR_ACCEPT,	/* yes, and ask no one else at this point */
	KURIR_REJECT,	/* no, for good (5xx) */
	KURIR_DEFER,	/* no, for now (4xx) */
	KURIR_DISCARD,	/* say yes, keep nothing; mail, rcpt and message only */
	KURIR_HANGUP,	/* 421 and close */
};
/* "next", "accept", ...; "error" for a -errno. */
KURIR_API const char *kurir_verdict_name(int verdict_or_errno);

/* Roles: the kinds of process.  --single runs all of them in one. */
enum kurir_role {
	KURIR_ROLE_EDGE = 1u << 0,     /* sessions until they are authenticated; SMTP whole */
	KURIR_ROLE_QUEUE = 1u << 1,    /* which recipient is due when */
	KURIR_ROLE_RESOLVER = 1u << 2, /* DNS */
	KURIR_ROLE_RELAY = 1u << 3,    /* outbound SMTP and LMTP */
	KURIR_ROLE_STORE = 1u << 4,    /* the one writer of mailboxes */
	KURIR_ROLE_ACCESS = 1u << 5,   /* authenticated mailbox sessions */
	KURIR_ROLE_AUTH = 1u << 6,     /* credentials */
	KURIR_ROLE_CONTROL = 1u << 7,  /* kurirctl, metrics, history */
	KURIR_ROLE_WORKER = 1u << 8,   /* hooks of one module ("isolation": "process") */
	KURIR_ROLE_ALL = (1u << 9) - 1,
};
KURIR_API uint32_t kurir_roles(void);	   /* what this process is: one bit, or ALL */
KURIR_API unsigned kurir_role_index(void); /* which of the processes of this role, from 0 */
/* True once this process is on its way out (reload, stop): begin no new work. A successor of
 * the same role and index may be alive already; the queue and store roles wait for each other. */
KURIR_API bool kurir_draining(void);

/*
 * A service: what a module provides to others, found by kind and name.  ops points to the
 * const, size-prefixed table of the kind ("protocol": kurir/session.h, "endpoint":
 * kurir/call.h, "queue", "route", "auth", "accounts", "dns", "store": headers of that name).
 * An endpoint's roles say where it is answered; other kinds can be called in every role
 * the module is started in.
 */
struct kurir_service {
	const char *kind;
	const char *name;
	const void *ops;
	uint32_t roles; /* endpoint only */
};
/* The ops of the first configured instance that provides kind (and name, unless NULL);
 * *ret_owner is what its functions take as self.  NULL: nobody does. */
KURIR_API const void *kurir_service_find(
    const char *kind, const char *name, struct kurir_self **ret_owner);
/* The n-th provider in configuration order, from 0; NULL after the last. */
KURIR_API const void *kurir_service_at(
    const char *kind, unsigned n, struct kurir_self **ret_owner);

/* Options.  The core parses, checks and documents them; the struct is read-only after. */
enum kurir_type {
	KURIR_BOOL = 1, /* bool */
	KURIR_INT,	/* int64_t */
	KURIR_SIZE,	/* uint64_t bytes: "20M"; K, M, G, T are powers of 1024 */
	KURIR_SPAN,	/* kurir_time: "5m"; ms s m h d w */
	KURIR_TEXT,	/* struct kurir_str */
	KURIR_CHOICE,	/* int: the index in choices */
	KURIR_TEXTS,	/* struct kurir_texts: an array of strings, or one string */
	KURIR_MAP, /* struct kurir_map: an object whose values are strings or arrays of strings */
	/* struct kurir_str: absolute; relative ones start at the configuration's folder */
	KURIR_PATH,
	KURIR_SECRET, /* struct kurir_str: never printed; {"file": ...} or {"env": ...} */
};
struct kurir_texts {
	size_t count;
	const struct kurir_str *items;
};
struct kurir_pair {
	struct kurir_str key;
	struct kurir_texts values;
};
struct kurir_map {
	size_t count;
	const struct kurir_pair *items; /* in the order of the file */
};
struct kurir_option {
	const char *name;
	enum kurir_type type;
	size_t offset;
	/* as the administrator would write it; "" for empty; NULL: required */
	const char *preset;
	const char *help;	    /* one sentence; --describe and the manual are made from it */
	const char *const *choices; /* KURIR_CHOICE: names, ends with NULL */
	int64_t min, max;	    /* INT, SIZE, SPAN, max: bytes of a TEXT; both 0: no bounds */
	uint64_t reserved[2];
};
/* The dead comparison makes the compiler check the member's type. */
#define KURIR_OPT_(n, t, ct, s, m, p, h) \
	.name = (n), .type = (t), \
	.offset = offsetof(s, m) + 0 * sizeof(&((s *)0)->m == (ct *)0), .preset = (p), \
	.help = (h)
/* clang-format off */
#define KURIR_OPT_BOOL(n, s, m, p, h) { KURIR_OPT_(n, KURIR_BOOL, bool, s, m, p, h) }
#define KURIR_OPT_INT(n, s, m, p, h) { KURIR_OPT_(n, KURIR_INT, int64_t, s, m, p, h) }
#define KURIR_OPT_SIZE(n, s, m, p, h) { KURIR_OPT_(n, KURIR_SIZE, uint64_t, s, m, p, h) }
#define KURIR_OPT_SPAN(n, s, m, p, h) { KURIR_OPT_(n, KURIR_SPAN, kurir_time, s, m, p, h) }
#define KURIR_OPT_TEXT(n, s, m, p, h) { KURIR_OPT_(n, KURIR_TEXT, struct kurir_str, s, m, p, h) }
#define KURIR_OPT_PATH(n, s, m, p, h) { KURIR_OPT_(n, KURIR_PATH, struct kurir_str, s, m, p, h) }
#define KURIR_OPT_SECRET(n, s, m, p, h) { KURIR_OPT_(n, KURIR_SECRET, struct kurir_str, s, m, p, h) }
#define KURIR_OPT_TEXTS(n, s, m, p, h) { KURIR_OPT_(n, KURIR_TEXTS, struct kurir_texts, s, m, p, h) }
#define KURIR_OPT_MAP(n, s, m, p, h) { KURIR_OPT_(n, KURIR_MAP, struct kurir_map, s, m, p, h) }
#define KURIR_OPT_CHOICE(n, s, m, c, p, h) \
	{ KURIR_OPT_(n, KURIR_CHOICE, int, s, m, p, h), .choices = (c) }
#define KURIR_OPT_RANGE(n, t, ct, s, m, p, lo, hi, h) \
	{ KURIR_OPT_(n, t, ct, s, m, p, h), .min = (lo), .max = (hi) }
/* clang-format on */

enum kurir_cap {		   /* what a module asks for; the rest is refused with -EPERM */
	KURIR_CAP_NET = 1u << 0,   /* kurir_dial() */
	KURIR_CAP_BODY = 1u << 1,  /* change the message */
	KURIR_CAP_RCPT = 1u << 2,  /* change recipients */
	KURIR_CAP_SPAWN = 1u << 3, /* fibers beside the session's, kurir_offload() */
	KURIR_CAP_FILES = 1u << 4, /* files: those in paths, and no others */
};

/*
 * A folder or file that a module uses.  The supervisor makes folders below "state" before
 * any role starts, owned by the first role that writes, reachable by the others; each
 * role's sandbox allows just these.
 */
struct kurir_path {
	const char *option; /* the PATH option that names it, or NULL: */
	const char *state;  /* its name below the "state" folder */
	uint32_t read;	    /* roles that may read */
	uint32_t write;	    /* roles that may create and change */
};

struct kurir_smtp_hooks; /* kurir/smtp.h */

struct kurir_module {
	size_t size;
	uint16_t abi_major, abi_minor;
	const char *name, *version, *summary;
	uint32_t caps;	/* enum kurir_cap, or-ed */
	uint32_t roles; /* where instances are started: enum kurir_role, or-ed */
	size_t conf_size, self_size, conn_size, tx_size; /* zeroed by the core, see below */
	const struct kurir_option *options;		 /* ends with { 0 } */
	const char *const *counters;			 /* ends with NULL */
	const char *const
	    *needs; /* kinds of service that must be configured too; ends with NULL */
	const struct kurir_service *services; /* ends with { 0 } */
	const struct kurir_path *paths;	      /* ends with { 0 } */
	/* After the options were read, before anything starts, also for --check; no side
	 * effects, must not park.  0, or -EINVAL with *error set (kurir_format in arena). */
	int (*check)(const void *conf, struct kurir_arena *arena, struct kurir_str *error);
	int (*start)(struct kurir_self *)
	    KURIR_PARKS; /* once a process; kurir_roles() tells which */
	void (*stop)(struct kurir_self *) KURIR_PARKS; /* its fibers are ended before */
	const struct kurir_smtp_hooks *smtp;
	/* After check(), for --check on the host where the server runs: looks at what the options
	 * name there, files above all.  0, or -EINVAL with *ret_error set and in *ret_option the
	 * option that it is about.  No side effects, must not park. */
	int (*inspect)(const void *conf, struct kurir_arena *arena, const char **ret_option,
	    struct kurir_str *ret_error);
	/* append here, and nowhere else */
};

#ifdef __cplusplus
#define KURIR_EXTERN extern "C" KURIR_API
#else
#define KURIR_EXTERN extern KURIR_API
#endif
/*
 * KURIR_MODULE(greylist, .summary = "...", ...), once in a module: all that it exports.  The
 * function is what the server asks; the description beside it is for those who read the file
 * and do not run it, such as "kurirctl module info".
 */
#define KURIR_MODULE(ident, ...) \
	KURIR_EXTERN const struct kurir_module ident##_LTX_kurir_description; \
	const struct kurir_module ident##_LTX_kurir_description = { .size = sizeof( \
									struct kurir_module), \
		.abi_major = KURIR_ABI_MAJOR, \
		.abi_minor = KURIR_ABI_MINOR, \
		.name = #ident, \
		__VA_ARGS__ }; \
	KURIR_EXTERN const struct kurir_module *ident##_LTX_kurir_module(void); \
	const struct kurir_module *ident##_LTX_kurir_module(void) \
	{ \
		return &ident##_LTX_kurir_description; \
	} \
	typedef int ident##_module_ends_with_a_semicolon

/* The module's own memory: conf_size, self_size, conn_size and tx_size bytes, one each. */
KURIR_API const void *kurir_conf(struct kurir_self *);
KURIR_API void *kurir_state(struct kurir_self *);
KURIR_API void *kurir_conn_state(struct kurir_conn *, struct kurir_self *);
KURIR_API void *kurir_tx_state(struct kurir_tx *, struct kurir_self *);
KURIR_API struct kurir_arena *kurir_self_arena(struct kurir_self *); /* until stop() returned */
KURIR_API const char *kurir_self_name(
    struct kurir_self *);			 /* "module" or "module/instance", for ever */
KURIR_API struct kurir_str kurir_hostname(void); /* the configuration's "hostname" */
/* "state" of the configuration and then name, as declared in paths. */
KURIR_API struct kurir_str kurir_state_path(struct kurir_arena *, const char *name);

/*
 * Fibers.  Code reads as if it blocked; while it waits, others run.  What waits is marked
 * KURIR_PARKS, takes an absolute deadline and returns -ETIMEDOUT past it, -ECANCELED once
 * the fiber is being ended: then return at once, nothing parks again.
 */
KURIR_API int kurir_sleep(kurir_time until) KURIR_PARKS; /* 0 at the deadline, or -ECANCELED */
KURIR_API int kurir_yield(void) KURIR_PARKS;		 /* lets the others run once */

/* A group that is not ended explicitly ends with the instance (self) or the process (NULL). */
KURIR_API struct kurir_group *kurir_group_begin(struct kurir_self *);
/* A new fiber runs fn(arg), which parks as it likes, some time after this returned: 0; -EPERM
 * without KURIR_CAP_SPAWN; -EAGAIN: no stack can be had; -ECANCELED: the group is being ended.
 * name: for people; a literal. */
KURIR_API int kurir_group_go(
    struct kurir_group *, const char *name, void (*fn)(void *), void *arg);
/* Until all returned: 0; -ETIMEDOUT, -ECANCELED: some still run. */
KURIR_API int kurir_group_wait(struct kurir_group *, kurir_time) KURIR_PARKS;
KURIR_API void kurir_group_end(struct kurir_group *) KURIR_PARKS; /* cancels, waits, frees */

/* A signal wakes all who wait; it is not remembered: check your condition, then wait. */
KURIR_API struct kurir_signal *kurir_signal_new(struct kurir_arena *); /* ends with the arena */
/* 0 when it was raised, -ETIMEDOUT, -ECANCELED. */
KURIR_API int kurir_signal_wait(struct kurir_signal *, kurir_time) KURIR_PARKS;
KURIR_API void kurir_signal_raise(struct kurir_signal *);

/* Waits until fd is readable (POLLIN) or writable (POLLOUT): 1, -ETIMEDOUT or -ECANCELED. */
KURIR_API int kurir_wait_fd(int fd, short poll_events, kurir_time) KURIR_PARKS;

/*
 * For libraries with a state machine of their own: calls from the loop.  They come on the
 * loop's own large stack, not on a fiber: they must not park and have no scratch arena.
 * fd -1: only the clock.  Level-triggered: ready() comes again while there is something to
 * read or write.  events 0: the time has passed, and is forgotten.
 */
struct kurir_watch;
/* Borrows fd. 0 or -ENOMEM; it is asleep. */
KURIR_API int kurir_watch_new(struct kurir_self *, int fd, void (*ready)(void *arg, short events),
    void *arg, struct kurir_watch **ret);
/* poll_events 0 and KURIR_FOREVER: asleep. 0 or -errno of epoll_ctl(2). */
KURIR_API int kurir_watch_set(struct kurir_watch *, short poll_events, kurir_time until);
KURIR_API void kurir_watch_free(
    struct kurir_watch *); /* before close(2); also from ready(); NULL is fine */

/* Runs fn(arg) in a helper thread: for what really blocks (fdatasync, PAM).  fn must call
 * nothing of Kurir but what works on texts, readers, buffers and an arena that nobody else uses
 * meanwhile.  Returns fn's result.  Past the deadline or when cancelled it still
 * waits for fn (arg is the caller's memory) and then says -ETIMEDOUT or -ECANCELED. */
KURIR_API int kurir_offload(int (*fn)(void *), void *arg, kurir_time) KURIR_PARKS;

/*
 * One event, one line.  Lines carry the instance and, on a session's fiber, its id; peers'
 * bytes are quoted and cut by the core.  kurir_log returns err: log and return.
 */
enum kurir_level { KURIR_DEBUG, KURIR_INFO, KURIR_NOTICE, KURIR_WARN, KURIR_ERROR };
KURIR_API int kurir_log(struct kurir_self *, enum kurir_level, int err, const char *, ...)
    KURIR_FMT(4);
struct kurir_field {
	const char *name; /* "id", "to", "code": lower case, one word for one thing everywhere */
	struct kurir_str value;
};
/* event: connect helo auth mail rcpt data message queued route attempt delivered deferred
 * bounced cancelled held released rights closed.  Also kept for "kurirctl explain". */
KURIR_API void kurir_emit(struct kurir_self *, enum kurir_level, const char *event,
    const struct kurir_field *, size_t count);
#define KURIR_EMIT(self, level, event, ...) \
	kurir_emit(self, level, event, (const struct kurir_field[]){ __VA_ARGS__ }, \
	    sizeof((const struct kurir_field[]){ __VA_ARGS__ }) / sizeof(struct kurir_field))
/* counter: an index into the module's counters. */
KURIR_API void kurir_count(struct kurir_self *, unsigned counter, uint64_t by);

#ifdef __cplusplus
}
#endif
#endif
