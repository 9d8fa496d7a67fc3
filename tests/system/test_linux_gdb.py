"""Debian's gdb at a Linux guest with two processors, with the symbols of its own image. By `make linux-test` alone, as in test_linux.py."""
import re
import subprocess

import pexpect
import pytest

from images import BUILD, MONITOR, ROOT, personality
from test_linux import Guest, linux, make_guest_files  # noqa: F401, the fixture
from test_linux_load import COMPLAINTS

TIMEOUT = 300
PROMPT = "(gdb) "
ARGUMENTS = "console=ttyS0 nokaslr cryptomgr.notests mitigations=off polyvisor.cpus=2"
NAMES = ("_text", "vfs_read", "__x64_sys_getuid", "linux_banner", "jiffies", "current_task")
TEXT = 0xffffffff81000000


class Gdb:
    """At its prompt, or running."""

    def __init__(self, symbols):
        self.child = pexpect.spawn("gdb", ["-nx", "-q", str(symbols)], encoding="ascii", timeout=TIMEOUT, echo=False)
        self.child.expect_exact(PROMPT)
        for setting in ("pagination off", "confirm off", "width 0", "remotetimeout 60", "style enabled off"):
            self.run(f"set {setting}")

    def send(self, command):
        self.child.sendline(command)

    def answer(self):
        """What it says until the next prompt."""
        self.child.expect_exact(PROMPT)
        return self.child.before.replace("\r", "").replace("\x1b[?2004l", "").replace("\x1b[?2004h", "").strip()

    def run(self, command):
        self.send(command)
        said = self.answer()
        print(f"(gdb) {command}\n{said}")
        return said

    def number(self, expression):
        return int(self.run(f"p/x (long)({expression})").split("0x")[1], 16)

    def where(self):
        """The function that the chosen thread is in."""
        return re.match(r"(\S+)(?: \+ \d+)? in section \.text", self.run("info symbol $pc"))[1]

    def close(self):
        self.child.close(force=True)


def symbols_of(tmp_path):
    """The file that tools/kernel-symbols makes of the guest's kernel."""
    path = tmp_path / "vmlinux.sym"
    subprocess.run([ROOT / "tools/kernel-symbols", BUILD / "guests/vmlinuz", "-o", path], check=True)
    return path


def addresses(path):
    lines = subprocess.run(["nm", path], capture_output=True, text=True, check=True).stdout.splitlines()
    return {line.split()[2]: int(line.split()[0], 16) for line in lines}


def check_addresses(guest, path):
    """The running kernel's own list says the same."""
    said = guest.run(f"grep -E ' ({'|'.join(NAMES)})$' /proc/kallsyms")
    found = {line.split()[2]: int(line.split()[0], 16) for line in said}
    assert sorted(found) == sorted(NAMES)
    ours = addresses(path)
    assert found == {name: ours[name] for name in NAMES}
    assert ours["_text"] == TEXT


def rounds(shell):
    match = re.search(r"rounds=(\d+) errors=(\d+)", shell.ask("tiny"))
    assert int(match[2]) == 0
    return int(match[1])


def run_times(shell):
    return {vcpu["vcpu"]: vcpu["run_time"] for vcpu in shell.json("vcpus linux")["vcpus"]}


def stop_at_getuid(shell, gdb, processor):
    """A command on one processor of the guest, which stops it in the middle."""
    gdb.send("continue")
    gdb.child.expect_exact("Continuing.")
    guest = Guest(shell, "linux")
    shell.expect("returns to the shell\r\n")       # what was typed before that is not the guest's
    shell.send(f"taskset {1 << processor} id -u\n")
    said = gdb.answer()
    assert re.search(r"Breakpoint \d+, 0x[0-9a-f]+ in __x64_sys_getuid \(\)", said), said
    guest.leave()
    assert gdb.number("$_thread") == processor + 1
    return guest


@pytest.mark.linux
@pytest.mark.timeout(1800)
def test_gdb(boot, guest_files, tmp_path):  # noqa: F811
    path = symbols_of(tmp_path)
    config = MONITOR + personality("tiny", memory="16M", args='"report=0"') + linux("linux", "0", arguments=ARGUMENTS)
    shell = boot.grub(config, {**guest_files, "tiny.elf": BUILD / "tiny.elf"}, cores=1, mem="512M", gdb_port=0)
    guest = Guest(shell, "linux")
    guest.wait_for_shell()
    assert guest.run("nproc") == ["2"]
    check_addresses(guest, path)
    version = guest.run("cat /proc/version")[0]
    # Keeps the first processor busy, so that it would be seen if a step of the other let it run.
    guest.run("taskset 1 sh -c 'while :; do :; done' &")
    guest.leave()
    assert "COM2 is for the guests of linux" in shell.run("gdb linux")
    gdb = Gdb(path)
    try:
        gdb.run(f"target remote localhost:{shell.machine.gdb_port}")
        threads = gdb.run("info threads")
        assert threads.count("Thread") == 2
        stopped, went_on = run_times(shell), rounds(shell)
        shell.wait_until(lambda: rounds(shell) > went_on, "tiny goes on")
        assert run_times(shell) == stopped
        gdb.run("break __x64_sys_getuid")
        stop_at_getuid(shell, gdb, 1)
        assert gdb.where() == "__x64_sys_getuid"
        gdb.run("x/6i $pc")
        gdb.run("stepi")
        gdb.run("info registers")
        gdb.run("x/s &linux_banner")
        print(version)
        gdb.run("finish")
        gdb.run("x/6i $pc")
        gdb.run("thread 1")
        gdb.run("x/2i $pc")
        gdb.run("delete")
        gdb.run("detach")
    finally:
        gdb.close()
    shell.run("gdb off")
    guest = Guest(shell, "linux")
    guest.synchronise()
    print(guest.run("dmesg | tail -20"))
    assert not COMPLAINTS.findall("")
