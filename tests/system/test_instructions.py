"""Instructions that ring 3 must not execute, or that lead into ring 0, each as the very first one of a program."""
import re
import subprocess

import pytest

from elf_writer import code, data, notes, write
from images import MONITOR, find_program, personality

GP, UD, DB, BP, SS, PF, AC = ("#GP general protection", "#UD invalid opcode", "#DB debug", "#BP breakpoint",
                              "#SS stack-segment fault", "#PF page fault", "#AC alignment check")
# Assembly, and the exceptions that may come of it. Of VMX instructions it depends on whether VMX operation is on; QEMU reads
# the frames of far returns as if it were ring 0, which SMAP forbids, does not know int1, and has no #SS for stacks.
INSTRUCTIONS = {
    "cli": ("cli", [GP]),
    "sti": ("sti", [GP]),
    "hlt": ("hlt", [GP]),
    "in": ("in al, 0x60", [GP]),
    "in-dx": ("mov dx, 0x3f8\n in al, dx", [GP]),
    "out": ("out 0x80, al", [GP]),
    "out-reset": ("mov dx, 0xcf9\n mov al, 6\n out dx, al", [GP]),
    "out-shutdown": ("mov dx, 0x8900\n out dx, al", [GP]),
    "insb": ("mov dx, 0x3f8\n mov edi, 0x402000\n insb", [GP]),
    "outsb": ("mov dx, 0x3f8\n mov esi, 0x402000\n outsb", [GP]),
    "read-cr0": ("mov rax, cr0", [GP]),
    "read-cr3": ("mov rax, cr3", [GP]),
    "write-cr3": ("xor eax, eax\n mov cr3, rax", [GP]),
    "write-cr4": ("xor eax, eax\n mov cr4, rax", [GP]),
    "write-cr8": ("xor eax, eax\n mov cr8, rax", [GP]),
    "read-dr7": ("mov rax, dr7", [GP]),
    "write-dr0": ("mov dr0, rax", [GP]),
    "clts": ("clts", [GP]),
    "lmsw": ("lmsw ax", [GP]),
    "rdmsr": ("mov ecx, 0xc0000080\n rdmsr", [GP]),
    "wrmsr": ("mov ecx, 0xc0000080\n wrmsr", [GP]),
    "lgdt": ("lgdt [0x402000]", [GP]),
    "lidt": ("lidt [0x402000]", [GP]),
    "lldt": ("xor eax, eax\n lldt ax", [GP]),
    "ltr": ("mov eax, 0x40\n ltr ax", [GP]),
    "invlpg": ("invlpg [0x402000]", [GP]),
    "invd": ("invd", [GP]),
    "wbinvd": ("wbinvd", [GP]),
    "swapgs": ("swapgs", [GP]),
    "rdpmc": ("mov ecx, 0\n rdpmc", [GP]),
    "xsetbv": ("xor ecx, ecx\n xor edx, edx\n mov eax, 1\n xsetbv", [GP, UD]),
    "rdfsbase": ("rdfsbase rax", [UD]),
    "wrgsbase": ("mov rax, 0x1000\n wrgsbase rax", [UD]),
    "syscall": ("syscall", [UD]),
    "sysret": ("o64 sysret", [UD, GP]),
    "sysexit": ("o64 sysexit", [GP]),
    "iret-to-ring-0": ("mov rax, rsp\n push 0x10\n push rax\n push 0x202\n push 0x8\n push 0x400000\n iretq", [GP, PF]),
    "far-return-to-ring-0": ("push 0x8\n push 0x400000\n o64 retf", [GP, PF]),
    "far-jump-to-ring-0": ("jmp far [rel there]\nthere: dd 0x400000\n dw 0x8", [GP]),
    "far-call-to-tss": ("call far [rel there]\nthere: dd 0\n dw 0x43", [GP]),
    "ring-0-data": ("mov eax, 0x10\n mov ds, ax", [GP]),
    "ring-0-stack": ("mov eax, 0x10\n mov ss, ax", [GP]),
    "selector-away": ("mov eax, 0xfffb\n mov es, ax", [GP]),
    "int-0": ("int 0", [GP]),
    "int-2": ("int 2", [GP]),
    "int-8": ("int 8", [GP]),
    "int-14": ("int 14", [GP]),
    "int-32": ("int 32", [GP]),
    "int-128": ("int 0x80", [GP]),
    "int-255": ("int 255", [GP]),
    "int3": ("int3", [BP, GP]),
    "int1": ("int1", [DB, UD]),
    "single-step": ("push 0x302\n popfq\n nop\n nop", [DB]),
    "ud2": ("ud2", [UD]),
    "lock-nop": ("db 0xf0\n nop", [UD]),
    "rsm": ("rsm", [UD]),
    "getsec": ("xor eax, eax\n db 0x0f, 0x37", [UD, GP]),
    "monitor-memory": ("xor ecx, ecx\n xor edx, edx\n mov eax, 0x402000\n monitor", [UD, GP]),
    "mwait": ("xor ecx, ecx\n xor eax, eax\n mwait", [UD, GP]),
    "vmxon": ("vmxon [0x402000]", [GP, UD]),
    "vmxoff": ("vmxoff", [GP, UD]),
    "vmlaunch": ("vmlaunch", [GP, UD]),
    "vmresume": ("vmresume", [GP, UD]),
    "vmptrld": ("vmptrld [0x402000]", [GP, UD]),
    "vmptrst": ("vmptrst [0x402000]", [GP, UD]),
    "vmclear": ("vmclear [0x402000]", [GP, UD]),
    "vmread": ("mov eax, 0x6c00\n vmread rcx, rax", [GP, UD]),
    "vmwrite": ("mov eax, 0x6c16\n vmwrite rax, rcx", [GP, UD]),
    "vmcall": ("vmcall", [GP, UD]),
    "vmfunc": ("xor eax, eax\n xor ecx, ecx\n vmfunc", [UD]),
    "invept": ("mov eax, 2\n invept rax, [0x402000]", [GP, UD]),
    "invvpid": ("mov eax, 2\n invvpid rax, [0x402000]", [GP, UD]),
    "invpcid": ("mov eax, 3\n invpcid rax, [0x402000]", [GP, UD]),
    "sse": ("pxor xmm0, xmm0", ["#NM device not available"]),
    "x87": ("fninit", ["#NM device not available"]),
    "avx": ("db 0xc5, 0xfc, 0x77", ["#NM device not available", UD]),       # VZEROUPPER
    "no-stack": ("xor esp, esp\n push rax", [PF, SS]),
    "kernel-stack": ("mov rsp, 0xffffff0000008000\n push rax", [PF]),
    "crooked-stack": ("mov rsp, 0x8000000000000000\n push rax", [SS, GP]),
    "jump-to-kernel": ("mov rax, 0xffffffff80200000\n jmp rax", [PF]),
    "jump-away": ("mov rax, 0x8000000000000000\n jmp rax", [GP]),
    "write-info-page": ("mov rax, 0x100000000000\n mov [rax], rax", [PF]),
    "alignment": ("push 0x40202\n popfq\n mov rax, [0x402001]\n ud2", [UD]),    # CR0.AM is off
    "direction": ("std\n mov edi, 0x402000\n ud2", [UD]),
}


