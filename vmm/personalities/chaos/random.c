// SPDX-License-Identifier: Apache-2.0
#include "random.h"

#include "vcpu.h"

uint64_t random_nasty(struct random *random)
{
    static uint8_t own_data[PV_PAGE_SIZE];
    const uint64_t fixed[] = {
        0,
        1,
        PV_PAGE_SIZE - 1,
        PV_PAGE_SIZE,
        PV_LARGE_PAGE_SIZE,
        INT32_MAX,
        UINT32_MAX,
        UINT64_C(1) << 32,
        INT64_MAX,
        UINT64_C(1) << 63,
        UINT64_MAX,
        0 - (uint64_t)PV_PAGE_SIZE,
        UINT64_C(0x00007fffffffffff), // the last canonical address of the lower half
        UINT64_C(0x0000800000000000),
        UINT64_C(0xffff800000000000), // kernel addresses
        UINT64_C(0xffffffff80000000),
        UINT64_C(0xffffffff80100008),
        PV_IMAGE_MIN,
        PV_INFO_VA,
        PV_INFO_VA + PV_PAGE_SIZE - 4,
        PV_POOL_VA,
        PV_POOL_VA + 3,
        PV_USER_MAP_MIN,
        PV_USER_MAP_MAX - PV_PAGE_SIZE,
        PV_STACKS_VA + PV_STACK_STRIDE - PV_STACK_SIZE - 8, // across the guard page
        (uintptr_t)own_data,
        (uintptr_t)own_data + 1,
    };
    switch (random_below(random, 5)) {
    case 0:
        return random_below(random, 16);
    case 1:
        return UINT64_C(1) << random_below(random, 64);
    case 2:
        return random_next(random);
    case 3:
        return fixed[random_below(random, sizeof(fixed) / sizeof(fixed[0]))] + random_below(random, 3) - 1;
    default:
        return fixed[random_below(random, sizeof(fixed) / sizeof(fixed[0]))];
    }
}
