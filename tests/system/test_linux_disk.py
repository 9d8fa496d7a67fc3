"""The virtio disk of the linux personality, seen by Debian's kernel. By `make linux-test` alone, as in test_linux.py."""
import hashlib
import os
import random
import subprocess

import pytest

from images import MONITOR
from test_linux import BOOT_TIMEOUT, GUEST_PROMPT, Guest, linux, make_guest_files  # noqa: F401, the fixture

ARGUMENTS = "console=ttyS0 cryptomgr.notests mitigations=off"
OVERLAY_BLOCKS = 16


@pytest.fixture(name="disk")
def make_disk(tmp_path):
    """A file system with a file of random bytes; its own contents, and the digest of the file's."""
    data = random.Random(1).randbytes(700001)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_bytes(data)
    image = tmp_path / "disk.img"
    path = os.environ["PATH"] + ":/sbin:/usr/sbin"
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext2", "-d", tmp_path / "tree", image, "2M"], check=True,
                   env={**os.environ, "PATH": path})
    return image, hashlib.md5(data).hexdigest()


def add_disk(text):
    """Gives the personality that linux() describes a disk."""
    return text.replace(" }", "; module disk disk.img }")


@pytest.mark.linux
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("interrupts", ["", " pci=nomsi"])
def test_disk(boot, guest_files, disk, interrupts):  # noqa: F811
    """Read, mounted, written, over-filled; with message-signalled and with pin interrupts."""
    image, digest = disk
    arguments = f"{ARGUMENTS}{interrupts} polyvisor.overlay={4 * OVERLAY_BLOCKS}K"
    config = MONITOR + add_disk(linux("linux", "0", arguments=arguments))
    shell = boot.grub(config, {**guest_files, "disk.img": image}, cores=1, mem="512M")
    guest = Guest(shell, "linux")
    guest.wait_for_shell()
    guest.run("dmesg -n 1")  # messages of the kernel would stand between lines of output
    assert guest.run("cat /sys/block/vda/size") == [str(image.stat().st_size // 512)]
    whole = hashlib.md5(image.read_bytes()).hexdigest()
    assert guest.run("md5sum /dev/vda")[0].split()[0] == whole
    guest.run("mkdir /m")
    assert not guest.run("mount -o ro -t ext2 /dev/vda /m 2>&1")
    assert guest.run("md5sum /m/file")[0].split()[0] == digest
    guest.run("umount /m")
    listed = "\n".join(guest.run("grep virtio /proc/interrupts"))
    assert ("PCI-MSI" in listed and "virtio0-req.0" in listed) if not interrupts else "IO-APIC  17-fasteoi" in listed, listed
    # As many blocks as the overlay has; then one more, which fails; those that are there can be written again.
    write = "yes | dd of=/dev/vda bs=4k conv=fsync iflag=fullblock oflag=direct"
    assert guest.run(f"{write} seek=300 count={OVERLAY_BLOCKS} 2>/dev/null && echo well")[-1] == "well"
    shell.send(f"{write} seek=10 count=1 2>/dev/null || echo failed\n")
    shell.expect("linux: virtio-blk: the overlay is full (64 of 64 KiB)", BOOT_TIMEOUT)
    shell.expect("failed", BOOT_TIMEOUT)
    shell.expect(GUEST_PROMPT, BOOT_TIMEOUT)
    assert guest.run(f"{write} seek=300 count=1 2>/dev/null && echo well")[-1] == "well"
    expected = bytearray(image.read_bytes())
    expected[300 * 4096:(300 + OVERLAY_BLOCKS) * 4096] = b"y\n" * (2048 * OVERLAY_BLOCKS)
    guest.run("echo 3 > /proc/sys/vm/drop_caches")
    assert guest.run("md5sum /dev/vda")[0].split()[0] == hashlib.md5(expected).hexdigest()
    shell.send("poweroff -f\n")
    shell.expect("the guest switches the machine off", BOOT_TIMEOUT)
    guest.leave()
    assert shell.wait_for_state("linux", "exited")["exit_code"] == 0
    shell.power_off()
