"""The shell: every command and its errors. test_shell_typing.py types."""
import re

import pytest

import shell_machine
from images import find_program

COMMANDS = ["agents", "attach", "config", "console", "cores", "cpu", "crash", "devices", "exits", "gdb", "help",
            "kill", "log", "machine", "mem", "msr", "net", "pause", "peek", "pin", "poweroff", "ps", "reboot",
            "restart", "resume", "sched", "set", "top", "trace", "vcpus", "version", "vmcs"]
# Those that take --json, with arguments where they need some, and the keys of their answer.
LISTINGS = {
    "agents": {"left_out", "agents"},
    "config": {"text", "errors"},
    "console hello": {"personality", "dropped", "overwritten", "text"},
    "cores": {"cores"},
    "cpu": {"core", "vendor", "brand", "family", "model", "stepping", "signature", "microcode", "physical_bits",
            "linear_bits", "features", "vmx", "arch_capabilities", "errata"},
    "devices hello": {"personality", "devices"},
    "exits": {"vcpus", "absorbed", "delivered", "exits"},
    "log": {"log"},
    "machine": {"version", "loader", "debug_build", "config_broken", "cores", "tsc_hz", "tsc_source", "slice_ticks",
                "loader_ticks", "ready_ticks", "prompt_ticks"},
    "mem": {"totals", "regions"},
    "msr IA32_EFER": {"core", "msr", "name", "value"},
    "net": {"ports"},
    "peek 0x200000": {"address", "bytes", "hex"},
    "ps": {"personalities"},
    "sched": {"policy", "slice_us", "slice_ticks", "frame_slots", "personalities"},
    "top": {"ticks", "cores", "personalities"},
    "trace": {"kinds", "personality", "cores"},
    "vcpus": {"vcpus", "left_out"},
    "version": {"version", "abi"},
}
TAKE_JSON = {listing.split()[0] for listing in LISTINGS} | {"vmcs"}     # of which there is none here
ERRORS = {
    "nonsense": "nonsense: no such command; help lists them",
    "Help": "Help: no such command; help lists them",
    "help nonsense": "help: there is no command 'nonsense'",
    "help cpu cores": "help: has no use for 'cores': it takes [COMMAND]",
    "help --jsn": "help: does not know the option '--jsn'",
    "cores --jsn": "cores: does not know the option '--jsn'; it knows --json",
    "cores 1": "cores: has no use for '1': it takes [--json]",
    "cpu 2": "cpu: there is no core 2; cores lists them",
    "cpu 64": "cpu: core 64 is too large: at most 0x3f",
    "cpu features nonsense": "cpu: 'nonsense' is neither a core nor one of features, vmx, errata",
    "msr": "msr: needs more arguments: msr [CORE] NUMBER|NAME [--json]",
    "msr 0 1 2": "msr: has no use for '2': it takes [CORE] NUMBER|NAME [--json]",
    "msr nonsense": "msr: there is no MSR named 'nonsense' here; Tab lists the names, any number can be given",
    "msr 0x100000000": "msr: MSR number 0x100000000 is too large: at most 0xffffffff",
    "msr 2 0x10": "msr: there is no core 2; cores lists them",
    "msr 0x12345678": "msr 0x12345678: core 0 has no such MSR (#GP)",
    "msr 1 0x12345678": "msr 0x12345678: core 1 has no such MSR (#GP)",
    "peek": "peek: needs more arguments: peek ADDRESS [BYTES] [--json]",
    "peek 12q": "peek: address '12q': expected a decimal number, or a hexadecimal one after 0x",
    "peek 0x10000000000000": "peek: address 0x10000000000000 is too large: at most 0xfffffffffffff",
    "peek 0x200000 4097": "peek: number of bytes 4097 is too large: at most 0x1000",
    "peek 0": "peek: there is no RAM at 0x0 to 0x3f",
    "peek 0xfee00000 4": "peek: there is no RAM at 0xfee00000 to 0xfee00003",
    "peek 0x8000000000 1": "peek: there is no RAM at 0x8000000000 to 0x8000000000",
    "ps nobody": "ps: there is no personality 'nobody'; ps lists them",
    "ps hello chatter": "ps: has no use for 'chatter': it takes [NAME] [--json]",
    "console": "console: needs more arguments: console NAME [--json]",
    "console nobody": "console: there is no personality 'nobody'; ps lists them",
    "attach": "attach: needs more arguments: attach NAME",
    "kill": "kill: needs more arguments: kill NAME",
    "pause nobody": "pause: there is no personality 'nobody'; ps lists them",
    "pause monitor": "pause: monitor is the monitor, and this is its shell",
    "pause hello": "pause: hello is not running",
    "resume hello": "resume: hello is not running",
    "resume monitor": "resume: monitor is not paused",
    "pin hello": "pin: needs more arguments: pin NAME CORES",
    "pin nobody 0": "pin: there is no personality 'nobody'; ps lists them",
    "pin hello 1-0": "pin: '1-0' are no cores: expected a list such as 0-2,5, or all",
    "pin hello 0-2": "pin: these do not run: 2; cores lists those that do",
    "sched policy": "sched: needs a value for policy",
    "sched policy fair": "sched: there is no policy 'fair': weighted, frame",
    "sched policy frame": "sched: the configuration has no frame table",
    "sched policy frame 1": "sched: has no use for '1'",
    "sched slice 99us": "sched: slice '99us': expected a time from 100us to 1s, such as 500us or 2ms",
    "sched slice 2s": "sched: slice '2s': expected a time from 100us to 1s, such as 500us or 2ms",
    "sched weight hello": "sched: needs a personality and its weight: sched weight NAME N",
    "sched weight nobody 5": "sched: there is no personality 'nobody'; ps lists them",
    "sched weight hello 0": "sched: weight 0: expected 1 to 10000",
    "sched weight hello 10001": "sched: weight 10001: expected 1 to 10000",
    "sched colour red": "sched: there is no setting 'colour': policy, slice, weight",
    "vcpus nobody": "vcpus: there is no personality 'nobody'; ps lists them",
    "agents nobody": "agents: there is no personality 'nobody'; ps lists them",
    "exits nobody": "exits: there is no personality 'nobody'; ps lists them",
    "exits hello/0": "exits: there is no vcpu 'hello/0'; vcpus lists them",
    "vmcs": "vmcs: needs more arguments: vmcs ID [FIELD|KIND] [--json]",
    "vmcs hello": "vmcs: 'hello' is no vcpu: expected NAME/NUMBER, such as tiny/0; vcpus lists them",
    "vmcs hello/0": "vmcs: there is no vcpu 'hello/0'; vcpus lists them",
    "restart nobody": "restart: there is no personality 'nobody'; ps lists them",
    "log three": "log: number of lines 'three': expected a decimal number, or a hexadecimal one after 0x",
    "set columns": "set: needs a value for columns",
    "set columns 5": "set: columns must be at least 20",
    "set rows 1001": "set: rows 1001 is too large: at most 0x3e8",
    "set pager maybe": "set: pager is on or off, not 'maybe'",
    "set colour red": "set: there is no setting 'colour': pager, rows, columns",
    "poweroff now": "poweroff: has no use for 'now': it takes no arguments",
    "reboot -f": "reboot: does not know the option '-f'",
    "crash": "crash: only a debug build can do that (make DEBUG=1)",
    "crash nicely": "crash: 'nicely' is not a way to crash: page, divide, stack, ud, nmi, vmcs-elsewhere, vmcs-uncleared",
    "version 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16": "version: more than 16 words",
}


