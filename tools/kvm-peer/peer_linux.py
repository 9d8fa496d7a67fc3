"""The machine that Polyvisor is compared with: Debian's Linux, KVM, and one program as its init."""
import lzma
import os
import re
import subprocess

import emulator
import script

bench = script.load("bench")
mkiso = script.load("mkiso")

MKINITRAMFS = os.path.join(emulator.ROOT, "guests", "linux", "mkinitramfs")
FETCH_LINUX = os.path.join(emulator.TOOLS, "fetch-linux")
MODULE = "kvm-intel"
MEMORY = "512M"
KHZ = emulator.BOCHS_IPS // 1000
# quiet: messages on a serial line take time. nokaslr: the same every time. nohpet: Bochs' HPET is in ACPI's tables but does
# not work. mitigations=off: Bochs has none of the flaws, and KVM shall not pay for them. tsc_early_khz: what CPUID
# says is wrong by a factor of 70 (the processor that Bochs imitates is faster); the scheduler's 4 ms would be 280 ms.
COMMAND_LINE = f"console=ttyS0 quiet nokaslr nohpet mitigations=off tsc_early_khz={KHZ}"
# Linux looks for MSRs that Bochs lacks, also before it could handle the fault.
BOCHS = [*bench.REPEATABLE, "cpu: ignore_bad_msrs=1"]


class Modules:
    """The modules of a kernel, in a folder that tools/fetch-linux filled."""

    def __init__(self, folder):
        self.folder, self.paths, self.builtin = folder, {}, set()
        for parent, _, names in os.walk(folder):
            for name in names:
                match = re.fullmatch(r"(.+)\.ko(\.xz)?", name)
                if match:
                    self.paths[self._plain(match[1])] = os.path.join(parent, name)
                elif name == "modules.builtin":
                    with open(os.path.join(parent, name), encoding="ascii") as file:
                        self.builtin |= {self._plain(os.path.basename(line.strip())[:-len(".ko")]) for line in file}

    @staticmethod
    def _plain(name):
        """The kernel makes no difference between the two."""
        return name.replace("-", "_")

    def _contents(self, name):
        path = self.paths.get(self._plain(name))
        if not path:
            raise bench.BenchError(f"{self.folder} has no module {name}")
        with lzma.open(path) if path.endswith(".xz") else open(path, "rb") as file:
            return file.read()

    def with_needs(self, name, seen=None):
        """[contents] of a module and, before it, of those that it needs, each once."""
        seen = self.builtin.copy() if seen is None else seen
        if self._plain(name) in seen:
            return []
        seen.add(self._plain(name))
        contents, files = self._contents(name), []
        needs = re.search(rb"\0depends=([^\0]+)\0", contents)
        for other in needs[1].decode().split(",") if needs else []:
            files += self.with_needs(other, seen)
        return [*files, contents]


def make_iso(folder, init):
    """An ISO with Linux and `init`, in a folder that is there; returns its path."""
    fetched = subprocess.run([FETCH_LINUX, "--dir"], stdout=subprocess.PIPE, text=True, check=False)
    if fetched.returncode:
        raise bench.BenchError("Debian's Linux could not be fetched: see above")
    linux, initramfs, iso = fetched.stdout.strip(), os.path.join(folder, "initramfs"), os.path.join(folder, "linux.iso")
    files = []
    for number, contents in enumerate(Modules(os.path.join(linux, "modules")).with_needs(MODULE)):
        path = os.path.join(folder, f"{number}.ko")
        with open(path, "wb") as file:
            file.write(contents)
        files.append(f"{path}:modules/{number}.ko")
    result = subprocess.run([MKINITRAMFS, "-o", initramfs, "--init", init, *files], stderr=subprocess.PIPE, text=True,
                            check=False)
    if result.returncode:
        raise bench.BenchError(result.stderr.strip())
    try:
        mkiso.make_iso(iso, [(os.path.join(linux, "vmlinuz"), "vmlinuz"), (initramfs, "initramfs")],
                       "Linux", [f"linux /boot/vmlinuz {COMMAND_LINE}", "initrd /boot/initramfs"])
    except mkiso.IsoError as error:
        raise bench.BenchError(str(error)) from error
    return iso


def run(folder, init, progress):
    """Boots Linux with `init` on a one-core machine; returns what the console showed until `init` was done."""
    iso = make_iso(folder, init)
    with emulator.Machine(emu="bochs", boot="grub", iso=iso, cores=1, mem=MEMORY, name="kvm-peer", config=BOCHS,
                          notify=progress) as machine:
        console = bench.Console(machine)
        try:
            console.wait_for(rb"\] bench: (?:done|failed)\r|Kernel panic - not syncing: .*\r")
        finally:
            with open(os.path.join(machine.folder, "console.log"), "wb") as log:
                log.write(console.text)
        return console.text.decode("ascii", "replace")
