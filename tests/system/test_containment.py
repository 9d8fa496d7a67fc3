"""Personalities that misbehave: each is stopped, or sliced, alone; the shell says why; all others go on."""
import re

import pytest

from console import CTRL_RIGHT_BRACKET
from images import MONITOR, personality

GP = r"#GP general protection, error code 0x0 at rip 0x[0-9a-f]+ on core \d$"
OUTSIDE = r"SYSENTER with a stack pointer or return address outside its half at rip 0x[0-9a-f]+ on core \d$"


def page_fault(what):
    return rf"#PF page fault: {what} at rip 0x[0-9a-f]+ on core \d$"


class Case:
    """A program of tests/personalities and how it ends."""

    def __init__(self, state, why, program=None, args=None, code=0, **keys):
        self.state, self.why, self.program, self.code = state, why, program, code
        self.keys = dict(keys, **({"args": f'"{args}"'} if args else {}))

    def config(self, name):
        return personality(name, f"{self.program or name}.elf", **self.keys)


def exits(code, *arguments, **keys):
    return Case("exited", rf"exit code {code}$", *arguments, code=code, **keys)


def faults(why, *arguments, **keys):
    return Case("faulted", why, *arguments, **keys)


CASES = {
    "divide": faults(r"#DE divide error, error code 0x0 at rip 0x[0-9a-f]+ on core \d$"),
    "readnull": faults(page_fault(r"read of 0x0 \(not mapped\)")),
    "readkernel": faults(page_fault(r"read of 0xffffffff80000000 \(not (mapped|allowed)\)")),
    "readphysmap": faults(page_fault(r"read of 0xffff800000000000 \(not (mapped|allowed)\)"), "readkernel",
                          "0xffff800000000000"),
    "readhole": faults(GP, "readkernel", "0x800000000000"),
    "cli": faults(GP),
    "hlt": faults(GP),
    "outb": faults(GP),
    "vmxoff": faults(r"#(GP general protection|UD invalid opcode), error code 0x0 at rip 0x[0-9a-f]+ on core \d$"),
    "vmxon": faults(r"#(GP general protection|UD invalid opcode), error code 0x0 at rip 0x[0-9a-f]+ on core \d$"),
    "fpu": faults(r"#NM device not available, error code 0x0 at rip 0x[0-9a-f]+ on core \d$"),
    "execdata": faults(page_fault(r"execute of 0x11[0-9a-f]{10} \(not allowed\)")),
    "execdata2": faults(page_fault(r"execute of 0x4[0-9a-f]{5} \(not allowed\)"), "execdata", "data"),
    "execpool": faults(page_fault(r"execute of 0x200000000000 \(not allowed\)"), "execdata", "pool"),
    "writetext": faults(page_fault(r"write of 0x4[0-9a-f]{5} \(not allowed\)")),
    "writerodata": faults(page_fault(r"write of 0x4[0-9a-f]{5} \(not allowed\)"), "writetext", "rodata"),
    "deepstack": faults(page_fault(r"write of 0x1100001ef[0-9a-f]{3} \(not mapped\)"), cores="0"),
    "exit42": exits(42),
    "hello": exits(0),
    "badpointers": exits(0),
    "hog": exits(3),
    "pingpong": exits(0),
    "wildsysenter": exits(0),
}
# Stacks and return addresses that do not exist. 11 and 12 set only flags: the program goes on.
LETHAL = {0: OUTSIDE, 1: OUTSIDE, 2: OUTSIDE, 3: OUTSIDE, 4: OUTSIDE, 5: OUTSIDE,
          6: page_fault(r"execute of 0x7fffffffffff \(not mapped\)"), 7: page_fault(r"execute of 0x1 \(not mapped\)"),
          8: OUTSIDE, 9: OUTSIDE, 10: OUTSIDE}
CASES |= {f"lethal{number}": faults(why, "wildsysenter", f"lethal {number}") for number, why in LETHAL.items()}
CASES |= {f"lethal{number}": exits(0, "wildsysenter", f"lethal {number}") for number in (11, 12)}
ENDED = {"exited", "faulted", "killed", "refused"}

SAYS = {                                # what is on the console of those that end well
    "hello": "hello from hello: ABI 1, id ",
    "badpointers": "badpointers: all refused\n",
    "hog": "hog: quota used up after ",
    "pingpong": "pingpong: 1000 laps, 2000 signals among 2 agents\n",
    "wildsysenter": "wildsysenter: survived ",
    "lethal11": "lethal11: survived lethal variant 11\n",
    "lethal12": "lethal12: survived lethal variant 12\n",
}


def check_end(record, case):
    assert (record["state"], record["exit_code"]) == (case.state, case.code)
    assert re.match(case.why, record["why"]), record["why"]
    assert record["quota_used"] == 0, "page tables were given back"


