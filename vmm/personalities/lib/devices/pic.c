// SPDX-License-Identifier: Apache-2.0
// Source: Intel, 8259A data sheet (order 231468); the edge/level registers: Intel, 82371AB (PIIX4) data sheet, 4.2.4.
#include "devices/pic.h"

enum { FIRST, SECOND, CASCADE = 2, INPUTS = 8 };
enum { ICW1 = 0x10, ICW1_ICW4 = 1, ICW1_SINGLE = 2, ICW4_AUTO_EOI = 2, ICW4_NESTED = 16 };
enum { OCW3 = 8, OCW3_READ = 2, OCW3_READ_ISR = 1, OCW3_POLL = 4, OCW3_MASK = 0x40, OCW3_SPECIAL = 0x20 };
enum { STEP_NONE = 0, STEP_ICW2 = 2, STEP_ICW3 = 3, STEP_ICW4 = 4, POLL_PENDING = 0x80 };
/// Inputs that cannot be made level-triggered: timer, keyboard, cascade; clock and coprocessor.
enum { FIXED_EDGE_FIRST = 0x07, FIXED_EDGE_SECOND = 0x21 };

/// The input of the highest priority among some, or PIC_NONE.
static int highest(const struct pic_chip *chip, uint8_t inputs)
{
    for (int i = 1; i <= INPUTS; i++) {
        const int input = (chip->lowest + i) % INPUTS;
        if ((inputs >> input & 1) != 0)
            return input;
    }
    return PIC_NONE;
}

/// Place in the present order of priorities: 0 is the highest.
static int rank(const struct pic_chip *chip, int input)
{
    return (input - chip->lowest - 1 + INPUTS) % INPUTS;
}

/// The input whose request a chip passes on, or PIC_NONE.
static int request_of(const struct pic_chip *chip, bool is_first)
{
    const int wanted = highest(chip, chip->requests & (uint8_t)~chip->mask);
    uint8_t busy = chip->in_service;
    if (wanted == PIC_NONE)
        return PIC_NONE;
    if (chip->special_mask)
        busy &= (uint8_t)~chip->mask;
    if (chip->nested_specially && is_first && wanted == CASCADE)
        busy &= (uint8_t)~(1u << CASCADE); // a higher one of the second chip may interrupt a lower one of it
    const int serving = highest(chip, busy);
    if (serving == PIC_NONE || (chip->special_mask && serving != wanted))
        return wanted;
    return rank(chip, wanted) < rank(chip, serving) ? wanted : PIC_NONE;
}

static void set_chip_line(struct pic_chip *chip, uint32_t input, bool high)
{
    const uint8_t bit = (uint8_t)(1u << input);
    const bool was_high = (chip->lines & bit) != 0;
    chip->lines = high ? chip->lines | bit : chip->lines & (uint8_t)~bit;
    chip->offered &= high ? UINT8_MAX : (uint8_t)~bit;
    if ((chip->level & bit) != 0)
        chip->requests = high ? chip->requests | bit : chip->requests & (uint8_t)~bit;
    else if (high && !was_high)
        chip->requests |= bit;
    else if (!high)
        chip->requests &= (uint8_t)~bit; // a request that is not held until it is acknowledged is lost
}

static void update(struct pic *pic)
{
    set_chip_line(&pic->chip[FIRST], CASCADE, request_of(&pic->chip[SECOND], false) != PIC_NONE);
    const bool wanted = request_of(&pic->chip[FIRST], true) != PIC_NONE;
    if (wanted != pic->asserted) {
        pic->asserted = wanted;
        dev_line_set(&pic->output, wanted);
    }
}

void pic_init(struct pic *pic, struct dev_line output)
{
    *pic = (struct pic){.output = output};
    for (uint32_t i = 0; i < 2; i++) {
        pic->chip[i].lowest = INPUTS - 1;
        pic->chip[i].mask = 0xff; // the hardware's is undefined: silent until it is set up
    }
}

void pic_set_line(struct pic *pic, uint32_t input, bool high)
{
    if (input >= 2 * INPUTS || input == CASCADE)
        return;
    set_chip_line(&pic->chip[input / INPUTS], input % INPUTS, high);
    update(pic);
}

int pic_next(const struct pic *pic)
{
    const int first = request_of(&pic->chip[FIRST], true);
    if (first != CASCADE)
        return first;
    const int second = request_of(&pic->chip[SECOND], false);
    return second == PIC_NONE ? PIC_NONE : INPUTS + second;
}

uint8_t pic_vector(const struct pic *pic, uint32_t input)
{
    return pic->chip[input / INPUTS].base | (uint8_t)(input % INPUTS);
}

static void offer_chip(struct pic_chip *chip, uint32_t input)
{
    const uint8_t bit = (uint8_t)(1u << input);
    chip->requests &= (uint8_t)~bit;
    chip->offered |= bit;
}

static void serve(struct pic_chip *chip, uint32_t input)
{
    if (!chip->auto_eoi)
        chip->in_service |= (uint8_t)(1u << input);
    else if (chip->rotate_on_auto_eoi)
        chip->lowest = (uint8_t)input;
}

/// A level asks as long as it is there; an edge that was not taken is kept if the line has been high ever since.
static void settle_chip(struct pic_chip *chip, uint32_t input, bool taken)
{
    const uint8_t bit = (uint8_t)(1u << input);
    const uint8_t asking = (chip->level & bit) != 0 ? chip->lines : taken ? 0 : chip->offered;
    chip->requests |= asking & bit;
    chip->offered &= (uint8_t)~bit;
    if (taken)
        serve(chip, input);
}

