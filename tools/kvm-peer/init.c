// SPDX-License-Identifier: Apache-2.0
// The only program in the Linux that Polyvisor is compared with (docs/experiments.md): loads KVM, measures, prints,
// switches off.
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "measure.h"
#include "vm.h"

/// A switch every 4 ms (CONFIG_HZ=250), of which a tenth hits the guest's bookkeeping: 1,000 are left, and some more.
enum { SAMPLES = 1000, SLICES_MS = 5500 };

/// /modules/0.ko, 1.ko, ... in the order in which they need each other (peer).
static void load_modules(void)
{
    for (unsigned int number = 0;; number++) {
        char path[32];
        snprintf(path, sizeof(path), "/modules/%u.ko", number);
        const int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT)
            return;
        if (fd < 0 || syscall(SYS_finit_module, fd, "", 0) != 0)
            fail(path);
        close(fd);
    }
}

static void set_kernel_parameter(const char *path, const char *value)
{
    FILE *file = fopen(path, "w");
    if (file == NULL || fputs(value, file) == EOF || fclose(file) != 0)
        fail(path);
}

static void prepare(void)
{
    if (mount("dev", "/dev", "devtmpfs", 0, NULL) != 0)
        fail("/dev");
    if (mount("proc", "/proc", "proc", 0, NULL) != 0)
        fail("/proc");
    // For SCHED_RR and SCHED_FIFO: slices as short as a scheduler tick, and no pause of 50 ms in every second.
    set_kernel_parameter("/proc/sys/kernel/sched_rr_timeslice_ms", "4");
    set_kernel_parameter("/proc/sys/kernel/sched_rt_runtime_us", "-1");
    load_modules();
}

static void measure(void)
{
    prepare();
    struct utsname name;
    uname(&name);
    printf("[kvm] bench: linux=%s tsc_khz=%lu\n", name.release, tsc_khz());
    measure_operations(SAMPLES);
    measure_slices("two", 2, SLICES_MS, SCHED_OTHER);
    measure_slices("four", 4, SLICES_MS, SCHED_OTHER);
    measure_slices("rr", 2, SLICES_MS, SCHED_RR);
    printf("[kvm] bench: done\n");
}

int main(void)
{
    // In a child, so that the first process is there to switch off however it ends.
    const pid_t child = fork();
    if (child == 0) {
        measure();
        return 0;
    }
    int status = -1;
    if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0)
        printf("[kvm] bench: failed\n");
    fflush(stdout);
    tcdrain(STDOUT_FILENO);
    reboot(RB_POWER_OFF);
    return 1;
}
