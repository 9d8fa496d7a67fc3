"""The first guests that somebody who reads the documentation runs, and what the multiplexer does with events for guests."""
import re

import pytest

from images import MONITOR, ROOT, personality

PAGE = (ROOT / "docs/writing-a-personality.md").read_text()
EXAMPLE = ROOT / "vmm/personalities/example"
EXITS = ["exit reason 30, qualification 0xe90000, rip 0x1006, rax 0x1234", "exit reason 12, qualification 0x0, rip 0x1007, rax 0x1234"]


def blocks(language):
    """The lines of code of a language on the page, without indentation and comments."""
    text = "\n".join(re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.M | re.S))
    return [line for line in (re.sub(r" *(//|;(?! *$) ).*", "", line).strip() for line in text.splitlines()) if line]


@pytest.mark.parametrize("language, file", [("c", "main.c"), ("nasm", "guest.asm")])
def test_the_page_shows_the_program(language, file):
    """Every line of code on the page stands in the program."""
    program = {re.sub(r" *(//|;(?! *$) ).*", "", line).strip() for line in (EXAMPLE / file).read_text().splitlines()}
    lines = blocks(language)
    assert len(lines) >= 9
    assert [line for line in lines if line not in program] == []


def test_first_guests(boot):
    """The example as the page configures it, and the least that a personality can do with a guest."""
    (config,) = re.findall(r"^```\n(personality example \{.*?^\}\n)```$", PAGE, re.M | re.S)
    (output,) = re.findall(r"^\[example\] (.*)$", PAGE, re.M)
    shell = boot.grub(MONITOR + config + personality("guest_smoke"), ["monitor.elf", "example.elf", "guest_smoke.elf"],
                      emu="bochs", cores=1)
    for name in ("example", "guest_smoke"):
        record = shell.wait_for_state(name, "exited", "faulted")
        assert (record["state"], record["exit_code"], record["vcpus"], record["quota_used"]) == ("exited", 0, 0, 0)
    assert shell.json("console example")["text"] == output + "\n"
    lines = shell.json("console guest_smoke")["text"].splitlines()
    assert lines[0] == "space 0, map 0, vcpu 0"
    assert [re.sub(r"^run 0: (.*), entry error 0x0$", r"\1", line) for line in lines[1:]] == EXITS
    assert shell.personality("example")["exits_delivered"] == len(output) + 2, "each character, the line's end, the HLT"


def test_events(boot):
    """Interrupts and NMIs that wait, window requests, deliveries that an exit interrupted."""
    shell = boot.grub(MONITOR + personality("events", memory="8M"), ["monitor.elf", "events.elf"], emu="bochs", cores=1)
    record = shell.wait_for_state("events", "exited", "faulted")
    assert (record["state"], record["exit_code"]) == ("exited", 0), shell.json("console events")["text"]
    assert "wrong:" not in shell.json("console events")["text"]
