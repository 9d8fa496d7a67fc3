// SPDX-License-Identifier: Apache-2.0
/// The part of `cpu` about VMX: reads the capability MSRs of a core and words what they say.
#ifndef POLYVISOR_MONITOR_VMX_REPORT_H
#define POLYVISOR_MONITOR_VMX_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "json.h"

/// vmx: whether CPUID tells of VMX; the MSRs exist only then.
void vmx_report_print(uint32_t core, bool vmx);
void vmx_report_json(struct json *json, uint32_t core, bool vmx);

#endif
