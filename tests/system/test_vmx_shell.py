"""What the shell tells of guests and time, and how it steers them: numbers that have to fit together."""
import re

import pytest

from images import MONITOR, personality

CORES = 3
FRAME = {"monitor": 200, "light": 300, "heavy": 600, "idle": 100}       # microseconds
WEIGHTS = {"light": 100, "heavy": 300}
REASONS = {"HLT": 12, "I/O": 30, "timer": 52}


def config(policy):
    slots = "".join(f"slot {name} {time}us; " for name, time in FRAME.items())
    # one of three guests can run at any time; of two both may wait, and who sleeps gives up its share
    tinies = "".join(personality(name, "tiny.elf", memory="24M", weight=weight, args='"guests=long64,real16,prot32 report=0"')
                     for name, weight in WEIGHTS.items())
    return f"slice 300us\npolicy {policy}\nframe {{ {slots[:-2]} }}\n" + MONITOR + tinies


def agents(shell, name):
    return shell.json(f"agents {name}")["agents"]


def ticks(shell, name):
    """By core, what the agents of a personality have had."""
    found = dict.fromkeys(range(CORES), 0)
    for agent in agents(shell, name):
        found[agent["core"]] += agent["ticks"]
    return found


def sample(shell):
    """Total ticks by core, and what the agents of each of the two have had, by name and core. The clock goes on between commands: the
    agents come from one, and the totals from before and after it."""
    before = shell.cores()
    listed = shell.json("agents")["agents"]
    total = [(then["ticks_total"] + now["ticks_total"]) / 2 for then, now in zip(before, shell.cores())]
    had = dict.fromkeys(((name, core) for name in WEIGHTS for core in range(CORES)), 0)
    for agent in listed:
        if agent["personality"] in WEIGHTS:
            had[agent["personality"], agent["core"]] += agent["ticks"]
    return total, had


def shares(shell, least=40_000_000):
    """What part of each core's time the two got, by name and core, over so many ticks at least."""
    total, had = sample(shell)
    shell.wait_until(lambda: min(core["ticks_total"] - then for core, then in zip(shell.cores(), total)) >= least, "time passes")
    total_now, had_now = sample(shell)
    return {key: (had_now[key] - had[key]) / (total_now[key[1]] - total[key[1]]) for key in had}


def assert_shares(found, expected, tolerance):
    for (name, core), share in found.items():
        assert abs(share - expected[name]) <= tolerance * expected[name], (name, core, found)


@pytest.fixture(scope="class")
def shell(class_boot, request):
    shell = class_boot.grub(config(request.cls.POLICY), ["monitor.elf", "tiny.elf"], emu="bochs", cores=CORES)
    assert shell.json("config")["errors"] == []
    shell.wait_until(lambda: all(min(vcpu["run_time"] for vcpu in shell.json(f"vcpus {name}")["vcpus"] or [{"run_time": 0}])
                                 for name in WEIGHTS), "all guests run")
    return shell


@pytest.mark.xdist_group("frame")
class TestFrame:
    POLICY = "frame"

    def test_slots_not_weights(self, shell):
        """Each gets what the table says, on every core, whatever its weight. The idle slot stays idle."""
        sched = shell.json("sched")
        assert (sched["policy"], sched["frame_slots"]) == ("frame", len(FRAME))
        whole = sum(FRAME.values())
        before = shell.cores()
        assert_shares(shares(shell), {name: FRAME[name] / whole for name in WEIGHTS}, 0.02)
        for core, then in zip(shell.cores(), before):
            idle, total = (core[kind] - then[kind] for kind in ("ticks_idle", "ticks_total"))
            assert idle >= 0.95 * total * FRAME["idle"] / whole

    def test_weights_do_not_matter(self, shell):
        assert shell.run("sched weight light 10000") == "light: weight 10000"
        assert_shares(shares(shell), {name: FRAME[name] / sum(FRAME.values()) for name in WEIGHTS}, 0.02)
        shell.run("sched weight light 100")

    def test_pin(self, shell):
        """All agents of a personality on one core share its slots there; on the other cores nobody has them."""
        assert shell.run("pin light 0") == "light: on cores 0"
        found = shares(shell)
        fair = {name: FRAME[name] / sum(FRAME.values()) for name in WEIGHTS}
        assert [found["light", core] for core in (1, 2)] == [0, 0]
        assert_shares({key: share for key, share in found.items() if share}, fair, 0.02)
        before = agents(shell, "light")
        shell.wait_until(lambda: all(now["ticks"] > then["ticks"] for now, then in zip(agents(shell, "light"), before)),
                         "all three have had slots")
        assert shell.run("pin light all") == "light: on cores 0-2"
        assert_shares(shares(shell), fair, 0.02)

    def test_to_weighted_and_back(self, shell):
        assert shell.run("sched policy weighted") == "policy: weighted"
        assert shell.json("sched")["policy"] == "weighted"
        found = shares(shell)
        for core in range(CORES):
            assert abs(found["heavy", core] / found["light", core] - 3) < 0.06, found
        assert shell.run("sched policy frame") == "policy: frame"
        assert_shares(shares(shell), {name: FRAME[name] / sum(FRAME.values()) for name in WEIGHTS}, 0.02)


