// SPDX-License-Identifier: Apache-2.0
// Exit qualifications: what they say beyond an address (SDM Vol. 3C 28.2.1).
#include "arch/x86/vmx/vmcs_bits.h"
#include "vmcs_words.h"

static const char *const registers[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                        "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

/// Table 28-5.
static void add_io(struct vmcs_words *words, uint64_t value)
{
    enum { IN = 1 << 3, STRING = 1 << 4, REP = 1 << 5, IMMEDIATE = 1 << 6 };
    const uint64_t size = (value & 7) + 1;
    vmcs_words_add(words, "%s %lu byte%s", value & IN ? "in" : "out", size, size == 1 ? "" : "s");
    vmcs_words_add(words, "port %#lx", value >> 16 & 0xffff);
    if (value & STRING)
        vmcs_words_add(words, "string");
    if (value & REP)
        vmcs_words_add(words, "REP");
    if (value & IMMEDIATE)
        vmcs_words_add(words, "immediate operand");
}

/// Table 28-3.
static void add_cr_access(struct vmcs_words *words, uint64_t value)
{
    enum { MOV_TO, MOV_FROM, CLTS, LMSW };
    const unsigned cr = value & 15;
    const char *reg = registers[value >> 8 & 15];
    switch (value >> 4 & 3) {
    case MOV_TO:
        vmcs_words_add(words, "MOV to CR%u from %s", cr, reg);
        break;
    case MOV_FROM:
        vmcs_words_add(words, "MOV from CR%u to %s", cr, reg);
        break;
    case CLTS:
        vmcs_words_add(words, "CLTS");
        break;
    default:
        vmcs_words_add(words, "LMSW %#lx", value >> 16 & 0xffff);
        break;
    }
}

/// Table 28-4.
static void add_mov_dr(struct vmcs_words *words, uint64_t value)
{
    enum { FROM = 1 << 4 };
    const unsigned dr = value & 7;
    const char *reg = registers[value >> 8 & 15];
    vmcs_words_add(words, value & FROM ? "MOV from DR%u to %s" : "MOV to DR%u from %s", dr, reg);
}

/// Table 28-7.
static void add_ept_violation(struct vmcs_words *words, uint64_t value)
{
    static const char *const accesses[] = {"read", "write", "instruction fetch"};
    static const char *const allowed[] = {"readable", "writable", "executable"};
    enum { LINEAR = 1 << 7, TRANSLATED = 1 << 8, NMI_UNBLOCKING = 1 << 12 };
    for (unsigned i = 0; i < 3; i++)
        if (value >> i & 1)
            vmcs_words_add(words, "%s", accesses[i]);
    if ((value >> 3 & 7) == 0)
        vmcs_words_add(words, "not mapped");
    for (unsigned i = 0; i < 3; i++)
        if (value >> (3 + i) & 1)
            vmcs_words_add(words, "%s", allowed[i]);
    if (value & LINEAR)
        vmcs_words_add(words, value & TRANSLATED ? "at a linear address" : "in a walk of the guest's page tables");
    if (value & NMI_UNBLOCKING)
        vmcs_words_add(words, "NMI unblocking by IRET");
}

void vmcs_words_qualification(struct vmcs_words *words, uint64_t value, uint32_t exit_reason)
{
    switch (exit_reason & EXIT_REASON_BASIC) {
    case EXIT_REASON_IO:
        add_io(words, value);
        break;
    case EXIT_REASON_CR_ACCESS:
        add_cr_access(words, value);
        break;
    case EXIT_REASON_MOV_DR:
        add_mov_dr(words, value);
        break;
    case EXIT_REASON_EPT_VIOLATION:
        add_ept_violation(words, value);
        break;
    default:
        break;
    }
}
