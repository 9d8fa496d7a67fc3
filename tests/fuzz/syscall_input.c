// SPDX-License-Identifier: Apache-2.0
/// Bytes into things worth trying.
#include "syscall.h"
#include "vmm/personality.h"

uint8_t input_byte(struct input *in)
{
    if (!in->size) {
        return 0;
    }
    in->size--;
    return *in->data++;
}

uint64_t input_bytes(struct input *in, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++) {
        value |= (uint64_t)input_byte(in) << 8 * i;
    }
    return value;
}

uint64_t input_value(struct input *in)
{
    static const uint64_t special[] = {
        0,
        1,
        0x7fff,
        0xffff,
        0x7fffffff,
        0x80000000,
        0xffffffff,
        0x100000000,
        UINT64_C(0x00007fffffffffff),
        UINT64_C(0x0000800000000000),
        UINT64_C(0xffff7fffffffffff),
        UINT64_C(0xffff800000000000),
        UINT64_C(0x000ffffffffff000),
        UINT64_C(0x7fffffffffffffff),
        UINT64_C(0x8000000000000000),
        UINT64_C(0xfffffffffffff000),
        UINT64_MAX,
    };
    enum { SPECIAL = sizeof(special) / sizeof(special[0]) };
    uint8_t kind = input_byte(in);
    if (kind < 0x60) {
        return special[kind % SPECIAL];
    }
    if (kind < 0xa0) {
        return UINT64_C(1) << kind % 64;
    }
    return input_bytes(in, kind < 0xe0 ? 2 : 8);
}

uint64_t input_number(struct input *in, uint64_t limit)
{
    uint8_t byte = input_byte(in);
    if (byte < 0xf0) {
        return byte % 16 < 12 ? byte % 4 % limit : byte % limit;
    }
    return byte < 0xf8 ? limit - 4 + byte % 8 : input_value(in);
}

uint64_t input_pages(struct input *in, uint64_t limit)
{
    uint8_t byte = input_byte(in);
    if (byte < 0x80) {
        return (uint64_t)(byte & 0x1f) * PAGE_SIZE;
    }
    if (byte < 0xc0) {
        return (uint64_t)(byte & 7) * PAGE_SIZE_2M;
    }
    if (byte < 0xf0) {
        return limit + 2 * (uint64_t)PAGE_SIZE - (uint64_t)(byte & 7) * PAGE_SIZE;
    }
    return input_value(in);
}

uint64_t input_pointer(struct input *in, const struct personality *p, uint64_t bytes)
{
    uint8_t kind = input_byte(in);
    switch (kind >> 4) {
    case 0:
        return PV_POOL_VA + p->pool_size - bytes + kind % 16; // ends at the pool's end, or a little behind it
    case 1:
        return PV_INFO_VA + (uint64_t)kind % 16 * 8; // read-only
    case 2:
        return PV_USER_MAP_MIN + kind % 16 * UINT64_C(0x800);
    case 3:
        return USER_TOP - bytes + kind % 16; // in the lower half, or just not
    case 4:
        return input_value(in);
    case 5:
        return 0x401000 + kind % 16; // code
    default:
        return PV_POOL_VA + (uint64_t)(kind % 16) * 0x90; // the first page: good
    }
}
