// SPDX-License-Identifier: Apache-2.0
/// ELF64 images of personalities: the checks. Headers are copied out before they are looked at, because a file may
/// stand at any address. Field meanings: System V ABI, "Object Files" and "Program Loading", and its AMD64 supplement.
#include "elf.h"

#include <polyvisor/format.h>
#include <polyvisor/string.h>

enum {
    EI_CLASS = 4,
    EI_DATA = 5,
    EI_VERSION = 6,
    ELFCLASS64 = 2,
    ELFDATA2LSB = 1,
    EV_CURRENT = 1,
    ET_EXEC = 2,
    ET_DYN = 3,
    EM_X86_64 = 62,
    PT_LOAD = 1,
    PT_DYNAMIC = 2,
    PT_INTERP = 3,
    PT_NOTE = 4,
    PT_TLS = 7,
    PF_MASK = ELF_READ | ELF_WRITE | ELF_EXECUTE,
    MAX_HEADERS = 64,    ///< program headers; bounds the time that a hostile file can cost
    NOTE_ALIGN_WIDE = 8, ///< the p_align that .note.gnu.property brings; every other note has 4
};

#define PAGE_SIZE UINT64_C(4096)

struct file_header {
    uint8_t ident[16];
    uint16_t type, machine;
    uint32_t version;
    uint64_t entry, phoff, shoff;
    uint32_t flags;
    uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};
_Static_assert(sizeof(struct file_header) == 64, "Elf64_Ehdr");

struct program_header {
    uint32_t type, flags;
    uint64_t offset, vaddr, paddr, filesz, memsz, align;
};
_Static_assert(sizeof(struct program_header) == 56, "Elf64_Phdr");

struct note_header {
    uint32_t name_size, content_size, type;
};

/// The file and what was found out so far.
struct parser {
    const uint8_t *file;
    uint64_t size;
    struct elf_image *image;
    char *error;
    bool has_note;
    uint16_t numbers[ELF_MAX_SEGMENTS]; ///< program header of each of image->segments
};

/// Writes the sentence that elf_parse leaves behind. Always false.
__attribute__((format(printf, 2, 3))) static bool fail(struct parser *parser, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    pv_vsnprintf(parser->error, ELF_ERROR_SIZE, format, args);
    va_end(args);
    return false;
}

/// Whether [offset, offset + size) lies in the file; no sum can overflow.
static bool in_file(const struct parser *parser, uint64_t offset, uint64_t size)
{
    return offset <= parser->size && size <= parser->size - offset;
}

static bool check_ident(struct parser *parser, const uint8_t ident[16])
{
    if (ident[EI_CLASS] != ELFCLASS64)
        return fail(parser, "ELF class %u, not %u: not a 64-bit program", ident[EI_CLASS], ELFCLASS64);
    if (ident[EI_DATA] != ELFDATA2LSB)
        return fail(parser, "ELF data encoding %u, not %u: not little-endian", ident[EI_DATA], ELFDATA2LSB);
    if (ident[EI_VERSION] != EV_CURRENT)
        return fail(parser, "ELF identification version %u, not %u", ident[EI_VERSION], EV_CURRENT);
    return true;
}

static bool check_header(struct parser *parser, const struct file_header *header)
{
    if (!check_ident(parser, header->ident))
        return false;
    if (header->machine != EM_X86_64)
        return fail(parser, "for another machine: e_machine is %u, not %u (x86-64)", header->machine, EM_X86_64);
    if (header->type == ET_DYN)
        return fail(parser, "position-independent (ET_DYN), not static at a fixed address (ET_EXEC)");
    if (header->type != ET_EXEC)
        return fail(parser, "not an executable: e_type is %u, not %u (ET_EXEC)", header->type, ET_EXEC);
    if (header->version != EV_CURRENT)
        return fail(parser, "ELF version %u, not %u", header->version, EV_CURRENT);
    if (header->ehsize != sizeof(struct file_header))
        return fail(parser, "header size %u, not %zu", header->ehsize, sizeof(struct file_header));
    if (header->phnum == 0)
        return fail(parser, "no program headers");
    if (header->phnum > MAX_HEADERS)
        return fail(parser, "%u program headers, more than %d", header->phnum, MAX_HEADERS);
    if (header->phentsize != sizeof(struct program_header))
        return fail(parser, "program header size %u, not %zu", header->phentsize, sizeof(struct program_header));
    if (!in_file(parser, header->phoff, (uint64_t)header->phnum * sizeof(struct program_header)))
        return fail(parser, "%u program headers at offset %#llx go beyond the file's end", header->phnum,
                    (unsigned long long)header->phoff);
    return true;
}

