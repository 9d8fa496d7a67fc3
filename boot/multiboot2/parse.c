// SPDX-License-Identifier: Apache-2.0
#include "multiboot2.h"

#include <boot/regions.h>
#include <polyvisor/format.h>
#include <polyvisor/string.h>
#include <vmm/config.h>

enum {
    HEADER_SIZE = 8, ///< of the information (total size, reserved) and of a tag (type, size)
    MMAP_HEADER = 16,
    MMAP_ENTRY_MIN = 24,
    EFI_ENTRY_MIN = 40,
    MODULE_HEADER = 16,
    FRAMEBUFFER_HEADER = 32,
    FRAMEBUFFER_COLOURS = 6,
    FRAMEBUFFER_RGB = 1,
    RSDP_1_SIZE = 20,
    RSDP_2_SIZE = 36,
    RSDP_LENGTH = 20, ///< offset of the length in an ACPI 2.0 RSDP
};

static const char config_default[] = "polyvisor.cfg";

/// A tag's bytes, its header included; NULL: there is no such tag.
struct tag {
    const uint8_t *bytes;
    uint32_t size;
};

struct walk {
    const uint8_t *information;
    uint32_t total; ///< bytes
    uint32_t offset;
};

struct tags {
    struct tag cmdline, loader, mmap, efi_mmap, framebuffer, rsdp_1, rsdp_2;
};

static uint32_t read32(const uint8_t *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, sizeof value);
    return value;
}

static uint64_t read64(const uint8_t *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
    return value;
}

static uint32_t tag_type(struct tag tag)
{
    return read32(tag.bytes);
}

/// The next tag. False at the end tag; and, with a complaint, where no whole tag follows.
static bool next_tag(struct walk *walk, struct boot_info *out, struct tag *tag)
{
    uint32_t left = walk->total - walk->offset;
    if (left < HEADER_SIZE) {
        boot_complain(out, "the boot loader's information has no end tag");
        return false;
    }
    tag->bytes = walk->information + walk->offset;
    tag->size = read32(tag->bytes + 4);
    if (tag_type(*tag) == MULTIBOOT2_END)
        return false;
    if (tag->size < HEADER_SIZE || tag->size > left) {
        boot_complain(out, "the boot loader's information is damaged at byte %u: tag %u of %u bytes, %u are left",
                      (unsigned)walk->offset, (unsigned)tag_type(*tag), (unsigned)tag->size, (unsigned)left);
        return false;
    }
    uint32_t padded = tag->size + (-tag->size % MULTIBOOT2_ALIGN);
    walk->offset = padded < left ? walk->offset + padded : walk->total;
    return true;
}

static struct walk walk_begin(const uint8_t *information)
{
    return (struct walk){.information = information, .total = read32(information), .offset = HEADER_SIZE};
}

/// Finds the tags of which the first one counts. One that is too short for its kind is none.
static void collect_tags(const uint8_t *information, struct boot_info *out, struct tags *tags)
{
    const struct {
        uint32_t type, min_size;
        struct tag *place;
    } kinds[] = {
        {MULTIBOOT2_CMDLINE, HEADER_SIZE, &tags->cmdline},
        {MULTIBOOT2_LOADER, HEADER_SIZE, &tags->loader},
        {MULTIBOOT2_MMAP, MMAP_HEADER, &tags->mmap},
        {MULTIBOOT2_EFI_MMAP, MMAP_HEADER, &tags->efi_mmap},
        {MULTIBOOT2_FRAMEBUFFER, FRAMEBUFFER_HEADER, &tags->framebuffer},
        {MULTIBOOT2_RSDP_1, HEADER_SIZE + RSDP_1_SIZE, &tags->rsdp_1},
        {MULTIBOOT2_RSDP_2, HEADER_SIZE + RSDP_2_SIZE, &tags->rsdp_2},
    };
    struct walk walk = walk_begin(information);
    struct tag tag;
    while (next_tag(&walk, out, &tag)) {
        for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
            if (tag_type(tag) != kinds[i].type || kinds[i].place->bytes)
                continue;
            if (tag.size >= kinds[i].min_size)
                *kinds[i].place = tag;
            else
                boot_complain(out, "the boot loader's tag %u is too short: %u bytes", (unsigned)tag_type(tag),
                              (unsigned)tag.size);
        }
    }
}

