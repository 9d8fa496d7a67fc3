// SPDX-License-Identifier: Apache-2.0
#include <polyvisor/string.h>

#include <stdint.h>

/*
 * Compilers recognise loops that copy, fill or measure and replace them by calls of memmove, memset or strlen, which inside
 * these very functions would recurse for ever. An empty asm statement in the loop's body hides the pattern.
 */
#define NOT_AN_IDIOM() __asm__ volatile("")

#ifndef POLYVISOR_HOST

// Every processor with EPT and unrestricted guest copies fast with the plain string instructions ("ERMS", Intel
// Optimization Reference Manual 3.7.6), and they need no vector registers. The direction flag is clear by the C calling convention.
// Words first: an emulator counts, and takes, as much time for a byte as for a word.

typedef size_t word; // guests are also compiled for 32 bits
#if SIZE_MAX > UINT32_MAX
#define REP_MOVE_WORDS "rep movsq"
#define REP_STORE_WORDS "rep stosq"
#else
#define REP_MOVE_WORDS "rep movsl"
#define REP_STORE_WORDS "rep stosl"
#endif

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
    void *destination = to;
    size_t words = size / sizeof(word), rest = size % sizeof(word);
    __asm__ volatile(REP_MOVE_WORDS : "+D"(destination), "+S"(from), "+c"(words) : : "memory");
    __asm__ volatile("rep movsb" : "+D"(destination), "+S"(from), "+c"(rest) : : "memory");
    return to;
}

void *memmove(void *to, const void *from, size_t size)
{
    // Forward copying is right unless the destination begins inside the source; unsigned wrap-around makes it one test.
    if ((uintptr_t)to - (uintptr_t)from >= size)
        return memcpy(to, from, size);
    unsigned char *destination = to;
    const unsigned char *source = from;
    while (size > 0) {
        NOT_AN_IDIOM();
        size--;
        destination[size] = source[size];
    }
    return to;
}

void *memset(void *to, int value, size_t size)
{
    void *destination = to;
    size_t words = size / sizeof(word), rest = size % sizeof(word);
    word pattern = (unsigned char)value * (SIZE_MAX / UINT8_MAX); // in every byte
    __asm__ volatile(REP_STORE_WORDS : "+D"(destination), "+c"(words) : "a"(pattern) : "memory");
    __asm__ volatile("rep stosb" : "+D"(destination), "+c"(rest) : "a"(pattern) : "memory");
    return to;
}

int memcmp(const void *a, const void *b, size_t size)
{
    const unsigned char *left = a;
    const unsigned char *right = b;
    for (size_t i = 0; i < size; i++)
        if (left[i] != right[i])
            return left[i] < right[i] ? -1 : 1;
    return 0;
}

size_t strlen(const char *text)
{
    size_t length = 0;
    while (text[length] != '\0') {
        NOT_AN_IDIOM();
        length++;
    }
    return length;
}

int strcmp(const char *a, const char *b)
{
    return strncmp(a, b, SIZE_MAX);
}

int strncmp(const char *a, const char *b, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        const unsigned char left = (unsigned char)a[i];
        const unsigned char right = (unsigned char)b[i];
        if (left != right)
            return left < right ? -1 : 1;
        if (left == '\0')
            break;
    }
    return 0;
}

#endif // POLYVISOR_HOST

const char *pv_strchr(const char *text, char c)
{
    for (; *text != '\0'; text++)
        if (*text == c)
            return text;
    return NULL;
}

size_t pv_strnlen(const char *text, size_t size)
{
    size_t length = 0;
    while (length < size && text[length] != '\0') {
        NOT_AN_IDIOM();
        length++;
    }
    return length;
}

bool pv_strcopy(char *to, size_t size, const char *from)
{
    if (size == 0)
        return false;
    const size_t length = pv_strnlen(from, size - 1);
    memcpy(to, from, length);
    to[length] = '\0';
    return from[length] == '\0';
}