static bool read_header(struct parser *parser, struct file_header *header)
{
    static const uint8_t magic[] = {0x7f, 'E', 'L', 'F'};

    if (parser->size == 0)
        return fail(parser, "the file is empty");
    if (parser->size < sizeof(magic) || memcmp(parser->file, magic, sizeof(magic)) != 0)
        return fail(parser, "not an ELF file");
    if (parser->size < sizeof(*header))
        return fail(parser, "cut off: %llu bytes, fewer than an ELF header's %zu", (unsigned long long)parser->size,
                    sizeof(*header));
    memcpy(header, parser->file, sizeof(*header));
    return check_header(parser, header);
}

/// The checks of one PT_LOAD segment by itself.
static bool check_load(struct parser *parser, unsigned number, const struct program_header *load)
{
    uint32_t access = load->flags & PF_MASK;

    if (load->filesz > load->memsz)
        return fail(parser, "segment %u is larger in the file (%#llx) than in memory (%#llx)", number,
                    (unsigned long long)load->filesz, (unsigned long long)load->memsz);
    if (load->vaddr < PV_IMAGE_MIN || load->vaddr >= PV_IMAGE_MAX || load->memsz > PV_IMAGE_MAX - load->vaddr)
        return fail(parser, "segment %u (%#llx bytes at %#llx) is outside [%#llx, %#llx)", number,
                    (unsigned long long)load->memsz, (unsigned long long)load->vaddr, (unsigned long long)PV_IMAGE_MIN,
                    (unsigned long long)PV_IMAGE_MAX);
    if ((load->align & (load->align - 1)) != 0)
        return fail(parser, "segment %u has alignment %#llx, no power of two", number, (unsigned long long)load->align);
    if (load->align > 1 && ((load->vaddr ^ load->offset) & (load->align - 1)) != 0)
        return fail(parser, "segment %u: address %#llx and file offset %#llx differ modulo its alignment %#llx", number,
                    (unsigned long long)load->vaddr, (unsigned long long)load->offset, (unsigned long long)load->align);
    if ((access & ELF_WRITE) != 0 && (access & ELF_EXECUTE) != 0)
        return fail(parser, "segment %u is writable and executable", number);
    if (access == 0)
        return fail(parser, "segment %u has no access rights", number);
    return true;
}

/// Puts a segment where it belongs by address.
static bool add_load(struct parser *parser, unsigned number, const struct program_header *load)
{
    struct elf_image *image = parser->image;
    uint32_t at = image->segment_count;

    if (!check_load(parser, number, load))
        return false;
    if (at == ELF_MAX_SEGMENTS)
        return fail(parser, "more than %d segments to load", ELF_MAX_SEGMENTS);
    for (; at > 0 && image->segments[at - 1].address > load->vaddr; at--) {
        image->segments[at] = image->segments[at - 1];
        parser->numbers[at] = parser->numbers[at - 1];
    }
    image->segments[at] = (struct elf_segment){
        .address = load->vaddr,
        .file_offset = load->offset,
        .file_size = load->filesz,
        .memory_size = load->memsz,
        .access = load->flags & PF_MASK,
    };
    parser->numbers[at] = (uint16_t)number;
    image->segment_count++;
    return true;
}

/// Reads the contents of the one note that matters.
static bool read_polyvisor_note(struct parser *parser, uint64_t offset, uint64_t size)
{
    struct pv_note *note = &parser->image->note;

    if (parser->has_note)
        return fail(parser, "more than one Polyvisor note");
    if (size != sizeof(*note))
        return fail(parser, "the Polyvisor note has %llu bytes, not %zu", (unsigned long long)size, sizeof(*note));
    memcpy(note, parser->file + offset, sizeof(*note));
    if (note->abi_version != PV_ABI_VERSION)
        return fail(parser, "made for ABI version %u, not %u", note->abi_version, PV_ABI_VERSION);
    if ((note->needs & ~(uint32_t)PV_NEEDS_VMX) != 0)
        return fail(parser, "needs what this version does not know: %#x", note->needs & ~(uint32_t)PV_NEEDS_VMX);
    parser->has_note = true;
    return true;
}

static uint64_t align_up(uint64_t value, uint64_t align)
{
    return (value + align - 1) & ~(align - 1);
}

