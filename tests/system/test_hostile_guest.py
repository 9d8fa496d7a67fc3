"""Hostile guests of the linux personality: tests/kernels/scribble writes random values to every port, register, MSR and virtio ring that
is emulated, panics, resets, triple-faults and fills its disk. At worst its own personality ends or begins anew; nobody else notices."""
import re

import pytest

from images import BUILD, MONITOR, find_program, make, personality

ROUNDS = 1000
DISK = bytes(256 * 1024)
COMMON = "polyvisor.console=virtio polyvisor.entropy=timing polyvisor.overlay=64K"
# Seed: where it runs, and how its machine is made.
SEEDS = {
    1: ("0", "polyvisor.apicv=off"),
    2: ("0-1", "polyvisor.cpus=3 polyvisor.apicv=registers"),
    3: ("0-1", "polyvisor.cpus=2 polyvisor.x2apic=off"),
    4: ("1", "polyvisor.cpus=2"),
}
# Name: what its kernel does, its exit code, what is said.
ENDS = {
    "off": ("what=end", 0, "linux: the guest switches the machine off"),
    "panics": ("what=end end=panic", 3, "linux: the guest's kernel has panicked"),
    "triple": ("what=end end=triple", 1, ": triple fault"),
    "copies": ("what=end end=strange how=0", 0, "scribble: strange 0: as it should be"),
    "jumps": ("what=end end=strange how=1", 0, "scribble: strange 1: as it should be"),
    "strings": ("what=end end=strange how=2", 0, "scribble: strange 2: as it should be"),
    "odd": ("what=end end=strange how=3", 0, "access to 0xfec00000 by an instruction that is not emulated: ff 03 c3"),
    "table": ("what=end end=table", 1, "an event cannot be delivered: it needs memory at 0xfec00030"),
}
# The same, started again each time; "any" is something else in each life, resets among them.
AGAIN = {"dies": "what=end end=triple", "any": "seed=5 what=end end=any"}
LIVES = 5                                # then it is given up
RESETS = 4
BLOCKS, COPIES = len(DISK) // 4096, 16


def block(name, arguments, **keys):
    keys = {"memory": "8M", "cores": "1", "module": "kernel scribble.elf", **keys}
    return personality(name, "linux.elf", args=f'"{arguments}"', **keys)


def configuration():
    text = MONITOR + personality("tiny", memory="16M", weight=10, args='"report=0"')
    text += "".join(block(f"seed{seed}", f"seed={seed} rounds={ROUNDS} what=all {COMMON} {options}", cores=cores, net="lan",
                          memory="16M", module="kernel scribble.elf; module disk disk") for seed, (cores, options) in SEEDS.items())
    text += "".join(block(name, arguments) for name, (arguments, *_) in ENDS.items())
    text += "".join(block(name, arguments, on_exit="restart") for name, arguments in AGAIN.items())
    text += block("resets", "what=end end=reset") + block("stops", "what=end end=stop")
    text += block("fills", f"what=disk polyvisor.overlay={4 * COPIES}K", module="kernel scribble.elf; module disk disk")
    return text + block("tight", "what=disk polyvisor.overlay=9M", module="kernel scribble.elf; module disk large")


def counts(said, what):
    """The numbers of the kernel's line about `what`."""
    lines = re.findall(rf"scribble: {what}: (.*)", said)
    assert len(lines) == 1, said
    return [int(number) for number in re.findall(r"\d+", lines[0])]


def tiny_rounds(shell):
    match = re.search(r"rounds=(\d+) errors=(\d+)", shell.ask("tiny"))
    assert int(match[2]) == 0
    return int(match[1])


def ended(shell, name):
    """Waits for its end, which is one of its own making; its record, and what it has said."""
    record = shell.wait_for_state(name, "exited", "faulted", "killed")
    said = shell.json(f"console {name}")["text"].replace("\r", "")
    assert record["state"] == "exited", said
    return record, said


@pytest.fixture(name="shell", scope="class")
def start(class_boot):
    make("test-kernels")
    files = {name: find_program(name) for name in ("monitor.elf", "tiny.elf", "linux.elf")}
    files |= {"scribble.elf": BUILD / "kernels/scribble.elf", "disk": DISK, "large": bytes(9 << 20)}
    shell = class_boot.grub(configuration(), files, cores=2, mem="512M")
    shell.rounds = tiny_rounds(shell)
    return shell


