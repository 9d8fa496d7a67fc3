// SPDX-License-Identifier: Apache-2.0
#include "vmm/crash.h"

#include <polyvisor/abi.h>

#include "arch/x86/fault.h"

#ifdef POLYVISOR_DEBUG
bool crash_built_in(void)
{
    return true;
}

void crash_now(uint64_t how)
{
    switch (how) {
    case PV_CRASH_PAGE:
        fault_page();
        break;
    case PV_CRASH_DIVIDE:
        fault_divide();
        break;
    case PV_CRASH_STACK:
        fault_stack();
        break;
    case PV_CRASH_UD:
        fault_invalid_opcode();
        break;
    case PV_CRASH_NMI:
        fault_nmi();
        break;
    default:
        break;
    }
}
#else
bool crash_built_in(void)
{
    return false;
}

void crash_now(uint64_t how)
{
    (void)how;
}
#endif
