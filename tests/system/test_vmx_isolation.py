"""What a personality, or its guest, must not be able to do. The programs tests/personalities/isolation_*.c try it, beside
others whose spaces, vcpus and registers they would like to reach."""
import re

import pytest

from images import MONITOR, personality

PROGRAMS = ["isolation_pool", "isolation_memory", "isolation_ids", "isolation_controls", "isolation_host", "isolation_msrs",
            "isolation_ports", "isolation_spin"]
NEIGHBOURS = ["tiny", "victim"]


@pytest.mark.xdist_group("isolation")
class TestIsolation:
    @pytest.fixture(scope="class")
    def shell(self, class_boot):
        config = ("slice 500us\n" + MONITOR
                  + personality("tiny", memory="16M", args='"guests=long64,real16 report=0"')
                  + personality("victim", "isolation_ids.elf", memory="8M", cores="0", args='"victim"')
                  + "".join(personality(name, memory="8M", cores=number % 2) for number, name in enumerate(PROGRAMS))
                  + personality("granted_ports", "isolation_ports.elf", memory="8M", cores=0, io="0x80; io 0x300-0x303",
                                args='"granted"')
                  + personality("granted_msrs", "isolation_msrs.elf", memory="8M", cores=1, msr="0x10 read",
                                args='"granted"'))
        programs = [f"{name}.elf" for name in PROGRAMS]
        shell = class_boot.grub(config, ["monitor.elf", "tiny.elf", *programs], emu="bochs", cores=2)
        assert shell.json("config")["errors"] == []
        shell.wait_until(lambda: all(shell.personality(name)["exits_absorbed"] for name in NEIGHBOURS), "guests run")
        # Again: the first time it may have looked for others' vcpus before there were any.
        shell.wait_for_state("isolation_ids", "exited")
        assert shell.run("restart isolation_ids") == "isolation_ids: restarted"
        return shell

    @pytest.mark.parametrize("name", PROGRAMS + ["granted_ports", "granted_msrs"])
    def test_refused(self, shell, name):
        record = shell.wait_for_state(name, "exited", "faulted")
        lines = shell.json(f"console {name}")["text"].splitlines()
        assert [line for line in lines if line.startswith("NOT refused")] == []
        assert sum(line.startswith("refused: ") for line in lines) >= 3
        assert lines[-1] == "0 not refused"
        assert (record["state"], record["exit_code"]) == ("exited", 0)
        assert record["quota_used"] == 0
        assert shell.personality("tiny")["state"] == "running"

    def test_the_neighbours_noticed_nothing(self, shell):
        shell.wait_for_state("isolation_ids", "exited")
        assert shell.personality("victim")["vcpus"] == 1, "its vcpu was there while others were looking for it"
        assert re.match(r"undisturbed: counted to \d{5}", shell.ask("victim"))
        assert shell.wait_for_state("victim", "exited")["exit_code"] == 0
        assert " errors=0 " in shell.ask("tiny")
        assert [(core["vmxon"], core["vmxoff"]) for core in shell.cores()] == [(1, 0)] * 2


@pytest.mark.xdist_group("sitters")
class TestSitters:
    """Guests that never exit by themselves, some with interrupts off, in runs without a budget, on one core with others."""
    SITTERS = [f"sitter{number}" for number in range(6)]
    STRING, DEBUG = 3, 5                    # of the sitters: long string instructions; endless debug exceptions
    PATIENCE = 2_000_000                    # ticks: all of eight turns, several times over

    @pytest.fixture(scope="class")
    def shell(self, class_boot):
        config = ("slice 500us\n" + MONITOR
                  + personality("tiny", memory="16M", cores=0, args='"guests=long64,real16 report=0"')
                  + "".join(personality(name, "isolation_spin.elf", memory="8M", cores=0, args=f'"{number}"')
                            for number, name in enumerate(self.SITTERS)))
        shell = class_boot.grub(config, ["monitor.elf", "tiny.elf", "isolation_spin.elf"], emu="bochs", cores=2)
        shell.wait_until(lambda: all(shell.personality(name)["vcpus"] for name in self.SITTERS), "all sit")
        return shell

    @staticmethod
    def ticks(shell):
        return {agent["personality"]: agent["ticks"] for agent in shell.json("agents")["agents"] if agent["core"] == 0}

    def test_nobody_gets_more_than_a_share(self, shell):
        """What one of them overran (Bochs interrupts no string instruction with several cores), it paid back."""
        before = self.ticks(shell)
        shell.wait_until(lambda: self.ticks(shell)["tiny"] > before["tiny"] + 5_000_000, "time passes")
        had = {name: ticks - before[name] for name, ticks in self.ticks(shell).items() if name != "monitor"}
        fair = sum(had.values()) / len(had)
        for name, ticks in had.items():
            assert abs(ticks - fair) < 0.05 * fair, had

    def test_the_shell_answers(self, shell):
        assert max(shell.answer_ticks() for _ in range(5)) < self.PATIENCE

    def test_they_can_be_killed(self, shell):
        for name in self.SITTERS:
            assert shell.run(f"kill {name}") == f"{name}: killed"
            assert shell.personality(name)["quota_used"] == 0
            assert "came back" not in shell.json(f"console {name}")["text"]
        assert " errors=0 " in shell.ask("tiny")
        assert [(core["vmxon"], core["vmxoff"]) for core in shell.cores()] == [(1, 0)] * 2
