// SPDX-License-Identifier: Apache-2.0
// The checks of personality images, on a sound image that is patched field by field.
// links: vmm/elf.c vmm/lib/format.c vmm/lib/string.c
#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "random.h"
#include "vmm/elf.h"

enum {
    TEXT, // program headers of the sound image
    DATA,
    NOTE,
    SPARE, // PT_NULL
    HEADERS,
    NOTE_OFFSET = 0x300,
    TEXT_OFFSET = 0x1000,
    DATA_OFFSET = 0x2000,
    FILE_SIZE = 0x2080,
    ENTRY = 0x401010,
    NOTE_SIZE = 12 + 12 + 8,
    MUTATIONS = 20000,
    MAX_PATCHES = 4,
};

/// Writes `width` bytes of `value` at an offset; width 0: no patch.
struct patch {
    size_t at;
    size_t width;
    uint64_t value;
};

#define EHDR(field, value) {offsetof(Elf64_Ehdr, field), sizeof(((Elf64_Ehdr *)0)->field), value}
#define PHDR(n, field, value)                                                                                          \
    {sizeof(Elf64_Ehdr) + (n) * sizeof(Elf64_Phdr) + offsetof(Elf64_Phdr, field), sizeof(((Elf64_Phdr *)0)->field),    \
     value}
#define BYTE(offset, value) {offset, 1, value}
#define WORD(offset, value) {offset, 4, value}

static uint8_t file[FILE_SIZE];
static struct elf_image image;
static char error[ELF_ERROR_SIZE];

/// A static program: text at 0x401000, data and bss from 0x402000 on, a Polyvisor note.
static int build(void **state)
{
    Elf64_Ehdr header = {
        .e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_EXEC,
        .e_machine = EM_X86_64,
        .e_version = EV_CURRENT,
        .e_entry = ENTRY,
        .e_phoff = sizeof(header),
        .e_ehsize = sizeof(header),
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = HEADERS,
    };
    Elf64_Phdr segments[HEADERS] = {
        [TEXT] = {PT_LOAD, PF_R | PF_X, TEXT_OFFSET, 0x401000, 0x401000, 0x100, 0x100, 0x1000},
        [DATA] = {PT_LOAD, PF_R | PF_W, DATA_OFFSET, 0x402000, 0x402000, 0x80, 0x2001, 0x1000},
        [NOTE] = {PT_NOTE, PF_R, NOTE_OFFSET, 0, 0, NOTE_SIZE, NOTE_SIZE, 4},
    };
    Elf64_Nhdr note = {sizeof(PV_NOTE_NAME), sizeof(struct pv_note), PV_NOTE_TYPE};
    struct pv_note contents = {PV_ABI_VERSION, PV_NEEDS_VMX};

    (void)state;
    memset(file, 0xcc, sizeof(file));
    memcpy(file, &header, sizeof(header));
    memcpy(file + sizeof(header), segments, sizeof(segments));
    memcpy(file + NOTE_OFFSET, &note, sizeof(note));
    memcpy(file + NOTE_OFFSET + sizeof(note), PV_NOTE_NAME, sizeof(PV_NOTE_NAME));
    memcpy(file + NOTE_OFFSET + sizeof(note) + 12, &contents, sizeof(contents));
    return 0;
}

static void apply(const struct patch *patches)
{
    for (unsigned i = 0; i < MAX_PATCHES && patches[i].width != 0; i++)
        memcpy(file + patches[i].at, &patches[i].value, patches[i].width); // little-endian, as the file
}

/// Parses the first bytes of the file from memory that ends where they do, at an odd address.
static bool parse(size_t size)
{
    uint8_t *exact = malloc(size + 1);
    bool good;

    memcpy(exact + 1, file, size);
    memset(error, 0, sizeof(error));
    good = elf_parse(exact + 1, size, &image, error);
    free(exact);
    return good;
}

struct bad_file {
    struct patch patches[MAX_PATCHES];
    const char *message;
};

static void refuses(const struct bad_file *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        build(NULL);
        apply(cases[i].patches);
        if (parse(FILE_SIZE))
            fail_msg("accepted, although %s", cases[i].message);
        assert_string_equal(error, cases[i].message);
    }
}

static void accept(void)
{
    if (!parse(FILE_SIZE))
        fail_msg("refused: %s", error);
}

