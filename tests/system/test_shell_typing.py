"""The shell: the line editor, the pager, and input that no person would type."""
import random
import re

import pytest

import shell_machine
from console import CTRL_C, DELETE, DOWN, END, HOME, LEFT, NEW_PROMPT, PROMPT, RIGHT, UP, render


@pytest.fixture(name="shell", scope="class")
def start_shell(class_boot):
    return shell_machine.start(class_boot)


class Typist:
    """Types keys, then Enter, and checks what line the shell had before it."""

    def __init__(self, shell):
        self.shell = shell

    def types(self, keys, line):
        self.shell.send(keys + "\r")
        return self.shell.result(line)


@pytest.mark.xdist_group("editing")
class TestLineEditor:
    @pytest.fixture
    def typist(self, shell):
        return Typist(shell)

    KEYS = {
        "backspace": "versiin" + LEFT + "\x7f" + "o",
        "ctrl-h": "versiin" + LEFT + "\b" + "o",
        "home": "ersion" + HOME + "v",
        "end": "ersion\x01v" + END + RIGHT,
        "delete": "vversion" + HOME + DELETE,
        "ctrl-a-d": "vversion\x01\x04",
        "insert": "sion" + LEFT * 9 + "ver",
        "ctrl-k": "version garbage" + LEFT * 8 + "\x0b",
        "ctrl-u": "garbage version" + LEFT * 7 + "\x15",
        "ctrl-w": "version garbage  \x17\x17version",
        "all-gone": "one two\x15version",
        "twice-home": "on" + HOME + "si" + HOME + "ver",
        "ctrl-left": "sion\x1b[1;5Dver",
        "alt-b": "sion\x1bbver",
        "ctrl-b-f": "version x\x02\x02\x06\x7f\x04",
        "unknown": "version\x1b[200~\x1b[99X",         # they do nothing
        "other-home-end": "ersion\x1bOHv\x1bOF",
    }

    @pytest.mark.parametrize("name", KEYS)
    def test_keys(self, typist, name):
        assert typist.types(self.KEYS[name], "version").startswith("Polyvisor ")

    def test_cursor_stays_in_the_line(self, typist):
        assert typist.types(RIGHT * 5 + "version" + LEFT * 20 + RIGHT * 40 + DELETE * 3, "version").startswith("Polyvisor ")

    def test_history(self, typist):
        typist.shell.run("set rows 24")
        typist.shell.run("set columns 80")
        typist.types(UP, "set columns 80")
        typist.types(UP + UP, "set rows 24")
        typist.types(UP + UP + UP + DOWN + DOWN, "set rows 24")
        typist.types("draft" + UP + DOWN + "\x15version", "version")
        typist.types("\x10", "version")
        typist.types("\x10\x0e" + "version", "version")
        assert typist.types(UP + "\x7f" * 7 + "mem --jsn", "mem --jsn").startswith("mem: does not know the option")

    def test_history_keeps_a_repeated_line_once(self, typist):
        for command in ("set rows 24", "version", "version", "version"):
            typist.shell.run(command)
        typist.types(UP + UP, "set rows 24")

    def test_history_ends(self, typist):
        typist.shell.run("set rows 24")
        typist.types(DOWN * 3 + UP, "set rows 24")
        for _ in range(70):
            typist.shell.run("version")
        typist.shell.send(UP * 100 + CTRL_C)
        typist.shell.result()

    COMPLETIONS = {
        "command": ("vers\t", "version "),
        "personality": ("kill hel\t", "kill hello "),
        "other-personality": ("restart chat\t", "restart chatter "),
        "option": ("cores --\t", "cores --json "),
        "topic": ("cpu er\t", "cpu errata "),
        "setting": ("set p\ton", "set pager on"),
        "help": ("help ver\t", "help version "),
        "msr": ("msr IA32_EF\t", "msr IA32_EFER "),
        "nothing": ("xyz\t", "xyz"),
        "twice": ("co\tre\t", "cores "),
        "within": ("rsion" + HOME + "ve\t", "version rsion"),
    }

    @pytest.mark.parametrize("name", COMPLETIONS)
    def test_completion(self, typist, name):
        keys, line = self.COMPLETIONS[name]
        typist.shell.send(keys + END + "#")
        before, _ = typist.shell.expect("#")
        assert render(PROMPT.encode() + before)[-1] == PROMPT + line
        typist.shell.send("\x7f" + CTRL_C)
        typist.shell.result()

    def test_completion_lists_candidates(self, typist):
        typist.shell.send("co\t\t")
        before, _ = typist.shell.expect(re.compile(rb"\r\n\r" + PROMPT.encode() + rb"co\x1b"))
        assert render(before)[-1].split() == ["config", "console", "cores"]
        typist.shell.send(CTRL_C)
        typist.shell.result()

    def test_dropping_a_line(self, typist):
        typist.shell.send("poweroff" + CTRL_C)
        assert typist.shell.result() == ""
        typist.shell.answers()

    def test_end_of_input(self, typist):
        typist.shell.send("\x04")
        assert typist.shell.result() == "The shell does not end; poweroff and reboot do."

    def test_clearing_the_screen(self, typist):
        typist.shell.send("vers\x0c")
        typist.shell.expect("\x1b[H\x1b[2J\r" + PROMPT + "vers")
        typist.shell.send("ion\r")
        typist.shell.expect("Polyvisor ")
        typist.shell.result()

    def test_return_and_line_feed_are_one_enter(self, typist):
        typist.shell.send("set rows 24\r\n")
        typist.shell.result("set rows 24")
        typist.shell.send("version\n")
        assert typist.shell.result("version").startswith("Polyvisor ")

    def test_lines_from_elsewhere(self, typist):
        """What others print does not disturb what is being typed."""
        shell = typist.shell
        shell.run("restart chatter")
        shell.send("vers")
        shell.expect("[chatter] line 40 of 40\r\n")
        shell.expect(PROMPT + "vers")
        shell.send("ion\r")
        shell.expect("Polyvisor ")
        shell.result()
        assert shell.wait_for_state("chatter", "exited")["exit_code"] == 0

    def test_long_lines(self, typist):
        """Longer than the terminal is wide, as long as can be, and longer."""
        shell = typist.shell
        word = "w" * 200
        shell.send(word + "\r")
        shell.expect(word + ": no such command; help lists them")
        shell.result()
        longest = "l" * 511
        shell.send(longest + "more\r")
        shell.expect("\a")
        shell.expect(longest + ": no such command; help lists them")
        shell.result()
        shell.send(UP)
        shell.send(HOME + "version " + END + LEFT * 20 + CTRL_C)
        shell.result()
        shell.answers()


