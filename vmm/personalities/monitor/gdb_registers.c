// SPDX-License-Identifier: Apache-2.0
#include "gdb_registers.h"

#include <polyvisor/string.h>

// FPU and SSE registers are in this list because GDB demands it; their values are not to be had.
enum { RIP = 16, EFLAGS = 17, CS = 18, GS = 23, ST0 = 24, FCTRL = 32, FS_BASE = 40, GS_BASE, CR0, CR3, CR4, EFER };

#define REG64(name) "<reg name='" name "' bitsize='64' type='int64'/>"
#define REG32(name) "<reg name='" name "' bitsize='32' type='int32'/>"
#define ST(name) "<reg name='" name "' bitsize='80' type='i387_ext'/>"
#define FPU(name) "<reg name='" name "' bitsize='32' type='int' group='float'/>"

const char gdb_target_xml[] =
    "<?xml version='1.0'?><!DOCTYPE target SYSTEM 'gdb-target.dtd'><target>"
    "<architecture>i386:x86-64</architecture><feature name='org.gnu.gdb.i386.core'>" REG64("rax") REG64("rbx")
        REG64("rcx") REG64("rdx") REG64("rsi") REG64(
            "rdi") "<reg name='rbp' bitsize='64' type='data_ptr'/>"
                   "<reg name='rsp' bitsize='64' type='data_ptr'/>" REG64("r8") REG64("r9") REG64("r10") REG64("r11")
                       REG64("r12") REG64("r13") REG64("r14") REG64(
                           "r15") "<reg name='rip' bitsize='64' type='code_ptr'/>" REG32("eflags") REG32("cs")
                           REG32("ss") REG32("ds") REG32("es") REG32("fs") REG32("gs") ST("st0") ST("st1") ST("st2")
                               ST("st3") ST("st4") ST("st5") ST("st6") ST("st7") FPU("fctrl") FPU("fstat") FPU("ftag")
                                   FPU("fiseg") FPU("fioff") FPU("foseg") FPU("fooff") FPU(
                                       "fop") "</feature><feature name='org.gnu.gdb.i386.segments'>" REG64("fs_base")
                                       REG64("gs_base") "</feature><feature name='polyvisor.control'>" REG64("cr0")
                                           REG64("cr3") REG64("cr4") REG64("efer") "</feature></target>";

/// GDB's order of the general registers, as numbers of the processor.
static const uint8_t gprs[] = {PV_RAX, PV_RBX, PV_RCX, PV_RDX, PV_RSI, PV_RDI, PV_RBP, PV_RSP,
                               PV_R8,  PV_R9,  PV_R10, PV_R11, PV_R12, PV_R13, PV_R14, PV_R15};
static const uint8_t segments[] = {PV_CS, PV_SS, PV_DS, PV_ES, PV_FS, PV_GS};

size_t gdb_register_digits(uint64_t number)
{
    enum { DIGITS_32 = 8, DIGITS_64 = 16, DIGITS_80 = 20 };
    if (number <= RIP || number >= FS_BASE)
        return DIGITS_64;
    return number >= ST0 && number < FCTRL ? DIGITS_80 : DIGITS_32;
}

/// False: not known.
static bool value_of(const struct pv_guest_registers *r, uint64_t number, uint64_t *value)
{
    const uint64_t last[] = {r->fs_base, r->gs_base, r->cr0, r->cr3, r->cr4, r->efer};
    if (number < RIP)
        *value = r->gpr[gprs[number]];
    else if (number == RIP)
        *value = r->rip;
    else if (number == EFLAGS)
        *value = r->rflags;
    else if (number <= GS)
        *value = r->selector[segments[number - CS]];
    else if (number >= FS_BASE && number < GDB_REGISTERS)
        *value = last[number - FS_BASE];
    else
        return false;
    return true;
}

bool gdb_put_register(struct gdb *gdb, const struct pv_guest_registers *registers, uint64_t number)
{
    uint64_t value;
    if (number >= GDB_REGISTERS)
        return false;
    const size_t digits = gdb_register_digits(number);
    if (value_of(registers, number, &value))
        gdb_put_bytes(gdb, &value, digits / 2); // little-endian, as the machine is
    else
        for (size_t i = 0; i < digits; i++)
            gdb_put_char(gdb, 'x');
    return true;
}

bool gdb_take_register(const char **text, struct pv_guest_registers *registers, uint64_t number)
{
    uint64_t value = 0;
    if (number > EFLAGS || !gdb_take_bytes(text, &value, gdb_register_digits(number) / 2))
        return false;
    if (number < RIP)
        registers->gpr[gprs[number]] = value;
    else if (number == RIP)
        registers->rip = value;
    else
        registers->rflags = value;
    return true;
}
