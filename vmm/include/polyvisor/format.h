// SPDX-License-Identifier: Apache-2.0
/// Formatted printing for the freestanding programs: a strict subset of C's printf, no floating point, no allocation.
#ifndef POLYVISOR_FORMAT_H
#define POLYVISOR_FORMAT_H

#include <stdarg.h>
#include <stddef.h>

/// Receives text piece by piece.
typedef void pv_sink(void *context, const char *text, size_t size);

/// Conversions: %d %i %u %x %X %c %s %p %%; flags - 0 + space #; width and precision as numbers or *; lengths hh h l
/// ll z j t. A NULL string prints "(null)"; an unknown conversion is printed as it stands. Returns the number of
/// characters.
size_t pv_vformat(pv_sink *sink, void *context, const char *format, va_list args);
size_t pv_format(pv_sink *sink, void *context, const char *format, ...) __attribute__((format(printf, 3, 4)));

/// Into a buffer, cut to size - 1 characters, NUL-terminated when size > 0. Returns the length that the whole text has.
size_t pv_vsnprintf(char *buffer, size_t size, const char *format, va_list args);
size_t pv_snprintf(char *buffer, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
