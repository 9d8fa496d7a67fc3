"""Debian's gdb at a Linux guest with two processors, with the symbols of its own image. By `make linux-test` alone, as in test_linux.py."""
import hashlib
import re
import subprocess

import pytest

from gdb_session import Gdb
from images import BUILD, MONITOR, ROOT, make, personality
from test_linux import Guest, linux, make_guest_files  # noqa: F401, the fixture

ARGUMENTS = "console=ttyS0 nokaslr cryptomgr.notests mitigations=off polyvisor.cpus=2"
NAMES = ("_text", "vfs_read", "__x64_sys_getuid", "linux_banner", "jiffies_64")
TEXT, KERNEL_CODE = 0xffffffff81000000, 0x10
STEPS = 3


def files_of(release, guest_files):
    """Of this computer's Debian, or of another release."""
    if not release:
        return guest_files
    make("linux-guest", variables=[f"LINUX_RELEASE={release}"])
    folder = BUILD / "guests" / release
    return {**guest_files, "vmlinuz": folder / "vmlinuz", "initrd": folder / "initramfs.cpio"}


def symbols_of(kernel, tmp_path):
    """The file that tools/kernel-symbols makes of it."""
    path = tmp_path / "vmlinux.sym"
    subprocess.run([ROOT / "tools/kernel-symbols", kernel, "-o", path], check=True)
    return path


def check_addresses(guest, path):
    """The running kernel's own list says the same."""
    lines = subprocess.run(["nm", path], capture_output=True, text=True, check=True).stdout.splitlines()
    ours = {line.split()[2]: int(line.split()[0], 16) for line in lines}
    pattern = "|".join(NAMES)
    guest.run(f"names='{pattern}'")         # so that no line is longer than the terminal
    said = guest.run('grep -E " ($names)$" /proc/kallsyms')
    assert {line.split()[2]: int(line.split()[0], 16) for line in said} == {name: ours[name] for name in NAMES}
    assert ours["_text"] == TEXT


def enter(shell):
    """To the guest's console. What is typed before the shell has said so is not the guest's."""
    guest = Guest(shell, "linux")
    shell.expect("returns to the shell\r\n")
    return guest


def rounds(shell):
    match = re.search(r"rounds=(\d+) errors=(\d+)", shell.ask("tiny"))
    assert int(match[2]) == 0
    return int(match[1])


def run_times(shell):
    return {vcpu["vcpu"]: vcpu["run_time"] for vcpu in shell.json("vcpus linux")["vcpus"]}


def check_stopped(shell, gdb, version):
    """Both processors idle, and can be looked at: where they are, their registers, what is in memory. Meanwhile nothing runs in the
    guest, and tiny goes on."""
    times, before = run_times(shell), rounds(shell)
    assert gdb.run("info threads").count("Thread ") == 2
    for thread in (1, 2):
        gdb.run(f"thread {thread}")
        assert re.search("halt|idle", gdb.where())
        assert gdb.number("$cs") == KERNEL_CODE
    assert gdb.run("x/s &linux_banner").endswith(f'"{version}\\n"')
    shell.wait_until(lambda: rounds(shell) > before, "tiny goes on")
    assert run_times(shell) == times


def stop_at_getuid(shell, gdb, processor):
    """A command on one processor of the guest, which stops it in the middle."""
    gdb.go_on()
    guest = enter(shell)
    shell.send(f"taskset {1 << processor} id -u\n")
    said = gdb.answer()
    assert re.search(r"Breakpoint \d+, 0x[0-9a-f]+ in __x64_sys_getuid \(\)", said), said
    guest.leave()
    assert gdb.number("$_thread") == processor + 1
    assert gdb.where() == "__x64_sys_getuid"


