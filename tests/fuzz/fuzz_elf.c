// SPDX-License-Identifier: Apache-2.0
// Images of any content: whatever is accepted can be loaded without a further check.
// links: vmm/elf.c vmm/lib/format.c vmm/lib/string.c
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/elf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good)
        abort();
}

static void check_message(const char *error)
{
    check(memchr(error, '\0', ELF_ERROR_SIZE) != NULL && *error != '\0');
    for (; *error != '\0'; error++)
        check(*error >= 0x20 && *error < 0x7f);
}

/// In the file, in the address range, one kind of access. Returns its pages.
static uint64_t check_segment(const struct elf_segment *s, const uint8_t *data, size_t size)
{
    volatile uint8_t sum = 0;

    check(s->memory_size != 0 && s->file_size <= s->memory_size);
    check(s->file_size <= size && s->file_offset <= size - s->file_size);
    check(s->address >= PV_IMAGE_MIN && s->address < PV_IMAGE_MAX && s->memory_size <= PV_IMAGE_MAX - s->address);
    check((s->access & ~7U) == 0 && s->access != 0);
    check((s->access & (ELF_WRITE | ELF_EXECUTE)) != (ELF_WRITE | ELF_EXECUTE));
    for (uint64_t i = 0; i < s->file_size; i++) // the address sanitizer looks on
        sum = (uint8_t)(sum + data[s->file_offset + i]);
    return (s->address + s->memory_size - 1) / 4096 - s->address / 4096 + 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct elf_image image;
    char error[ELF_ERROR_SIZE];
    uint64_t pages = 0;
    bool entry = false;

    memset(error, 'x', sizeof(error));
    if (!elf_parse(data, size, &image, error)) {
        check_message(error);
        return 0;
    }
    check(image.segment_count >= 1 && image.segment_count <= ELF_MAX_SEGMENTS);
    check(image.note.abi_version == PV_ABI_VERSION);
    for (uint32_t i = 0; i < image.segment_count; i++) {
        const struct elf_segment *s = &image.segments[i];
        pages += check_segment(s, data, size);
        check(i == 0 || (s[-1].address + s[-1].memory_size - 1) / 4096 < s->address / 4096);
        entry = entry || ((s->access & ELF_EXECUTE) != 0 && image.entry >= s->address &&
                          image.entry - s->address < s->file_size);
    }
    check(entry && pages == image.pages);
    return 0;
}
