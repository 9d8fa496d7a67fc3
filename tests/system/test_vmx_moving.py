"""Vcpus that go from core to core while their guests run, and personalities that are killed, restarted and paused in the middle
of theirs: guests keep all their registers, and nothing is left behind."""
import re

from images import MONITOR, personality

MOVES = 1000
STRIKES = {"kills": 300, "restarts": 400, "pauses": 300}


def test_vcpus_wander(boot):
    """Two vcpus, fought for by four agents; others use the same cores, and other values in all registers."""
    config = ("slice 100us\n" + MONITOR + personality("wander", memory="8M", args=f'"{MOVES}"')
              + personality("tiny", memory="24M", args='"guests=long64 report=0"'))
    shell = boot.grub(config, ["monitor.elf", "tiny.elf", "wander.elf"], emu="bochs", cores=4)
    shell.expect(re.compile(rb"\[wander\] (\d+) errors\r\n"))
    text = shell.json("console wander")["text"]
    found = re.findall(r"^guest \d: (\d+) moves, (\d+) rounds, 0 odd runs, register 0 wrong$", text, re.M)
    assert len(found) == 2, text
    vcpus = shell.json("vcpus wander")["vcpus"]
    for (moves, rounds), vcpu in zip(found, vcpus):
        assert MOVES <= int(moves) <= vcpu["moves"]
        assert int(rounds) > int(moves), "the guest ran in between"
    assert shell.ask("wander") == text.splitlines()[-1] == "0 errors"
    assert " errors=0 " in shell.ask("tiny")
    assert [(core["vmxon"], core["vmxoff"]) for core in shell.cores()] == [(1, 0)] * 4
    assert shell.wait_for_state("wander", "exited")["exit_code"] == 0


def test_upheaval(boot):
    """`upheaval` is in the monitor's place, so there is no shell. Small weights make many short turns."""
    numbers = " ".join(f"{what}={number}" for what, number in {"moves": MOVES, **STRIKES}.items())
    config = (f'slice 100us\npersonality upheaval {{ image upheaval.elf; memory 1M; debug yes; args "{numbers}" }}\n'
              + personality("bystander", "tiny.elf", memory="16M", weight=20, args='"guests=real16,long64 report=300ms"')
              + personality("one", "tiny.elf", memory="8M", weight=40, args='"guests=real16 report=0"')
              + personality("two", "tiny.elf", memory="8M", weight=40, args='"guests=real16 sched=edf report=0"'))
    machine = boot.start(emu="bochs", boot="grub", cores=3, iso=boot.images.iso(config, ["upheaval.elf", "tiny.elf"]))
    machine.expect(re.compile(rb"upheaval: \d+ errors\r\n"))
    end = machine.expect_end()
    said = machine.transcript()
    assert [line for line in said if "error:" in line] == []
    assert "upheaval: 0 errors" in said
    (moves,) = [line for line in said if line.startswith("upheaval: each vcpu moved ")]
    assert int(moves.split()[4]) == MOVES
    strikes = said.index(f"upheaval: {', '.join(f'{number} {what}' for what, number in STRIKES.items())}")
    # Having moved, while the others had their troubles.
    rounds = [re.fullmatch(r"\[bystander\] rounds=(\d+) errors=0 vcpus=6 .*", line) for line in said[said.index(moves):strikes]]
    rounds = [int(match[1]) for match in rounds if match]
    assert len(rounds) >= 2 and rounds == sorted(set(rounds))
    assert any(line.endswith("all cores stopped: 3 VMXON, 3 VMXOFF") for line in end)
