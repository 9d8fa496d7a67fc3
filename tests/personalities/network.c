// SPDX-License-Identifier: Apache-2.0
// Sends frames over a virtual switch, good ones and bad ones. What it does, args say:
//   ask N    exchanges frames with the personality N, which answers; then sends bad frames and such that cannot be delivered
//   answer   sends back what it gets, until it gets a frame that says that it is the last
//   deaf     never takes a frame
//   outside  has no port, and is refused
// Exit code 0 when all is as polyvisor/net.h says; lines that begin with "wrong:" say what is not.
#include "personality.h"

PV_PERSONALITY(0);

enum { ADDRESS = PV_NET_ADDRESS_SIZE, TYPE = 2 * ADDRESS, PATIENCE_SECONDS = 20, RETRIES_PER_SECOND = 100 };
enum { EXCHANGED = 500, LOST = 200, TYPE_ASK = 0x88, TYPE_LAST = 0x99 };

static const struct pv_info *self;
static uint8_t frame[PV_NET_FRAME_MAX + 1], answer[PV_NET_FRAME_MAX + 1];
static uint32_t failures;

static void expect(bool good, const char *what, int64_t detail)
{
    failures += !good;
    if (!good)
        pv_printf("wrong: %s (%ld)\n", what, detail);
}

static void expect_result(int64_t result, int64_t expected, const char *what)
{
    expect(result == expected, what, result);
}

static void fill(uint64_t to, uint8_t type, uint32_t number, size_t size)
{
    memcpy(frame, self->net_address, ADDRESS);
    memcpy(frame + ADDRESS, self->net_address, ADDRESS);
    frame[ADDRESS - 1] = (uint8_t)to;
    frame[TYPE] = type;
    for (size_t i = TYPE + 1; i < size; i++)
        frame[i] = (uint8_t)(number * 31 + i);
}

/// The size of the next frame, which is in `answer`; 0 when none comes before the deadline.
static int64_t next(uint64_t deadline)
{
    for (;;) {
        const int64_t size = pv_net_receive(answer, PV_NET_FRAME_MAX);
        if (size != 0)
            return size;
        if (pv_event_wait(PV_EVENT_NET, deadline) < 0)
            return 0;
    }
}

/* ---- refused ---- */

static void outside(void)
{
    expect((self->flags & PV_INFO_NET) == 0, "the flag of who has no port", self->flags);
    expect_result(pv_net_send(frame, 60), PV_ERR_DENIED, "sending without a port");
    expect_result(pv_net_receive(answer, PV_NET_FRAME_MAX), PV_ERR_DENIED, "receiving without a port");
}

static void send_bad(uint64_t peer)
{
    static const uintptr_t unreachable[] = {0, 0xffffffff80000000, 0xffff800000000000, 0x00007fffffffffff, UINTPTR_MAX};
    static const uint64_t sizes[] = {0, 1, PV_NET_FRAME_MIN - 1, PV_NET_FRAME_MAX + 1, 65536, UINT32_MAX, UINT64_MAX};
    fill(peer, TYPE_ASK, 0, 60);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        expect_result(pv_net_send(frame, sizes[i]), PV_ERR_INVALID, "sending a wrong size");
    for (size_t i = 0; i < sizeof(unreachable) / sizeof(unreachable[0]); i++)
        expect_result(pv_net_send((const void *)unreachable[i], 60), PV_ERR_FAULT, "sending what is not the own");
    frame[2 * ADDRESS - 1] = (uint8_t)peer;
    expect_result(pv_net_send(frame, 60), PV_ERR_DENIED, "sending in another one's name");
}

/// A frame waits: a receive that cannot give it away leaves it there.
static void receive_badly(int64_t size)
{
    expect_result(pv_net_receive(answer, (size_t)size - 1), PV_ERR_INVALID, "receiving into too little");
    expect_result(pv_net_receive(answer, 0), PV_ERR_INVALID, "receiving into nothing");
    expect_result(pv_net_receive(NULL, PV_NET_FRAME_MAX), PV_ERR_FAULT, "receiving to NULL");
    expect_result(pv_net_receive((void *)(uintptr_t)self, PV_NET_FRAME_MAX), PV_ERR_FAULT,
                  "receiving to what is read-only");
    expect_result(pv_net_receive((void *)0xffff800000000000, PV_NET_FRAME_MAX), PV_ERR_FAULT,
                  "receiving to the kernel's");
    expect_result(pv_net_receive(answer, (size_t)size), size, "receiving after all that");
}