@pytest.fixture(scope="class", params=["bochs", "tcg"])
def misbehaving(class_boot, request):
    """The shell of a machine with all of them, beside one that spins on every core."""
    config = MONITOR + personality("spin") + "".join(case.config(name) for name, case in CASES.items())
    programs = {case.program or name for name, case in CASES.items()} | {"monitor", "spin"}
    shell = class_boot.grub(config, [f"{program}.elf" for program in programs], emu=request.param, cores=2, mem="512M")
    assert shell.json("config")["errors"] == []

    def ends():
        states = shell.personalities()
        return states if all(states[name]["state"] in ENDED for name in CASES) else None
    shell.ends = shell.wait_until(ends, "all have ended")
    shell.end_log = shell.log()
    return shell


@pytest.mark.xdist_group("misbehaving")
class TestMisbehaving:
    @pytest.mark.parametrize("name", CASES)
    def test_end(self, misbehaving, name):
        check_end(misbehaving.ends[name], CASES[name])
        text = misbehaving.json(f"console {name}")["text"]
        assert "still runs" not in text
        assert SAYS.get(name, "") in text
        if CASES[name].state == "faulted":
            assert f"{name}: stopped: {misbehaving.ends[name]['why']}" in misbehaving.end_log
        else:
            assert f"{name}: exit code {CASES[name].code}" in misbehaving.end_log

    def test_the_rest_goes_on(self, misbehaving):
        states = {name: record["state"] for name, record in misbehaving.personalities().items()}
        assert (states["monitor"], states["spin"]) == ("running", "running")
        vmx = misbehaving.machine.emu == "bochs"
        for core in misbehaving.cores():
            assert (core["state"], core["vmxon"], core["vmxoff"]) == ("vmx" if vmx else "no-vmx", int(vmx), 0)

    def test_registers_are_kept(self, misbehaving):
        record = misbehaving.personality("readkernel")["registers"]
        assert (record["vector"], record["exception"]) == (14, "#PF page fault")
        assert record["fault_address"] == "0xffffffff80000000"
        assert 0x400000 <= int(record["rip"], 16) < 0x500000
        assert 0x110000000000 <= int(record["rsp"], 16) < 0x110000400000
        assert int(record["rflags"], 16) & 0x3202 == 0x202, "interrupts on, I/O privilege level 0"
        assert misbehaving.personality("divide")["registers"]["exception"] == "#DE divide error"
        assert "rip 0" in misbehaving.run("ps divide")
        assert "registers" not in misbehaving.personality("hello")

    def test_output_is_prefixed(self, misbehaving):
        shown = "\n".join(misbehaving.transcript())
        for name in ("divide", "cli", "outb"):
            assert f"[{name}] {name}: about to " in shown
        assert "[hello] hello from hello: " in shown
        assert "[spin] spin: agent 1 spins on core 1" in shown

    def test_quota(self, misbehaving):
        """The hog used up its own quota and nobody else's, and none of its maps went beyond."""
        text = misbehaving.json("console hog")["text"]
        maps = int(re.search(r"quota used up after (\d+) maps\n", text)[1])
        assert 50 < maps < (1 << 20) // 4096
        assert text.endswith("half a mapping: PV_ERR_QUOTA, nothing changed\n")

    def test_restart(self, misbehaving):
        """Everyone runs again when restarted, and comes to the same end."""
        for name, case in CASES.items():
            assert misbehaving.run(f"restart {name}") == f"{name}: restarted"
        for name, case in CASES.items():
            record = misbehaving.wait_for_state(name, *ENDED)
            assert record["restarts"] == 1
            check_end(record, case)
        assert misbehaving.json("console exit42")["text"] == ""
        assert misbehaving.json("console divide")["text"].count("about to divide") in (2, 3, 4)

    def test_kill(self, misbehaving):
        shell = misbehaving
        assert shell.run("kill spin") == "spin: killed"
        record = shell.personality("spin")
        assert (record["state"], record["why"], record["quota_used"]) == ("killed", "killed from the shell", 0)
        assert shell.run("kill spin") == "kill: spin is not running"
        switches = record["switches"]
        assert shell.personality("spin")["switches"] == switches, "it does not run any more"
        assert shell.run("restart spin") == "spin: restarted"
        record = shell.wait_for_state("spin", "running")
        assert (record["why"], record["restarts"]) == ("", 1)
        assert shell.run("restart spin") == "spin: restarted", "also one that runs"
        assert shell.personality("spin")["restarts"] == 2

    def test_kill_what_cannot_be_killed(self, misbehaving):
        assert misbehaving.run("kill monitor") == "kill: monitor is the monitor, and this is its shell"
        assert misbehaving.run("restart monitor") == "restart: monitor is the monitor, and this is its shell"
        assert misbehaving.run("kill divide") == "kill: divide is not running"
        assert misbehaving.run("kill nobody") == "kill: there is no personality 'nobody'; ps lists them"
        assert misbehaving.personality("monitor")["restarts"] == 0

    def test_power_off(self, misbehaving):
        vmx = misbehaving.machine.emu == "bochs"
        assert any(f"all cores stopped: {2 * vmx} VMXON, {2 * vmx} VMXOFF" in line for line in misbehaving.power_off())


