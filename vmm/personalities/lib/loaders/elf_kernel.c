// SPDX-License-Identifier: Apache-2.0
#include "loaders/elf_kernel.h"

#include <polyvisor/string.h>

enum {
    CLASS = 4,
    ENCODING = 5,
    CLASS_32 = 1,
    CLASS_64 = 2,
    LITTLE_ENDIAN = 1,
    TYPE = 16,
    MACHINE = 18,
    TYPE_EXECUTABLE = 2,
    TYPE_SHARED = 3,
    MACHINE_386 = 3,
    MACHINE_X86_64 = 62,
    PT_LOAD = 1,
    PT_NOTE = 4,
    NOTE_HEADER = 12,
};

/// Where the fields of a header are, for both classes.
struct layout {
    uint8_t word; ///< bytes of an address
    uint8_t header, entry, table, entry_size, count;
    uint8_t program, p_offset, p_vaddr, p_paddr, p_filesz, p_memsz, p_align;
};
static const struct layout layout32 = {.word = 4,
                                       .header = 52,
                                       .entry = 24,
                                       .table = 28,
                                       .entry_size = 42,
                                       .count = 44,
                                       .program = 32,
                                       .p_offset = 4,
                                       .p_vaddr = 8,
                                       .p_paddr = 12,
                                       .p_filesz = 16,
                                       .p_memsz = 20,
                                       .p_align = 28};
static const struct layout layout64 = {.word = 8,
                                       .header = 64,
                                       .entry = 24,
                                       .table = 32,
                                       .entry_size = 54,
                                       .count = 56,
                                       .program = 56,
                                       .p_offset = 8,
                                       .p_vaddr = 16,
                                       .p_paddr = 24,
                                       .p_filesz = 32,
                                       .p_memsz = 40,
                                       .p_align = 48};

struct program_header {
    uint32_t type;
    uint64_t offset, vaddr, paddr, filesz, memsz, align;
};

bool elf_is(const void *file, size_t size)
{
    return size >= 4 && memcmp(file, "\177ELF", 4) == 0;
}

static bool check_header(const uint8_t *file, size_t size, const struct layout **layout, char *why)
{
    if (!elf_is(file, size))
        return image_refuse(why, "not an ELF file");
    if (size < layout32.header || (file[CLASS] == CLASS_64 && size < layout64.header))
        return image_refuse(why, "truncated: %zu bytes, less than an ELF header", size);
    if ((file[CLASS] != CLASS_32 && file[CLASS] != CLASS_64) || file[ENCODING] != LITTLE_ENDIAN)
        return image_refuse(why, "an ELF file of class %u, encoding %u, expected class 1 or 2, encoding 1", file[CLASS],
                            file[ENCODING]);
    *layout = file[CLASS] == CLASS_32 ? &layout32 : &layout64;
    const uint32_t type = (uint32_t)image_field(file, TYPE, 2), machine = (uint32_t)image_field(file, MACHINE, 2);
    if (machine != MACHINE_386 && machine != MACHINE_X86_64)
        return image_refuse(why, "an ELF file for machine %u, expected 3 (i386) or 62 (x86-64)", machine);
    if (type != TYPE_EXECUTABLE && type != TYPE_SHARED)
        return image_refuse(why, "an ELF file of type %u, expected 2 (executable)", type);
    const uint64_t table = image_field(file, (*layout)->table, (*layout)->word);
    const uint64_t entry_size = image_field(file, (*layout)->entry_size, 2),
                   count = image_field(file, (*layout)->count, 2);
    if (count == 0)
        return image_refuse(why, "it has no program headers");
    if (entry_size < (*layout)->program)
        return image_refuse(why, "its program headers have %lu bytes each, expected %u", (unsigned long)entry_size,
                            (*layout)->program);
    if (table > size || count * entry_size > size - table)
        return image_refuse(why, "truncated: %zu bytes, its %lu program headers are at %#lx", size,
                            (unsigned long)count, (unsigned long)table);
    return true;
}

