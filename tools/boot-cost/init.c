// SPDX-License-Identifier: Apache-2.0
// The only program of the Linux whose boot is timed (tools/bench-linux): prints what the TSC was when the boot loader entered the
// kernel, and what it is now. The stub in front of the kernel left the former in the boot parameters, which the kernel shows.
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include <x86intrin.h>

enum { STAMP = 0xeec, PARAMETERS = 4096 }; ///< padding at the end of the boot parameters (stub.py)

int main(void)
{
    const uint64_t now = __rdtsc();
    static char parameters[PARAMETERS];
    mkdir("/sys", 0755);
    mount("sysfs", "/sys", "sysfs", 0, NULL);
    const int file = open("/sys/kernel/boot_params/data", O_RDONLY | O_CLOEXEC);
    if (file >= 0 && read(file, parameters, sizeof(parameters)) == (ssize_t)sizeof(parameters)) {
        uint64_t entered;
        memcpy(&entered, parameters + STAMP, sizeof(entered));
        printf("boot-cost: entered=%lu init=%lu\n", entered, now);
    } else {
        printf("boot-cost: failed\n");
    }
    fflush(stdout);
    for (;;)
        pause();
}
