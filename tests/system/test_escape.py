"""Output of personalities cannot act on the user's terminal: it could pretend to be the shell, or make the terminal type."""
from console import CTRL_RIGHT_BRACKET
from images import MONITOR, personality


def test_control_characters(boot):
    shell = boot.grub(MONITOR + personality("escape"), ["monitor.elf", "escape.elf"], emu="bochs", cores=1)
    shell.wait_for_state("escape", "waiting")
    shown = "[escape] .[1A.[2Kpolyvisor> forged.[6n.6n.end"
    assert shown in "\n".join(shell.transcript())
    assert ".[1A.[2Kpolyvisor> forged.[6n.6n.end" in shell.run("console escape")
    assert "\x1b[1A" in shell.json("console escape")["text"]
    shell.send("attach escape\r")          # what it says is its own affair from here on, but old questions are not asked again
    before, _ = shell.expect("forged6n\x7fend")
    assert b"\x1b[1A\x1b[2K" in before
    shell.send(CTRL_RIGHT_BRACKET)
    shell.resynchronise()