def check_steps(gdb):
    """Instruction by instruction, over the call, and out of the function. Interrupts that have come while the guest was stopped wait."""
    back = int(gdb.run("x/gx $rsp").split("0x")[-1], 16)
    there, texts = gdb.instructions(8)
    call = next(i for i, text in enumerate(texts) if text.startswith("call"))
    for address in there[1:call + 1]:
        gdb.run("stepi")
        assert gdb.number("$pc") == address
    gdb.run("nexti")
    assert gdb.number("$pc") == there[call + 1]
    gdb.run("finish")
    assert gdb.number("$pc") == back


def make_busy(shell, gdb):
    """The guest's first processor. Shells also ask who they are."""
    gdb.run("disable")
    gdb.go_on()
    guest = enter(shell)
    guest.synchronise()
    guest.run("taskset 1 sh -c 'while :; do :; done' &")
    guest.leave()
    gdb.interrupt()
    gdb.run("enable")


def check_lock(shell, gdb):
    """With scheduler-locking one processor is stepped, the other one, which is busy, and has the same agent, does not run."""
    gdb.run("set scheduler-locking on")
    for stepping, other in ((2, 1), (1, 2)):
        gdb.run(f"thread {other}")
        held, times = gdb.number("$pc"), run_times(shell)
        gdb.run(f"thread {stepping}")
        for _ in range(STEPS):
            before = gdb.progress()
            gdb.run("stepi")
            assert gdb.progress() != before
        after = run_times(shell)
        assert after[other - 1] == times[other - 1] and after[stepping - 1] > times[stepping - 1]
        gdb.run(f"thread {other}")
        assert gdb.number("$pc") == held
    gdb.run("set scheduler-locking replay")


def check_guest(guest):
    """It works as if nobody had been there."""
    guest.synchronise()
    assert guest.run("taskset 2 id -u") == ["0"]
    numbers = "".join(f"{number}\n" for number in range(1, 20001)).encode()
    assert guest.run("seq 1 20000 | md5sum") == [f"{hashlib.md5(numbers).hexdigest()}  -"]
    slept = "\n".join(guest.run("time sleep 2"))
    assert 2.0 <= float(re.search(r"real\s*0m (\d+\.\d+)s", slept).group(1)) < 3, slept
    assert guest.run("cat /sys/devices/system/clocksource/*/current_clocksource") == ["tsc"]
    guest.check_log()


@pytest.mark.linux
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("release", ["", "trixie"])
def test_gdb(boot, guest_files, tmp_path, release):  # noqa: F811
    """By its symbols: a breakpoint on either processor, steps, registers, memory; the other personality goes on all the time."""
    files = files_of(release, guest_files)
    path = symbols_of(files["vmlinuz"], tmp_path)
    config = MONITOR + personality("tiny", memory="16M", args='"report=0"') + linux("linux", "0", arguments=ARGUMENTS)
    shell = boot.grub(config, {**files, "tiny.elf": BUILD / "tiny.elf"}, cores=1, mem="512M", gdb_port=0)
    guest = Guest(shell, "linux")
    guest.wait_for_shell()
    assert guest.run("nproc") == ["2"]
    check_addresses(guest, path)
    version = guest.run("cat /proc/version")[0]
    guest.run("dmesg -n 1")             # what the kernel has to say is looked for afterwards
    guest.leave()
    assert "COM2 is for the guests of linux" in shell.run("gdb linux")
    gdb = Gdb(path)
    try:
        gdb.connect(shell)
        check_stopped(shell, gdb, version)
        assert f"{TEXT:#x}"[:9] in gdb.run("break __x64_sys_getuid")
        stop_at_getuid(shell, gdb, 1)
        check_steps(gdb)
        make_busy(shell, gdb)
        check_lock(shell, gdb)
        stop_at_getuid(shell, gdb, 0)
        gdb.run("delete")
        assert "detached" in gdb.run("detach")
    finally:
        gdb.close()
    assert shell.run("gdb off") == "COM2 is closed"
    guest = Guest(shell, "linux")
    check_guest(guest)
    guest.leave()
    rounds(shell)
    shell.power_off()
