// SPDX-License-Identifier: Apache-2.0
#include "samples.h"

#include "personality.h"

/// Shell sort.
static void sort(uint32_t *values, uint32_t count)
{
    for (uint32_t gap = count / 2; gap > 0; gap /= 2) {
        for (uint32_t i = gap; i < count; i++) {
            const uint32_t value = values[i];
            uint32_t j = i;
            for (; j >= gap && values[j - gap] > value; j -= gap)
                values[j] = values[j - gap];
            values[j] = value;
        }
    }
}

void samples_print(const char *op, uint32_t *samples, uint32_t *empty, uint32_t count)
{
    sort(samples, count);
    sort(empty, count);
    const int64_t nothing = empty[count / 2];
    pv_printf("bench: op=%s samples=%u min=%ld median=%ld p99=%ld max=%ld empty=%ld\n", op, count, samples[0] - nothing,
              samples[count / 2] - nothing, samples[count - 1 - count / 100] - nothing, samples[count - 1] - nothing,
              nothing);
}
