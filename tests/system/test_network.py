"""Virtual switches: personalities exchange frames, and bad frames, bad pointers and floods harm nobody."""
from images import MONITOR, personality

EXCHANGED, LOST = 500, 200              # tests/personalities/network.c
FRAME, HEADER, RING = 1514, 4, 65536
ROLES = {"asker": ("lan", "ask 2"), "answerer": ("lan", "answer"), "deaf": ("lan", "deaf"), "elsewhere": ("other", "deaf"),
         "outsider": (None, "outside")}


def test_switches(boot):
    """Who is on one switch hears each other; who is on another one, or on none, does not; everything is counted."""
    config = MONITOR
    for name, (switch, arguments) in ROLES.items():
        keys = {"net": switch} if switch else {}
        config += personality(name, "network.elf", args=f'"{arguments}"', cores="0", **keys)
    shell = boot.grub(config, ["monitor.elf", "network.elf"], emu="bochs", cores=1)
    for name in ("asker", "answerer", "outsider"):
        record = shell.wait_for_state(name, "exited", "faulted")
        said = shell.json(f"console {name}")["text"]
        assert (record["state"], record["exit_code"], "wrong:" in said) == ("exited", 0, False), said

    ports = {port["personality"]: port for port in shell.json("net")["ports"]}
    assert list(ports) == ["asker", "answerer", "deaf", "elsewhere"]
    assert [port["address"] for port in ports.values()] == [f"02:50:56:00:00:{i:02x}" for i in range(1, 5)]
    assert [port["up"] for port in ports.values()] == [False, False, True, True]
    asker, answerer, deaf, elsewhere = ports.values()
    assert (asker["forged"], asker["unknown"]) == (1, LOST + 1)
    assert answerer["forged"] == answerer["unknown"] == 0
    # What the asker sent before the answerer was there is lost, and what it got no more; everything else has come, and was answered.
    assert asker["received"] > EXCHANGED and answerer["sent"] == asker["received"] and asker["dropped"] == 0
    assert asker["sent"] - asker["unknown"] == answerer["received"] + answerer["dropped"]
    assert answerer["received"] == answerer["sent"] + 1, "the last one has no answer"
    # Each of the two others may fill half of the ring.
    room = RING // 2 // (FRAME + HEADER)
    assert (deaf["received"], deaf["dropped"], deaf["waiting"]) == (0, LOST - room, room * (FRAME + HEADER))
    assert (elsewhere["received"], elsewhere["dropped"], elsewhere["waiting"]) == (0, 0, 0)

    # Who is ended and started again finds an empty ring.
    assert shell.run("kill deaf") == "deaf: killed"
    assert shell.run("restart deaf") == "deaf: restarted"
    shell.wait_for_state("deaf", "waiting")
    (deaf,) = [port for port in shell.json("net")["ports"] if port["personality"] == "deaf"]
    assert (deaf["up"], deaf["waiting"], deaf["received"], deaf["dropped"]) == (True, 0, 0, LOST)
    shell.power_off()
