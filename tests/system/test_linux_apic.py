"""Linux with its local APIC virtualized by the processor, beside Linux with one in software: the same kernel, fewer exits."""
import collections

import pytest

from images import MONITOR
from test_linux import Guest, linux, make_guest_files  # noqa: F401 (a fixture)

APIC_ACCESS, VIRTUALIZED_EOI, EPT_VIOLATION, APIC_WRITE = 44, 45, 48, 56
ARGUMENTS = "console=ttyS0 cryptomgr.notests mitigations=off"


def delivered(shell, name):
    """Delivered exits by basic reason."""
    return {record["reason"]: record["delivered"] for record in shell.json(f"exits {name}")["exits"]}


@pytest.mark.linux
@pytest.mark.timeout(1800)
def test_each_way(boot, guest_files, record_property):  # noqa: F811
    """As much as the processor has, only registers, nothing: three guests share a core."""
    words = {"all": "", "registers": "polyvisor.apicv=registers", "off": "polyvisor.apicv=off"}
    config = MONITOR + "".join(linux(name, "0", arguments=f"{ARGUMENTS} {word}") for name, word in words.items())
    shell = boot.grub(config, guest_files, cores=1, mem="1G")
    for name in words:
        guest = Guest(shell, name)
        guest.synchronise()
        assert guest.run("sleep 1; echo slept")[-1] == "slept"
        guest.check_log()
        guest.leave()
    counts = {name: collections.defaultdict(int, delivered(shell, name)) for name in words}
    for name, reasons in counts.items():
        record_property(name, dict(reasons))
        print(f"delivered exits by reason, {name}: {dict(reasons)}")
    everything, registers, off = counts.values()
    assert off[APIC_WRITE] == off[APIC_ACCESS] == off[VIRTUALIZED_EOI] == 0
    assert registers[APIC_WRITE] > 0
    # Hardly an access needs its instruction emulated: what is left is the I/O APIC's.
    for reasons in (everything, registers):
        assert (reasons[EPT_VIOLATION] + reasons[APIC_ACCESS]) * 3 < off[EPT_VIOLATION]
    assert registers[APIC_WRITE] <= off[EPT_VIOLATION] * 2
    # Ends of interrupts, most of the writes, do not exit either, and no interrupt waits for a window.
    assert everything[APIC_WRITE] * 10 < registers[APIC_WRITE]
    shell.power_off()
