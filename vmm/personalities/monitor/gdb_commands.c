// SPDX-License-Identifier: Apache-2.0
/// What packets ask for, and the answers.
#include <polyvisor/string.h>

#include "gdb_packets.h"
#include "gdb_registers.h"

enum { INT3 = 0xcc, MAX_VCPUS_LISTED = 100, ERROR_MEMORY = 14, ERROR_OTHER = 1, NOBODY = UINT32_MAX };

void gdb_init(struct gdb *gdb, const struct gdb_target *target)
{
    memset(gdb, 0, sizeof(*gdb));
    gdb->target = *target;
}

static void answer(struct gdb *gdb, const char *text)
{
    gdb->out_size = 0;
    gdb_put_text(gdb, text);
    gdb_send(gdb);
}

static void answer_error(struct gdb *gdb, uint8_t number)
{
    gdb->out_size = 0;
    gdb_put_char(gdb, 'E');
    gdb_put_bytes(gdb, &number, 1);
    gdb_send(gdb);
}

static void answer_whether(struct gdb *gdb, bool done, uint8_t error)
{
    if (done)
        answer(gdb, "OK");
    else
        answer_error(gdb, error);
}

/* ---- threads ---- */

/// The first vcpu that there is, if the chosen one is gone.
static void settle_vcpu(struct gdb *gdb)
{
    uint32_t list[MAX_VCPUS_LISTED];
    size_t count = gdb->target.vcpus(gdb->target.context, list, MAX_VCPUS_LISTED);
    count = count < MAX_VCPUS_LISTED ? count : MAX_VCPUS_LISTED;
    for (size_t i = 0; i < count; i++)
        if (list[i] == gdb->vcpu)
            return;
    if (count > 0)
        gdb->vcpu = list[0];
}

/// A thread id; -1 and 0 stand for all and any: NOBODY.
static bool take_thread(const char **text, uint32_t *vcpu)
{
    uint64_t id;
    *vcpu = NOBODY;
    if (gdb_take_word(text, "-1"))
        return true;
    if (!gdb_take_number(text, &id) || id > PV_MAX_VCPUS)
        return false;
    *vcpu = id == 0 ? (uint32_t)NOBODY : (uint32_t)id - 1;
    return true;
}

static bool vcpu_exists(struct gdb *gdb, uint32_t vcpu)
{
    uint32_t list[MAX_VCPUS_LISTED];
    const size_t count = gdb->target.vcpus(gdb->target.context, list, MAX_VCPUS_LISTED);
    for (size_t i = 0; i < count && i < MAX_VCPUS_LISTED; i++)
        if (list[i] == vcpu)
            return true;
    return false;
}

static void list_threads(struct gdb *gdb)
{
    uint32_t list[MAX_VCPUS_LISTED];
    const size_t count = gdb->target.vcpus(gdb->target.context, list, MAX_VCPUS_LISTED);
    gdb_put_char(gdb, count > 0 ? 'm' : 'l');
    for (size_t i = 0; i < count && i < MAX_VCPUS_LISTED; i++) {
        if (i > 0)
            gdb_put_char(gdb, ',');
        gdb_put_number(gdb, (uint64_t)list[i] + 1);
    }
    gdb_send(gdb);
}

static void choose_thread(struct gdb *gdb, const char *at)
{
    const char what = *at;
    uint32_t vcpu;
    if (what != '\0')
        at++;
    if (!take_thread(&at, &vcpu) || (vcpu != NOBODY && !vcpu_exists(gdb, vcpu))) {
        answer_error(gdb, ERROR_OTHER);
        return;
    }
    if (what == 'g' && vcpu != NOBODY)
        gdb->vcpu = vcpu;
    if (what == 'c')
        gdb->step_vcpu = vcpu;
    answer(gdb, "OK");
}

/* ---- stops ---- */

static void tell_stop(struct gdb *gdb, const char *signal, const char *why)
{
    gdb->out_size = 0;
    gdb_put_text(gdb, signal);
    gdb_put_text(gdb, "thread:");
    gdb_put_number(gdb, (uint64_t)gdb->vcpu + 1);
    gdb_put_text(gdb, why);
    gdb_put_char(gdb, ';');
    gdb_send(gdb);
}

void gdb_stopped(struct gdb *gdb, uint32_t vcpu, enum pv_stop why)
{
    if (!gdb->running)
        return;
    gdb->running = false;
    if (vcpu != NOBODY)
        gdb->vcpu = vcpu;
    settle_vcpu(gdb);
    tell_stop(gdb, vcpu == NOBODY ? "T02" : "T05", why == PV_STOP_BREAKPOINT ? ";swbreak:" : "");
}

