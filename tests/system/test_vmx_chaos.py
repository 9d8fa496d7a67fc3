"""A hostile tenant: chaos does at random whatever a personality and its guests can try. Whoever shares the cores with it keeps
every register and every share of the time, and when it is killed nothing of it is left."""
import re

import pytest

from images import MONITOR, personality

CORES = 4
SEEDS = range(1, 9)
TICKS = 5_000_000                       # that each seed has of the cores
HONEST = {"steady": 100, "urgent": 200}
CHAOS = 100                             # its weight
PATIENCE = 3_000_000                    # ticks: 60 ms
LIVES = 10                              # of a seed: some things that it does end it


def name_of(seed):
    return f"chaos{seed}"


def agents(shell, name):
    """The agents of a personality, in the order of the cores."""
    return shell.json(f"agents {name}")["agents"]


def ticks(shell, names):
    """What each agent of some personalities has had of its core, all at one moment."""
    listed = shell.json("agents")["agents"]
    return [[agent["ticks"] for agent in listed if agent["personality"] == name] for name in names]


@pytest.mark.xdist_group("chaos")
class TestChaos:
    @pytest.fixture(scope="class")
    def shell(self, class_boot):
        config = "slice 200us\n" + MONITOR
        config += personality("steady", "tiny.elf", memory="48M", weight=HONEST["steady"], args='"sched=rr report=0"')
        config += personality("urgent", "tiny.elf", memory="48M", weight=HONEST["urgent"], args='"sched=prio report=0"')
        for seed in SEEDS:
            config += personality(name_of(seed), "chaos.elf", memory="12M", args=f'"forever=1 seed={seed}"')
        class_boot.tolerated = re.compile("VMFAIL")     # entries that the processor refuses
        shell = class_boot.grub(config, ["monitor.elf", "tiny.elf", "chaos.elf"], emu="bochs", cores=CORES)
        assert shell.json("config")["errors"] == []
        shell.wait_until(lambda: all(shell.personality(name)["exits_delivered"] for name in HONEST), "honest guests run")
        shell.memory = shell.json("mem")
        return shell

    @staticmethod
    def end(shell, name):
        """Kills it, unless it has ended by itself; nothing of it is left."""
        shell.run(f"kill {name}")
        record = shell.personality(name)
        assert record["state"] in ("killed", "faulted", "exited")
        assert (record["vcpus"], record["quota_used"]) == (0, 0)
        assert shell.json(f"vcpus {name}")["vcpus"] == []

    def test_all_at_once(self, shell):
        """They disturb each other, too."""
        assert max(shell.answer_ticks() for _ in range(3)) < PATIENCE
        for seed in SEEDS:
            self.end(shell, name_of(seed))

    @pytest.mark.parametrize("seed", SEEDS)
    def test_one(self, shell, seed):
        """Its ticks are spread over several lives where it does something that ends it, which is its right."""
        name, done = name_of(seed), 0
        names = ["steady", "urgent", name]
        before = ticks(shell, names)

        def look():
            """Its time, and whether it lives; None while it needs more time, and lives."""
            now = agents(shell, name)
            had, lives = sum(agent["ticks"] for agent in now) - sum(before[-1]), now[0]["state"] != "stopped"
            return (had, lives) if had >= TICKS or not lives else None
        for _ in range(LIVES):
            assert shell.run(f"restart {name}") == f"{name}: restarted"
            had, _ = shell.wait_until(look, "time passes")
            if had >= TICKS:
                break
        assert had >= TICKS
        assert shell.answer_ticks() < PATIENCE
        after = ticks(shell, names)
        self.end(shell, name)
        for core in range(CORES):
            steady, urgent, chaos = (now[core] - then[core] for now, then in zip(after, before))
            assert abs(urgent - 2 * steady) <= 0.05 * urgent, (steady, urgent, chaos)
            assert chaos <= 1.05 * steady, (steady, urgent, chaos)

    def test_they_did_something(self, shell):
        """Each has said how many calls it made, how many of its guests' runs began, how many ended by an exit."""
        said = re.findall(r"^\[chaos(\d)\] alive seed=(\d) calls=(\d+) runs=(\d+) exits=(\d+)",
                          "\n".join(shell.transcript()), re.M)
        for seed in SEEDS:
            (*_, last) = ((int(number), *map(int, counts)) for name, number, *counts in said if name == str(seed))
            assert last[0] == seed and min(last[1:]) > 10, last

    def test_the_honest_noticed_nothing(self, shell):
        for name in HONEST:
            record = shell.personality(name)
            assert (record["state"], record["restarts"]) == ("running", 0)
            assert " errors=0 " in shell.ask(name), shell.json(f"console {name}")["text"]
        assert [(core["state"], core["vmxon"], core["vmxoff"]) for core in shell.cores()] == [("vmx", 1, 0)] * CORES
        assert shell.json("mem") == shell.memory
