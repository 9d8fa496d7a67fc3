"""The baseline: VMX operation is left and entered again on a core that is out of service, and nobody comes to harm."""
import re

import pytest

import images
import script  # tools/script.py
from conftest import Boots

bench = script.load("bench")

pytestmark = pytest.mark.xdist_group("bench")

SAMPLES = 100
REPORT = re.compile(r"\[(zero|one)\] rounds=(\d+) errors=(\d+) vcpus=(\d+)")
IN_SERVICE = re.compile(r"core 0: was out of service for the baseline \((\d+) VMCSs cleared\), left VMX operation (\d+) times; "
                        r"back in service")


def configuration(debug, arguments, others=""):
    return f'slice 800us\n{images.personality("bench", memory="4M", cores="0", debug=debug, args=arguments)}{others}'


def run(boot, config, files=("bench.elf",), **options):
    """All that a machine without a shell has shown when it has switched itself off."""
    shell = boot.start(boot="grub", iso=boot.images.iso(config, files), **options)
    shell.expect_end()
    return shell.transcript()


def test_needs_more_than_the_debug_capability(boot):
    lines = run(boot, configuration("yes", '"baseline"'), cores=1)
    assert "bench: error: baseline: PV_ERR_DENIED" in lines
    assert any(line.endswith("all cores stopped: 1 VMXON, 1 VMXOFF") for line in lines)


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    """A machine where self-checking guests run on both cores, another personality's on each; the baseline is measured on core 0. Other
    operations follow it, so that the guests go on for some time."""
    boots = Boots(tmp_path_factory.mktemp("baseline"), "baseline")
    others = "".join(images.personality(name, "tiny.elf", memory="16M", cores=core, args='"report=20ms"')
                     for name, core in (("zero", "0"), ("one", "1")))
    arguments = f'"samples={SAMPLES} gap=5000 baseline null cpuid exit vcpu"'
    try:
        return run(boots, configuration("baseline", arguments, others), ("bench.elf", "tiny.elf"), cores=2)
    finally:
        boots.close()                   # not to keep one of the few places for emulators


def test_both_ways_were_measured(lines):
    text = "\n".join(lines)
    results = {result.op: result for result in bench.operations(text)}
    assert results["stay"].samples == results["leave"].samples == SAMPLES
    assert 0 < results["stay"].median < results["leave"].median
    assert results["off-on"].median >= 5            # VMXOFF, three accesses to CR4, VMXON
    assert bench.baseline_runs(text)["stay"][1] == 0
    assert bench.baseline_runs(text)["leave"][1] == bench.baseline_runs(text)["leave"][0] + results["off-on"].samples


def test_every_vmxoff_is_counted(lines):
    vmxon, vmxoff = bench.check_counts("\n".join(lines))
    assert vmxon == vmxoff + 1 > SAMPLES
    # Core 1 has none until power-off, when both have one more.
    assert any(line.endswith(f"all cores stopped: {vmxon + 1} VMXON, {vmxoff + 2} VMXOFF") for line in lines)


def test_others_vmcss_were_cleared_first(lines):
    stay, leave = filter(None, map(IN_SERVICE.search, lines))
    # Those of three guests of tiny's on core 0, when they have run since; the two that are measured.
    assert int(stay[1]) >= 2 + 3 and int(leave[1]) >= 3
    assert int(stay[2]) == 0 < int(leave[2])


def test_guests_on_all_cores_went_on(lines):
    reports = {"zero": [], "one": []}
    for match in filter(None, map(REPORT.search, lines)):
        reports[match[1]].append(tuple(map(int, match.groups()[1:])))
    assert all(report[1:] == (0, 3) for of_one in reports.values() for report in of_one)    # no errors, all vcpus
    assert reports["zero"][-1][0] > reports["zero"][0][0] > 0       # before and afterwards
    assert reports["one"][-1][0] > 1.3 * reports["zero"][-1][0]     # meanwhile, too
