"""A debugger on COM2: Debian's gdb steps through one personality's guest, with symbols, while another runs on."""
import re
import shutil
import subprocess

import pytest

from images import BUILD, MONITOR, personality

TIMEOUT = 100
GUESTS = '"guests=long64 report=0"'
CONFIG = MONITOR + "".join(personality(name, "tiny.elf", memory="24M", quota="2M", args=GUESTS) for name in ("one", "two"))


@pytest.fixture
def shell(boot):
    shell = boot.grub(CONFIG, ["monitor.elf", "tiny.elf"], emu="bochs", cores=1, gdb_port=0)
    shell.wait_until(lambda: all(run_time(shell, name) for name in ("one", "two")), "both guests run")
    return shell


def run_time(shell, name):
    return sum(vcpu["run_time"] for vcpu in shell.json(f"vcpus {name}")["vcpus"])


def gdb(shell, *commands):
    """What gdb prints for the commands, each with its answer behind a line `>>> COMMAND`."""
    assert shutil.which("gdb"), "gdb is not installed: run tools/setup test"
    script = ["set pagination off", "set confirm off", "set remotetimeout 30", f"target remote localhost:{shell.machine.gdb_port}"]
    for command in commands:
        script += [f"echo >>> {command}\\n", command]
    arguments = ["gdb", "-nx", "-batch", *(part for line in script for part in ("-ex", line)), str(BUILD / "guests/long64.elf")]
    result = subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            timeout=TIMEOUT, check=False)
    print(result.stdout)
    return {name: text for name, text in re.findall(r"^>>> (.*)\n((?:(?!>>> ).*\n)*)", result.stdout, re.MULTILINE)}


def number(text):
    return int(re.search(r"0x[0-9a-f]+", text).group(), 16)


def test_break_step_registers(shell):
    """A breakpoint by its symbol, a backtrace, single steps, registers and memory; then the guest goes on and finds nothing wrong."""
    assert "COM2 is for the guests of one" in shell.run("gdb one")
    said = gdb(shell, "info threads", "break on_interrupt", "continue", "p/x $rip", "p/x &on_interrupt", "bt", "x/i $pc",
               "p/x $cr3", "stepi", "p/x (long)$pc", "x/8xb &on_interrupt", "delete", "detach")
    assert said["info threads"].count("Thread") == 1
    assert "Breakpoint 1, on_interrupt (vector=" in said["continue"]
    assert number(said["p/x $rip"]) >= number(said["p/x &on_interrupt"])
    assert "on_interrupt" in said["bt"] and "entry" in said["bt"]
    assert number(said["p/x (long)$pc"]) > number(said["p/x $rip"])
    assert "0xcc" not in said["x/8xb &on_interrupt"]    # no breakpoint shows in memory
    before = run_time(shell, "one")
    shell.wait_until(lambda: run_time(shell, "one") > before, "the guest runs on")


def test_others_run_on(shell):
    """While one personality is stopped, the other's guest gets all the time; ^C and detach of gdb do what they say."""
    shell.run("gdb one")
    gdb(shell, "break on_interrupt", "continue", "disconnect")    # leaves it stopped
    stopped, running = run_time(shell, "one"), run_time(shell, "two")
    shell.wait_until(lambda: run_time(shell, "two") > running + 5_000_000, "the other guest runs")
    assert run_time(shell, "one") == stopped
    assert next(p["state"] for p in shell.json("ps")["personalities"] if p["name"] == "one") == "paused"
    assert shell.run("gdb off") == "COM2 is closed"
    shell.wait_until(lambda: run_time(shell, "one") > stopped + 5_000_000, "the guest runs again")
    assert "errors 0" in shell.run("console one") or "error" not in shell.run("console one")
