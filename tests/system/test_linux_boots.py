"""Linux guests of several shapes, on several processors: each boots to a shell that works, without a complaint of the kernel. One is in
`make test`, the others are run by `make linux-test`."""
import dataclasses
import re
import subprocess

import pytest

from images import BUILD, MONITOR, ROOT, make
from test_linux import Guest, linux, make_guest_files  # noqa: F401, the fixture

OTHER_RELEASE = "trixie"


@dataclasses.dataclass
class Shape:
    processors: int = 2
    cores: int = 1
    memory: int = 160                   # MiB of the personality
    machine: str = "512M"
    cpu: str = "corei7_skylake_x"
    polyvisor: str = ""
    release: str = ""


SHAPES = {
    "one-processor": Shape(processors=1),
    "four-on-two-cores": Shape(processors=4, cores=2),
    "without-x2apic": Shape(polyvisor="polyvisor.x2apic=off"),
    "software-apics": Shape(cores=2, polyvisor="polyvisor.apicv=off"),
    "software-xapics": Shape(cores=2, polyvisor="polyvisor.apicv=off polyvisor.x2apic=off"),
    "apics-without-delivery": Shape(cores=2, polyvisor="polyvisor.apicv=registers"),
    "haswell": Shape(cpu="corei7_haswell_4770"),
    "128M": Shape(memory=128),
    "3G": Shape(processors=1, memory=3072, machine="7G"),        # contiguous, so above 4G
    OTHER_RELEASE: Shape(release=OTHER_RELEASE),
}


def files_of(shape, guest_files):
    if not shape.release:
        return guest_files
    make("linux-guest", variables=[f"LINUX_RELEASE={shape.release}"])
    folder = BUILD / "guests" / shape.release
    return {**guest_files, "vmlinuz": folder / "vmlinuz", "initrd": folder / "initramfs.cpio"}


def release_of(shape):
    """The version of the kernel that was fetched."""
    command = [ROOT / "tools/fetch-linux", "--dir", *(["--release", shape.release] if shape.release else [])]
    folder = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    with open(f"{folder}/release", encoding="ascii") as file:
        return file.read().strip()


# The first one is in `make test`, for all of them.
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", [next(iter(SHAPES)), *(pytest.param(name, marks=pytest.mark.linux)
                                                        for name in list(SHAPES)[1:])])
def test_boot(boot, guest_files, name):  # noqa: F811
    shape = SHAPES[name]
    arguments = f"console=ttyS0 cryptomgr.notests mitigations=off polyvisor.cpus={shape.processors} {shape.polyvisor}"
    config = MONITOR + linux("linux", f"0-{shape.cores - 1}", memory=f"{shape.memory}M", arguments=arguments)
    shell = boot.grub(config, files_of(shape, guest_files), cores=shape.cores, mem=shape.machine, cpu_model=shape.cpu)
    guest = Guest(shell, "linux")
    guest.wait_for_shell()
    guest.run("dmesg -n 1")
    assert guest.run("nproc") == [str(shape.processors)]
    assert guest.run("uname -r") == [release_of(shape)]
    assert ("x2apic" in guest.run("grep -m1 flags /proc/cpuinfo")[0].split()) == ("x2apic=off" not in shape.polyvisor)
    slept = "\n".join(guest.run("time sleep 1"))
    assert 1.0 <= float(re.search(r"real\s*0m (\d+\.\d+)s", slept).group(1)) < 1.5, slept
    log = guest.check_log()
    memory = int(re.search(r"Memory: \d+K/(\d+)K available", "\n".join(log)).group(1))
    assert (shape.memory - 8) * 1024 < memory < shape.memory * 1024         # the personality keeps 2 to 4 MiB
    shell.send("poweroff -f\n")
    shell.expect("the guest switches the machine off")
    guest.leave()
    assert shell.wait_for_state("linux", "exited")["exit_code"] == 0
    shell.power_off()
