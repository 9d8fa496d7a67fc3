// SPDX-License-Identifier: Apache-2.0
/// The two 8259A interrupt controllers of a PC: inputs 0 to 15, the second one's output at input 2 of the first.
#ifndef POLYVISOR_DEVICES_PIC_H
#define POLYVISOR_DEVICES_PIC_H

#include "devices/device.h"

enum { PIC_FIRST_PORT = 0x20, PIC_SECOND_PORT = 0xa0, PIC_EDGE_LEVEL_PORT = 0x4d0, PIC_NONE = -1 };

/// One of them.
struct pic_chip {
    uint8_t lines;      ///< levels of the inputs
    uint8_t requests;   ///< IRR, but for what is offered
    uint8_t offered;    ///< inputs whose request the processor may be taking
    uint8_t in_service; ///< ISR
    uint8_t mask;       ///< IMR
    uint8_t level;      ///< inputs that are level-triggered (ELCR)
    uint8_t base;       ///< vector of input 0
    uint8_t lowest;     ///< the input of lowest priority
    uint8_t step;       ///< which initialisation command word comes next; 0: none
    bool wants_icw4, single, auto_eoi, rotate_on_auto_eoi, special_mask, nested_specially, reads_in_service, poll;
};

struct pic {
    struct pic_chip chip[2];
    struct dev_line output; ///< INTR
    bool asserted;
};

void pic_init(struct pic *pic, struct dev_line output);

/// An input changes its level.
void pic_set_line(struct pic *pic, uint32_t input, bool high);

/// What the processor would be told now: an input, or PIC_NONE. Nothing changes.
int pic_next(const struct pic *pic);
/// The vector of an input.
uint8_t pic_vector(const struct pic *pic, uint32_t input);
/// The processor is offered an input that pic_next has named, and may acknowledge it at any time: an edge that comes meanwhile is
/// another request.
void pic_offer(struct pic *pic, uint32_t input);
/// What has become of that: it is in service, or requested as before.
void pic_settle(struct pic *pic, uint32_t input, bool taken);
/// Both at once: the processor has acknowledged an input that pic_next has named.
void pic_accept(struct pic *pic, uint32_t input);

/// Accesses to ports 0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1.
uint8_t pic_read(struct pic *pic, uint16_t port);
void pic_write(struct pic *pic, uint16_t port, uint8_t value);

#endif
