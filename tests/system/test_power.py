"""poweroff and reboot. That every start ends with a power-off in order is also seen in test_boot.py."""
import pytest

from images import MONITOR, personality

SPIN = MONITOR + personality("spin")
PROGRAMS = ("monitor.elf", "spin.elf")


def check_stopped(text, count):
    assert f"all cores stopped: {count} VMXON, {count} VMXOFF" in text


@pytest.mark.parametrize("emu, cores", [("bochs", 4), ("tcg", 2)])
def test_poweroff_of_a_busy_machine(boot, emu, cores):
    """Every core runs a program at that moment."""
    shell = boot.grub(SPIN, PROGRAMS, emu=emu, cores=cores, mem="256M")
    text = "\n".join(shell.power_off())
    assert "leaving VMX operation and switching off" in text
    check_stopped(text, cores if emu == "bochs" else 0)
    assert "] power off\n" in text
    assert "cannot be switched off" not in text


def reboot(shell):
    """Reboots; returns what was printed until the next start."""
    shell.send("reboot\r")
    before, _ = shell.expect("] reboot\r\n")
    return before.decode()


@pytest.mark.parametrize("emu, cores", [("bochs", 2), ("tcg", 4)])
def test_reboot(boot, emu, cores):
    """Twice, with every core busy. VMX is entered anew."""
    vmx = emu == "bochs"
    shell = boot.grub(SPIN, PROGRAMS, emu=emu, cores=cores, mem="256M")
    for _ in range(2):
        check_stopped(reboot(shell), cores * vmx)
        shell.wait_for_shell()
        assert [(core["state"], core["vmxon"], core["vmxoff"]) for core in shell.cores()] == \
               [("vmx" if vmx else "no-vmx", int(vmx), 0)] * cores
        assert shell.wait_for_state("spin", "running")["restarts"] == 0
    shell.power_off()


def test_reboot_with_uefi(boot):
    """Not in Bochs, where OVMF does not come up again after any reset: Bochs forgets the address of its ACPI timer but not
    that the timer is on, and OVMF waits for it at a port where nothing is."""
    shell = boot(emu="tcg", boot="efi", cores=1, mem="512M")
    check_stopped(reboot(shell), 0)
    shell.wait_for_shell()
    assert shell.json("machine")["loader"].startswith("EFI loader")
    shell.power_off()


def test_reset_is_a_reset(boot):
    """Seen from outside: QEMU ends at a reset when it is told to."""
    shell = boot.grub(emu="tcg", machine="q35", cores=1, mem="256M", reboot=False)
    shell.send("reboot\r")
    assert any(line.endswith("reboot") for line in shell.expect_end())
    assert shell.machine.wait(60) == 0
