// SPDX-License-Identifier: Apache-2.0
#include "vmm/message.h"

#include <stddef.h>

#include "arch/x86/apic.h"
#include "arch/x86/core.h"
#include "arch/x86/registers.h"
#include "vmm/trace.h"

/// A core's mailbox: pushed by any core, emptied by its owner.
static struct mailbox {
    struct message *head;
} __attribute__((aligned(64))) mailboxes[PV_MAX_CORES];

bool message_send(struct core *to, struct message *message)
{
    if (to == core_self()) {
        message->run(message);
        return true;
    }
    return message_post(to, message);
}

bool message_post(struct core *to, struct message *message)
{
    if (__atomic_exchange_n(&message->queued, true, __ATOMIC_ACQ_REL)) {
        return false;
    }
    struct mailbox *box = &mailboxes[to->id];
    struct message *head = __atomic_load_n(&box->head, __ATOMIC_RELAXED);
    do {
        message->next = head;
    } while (!__atomic_compare_exchange_n(&box->head, &head, message, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
    if (!head) { // otherwise somebody's interrupt is on its way
        trace_event(core_self(), PV_TRACE_IPI, PV_TRACE_NOBODY, VECTOR_MESSAGE, to->id);
        apic_send_ipi(to->apic_id, VECTOR_MESSAGE);
    }
    return true;
}

bool message_waits(void)
{
    return __atomic_load_n(&mailboxes[core_self()->id].head, __ATOMIC_RELAXED);
}

void message_receive(void)
{
    struct message *list = __atomic_exchange_n(&mailboxes[core_self()->id].head, NULL, __ATOMIC_ACQUIRE);
    struct message *in_order = NULL;
    while (list) { // newest first: turn round
        struct message *next = list->next;
        list->next = in_order;
        in_order = list;
        list = next;
    }
    while (in_order) {
        struct message *m = in_order;
        in_order = m->next;
        // An exchange, as it is a full barrier: whoever finds the message queued and leaves it at that has done before what
        // it is about, and run() below must see it. A plain store could still wait in this core's store buffer while run() reads.
        (void)__atomic_exchange_n(&m->queued, false, __ATOMIC_SEQ_CST);
        m->run(m);
    }
}