void gdb_gone(struct gdb *gdb)
{
    memset(gdb->breakpoints, 0, sizeof(gdb->breakpoints));
    if (gdb->running)
        answer(gdb, "X09");
    gdb->running = false;
}

void gdb_interrupt(struct gdb *gdb)
{
    if (!gdb->running)
        return;
    gdb->target.interrupt(gdb->target.context);
    gdb_stopped(gdb, NOBODY, PV_STOP_NONE);
}

static void go_on(struct gdb *gdb)
{
    gdb->running = gdb->target.go_on(gdb->target.context);
    if (!gdb->running)
        answer_error(gdb, ERROR_OTHER);
}

static void step(struct gdb *gdb, uint32_t vcpu, bool alone)
{
    gdb->running = gdb->target.step(gdb->target.context, vcpu == NOBODY ? gdb->vcpu : vcpu, alone);
    if (!gdb->running)
        answer_error(gdb, ERROR_OTHER);
}

/// vCont;ACTION[:THREAD]... : one thread that steps, and perhaps others that go on.
static void go_on_by_thread(struct gdb *gdb, const char *at)
{
    bool steps = false, others = false;
    uint32_t stepping = NOBODY;
    while (gdb_take_char(&at, ';')) {
        const char action = *at;
        uint64_t signal;
        uint32_t vcpu = NOBODY;
        if (action == '\0')
            break;
        at++;
        if ((action == 'S' || action == 'C') && !gdb_take_number(&at, &signal))
            break;
        if (gdb_take_char(&at, ':') && !take_thread(&at, &vcpu))
            break;
        if ((action == 's' || action == 'S') && !steps) {
            steps = true;
            stepping = vcpu;
        } else if (action == 'c' || action == 'C') {
            others = true;
        }
    }
    if (*at != '\0' || (!steps && !others))
        answer_error(gdb, ERROR_OTHER);
    else if (steps)
        step(gdb, stepping, !others);
    else
        go_on(gdb);
}

/* ---- registers ---- */

static void read_registers(struct gdb *gdb, const char *at, bool all)
{
    struct pv_guest_registers registers;
    uint64_t number = 0;
    if (!gdb->target.read_registers(gdb->target.context, gdb->vcpu, &registers)) {
        answer_error(gdb, ERROR_OTHER);
        return;
    }
    bool right = all || gdb_take_number(&at, &number);
    do
        right = right && gdb_put_register(gdb, &registers, number);
    while (all && ++number < GDB_REGISTERS);
    if (right)
        gdb_send(gdb);
    else
        answer_error(gdb, ERROR_OTHER);
}

static void write_register(struct gdb *gdb, const char *at)
{
    struct pv_guest_registers registers;
    uint64_t number;
    const bool done = gdb_take_number(&at, &number) && gdb_take_char(&at, '=') &&
                      gdb->target.read_registers(gdb->target.context, gdb->vcpu, &registers) &&
                      gdb_take_register(&at, &registers, number) &&
                      gdb->target.write_registers(gdb->target.context, gdb->vcpu, &registers);
    answer_whether(gdb, done, ERROR_OTHER);
}

/// G: what can be written stands at the beginning.
static void write_registers(struct gdb *gdb, const char *at)
{
    enum { WRITABLE = 18 };
    struct pv_guest_registers registers;
    bool done = gdb->target.read_registers(gdb->target.context, gdb->vcpu, &registers);
    for (uint64_t i = 0; done && i < WRITABLE; i++)
        done = gdb_take_register(&at, &registers, i);
    answer_whether(gdb, done && gdb->target.write_registers(gdb->target.context, gdb->vcpu, &registers), ERROR_OTHER);
}

/* ---- memory ---- */

/// What was there before breakpoints, in bytes that were read.
static void hide_breakpoints(const struct gdb *gdb, uint64_t address, uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < GDB_BREAKPOINTS; i++) {
        const struct gdb_breakpoint *b = &gdb->breakpoints[i];
        if (b->used && b->address - address < size)
            bytes[b->address - address] = b->before;
    }
}

