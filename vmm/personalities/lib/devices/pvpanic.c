// SPDX-License-Identifier: Apache-2.0
#include "devices/pvpanic.h"

uint8_t pvpanic_read(void)
{
    return PVPANIC_PANICKED;
}

bool pvpanic_write(uint8_t value)
{
    return (value & PVPANIC_PANICKED) != 0;
}
