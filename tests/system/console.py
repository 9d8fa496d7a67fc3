"""The shell on the serial line, as a program sees it: send a command, get what it printed.

    shell = Shell(machine)              # waits for the first prompt
    shell.run("cores")                  # the text between the command and the next prompt
    shell.json("cores")["cores"][0]     # runs `cores --json`

Lines of other personalities and of the log may appear at any time. Shell.run leaves them out and keeps them in
Shell.background; a prompt that is only drawn again after such a line is not taken for a new one.
"""
import itertools
import json
import re
import socket
import time

import pexpect
import pexpect.fdpexpect

PROMPT = "polyvisor> "
TIMEOUT = 120                           # seconds for anything; much more than an answer takes on a slow computer
# A new prompt follows a line end at once, or the pager's question, erased; one that is drawn again follows a carriage
# return.
NEW_PROMPT = re.compile(rb"(?:\r\n|\r\x1b\[K)" + PROMPT.encode())
PANIC = re.compile(rb"\*\*\* Polyvisor [^\r\n]*: panic on core [^\r\n]*\r\n")
PANIC_PROMPT = re.compile(rb"\r\npanic> ")
LOG_LINE = re.compile(r"\[ *\d+\.\d{6}\] ")
BACKGROUND_LINE = re.compile(r"\[ *\d+\.\d{6}\] |\[[A-Za-z0-9._-]{1,31}\] ")
CTRL_C, CTRL_RIGHT_BRACKET = "\x03", "\x1d"
UP, DOWN, RIGHT, LEFT = "\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D"
HOME, END, DELETE = "\x1b[H", "\x1b[F", "\x1b[3~"


_words = itertools.count(1)


class ConsoleError(AssertionError):
    """The console did not show what it should have."""


def render(data):
    """What a terminal of endless width shows: a list of lines. Knows the control characters that the shell sends."""
    lines, row, column = [[]], 0, 0
    for token in re.finditer(r"\x1b\[([0-9;=?]*)([A-Za-z])|.", data.decode("ascii", "replace"), re.DOTALL):
        text, argument, final = token.group(0), token.group(1), token.group(2)
        line = lines[row]
        if final:
            count = int(argument) if argument.isdigit() else 1
            if final == "K":
                del line[column:]
            elif final == "C":
                column += count
            elif final == "D":
                column = max(0, column - count)
        elif text == "\n":
            lines.append([])
            row += 1
        elif text == "\r":
            column = 0
        elif text == "\b":
            column = max(0, column - 1)
        elif text >= " ":
            line.extend(" " * (column - len(line)))
            line[column:column + 1] = text
            column += 1
    return ["".join(line) for line in lines]


class _Connection(pexpect.fdpexpect.fdspawn):
    """A killed emulator resets the connection: that is its end, as any other."""

    def __init__(self, connection, **options):
        super().__init__(connection.fileno(), **options)
        self._socket = connection

    def read_nonblocking(self, size=1, timeout=-1):
        try:
            if self._socket.family == socket.AF_INET:
                # Bochs sends every byte by itself and the system holds them back until we confirm the last one; this
                # does so at once, until the next read.
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            return super().read_nonblocking(size, timeout)
        except ConnectionError:
            self.flag_eof = True
            raise pexpect.EOF("the connection was reset") from None


