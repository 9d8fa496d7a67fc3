"""`timer lapic`: the local APIC's timer ends guests' slices, as on machines whose VMX-preemption timer cannot be used."""
from images import MONITOR, personality

EXTERNAL_INTERRUPT, PREEMPTION_TIMER = 1, 52    # exit reasons
SWITCHES = 2000                         # on each core
CORES = 2
GUESTS = {"one": "guests=real16,long64", "two": "guests=smp64,long64"}


def test_two_personalities_share_cores(boot):
    """Every guest is unharmed, cores go from one to the other all the time, shares are even, and every tick is accounted for."""
    config = "slice 500us\ntimer lapic\n" + MONITOR + "".join(
        personality(name, "tiny.elf", memory="24M", args=f'"{guests} report=0"') for name, guests in GUESTS.items())
    shell = boot.grub(config, ["monitor.elf", "tiny.elf"], emu="bochs", cores=CORES)
    shell.wait_until(lambda: all(shell.personality(name)["exits_delivered"] for name in GUESTS), "all guests run")
    before = shell.cores()
    shell.wait_until(lambda: all(now["switches"] - then["switches"] >= SWITCHES for now, then in zip(shell.cores(), before)),
                     "every core has switched often")
    had = {}
    for agent in shell.json("agents")["agents"]:
        had.setdefault(agent["core"], {})[agent["personality"]] = agent["ticks"]
    for name in GUESTS:
        counts = dict(word.split("=") for word in shell.ask(name).split())
        assert counts["errors"] == "0", shell.json(f"console {name}")["text"]
        assert int(counts["rounds"]) > 100
        absorbed = {record["reason"]: record["absorbed"] for record in shell.json(f"exits {name}")["exits"]}
        assert absorbed.get(PREEMPTION_TIMER, 0) == 0 < absorbed[EXTERNAL_INTERRUPT]
    for core in range(CORES):
        shares = [had[core][name] for name in GUESTS]
        assert max(shares) <= 1.1 * min(shares), had
    for core in shell.cores():
        assert core["ticks_total"] == sum(core[f"ticks_{kind}"] for kind in ("idle", "mux", "ring3", "guest"))
        assert (core["state"], core["vmxon"], core["vmxoff"]) == ("vmx", 1, 0)
