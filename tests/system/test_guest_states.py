"""Guests whose state contradicts itself: the processor enters them or refuses, and then the personality is told the rule. Nothing
that a personality can write crashes the machine, or the emulator, which ends with a panic in some such states."""
import re

import pytest

from images import MONITOR, personality

# Bochs checks what these processors check. They differ in what their VMX can do.
MODELS = ("corei7_skylake_x", "corei7_haswell_4770")
RUNS = 4000


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("seed", (4, 5))
def test_states_are_entered_or_refused_with_a_reason(boot, model, seed):
    config = MONITOR + personality("isolation_states", memory="8M", args=f'"seed={seed} runs={RUNS}"')
    shell = boot.grub(config, ["monitor.elf", "isolation_states.elf"], emu="bochs", cores=1, cpu_model=model)
    record = shell.wait_for_state("isolation_states", "exited", "faulted")
    text = shell.json("console isolation_states")["text"]
    assert record["exit_code"] == 0, text
    entered, refused = map(int, re.search(r"entered (\d+), refused (\d+)\n", text).groups())
    assert entered + refused == RUNS
    assert min(entered, refused) > RUNS / 10
    shell.answers()
    shell.power_off()


@pytest.mark.parametrize("cores", [1, 2])
@pytest.mark.usefixtures("corrected_bochs")
def test_faults_in_pieces(boot, cores):
    """A guest that does nothing but fault, run in pieces: every fault comes to its handler once."""
    config = MONITOR + personality("faults", memory="8M", cores="0")
    shell = boot.grub(config, ["monitor.elf", "faults.elf"], emu="bochs", cores=cores)
    record = shell.wait_for_state("faults", "exited", "faulted")
    text = shell.json("console faults")["text"]
    assert record["exit_code"] == 0, text
    assert text.startswith("100000 faults in ") and int(text.split()[3]) > 100
    shell.power_off()
