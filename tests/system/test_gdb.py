"""A debugger on COM2: Debian's gdb steps through one personality's guest, with symbols, while another runs on."""
import collections
import re
import shutil
import socket
import subprocess

import pytest

from gdb_session import Gdb
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


def raw_gdb(shell, commands):
    """What gdb prints for the commands, after it has connected."""
    assert shutil.which("gdb"), "gdb is not installed: run tools/setup test"
    script = ["set pagination off", "set confirm off", "set remotetimeout 30", f"target remote localhost:{shell.machine.gdb_port}"]
    script += commands
    arguments = ["gdb", "-nx", "-batch", *(part for line in script for part in ("-ex", line)), str(BUILD / "guests/long64.elf")]
    result = subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            timeout=TIMEOUT, check=False)
    print(result.stdout)
    return result.stdout


def gdb(shell, *commands):
    """The same by command."""
    text = raw_gdb(shell, [line for command in commands for line in (f"echo >>> {command}\\n", command)])
    return {name: answer for name, answer in re.findall(r"^>>> (.*)\n((?:(?!>>> ).*\n)*)", text, re.MULTILINE)}


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
    assert "error:" not in shell.run("console one")


def instructions(kind):
    """Addresses of instructions of the guest's exercise, from its disassembly."""
    listing = subprocess.run(["objdump", "-d", "-Mintel", str(BUILD / "guests/long64.elf")], stdout=subprocess.PIPE, text=True, check=True)
    return [int(address, 16) for address in re.findall(rf"^ +([0-9a-f]+):.*\t{kind}\b", listing.stdout, re.MULTILINE)]


def test_steps_end_behind_instructions_that_exit(shell):
    """Whoever answers the exit, the multiplexer or the personality: the step ends at the next instruction. The guest's round uses
    CPUID and RDMSR in both ways. Its timer's interrupts, which have come meanwhile, wait until it goes on."""
    shell.run("gdb one")
    for kind, size in (("cpuid", 2), ("rdmsr", 2), ("out", 1)):
        for address in instructions(kind)[:1]:
            script = [f"break *{address}"]
            script += ["continue", "p/x (long)$pc", "stepi", f"p/x (long)$pc - {address}"] * 4
            said = gdb_all(shell, *script, "delete", "detach")
            assert said["p/x (long)$pc"] == [address] * 4, kind
            assert said["p/x (long)$pc - " + str(address)] == [size] * 4, kind
    said = gdb(shell, "break on_interrupt", "continue", "delete", "detach")
    assert "Breakpoint 1, on_interrupt" in said["continue"]


def gdb_all(shell, *commands):
    """Like gdb, for commands that come several times: the numbers that each printed."""
    numbered = []
    for index, command in enumerate(commands):
        numbered += [f"echo @{index}@\\n", command]
    text = raw_gdb(shell, numbered)
    found = {}
    for index, answer in re.findall(r"^@(\d+)@\n((?:(?!@\d+@\n).*\n)*)", text, re.MULTILINE):
        if re.match(r"\$\d+ = 0x", answer):
            found.setdefault(commands[int(index)], []).append(number(answer))
    return found


def test_registers_can_be_written(shell):
    """What the interrupted code does not need: R11, which its handler restores."""
    shell.run("gdb one")
    said = gdb(shell, "break on_interrupt", "continue", "p/x $r11 = 0x123456789abcdef0", "maint flush register-cache", "p/x $r11",
               "p/x $eflags", "delete", "detach")
    assert number(said["p/x $r11"]) == 0x123456789abcdef0
    before = run_time(shell, "one")
    shell.wait_until(lambda: run_time(shell, "one") > before + 5_000_000, "the guest runs on")
    assert "error:" not in shell.run("console one")


