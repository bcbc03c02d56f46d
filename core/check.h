/* check.h - assertions that stay in production: a bug is not an error. */
#ifndef CORE_CHECK_H
#define CORE_CHECK_H

/* Prints what was wrong, where, and on which fiber; aborts. */
_Noreturn void check_failed(const char *what, const char *file, int line);

#define kurir_assert(cond) \
	do { \
		if (__builtin_expect(!(cond), 0)) \
			check_failed(#cond, __FILE__, __LINE__); \
	} while (0)

/* Memory was exhausted where nothing can be refused any more. */
_Noreturn void check_no_memory(void);

#endif
