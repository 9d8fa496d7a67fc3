"""Guest-physical memory: changed while guests run on other cores, by several agents, and never for long at a stretch."""
import re

from images import MONITOR, personality


def run(boot, name, cores, **keys):
    """Runs one of tests/personalities beside the monitor; returns what it printed, when it ended with code 0."""
    shell = boot.grub(MONITOR + personality(name, **keys), ["monitor.elf", f"{name}.elf"], emu="bochs", cores=cores)
    record = shell.wait_for_state(name, "exited", "faulted")
    text = shell.json(f"console {name}")["text"]
    assert record["exit_code"] == 0, text
    assert record["quota_used"] == 0
    shell.answers()
    return text


def test_changes_are_whole(boot):
    """tests/personalities/spaces.c. The quota is so small that a table page lost in each round would show."""
    assert run(boot, "spaces", 2, memory="8M", quota="512K").endswith("\n0 wrong\n")


def test_ring_0_is_left_soon(boot):
    """tests/personalities/ring0_time.c: no call about a space keeps the core longer than 50 us, however large the change is."""
    text = run(boot, "ring0_time", 1, memory="64M", quota="8M")
    assert "LONG" not in text
    calls = {what: int(count) for what, count in re.findall(r"^(.*): \d+ ticks at most, (\d+) calls", text, re.MULTILINE)}
    assert calls["map of half the pool in small pages"] > 10, "it was large"