def test_several_vcpus(boot):
    """Two on each of two cores. With scheduler-locking one is stepped, and no other agent runs. The other vcpu of its own agent may have to
    use up its turn before (docs/gdb.md)."""
    config = CONFIG.replace("guests=long64", "guests=long64,prot32")
    shell = boot.grub(config, ["monitor.elf", "tiny.elf"], emu="bochs", cores=2, gdb_port=0)

    def times():
        return {vcpu["vcpu"]: vcpu["run_time"] for vcpu in shell.json("vcpus one")["vcpus"]}
    shell.wait_until(lambda: len(times()) == 4 and all(times().values()), "all guests run")
    cores = {vcpu["vcpu"]: vcpu["core"] for vcpu in shell.json("vcpus one")["vcpus"]}
    assert sorted(cores.values()) == [0, 0, 1, 1]
    shell.run("gdb one")
    gdb = Gdb(BUILD / "guests/long64.elf")
    try:
        gdb.connect(shell)
        assert gdb.run("info threads").count("Thread ") == 4
        gdb.run("set scheduler-locking on")
        for vcpu in range(4):
            gdb.run(f"thread {vcpu + 1}")
            before = times()
            for _ in range(3):
                at = gdb.progress()
                gdb.run("stepi")
                assert gdb.progress() != at
            after = times()
            ran = {other for other in after if after[other] != before[other]}
            assert vcpu in ran and len({cores[other] for other in ran}) == 1, (vcpu, before, after)
        assert "detached" in gdb.run("detach")
    finally:
        gdb.close()
    before = times()
    shell.wait_until(lambda: all(now > before[vcpu] for vcpu, now in times().items()), "all guests run on")
    assert "error:" not in shell.run("console one")


def test_breakpoints_on_two_cores(boot):
    """One guest with two vcpus, which run at the same time and interrupt each other: both come to the breakpoint, each is stepped over
    it while the other is held, and the guest finds nothing wrong."""
    config = MONITOR + personality("smp", "tiny.elf", memory="24M", args='"guests=smp64 report=0"')
    shell = boot.grub(config, ["monitor.elf", "tiny.elf"], emu="bochs", cores=2, gdb_port=0)
    shell.wait_until(lambda: len(shell.json("vcpus smp")["vcpus"]) == 2 and run_time(shell, "smp"), "the guest runs")
    shell.run("gdb smp")
    gdb = Gdb(BUILD / "guests/smp64.elf")
    stops = collections.Counter()
    try:
        gdb.connect(shell)
        gdb.run("break mode_meet")
        while len(stops) < 2 or sum(stops.values()) < 12:
            assert re.search(r"hit Breakpoint [\d.]+, (0x[0-9a-f]+ in )?mode_meet \(", gdb.run("continue"))
            stops[gdb.number("$_thread")] += 1
            assert sum(stops.values()) < 50, stops
        gdb.run("delete")
        assert "detached" in gdb.run("detach")
    finally:
        gdb.close()
    before = run_time(shell, "smp")
    shell.wait_until(lambda: run_time(shell, "smp") > before + 5_000_000, "the guest runs on")
    assert re.search(r"rounds=\d+ errors=0 ", shell.ask("smp"))


def test_interrupt(shell):
    """^C in gdb stops the guest wherever it is."""
    shell.run("gdb one")
    gdb = Gdb(BUILD / "guests/long64.elf")
    try:
        gdb.connect(shell)
        gdb.go_on()
        before = run_time(shell, "one")
        shell.wait_until(lambda: run_time(shell, "one") > before, "the guest runs")
        gdb.interrupt()
        stopped = run_time(shell, "one")
        gdb.number("$rip")
        assert run_time(shell, "one") == stopped
        assert "detached" in gdb.run("detach")
    finally:
        gdb.close()
    shell.wait_until(lambda: run_time(shell, "one") > stopped, "the guest runs on")


def test_line_of_qemu(boot):
    """COM2 in QEMU: the protocol answers, for a personality without guests, on a machine without VMX. Bytes that are lost or wrong are
    asked for again."""
    shell = boot.grub(MONITOR + personality("spin"), ["monitor.elf", "spin.elf"], emu="tcg", cores=1, gdb_port=0)
    with socket.create_connection(("localhost", shell.machine.gdb_port), TIMEOUT) as line:
        line.settimeout(TIMEOUT)
        shell.run("gdb spin")
        line.sendall(b"$qSupported#38")
        assert line.recv(1) == b"-"
        line.sendall(b"$qSupported#37")
        answer = b""
        while not re.search(rb"#[0-9a-f]{2}$", answer):
            answer += line.recv(100)
        assert answer.startswith(b"+$PacketSize=4b0;")
        line.sendall(b"+$qfThreadInfo#bb")
        answer = b""
        while not re.search(rb"#[0-9a-f]{2}$", answer):
            answer += line.recv(100)
        assert answer == b"+$l#6c"
    assert shell.run("gdb off") == "COM2 is closed"
