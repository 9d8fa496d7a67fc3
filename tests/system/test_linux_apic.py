"""Linux with its local APIC virtualized by the processor, beside Linux with one in software: the same kernel, fewer exits."""
import re

import pytest

from images import MONITOR
from test_linux import BOOT_TIMEOUT, GUEST_PROMPT, Guest, linux, make_guest_files  # noqa: F401 (a fixture)

APIC_ACCESS, VIRTUALIZED_EOI, EPT_VIOLATION, APIC_WRITE = 44, 45, 48, 56
ARGUMENTS = "console=ttyS0 cryptomgr.notests mitigations=off"


def delivered(shell, name):
    """Delivered exits by basic reason."""
    return {record["reason"]: record["delivered"] for record in shell.json(f"exits {name}")["exits"]}


@pytest.mark.linux
@pytest.mark.timeout(1800)
def test_both_ways(boot, guest_files, record_property):  # noqa: F811
    config = MONITOR + linux("hardware", "0", arguments=f"{ARGUMENTS} polyvisor.apicv=registers") + linux("software", "0")
    shell = boot.grub(config, guest_files, cores=1, mem="768M")
    for name in ("hardware", "software"):
        guest = Guest(shell, name)
        if name == "hardware":
            guest.wait_for_shell()
        else:
            shell.send("\n")
            shell.expect(GUEST_PROMPT, BOOT_TIMEOUT)     # has booted meanwhile, or will soon
        assert guest.run("sleep 1; echo slept")[-1] == "slept"
        assert not [line for line in guest.run("dmesg") if re.search("APIC error|Call Trace|lockup|stall", line)]
        guest.leave()
    hardware, software = delivered(shell, "hardware"), delivered(shell, "software")
    record_property("hardware", hardware)
    record_property("software", software)
    print(f"delivered exits by reason: hardware {hardware}, software {software}")
    assert software.get(APIC_WRITE, 0) == software.get(APIC_ACCESS, 0) == software.get(VIRTUALIZED_EOI, 0) == 0
    assert hardware[APIC_WRITE] > 0
    # Hardly an access needs its instruction emulated: what is left is the I/O APIC's.
    assert (hardware.get(EPT_VIOLATION, 0) + hardware.get(APIC_ACCESS, 0)) * 5 < software[EPT_VIOLATION]
    assert hardware[APIC_WRITE] <= software[EPT_VIOLATION] * 2
    shell.power_off()
