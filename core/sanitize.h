/* sanitize.h - what ASan, LSan and valgrind want to be told; nothing in other builds. */
#ifndef CORE_SANITIZE_H
#define CORE_SANITIZE_H

#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZE_ASAN 1
#endif
#endif

#ifdef SANITIZE_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
/* Not inlined: gcc takes the pointer to const of ASan's functions for a promise to read. */
__attribute__((noinline, unused)) static void sanitize_poison(void *p, size_t n)
{
	__asan_poison_memory_region(p, n);
}
#define SANITIZE_POISON(p, n)	sanitize_poison((p), (n))
#define SANITIZE_UNPOISON(p, n) __asan_unpoison_memory_region((p), (n))
#define SANITIZE_GAP		8u
#else
#define SANITIZE_POISON(p, n)	((void)(p), (void)(n))
#define SANITIZE_UNPOISON(p, n) ((void)(p), (void)(n))
#define SANITIZE_GAP		0u
#endif

#ifdef HAVE_VALGRIND_VALGRIND_H
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(a, b) 0u
#define VALGRIND_STACK_DEREGISTER(id) ((void)(id))
#define RUNNING_ON_VALGRIND	      0
#endif

#endif
