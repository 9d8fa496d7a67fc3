"""Debian's kernel as an ELF file, unmodified, by its PVH entry. By `make linux-test` alone, as in test_linux.py."""
import subprocess

import pytest

from images import MONITOR
from linux_image import extract_vmlinux
from test_linux import BOOT_TIMEOUT, Guest, linux, make_guest_files  # noqa: F401, the fixture


@pytest.mark.linux
@pytest.mark.timeout(1800)
def test_pvh(boot, guest_files, tmp_path):  # noqa: F811
    """To the shell, with its initrd, the command line and the memory map that it was given; and off."""
    vmlinux = tmp_path / "vmlinux"
    vmlinux.write_bytes(extract_vmlinux(guest_files["vmlinuz"].read_bytes()))
    notes = subprocess.run(["readelf", "-nW", vmlinux], capture_output=True, text=True, check=True).stdout
    assert "0x00000012" in notes, notes     # the PVH entry
    config = MONITOR + linux("linux", "0", memory="192M").replace("module kernel vmlinuz", "module kernel vmlinux")
    files = {name: path for name, path in guest_files.items() if name != "vmlinuz"}
    shell = boot.grub(config, {**files, "vmlinux": vmlinux}, cores=1, mem="512M")
    guest = Guest(shell, "linux")
    guest.wait_for_shell()
    # The protocol's own loader id (PVH without Xen), which no bzImage has here.
    assert guest.run("cat /proc/sys/kernel/bootloader_type") == [str(0xb0)]
    assert guest.run("cat /proc/cmdline") == ["console=ttyS0 cryptomgr.notests mitigations=off"]
    said = "\n".join(guest.run("dmesg | head -60"))
    assert "BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable" in said, said
    assert "ACPI: RSDP 0x00000000000E0000" in said, said
    assert not [line for line in guest.run("dmesg") if "Call Trace" in line]
    shell.send("poweroff -f\n")
    shell.expect("the guest switches the machine off", BOOT_TIMEOUT)
    guest.leave()
    assert shell.wait_for_state("linux", "exited")["exit_code"] == 0
    shell.power_off()