@pytest.mark.xdist_group("hostile_guest")
class TestHostileGuest:
    @pytest.mark.parametrize("name", ENDS)
    def test_end(self, shell, name):
        """Each end is told by a message and by the exit code."""
        _, code, message = ENDS[name]
        record, said = ended(shell, name)
        assert (record["exit_code"], record["restarts"]) == (code, 0), said
        assert message in said, said

    @pytest.mark.parametrize("name", AGAIN)
    def test_started_again(self, shell, name):
        """As often as the configuration allows."""
        def parked():
            record = shell.personality(name)
            return record if "parked" in record["why"] else None
        record = shell.wait_until(parked, f"{name} is parked")
        assert (record["state"], record["restarts"]) == ("exited", LIVES - 1)
        said = shell.json(f"console {name}")["text"]
        assert said.count("scribble: seed ") >= LIVES, said

    def test_reset(self, shell):
        """A guest that resets its machine, in each of the ways, is there again, in the same life of its personality."""
        record, said = ended(shell, "resets")
        assert (record["exit_code"], record["restarts"]) == (0, 0), said
        assert said.count("linux: the guest resets the machine") == RESETS and said.count("scribble: seed ") == RESETS + 1, said

    def test_stopped(self, shell):
        """A guest that stops its only processor for good stands still and costs nothing, until somebody ends it."""
        shell.wait_until(lambda: "scribble: stop" in shell.json("console stops")["text"], "it has stopped")
        before = shell.wait_for_state("stops", "waiting")
        shell.answers()
        assert shell.personality("stops")["exits_delivered"] == before["exits_delivered"]
        assert shell.run("kill stops") == "stops: killed"

    def test_full_disk(self, shell):
        """What there is no room for is an I/O error for the guest; the rest is there, and nothing else."""
        record, said = ended(shell, "fills")
        assert record["exit_code"] == 0, said
        assert f"disk: {BLOCKS} blocks, {COPIES} written, {BLOCKS - COPIES} refused, 0 wrong\n" in said, said
        assert said.count(f"the overlay is full ({4 * COPIES} of {4 * COPIES} KiB)") == 1, said

    def test_no_room_for_overlay(self, shell):
        record, said = ended(shell, "tight")
        assert record["exit_code"] == 2 and "linux: no memory for the disk's overlay of 9216K" in said, said

    @pytest.mark.parametrize("seed", SEEDS)
    def test_scribble(self, shell, seed):
        """It has done all that it was to do, and found nothing wrong with its machine. Numbers: of what was done at least."""
        record, said = ended(shell, f"seed{seed}")
        assert (record["exit_code"], record["restarts"]) == (0, 0) and "scribble: end\n" in said, said
        writes, reads, strings = counts(said, "ports")
        assert writes + reads + strings >= ROUNDS and writes > ROUNDS / 2 and strings > 0
        writes, reads, changes = counts(said, "mmio")
        assert writes + reads + changes >= ROUNDS and writes > ROUNDS / 2 and changes > ROUNDS / 40
        starts, _, chains, requests, breaks = counts(said, "virtio")
        assert starts >= ROUNDS // 8 and chains > starts / 2 and requests > starts / 4 and breaks > starts / 2
        writes, reads, refused = counts(said, "msrs")
        assert writes + reads >= ROUNDS and refused > ROUNDS / 10 and writes + reads - refused > ROUNDS / 10
        executed, faults, registers = counts(said, "odd")
        assert executed + registers >= ROUNDS and faults > ROUNDS / 10
        ports, writes, reads = counts(said, "all ports")
        assert ports == 65536 / len(SEEDS) and min(writes, reads) > ports / 16
        interrupts, others = (int(n) for n in re.search(r"scribble: interrupts (\d+), other processors (\d+)", said).groups())
        assert interrupts > 20 and (others > 5) == ("polyvisor.cpus" in SEEDS[seed][1])

    def test_nobody_else_noticed(self, shell):
        """The shell, tiny with its guests that check themselves, the cores, and the multiplexer's log."""
        shell.answers()
        assert tiny_rounds(shell) > shell.rounds
        for name in ("tiny", "monitor"):
            record = shell.personality(name)
            assert (record["state"], record["restarts"]) == ("running", 0)
        for core in shell.cores():
            assert core["vmxon"] == 1 and core["vmxoff"] == 0
        ours = "|".join([*ENDS, *AGAIN, "resets", "stops", "fills", "tight", *(f"seed{seed}" for seed in SEEDS)])
        known = re.compile(rf"({ours}): (exit code [0123]|started again|killed|parked, not started again: .*)$")
        log = shell.log()
        first = next(i for i, line in enumerate(log) if known.match(line))
        assert not [line for line in log[first:] if not known.match(line)]
        shell.power_off()
