"""Fixtures of the system tests. A test that fails shows the console of its machines, and what their emulators said.

Tests that share a machine are marked with an xdist_group, so that one process runs them all.
"""
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools"))
import emulator  # noqa: E402  (tools/emulator.py)
import images  # noqa: E402
from console import Shell  # noqa: E402

CONSOLE_LINES = 120                     # of a console, in the report of a failure
TICKS = "ticks to prompt"

_machines = []                          # Shell objects that a failing test may be about


class Boots:
    """Starts machines, one at a time, and at the end looks for complaints of the emulators. A new one ends the one before:
    if tests held two places for emulators they could wait for each other for ever."""

    def __init__(self, folder, name):
        self.images = images.Images(folder)
        self._name = name
        self._shells = []
        self.tolerated = None           # pattern of complaints that a test wants to provoke

    def start(self, **options):
        """Starts a machine (emulator.Machine's arguments); does not wait for anything."""
        for shell in self._shells:
            shell.close()
        default = "image" if options.get("boot", "efi") == "efi" else "iso"
        if not options.get("image") and not options.get("iso"):
            options[default] = images.BUILD / f"polyvisor.{'img' if default == 'image' else 'iso'}"
        options.setdefault("name", self._name)
        shell = Shell(emulator.Machine(**options).start())
        self._shells.append(shell)
        _machines.append(shell)
        return shell

    @property
    def last(self):
        """The shell of the newest machine."""
        return self._shells[-1]

    def __call__(self, **options):
        """Starts a machine and waits for its shell."""
        return self.start(**options).wait_for_shell()

    def grub(self, configuration=images.MONITOR, files=("monitor.elf",), cmdline="", **options):
        """The shell of a machine that GRUB starts from an ISO with this configuration and these files."""
        return self(boot="grub", iso=self.images.iso(configuration, files, cmdline), **options)

    def close(self):
        alarms = []
        for shell in self._shells:
            shell.close()
            alarms += [line for line in shell.machine.alarming_lines() if not (self.tolerated and self.tolerated.search(line))]
        assert not alarms, "the emulator complains:\n" + "\n".join(alarms)


def _boots(tmp_path, name):
    boots = Boots(tmp_path, name)
    try:
        yield boots
    finally:
        boots.close()


@pytest.fixture(scope="session")
def corrected_bochs():
    """For tests that meet flaws of Debian's Bochs (docs/building.md)."""
    if not emulator.bochs_is_corrected():
        pytest.skip("Bochs is Debian's own, without the corrections of tools/bochs-corrections")


@pytest.fixture(scope="session", autouse=True)
def build():
    """What the tests boot is as new as the sources."""
    programs = [os.path.relpath(images.BUILD / "tests" / f"{name}.elf", images.ROOT)
                for name in images.test_programs()]
    images.make("all", *programs)


@pytest.fixture
def boot(tmp_path, request):
    """Starts machines for one test."""
    yield from _boots(tmp_path, request.module.__name__.removeprefix("test_"))


@pytest.fixture(scope="class")
def class_boot(tmp_path_factory, request):
    """Starts a machine that the tests of a class share. Not of a module: it would run on, and keep one of the few places
    for emulators, while other tests of the module wait for one."""
    name = request.module.__name__.removeprefix("test_")
    yield from _boots(tmp_path_factory.mktemp(name), name)


# ---- reports ----

@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if not report.failed:
        return
    for shell in _machines:
        machine = shell.machine
        lines = shell.transcript()
        cut = ["..."] if len(lines) > CONSOLE_LINES else []
        report.sections.append((f"console of {machine.name}", "\n".join(cut + lines[-CONSOLE_LINES:])))
        alarms = machine.alarming_lines()
        if alarms:
            report.sections.append((f"emulator of {machine.name}", "\n".join(alarms)))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown():
    """Machines that were stopped are of no interest to the next test."""
    _machines[:] = [shell for shell in _machines if shell.machine.running]


def pytest_terminal_summary(terminalreporter):
    rows = sorted((name.removeprefix(TICKS).strip(), value)
                  for report in terminalreporter.getreports("passed")
                  for name, value in report.user_properties if name.startswith(TICKS))
    if rows:
        terminalreporter.section("ticks from the multiplexer's entry to the prompt")
        for name, value in rows:
            terminalreporter.write_line(f"{name:32} {value:>12,}")
