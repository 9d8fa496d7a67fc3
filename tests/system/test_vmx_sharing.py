"""Four personalities whose guests share four cores: many switches from guest to guest, and every guest, every core and every
share of the time is as it should be."""
import pytest

from console import TIMEOUT
from images import MONITOR, personality

CORES = 4
SWITCHES = 10_000                       # on each core
WEIGHTS = {"rr": 100, "prio": 200, "edf": 300, "smp": 150}
ARGS = {"rr": "sched=rr", "prio": "sched=prio", "edf": "sched=edf share=100", "smp": "guests=smp64,real16 msrs=exit"}
TICKS = ["ticks_idle", "ticks_mux", "ticks_ring3", "ticks_guest"]


def agent_ticks(shell):
    """What every agent has had of its core: by personality and core."""
    return {(agent["personality"], agent["core"]): agent["ticks"] for agent in shell.json("agents")["agents"]}


@pytest.mark.xdist_group("sharing")
class TestSharing:
    @pytest.fixture(scope="class")
    def shell(self, class_boot):
        """The shell of a machine whose cores have switched often; with what agents had before and after."""
        config = "slice 100us\n" + MONITOR + "".join(
            personality(name, "tiny.elf", memory="48M", weight=weight, args=f'"{ARGS[name]} report=0"')
            for name, weight in WEIGHTS.items())
        shell = class_boot.grub(config, ["monitor.elf", "tiny.elf"], emu="bochs", cores=CORES)
        shell.wait_until(lambda: all(shell.personality(name)["exits_delivered"] for name in WEIGHTS), "all guests run")
        shell.before = agent_ticks(shell)
        shell.wait_until(lambda: min(core["switches"] for core in shell.cores()) >= SWITCHES, "every core has switched often",
                         2 * TIMEOUT)
        shell.after = agent_ticks(shell)
        return shell

    def test_every_guest_is_unharmed(self, shell):
        """Guests check registers, FPU, memory, MSRs, timers and interrupts in every round; none found anything wrong."""
        for name in WEIGHTS:
            counts = dict(word.split("=") for word in shell.ask(name).split())
            assert counts["errors"] == "0", shell.json(f"console {name}")["text"]
            assert int(counts["rounds"]) > 300
            assert (counts["vcpus"], shell.personality(name)["vcpus"]) == ("12" if name != "smp" else "8",
                                                                          12 if name != "smp" else 8)

    def test_vmx_operation_was_never_left(self, shell):
        assert [(core["state"], core["vmxon"], core["vmxoff"]) for core in shell.cores()] == [("vmx", 1, 0)] * CORES

    @pytest.mark.parametrize("core", range(CORES))
    def test_shares_follow_weights(self, shell, core):
        """On each core by itself, within 2 %; nothing of the core was idle."""
        had = {name: shell.after[name, core] - shell.before[name, core] for name in WEIGHTS}
        for name, weight in WEIGHTS.items():
            due = sum(had.values()) * weight / sum(WEIGHTS.values())
            assert abs(had[name] - due) <= 0.02 * due, had

    def test_every_tick_is_accounted_for(self, shell):
        """The parts add up to the whole on each core, and what cores spent in guests is what guests ran."""
        for name in WEIGHTS:
            assert shell.run(f"pause {name}") == f"{name}: paused"
        shell.wait_until(lambda: not any(agent["state"] == "running" for agent in shell.json("agents")["agents"]
                                         if agent["personality"] != "monitor"), "all are held")
        cores = shell.cores()
        for core in cores:
            assert core["ticks_total"] == sum(core[kind] for kind in TICKS)
            assert all(0 < core[kind] < core["ticks_total"] for kind in TICKS), core
        guests = sum(core["ticks_guest"] for core in cores)
        assert guests == sum(vcpu["run_time"] for vcpu in shell.json("vcpus")["vcpus"])
        assert guests == sum(record["ticks_guest"] for record in shell.personalities().values())
