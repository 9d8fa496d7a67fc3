// SPDX-License-Identifier: Apache-2.0
#ifndef POLYVISOR_MONITOR_BANNER_H
#define POLYVISOR_MONITOR_BANNER_H

struct pv_info;

/// What a person should know before the first prompt: what this is, what runs, what is wrong.
void banner_print(const struct pv_info *info);

#endif
