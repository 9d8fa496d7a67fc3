// SPDX-License-Identifier: Apache-2.0
/*
 * Extended page tables with 4 levels (SDM Vol. 3C 29.3): from guest-physical to host-physical addresses. Pure: table
 * pages come from callbacks, no VMX instruction is executed, nothing is locked. The caller holds a lock round every
 * call that changes an ept; processors may walk the tables meanwhile, and see each entry either old or new.
 *
 * Maps, unmaps and the end of an ept take time in proportion to their size. So each is a job that is begun, and then
 * done in steps of bounded time. An ept has one job at a time; the caller may drop its lock between steps.
 *
 * What a caller owes to the processors (SDM Vol. 3C 29.4.3.4): none of them caches an entry that is not present, so
 * after a map there is nothing to do. After an unmap that changed something every core that ran a guest on these
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
    EPT_MORE,      ///< not finished
};

/// Where table pages come from. Pages are named by their physical addresses, multiples of 4 KiB, never 0.
struct ept_pages {
    uint64_t (*alloc)(void *ctx); ///< a zeroed page, or 0: none left
    void (*free)(void *ctx, uint64_t page);
    bool (*reserve)(void *ctx,
                    uint64_t count); ///< sets pages aside: `take` will have them. False: that many are not left
    uint64_t (*take)(void *ctx, bool zeroed);     ///< one of them; not zeroed: anything may stand in it
    void (*unreserve)(void *ctx, uint64_t count); ///< that many of them are not needed after all
    void *(*view)(void *ctx, uint64_t page);      ///< where the page is mapped
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

/// Where a job is.
enum ept_phase {
    EPT_JOB_NONE = 0,
    EPT_JOB_CHECK,   ///< a map: looks whether it is possible, and what it takes. Nothing has changed yet
    EPT_JOB_FILL,    ///< a map: writes entries
    EPT_JOB_COUNT,   ///< an unmap: looks what it takes. Nothing has changed yet
    EPT_JOB_SPLIT,   ///< an unmap: splits large pages that reach over its ends. No translation has changed yet
    EPT_JOB_CLEAR,   ///< an unmap: clears entries
    EPT_JOB_DESTROY, ///< the end of the ept
};

/// A change of an ept. All zero: none.
struct ept_job {
    enum ept_phase phase;
    bool changed;        ///< unmap: something was mapped
    uint64_t start, end; ///< guest-physical range
    uint64_t at;         ///< how far it is
    uint64_t offset;     ///< map: hpa - gpa, modulo 2^64
    uint64_t bits;       ///< map: a leaf entry's rights and memory type
    uint64_t needed;     ///< map: table pages, as far as they are counted
    uint64_t reserved;   ///< table pages set aside and not used yet
    uint64_t passed;     ///< unmap, rising: an address in the tables that may have become empty,
    int level;           ///< from those of this level on
    bool rising;
    struct ept_garbage garbage; ///< unmap: tables that it took out
};

/// Makes an empty ept. ept_vpid: IA32_VMX_EPT_VPID_CAP (SDM Vol. 3D A.10) of a machine with 4-level EPT and write-back
/// tables; physical_bits: MAXPHYADDR. EPT_NO_MEMORY, or EPT_INVALID for an impossible MAXPHYADDR.
enum ept_result ept_init(struct ept *ept, const struct ept_pages *pages, uint64_t ept_vpid, unsigned physical_bits);

/// Begins to map [gpa, +size) to [hpa, +size), all multiples of 4 KiB, with the largest pages that fit. access: enum ept_access
/// bits; memory_type: enum ept_memory_type. EPT_OK or EPT_INVALID. Its steps may end with EPT_OVERLAP or EPT_NO_MEMORY: nothing has
/// changed then, and no processor has seen anything in between.
enum ept_result ept_begin_map(const struct ept *ept, struct ept_job *job, uint64_t gpa, uint64_t hpa, uint64_t size,
                              uint32_t access, uint32_t memory_type);
/// Begins to unmap what is mapped in [gpa, +size), multiples of 4 KiB; holes are all right. EPT_OK or EPT_INVALID. Its steps may end
/// with EPT_NO_MEMORY, with nothing changed, since large pages that reach over an end have to be split, which can take up to
/// four table pages. After EPT_OK job->changed tells whether something was mapped, and job->garbage holds tables.
enum ept_result ept_begin_unmap(const struct ept *ept, struct ept_job *job, uint64_t gpa, uint64_t size);
/// Begins to free all tables; afterwards the ept is as before ept_init. No core may use any of them: no vcpu is left. What cores
/// have cached of them has to be forgotten before they use the pages. A job that was not finished is given up, whatever its phase.
void ept_begin_destroy(const struct ept *ept, const struct ept_pages *pages, struct ept_job *job);
/// Goes on with the job for about `budget` entries' time. EPT_MORE: call again. Anything else is its result, and it is over.
enum ept_result ept_step(struct ept *ept, const struct ept_pages *pages, struct ept_job *job, uint32_t budget);
/// Whether the job, or none, can be forgotten as if it had never begun.
bool ept_may_give_up(const struct ept_job *job);
/// Forgets the job.
void ept_give_up(const struct ept_pages *pages, struct ept_job *job);
/// Frees up to `count` table pages, after every core has done its INVEPT. True: none is left.
bool ept_garbage_release(struct ept_garbage *garbage, const struct ept_pages *pages, uint32_t count);

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