static void lists_segments(void **state)
{
    (void)state;
    accept();
    assert_true(image.entry == ENTRY);
    assert_int_equal(image.segment_count, 2);
    assert_int_equal(image.pages, 1 + 3);
    assert_true(image.segments[0].address == 0x401000);
    assert_true(image.segments[0].file_offset == TEXT_OFFSET);
    assert_int_equal(image.segments[0].file_size, 0x100);
    assert_int_equal(image.segments[0].memory_size, 0x100);
    assert_int_equal(image.segments[0].access, ELF_READ | ELF_EXECUTE);
    assert_true(image.segments[1].address == 0x402000);
    assert_int_equal(image.segments[1].memory_size, 0x2001);
    assert_int_equal(image.segments[1].access, ELF_READ | ELF_WRITE);
    assert_int_equal(image.note.abi_version, PV_ABI_VERSION);
    assert_int_equal(image.note.needs, PV_NEEDS_VMX);
}

static void sorts_segments(void **state)
{
    const struct patch swap[MAX_PATCHES] = {PHDR(DATA, p_vaddr, 0x400000), PHDR(DATA, p_memsz, 0x1000)};

    (void)state;
    apply(swap);
    accept();
    assert_true(image.segments[0].address == 0x400000);
    assert_true(image.segments[1].address == 0x401000);
    assert_int_equal(image.pages, 2);
}

/// Variations that are right.
static void accepts_variations(void **state)
{
    static const struct patch cases[][MAX_PATCHES] = {
        {PHDR(TEXT, p_align, 0)},
        {PHDR(TEXT, p_align, 1), PHDR(TEXT, p_offset, 0x1011)},
        {PHDR(TEXT, p_align, 0x10), PHDR(TEXT, p_offset, 0x1010)},
        {EHDR(e_entry, 0x401000)},
        {EHDR(e_entry, 0x4010ff)},
        {PHDR(TEXT, p_flags, PF_X)},
        {PHDR(TEXT, p_flags, PF_R | PF_X | 0x100000)},                      // a flag for the operating system
        {PHDR(DATA, p_filesz, 0)},                                          // bss alone
        {PHDR(DATA, p_filesz, 0), PHDR(DATA, p_memsz, 0)},                  // empty
        {PHDR(DATA, p_vaddr, 0x7fffd000), PHDR(DATA, p_memsz, 0x3000)},     // up to the very end
        {PHDR(SPARE, p_type, PT_GNU_STACK), PHDR(SPARE, p_filesz, 0xffff)}, // not looked at
        {PHDR(NOTE, p_filesz, NOTE_SIZE + 12), WORD(NOTE_OFFSET + NOTE_SIZE, 0),
         WORD(NOTE_OFFSET + NOTE_SIZE + 4, 0)}, // an empty note behind
        {WORD(NOTE_OFFSET + 28, 0)},            // needs nothing
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        build(NULL);
        apply(cases[i]);
        accept();
    }
}

static void refuses_bad_headers(void **state)
{
    static const struct bad_file cases[] = {
        {{BYTE(0, 0x7e)}, "not an ELF file"},
        {{BYTE(3, 'f')}, "not an ELF file"},
        {{BYTE(EI_CLASS, ELFCLASS32)}, "ELF class 1, not 2: not a 64-bit program"},
        {{BYTE(EI_DATA, ELFDATA2MSB)}, "ELF data encoding 2, not 1: not little-endian"},
        {{BYTE(EI_VERSION, 0)}, "ELF identification version 0, not 1"},
        {{EHDR(e_machine, EM_AARCH64)}, "for another machine: e_machine is 183, not 62 (x86-64)"},
        {{EHDR(e_machine, EM_386)}, "for another machine: e_machine is 3, not 62 (x86-64)"},
        {{EHDR(e_type, ET_DYN)}, "position-independent (ET_DYN), not static at a fixed address (ET_EXEC)"},
        {{EHDR(e_type, ET_REL)}, "not an executable: e_type is 1, not 2 (ET_EXEC)"},
        {{EHDR(e_version, 2)}, "ELF version 2, not 1"},
        {{EHDR(e_ehsize, 52)}, "header size 52, not 64"},
        {{EHDR(e_phentsize, 32)}, "program header size 32, not 56"},
        {{EHDR(e_phnum, 0)}, "no program headers"},
        {{EHDR(e_phnum, 65)}, "65 program headers, more than 64"},
        {{EHDR(e_phnum, PN_XNUM)}, "65535 program headers, more than 64"},
        {{EHDR(e_phoff, FILE_SIZE - HEADERS * 56 + 1)}, "4 program headers at offset 0x1fa1 go beyond the file's end"},
        {{EHDR(e_phoff, UINT64_MAX)}, "4 program headers at offset 0xffffffffffffffff go beyond the file's end"},
        {{EHDR(e_phoff, UINT64_MAX - 223)}, "4 program headers at offset 0xffffffffffffff20 go beyond the file's end"},
    };

    (void)state;
    refuses(cases, sizeof(cases) / sizeof(cases[0]));
}

