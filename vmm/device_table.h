// SPDX-License-Identifier: Apache-2.0
/// The tables of devices that personalities publish for the shell.
#ifndef POLYVISOR_DEVICE_TABLE_H
#define POLYVISOR_DEVICE_TABLE_H

#include "arch/x86/upcalls.h"

struct personality;

/// PV_SYS_DEVICES.
syscall_function device_table_set;
/// The personality begins anew: there is no table.
void device_table_forget(struct personality *p);

#endif
