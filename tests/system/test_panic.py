"""Faults in ring 0, provoked in the debug build: what is said of them, and the panic console."""
import re
import subprocess

import pytest

from console import PANIC, PANIC_PROMPT, render
from elf_writer import code, data, notes, write
from images import BUILD, MONITOR, ROOT, find_program, make, personality

CONFIG = MONITOR + personality("spin")
PROGRAMS = ("monitor.elf", "spin.elf")
# How to crash, and what is said: the reason, and the function that did it.
CRASHES = {
    "page": (r"#PF page fault in ring 0: address 0xdeadbee8, error 0x2", "fault_page"),
    "divide": (r"#DE divide error in ring 0: error 0x0", "fault_divide"),
    "ud": (r"#UD invalid opcode in ring 0: error 0x0", "fault_invalid_opcode"),
    "stack": (r"#DF double fault; last page-fault address 0xffffff[0-9a-f]{7}ff8", "fault_stack"),
}


@pytest.fixture(scope="module", autouse=True)
def debug_build():
    """The multiplexer with the commands that crash it."""
    kernel = BUILD / "debug" / "polyvisor.elf"
    make(kernel.relative_to(ROOT), build=BUILD / "debug", variables=["DEBUG=1"])
    return kernel


@pytest.fixture
def debug_boot(boot, debug_build):
    boot.images.kernel = debug_build
    return boot


class Panic:
    """The panic console."""

    def __init__(self, shell):
        self.shell = shell
        _, match = shell.expect(PANIC, panic=True)
        self.title = match.group(0).decode().strip()
        self.report = self.result()

    def result(self):
        before, _ = self.shell.expect(PANIC_PROMPT, panic=True)
        return "\n".join(render(before))

    def run(self, command):
        self.shell.send(command + "\r")
        lines = self.result().splitlines()
        assert lines[0] == command
        return "\n".join(lines[1:])


def function_names(backtrace):
    return re.findall(r"^  [0-9a-f]{16} (\w+)\+0x[0-9a-f]+$", backtrace, re.M)


def check_panic(panic, kind):
    reason, function = CRASHES[kind]
    assert re.fullmatch(r"\*\*\* Polyvisor \S+\+debug: panic on core 0 \(APIC id 0\): " + reason, panic.title)
    registers, _, backtrace = panic.report.partition("\nbacktrace:\n")
    assert re.search(rf"^rip ffffffff8[0-9a-f]{{7}} {function}\+0x[0-9a-f]+$", registers, re.M)
    for name in ("rax", "rbp", "rsp", "r15", "rflags", "cr0", "cr2", "cr3", "cr4"):
        assert re.search(rf"\b{name} [0-9a-f]+", registers)
    names = function_names(backtrace)
    assert names[0] == function
    assert names[-1].startswith("sysenter"), "down to where ring 3 called"
    assert "debug_call" in names


@pytest.mark.parametrize("emu, kind", [("tcg", "page"), ("tcg", "divide"), ("tcg", "ud"), ("tcg", "stack"),
                                       ("bochs", "stack")])
def test_crash(debug_boot, emu, kind):
    shell = debug_boot.grub(CONFIG, PROGRAMS, emu=emu, cores=2, mem="256M")
    shell.send(f"crash {kind}\r")
    panic = Panic(shell)
    check_panic(panic, kind)
    assert "no such command: 'nothing'" in panic.run("nothing")