static struct program_header program_header(const uint8_t *file, const struct layout *l, uint64_t index)
{
    const uint64_t at = image_field(file, l->table, l->word) + index * image_field(file, l->entry_size, 2);
    return (struct program_header){
        .type = (uint32_t)image_field(file, at, 4),
        .offset = image_field(file, at + l->p_offset, l->word),
        .vaddr = image_field(file, at + l->p_vaddr, l->word),
        .paddr = image_field(file, at + l->p_paddr, l->word),
        .filesz = image_field(file, at + l->p_filesz, l->word),
        .memsz = image_field(file, at + l->p_memsz, l->word),
        .align = image_field(file, at + l->p_align, l->word),
    };
}

static size_t pad(size_t size, uint64_t alignment)
{
    return alignment == 8 ? (size + 7) & ~(size_t)7 : (size + 3) & ~(size_t)3;
}

/// Goes through the notes of a segment. One that is cut off ends the search, with a message.
static bool find_note(const uint8_t *file, size_t size, const struct program_header *p, struct elf_note *note,
                      char *why)
{
    if (p->offset > size || p->filesz > size - p->offset)
        return image_refuse(why, "truncated: %zu bytes, its notes are %#lx bytes at %#lx", size,
                            (unsigned long)p->filesz, (unsigned long)p->offset);
    const uint8_t *notes = file + p->offset;
    for (size_t at = 0; p->filesz - at >= NOTE_HEADER;) {
        const size_t name_size = image_field(notes, at, 4), value_size = image_field(notes, at + 4, 4);
        const uint32_t type = (uint32_t)image_field(notes, at + 8, 4);
        const size_t value = at + NOTE_HEADER + pad(name_size, p->align), rest = p->filesz;
        if (value > rest || value_size > rest - value)
            return image_refuse(why, "a note at %#lx is longer than its segment", (unsigned long)(p->offset + at));
        if (type == note->type && name_size == strlen(note->name) + 1 &&
            memcmp(notes + at + NOTE_HEADER, note->name, name_size) == 0) {
            if (value_size != 4 && value_size != 8)
                return image_refuse(why, "its %s note of type %u has %zu bytes, expected 4 or 8", note->name,
                                    note->type, value_size);
            note->found = true;
            note->value = image_field(notes, value, value_size);
            return true;
        }
        const size_t next = value + pad(value_size, p->align);
        if (next > rest)
            return true;
        at = next;
    }
    return true;
}

/// The entry point is a virtual address: the segment tells where that is.
static uint64_t physical(const uint8_t *file, const struct layout *l, uint64_t entry)
{
    const uint64_t count = image_field(file, l->count, 2);
    for (uint64_t i = 0; i < count; i++) {
        const struct program_header p = program_header(file, l, i);
        if (p.type == PT_LOAD && entry >= p.vaddr && entry - p.vaddr < p.memsz)
            return entry - p.vaddr + p.paddr;
    }
    return entry;
}

bool elf_kernel_parse(const void *start, size_t size, struct image *image, struct elf_note *note, char *why)
{
    const uint8_t *file = start;
    const struct layout *l = &layout64;
    *image = (struct image){.alignment = 1};
    if (!check_header(file, size, &l, why))
        return false;
    const uint64_t count = image_field(file, l->count, 2);
    for (uint64_t i = 0; i < count; i++) {
        const struct program_header p = program_header(file, l, i);
        const struct image_segment segment = {p.paddr, p.offset, p.filesz, p.memsz};
        if (p.type == PT_LOAD && !image_add_segment(image, &segment, size, why))
            return false;
        if (p.type == PT_NOTE && note != NULL && !note->found && !find_note(file, size, &p, note, why))
            return false;
    }
    image->entry = physical(file, l, image_field(file, l->entry, l->word));
    return true;
}
