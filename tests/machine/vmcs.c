// SPDX-License-Identifier: Apache-2.0
/// VMCSs and what a core caches of translations. A VMCS's fields stand aside; its region in memory holds a mark, by which
/// writes to it while it is active are seen.
#include <stdlib.h>
#include <string.h>

#include "arch/x86/paging.h"
#include "arch/x86/vmx/caps.h"
#include "arch/x86/vmx/field_policy.h"
#include "arch/x86/vmx/vmcs.h"
#include "arch/x86/vmx/vmx.h"
#include "machine.h"

/// What fields hold after the first VMCLEAR: nothing that anybody may rely on.
#define UNDEFINED UINT64_C(0xa5a5a5a5a5a5a5a5)
enum { ERROR_VMLAUNCH_NOT_CLEAR = 4, ERROR_VMRESUME_NOT_LAUNCHED = 5, ERROR_ABSENT_FIELD = 12, ERROR_READ_ONLY = 13 };

static struct image {
    uint64_t serial;
    uint8_t active; ///< core + 1
    bool launched;
    uint64_t value[VMCS_FIELD_COUNT];
} images[MACHINE_PAGES];
static uint64_t last_serial;

struct region {
    uint32_t revision, abort;
    uint64_t serial;
};

void vmx_failed(const char *instruction, uint64_t operand, uint64_t value)
{
    machine_fail("%s failed: operand 0x%lx, value 0x%lx", instruction, operand, value);
}

static struct image *image_of(uint64_t vmcs)
{
    MACHINE_CHECK(vmcs % PAGE_SIZE == 0 && machine_is_ram(vmcs, PAGE_SIZE), "a VMCS at 0x%lx", vmcs);
    return &images[(vmcs - MACHINE_RAM_BASE) / PAGE_SIZE];
}

static struct image *current(void)
{
    uint64_t vmcs = machine_cores[machine_self].vmcs;
    MACHINE_CHECK(vmcs, "VMREAD or VMWRITE without a current VMCS");
    struct image *image = image_of(vmcs);
    const struct region *region = phys_to_virt(vmcs);
    MACHINE_CHECK(region->serial == image->serial, "the region of the active VMCS at 0x%lx was written to", vmcs);
    return image;
}

/* ---- VMPTRLD, VMCLEAR ---- */

void vmx_vmptrld(const uint64_t *vmcs)
{
    struct image *image = image_of(*vmcs);
    const struct region *region = phys_to_virt(*vmcs);
    MACHINE_CHECK(region->revision == (vmx_caps.basic & VMX_BASIC_REVISION), "VMPTRLD: revision 0x%x",
                  region->revision);
    MACHINE_CHECK(image->serial && region->serial == image->serial, "VMPTRLD of 0x%lx, which was not VMCLEARed before",
                  *vmcs);
    MACHINE_CHECK(image->active == 0 || image->active == machine_self + 1, "VMPTRLD: 0x%lx is active on core %d", *vmcs,
                  image->active - 1);
    image->active = (uint8_t)(machine_self + 1);
    machine_cores[machine_self].vmcs = *vmcs;
}

void vmx_vmclear(uint64_t vmcs)
{
    struct image *image = image_of(vmcs);
    struct region *region = phys_to_virt(vmcs);
    MACHINE_CHECK(image->active == 0 || image->active == machine_self + 1, "VMCLEAR: 0x%lx is active on core %d", vmcs,
                  image->active - 1);
    if (!image->serial || region->serial != image->serial) { // software has made it anew
        MACHINE_CHECK(!image->active, "the region of the active VMCS at 0x%lx was written to", vmcs);
        for (size_t i = 0; i < VMCS_FIELD_COUNT; i++) {
            image->value[i] = UNDEFINED;
        }
        image->serial = region->serial = ++last_serial;
    }
    image->active = 0;
    image->launched = false;
    if (machine_cores[machine_self].vmcs == vmcs) {
        machine_cores[machine_self].vmcs = 0;
    }
}

/* ---- fields ---- */

static bool fail(struct image *image, uint32_t error)
{
    image->value[vmcs_field_index(VMCS_VM_INSTRUCTION_ERROR)] = error;
    return false;
}

static bool exists(uint32_t field)
{
    return field_policy(&vmx_caps, field) != FIELD_ABSENT;
}

bool vmcs_try_read(uint32_t field, uint64_t *value)
{
    struct image *image = current();
    if (!exists(field)) {
        return fail(image, ERROR_ABSENT_FIELD);
    }
    *value = image->value[vmcs_field_index(field)] & vmcs_field_mask(field);
    return true;
}

bool vmcs_try_write(uint32_t field, uint64_t value)
{
    struct image *image = current();
    if (!exists(field)) {
        return fail(image, ERROR_ABSENT_FIELD);
    }
    if (vmcs_field_kind(field) == VMCS_KIND_EXIT_INFORMATION) {
        return fail(image, ERROR_READ_ONLY);
    }
    image->value[vmcs_field_index(field)] = value & vmcs_field_mask(field);
    return true;
}

uint64_t vmcs_read(enum vmcs_field field)
{
    uint64_t value = 0;
    MACHINE_CHECK(vmcs_try_read(field, &value), "VMREAD of 0x%x failed", field);
    return value;
}

void vmcs_write(enum vmcs_field field, uint64_t value)
{
    MACHINE_CHECK(vmcs_try_write(field, value), "VMWRITE of 0x%x failed", field);
}

uint64_t machine_vmcs_peek(uint64_t vmcs, enum vmcs_field field)
{
    return image_of(vmcs)->value[vmcs_field_index(field)] & vmcs_field_mask(field);
}

void machine_vmcs_set(uint64_t vmcs, enum vmcs_field field, uint64_t value)
{
    image_of(vmcs)->value[vmcs_field_index(field)] = value & vmcs_field_mask(field);
}

int machine_vmcs_active(uint64_t vmcs)
{
    return image_of(vmcs)->active - 1;
}

uint64_t machine_vmcs_any_active(uint64_t after)
{
    for (uint64_t i = after ? (after - MACHINE_RAM_BASE) / PAGE_SIZE + 1 : 0; i < MACHINE_PAGES; i++) {
        if (images[i].active) {
            return MACHINE_RAM_BASE + i * PAGE_SIZE;
        }
    }
    return 0;
}

uint32_t machine_vmcs_enter(bool launch)
{
    const struct image *image = current();
    if (launch == image->launched) {
        return launch ? ERROR_VMLAUNCH_NOT_CLEAR : ERROR_VMRESUME_NOT_LAUNCHED;
    }
    return 0;
}

void machine_vmcs_launched(void)
{
    current()->launched = true;
}
