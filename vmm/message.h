// SPDX-License-Identifier: Apache-2.0
/// Work that one core gives another. What a core owns (run queue, agents) only that core touches; the others send
/// messages.
#ifndef POLYVISOR_MESSAGE_H
#define POLYVISOR_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

struct core;

/// Embedded in whatever it is about. At most once in flight.
struct message {
    struct message *next;
    void (*run)(struct message *message); ///< on the target core, in ring 0, interrupts off
    bool queued;
};

/// Sends; runs at once when the target is this core. False: it is in flight already (it will see what the sender did
/// before the call).
bool message_send(struct core *to, struct message *message);
/// Like message_send, but never runs it at once: a message to this core itself comes as a later interrupt.
bool message_post(struct core *to, struct message *message);
/// Runs what has arrived for this core, in order of sending by each sender. For the IPI handler, and for whoever must not depend on
/// interrupts.
void message_receive(void);
/// Whether anything has.
bool message_waits(void);

#endif