void pic_offer(struct pic *pic, uint32_t input)
{
    offer_chip(&pic->chip[input / INPUTS], input % INPUTS);
    update(pic);
}

void pic_settle(struct pic *pic, uint32_t input, bool taken)
{
    settle_chip(&pic->chip[input / INPUTS], input % INPUTS, taken);
    if (input >= INPUTS && taken) {
        set_chip_line(&pic->chip[FIRST], CASCADE, false); // should the second one still ask, that is a new edge
        serve(&pic->chip[FIRST], CASCADE);
    }
    update(pic);
}

void pic_accept(struct pic *pic, uint32_t input)
{
    pic_offer(pic, input);
    pic_settle(pic, input, true);
}

/* ---- commands ---- */

static void start_initialisation(struct pic_chip *chip, uint8_t value)
{
    const uint8_t level = chip->level, lines = chip->lines;
    *chip = (struct pic_chip){.level = level, .lines = lines, .requests = lines & level, .lowest = INPUTS - 1};
    chip->wants_icw4 = (value & ICW1_ICW4) != 0;
    chip->single = (value & ICW1_SINGLE) != 0;
    chip->step = STEP_ICW2;
}

/// ICW2 to ICW4. ICW3 says how the chips are wired, which is known.
static void initialise(struct pic_chip *chip, uint8_t value)
{
    switch (chip->step) {
    case STEP_ICW2:
        chip->base = value & 0xf8;
        chip->step = !chip->single ? STEP_ICW3 : chip->wants_icw4 ? STEP_ICW4 : STEP_NONE;
        break;
    case STEP_ICW3:
        chip->step = chip->wants_icw4 ? STEP_ICW4 : STEP_NONE;
        break;
    default:
        chip->auto_eoi = (value & ICW4_AUTO_EOI) != 0;
        chip->nested_specially = (value & ICW4_NESTED) != 0;
        chip->step = STEP_NONE;
        break;
    }
}

/// OCW2: ends of interrupts and rotation of priorities.
static void end_or_rotate(struct pic_chip *chip, uint8_t value)
{
    enum { ROTATE_AUTO_OFF, EOI, NOTHING, EOI_OF, ROTATE_AUTO_ON, EOI_ROTATE, SET_LOWEST, EOI_OF_ROTATE };
    const uint8_t command = value >> 5, named = value & 7;
    uint8_t ending = chip->in_service;
    if (chip->special_mask)
        ending &= (uint8_t)~chip->mask;
    switch (command) {
    case ROTATE_AUTO_OFF:
    case ROTATE_AUTO_ON:
        chip->rotate_on_auto_eoi = command == ROTATE_AUTO_ON;
        break;
    case EOI:
    case EOI_ROTATE: {
        const int input = highest(chip, ending);
        if (input == PIC_NONE)
            break;
        chip->in_service &= (uint8_t)~(1u << input);
        if (command == EOI_ROTATE)
            chip->lowest = (uint8_t)input;
        break;
    }
    case EOI_OF:
    case EOI_OF_ROTATE:
        chip->in_service &= (uint8_t)~(1u << named);
        if (command == EOI_OF_ROTATE)
            chip->lowest = named;
        break;
    case SET_LOWEST:
        chip->lowest = named;
        break;
    default:
        break;
    }
}

static void write_command(struct pic_chip *chip, uint8_t value)
{
    if ((value & ICW1) != 0) {
        start_initialisation(chip, value);
    } else if ((value & OCW3) != 0) {
        chip->poll = (value & OCW3_POLL) != 0;
        if ((value & OCW3_READ) != 0)
            chip->reads_in_service = (value & OCW3_READ_ISR) != 0;
        if ((value & OCW3_MASK) != 0)
            chip->special_mask = (value & OCW3_SPECIAL) != 0;
    } else {
        end_or_rotate(chip, value);
    }
}

void pic_write(struct pic *pic, uint16_t port, uint8_t value)
{
    if ((port & 0xfffe) == PIC_EDGE_LEVEL_PORT) {
        const bool second = (port & 1) != 0;
        pic->chip[second].level = value & (uint8_t)~(second ? FIXED_EDGE_SECOND : FIXED_EDGE_FIRST);
    } else {
        struct pic_chip *chip = &pic->chip[(port & 0x80) != 0 ? SECOND : FIRST];
        if ((port & 1) == 0)
            write_command(chip, value);
        else if (chip->step != STEP_NONE)
            initialise(chip, value);
        else
            chip->mask = value;
    }
    update(pic);
}

/// The poll command makes the next read an acknowledge.
static uint8_t poll(struct pic *pic, struct pic_chip *chip)
{
    const int input = request_of(chip, chip == &pic->chip[FIRST]);
    chip->poll = false;
    if (input == PIC_NONE)
        return 0;
    offer_chip(chip, (uint32_t)input);
    settle_chip(chip, (uint32_t)input, true);
    update(pic);
    return (uint8_t)(POLL_PENDING | input);
}

uint8_t pic_read(struct pic *pic, uint16_t port)
{
    if ((port & 0xfffe) == PIC_EDGE_LEVEL_PORT)
        return pic->chip[port & 1].level;
    struct pic_chip *chip = &pic->chip[(port & 0x80) != 0 ? SECOND : FIRST];
    if (chip->poll)
        return poll(pic, chip);
    if ((port & 1) != 0)
        return chip->mask;
    return chip->reads_in_service ? chip->in_service : chip->requests | chip->offered;
}