@pytest.mark.xdist_group("editing")
class TestPager:
    MORE = "--more-- (space: page, Enter: line, q: stop)"

    @pytest.fixture
    def paged(self, shell):
        shell.run("set rows 10")
        shell.run("set pager on")
        yield shell
        shell.resynchronise()
        shell.run("set pager off")

    @staticmethod
    def rows(data):
        """How many rows of 80 columns some output takes."""
        return sum(max(1, -(-len(line) // 80)) for line in render(data)[:-1])

    def test_pages(self, paged):
        """Space goes a page on, Enter a line; together the pages are the whole text."""
        shell = paged
        shell.send("cpu\r")
        assert self.rows(shell.expect(self.MORE)[0]) == 1 + 9, "the command itself and a page"
        shell.send(" ")
        assert self.rows(shell.expect(self.MORE)[0]) == 9
        shell.send("\r")
        assert self.rows(shell.expect(self.MORE)[0]) == 1
        shell.send("q")
        assert shell.result() == ""
        shell.answers()

    def test_nothing_is_lost(self, paged):
        shell = paged
        shell.run("set columns 400")
        shell.run("set pager off")
        text = shell.run("cpu").splitlines()
        shell.run("set pager on")
        shell.send("cpu\r")
        pieces = []
        for _ in range(len(text)):
            before, match = shell.expect(re.compile(b"(" + NEW_PROMPT.pattern + b")|" + re.escape(self.MORE.encode())))
            pieces.append(before)
            if match.group(1):
                break
            shell.send(" ")
        assert len(pieces) > 10
        assert render(b"".join(pieces))[1:] == text
        shell.run("set columns 80")

    def test_other_keys_do_nothing(self, paged):
        shell = paged
        shell.send("cpu\r")
        shell.expect(self.MORE)
        shell.send("xyz")
        shell.send(CTRL_C)
        shell.result()
        shell.answers()

    def test_json_is_not_paged(self, paged):
        shell = paged
        assert shell.json("cpu")["features"]

    def test_short_output_is_not_paged(self, paged):
        shell = paged
        assert shell.run("version").startswith("Polyvisor ")

    def test_lines_from_elsewhere(self, paged):
        """They appear above the question, which is asked again."""
        shell = paged
        shell.run("restart chatter")
        shell.send("cpu\r")
        shell.expect(self.MORE)
        shell.expect("[chatter] line 40 of 40\r\n")
        shell.expect(self.MORE)
        shell.send("q")
        shell.result()
        shell.answers()


@pytest.mark.xdist_group("editing")
class TestRoughInput:
    def test_garbage(self, shell):
        """Bytes of every kind, but Ctrl-]."""
        source = random.Random(7)
        for _ in range(20):
            noise = bytes(byte for byte in source.randbytes(400) if byte != 0x1d)
            shell.send(noise)
            shell.resynchronise()
        shell.answers()
        assert shell.personality("monitor")["restarts"] == 0

    def test_broken_escape_sequences(self, shell):
        for sequence in ("\x1b", "\x1b[", "\x1b[1;", "\x1b[99999999999999999999D", "\x1bO", "\x1b[;;;;;;~", "\x1b\x1b\x1b[A"):
            shell.send(sequence * 3)
            shell.resynchronise()
        shell.answers()

    def test_flood_of_one_line(self, shell):
        shell.send("x" * 20000)
        shell.resynchronise()
        shell.answers()

    def test_flood_of_commands(self, shell):
        shell.send("version\r" * 2000)
        shell.resynchronise()
        shell.answers()
        assert shell.personality("monitor")["restarts"] == 0

    def test_everybody_is_well(self, shell):
        assert [(core["state"], core["vmxon"], core["vmxoff"]) for core in shell.cores()] == [("vmx", 1, 0)] * 2
        assert not shell.machine.alarming_lines()
