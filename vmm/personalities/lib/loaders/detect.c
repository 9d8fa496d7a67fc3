// SPDX-License-Identifier: Apache-2.0
#include "loaders/detect.h"

#include "loaders/elf_kernel.h"
#include "loaders/multiboot1.h"
#include "loaders/multiboot2.h"
#include "loaders/pvh.h"

#include <polyvisor/string.h>

typedef bool parser(const void *file, size_t size, struct image *image, bool *found, char *why);

/// From what stands at a fixed place to what is searched for; of two that are searched for, the newer first.
static const struct {
    enum image_protocol protocol;
    parser *parse;
} parsers[] = {{IMAGE_PVH, pvh_parse}, {IMAGE_MULTIBOOT2, multiboot2_parse}, {IMAGE_MULTIBOOT1, multiboot1_parse}};

static bool is_linux(const uint8_t *file, size_t size)
{
    enum { MAGIC = 0x202, MAGIC_SIZE = 4 };
    return size >= MAGIC + MAGIC_SIZE && memcmp(file + MAGIC, "HdrS", MAGIC_SIZE) == 0;
}

static const char *compression(const uint8_t *file, size_t size)
{
    static const struct {
        const char *magic;
        uint8_t size;
        const char *name;
    } known[] = {{"\x1f\x8b", 2, "gzip"}, {"\xfd\x37zXZ", 5, "xz"},       {"\x28\xb5\x2f\xfd", 4, "zstd"},
                 {"BZh", 3, "bzip2"},     {"\x02\x21\x4c\x18", 4, "LZ4"}, {"\x04\x22\x4d\x18", 4, "LZ4"}};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (size >= known[i].size && memcmp(file, known[i].magic, known[i].size) == 0)
            return known[i].name;
    return NULL;
}

enum image_protocol detect_and_parse(const void *start, size_t size, enum image_protocol wanted, struct image *image,
                                     char *why)
{
    const uint8_t *file = start;
    bool found;
    if (size == 0) {
        image_refuse(why, "it is empty");
        return IMAGE_UNKNOWN;
    }
    if (wanted == IMAGE_LINUX || (wanted == IMAGE_UNKNOWN && is_linux(file, size)))
        return IMAGE_LINUX;
    char elf_why[IMAGE_WHY] = "";
    for (size_t i = 0; i < sizeof(parsers) / sizeof(parsers[0]); i++) {
        if (wanted != IMAGE_UNKNOWN && wanted != parsers[i].protocol)
            continue;
        if (parsers[i].parse(file, size, image, &found, why))
            return parsers[i].protocol;
        if (found || wanted != IMAGE_UNKNOWN)
            return IMAGE_UNKNOWN;
        if (parsers[i].protocol == IMAGE_PVH && elf_is(file, size))
            memcpy(elf_why, why, IMAGE_WHY);
    }
    const char *compressed = compression(file, size);
    if (compressed != NULL)
        image_refuse(why, "compressed with %s: unpack it first", compressed);
    else if (elf_why[0] != '\0') // the file's own fault, or that there is no note
        image_refuse(why, "no Multiboot header, and as PVH: %s", elf_why);
    else
        image_refuse(why, "%zu bytes without 'HdrS' at 0x202, a PVH note, or a Multiboot header: no kernel", size);
    return IMAGE_UNKNOWN;
}
