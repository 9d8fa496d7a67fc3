"""From firmware to the shell: every core in VMX operation, or the reason why not."""
import pytest

from conftest import TICKS
from images import BUILD

MIB = 1 << 20
USED = ("free", "pool", "quota", "multiplexer", "module")


def check_vmx(shell, count):
    """Every core is there and executed VMXON once, VMXOFF never."""
    cores = shell.cores()
    assert [core["core"] for core in cores] == list(range(count))
    assert len({core["apic"] for core in cores}) == count
    assert [core["bsp"] for core in cores] == [True] + [False] * (count - 1)
    assert [(core["state"], core["vmxon"], core["vmxoff"], core["why"]) for core in cores] == [("vmx", 1, 0, "")] * count


def check_no_vmx(shell, count):
    """Every core runs without VMX and says why."""
    cores = shell.cores()
    assert len(cores) == count
    for core in cores:
        assert (core["state"], core["vmxon"], core["vmxoff"]) == ("no-vmx", 0, 0)
        assert "VMX" in core["why"] and "CPUID" in core["why"]
    assert "no VMX: the processor has no VMX" in shell.boot_text


def check_memory(shell, mib):
    """The memory map accounts for the machine's memory, and what personalities have not got is mostly free."""
    totals = shell.json("mem")["totals"]
    assert 0.9 * mib * MIB < sum(totals[kind] for kind in USED) <= mib * MIB
    assert totals["pool"] == sum(record["pool"] for record in shell.personalities().values()) >= 16 * MIB
    assert totals["free"] + totals["pool"] > 0.6 * mib * MIB


def check_source(shell, source):
    """Who listed the cores."""
    log = shell.log()
    assert any(line.endswith(f"listed by {source}") for line in log)
    assert ("there are no ACPI tables" in log) == (source != "ACPI")


def check_end(shell, vmx_cores):
    """Power-off leaves VMX operation on every core, once."""
    assert any(line.endswith(f"all cores stopped: {vmx_cores} VMXON, {vmx_cores} VMXOFF") for line in shell.power_off())


def quieten(shell):
    """Nobody but the monitor has anything to do any more: what follows takes less time."""
    for name, record in shell.personalities().items():
        if record["vcpus"]:
            assert shell.run(f"pause {name}") == f"{name}: paused"


def record_ticks(record_property, name, shell):
    record_property(f"{TICKS} {name}", shell.json("machine")["prompt_ticks"])


@pytest.mark.parametrize("cores", [8, 4, 2, 1])
@pytest.mark.parametrize("path", ["efi", "grub"])
def test_bochs(boot, record_property, path, cores):
    """OVMF in Bochs has MP Services and no ACPI tables, Bochs' BIOS has ACPI tables and nothing else."""
    shell = boot(emu="bochs", boot=path, cores=cores)
    record_ticks(record_property, f"bochs {path} {cores} cores", shell)
    quieten(shell)
    check_vmx(shell, cores)
    check_memory(shell, 1024)
    check_source(shell, "EFI MP Services" if path == "efi" else "ACPI")
    machine = shell.json("machine")
    assert machine["loader"].startswith("EFI loader" if path == "efi" else "GRUB")
    assert (machine["cores"], machine["config_broken"], machine["debug_build"]) == (cores, False, False)
    monitor = shell.personality("monitor")
    assert (monitor["agents"], monitor["debug"], monitor["why"], monitor["restarts"]) == (cores, True, "", 0)
    assert monitor["cores"] == list(range(cores))
    check_end(shell, cores)


def test_bochs_with_an_older_processor(boot):
    """Haswell has no posted interrupts, PML and TSC scaling; nothing here needs them."""
    shell = boot(emu="bochs", boot="grub", cores=2, cpu_model="corei7_haswell_4770")
    check_vmx(shell, 2)
    assert "4770" in shell.json("cpu")["brand"]
    check_end(shell, 2)


@pytest.mark.parametrize("machine, cores, mem", [("q35", 1, "256M"), ("q35", 4, "6G"), ("pc", 4, "256M"), ("pc", 1, "6G")])
def test_qemu_disk(boot, machine, cores, mem):
    shell = boot(emu="tcg", boot="efi", machine=machine, cores=cores, mem=mem)
    check_no_vmx(shell, cores)
    check_source(shell, "ACPI")
    check_memory(shell, {"256M": 256, "6G": 6144}[mem])
    check_end(shell, 0)


@pytest.mark.parametrize("firmware, machine, cores", [("bios", "pc", 1), ("bios", "q35", 4), ("ovmf", "q35", 2)])
def test_qemu_iso(boot, firmware, machine, cores):
    shell = boot(emu="tcg", boot="grub", firmware=firmware, machine=machine, cores=cores)
    check_no_vmx(shell, cores)
    assert shell.json("machine")["loader"].startswith("GRUB")
    check_end(shell, 0)


@pytest.mark.parametrize("firmware, name", [("bios", "polyvisor.iso"), ("ovmf", "polyvisor.iso"), ("ovmf", "polyvisor.img")])
def test_qemu_usb_stick(boot, tmp_path, firmware, name):
    """Both images boot from a USB stick, too."""
    nothing = tmp_path / "empty.img"
    nothing.write_bytes(bytes(1 << 20))
    stick = ["-device", "qemu-xhci", "-drive", f"if=none,id=stick,format=raw,readonly=on,file={BUILD / name}",
             "-device", "usb-storage,drive=stick,bootindex=0"]
    shell = boot(emu="tcg", image=nothing, firmware=firmware, machine="q35", cores=1, mem="512M", config=stick)
    check_no_vmx(shell, 1)
    assert shell.json("machine")["loader"].startswith("EFI loader" if name.endswith("img") else "GRUB")
    check_end(shell, 0)