@pytest.mark.xdist_group("steering")
class TestSteering:
    POLICY = "weighted"

    def test_weights_at_run_time(self, shell):
        for weight in (100, 150):
            assert shell.run(f"sched weight heavy {weight}") == f"heavy: weight {weight}"
            assert shell.personality("heavy")["weight"] == weight
            assert [record["weight"] for record in shell.json("sched")["personalities"] if record["name"] == "heavy"] == [weight]
            found = shares(shell)
            for core in range(CORES):
                assert abs(found["heavy", core] / found["light", core] - weight / 100) < 0.02 * weight / 100, found

    def test_slice_at_run_time(self, shell):
        """A quarter of the slice makes four times the switches."""
        def rate():
            before = shell.cores()
            shares(shell)
            after = shell.cores()
            return [(now["switches"] - then["switches"]) / (now["ticks_total"] - then["ticks_total"])
                    for now, then in zip(after, before)]
        rates = {}
        for slice_us in (800, 200):
            assert shell.run(f"sched slice {slice_us}us") == f"slice: {slice_us / 1000:.3f} ms"
            sched, hz = shell.json("sched"), shell.json("machine")["tsc_hz"]
            assert sched["slice_us"] == slice_us
            assert abs(sched["slice_ticks"] - hz * slice_us // 1_000_000) <= 1
            rates[slice_us] = rate()
        for slow, fast in list(zip(rates[800], rates[200]))[1:]:          # core 0 switches for the shell, too
            assert 3.4 < fast / slow < 4.6, rates

    @pytest.mark.parametrize("cores, places", [("1", [1, 1, 1]), ("0,2", [0, 2, 0]), ("all", [0, 1, 2])])
    def test_pin(self, shell, cores, places):
        """Agents go where they shall, in turn, with their vcpus, and their guests go on there, and only there."""
        def arrived():
            return [agent["core"] for agent in agents(shell, "heavy")] == places
        assert shell.run(f"pin heavy {cores}") == f"heavy: on cores {'0-2' if cores == 'all' else cores}"
        assert arrived()
        assert shell.personality("heavy")["cores"] == sorted(set(places))
        vcpus = shell.json("vcpus heavy")["vcpus"]
        assert sorted(vcpu["core"] for vcpu in vcpus) == sorted(3 * places)
        before = [agent["ticks"] for agent in agents(shell, "heavy")]
        shell.wait_until(lambda: all(agent["ticks"] > ticks + 100_000 for agent, ticks in zip(agents(shell, "heavy"), before)),
                         "every agent goes on")
        assert arrived()
        assert " errors=0 " in shell.ask("heavy")
        assert shell.personality("light")["cores"] == list(range(CORES))

    def test_pause_and_resume(self, shell):
        assert shell.run("pause heavy") == "heavy: paused"
        assert shell.personality("heavy")["state"] == "paused"
        before, vcpus, others = agents(shell, "heavy"), shell.json("vcpus heavy"), ticks(shell, "light")
        shell.wait_until(lambda: min(ticks(shell, "light")[core] - others[core] for core in range(CORES)) > 1_000_000, "time passes")
        assert agents(shell, "heavy") == before and shell.json("vcpus heavy") == vcpus
        assert shell.run("resume heavy") == "heavy: resumed"
        shell.wait_until(lambda: all(now["ticks"] > then["ticks"] for now, then in zip(agents(shell, "heavy"), before)), "it runs")
        assert shell.personality("heavy")["state"] in ("running", "waiting")
        assert " errors=0 " in shell.ask("heavy")


@pytest.mark.xdist_group("looking")
class TestLooking:
    """With the guests of one of them held, so that their numbers stand still."""
    POLICY = "weighted"

    @pytest.fixture(scope="class")
    def held(self, shell):
        shell.run("pause light")
        return shell

    def test_vcpus(self, held):
        """Three on each core, with VPIDs of their own, and no more time than their personality and its agents have."""
        vcpus, everybodys = held.json("vcpus light")["vcpus"], held.json("vcpus")["vcpus"]
        assert [vcpu["vcpu"] for vcpu in vcpus] == list(range(9))
        assert [vcpu for vcpu in everybodys if vcpu["personality"] == "light"] == vcpus
        assert sorted(vcpu["core"] for vcpu in vcpus) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
        vpids = [vcpu["vpid"] for vcpu in everybodys]
        assert len(set(vpids)) == len(vpids) and min(vpids) > 0
        record = held.personality("light")
        assert record["vcpus"] == len(vcpus)
        assert sum(vcpu["run_time"] for vcpu in vcpus) == record["ticks_guest"] > 0
        assert sum(agent["ticks_guest"] for agent in agents(held, "light")) == record["ticks_guest"]
        assert sum(agent["ticks_ring3"] for agent in agents(held, "light")) == record["ticks_ring3"]
        for agent in agents(held, "light"):
            assert agent["ticks"] > agent["ticks_guest"] + agent["ticks_ring3"]
        for row in held.run("vcpus light").splitlines()[1:]:
            assert re.match(r"light/[0-8] +[0-2] (yes|no ) +\d+ +\d+ +\d+\.\d{3} +\d+ +\d+ +0 0x[0-9a-f]+$", row), row

    def test_exits(self, held):
        """Of one vcpu, of all of a personality: the same numbers, and those that ps and vcpus have."""
        whole = held.json("exits light")
        sums = {}
        for vcpu in held.json("vcpus light")["vcpus"]:
            part = held.json(f"exits light/{vcpu['vcpu']}")
            assert (part["absorbed"], part["delivered"]) == (vcpu["exits_absorbed"], vcpu["exits_delivered"])
            for reason in part["exits"]:
                absorbed, delivered = sums.get(reason["reason"], (0, 0))
                sums[reason["reason"]] = (absorbed + reason["absorbed"], delivered + reason["delivered"])
        assert {reason["reason"]: (reason["absorbed"], reason["delivered"]) for reason in whole["exits"]} == sums
        record = held.personality("light")
        assert (whole["absorbed"], whole["delivered"]) == (record["exits_absorbed"], record["exits_delivered"])
        assert sums[REASONS["HLT"]][0] == 0 < sums[REASONS["HLT"]][1]
        assert sums[REASONS["I/O"]][0] == 0 < sums[REASONS["I/O"]][1]
        assert sums[REASONS["timer"]][0] > 0 == sums[REASONS["timer"]][1]
        last = held.run("exits light").splitlines()[-2].split()
        assert last == ["all", str(whole["absorbed"]), str(whole["delivered"])]

    def test_vmcs(self, held):
        """What a field says alone, by name and by encoding, it says among all; and what the multiplexer relies on is there."""
        vcpus = held.json("vcpus light")["vcpus"]
        fields = held.json("vmcs light/0")["fields"]
        assert len(fields) > 100
        for name in ("guest_rip", "vpid", "pin_controls"):
            alone = held.json(f"vmcs light/0 {name}")["fields"]
            assert alone == {name: fields[name]} == held.json(f"vmcs light/0 {fields[name]['encoding']}")["fields"]
        assert int(fields["vpid"]["value"], 16) == vcpus[0]["vpid"]
        assert {"external-interrupt exiting", "NMI exiting", "activate VMX-preemption timer"} <= set(fields["pin_controls"]["means"])
        assert {"enable EPT", "enable VPID"} <= set(fields["secondary_controls"]["means"])
        assert int(fields["host_rip"]["value"], 16) >= 0xffffffff80000000
        assert "guest_cs_selector" in fields and "host_cr3" in fields
        text = held.run("vmcs light/0 control")
        assert text.startswith(f"light/0: core {vcpus[0]['core']}, space {vcpus[0]['space']}, VPID {vcpus[0]['vpid']}, ")
        assert "pin_controls" in text and "guest_rip" not in text
        addresses = {vcpu["vcpu"]: held.json(f"vmcs light/{vcpu['vcpu']} ept_pointer")["fields"]["ept_pointer"]["value"]
                     for vcpu in vcpus}
        spaces = {vcpu["vcpu"]: vcpu["space"] for vcpu in vcpus}
        assert len(set(addresses.values())) == len(set(spaces.values())), "a space has one EPT"

    def test_top(self, held):
        """A second of it: the cores' parts make up the whole, and what cores spent is what personalities got."""
        growth = held.json("top")
        hz = held.json("machine")["tsc_hz"]
        assert hz <= growth["ticks"] < 1.5 * hz
        kinds = ("ticks_idle", "ticks_mux", "ticks_guest", "ticks_ring3")
        for core in growth["cores"]:
            assert core["ticks_total"] == sum(core[kind] for kind in kinds)
            assert 0.9 * growth["ticks"] < core["ticks_total"] <= growth["ticks"]
        for kind in ("ticks_guest", "ticks_ring3"):
            assert sum(core[kind] for core in growth["cores"]) == sum(record[kind] for record in growth["personalities"])
        used = {record["name"]: record["ticks_guest"] for record in growth["personalities"]}
        assert growth["personalities"][0]["name"] == "heavy" and used["light"] == 0 < used["heavy"]

    def test_top_as_text(self, held):
        held.send("top\r")
        held.expect(re.compile(rb"policy weighted, slice 0\.300 ms; any key ends this"))
        held.expect(re.compile(rb"heavy +(running|waiting) +300 0-2 +\d+\.\d% +\d+\.\d% +\d+ +\d+"))
        held.expect(re.compile(rb"light +paused +100 0-2 +0\.0% +0\.0% +0 +0"))
        held.send("q")
        held.result()
        held.answers()
