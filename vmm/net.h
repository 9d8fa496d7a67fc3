// SPDX-License-Identifier: Apache-2.0
/// Virtual switches between personalities: frames are copied from one to the others by the multiplexer, which shares no memory.
/// docs/network.md tells more.
#ifndef POLYVISOR_VMM_NET_H
#define POLYVISOR_VMM_NET_H

#include <polyvisor/net.h>

#include "arch/x86/core.h"
#include "arch/x86/upcalls.h"
#include "vmm/personality.h"

/// At boot, after all personalities were made: gives ports to those that the configuration puts on a switch.
void net_create_all(void *(*allocate)(uint64_t size));
/// A personality begins, or has ended.
void net_start(struct personality *p);
void net_stop(struct personality *p);

/// System calls.
int64_t net_send(struct regs *regs, uint64_t frame, uint64_t size, uint64_t a2, uint64_t a3, uint64_t a4);
int64_t net_receive(struct regs *regs, uint64_t buffer, uint64_t size, uint64_t a2, uint64_t a3, uint64_t a4);

/// What the shell shows of a personality's port. False: it has none.
bool net_info(struct personality *p, struct pv_net_info *info);

#endif
