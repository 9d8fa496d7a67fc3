// SPDX-License-Identifier: Apache-2.0
/*
 * SYSENTER with registers and flags as no compiler would leave them. It loads neither RSP nor RIP from where it came, and it
 * does not clear TF, AC, NT or DF (SDM Vol. 2B, SYSENTER), so the multiplexer has to.
 *
 * Without args: everything that a program can survive, then "survived N" and exit code 0.
 * args "lethal K": one of the variants with a place to return to, or a stack, that does not exist. The program cannot go on
 * after it; all that matters is that nobody else notices.
 */
#include "personality.h"

PV_PERSONALITY(0);

/// What is in the registers at SYSENTER. The assembly below knows the offsets.
struct wild {
    uint64_t rax, rdi, rsi, r8, r9, r10;
    uint64_t rcx; ///< 0: the stack
    uint64_t rdx; ///< 0: where the program goes on
    uint64_t rflags;
};

/// Executes SYSENTER with the given registers; returns what was in rax afterwards. It needs neither rsp nor the flags to have
/// been kept, only rbx, which the ABI promises.
int64_t wild_sysenter(const struct wild *registers);
__asm__(".globl wild_sysenter\n"
        "wild_sysenter:\n"
        "    push %rbx\n"
        "    mov %rsp, %rbx\n"
        "    mov 0(%rdi), %rax\n"
        "    mov 16(%rdi), %rsi\n"
        "    mov 24(%rdi), %r8\n"
        "    mov 32(%rdi), %r9\n"
        "    mov 40(%rdi), %r10\n"
        "    mov 48(%rdi), %rcx\n"
        "    test %rcx, %rcx\n"
        "    cmovz %rsp, %rcx\n"
        "    mov 56(%rdi), %rdx\n"
        "    lea 1f(%rip), %r11\n"
        "    test %rdx, %rdx\n"
        "    cmovz %r11, %rdx\n"
        "    pushq 64(%rdi)\n"
        "    mov 8(%rdi), %rdi\n"
        "    popfq\n" // a trap flag set here fires after the next instruction, which is already in ring 0
        "    sysenter\n"
        "1:  mov %rbx, %rsp\n"
        "    pushq $0x202\n"
        "    popfq\n"
        "    pop %rbx\n"
        "    ret\n");

enum {
    FLAGS_PLAIN = 0x202,
    FLAG_TF = 1 << 8,
    FLAG_DF = 1 << 10,
    FLAG_NT = 1 << 14,
    FLAG_AC = 1 << 18,
    FLAG_ID = 1 << 21,
    STATUS_FLAGS = 0x8d5,
};

static const uint64_t values[] = {
    0,
    1,
    0xfff,
    UINT64_C(0x7fffffffffffffff),
    UINT64_C(0x8000000000000000),
    UINT64_MAX,
    UINT64_C(0x0000800000000000), // not canonical
    UINT64_C(0xffff7fffffffffff), // not canonical
    UINT64_C(0x00007ffffffffff8),
    UINT64_C(0xffff800000000000), // the kernel half
    UINT64_C(0xffffffff80000000),
    UINT64_C(0xfffffffffffffff8),
};
enum { VALUES = sizeof(values) / sizeof(values[0]) };

static const uint64_t flags[] = {
    FLAGS_PLAIN,
    FLAGS_PLAIN | FLAG_DF,
    FLAGS_PLAIN | FLAG_NT,
    FLAGS_PLAIN | FLAG_AC,
    FLAGS_PLAIN | FLAG_ID | STATUS_FLAGS,
    FLAGS_PLAIN | FLAG_DF | FLAG_NT | FLAG_AC | STATUS_FLAGS,
};
enum { FLAGS = sizeof(flags) / sizeof(flags[0]) };

/// Not the calls that would, rightly, end the program or make it wait for ever.
static bool is_harmless(uint64_t number)
{
    return number != PV_SYS_EXIT && number != PV_SYS_EVENT_WAIT;
}