def test_panic_console(debug_boot):
    """On four busy cores: the others are stopped, and everything can still be looked at."""
    shell = debug_boot.grub(CONFIG, PROGRAMS, emu="bochs", cores=4, mem="256M")
    assert shell.json("machine")["debug_build"]
    shell.wait_for_state("spin", "running")
    shell.send("crash page\r")
    panic = Panic(shell)
    check_panic(panic, "page")

    everyone = panic.run("regs")
    titles = re.findall(r"^core (\d) \(APIC id (\d)\)(.*):$", everyone, re.M)
    assert titles == [("0", "0", ", which panicked"), ("1", "1", ""), ("2", "2", ""), ("3", "3", "")]
    for core in range(1, 4):
        registers = panic.run(f"regs {core}")
        assert f"core {core} " in registers and "no registers" not in registers
        assert "vector 2 " in registers, "stopped by an NMI"
        assert re.search(r"^rip 0000000000[0-9a-f]{6}$", registers, re.M), "in the program that it ran"

    assert "panic on core" not in panic.run("log")
    assert "core 3: APIC id 3, in VMX operation" in panic.run("log")
    rip = re.search(r"^rip (ffffffff8\w{7}) fault_page", panic.report, re.M)[1]
    memory = panic.run(f"mem {rip} 10")
    assert re.match(rf"{rip}  [0-9a-f]{{16}} [0-9a-f]{{16}}$", memory)
    assert len(panic.run(f"mem 0x{rip} 40").splitlines()) == 4
    assert panic.run("mem 0") == "0000000000000000 is not mapped"
    assert panic.run("mem ffff7fffffffffff") == "ffff7fffffffffff is not mapped"
    assert panic.run("help") == "regs [CORE]  mem ADDRESS [BYTES]  log  reboot"
    shell.send("\r")
    assert panic.result() == ""
    assert panic.run("mem deadbee8") == "00000000deadbee8 is not mapped"

    shell.send("reboot\r")
    shell.wait_for_shell()
    assert [core["state"] for core in shell.cores()] == ["vmx"] * 4


def test_nmi_is_survived(debug_boot):
    shell = debug_boot.grub(CONFIG, PROGRAMS, emu="bochs", cores=2, mem="256M")
    for _ in range(3):
        assert shell.run("crash nmi") == "nmi: the multiplexer went on"
    assert [core["vmxoff"] for core in shell.cores()] == [0, 0]


# Crashes in its first life. It has the debug capability, so it can ask how often it was restarted.
FRAGILE = """
bits 64
org 0x400000
    mov eax, 8                  ; PV_SYS_DEBUG
    mov edi, 2                  ; PV_DEBUG_PERSONALITIES
    mov r9d, 0x402000
    mov r10d, 0x1000
    lea rdx, [rel .listed]
    mov rcx, rsp
    sysenter
.listed:
    cmp dword [0x402000 + 28], 0 ; the first record's restarts
    jne .again
    ud2
.again:
    mov eax, 3                  ; PV_SYS_CONSOLE_WRITE
    mov edi, text
    mov esi, text.end - text
    xor r8d, r8d
    lea rdx, [rel .written]
    mov rcx, rsp
    sysenter
.written:
    jmp .written
text:
    db "here again", 10
.end:
"""


def test_monitor_that_crashes(boot, tmp_path):
    """It is started again by itself."""
    (tmp_path / "fragile.asm").write_text(FRAGILE)
    subprocess.run(["nasm", "-f", "bin", "-o", tmp_path / "fragile.bin", tmp_path / "fragile.asm"], check=True, timeout=60)
    program = write(notes(), code(data=(tmp_path / "fragile.bin").read_bytes()), data(address=0x402000, memsz=0x1000))
    config = personality("fragile", debug="yes") + personality("spin")
    files = {"fragile.elf": program, "spin.elf": find_program("spin.elf")}
    shell = boot.start(boot="grub", iso=boot.images.iso(config, files), emu="tcg", machine="pc", cores=1, mem="256M")
    shell.expect("fragile: stopped: #UD invalid opcode, error code 0x0 at rip 0x4000")
    shell.expect("here again\r\n")


def test_monitor_that_cannot_live(boot):
    """One that crashes whenever it is started is restarted a few times, not for ever."""
    config = personality("broken", "divide.elf", debug="yes") + personality("spin")
    shell = boot.start(boot="grub", iso=boot.images.iso(config, ("divide.elf", "spin.elf")), emu="tcg", machine="pc",
                       cores=2, mem="256M")
    panic = Panic(shell)
    assert "the monitor keeps failing: #DE divide error, error code 0x0 at rip 0x" in panic.title
    assert panic.run("log").count("broken: stopped: #DE divide error") == 6
