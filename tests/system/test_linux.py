"""The linux personality. What has to boot a kernel is marked `linux` and runs by `make linux-test` alone: it takes minutes
and needs packages that the other tests do not."""
import itertools
import pathlib
import re
import subprocess
import time

import pytest

from console import CTRL_C, CTRL_RIGHT_BRACKET, ConsoleError, render
from images import BUILD, MONITOR, ROOT, make, personality

GUEST_PROMPT = re.compile(rb"\n[~/] # (?:\x1b\[6n)?")
BOOT_TIMEOUT = 600
# What no kernel's log may hold. 'stall' is RCU's word; 'unstable' is said of clock sources; 'nobody cared' of interrupts.
COMPLAINTS = re.compile(r"WARNING:|BUG:|Oops|Call Trace|soft lockup|hard LOCKUP|stall|unstable|nobody cared|panic|blocked for more than|"
                        r"APIC error|hrtimer: interrupt took|NETDEV WATCHDOG|NOHZ|[Ss]purious")
_words = itertools.count(1)


class Guest:
    """The shell in the guest, by the attached console."""

    def __init__(self, shell, name):
        self.shell = shell
        record = shell.personality(name)
        assert record["state"] != "refused", record["why"]
        shell.send(f"attach {name}\r")

    def wait_for_shell(self):
        self.shell.expect("built-in shell", BOOT_TIMEOUT)
        self.shell.expect(GUEST_PROMPT, BOOT_TIMEOUT)

    def run(self, command):
        """Executes a command; returns what it printed, as lines."""
        self.shell.send(command + "\n")
        before, _ = self.shell.expect(GUEST_PROMPT, BOOT_TIMEOUT)
        return render(before)[1:]

    def synchronise(self, timeout=BOOT_TIMEOUT):
        """Waits until the guest's shell answers. It may be booting, or may have booted while nobody looked, and what is shown again
        when one attaches is no answer."""
        deadline = time.monotonic() + timeout
        while True:
            word = f"word-{next(_words)}"
            self.shell.send(f"\necho {word}\n")
            try:
                _, match = self.shell.expect(re.compile(rb"\n" + word.encode() + rb"\r|end Kernel panic"), 30)
                assert b"panic" not in match.group(0), "the guest's kernel has panicked"
                break
            except ConsoleError:
                if time.monotonic() > deadline:
                    raise
        self.shell.expect(GUEST_PROMPT)

    def check_log(self):
        """The kernel has nothing to complain of."""
        log = self.run("dmesg")
        assert len(log) > 100 and not [line for line in log if COMPLAINTS.search(line)]
        return log

    def leave(self):
        self.shell.send(CTRL_RIGHT_BRACKET)
        self.shell.resynchronise()


@pytest.fixture(name="guest_files", scope="session")
def make_guest_files(corrected_bochs):  # pylint: disable=unused-argument
    """Linux meets each of the flaws of Debian's own Bochs."""
    make("linux-guest")
    return {"monitor.elf": BUILD / "monitor.elf", "linux.elf": BUILD / "linux.elf",
            "vmlinuz": BUILD / "guests/vmlinuz", "initrd": BUILD / "guests/initramfs.cpio"}


def linux(name, cores, memory="160M", arguments="console=ttyS0 cryptomgr.notests mitigations=off"):
    return (f"personality {name} {{ image linux.elf; cores {cores}; memory {memory}; args \"{arguments}\"\n"
            "module kernel vmlinuz; module initrd initrd }\n")


@pytest.mark.linux
@pytest.mark.timeout(1800)
def test_shell_with_two_processors(boot, guest_files):
    """Debian's kernel, unchanged, to a shell; timers, interrupts between processors, input; reset and power-off."""
    cached = subprocess.run([ROOT / "tools/fetch-linux", "--dir"], capture_output=True, text=True, check=True).stdout
    release = (pathlib.Path(cached.strip()) / "release").read_text(encoding="ascii").strip()
    shell = boot.grub(MONITOR + linux("linux", "0-1"), guest_files, cores=2, mem="512M")
    guest = Guest(shell, "linux")
    guest.wait_for_shell()
    assert guest.run("uname -r")[0] == release
    assert guest.run("nproc")[0] == "2"
    slept = "\n".join(guest.run("time sleep 2"))
    assert 2.0 <= float(re.search(r"real\s*0m (\d+\.\d+)s", slept).group(1)) < 2.5, slept
    interrupts = "\n".join(guest.run("cat /proc/interrupts"))
    for name in ("LOC", "RES", "CAL"):
        counts = re.search(rf"{name}: +(\d+) +(\d+)", interrupts)
        assert int(counts.group(1)) > 0 and int(counts.group(2)) > 0, interrupts
    assert re.search(r"IO-APIC +4-edge +ttyS0", interrupts)
    assert guest.run("taskset 2 sh -c 'cut -d\" \" -f39 /proc/self/stat'")[0] == "1"     # it ran on the second one
    text = "0123456789" * 20
    assert text in "".join(guest.run(f"echo {text} | cat"))
    shell.send("sleep 1000\n")
    shell.send(CTRL_C)
    shell.expect(GUEST_PROMPT, BOOT_TIMEOUT)
    shell.send("reboot -f\n")
    guest.wait_for_shell()
    assert guest.run("nproc")[0] == "2"
    shell.send("poweroff -f\n")
    shell.expect("the guest switches the machine off", BOOT_TIMEOUT)
    guest.leave()
    assert shell.wait_for_state("linux", "exited")["exit_code"] == 0
    shell.power_off()


@pytest.mark.linux
@pytest.mark.timeout(1800)
def test_neighbours(boot, guest_files):
    """Two kernels and a third guest share a core: everybody's time passes as it should, and nobody sees the others."""
    config = MONITOR + linux("red", "0") + linux("blue", "0")
    config += personality("tiny", cores="0", memory="16M", args='"report=0"')
    files = {**guest_files, "tiny.elf": BUILD / "tiny.elf"}
    shell = boot.grub(config, files, cores=1, mem="768M")
    for name in ("red", "blue"):
        guest = Guest(shell, name)
        if name == "red":
            guest.wait_for_shell()
        else:                               # has booted meanwhile, or will soon
            shell.send("\n")
            shell.expect(GUEST_PROMPT, BOOT_TIMEOUT)
        slept = "\n".join(guest.run("time sleep 2"))
        assert 2.0 <= float(re.search(r"real\s*0m (\d+\.\d+)s", slept).group(1)) < 3, slept
        guest.check_log()
        guest.leave()
    assert shell.personalities()["red"]["exits_delivered"] > 1000
    shell.send("attach tiny\r")
    shell.expect("quantum")                 # its first line, shown again
    shell.send("\r")
    before, match = shell.expect(re.compile(rb"rounds=(\d+) errors=(\d+)"))
    assert int(match.group(1)) > 0 and int(match.group(2)) == 0, before
    guest.leave()
    shell.power_off()