static void refuses_bad_segments(void **state)
{
    static const struct bad_file cases[] = {
        {{PHDR(SPARE, p_type, PT_INTERP)}, "not static: segment 3 is PT_INTERP"},
        {{PHDR(SPARE, p_type, PT_DYNAMIC)}, "not static: segment 3 is PT_DYNAMIC"},
        {{PHDR(SPARE, p_type, PT_TLS)}, "segment 3 is PT_TLS: there is no thread-local storage"},
        {{PHDR(TEXT, p_flags, PF_R | PF_W | PF_X)}, "segment 0 is writable and executable"},
        {{PHDR(TEXT, p_flags, PF_W | PF_X)}, "segment 0 is writable and executable"},
        {{PHDR(DATA, p_flags, 0)}, "segment 1 has no access rights"},
        {{PHDR(TEXT, p_filesz, 0x101)}, "segment 0 is larger in the file (0x101) than in memory (0x100)"},
        {{PHDR(DATA, p_filesz, 0x81)}, "segment 1 (0x81 bytes at offset 0x2000) goes beyond the file's end at 0x2080"},
        {{PHDR(DATA, p_offset, UINT64_MAX & ~0xfffULL)},
         "segment 1 (0x80 bytes at offset 0xfffffffffffff000) goes beyond the file's end at 0x2080"},
        {{PHDR(DATA, p_filesz, UINT64_MAX - 0x1fff), PHDR(DATA, p_memsz, UINT64_MAX)},
         "segment 1 (0xffffffffffffe000 bytes at offset 0x2000) goes beyond the file's end at 0x2080"},
        {{PHDR(DATA, p_memsz, UINT64_MAX)},
         "segment 1 (0xffffffffffffffff bytes at 0x402000) is outside [0x400000, 0x80000000)"},
        {{PHDR(DATA, p_memsz, UINT64_MAX - 0x401fff)},
         "segment 1 (0xffffffffffbfe000 bytes at 0x402000) is outside [0x400000, 0x80000000)"},
        {{PHDR(DATA, p_memsz, 0x80000000 - 0x402000 + 1)},
         "segment 1 (0x7fbfe001 bytes at 0x402000) is outside [0x400000, 0x80000000)"},
        {{PHDR(TEXT, p_vaddr, 0x3ff000)}, "segment 0 (0x100 bytes at 0x3ff000) is outside [0x400000, 0x80000000)"},
        {{PHDR(TEXT, p_vaddr, 0)}, "segment 0 (0x100 bytes at 0) is outside [0x400000, 0x80000000)"},
        {{PHDR(TEXT, p_vaddr, 0x80000000)}, "segment 0 (0x100 bytes at 0x80000000) is outside [0x400000, 0x80000000)"},
        {{PHDR(TEXT, p_vaddr, 0xffffffff80000000)},
         "segment 0 (0x100 bytes at 0xffffffff80000000) is outside [0x400000, 0x80000000)"},
        {{PHDR(TEXT, p_align, 0x1001)}, "segment 0 has alignment 0x1001, no power of two"},
        {{PHDR(TEXT, p_offset, 0x1008)},
         "segment 0: address 0x401000 and file offset 0x1008 differ modulo its alignment 0x1000"},
        {{PHDR(TEXT, p_align, 0x2000), PHDR(TEXT, p_offset, 0)},
         "segment 0: address 0x401000 and file offset 0 differ modulo its alignment 0x2000"},
        {{PHDR(DATA, p_vaddr, 0x401000)}, "segments 0 and 1 overlap in the page at 0x401000"},
        {{PHDR(DATA, p_vaddr, 0x400000)}, "segments 1 and 0 overlap in the page at 0x401000"},
        {{PHDR(DATA, p_vaddr, 0x401800), PHDR(DATA, p_align, 1)},
         "segments 0 and 1 overlap in the page at 0x401000"}, // disjoint, but in one page
        {{PHDR(TEXT, p_memsz, 0x1001)}, "segments 0 and 1 overlap in the page at 0x402000"},
        {{PHDR(TEXT, p_type, PT_NULL), PHDR(DATA, p_type, PT_NULL)}, "no segment to load"},
        {{EHDR(e_entry, 0x400fff)}, "the entry 0x400fff is outside what the file loads"},
        {{EHDR(e_entry, 0x401100)}, "the entry 0x401100 is outside what the file loads"},
        {{EHDR(e_entry, 0)}, "the entry 0 is outside what the file loads"},
        {{EHDR(e_entry, UINT64_MAX)}, "the entry 0xffffffffffffffff is outside what the file loads"},
        {{EHDR(e_entry, 0x402000)}, "the entry 0x402000 is in segment 1, which is not executable"},
        {{PHDR(TEXT, p_filesz, 0x10)}, "the entry 0x401010 is outside what the file loads"}, // in the zeroes behind
    };

    (void)state;
    refuses(cases, sizeof(cases) / sizeof(cases[0]));
}

