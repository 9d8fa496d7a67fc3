"""The console of a Linux guest, as somebody at a terminal uses it: keys that act at once, full-screen programs, detaching
and coming back. By `make linux-test` alone, as in test_linux.py."""
import re

import pytest

from console import CTRL_C, CTRL_RIGHT_BRACKET
from images import MONITOR
from test_linux import GUEST_PROMPT, Guest, linux, make_guest_files  # noqa: F401, the fixture

RING = 32768                            # PV_CONSOLE_SIZE
ROWS, COLUMNS = 24, 80
ESCAPE = "\x1b"
PROMPT_ANYWHERE = re.compile(rb"/ # (?:\x1b\[6n)?")       # a program with a screen of its own leaves the cursor where it was


def interrupt(shell, guest):
    """Ctrl-C ends a program that would go on for a quarter of an hour; its exit status says how it ended."""
    shell.send("sh -c 'echo asleep; exec sleep 1000'\n")
    shell.expect("\nasleep\r\n")          # before that, the line editor of the shell has the terminal
    shell.send(CTRL_C)
    shell.expect(GUEST_PROMPT)
    assert guest.run("echo $?")[0] == "130"


def complete(shell, guest):
    """Tab completes the only name that fits, and the line then works."""
    guest.run("echo completed > /tmp/a-long-file-name")
    shell.send("cat /tmp/a-lo\t")
    shell.expect("ng-file-name")
    shell.send("\n")
    shell.expect("completed")
    shell.expect(GUEST_PROMPT)


def edit(shell, guest):
    """vi takes the whole screen, inserts lines, changes one, and saves."""
    shell.send("vi /tmp/edited\n")
    shell.expect(re.compile(rb"\x1b\[%d;1H[^\r\n]*/tmp/edited" % ROWS))   # the status line, at the bottom
    shell.send("ifirst line\rsecond lime" + ESCAPE)
    shell.expect("- /tmp/edited [Modified]")       # no longer inserting: an h right behind Escape were one key with it
    shell.send("hrn")
    shell.send(":wq\r")
    shell.expect(PROMPT_ANYWHERE)
    assert guest.run("cat /tmp/edited")[:2] == ["first line", "second line"]


def watch(shell, guest):
    """top shows what runs, again and again, and q ends it."""
    shell.send("top\n")
    for _ in range(2):
        shell.expect("Mem:")
        shell.expect("PID")
        shell.expect("top")
    shell.send("q")
    shell.expect(PROMPT_ANYWHERE)
    assert guest.run("echo back")[0] == "back"


def leave_and_return(shell, guest):
    """What the guest says while nobody is attached is shown when somebody comes back; more than the ring holds is counted."""
    shell.send("sh -c 'sleep 2; echo said while away' &\n")
    shell.expect(GUEST_PROMPT)
    guest.leave()
    shell.wait_until(lambda: "said while away\r\n" in shell.json("console linux")["text"], "the guest has spoken")
    shell.send("attach linux\r")
    shell.expect("Ctrl-] returns to the shell\r\n")
    shell.expect("echo back")                # from before
    shell.expect("said while away\r\n")
    shell.send("seq -w 6000; echo the e''nd\n")
    shell.send(CTRL_RIGHT_BRACKET)
    shell.resynchronise()
    kept = shell.wait_until(lambda: (lambda c: c if "the end\r\n" in c["text"] else None)(shell.json("console linux")),
                            "the guest has counted")
    assert len(kept["text"]) <= RING
    assert kept["overwritten"] > 0 and "\n6000\r\n" in kept["text"] and "\n0001\r\n" not in kept["text"]


def count_devices(shell, _guest):
    """The shell knows the guest's devices, and what they have done so far."""
    devices = {device["device"]: device for device in shell.json("devices linux")["devices"]}
    assert list(devices) == ["uart", "pic", "pit", "rtc", "acpi-pm", "pvpanic", "pci", "ioapic", "none", "no msr", "not emulated",
                             "lapic 0"]
    uart, lapic = devices["uart"], devices["lapic 0"]
    assert uart["place"] == "port 0x3f8, irq 4" and uart["bytes_out"] > RING and uart["bytes_in"] > 200
    assert all(devices[name]["interrupts"] > 0 for name in ("uart", "ioapic", "lapic 0"))
    assert devices["no msr"]["reads"] > 0       # Linux tries, and copes with #GP
    assert lapic["writes"] > 0 and devices["pci"]["reads"] > 10 and devices["pvpanic"]["reads"] == 1
    assert shell.run("devices linux").splitlines()[1].startswith("uart             port 0x3f8, irq 4")


@pytest.mark.linux
@pytest.mark.timeout(1800)
def test_terminal(boot, guest_files):  # noqa: F811
    """One guest on one core, by the attached console."""
    shell = boot.grub(MONITOR + linux("linux", "0"), guest_files, cores=1, mem="512M")
    guest = Guest(shell, "linux")
    guest.wait_for_shell()
    guest.run(f"stty rows {ROWS} columns {COLUMNS}")
    assert f"rows {ROWS}; columns {COLUMNS}" in guest.run("stty -a")[0]
    for use in (interrupt, complete, edit, watch, leave_and_return, count_devices):
        use(shell, guest)
    shell.power_off()


@pytest.mark.linux
@pytest.mark.timeout(1800)
def test_ends(boot, guest_files):  # noqa: F811
    """A panic and a power-off are told apart, and followed by a fresh boot when the configuration wants one."""
    config = MONITOR + linux("linux", "0").replace("; memory", "; on_exit restart; memory")
    shell = boot.grub(config, guest_files, cores=1, mem="512M")
    guest = Guest(shell, "linux")
    guest.wait_for_shell()
    assert guest.run("cat /sys/devices/platform/QEMU0001:00/capability")[0] == "1"
    shell.send("echo c > /proc/sysrq-trigger\n")
    shell.expect("Kernel panic - not syncing")
    shell.expect("linux: the guest's kernel has panicked")
    guest.wait_for_shell()                                  # of the next boot, the terminal still being attached
    shell.send("poweroff -f\n")
    shell.expect("linux: the guest switches the machine off")
    guest.leave()
    shell.wait_until(lambda: shell.personality("linux")["restarts"] == 2, "it has been started again")
    said = [line for line in shell.log() if line.startswith("linux: ")]
    assert said == ["linux: exit code 3", "linux: started again", "linux: exit code 0", "linux: started again"]
    assert shell.run("kill linux") == "linux: killed"
    shell.power_off()