def assemble(folder, text):
    (folder / "text.asm").write_text(f"bits 64\norg 0x400000\n {text}\n jmp $\n")
    subprocess.run(["nasm", "-f", "bin", "-Wno-all", "-o", folder / "text.bin", folder / "text.asm"], check=True, timeout=60)
    return (folder / "text.bin").read_bytes()


@pytest.fixture(scope="class", params=["bochs", "tcg"])
def shell(class_boot, request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("assembly")
    files = {"monitor.elf": find_program("monitor.elf"), "spin.elf": find_program("spin.elf")}
    for name, (text, _) in INSTRUCTIONS.items():
        files[f"{name}.elf"] = write(notes(), code(data=assemble(folder, text)), data(address=0x402000, memsz=0x1000))
    config = MONITOR + personality("spin") + "".join(personality(name, quota="64K", cores="1") for name in INSTRUCTIONS)
    shell = class_boot.grub(config, files, emu=request.param, cores=2, mem="512M")
    assert shell.json("config")["errors"] == []

    def ends():
        states = shell.personalities()
        return states if all(states[name]["state"] == "faulted" for name in INSTRUCTIONS) else None
    shell.ends = shell.wait_until(ends, "all have faulted")
    return shell


@pytest.mark.xdist_group("instructions")
class TestInstructions:
    @pytest.mark.parametrize("name", INSTRUCTIONS)
    def test_faults(self, shell, name):
        record = shell.ends[name]
        assert record["why"].startswith(tuple(INSTRUCTIONS[name][1])), record["why"]
        assert record["registers"]["core"] == 1
        # Where it ended is in the program, or where the program jumped to.
        rip = int(record["registers"]["rip"], 16)
        assert rip < 0x401000 or name.startswith("jump-")
        assert not int(record["registers"]["rflags"], 16) & 0x3000, "I/O privilege level 0"

    def test_the_rest_goes_on(self, shell):
        vmx = shell.machine.emu == "bochs"
        for core in shell.cores():
            assert (core["state"], core["vmxon"], core["vmxoff"]) == ("vmx" if vmx else "no-vmx", int(vmx), 0)
        assert shell.personality("spin")["state"] == "running"
        assert shell.personality("monitor")["restarts"] == 0

    def test_power_off(self, shell):
        assert re.search(r"all cores stopped: (2|0) VMXON, \1 VMXOFF", "\n".join(shell.power_off()))
