// SPDX-License-Identifier: Apache-2.0
/// The monitor: the personality that owns the serial shell and the debug capability.
#include "personality.h"
#include "shell.h"

PV_PERSONALITY(0);

int main(const struct pv_info *info, uint32_t agent)
{
    // One agent talks to the terminal; the others are there for what later has to happen on a certain core.
    if (agent != 0)
        return 0;
    pv_console_lossless(true);
    shell_run(info);
    return 1; // the console is gone, and with it all that the monitor is for
}