static void read_memory(struct gdb *gdb, const char *at)
{
    uint8_t bytes[GDB_MEMORY_MAX];
    uint64_t address, size;
    if (!gdb_take_number(&at, &address) || !gdb_take_char(&at, ',') || !gdb_take_number(&at, &size)) {
        answer_error(gdb, ERROR_OTHER);
        return;
    }
    size = size < sizeof(bytes) ? size : sizeof(bytes); // less than asked for is allowed
    if (!gdb->target.read_memory(gdb->target.context, gdb->vcpu, address, bytes, size)) {
        answer_error(gdb, ERROR_MEMORY);
        return;
    }
    hide_breakpoints(gdb, address, bytes, size);
    gdb_put_bytes(gdb, bytes, size);
    gdb_send(gdb);
}

/// Bytes under breakpoints are kept for later.
static void write_memory(struct gdb *gdb, const char *at)
{
    uint8_t bytes[GDB_MEMORY_MAX];
    uint64_t address, size;
    if (!gdb_take_number(&at, &address) || !gdb_take_char(&at, ',') || !gdb_take_number(&at, &size) ||
        !gdb_take_char(&at, ':') || size > sizeof(bytes) || !gdb_take_bytes(&at, bytes, size)) {
        answer_error(gdb, ERROR_OTHER);
        return;
    }
    for (size_t i = 0; i < GDB_BREAKPOINTS; i++) {
        struct gdb_breakpoint *b = &gdb->breakpoints[i];
        if (b->used && b->address - address < size) {
            b->before = bytes[b->address - address];
            bytes[b->address - address] = INT3;
        }
    }
    answer_whether(gdb, gdb->target.write_memory(gdb->target.context, gdb->vcpu, address, bytes, size), ERROR_MEMORY);
}

/* ---- breakpoints ---- */

static struct gdb_breakpoint *find_breakpoint(struct gdb *gdb, uint64_t address)
{
    for (size_t i = 0; i < GDB_BREAKPOINTS; i++)
        if (gdb->breakpoints[i].used && gdb->breakpoints[i].address == address)
            return &gdb->breakpoints[i];
    return NULL;
}

bool gdb_has_breakpoint(const struct gdb *gdb, uint64_t address)
{
    for (size_t i = 0; i < GDB_BREAKPOINTS; i++)
        if (gdb->breakpoints[i].used && gdb->breakpoints[i].address == address)
            return true;
    return false;
}

static bool insert_breakpoint(struct gdb *gdb, uint64_t address)
{
    const struct gdb_target *t = &gdb->target;
    const uint8_t int3 = INT3;
    if (find_breakpoint(gdb, address) != NULL)
        return true;
    for (size_t i = 0; i < GDB_BREAKPOINTS; i++) {
        struct gdb_breakpoint *b = &gdb->breakpoints[i];
        if (b->used)
            continue;
        *b = (struct gdb_breakpoint){.vcpu = gdb->vcpu, .address = address};
        b->used = t->read_memory(t->context, gdb->vcpu, address, &b->before, 1) &&
                  t->write_memory(t->context, gdb->vcpu, address, &int3, 1);
        return b->used;
    }
    return false;
}

/// Not when something else stands there: the guest has written its code anew.
static bool remove_breakpoint(struct gdb *gdb, struct gdb_breakpoint *b)
{
    const struct gdb_target *t = &gdb->target;
    uint8_t now;
    if (!t->read_memory(t->context, b->vcpu, b->address, &now, 1))
        return false;
    if (now == INT3 && !t->write_memory(t->context, b->vcpu, b->address, &b->before, 1))
        return false;
    b->used = false;
    return true;
}

void gdb_remove_breakpoints(struct gdb *gdb)
{
    for (size_t i = 0; i < GDB_BREAKPOINTS; i++)
        if (gdb->breakpoints[i].used)
            remove_breakpoint(gdb, &gdb->breakpoints[i]);
}

/// Z0,ADDRESS,KIND and z0: software breakpoints. Other kinds there are none.
static void breakpoint(struct gdb *gdb, const char *at, bool insert)
{
    uint64_t address;
    if (!gdb_take_word(&at, "0,")) {
        answer(gdb, "");
        return;
    }
    if (!gdb_take_number(&at, &address)) {
        answer_error(gdb, ERROR_OTHER);
        return;
    }
    struct gdb_breakpoint *b = find_breakpoint(gdb, address);
    answer_whether(gdb, insert ? insert_breakpoint(gdb, address) : b == NULL || remove_breakpoint(gdb, b),
                   ERROR_MEMORY);
}

/* ---- the rest ---- */

