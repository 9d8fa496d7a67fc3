// SPDX-License-Identifier: Apache-2.0
/*
 * Extended page tables with 4 levels (SDM Vol. 3C 29.3): from guest-physical to host-physical addresses. Pure: table
 * pages come from callbacks, no VMX instruction is executed, nothing is locked. The caller holds a lock round every
 * call that changes an ept; processors may walk the tables meanwhile, and see each entry either old or new.
 *
 * What a caller owes to the processors (SDM Vol. 3C 29.4.3.4): none of them caches an entry that is not present, so
 * after ept_map there is nothing to do. After an ept_unmap that changed something every core that ran a guest on these
 * tables must INVEPT before it enters one again, and only then may the memory, and the table pages in the garbage, be
 * used for something else. `generation` tells a core whether it still has to: it is bumped after the entries changed.
 * A core that is about to enter marks itself as in the guest, executes a full fence, and then reads the generation;
 * whoever unmapped executes a full fence, then looks for cores so marked, and kicks them.
 */
#ifndef POLYVISOR_VMX_EPT_H
#define POLYVISOR_VMX_EPT_H

#include <stdbool.h>
#include <stdint.h>

/// Rights, as the low bits of an entry (SDM Vol. 3C table 29-6).
enum ept_access { EPT_READ = 1, EPT_WRITE = 2, EPT_EXECUTE = 4 };

/// Memory types, as bits 5:3 of a leaf entry (SDM Vol. 3C 29.3.7.2). EPT_IGNORE_PAT, added to one, makes it the
/// effective type whatever the guest's PAT says: right for RAM, of which the host has a write-back mapping too.
enum ept_memory_type {
    EPT_TYPE_UC = 0,
    EPT_TYPE_WC = 1,
    EPT_TYPE_WT = 4,
    EPT_TYPE_WP = 5,
    EPT_TYPE_WB = 6,
    EPT_IGNORE_PAT = 8,
};

enum ept_result {
    EPT_OK = 0,
    EPT_NO_MEMORY, ///< no page for a table
    EPT_OVERLAP,   ///< something is mapped there already
    EPT_INVALID,   ///< address, size, rights or memory type that no entry can hold
};

/// Where table pages come from. Pages are named by their physical addresses, multiples of 4 KiB, never 0.
struct ept_pages {
    uint64_t (*alloc)(void *ctx); ///< a zeroed page, or 0: none left
    void (*free)(void *ctx, uint64_t page);
    void *(*view)(void *ctx, uint64_t page); ///< where the page is mapped
    void *ctx;
};

struct ept {
    uint64_t root;       ///< the PML4 table's page; 0: not initialised, or destroyed
    uint64_t generation; ///< changes whenever a translation is removed; read it with ept_generation
    uint64_t limit;      ///< gpa and hpa are below it, and below 2^48
    uint64_t tables;     ///< pages in use, the root among them
    bool have_2m, have_1g, have_ad, exec_only;
    /// Large pages may be executable. Set by ept_init; to be cleared, before anything is mapped, on processors where
    /// IA32_ARCH_CAPABILITIES.IF_PSCHANGE_MC_NO is 0: there a guest that changes the size of a page which it executes
    /// can raise a machine check and so stop the machine (CVE-2018-12207).
    bool large_exec;
};

/// Table pages that were taken out of an ept, chained through themselves. A core that has not done its INVEPT may
/// still walk them; the chain's links read as entries that are not present.
struct ept_garbage {
    uint64_t first; ///< page, or 0: empty
};

/// Makes an empty ept. ept_vpid: IA32_VMX_EPT_VPID_CAP (SDM Vol. 3D A.10) of a machine with 4-level EPT and write-back
/// tables; physical_bits: MAXPHYADDR. EPT_NO_MEMORY, or EPT_INVALID for an impossible MAXPHYADDR.
enum ept_result ept_init(struct ept *ept, const struct ept_pages *pages, uint64_t ept_vpid, unsigned physical_bits);
/// Frees all tables at once. No core may use or have cached any of them: no vcpu is left, INVEPT is done.
void ept_destroy(struct ept *ept, const struct ept_pages *pages);

/// Maps [gpa, +size) to [hpa, +size), all multiples of 4 KiB, with the largest pages that fit. access: enum ept_access
/// bits; memory_type: enum ept_memory_type. On anything but EPT_OK nothing has changed, and no processor has seen
/// anything in between. Takes time in proportion to the pages mapped.
enum ept_result ept_map(struct ept *ept, const struct ept_pages *pages, uint64_t gpa, uint64_t hpa, uint64_t size,
                        uint32_t access, uint32_t memory_type);
/// Unmaps what is mapped in [gpa, +size), multiples of 4 KiB; holes are all right. *changed: something was. Large pages
/// that reach over an end are split first, which can take up to four table pages: EPT_NO_MEMORY, with nothing changed.
/// Tables that become empty are added to *garbage.
enum ept_result ept_unmap(struct ept *ept, const struct ept_pages *pages, uint64_t gpa, uint64_t size,
                          struct ept_garbage *garbage, bool *changed);
/// Frees table pages, after every core has done its INVEPT.
void ept_garbage_release(struct ept_garbage *garbage, const struct ept_pages *pages);

/// The leaf entry that translates gpa, and the size in bytes of the page that it maps. False: not mapped; *entry is 0,
/// and nothing is mapped in the naturally aligned *size bytes round gpa.
bool ept_lookup(const struct ept *ept, const struct ept_pages *pages, uint64_t gpa, uint64_t *entry, uint64_t *size);
/// Parts of a leaf entry: the page's physical address, the rights.
uint64_t ept_entry_address(uint64_t entry);
uint32_t ept_entry_access(uint64_t entry);
/// The type, EPT_IGNORE_PAT with it.
uint32_t ept_entry_memory_type(uint64_t entry);

/// The EPTP for the VMCS (SDM Vol. 3C 25.6.11): write-back tables, 4 levels, accessed and dirty bits where there are.
uint64_t ept_pointer(const struct ept *ept);
/// Pages that the tables occupy (without garbage).
uint64_t ept_count_pages(const struct ept *ept);
/// The generation, from any core.
uint64_t ept_generation(const struct ept *ept);

#endif