/* ---- done ---- */

/// Whether the answer is the frame that was sent, with the peer as its sender.
static bool came_back(size_t size, uint64_t peer)
{
    return memcmp(answer, self->net_address, ADDRESS) == 0 && answer[2 * ADDRESS - 1] == peer &&
           memcmp(answer + TYPE, frame + TYPE, size - TYPE) == 0;
}

/// The peer may begin later, and what was sent until then is lost.
static void find(uint64_t peer)
{
    const uint64_t end = pv_tsc() + PATIENCE_SECONDS * self->tsc_hz;
    fill(peer, TYPE_ASK, 0, 60);
    do {
        expect_result(pv_net_send(frame, 60), PV_OK, "sending the first frame");
        pv_event_wait(PV_EVENT_NET, pv_tsc() + self->tsc_hz / RETRIES_PER_SECOND);
    } while (pv_net_receive(answer, 0) == 0 && pv_tsc() < end);
    receive_badly(60);
    while (pv_net_receive(answer, PV_NET_FRAME_MAX) > 0 ||
           pv_event_wait(PV_EVENT_NET, pv_tsc() + self->tsc_hz / 10) > 0)
        continue; // answers to all that was sent
}

static void ask(uint64_t peer)
{
    find(peer);
    for (uint32_t i = 0; i < EXCHANGED && failures == 0; i++) {
        const size_t size = PV_NET_FRAME_MIN + (size_t)i * 7 % (PV_NET_FRAME_MAX - PV_NET_FRAME_MIN + 1);
        fill(peer, TYPE_ASK, i, size);
        expect_result(pv_net_send(frame, size), PV_OK, "sending");
        expect_result(next(pv_tsc() + PATIENCE_SECONDS * self->tsc_hz), (int64_t)size, "the size of an answer");
        expect(came_back(size, peer), "the contents of answer", i);
    }
    send_bad(peer);
    fill(0, TYPE_ASK, 0, PV_NET_FRAME_MAX); // the monitor, which has no port
    for (uint32_t i = 0; i < LOST; i++)
        expect_result(pv_net_send(frame, PV_NET_FRAME_MAX), PV_OK, "sending to nobody");
    frame[ADDRESS - 1] = self->net_address[ADDRESS - 1];
    expect_result(pv_net_send(frame, PV_NET_FRAME_MAX), PV_OK, "sending to itself");
    fill(peer, TYPE_LAST, 0, PV_NET_FRAME_MAX);
    memset(frame, 0xff, ADDRESS);
    for (uint32_t i = 0; i < LOST; i++) // to all: he who answers takes the first, he who is deaf has no room for many
        expect_result(pv_net_send(frame, PV_NET_FRAME_MAX), PV_OK, "sending to all");
    expect_result(pv_net_receive(answer, PV_NET_FRAME_MAX), 0, "receiving what was sent to all");
}

static void answer_all(void)
{
    do {
        const int64_t size = next(pv_tsc() + PATIENCE_SECONDS * self->tsc_hz);
        expect(size >= PV_NET_FRAME_MIN, "the size of a frame", size);
        if (failures != 0 || answer[TYPE] == TYPE_LAST)
            return;
        memcpy(answer, answer + ADDRESS, ADDRESS);
        memcpy(answer + ADDRESS, self->net_address, ADDRESS);
        expect_result(pv_net_send(answer, (size_t)size), PV_OK, "answering");
    } while (failures == 0);
}

int main(const struct pv_info *info, uint32_t agent)
{
    uint64_t peer;
    if (agent != 0)
        return 0;
    self = info;
    if (memcmp(info->args, "ask ", 4) == 0 && pv_parse_number(info->args + 4, &peer))
        ask(peer);
    else if (strcmp(info->args, "answer") == 0)
        answer_all();
    else if (strcmp(info->args, "deaf") == 0)
        pv_event_wait(PV_EVENT_USER, PV_NO_DEADLINE);
    else
        outside();
    return failures != 0;
}
