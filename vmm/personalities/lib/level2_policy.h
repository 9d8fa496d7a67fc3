// SPDX-License-Identifier: Apache-2.0
/// What level-2 policies share.
#ifndef POLYVISOR_LEVEL2_POLICY_H
#define POLYVISOR_LEVEL2_POLICY_H

#include "level2.h"

/// Puts a vcpu in front of another of the list, or (NULL) at its end.
void l2_list_insert(struct l2_list *list, struct l2_vcpu *before, struct l2_vcpu *vcpu);
void l2_list_remove(struct l2_list *list, struct l2_vcpu *vcpu);

/// The next_event of a policy that never changes its mind by itself.
uint64_t l2_no_event(const struct l2_scheduler *scheduler);

bool l2_quantum_valid(const struct l2_vcpu *vcpu);
/// A vcpu that becomes runnable gets a whole quantum.
void l2_quantum_start(struct l2_vcpu *vcpu);
/// Takes ticks off a vcpu's quantum. True: it is over, and the next one begins with what was overrun or left.
bool l2_quantum_use(struct l2_vcpu *vcpu, uint64_t ticks);

#endif