class Shell:
    """A running machine with its console. Machine: see tools/emulator.py."""

    def __init__(self, machine):
        self.machine = machine
        self.background = []            # lines of the log and of personalities that run() left out
        self.boot_text = ""             # what came before the first prompt
        self._log = open(f"{machine.folder}/console.log", "wb", buffering=0)
        self._connection = _Connection(machine.socket, timeout=TIMEOUT, maxread=65536)
        self._connection.logfile_read = self._log
        self._connection.delaybeforesend = None

    def close(self):
        """Stops the machine."""
        self.machine.stop()
        self._log.close()

    def transcript(self):
        """All that the console has shown, as lines."""
        with open(self._log.name, "rb") as file:
            return render(file.read())

    # ---- plain input and output ----

    def send(self, text):
        """Sends text, or bytes, as they are."""
        self._connection.send(text if isinstance(text, bytes) else text.encode())

    def expect(self, pattern, timeout=TIMEOUT, panic=False):
        """Waits for a pattern (text, or a compiled one for bytes); returns what came before it and the match.

        The panic of the multiplexer and the end of the emulator end the wait; panic: that a panic is expected."""
        if isinstance(pattern, str):
            pattern = re.compile(re.escape(pattern.encode()))
        patterns = [pattern, pexpect.EOF, pexpect.TIMEOUT]
        if not panic:
            patterns.append(PANIC)
        wanted = pattern.pattern if hasattr(pattern, "pattern") else pattern
        found = self._connection.expect_list(patterns, timeout=timeout)
        if found == 0:
            return self._connection.before, self._connection.match
        problem = ("", "the emulator ended", f"nothing came for {timeout} s",
                   "the multiplexer panicked")[found]
        raise ConsoleError(f"{problem} while waiting for {wanted!r}")

    def expect_end(self, timeout=TIMEOUT):
        """Waits for the end of the emulator; returns what it still said, as lines."""
        if self._connection.expect_list([pexpect.EOF, pexpect.TIMEOUT], timeout=timeout):
            raise ConsoleError(f"the emulator still runs after {timeout} s")
        return render(self._connection.before or b"")

    # ---- the shell ----

    def wait_for_shell(self, timeout=TIMEOUT):
        """Waits for the first prompt after a start, and keeps what came before it in boot_text."""
        before, _ = self.expect(NEW_PROMPT, timeout)
        self.boot_text = "\n".join(render(before))
        self.run("set pager off")
        return self

    def run(self, command, timeout=TIMEOUT):
        """Executes a command; returns what it printed, without other personalities' and log lines."""
        self.send(command + "\r")
        return self.result(command, timeout)

    def result(self, command=None, timeout=TIMEOUT):
        """Waits for the next prompt; returns what was printed since the line with the command."""
        before, _ = self.expect(NEW_PROMPT, timeout)
        lines = render(PROMPT.encode() + before)
        echo = 0
        if command is not None:
            if PROMPT + command not in lines:
                raise ConsoleError(f"the shell did not show {command!r} behind a prompt, but {lines[:20]}")
            echo = lines.index(PROMPT + command)
        kept = [line for line in lines[echo + 1:] if not BACKGROUND_LINE.match(line)]
        self.background += [line for line in lines if BACKGROUND_LINE.match(line)]
        return "\n".join(kept)

    def json(self, command, timeout=TIMEOUT):
        """Executes `command --json`, checks that the answer is one line of JSON, and returns its value."""
        words = command if "--json" in command.split() else command + " --json"
        text = self.run(words, timeout)
        if text.count("\n"):
            raise ConsoleError(f"{words!r} answered more than one line: {text!r}")
        try:
            return json.loads(text)
        except ValueError as error:
            raise ConsoleError(f"{words!r} answered no JSON ({error}): {text!r}") from None

    def resynchronise(self):
        """Finds the prompt again after input that was not waited for, some of which may have been lost."""
        for _ in range(50):
            word = f"word-{next(_words)}"               # a new one: the noise may contain keys that bring old lines back
            self.send(f"{CTRL_C}{word}\r")
            answer = re.compile(f"{word}: no such command; help lists them\r\n{PROMPT}".encode())
            if self._connection.expect_list([answer, PANIC, pexpect.EOF, pexpect.TIMEOUT], timeout=5) != 3:
                break
        if self._connection.match is None or self._connection.match.re is not answer:
            raise ConsoleError("the shell does not answer any more")

    def answers(self):
        """Checks that the shell still answers."""
        assert self.json("version")["abi"] == 1

    # ---- shorthands ----

    def cores(self):
        """The records of `cores`."""
        return self.json("cores")["cores"]

    def personality(self, name):
        """The record of one personality."""
        return self.json(f"ps {name}")["personalities"][0]

    def personalities(self):
        """The records of all, by name."""
        return {record["name"]: record for record in self.json("ps")["personalities"]}

    def wait_until(self, condition, what, timeout=TIMEOUT):
        """Asks again until condition() is true, each time by a command to the shell; returns its value."""
        deadline = time.monotonic() + timeout
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > deadline:
                raise ConsoleError(f"after {timeout} s still not: {what}")

    def wait_for_state(self, name, *states):
        """Waits until a personality is in one of the states; returns its record."""
        def arrived():
            record = self.personality(name)
            return record if record["state"] in states else None
        return self.wait_until(arrived, f"{name} is {' or '.join(states)}")

    def answer_ticks(self):
        """The ticks from one answer to the next, of two commands that were sent together: what the line takes for some 110
        characters, and whatever kept the shell from answering. Wall time has no part in it."""
        command = "msr IA32_TIME_STAMP_COUNTER --json"
        self.send(f"{command}\r{command}\r")
        first, second = (int(json.loads(self.result(command))["value"], 16) for _ in range(2))
        return second - first

    def ask(self, name):
        """Types Enter on the console of a personality that has said something, and answers with a line; returns that line."""
        def said():
            console = self.json(f"console {name}")
            return console["dropped"] + len(console["text"]), console["text"].splitlines()
        before, lines = self.wait_until(lambda: said() if said()[1] else None, f"{name} has said something")
        self.send(f"attach {name}\r")
        self.expect("Ctrl-] returns to the shell\r\n")
        self.expect(lines[-1])                  # shown again: from here on it is the one that hears
        self.send("\r" + CTRL_RIGHT_BRACKET)
        self.result()
        return self.wait_until(lambda: said()[1][-1] if said()[0] > before else None, f"{name} has answered")

    def log(self):
        """The multiplexer's log, as lines without their time stamps."""
        return [LOG_LINE.sub("", line) for line in self.json("log")["log"]]

    def power_off(self):
        """Switches off; returns the last lines. Checks that the emulator ended in order."""
        self.send("poweroff\r")
        lines = self.expect_end()
        assert self.machine.wait(TIMEOUT) == 0, "the emulator's exit status"
        return lines
