// SPDX-License-Identifier: Apache-2.0
#include "vmm/load.h"

#include <polyvisor/format.h>
#include <polyvisor/string.h>

#include "arch/x86/core.h"
#include "arch/x86/layout.h"
#include "arch/x86/paging.h"
#include "arch/x86/registers.h"
#include "arch/x86/tsc.h"
#include "arch/x86/vmx/vmx.h"
#include "vmm/elf.h"
#include "vmm/log.h"
#include "vmm/machine.h"
#include "vmm/net_port.h"
#include "vmm/personality.h"

/* monitor_image.asm: the monitor's image is linked in, so that there is a shell whatever the boot volume holds */
extern const uint8_t monitor_image[], monitor_image_end[];

static uint64_t alloc_table(void *context)
{
    return quota_alloc(context);
}

static bool refuse(struct personality *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool refuse(struct personality *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    pv_vsnprintf(p->why, sizeof(p->why), format, args);
    va_end(args);
    return false;
}

static bool map(struct personality *p, uint64_t address, uint64_t physical, uint64_t size, uint64_t flags)
{
    return paging_map(p->root, address, physical, size, flags | PAGE_USER, alloc_table, &p->quota) ||
           refuse(p, "its kernel-memory quota of %lu KiB is too small for its page tables", p->quota.size >> 10);
}

static uint64_t pages_of(uint64_t address, uint64_t size)
{
    return (address % PAGE_SIZE + size + PAGE_SIZE - 1) / PAGE_SIZE;
}

/// Takes pages from the upper end of the personality's memory, zeroed; what stays below is the pool.
static uint64_t take(struct personality *p, uint64_t pages)
{
    if (pages > p->pool_size / PAGE_SIZE) {
        return 0;
    }
    p->pool_size -= pages * PAGE_SIZE;
    memset(phys_to_virt(p->memory + p->pool_size), 0, pages * PAGE_SIZE);
    return p->memory + p->pool_size;
}

static bool too_small(struct personality *p)
{
    return refuse(p, "its memory of %lu KiB is too small for image, stacks and info page", p->memory_size >> 10);
}

static bool load_segment(struct personality *p, const uint8_t *file, const struct elf_segment *s)
{
    uint64_t pages = pages_of(s->address, s->memory_size);
    uint64_t physical = take(p, pages);
    if (!physical) {
        return too_small(p);
    }
    uint64_t offset = s->address % PAGE_SIZE;
    memcpy((uint8_t *)phys_to_virt(physical) + offset, file + s->file_offset, s->file_size);
    uint64_t flags = (s->access & ELF_WRITE ? PAGE_WRITE : 0) | (s->access & ELF_EXECUTE ? 0 : PAGE_NO_EXECUTE);
    return map(p, s->address - offset, physical, pages * PAGE_SIZE, flags);
}

static bool load_stacks(struct personality *p)
{
    for (uint32_t i = 0; i < p->agent_count; i++) {
        uint64_t physical = take(p, PV_STACK_SIZE / PAGE_SIZE);
        uint64_t address = PV_STACKS_VA + (i + 1) * PV_STACK_STRIDE - PV_STACK_SIZE;
        if (!physical) {
            return too_small(p);
        }
        if (!map(p, address, physical, PV_STACK_SIZE, PAGE_WRITE | PAGE_NO_EXECUTE)) {
            return false;
        }
    }
    return true;
}

static bool load_modules(struct personality *p, struct pv_info *info)
{
    uint64_t address = PV_MODULES_VA;
    for (uint32_t i = 0; i < p->config->module_count; i++) {
        const struct config_module *wanted = &p->config->modules[i];
        const struct boot_module *m = machine_module(wanted->file);
        if (!m || m->status != BOOT_MODULE_OK) {
            return refuse(p, "module '%s': file '%s' is not there", wanted->name, wanted->file);
        }
        if (m->base % PAGE_SIZE) {
            return refuse(p, "module '%s' was not loaded to a page boundary", wanted->name);
        }
        uint64_t bytes = pages_of(m->base, m->size) * PAGE_SIZE;
        if (bytes && !map(p, address, m->base, bytes, PAGE_NO_EXECUTE)) {
            return false;
        }
        struct pv_module *out = &info->modules[info->module_count++];
        pv_strcopy(out->name, sizeof(out->name), wanted->name);
        out->address = address;
        out->size = m->size;
        address += bytes + PAGE_SIZE; // an unmapped page between two
    }
    return true;
}

static void fill_info(const struct personality *p, struct pv_info *info)
{
    info->magic = PV_INFO_MAGIC;
    info->abi_version = PV_ABI_VERSION;
    info->size = sizeof(*info);
    info->id = p->id;
    info->flags = (p->config->debug ? PV_INFO_DEBUG : 0) | (vmx_ready() ? PV_INFO_VMX : 0);
    info->tsc_hz = tsc_hz();
    info->tsc_entry = machine.tsc_entry;
    info->time_entry = machine.time_entry;
    info->pool_size = p->pool_size;
    info->agent_count = p->agent_count;
    if (p->net) {
        info->flags |= PV_INFO_NET;
        net_address(p->id, info->net_address);
    }
    pv_strcopy(info->name, sizeof(info->name), p->config->name);
    pv_strcopy(info->args, sizeof(info->args), p->config->args);
    for (uint32_t i = 0; i < p->agent_count; i++) {
        info->cores[i] = p->agents[i].core->id;
    }
}

static bool load_memory(struct personality *p, const uint8_t *file, const struct elf_image *image)
{
    for (uint32_t i = 0; i < image->segment_count; i++) {
        if (!load_segment(p, file, &image->segments[i])) {
            return false;
        }
    }
    uint64_t info_page = load_stacks(p) ? take(p, 1) : 0;
    if (!info_page) {
        return p->why[0] ? false : too_small(p);
    }
    struct pv_info *info = phys_to_virt(info_page);
    if (!load_modules(p, info) || !map(p, PV_INFO_VA, info_page, PAGE_SIZE, PAGE_NO_EXECUTE)) {
        return false;
    }
    fill_info(p, info);
    p->info = info;
    return p->pool_size == 0 || map(p, PV_POOL_VA, p->memory, p->pool_size, PAGE_WRITE | PAGE_NO_EXECUTE);
}

static void set_registers(struct personality *p, uint64_t entry)
{
    for (uint32_t i = 0; i < p->agent_count; i++) {
        struct regs *r = &p->agents[i].regs;
        uint64_t syscalls = r->syscalls, ticks = r->ticks;
        memset(r, 0, sizeof(*r));
        r->syscalls = syscalls;
        r->ticks = ticks;
        r->kernel_stack = (uint64_t)p->agents[i].core->main_stack;
        r->kind = REGS_IRET;
        r->rip = entry;
        r->cs = SELECTOR_USER_CODE;
        r->rflags = RFLAGS_FIXED | RFLAGS_IF;
        r->rsp = PV_STACKS_VA + (i + 1) * PV_STACK_STRIDE;
        r->ss = SELECTOR_USER_DATA;
        r->rdi = PV_INFO_VA;
        r->rsi = i;
    }
}

/// The image's bytes and what is in them. The monitor falls back to the copy that is linked in.
static bool find_image(struct personality *p, const uint8_t **file, struct elf_image *image)
{
    const struct boot_module *m = machine_module(p->config->image);
    char error[ELF_ERROR_SIZE] = "no such file on the boot volume";
    if (m && m->status == BOOT_MODULE_OK) {
        *file = phys_to_virt(m->base);
        if (elf_parse(*file, m->size, image, error)) {
            return true;
        }
    }
    if (p->config->debug) {
        if (m) {
            log_line("%s: %s; using the monitor that is built in", p->config->image, error);
        }
        *file = monitor_image;
        return elf_parse(*file, (uint64_t)(monitor_image_end - monitor_image), image, p->why);
    }
    return refuse(p, "%s: %s", p->config->image, error);
}

bool load_personality(struct personality *p)
{
    const uint8_t *file = NULL;
    struct elf_image image;
    if (p->quota.size == 0) {
        return false; // it got no memory; `why` tells since boot
    }
    p->why[0] = '\0';
    if (!find_image(p, &file, &image)) {
        return false;
    }
    if ((image.note.needs & PV_NEEDS_VMX) && !vmx_ready()) {
        return refuse(p, "it needs VMX, and %s", cores[0].why);
    }
    quota_reset(&p->quota);
    p->pool_size = p->memory_size;
    p->root = quota_alloc(&p->quota);
    if (!p->root) {
        return refuse(p, "no kernel memory for its page tables");
    }
    paging_init_root(p->root);
    if (!load_memory(p, file, &image)) {
        return false;
    }
    set_registers(p, image.entry);
    return true;
}