static void refuses_bad_notes(void **state)
{
    static const struct bad_file cases[] = {
        {{PHDR(NOTE, p_type, PT_NULL)}, "no Polyvisor note: not a personality"},
        {{PHDR(NOTE, p_filesz, 0)}, "no Polyvisor note: not a personality"},
        {{BYTE(NOTE_OFFSET + 12, 'p')}, "no Polyvisor note: not a personality"},
        {{WORD(NOTE_OFFSET + 8, 2)}, "no Polyvisor note: not a personality"},
        {{PHDR(NOTE, p_filesz, NOTE_SIZE - 1)}, "segment 2: a note goes beyond the segment's end"},
        {{PHDR(NOTE, p_filesz, NOTE_SIZE + 4)}, "segment 2: a note is cut off"},
        {{PHDR(NOTE, p_filesz, 11)}, "segment 2: a note is cut off"},
        {{PHDR(NOTE, p_offset, FILE_SIZE - NOTE_SIZE + 1)},
         "segment 2 (0x20 bytes at offset 0x2061) goes beyond the file's end at 0x2080"},
        {{WORD(NOTE_OFFSET, UINT32_MAX)}, "segment 2: a note goes beyond the segment's end"},
        {{WORD(NOTE_OFFSET + 4, UINT32_MAX)}, "segment 2: a note goes beyond the segment's end"},
        {{WORD(NOTE_OFFSET + 4, 7)}, "the Polyvisor note has 7 bytes, not 8"},
        {{WORD(NOTE_OFFSET + 24, 2)}, "made for ABI version 2, not 1"},
        {{WORD(NOTE_OFFSET + 28, 5)}, "needs what this version does not know: 0x4"},
        {{PHDR(SPARE, p_type, PT_NOTE), PHDR(SPARE, p_offset, NOTE_OFFSET), PHDR(SPARE, p_filesz, NOTE_SIZE)},
         "more than one Polyvisor note"},
    };

    (void)state;
    refuses(cases, sizeof(cases) / sizeof(cases[0]));
}

/// Compilers add a GNU property note; in a segment of alignment 8 contents are padded to 8.
static void skips_other_notes(void **state)
{
    enum { AT = 0x400, GNU_SIZE = 12 + 4 + 16 };
    static const struct patch patches[MAX_PATCHES] = {PHDR(NOTE, p_offset, AT)};
    Elf64_Nhdr gnu = {4, 13, NT_GNU_PROPERTY_TYPE_0};

    (void)state;
    for (uint64_t align = 4; align <= 8; align += 4) {
        const struct patch form[MAX_PATCHES] = {PHDR(NOTE, p_align, align), PHDR(NOTE, p_filesz, GNU_SIZE + NOTE_SIZE)};
        build(NULL);
        memcpy(file + AT, &gnu, sizeof(gnu));
        memcpy(file + AT + sizeof(gnu), "GNU", 4);
        memcpy(file + AT + GNU_SIZE, file + NOTE_OFFSET, NOTE_SIZE);
        apply(patches);
        apply(form);
        accept();
        assert_int_equal(image.note.abi_version, PV_ABI_VERSION);
    }
}