/// OFFSET,LENGTH of a text.
static void answer_part(struct gdb *gdb, const char *at, const char *text)
{
    const size_t size = strlen(text);
    uint64_t offset, length;
    if (!gdb_take_number(&at, &offset) || !gdb_take_char(&at, ',') || !gdb_take_number(&at, &length)) {
        answer_error(gdb, ERROR_OTHER);
        return;
    }
    offset = offset < size ? offset : size;
    length = length < GDB_PACKET - 1 ? length : GDB_PACKET - 1;
    const bool more = size - offset > length;
    gdb_put_char(gdb, more ? 'm' : 'l');
    for (uint64_t i = 0; i < length && offset + i < size; i++)
        gdb_put_char(gdb, text[offset + i]);
    gdb_send(gdb);
}

/// The first packet of a debugger: one that the line's earlier user left without a word is over.
static void begin(struct gdb *gdb)
{
    if (gdb->no_ack) {
        gdb->no_ack = false;
        gdb->target.send(gdb->target.context, "+", 1);
    }
    gdb->step_vcpu = NOBODY;
    settle_vcpu(gdb);
    gdb_put_text(gdb, "PacketSize=");
    gdb_put_number(gdb, GDB_PACKET);
    gdb_put_text(gdb, ";qXfer:features:read+;swbreak+;vContSupported+;QStartNoAckMode+");
    gdb_send(gdb);
}

static void query(struct gdb *gdb, const char *at)
{
    if (gdb_take_word(&at, "Supported")) {
        begin(gdb);
    } else if (gdb_take_word(&at, "Xfer:features:read:target.xml:")) {
        answer_part(gdb, at, gdb_target_xml);
    } else if (gdb_take_word(&at, "fThreadInfo")) {
        list_threads(gdb);
    } else if (gdb_take_word(&at, "sThreadInfo")) {
        answer(gdb, "l");
    } else if (gdb_take_word(&at, "Attached")) {
        answer(gdb, "1");
    } else if (*at == 'C' && at[1] == '\0') {
        gdb_put_text(gdb, "QC");
        gdb_put_number(gdb, (uint64_t)gdb->vcpu + 1);
        gdb_send(gdb);
    } else {
        answer(gdb, "");
    }
}

static void why_stopped(struct gdb *gdb)
{
    gdb->target.interrupt(gdb->target.context);
    gdb->running = false;
    settle_vcpu(gdb);
    tell_stop(gdb, "T05", "");
}

/// Leaves the guest as it would be without a debugger, and running.
static void leave(struct gdb *gdb)
{
    gdb_remove_breakpoints(gdb);
    gdb->running = false;
    gdb->target.detached(gdb->target.context);
}

static void thread_lives(struct gdb *gdb, const char *at)
{
    uint32_t vcpu;
    answer_whether(gdb, take_thread(&at, &vcpu) && vcpu_exists(gdb, vcpu), ERROR_OTHER);
}

static void long_command(struct gdb *gdb, const char *at)
{
    if (gdb_take_word(&at, "Cont?"))
        answer(gdb, "vCont;c;C;s;S");
    else if (gdb_take_word(&at, "Cont"))
        go_on_by_thread(gdb, at);
    else
        answer(gdb, "");
}

static void set(struct gdb *gdb, const char *at)
{
    const bool no_ack = gdb_take_word(&at, "StartNoAckMode");
    answer(gdb, no_ack ? "OK" : "");
    gdb->no_ack |= no_ack;
}

void gdb_command(struct gdb *gdb, const char *packet)
{
    const char *at = packet + 1;
    switch (packet[0]) {
    case 'q':
        query(gdb, at);
        break;
    case 'Q':
        set(gdb, at);
        break;
    case 'v':
        long_command(gdb, at);
        break;
    case '?':
        why_stopped(gdb);
        break;
    case 'g':
        read_registers(gdb, at, true);
        break;
    case 'p':
        read_registers(gdb, at, false);
        break;
    case 'G':
        write_registers(gdb, at);
        break;
    case 'P':
        write_register(gdb, at);
        break;
    case 'm':
        read_memory(gdb, at);
        break;
    case 'M':
        write_memory(gdb, at);
        break;
    case 'Z':
    case 'z':
        breakpoint(gdb, at, packet[0] == 'Z');
        break;
    case 'H':
        choose_thread(gdb, at);
        break;
    case 'T':
        thread_lives(gdb, at);
        break;
    case 'c':
    case 'C':
        go_on(gdb);
        break;
    case 's':
    case 'S':
        step(gdb, gdb->step_vcpu, false);
        break;
    case 'D':
        leave(gdb);
        answer(gdb, "OK");
        break;
    case 'k':
        leave(gdb);
        break;
    default:
        answer(gdb, "");
        break;
    }
}