/// Wild numbers and arguments, under wild flags, with a stack that is no memory at all: canonical, though, or ring 3 could not be
/// returned to.
static uint64_t survive_registers(void)
{
    uint64_t survived = 0;
    for (size_t f = 0; f < FLAGS; f++) {
        for (uint64_t number = 0; number < PV_SYS_DEBUG + VALUES; number++) {
            const uint64_t rax = number <= PV_SYS_DEBUG ? number : values[number - PV_SYS_DEBUG];
            if (!is_harmless(rax))
                continue;
            for (size_t v = 0; v < VALUES; v++) {
                const struct wild wild = {
                    .rax = rax,
                    .rdi = values[v],
                    .rsi = values[(v + f) % VALUES],
                    .r8 = values[(v + 2) % VALUES],
                    .r9 = values[(v + 3) % VALUES],
                    .r10 = values[(v + 5) % VALUES],
                    .rcx = v % 2 != 0 ? UINT64_C(0x10) : 0,
                    .rflags = flags[f],
                };
                const int64_t result = wild_sysenter(&wild);
                if (rax > PV_SYS_DEBUG && result != PV_ERR_NO_SYSCALL)
                    pv_printf("system call %#lx answered %ld\n", rax, result);
                survived++;
            }
        }
    }
    return survived;
}

/// Stacks in places that ring 3 may name in rcx without using them.
static uint64_t survive_stacks(void)
{
    static const uint64_t stacks[] = {1, 8, PV_INFO_VA, UINT64_C(0x00007ffffffffff8), UINT64_C(0x00007fffffffffff)};
    uint64_t survived = 0;
    for (size_t i = 0; i < sizeof(stacks) / sizeof(stacks[0]); i++) {
        const struct wild wild = {.rax = PV_SYS_NULL, .rcx = stacks[i], .rflags = FLAGS_PLAIN};
        if (wild_sysenter(&wild) == 0)
            survived++;
    }
    return survived;
}

static const struct wild lethal[] = {
    {.rcx = UINT64_C(0x0000800000000000), .rflags = FLAGS_PLAIN},
    {.rcx = UINT64_C(0xffff7fffffffffff), .rflags = FLAGS_PLAIN},
    {.rcx = UINT64_C(0xffffffff80000000), .rflags = FLAGS_PLAIN},
    {.rdx = UINT64_C(0x0000800000000000), .rflags = FLAGS_PLAIN},
    {.rdx = UINT64_C(0x8000000000000000), .rflags = FLAGS_PLAIN},
    {.rdx = UINT64_C(0xffffffff80000000), .rflags = FLAGS_PLAIN},
    {.rdx = UINT64_C(0x00007fffffffffff), .rflags = FLAGS_PLAIN},
    {.rdx = 1, .rflags = FLAGS_PLAIN},
    {.rcx = UINT64_C(0x0000800000000000),
     .rdx = UINT64_C(0xffff7fffffffffff),
     .rflags = FLAGS_PLAIN | FLAG_NT | FLAG_DF},
    {.rax = PV_SYS_YIELD, .rcx = UINT64_C(0x0000800000000000), .rflags = FLAGS_PLAIN},
    {.rax = PV_SYS_YIELD, .rdx = UINT64_C(0xffff7fffffffffff), .rflags = FLAGS_PLAIN | FLAG_AC},
    {.rflags = FLAGS_PLAIN | FLAG_TF}, // may be survived
    {.rflags = FLAGS_PLAIN | FLAG_TF | FLAG_NT | FLAG_DF | FLAG_AC},
};
enum { LETHAL = sizeof(lethal) / sizeof(lethal[0]) };

static int run_lethal(const struct pv_info *info, const char *which)
{
    uint64_t variant;
    if (!pv_parse_number(which, &variant) || variant >= LETHAL) {
        pv_printf("%s: lethal variants are 0 to %d, not '%s'\n", info->name, LETHAL - 1, which);
        return 2;
    }
    pv_printf("%s: about to try lethal variant %lu\n", info->name, variant);
    wild_sysenter(&lethal[variant]);
    pv_printf("%s: survived lethal variant %lu\n", info->name, variant);
    return 0;
}

int main(const struct pv_info *info, uint32_t agent)
{
    static const char word[] = "lethal ";
    if (agent != 0)
        return 0;
    if (strncmp(info->args, word, sizeof(word) - 1) == 0)
        return run_lethal(info, info->args + sizeof(word) - 1);
    const uint64_t survived = survive_registers() + survive_stacks();
    pv_printf("%s: survived %lu\n", info->name, survived);
    return 0;
}
