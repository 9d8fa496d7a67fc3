"""The baseline: VMX operation is left and entered again on a core that is out of service, and nobody comes to harm."""
import re

import pytest

import images
import script  # tools/script.py

bench = script.load("bench")

pytestmark = pytest.mark.xdist_group("bench")

SAMPLES = 100
REPORT = re.compile(r"\[tiny\] rounds=(\d+) errors=(\d+) vcpus=(\d+)")
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
def lines(tmp_path_factory, request):
    """A machine where self-checking guests run on both cores; the baseline is measured on core 0. Other operations follow it, so that
    the guests go on for some time."""
    # pylint: disable=import-outside-toplevel
    from conftest import Boots
    boots = Boots(tmp_path_factory.mktemp("baseline"), "baseline")
    tiny = images.personality("tiny", memory="24M", cores="0-1", args='"report=20ms"')
    try:
        yield run(boots, configuration("baseline", f'"samples={SAMPLES} gap=5000 baseline null cpuid exit vcpu"', tiny),
                  ("bench.elf", "tiny.elf"), cores=2)
    finally:
        boots.close()


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
    reports = [(number, *map(int, match.groups())) for number, match in enumerate(map(REPORT.search, lines)) if match]
    end = max(number for number, line in enumerate(lines) if IN_SERVICE.search(line))
    before = [report for report in reports if report[0] < end]
    after = [report for report in reports if report[0] > end]
    assert len(before) >= 2 and len(after) >= 2
    assert all(report[2] == 0 and report[3] == 6 for report in reports)     # no errors, all vcpus
    assert before[-1][1] > before[0][1]             # on core 1, while core 0 was out of service
    assert after[-1][1] > before[-1][1]
