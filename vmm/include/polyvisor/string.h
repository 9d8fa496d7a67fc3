// SPDX-License-Identifier: Apache-2.0
/// Memory and string functions of the freestanding programs (multiplexer, loader, personalities). The mem* functions
/// have their C library meaning because the compiler calls them; the str* functions are bounded.
#ifndef POLYVISOR_STRING_H
#define POLYVISOR_STRING_H

#include <stdbool.h>
#include <stddef.h>

#ifdef POLYVISOR_HOST
#include <string.h> // host tools and tests have a C library
#else
void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int value, size_t size);
int memcmp(const void *a, const void *b, size_t size);
size_t strlen(const char *text);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t size);
#endif

/// First occurrence of c, or NULL. Unlike the C library's, it never finds the NUL.
const char *pv_strchr(const char *text, char c);
/// Length of a string that may lack its NUL within size bytes.
size_t pv_strnlen(const char *text, size_t size);
/// Copies, cutting to size - 1 characters; always ends with NUL when size > 0. False when it had to cut.
bool pv_strcopy(char *to, size_t size, const char *from);

#endif
