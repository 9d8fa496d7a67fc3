"""The protocols that kernels are booted by. tests/kernels/boot.asm, which prints what it finds, is booted by each of them; Debian's
vmlinux, taken out of its bzImage, by PVH (test_linux_pvh.py)."""
import re

import pytest

from images import BUILD, MONITOR, find_program, make, personality

MEMORY = "12M"
RAM = 0x800000      # of the guest: 12M less 2M, and whole large pages
FIRST, SECOND = b"first module, 30 bytes, one two", b"<" + b"2" * 5000 + b">"
LOW_END, ACPI = 0x9fc00, 0xe0000
REGIONS = [(0, LOW_END, 1), (LOW_END, 0xa0000, 2), (ACPI, 0x100000, 2), (0x100000, RAM, 1)]
# Name: file, protocol that is forced, what EAX holds, where it stands.
KERNELS = {
    "pvh": ("boot.elf", "", None, 0x100000),
    "elf2": ("boot.elf", "multiboot2", 0x36d76289, 0x100000),
    "elf1": ("boot.elf", "multiboot1", 0x2badb002, 0x100000),
    "flat2": ("boot.bin", "", 0x36d76289, 0x100000),
    "flat1": ("boot.bin", "multiboot1", 0x2badb002, 0x100000),
    "moved": ("moved.elf", "multiboot2", 0x36d76289, 0x380000),
}
# Name: file, forced protocol, what the message says.
REFUSED = {
    "demand": ("demand.elf", "multiboot2", "'kernel': its Multiboot 2 header has a required tag of type 99, which is not known"),
    "packed": ("packed", "", "'kernel': compressed with zstd: unpack it first"),    # GRUB would unpack gzip and xz itself
    "cut": ("cut.elf", "", "'kernel': truncated: 4608 bytes, segment 0 is 0x"),
    "nopvh": ("boot.bin", "pvh", "'kernel': not an ELF file"),
    "empty": ("text.elf", "", "'kernel': 5 bytes without 'HdrS' at 0x202, a PVH note, or a Multiboot header: no kernel"),
    "what": ("boot.elf", "grub", "found 'polyvisor.boot=grub', expected linux, pvh, multiboot2 or multiboot1"),
}


def arguments(name, forced):
    return f"name={name} quiet" + (f" polyvisor.boot={forced}" if forced else "")


def block(name, file, forced):
    return personality(name, "linux.elf", memory=MEMORY, cores="0", args=f'"{arguments(name, forced)}"',
                       module=f"kernel {file}; module one first; module two second")


@pytest.fixture(name="shell", scope="class")
def start(class_boot):
    make("test-kernels")
    whole = (BUILD / "kernels/boot.elf").read_bytes()
    files = {name: BUILD / "kernels" / name for name in ("boot.elf", "boot.bin", "moved.elf", "demand.elf")}
    files |= {"monitor.elf": find_program("monitor.elf"), "linux.elf": find_program("linux.elf"), "first": FIRST,
              "second": SECOND, "packed": b"\x28\xb5\x2f\xfd" + bytes(100), "cut.elf": whole[:4608], "text.elf": b"empty"}
    config = MONITOR + "".join(block(name, *entry[:2]) for name, entry in (KERNELS | REFUSED).items())
    shell = class_boot.grub(config, files, cores=1, mem="512M")
    for name in KERNELS | REFUSED:          # until all are silent: their lines would stand between those that are looked at
        shell.wait_for_state(name, "exited")
    return shell


def fields(line):
    """{name: number} of what a line says after its first two words."""
    return {name: int(value, 16) for name, value in re.findall(r"(\w+) ([0-9a-f]{8})\b", line)}


@pytest.mark.xdist_group("guest_boot")
class TestGuestBoot:
    @pytest.mark.parametrize("name", KERNELS)
    def test_booted(self, shell, name):
        """Each kernel comes to its end, and finds the state and the information that its protocol promises."""
        _, forced, eax, place = KERNELS[name]
        assert shell.wait_for_state(name, "exited")["exit_code"] == 0
        said = shell.run(f"console {name}")
        assert "kernel: end" in said and "unknown" not in said, said
        state = fields(re.search(r"kernel: (bss .*)", said).group(1))
        assert state["bss"] == 0 and state["at"] == place
        assert eax is None or state["eax"] == eax
        assert state["cr0"] & ~0x20 == 0x11 and state["cr4"] == 0   # PE, and ET, which is fixed, as is NE in VMX operation
        assert state["eflags"] & 0x20700 == 0                       # no VM, DF, IF, TF
        assert (state["cs"], state["ss"], state["limit"]) == (0xcf9b, 0xcf93, 0xffffffff)
        regions = [fields(line) for line in re.findall(r"kernel: (region .*)", said)]
        assert [(r["region"], r["region"] + r["size"], r["type"]) for r in regions] == REGIONS, said
        modules = [fields(line) for line in re.findall(r"kernel: (module .*)", said)]
        for module, contents in zip(modules, (FIRST, SECOND), strict=True):
            assert module == {"module": 0, "size": len(contents), "first": contents[0], "last": contents[-1]}
        line = arguments(name, forced)
        if name == "pvh":
            assert "kernel: PVH version 00000001" in said and f"kernel: cmdline {line}\n" in said.replace("\r", "")
        else:
            assert f"kernel: cmdline kernel {line}\n" in said.replace("\r", "") and "kernel: loader Polyvisor" in said
            assert re.findall(r" name (\w+)", said) == ["one", "two"]
            memory = fields(said)
            assert memory["lower"] == LOW_END // 1024 and memory["upper"] == (RAM - 0x100000) // 1024
        assert ("kernel: rsdp RSD PTR" in said) == (not name.endswith("1"))     # Multiboot 1 has no place for it
        assert ("kernel: base 00380000" in said) == (name == "moved")
        if eax == 0x36d76289:
            assert "kernel: rest 00000000" in said, said
        elif eax is not None:
            assert "kernel: Multiboot 1 flags 0000024d" in said, said

    @pytest.mark.parametrize("name", REFUSED)
    def test_refused(self, shell, name):
        """Each broken kernel gets a message that names the module and what is wrong, and ends its personality alone."""
        assert shell.wait_for_state(name, "exited")["exit_code"] == 2
        said = shell.run(f"console {name}")
        assert REFUSED[name][2] in said, said
