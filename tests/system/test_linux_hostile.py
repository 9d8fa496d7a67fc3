"""Debian's kernel beside hostile guests (test_hostile_guest.py) on the same core. By `make linux-test` alone."""
import re

import pytest

from images import BUILD, MONITOR, find_program, make
from test_hostile_guest import COMMON, block
from test_linux import linux, make_guest_files  # noqa: F401, the fixture
from test_linux_load import check_cores, check_load, start_load, with_disk
from test_linux_load import DISK

WEIGHT = 30                             # of each hostile one; Linux has 100
OPTIONS = {1: "polyvisor.apicv=off", 2: "polyvisor.cpus=2"}


def laps(shell, seed):
    """How often it has come to its end and begun again. What it says is more than is kept: those that are there now."""
    return len(re.findall("scribble: all ports: ", shell.json(f"console seed{seed}")["text"]))


@pytest.mark.linux
@pytest.mark.timeout(2400)
def test_beside_linux(boot, guest_files):  # noqa: F811
    """A mixed load gives the right results, and the kernel has nothing to complain of, while two guests scribble over their devices
    without end, and two more end their machines in all ways."""
    make("test-kernels")
    config = MONITOR + with_disk(linux("linux", "0", arguments="console=ttyS0 cryptomgr.notests mitigations=off polyvisor.cpus=2"))
    config += "".join(block(f"seed{seed}", f"seed={seed} rounds=300 forever=1 what=all {COMMON} {options}", cores="0", memory="16M",
                            weight=WEIGHT, module="kernel scribble.elf; module disk disk.img") for seed, options in OPTIONS.items())
    config += block("any", "seed=5 what=end end=any", cores="0", weight=WEIGHT, on_exit="restart")
    config += block("resets", "what=end end=reset", cores="0", weight=WEIGHT)
    files = {**guest_files, "scribble.elf": BUILD / "kernels/scribble.elf", "disk.img": DISK, "linux.elf": find_program("linux.elf")}
    shell = boot.grub(config, files, cores=1, mem="512M")
    clocks = start_load(shell, "linux", 2)
    before = {core["core"]: core["switches"] for core in shell.cores()}
    exits = {seed: shell.personality(f"seed{seed}")["exits_delivered"] for seed in OPTIONS}
    check_load(shell, "linux", 2, clocks)
    check_cores(shell, before)
    for seed, count in exits.items():
        record = shell.personality(f"seed{seed}")
        assert record["state"] in ("running", "waiting") and record["restarts"] == 0
        assert record["exits_delivered"] > count + 10000 and laps(shell, seed) > 0
    assert "parked" in shell.personality("any")["why"] and shell.personality("resets")["exit_code"] == 0
    record = shell.personality("linux")
    assert (record["state"] in ("running", "waiting")) and record["restarts"] == 0
    shell.power_off()