/// Copies text that may lack its NUL; what is not printable ASCII becomes '?'. False: it had to be cut.
static bool copy_text(char *to, size_t size, const char *text, size_t length)
{
    bool fits = length < size;
    if (!fits)
        length = size - 1;
    for (size_t i = 0; i < length; i++)
        to[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
    to[length] = 0;
    return fits;
}

static bool copy_tag_text(char *to, size_t size, struct tag tag)
{
    if (!tag.bytes)
        return true;
    const char *text = (const char *)tag.bytes + HEADER_SIZE;
    return copy_text(to, size, text, pv_strnlen(text, tag.size - HEADER_SIZE));
}

static void fill_cmdline(struct boot_info *out, struct tag tag)
{
    char raw[BOOT_CMDLINE_SIZE];
    bool fits = copy_tag_text(raw, sizeof raw, tag);
    if (!tag.bytes)
        return;
    if (strncmp(out->loader, "GRUB ", 5) == 0)
        fits &= multiboot2_unquote(raw, out->cmdline, sizeof out->cmdline);
    else
        pv_strcopy(out->cmdline, sizeof out->cmdline, raw);
    if (!fits)
        boot_complain(out, "the command line is too long and was cut");
}

static bool has_ram(const struct boot_info *out)
{
    for (uint32_t i = 0; i < out->region_count; i++) {
        if (out->regions[i].type == BOOT_REGION_RAM)
            return true;
    }
    return false;
}

/// The loader's own memory (EfiLoaderCode and EfiLoaderData) is free by now: what is needed of it, modules and this
/// information, is known by address. GRUB takes up to a quarter of the machine for its heap.
static void fill_from_efi(struct boot_info *out, struct tag tag)
{
    if (!tag.bytes)
        return;
    uint32_t entry_size = read32(tag.bytes + 8);
    if (entry_size < EFI_ENTRY_MIN) {
        boot_complain(out, "the boot loader's EFI memory map has entries of %u bytes", (unsigned)entry_size);
        return;
    }
    for (uint32_t at = MMAP_HEADER; tag.size - at >= entry_size; at += entry_size) {
        const uint8_t *entry = tag.bytes + at;
        uint32_t type = read32(entry);
        uint64_t pages = read64(entry + 24);
        uint64_t size = pages > UINT64_MAX / 4096 ? UINT64_MAX : pages * 4096;
        boot_region_add(out, read64(entry + 8), size,
                        boot_region_type_of_efi(type, read64(entry + 32), BOOT_REGION_RAM), type);
    }
}

static uint32_t region_type_of_mmap(uint32_t type)
{
    switch (type) {
    case MULTIBOOT2_RAM:
        return BOOT_REGION_RAM;
    case MULTIBOOT2_ACPI:
        return BOOT_REGION_ACPI;
    case MULTIBOOT2_NVS:
        return BOOT_REGION_NVS;
    case MULTIBOOT2_BAD:
        return BOOT_REGION_BAD;
    default:
        return BOOT_REGION_RESERVED;
    }
}

static void fill_from_mmap(struct boot_info *out, struct tag tag)
{
    if (!tag.bytes)
        return;
    uint32_t entry_size = read32(tag.bytes + 8);
    if (entry_size < MMAP_ENTRY_MIN) {
        boot_complain(out, "the boot loader's memory map has entries of %u bytes", (unsigned)entry_size);
        return;
    }
    for (uint32_t at = MMAP_HEADER; tag.size - at >= entry_size; at += entry_size) {
        const uint8_t *entry = tag.bytes + at;
        uint32_t type = read32(entry + 16);
        boot_region_add(out, read64(entry), read64(entry + 8), region_type_of_mmap(type), type);
    }
}

/// EFI's own map tells more (runtime services), so it comes first.
static bool fill_regions(const uint8_t *information, struct boot_info *out, const struct tags *tags)
{
    fill_from_efi(out, tags->efi_mmap);
    if (!has_ram(out)) {
        out->region_count = 0;
        fill_from_mmap(out, tags->mmap);
    }
    if (!has_ram(out))
        return false;
    boot_region_add(out, (uintptr_t)information, read32(information), BOOT_REGION_LOADER, 0);
    return true;
}

/// Bits of a colour from its position and size.
static uint32_t colour_mask(const uint8_t *field)
{
    if (field[1] == 0 || field[0] + field[1] > 32)
        return 0;
    return (UINT32_MAX >> (32 - field[1])) << field[0];
}

static void fill_framebuffer(struct boot_info *out, struct tag tag)
{
    enum { BASE = 8, PITCH = 16, WIDTH = 20, HEIGHT = 24, BITS = 28, TYPE = 29, COLOURS = 32 };
    if (!tag.bytes || tag.bytes[TYPE] != FRAMEBUFFER_RGB)
        return;
    struct boot_framebuffer found = {.base = read64(tag.bytes + BASE),
                                     .pitch = read32(tag.bytes + PITCH),
                                     .width = read32(tag.bytes + WIDTH),
                                     .height = read32(tag.bytes + HEIGHT),
                                     .bits_per_pixel = tag.bytes[BITS]};
    if (tag.size >= FRAMEBUFFER_HEADER + FRAMEBUFFER_COLOURS) {
        found.red_mask = colour_mask(tag.bytes + COLOURS);
        found.green_mask = colour_mask(tag.bytes + COLOURS + 2);
        found.blue_mask = colour_mask(tag.bytes + COLOURS + 4);
    }
    uint64_t line = (uint64_t)found.width * ((found.bits_per_pixel + 7) / 8);
    uint64_t size = (uint64_t)found.pitch * found.height;
    bool whole = found.base && found.width && found.height && found.bits_per_pixel >= 15 &&
                 found.bits_per_pixel <= 32 && found.pitch >= line && size <= UINT64_MAX - found.base;
    if (whole && found.red_mask && found.green_mask && found.blue_mask)
        out->framebuffer = found;
    else
        boot_complain(out, "the boot loader's framebuffer tag makes no sense and is ignored");
}

/// Whether a tag holds the copy of an RSDP whose length it does not exceed.
static bool is_rsdp(struct tag tag, bool has_length)
{
    if (!tag.bytes || memcmp(tag.bytes + HEADER_SIZE, "RSD PTR ", 8) != 0)
        return false;
    return !has_length || read32(tag.bytes + HEADER_SIZE + RSDP_LENGTH) <= tag.size - HEADER_SIZE;
}

static void fill_rsdp(struct boot_info *out, const struct tags *tags)
{
    if (is_rsdp(tags->rsdp_2, true))
        out->rsdp = (uintptr_t)tags->rsdp_2.bytes + HEADER_SIZE;
    else if (is_rsdp(tags->rsdp_1, false))
        out->rsdp = (uintptr_t)tags->rsdp_1.bytes + HEADER_SIZE;
    else if (tags->rsdp_2.bytes || tags->rsdp_1.bytes)
        boot_complain(out, "the boot loader's copy of the ACPI root pointer is damaged");
}

/// The first word of a module's string. False, with a complaint: there is none, or it is too long.
static bool module_name(struct boot_info *out, struct tag tag, char name[BOOT_NAME_SIZE])
{
    const char *text = (const char *)tag.bytes + MODULE_HEADER;
    size_t length = 0, limit = pv_strnlen(text, tag.size - MODULE_HEADER);
    while (limit > 0 && *text == ' ') {
        text++;
        limit--;
    }
    while (length < limit && text[length] != ' ')
        length++;
    bool fits = copy_text(name, BOOT_NAME_SIZE, text, length);
    if (length == 0)
        boot_complain(out, "a module without a name is ignored: say 'module2 FILE NAME'");
    else if (!fits)
        boot_complain(out, "the module '%.40s...' is ignored: its name has %u characters", name, (unsigned)length);
    return length > 0 && fits;
}

static bool is_listed(const struct boot_info *out, const char *name)
{
    for (uint32_t i = 0; i < out->module_count; i++) {
        if (strcmp(out->modules[i].name, name) == 0)
            return true;
    }
    return false;
}

static void set_config(struct boot_info *out, const struct boot_module *module, const uint8_t *information)
{
    if (out->config_status != BOOT_MODULE_ABSENT) {
        boot_complain(out, "the module '%s' is there more than once: the first one counts", module->name);
        return;
    }
    out->config_status = module->status;
    out->config = module->base;
    out->config_size = module->size;
    // GRUB gives an empty module the address 0, which would mean that there is no configuration.
    if (module->status == BOOT_MODULE_OK && module->size == 0)
        out->config = (uintptr_t)information;
}

static void add_module(struct boot_info *out, const struct boot_module *module)
{
    if (is_listed(out, module->name))
        boot_complain(out, "the module '%s' is there more than once: the first one counts", module->name);
    else if (out->module_count == BOOT_MAX_MODULES)
        boot_complain(out, "the module '%s' is ignored: there are more than %d", module->name, BOOT_MAX_MODULES);
    else
        out->modules[out->module_count++] = *module;
}

static void fill_modules(const uint8_t *information, struct boot_info *out)
{
    char config[BOOT_CMDLINE_SIZE];
    struct walk walk = walk_begin(information);
    struct tag tag;
    if (!config_option(out->cmdline, "config", config, sizeof config))
        pv_strcopy(config, sizeof config, config_default);
    out->config_status = BOOT_MODULE_ABSENT;
    while (next_tag(&walk, out, &tag)) {
        struct boot_module module = {.status = BOOT_MODULE_OK};
        if (tag_type(tag) != MULTIBOOT2_MODULE)
            continue;
        if (tag.size < MODULE_HEADER) {
            boot_complain(out, "the boot loader's tag of a module is too short: %u bytes", (unsigned)tag.size);
            continue;
        }
        if (!module_name(out, tag, module.name))
            continue;
        uint32_t start = read32(tag.bytes + 8), end = read32(tag.bytes + 12);
        if (end < start) {
            boot_complain(out, "the module '%s' ends before it begins", module.name);
            module.status = BOOT_MODULE_READ_ERROR;
        } else {
            module.base = start;
            module.size = end - start;
        }
        if (strcmp(module.name, config) == 0)
            set_config(out, &module, information);
        else
            add_module(out, &module);
    }
}

/// Whether there is information that can be walked through at all.
static bool check_header(const void *information, size_t limit, char *error, size_t error_size)
{
    if ((uintptr_t)information % MULTIBOOT2_ALIGN) {
        pv_snprintf(error, error_size, "the boot loader's information is at an odd address, %p", information);
        return false;
    }
    uint32_t total = limit < HEADER_SIZE ? 0 : read32(information);
    if (total < HEADER_SIZE || total > limit) {
        pv_snprintf(error, error_size, "the boot loader's information has %u bytes, expected %d to %zu",
                    (unsigned)total, HEADER_SIZE, limit);
        return false;
    }
    return true;
}

bool multiboot2_parse(const void *information, size_t limit, struct boot_info *out, char *error, size_t error_size)
{
    struct tags tags = {0};
    memset(out, 0, sizeof *out);
    out->magic = BOOT_INFO_MAGIC;
    out->version = BOOT_INFO_VERSION;
    out->size = sizeof *out;
    if (!check_header(information, limit, error, error_size))
        return false;
    collect_tags(information, out, &tags);
    copy_tag_text(out->loader, sizeof out->loader, tags.loader);
    fill_cmdline(out, tags.cmdline);
    fill_modules(information, out);
    fill_framebuffer(out, tags.framebuffer);
    fill_rsdp(out, &tags);
    if (!fill_regions(information, out, &tags)) {
        pv_snprintf(error, error_size, "the boot loader's information has no memory map that shows RAM");
        return false;
    }
    return true;
}