@pytest.fixture(name="shell", scope="class")
def start_shell(class_boot):
    return shell_machine.start(class_boot)


@pytest.mark.xdist_group("commands")
class TestCommands:
    def test_banner(self, shell):
        version = shell.json("version")
        assert f"\nPolyvisor {version['version']}, ABI {version['abi']}\n" in shell.boot_text
        assert "\n2 cores, in VMX operation: 0-1\n" in shell.boot_text
        assert re.search(r"^personalities: monitor \(running\), hello \(\w+\), chatter \(\w+\)$", shell.boot_text, re.M)
        assert re.search(r"^help lists the commands; top shows who uses the cores\.$", shell.boot_text, re.M)
        assert "configuration is wrong" not in shell.boot_text

    def test_help(self, shell):
        text = shell.run("help")
        listed, _, hint = text.partition("\n\n")
        assert [line.split()[0] for line in listed.splitlines()] == COMMANDS
        assert hint.startswith("help COMMAND tells more")

    @pytest.mark.parametrize("command", COMMANDS)
    def test_help_of(self, shell, command):
        usage, summary, *_ = lines = shell.run(f"help {command}").splitlines()
        assert usage.split()[0] == command and summary.startswith("  ") and len(summary) > 12
        takes_json = command in TAKE_JSON
        assert ("With --json, the answer is one line of JSON." in lines) == takes_json == ("[--json]" in usage)

    @pytest.mark.parametrize("command", LISTINGS)
    def test_json(self, shell, command):
        assert set(shell.json(command)) == LISTINGS[command]

    @pytest.mark.parametrize("command", [name for name in LISTINGS if name != "top"])
    def test_text(self, shell, command):            # top as a text goes on until a key is pressed
        text = shell.run(command)
        assert command == "log" or len(text) > 10      # lines of the log are left out by run()
        assert "--json" not in text

    @pytest.mark.parametrize("command", ERRORS)
    def test_error(self, shell, command):
        assert shell.run(command) == ERRORS[command]

    @pytest.mark.parametrize("command", [command for command in ERRORS if command.split()[0] in TAKE_JSON
                                         and "--" not in command and len(command.split()) < 16])
    def test_error_in_json(self, shell, command):
        assert shell.json(command) == {"error": ERRORS[command]}

    def test_json_where_there_is_none(self, shell):
        """The error is in the form that was asked for."""
        assert shell.json("help") == {"error": "help: does not know the option '--json'"}
        assert shell.json("reboot") == {"error": "reboot: does not know the option '--json'"}

    def test_words(self, shell):
        assert shell.run("") == ""
        assert shell.run("   ") == ""
        assert shell.run("  version  ") == shell.run("version")

    def test_cores(self, shell):
        assert [core["bsp"] for core in shell.cores()] == [True, False]
        title, first, second = shell.run("cores").splitlines()
        assert title.split()[:5] == ["core", "apic", "state", "vmxon", "vmxoff"]
        assert [row.split()[:5] for row in (first, second)] == [["0", "0*", "vmx", "1", "0"], ["1", "1", "vmx", "1", "0"]]

    def test_cpu(self, shell):
        answer = shell.json("cpu 1")
        assert (answer["core"], answer["vendor"], answer["family"], answer["model"]) == (1, "GenuineIntel", 6, 0x55)
        assert answer["features"]["vmx"] and answer["features"]["smep"] and not answer["features"]["hypervisor"]
        assert answer["vmx"]["revision"] and answer["vmx"]["region_size"] == 4096
        assert any(erratum["applies"] for erratum in answer["errata"])
        assert "vmx" not in shell.json("cpu features") and "features" not in shell.json("cpu vmx errata")
        text = shell.run("cpu vmx")
        assert re.search(r"^ +1  yes +enable EPT$", text, re.M) and re.search(r"^ +7  yes +unrestricted guest$", text, re.M)
        assert "features:" not in text

    def test_feature_control(self, shell):
        """The firmware left it unlocked; VMX outside SMX was set, and it was locked."""
        for core in (0, 1):
            assert shell.json(f"msr {core} IA32_FEATURE_CONTROL")["value"] == "0x5"

    def test_msr(self, shell):
        by_name, by_number = shell.json("msr ia32_efer"), shell.json("msr 0xc0000080")
        assert by_name == by_number == shell.json("msr 3221225600")
        assert by_name["name"] == "IA32_EFER"
        efer = int(by_name["value"], 16)
        assert efer & 0xd01 == 0xd00, "long mode and NX; no SYSCALL in root operation"
        assert shell.json("msr 1 IA32_EFER") == {**by_name, "core": 1}
        assert int(shell.json("msr 1 IA32_APIC_BASE")["value"], 16) & 0x100 == 0, "core 1 did not boot the machine"
        assert shell.run("msr IA32_EFER").startswith("core 0  0xc0000080 IA32_EFER = 0x0000000000000d00\n")

    def test_mem(self, shell):
        answer = shell.json("mem")
        regions = answer["regions"]
        for region, following in zip(regions, regions[1:]):
            assert region["base"] + region["size"] <= following["base"], "in order, without overlaps"
        for kind, total in answer["totals"].items():
            assert total == sum(region["size"] for region in regions if region["kind"] == kind)
        owners = {(region["owner"], region["kind"]) for region in regions}
        assert {("hello", "pool"), ("hello", "quota"), ("hello.elf", "module"), ("configuration", "module")} <= owners

    def test_peek(self, shell):
        """The memory of a module holds the file."""
        (module,) = [region for region in shell.json("mem")["regions"] if region["owner"] == "hello.elf"]
        contents = find_program("hello.elf").read_bytes()
        answer = shell.json(f"peek {module['base']} 4096")
        assert (answer["bytes"], bytes.fromhex(answer["hex"])) == (4096, contents[:4096])
        answer = shell.json(f"peek {module['base'] + 4097:#x} 3")
        assert bytes.fromhex(answer["hex"]) == contents[4097:4100]
        first, second = shell.run(f"peek {module['base']} 20").splitlines()
        assert first.split()[1:5] == ["7f", "45", "4c", "46"] and first.endswith(".ELF............")
        assert len(second.split()) == 1 + 4 + 1

    def test_peek_past_the_end(self, shell):
        """Up to the last byte, and not one further."""
        last = max((region for region in shell.json("mem")["regions"] if region["kind"] == "free"),
                   key=lambda region: region["base"])
        end = last["base"] + last["size"]
        assert shell.json(f"peek {end - 16} 16")["bytes"] == 16
        assert shell.json(f"peek {end - 16} 17")["error"].startswith("peek: there is no RAM at ")

    def test_log(self, shell):
        log = shell.json("log")["log"]
        assert all(re.match(r"\[ *\d+\.\d{6}\] ", line) for line in log)
        assert "core 1: APIC id 1, in VMX operation" in shell.log()
        assert shell.json("log 2")["log"] == log[-2:]
        assert shell.json("log 0")["log"] == []
        assert shell.json("log 100000")["log"] == log
        shell.background.clear()
        shell.run("log 3")
        assert shell.background == log[-3:]

    def test_config(self, shell):
        assert shell.json("config") == {"text": shell_machine.CONFIG, "errors": []}
        assert shell.run("config") == shell_machine.CONFIG.rstrip("\n")

    def test_console(self, shell):
        text = shell.json("console hello")["text"]
        assert 'args "some "words""' in text
        assert shell.run("console hello") == text.rstrip("\n")

    def test_set(self, shell):
        assert shell.run("set") == "pager off\nrows 24\ncolumns 80"
        shell.run("set rows 50")
        shell.run("set columns 132")
        assert shell.run("set") == "pager off\nrows 50\ncolumns 132"
        shell.run("set rows 24")
        shell.run("set columns 80")

    def test_monitor_is_not_harmed(self, shell):
        assert shell.personality("monitor")["restarts"] == 0
