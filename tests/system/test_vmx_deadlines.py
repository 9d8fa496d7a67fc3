"""vcpu_run ends at deadlines, points of the TSC, and at events: whoever else has the core meanwhile, and whatever times guests."""
import re

import pytest

from images import MONITOR, personality

EXTERNAL_INTERRUPT, PREEMPTION_TIMER = 1, 52    # exit reasons
TIMERS = {"preemption timer": "", "local APIC": "timer lapic\n"}


@pytest.mark.parametrize("timer", TIMERS)
def test_deadlines(boot, timer):
    """Beside a busy neighbour that has every second slice a run is late by its slice at most; and an event from another core ends it."""
    config = ("slice 2ms\n" + TIMERS[timer] + MONITOR + personality("deadlines", memory="4M", cores="0-1")
              + personality("busy", "tiny.elf", memory="8M", cores="0", args='"guests=long64 report=0"'))
    shell = boot.grub(config, ["monitor.elf", "tiny.elf", "deadlines.elf"], emu="bochs", cores=2)
    shell.expect(re.compile(rb"\[deadlines\] (\d+) errors\r\n"))
    reasons = {record["reason"] for record in shell.json("exits deadlines")["exits"] if record["absorbed"]}
    assert (PREEMPTION_TIMER in reasons) == (timer == "preemption timer") and EXTERNAL_INTERRUPT in reasons
    text = shell.json("console deadlines")["text"]
    assert "wrong:" not in text, text
    assert re.search(r"^deadlines: \d+ ticks late at most, slice \d+, [1-9]\d* in another's turn$", text, re.M), text
    assert re.search(r"^events: \d+ ticks late at most, \d+ inside the guest$", text, re.M), text
    assert shell.ask("deadlines") == "0 errors"         # a line of input has ended a run without any other limit
    assert shell.wait_for_state("deadlines", "exited")["exit_code"] == 0
    assert " errors=0 " in shell.ask("busy")
    assert [(core["vmxon"], core["vmxoff"]) for core in shell.cores()] == [(1, 0)] * 2