def ticks(shell, names):
    states = shell.personalities()
    return [states[name]["ticks_ring3"] for name in names]


@pytest.mark.xdist_group("spinning")
class TestSpinning:
    """Several endless loops on every core."""
    NAMES = [f"spin{number}" for number in range(4)]

    @pytest.fixture(scope="class")
    def shell(self, class_boot):
        config = MONITOR + "".join(personality(name, "spin.elf") for name in self.NAMES)
        return class_boot.grub(config, ["monitor.elf", "spin.elf"], emu="bochs", cores=4)

    def test_everyone_gets_slices(self, shell):
        before = ticks(shell, self.NAMES)
        switches = [core["switches"] for core in shell.cores()]
        shell.wait_until(lambda: all(core["switches"] > count + 20 for core, count in zip(shell.cores(), switches)),
                         "every core has switched 20 times")
        gained = [now - then for now, then in zip(ticks(shell, self.NAMES), before)]
        assert min(gained) > 0.5 * sum(gained) / len(gained), gained
        for core in shell.cores():
            assert core["ticks_idle"] < core["ticks_total"] / 2

    def test_kill_and_restart(self, shell):
        """A hundred lives: nothing is left behind by any of them."""
        for name in self.NAMES[1:]:
            shell.run(f"kill {name}")
        shell.run("restart spin0")
        memory, quota = shell.json("mem"), shell.personality("spin0")["quota_used"]
        restarts = shell.personality("spin0")["restarts"]
        for _ in range(50):
            shell.send("restart spin0\rkill spin0\r")
            assert shell.result("restart spin0") == "spin0: restarted"
            assert shell.result("kill spin0") == "spin0: killed"
            assert shell.run("restart spin0") == "spin0: restarted"
        record = shell.personality("spin0")
        assert (record["state"], record["restarts"]) == ("running", restarts + 100)
        assert record["quota_used"] == quota
        assert shell.json("mem") == memory
        assert [core["vmxoff"] for core in shell.cores()] == [0] * 4
        spinning = ticks(shell, ["spin0"])
        shell.wait_until(lambda: ticks(shell, ["spin0"]) > spinning, "it runs")


@pytest.mark.xdist_group("consoles")
class TestConsoles:
    """The serial line, shared."""
    LINES = 3000

    @pytest.fixture(scope="class")
    def shell(self, class_boot):
        config = MONITOR + personality("chatter", args=f'"{self.LINES}"') + personality("echo") + personality("hello")
        return class_boot.grub(config, ["monitor.elf", "chatter.elf", "echo.elf", "hello.elf"], emu="bochs", cores=2)

    def test_flood(self, shell):
        """One that prints faster than the line can send loses its oldest text, which is counted, and hinders nobody."""
        shell.answers()
        record = shell.wait_for_state("chatter", "exited")
        kept = shell.json("console chatter")
        assert kept["dropped"] == record["console_dropped"] > 0
        lines = kept["text"].splitlines()[1:]
        assert lines == [f"line {number} of {self.LINES}" for number in range(self.LINES - len(lines) + 1, self.LINES + 1)]
        assert 31000 < len(kept["text"]) <= 32768
        shell.expect(f"[chatter] line {self.LINES} of {self.LINES}\r\n")
        shell.send("\x03")
        shell.result()
        shell.answers()

    def test_attach(self, shell):
        assert shell.wait_for_state("echo", "waiting")["why"] == ""
        shell.send("attach echo\r")
        shell.expect("attached to echo; Ctrl-] returns to the shell\r\n")
        shell.send("good morning\r")
        shell.expect("good morning\r\n")
        shell.expect("you said: good morning\r\n")
        shell.send(CTRL_RIGHT_BRACKET)
        shell.result()
        shell.answers()
        assert "good morning" in shell.json("console echo")["text"]

    def test_attached_output_is_not_prefixed(self, shell):
        """Output of the attached one has no prefix; the others' is kept and can be seen later."""
        shell.send("attach echo\r")
        shell.expect("attached to echo; Ctrl-] returns to the shell\r\n")
        shell.send("quit\r")
        before, _ = shell.expect("quit\r\n")
        assert b"[echo]" not in before
        shell.send(CTRL_RIGHT_BRACKET)
        shell.result()
        assert shell.wait_for_state("echo", "exited")["exit_code"] == 0

    def test_attach_to_one_that_has_ended(self, shell):
        """What it printed is shown again."""
        shell.wait_for_state("hello", "exited")
        shell.send("attach hello\r")
        shell.expect("attached to hello; Ctrl-] returns to the shell\r\n")
        shell.expect("hello from hello: ABI 1")
        shell.send("is anybody there?\r" + CTRL_RIGHT_BRACKET)
        shell.result()
        shell.answers()

    def test_attach_to_nobody(self, shell):
        assert shell.run("attach nobody") == "attach: there is no personality 'nobody'; ps lists them"
        assert shell.run("attach monitor") == "attach: this is the console of monitor already"
