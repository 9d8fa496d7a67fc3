"""Debian's gdb in a dialogue, for tests in which something else happens while it waits."""
import re
import shutil

import pexpect

TIMEOUT = 300
PROMPT = "(gdb) "


class Gdb:
    """At its prompt, or running."""

    def __init__(self, symbols):
        assert shutil.which("gdb"), "gdb is not installed: run tools/setup test"
        self.child = pexpect.spawn("gdb", ["-nx", "-q", str(symbols)], encoding="ascii", timeout=TIMEOUT, echo=False)
        self.child.expect_exact(PROMPT)
        for setting in ("pagination off", "confirm off", "width 0", "print elements 0", "remotetimeout 60", "style enabled off"):
            self.run(f"set {setting}")

    def send(self, command):
        self.child.sendline(command)

    def answer(self):
        """What it says until the next prompt."""
        self.child.expect_exact(PROMPT)
        return re.sub(r"\r|\x1b\[\?2004[hl]", "", self.child.before).strip()

    def run(self, command):
        self.send(command)
        said = self.answer()
        print(f"(gdb) {command}\n{said}")
        return said

    def go_on(self):
        """It waits for the guest; interrupt() or answer() is what comes next."""
        self.send("continue")
        self.child.expect_exact("Continuing.")

    def interrupt(self):
        self.child.sendintr()
        self.child.expect_exact("received signal SIGINT")
        self.answer()

    def number(self, expression):
        return int(self.run(f"p/x (long)({expression})").split("0x")[1], 16)

    def progress(self):
        """What each step of the chosen thread changes: RIP, or the count of a string instruction's repetitions."""
        return self.number("$pc"), self.number("$rcx")

    def where(self):
        """The function that the chosen thread is in."""
        return re.match(r"(\S+)(?: \+ \d+)? in section \.text", self.run("info symbol $pc"))[1]

    def instructions(self, count):
        """Their addresses, from where the chosen thread is, and what they are."""
        found = re.findall(r"(0x[0-9a-f]+) <\S+>:\t(.*)", self.run(f"x/{count}i $pc"))
        return [int(address, 16) for address, _ in found], [text for _, text in found]

    def connect(self, shell):
        return self.run(f"target remote localhost:{shell.machine.gdb_port}")

    def close(self):
        self.child.close(force=True)