static void limits_segments(void **state)
{
    static uint8_t big[0x4000];
    Elf64_Ehdr header;

    (void)state;
    memcpy(big, file, FILE_SIZE);
    memcpy(&header, file, sizeof(header));
    header.e_phoff = 0x2800;
    for (unsigned count = ELF_MAX_SEGMENTS; count <= ELF_MAX_SEGMENTS + 1; count++) {
        Elf64_Phdr load = {PT_LOAD, PF_R | PF_X, TEXT_OFFSET, 0x401000, 0, 0x100, 0x100, 0x1000};
        header.e_phnum = (Elf64_Half)(count + 1);
        memcpy(big, &header, sizeof(header));
        memcpy(big + header.e_phoff, file + sizeof(header) + NOTE * sizeof(load), sizeof(load));
        for (unsigned i = 1; i <= count; i++, load.p_vaddr += 0x1000)
            memcpy(big + header.e_phoff + i * sizeof(load), &load, sizeof(load));
        assert_int_equal(elf_parse(big, sizeof(big), &image, error), count == ELF_MAX_SEGMENTS);
    }
    assert_string_equal(error, "more than 16 segments to load");
}

/// A file that was cut anywhere is refused with a message, without a read behind its end.
static void refuses_every_truncation(void **state)
{
    (void)state;
    for (size_t size = 0; size < FILE_SIZE; size++) {
        assert_false(parse(size));
        assert_true(strlen(error) > 0);
    }
    parse(0);
    assert_string_equal(error, "the file is empty");
    parse(3);
    assert_string_equal(error, "not an ELF file");
    parse(63);
    assert_string_equal(error, "cut off: 63 bytes, fewer than an ELF header's 64");
    parse(FILE_SIZE - 1);
    assert_string_equal(error, "segment 1 (0x80 bytes at offset 0x2000) goes beyond the file's end at 0x207f");
}

/// What is accepted must be safe to load, however the headers were damaged.
static void accepts_only_what_is_safe(void **state)
{
    static const uint64_t values[] = {0,         1,          4,          8,          0x1000,
                                      0x2080,    0x400000,   0x401000,   0x7fffffff, UINT32_MAX,
                                      INT64_MAX, 0x80000000, UINT64_MAX, 7,          UINT64_MAX - 0xfff};
    uint64_t seed = 1;
    unsigned accepted = 0;

    (void)state;
    for (unsigned round = 0; round < MUTATIONS; round++) {
        build(NULL);
        for (uint64_t changes = 1 + random_below(&seed, 3); changes > 0; changes--) {
            size_t width = (size_t)1 << random_below(&seed, 4);
            size_t at = (size_t)random_below(&seed, NOTE_OFFSET + NOTE_SIZE) & ~(width - 1);
            memcpy(file + at, &values[random_below(&seed, sizeof(values) / sizeof(values[0]))], width);
        }
        if (!parse(FILE_SIZE)) {
            assert_in_range(strlen(error), 1, ELF_ERROR_SIZE - 1);
            continue;
        }
        accepted++;
        for (uint32_t i = 0; i < image.segment_count; i++) {
            const struct elf_segment *s = &image.segments[i];
            assert_true(s->file_size <= s->memory_size && s->file_size <= FILE_SIZE);
            assert_true(s->file_offset <= FILE_SIZE - s->file_size);
            assert_true(s->address >= PV_IMAGE_MIN && s->memory_size <= PV_IMAGE_MAX - s->address);
            assert_true((s->access & (ELF_WRITE | ELF_EXECUTE)) != (ELF_WRITE | ELF_EXECUTE));
            assert_true(i == 0 || (s[-1].address + s[-1].memory_size - 1) >> 12 < s->address >> 12);
        }
    }
    assert_in_range(accepted, MUTATIONS / 20, MUTATIONS * 19 / 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(lists_segments, build),
        cmocka_unit_test_setup(sorts_segments, build),
        cmocka_unit_test(accepts_variations),
        cmocka_unit_test(refuses_bad_headers),
        cmocka_unit_test(refuses_bad_segments),
        cmocka_unit_test(refuses_bad_notes),
        cmocka_unit_test(skips_other_notes),
        cmocka_unit_test_setup(limits_segments, build),
        cmocka_unit_test_setup(refuses_every_truncation, build),
        cmocka_unit_test(accepts_only_what_is_safe),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
