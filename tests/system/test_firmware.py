"""What the firmware and the boot command line say: cores that are not there, limits, overrides, other files.

Who lists the cores (ACPI, or MP Services where there is no ACPI) is checked in test_boot.py.
"""
import pytest

from images import MONITOR, find_program, personality

HELLO = personality("hello")
PROGRAMS = ("monitor.elf", "hello.elf")
TCG = {"emu": "tcg", "machine": "pc", "cores": 1, "mem": "256M"}        # the fastest machine: here VMX does not matter


def test_core_that_never_answers(boot):
    shell = boot.grub(MONITOR + HELLO, PROGRAMS, "phantom-core=9", emu="bochs", cores=2)
    *present, absent = shell.cores()
    assert [(core["state"], core["vmxon"], core["vmxoff"]) for core in present] == [("vmx", 1, 0)] * 2
    assert (absent["core"], absent["apic"], absent["state"], absent["vmxon"]) == (2, 9, "absent", 0)
    assert "APIC id 9 did not answer" in absent["why"]
    assert "core 2: absent: APIC id 9 did not answer" in shell.boot_text
    assert shell.json("machine")["cores"] == 2
    # `all` means the ones that run.
    hello = shell.wait_for_state("hello", "exited")
    assert (hello["cores"], hello["agents"], hello["exit_code"]) == ([0, 1], 2, 0)
    assert shell.json("msr 1 IA32_APIC_BASE")["core"] == 1
    assert shell.json("msr 2 IA32_APIC_BASE")["error"].startswith("msr: core 2 does not run: APIC id 9 did not answer")
    assert any("2 VMXON, 2 VMXOFF" in line for line in shell.power_off())


def test_listed_twice(boot):
    """A core that the firmware lists twice is one core."""
    shell = boot.grub(cmdline="phantom-core=1", **dict(TCG, cores=2))
    assert [core["apic"] for core in shell.cores()] == [0, 1]


def test_fewer_cores_by_command_line(boot):
    shell = boot.grub(MONITOR + HELLO, PROGRAMS, "cores=2", emu="bochs", cores=4)
    assert [core["state"] for core in shell.cores()] == ["vmx", "vmx"]
    assert "command line: 2 of 4 cores are used" in shell.log()
    assert shell.wait_for_state("hello", "exited")["agents"] == 2


def test_numbers_that_are_none(boot):
    shell = boot.grub(cmdline="cores=two phantom-core=0x9", **TCG)
    assert len(shell.cores()) == 1
    log = shell.log()
    assert "command line: cores=two: expected a number" in log
    assert "command line: phantom-core=0x9: expected a number" in log


def test_overrides(boot):
    shell = boot.grub(MONITOR + HELLO, PROGRAMS, 'quiet monitor.memory=32M hello.args="one two" slice=3ms', **TCG)
    assert shell.personality("monitor")["pool"] == 32 << 20
    machine = shell.json("machine")
    assert not machine["config_broken"]
    assert machine["slice_ticks"] == pytest.approx(machine["tsc_hz"] * 3 / 1000, rel=0.05)
    shell.wait_for_state("hello", "exited")
    assert 'args "one two"' in shell.json("console hello")["text"]


def test_another_configuration(boot):
    other = personality("monitor", memory="24M", debug="yes") + personality("exit42")
    files = {"other.cfg": other, "monitor.elf": find_program("monitor.elf"), "exit42.elf": find_program("exit42.elf")}
    shell = boot.grub(MONITOR, files, "config=other.cfg", **TCG)
    assert shell.json("config") == {"text": other, "errors": []}
    assert shell.personality("monitor")["pool"] == 24 << 20
    assert shell.wait_for_state("exit42", "exited")["exit_code"] == 42


def test_command_line_of_an_efi_program(boot):
    """The firmware's shell starts the loader by name, with words behind it. Files are found beside the loader."""
    files = {"startup.nsh": "fs0:\r\n\\tools\\loader.efi config=other.cfg monitor.memory=20M hello.args=\"a b\"\r\n",
             "tools/other.cfg": MONITOR + HELLO, "tools/hello.elf": find_program("hello.elf"), "monitor.elf": find_program("monitor.elf")}
    image = boot.images.disk("personality broken {", files, loader_path="tools/loader.efi")
    shell = boot(image=image, **TCG)
    assert shell.json("config") == {"text": MONITOR + HELLO, "errors": []}
    assert shell.personality("monitor")["pool"] == 20 << 20
    shell.wait_for_state("hello", "exited")
    assert 'args "a b"' in shell.json("console hello")["text"]