/// Walks through the notes of a PT_NOTE segment, which lies in the file. Sizes have 32 bits, so 64-bit sums cannot
/// overflow.
static bool read_notes(struct parser *parser, unsigned number, const struct program_header *segment)
{
    uint64_t align = segment->align == NOTE_ALIGN_WIDE ? NOTE_ALIGN_WIDE : 4;
    struct note_header note;

    for (uint64_t at = 0; at < segment->filesz;) {
        uint64_t left = segment->filesz - at, name, content;
        if (left < sizeof(note))
            return fail(parser, "segment %u: a note is cut off", number);
        memcpy(&note, parser->file + segment->offset + at, sizeof(note));
        name = sizeof(note);
        content = align_up(name + note.name_size, align);
        if (content + note.content_size > left)
            return fail(parser, "segment %u: a note goes beyond the segment's end", number);
        name += segment->offset + at;
        if (note.type == PV_NOTE_TYPE && note.name_size == sizeof(PV_NOTE_NAME) &&
            memcmp(parser->file + name, PV_NOTE_NAME, sizeof(PV_NOTE_NAME)) == 0 &&
            !read_polyvisor_note(parser, segment->offset + at + content, note.content_size))
            return false;
        at += align_up(content + note.content_size, align);
    }
    return true;
}

static bool read_segment(struct parser *parser, unsigned number, const struct program_header *segment)
{
    bool used = segment->type == PT_LOAD || segment->type == PT_NOTE;

    if (segment->type == PT_INTERP || segment->type == PT_DYNAMIC)
        return fail(parser, "not static: segment %u is %s", number,
                    segment->type == PT_INTERP ? "PT_INTERP" : "PT_DYNAMIC");
    if (segment->type == PT_TLS)
        return fail(parser, "segment %u is PT_TLS: there is no thread-local storage", number);
    if (used && !in_file(parser, segment->offset, segment->filesz))
        return fail(parser, "segment %u (%#llx bytes at offset %#llx) goes beyond the file's end at %#llx", number,
                    (unsigned long long)segment->filesz, (unsigned long long)segment->offset,
                    (unsigned long long)parser->size);
    if (segment->type == PT_NOTE)
        return read_notes(parser, number, segment);
    if (segment->type == PT_LOAD && (segment->memsz != 0 || segment->filesz != 0))
        return add_load(parser, number, segment);
    return true;
}

/// Every page belongs to one segment, because it has one segment's access rights.
static bool check_overlaps(struct parser *parser)
{
    struct elf_image *image = parser->image;
    uint64_t next_page = 0;

    for (uint32_t i = 0; i < image->segment_count; i++) {
        const struct elf_segment *segment = &image->segments[i];
        uint64_t first = segment->address / PAGE_SIZE;
        uint64_t last = (segment->address + segment->memory_size - 1) / PAGE_SIZE;
        if (first < next_page)
            return fail(parser, "segments %u and %u overlap in the page at %#llx", parser->numbers[i - 1],
                        parser->numbers[i], (unsigned long long)(first * PAGE_SIZE));
        next_page = last + 1;
        image->pages += next_page - first;
    }
    return true;
}

static bool check_entry(struct parser *parser)
{
    const struct elf_image *image = parser->image;

    for (uint32_t i = 0; i < image->segment_count; i++) {
        const struct elf_segment *segment = &image->segments[i];
        if (image->entry >= segment->address && image->entry - segment->address < segment->file_size)
            return (segment->access & ELF_EXECUTE) != 0 ||
                   fail(parser, "the entry %#llx is in segment %u, which is not executable",
                        (unsigned long long)image->entry, parser->numbers[i]);
    }
    return fail(parser, "the entry %#llx is outside what the file loads", (unsigned long long)image->entry);
}

bool elf_parse(const void *file, size_t size, struct elf_image *image, char error[ELF_ERROR_SIZE])
{
    struct parser parser = {.file = file, .size = size, .image = image, .error = error};
    struct file_header header;

    memset(image, 0, sizeof(*image));
    if (!read_header(&parser, &header))
        return false;
    image->entry = header.entry;
    for (unsigned i = 0; i < header.phnum; i++) {
        struct program_header segment;
        memcpy(&segment, parser.file + header.phoff + i * sizeof(segment), sizeof(segment));
        if (!read_segment(&parser, i, &segment))
            return false;
    }
    if (image->segment_count == 0)
        return fail(&parser, "no segment to load");
    if (!check_overlaps(&parser) || !check_entry(&parser))
        return false;
    if (!parser.has_note)
        return fail(&parser, "no Polyvisor note: not a personality");
    return true;
}
