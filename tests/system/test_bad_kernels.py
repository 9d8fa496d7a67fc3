"""Kernels that cannot be booted, of all protocols. Each gets a message that names the module and says what is wrong with it, and ends
its own personality alone. Broken configurations, also a module whose file is absent, are in test_bad_input.py."""
import struct

import pytest

from elf_writer import HEADER_SIZE, PAGE, SEGMENT_SIZE, PT_NOTE, R, W, X, Segment, note, write
from images import MONITOR, find_program, personality

MEBIBYTE = 1 << 20
# mov edx, 0x604; mov eax, 0x3400; out dx, ax; hlt; jmp to it: ACPI's S5, the same in 32 and 64 bits
OFF = bytes.fromhex("ba04060000 b800340000 66ef f4 ebfd")
START = MEBIBYTE                                # where the small kernels are loaded

# ---- Linux' own protocol ----

SETUP = 4 * 512                                 # boot sector and three sectors of set-up: then the protected-mode part
WHOLE = 8192
HEADER_END = 0x26c


def linux(length=WHOLE, **changed):
    """A kernel that is right, but for the fields given: its 64-bit entry switches the machine off."""
    fields = {"setup_sects": (0x1f1, "B", 3), "syssize": (0x1f4, "I", (WHOLE - SETUP) // 16), "boot_flag": (0x1fe, "H", 0xaa55),
              "jump": (0x200, "H", 0x6aeb), "magic": (0x202, "4s", b"HdrS"), "version": (0x206, "H", 0x20f),
              "loadflags": (0x211, "B", 1), "initrd_addr_max": (0x22c, "I", 0x7fffffff), "alignment": (0x230, "I", 0x200000),
              "relocatable": (0x234, "B", 1), "xloadflags": (0x236, "H", 1), "cmdline_size": (0x238, "I", 60),
              "pref_address": (0x258, "Q", 16 * MEBIBYTE), "init_size": (0x260, "I", 8 * MEBIBYTE)}
    data = bytearray(WHOLE)
    for name, (offset, layout, value) in fields.items():
        struct.pack_into("<" + layout, data, offset, changed.get(name, value))
    data[SETUP + 0x200:SETUP + 0x200 + len(OFF)] = OFF
    return bytes(data[:length])


# Name: (the file of module 'kernel', what is said of it).
BZIMAGES = {
    "empty": (b"", "it is empty"),
    "text": (b"this is not a kernel\n" * 100, "2100 bytes without 'HdrS' at 0x202, a PVH note, or a Multiboot header: no kernel"),
    "cut-boot": (linux(0x1f8), "504 bytes without 'HdrS' at 0x202, a PVH note, or a Multiboot header: no kernel"),
    "cut-magic": (linux(0x206), "truncated: 518 bytes, less than the header of a Linux kernel"),
    "cut-header": (linux(0x263), "truncated: 611 bytes, less than the header of a Linux kernel"),
    "cut-end": (linux(HEADER_END - 1), "truncated: 619 bytes, its header ends at 0x26c"),
    "cut-setup": (linux(SETUP - 512), "truncated: 1536 bytes, the header promises 8192"),
    "cut-sectors": (linux(SETUP), "truncated: 2048 bytes, the header promises 8192"),
    "cut-entry": (linux(SETUP + 0x200), "truncated: 2560 bytes, the header promises 8192"),
    "cut-last": (linux(WHOLE - 16), "truncated: 8176 bytes, the header promises 8192"),
    "unsigned": (linux(boot_flag=0), "no boot sector signature (0xaa55) at 0x1fe: not a Linux bzImage"),
    "old": (linux(version=0x204), "boot protocol 2.04, at least 2.12 (Linux 3.8) is needed"),
    "low": (linux(loadflags=0), "a zImage, which is loaded below 1M (loadflags has LOADED_HIGH clear)"),
    "wide": (linux(xloadflags=0), "a 32-bit kernel: no 64-bit entry point (xloadflags has XLF_KERNEL_64 clear)"),
    "unaligned": (linux(alignment=0x300000), "its kernel_alignment, 0x300000, is not a power of two"),
    "sizeless": (linux(init_size=0), "its init_size or cmdline_size is 0"),
    "jump": (linux(jump=0x10eb), "its header ends at 0x212, expected 0x264 to 0x281"),
}

# ---- ELF files ----

RIGHT_NOTE = note(name=b"Xen\0", kind=18, contents=struct.pack("<I", START))


def program(notes=RIGHT_NOTE, phnum=None, address=START, segment=None, **fields):
    """An ELF file with a PVH entry that switches the machine off."""
    segments = (Segment(R | X, address, OFF, **(segment or {})), Segment(R | W, START + PAGE, b"data"),
                Segment(R, 0, notes, PT_NOTE))
    return write(*segments, phnum=len(segments) if phnum is None else phnum, **{"entry": START, **fields})


TABLE_END = HEADER_SIZE + 3 * SEGMENT_SIZE
NO_MULTIBOOT = "no Multiboot header, and as PVH: "
ELFS = {
    "elf-cut": (program()[:HEADER_SIZE - 1], NO_MULTIBOOT + "truncated: 63 bytes, less than an ELF header"),
    "elf-table": (program()[:TABLE_END - 1], NO_MULTIBOOT + f"truncated: {TABLE_END - 1} bytes, its 3 program headers are at 0x40"),
    "elf-segment": (program()[:TABLE_END + 4],
                    NO_MULTIBOOT + f"truncated: {TABLE_END + 4} bytes, segment 0 is 0xf bytes from 0xe8 on"),
    "elf-class": (program(ident=b"\x7fELF\x03\x01\x01" + bytes(9)),
                  NO_MULTIBOOT + "an ELF file of class 3, encoding 1, expected class 1 or 2, encoding 1"),
    "elf-32": (program(ident=b"\x7fELF\x01\x01\x01" + bytes(9)), NO_MULTIBOOT + "it has no program headers"),
    "elf-order": (program(ident=b"\x7fELF\x02\x02\x01" + bytes(9)),
                  NO_MULTIBOOT + "an ELF file of class 2, encoding 2, expected class 1 or 2, encoding 1"),
    "elf-arm": (program(machine=183), NO_MULTIBOOT + "an ELF file for machine 183, expected 3 (i386) or 62 (x86-64)"),
    "elf-object": (program(type=1), NO_MULTIBOOT + "an ELF file of type 1, expected 2 (executable)"),
    "elf-no-note": (program(note(name=b"GNU\0")), NO_MULTIBOOT + "an ELF file without a PVH entry (no note 'Xen' of type 18)"),
    "elf-note": (program(RIGHT_NOTE[:-4]), NO_MULTIBOOT + "a note at 0x"),
    "elf-entry": (program(note(name=b"Xen\0", kind=18, contents=struct.pack("<I", 0x900000))), "its entry point, 0x900000, is "),
    "elf-low": (program(note(name=b"Xen\0", kind=18, contents=struct.pack("<I", 0x8000)), address=0x8000),
                "it wants to be loaded at 0x8000, below 1M"),
    "elf-outside": (program(segment={"memsz": 16 * MEBIBYTE, "vaddr": 0x2000000, "paddr": 0x2000000}),
                    "its entry point, 0x100000, is "),
    "elf-large": (program(segment={"memsz": 16 * MEBIBYTE, "paddr": START + 2 * PAGE},
                          notes=note(name=b"Xen\0", kind=18, contents=struct.pack("<I", START + 2 * PAGE))),
                  "it needs memory from 0x101000 to 0x1102000, the guest has 4M"),
    "elf-4g": (program(segment={"paddr": 1 << 32}), NO_MULTIBOOT + "segment 0, 0xf bytes at 0x100000000, is not below 4G"),
    "elf-overlap": (program(segment={"memsz": 2 * PAGE}), NO_MULTIBOOT + "segment"),
}

# ---- Multiboot ----


def multiboot1(flags=1 << 16, load=START, load_end=0, bss_end=0, entry=START + 32):
    return struct.pack("<8I", 0x1badb002, flags, -(0x1badb002 + flags) & 0xffffffff, START, load, load_end, bss_end, entry) + OFF


def multiboot2(*tags, architecture=0, length=None, load_end=0, bss_end=0):
    tags = tags or (struct.pack("<HHI4I", 2, 0, 24, START, START, load_end, bss_end), struct.pack("<HHIII", 3, 0, 12, START + 64, 0),
                    struct.pack("<HHI", 0, 0, 8))
    contents = b"".join(tags)
    length = 16 + len(contents) if length is None else length
    header = struct.pack("<IIII", 0xe85250d6, architecture, length, -(0xe85250d6 + architecture + length) & 0xffffffff)
    return (header + contents).ljust(64, b"\0") + OFF


M1, M2 = "its Multiboot 1 header", "its Multiboot 2 header"
MULTIBOOTS = {
    "m1-cut": (multiboot1()[:31], f"truncated: {M1} at 0 has no room for addresses"),
    "m1-video": (multiboot1(flags=1 << 16 | 4), f"{M1} demands a video mode (flags bit 2): there is no screen"),
    "m1-demand": (multiboot1(flags=1 << 16 | 8), f"{M1} demands what is not known (flags 0x10008)"),
    "m1-flat": (multiboot1(flags=0), f"{M1} has no addresses (flags bit 16), and it is not an ELF file"),
    "m1-place": (multiboot1(load=START + PAGE), "its load_addr, 0x101000, does not fit header_addr, 0x100000, with the header at "),
    "m1-end": (multiboot1(load_end=START + PAGE), "truncated: 47 bytes, segment 0 is 0x1000 bytes from 0 on"),
    "m1-bss": (multiboot1(bss_end=START + 1), "its bss_end_addr, 0x100001, is below the end of what is loaded, 0x10002f"),
    "m1-large": (multiboot1(bss_end=32 * MEBIBYTE), "it needs memory from 0x100000 to 0x2000000, the guest has 4M"),
    "m1-entry": (multiboot1(entry=0x200000), "its entry point, 0x200000, is "),
    "m2-cut": (multiboot2()[:40], "truncated: its Multiboot 2 header is 64 bytes from 0 on, the file or 32 KiB end at 0x28"),
    "m2-mips": (multiboot2(architecture=4), f"{M2} is for architecture 4, expected 0 (i386)"),
    "m2-tag": (multiboot2(struct.pack("<HHI", 99, 0, 8), struct.pack("<HHI", 0, 0, 8)),
               f"{M2} has a required tag of type 99, which is not known"),
    "m2-open": (multiboot2(struct.pack("<HHI", 6, 0, 8)), f"{M2} has no end tag"),
    "m2-long": (multiboot2(struct.pack("<HHI", 6, 0, 800), struct.pack("<HHI", 0, 0, 8)),
                "its Multiboot 2 tag at 0x10 has 800 bytes, the header ends at 0x20"),
    "m2-flat": (multiboot2(struct.pack("<HHI", 0, 0, 8)), f"{M2} has no address tag (2), and it is not an ELF file"),
    "m2-large": (multiboot2(bss_end=32 * MEBIBYTE), "it needs memory from 0x100000 to 0x2000000, the guest has 4M"),
}

FILES = BZIMAGES | ELFS | MULTIBOOTS
SMALL, LARGE = "8M", "40M"                      # the guest has 4M, 38M
FULL = linux(init_size=20 * MEBIBYTE - 0x1000)  # leaves one page of the 36M
# What is right by itself and does not fit: (modules, other keys, what is said).
UNFIT = {
    "none": ({}, {}, "no kernel: the configuration lacks 'module kernel FILE'"),
    "huge": ({"kernel": linux(init_size=1 << 30)}, {}, "module 'kernel' needs 1024M from 0x200000 on, the guest has 36M"),
    "fixed": ({"kernel": linux(relocatable=0, pref_address=64 * MEBIBYTE)}, {},
              "module 'kernel' needs 8M from 0x4000000 on and cannot be moved (relocatable_kernel is 0), the guest has 36M"),
    "little": ({"kernel": linux()}, {"memory": "16M"}, "the guest would have 12M of memory, expected 32M to 3072M"),
    "initrd-large": ({"kernel": FULL, "initrd": bytes(5000)}, {},
                     "no room for module 'initrd', 5K, between the kernel's end, 0x23ff000, and 0x2400000"),
    "initrd-max": ({"kernel": linux(initrd_addr_max=0x1800fff), "initrd": bytes(5000)}, {},
                   "no room for module 'initrd', 5K, between the kernel's end, 0x1800000, and 0x1801000"),
    "initrd-empty": ({"kernel": linux(), "initrd": b""}, {}, "the file of module 'initrd' is empty"),
    "module-large": ({"kernel": multiboot1(bss_end=4 * MEBIBYTE), "dom0": bytes(5000)}, {"memory": SMALL},
                     "no room for module 'dom0', 4K, beside the kernel in 4M"),
    "words": ({"kernel": linux()}, {"args": f'"{"w" * 61}"'}, "the command line (args) has 61 bytes, the kernel takes 60"),
    "protocol": ({"kernel": linux()}, {"args": '"polyvisor.boot=pvh"'}, "the file of module 'kernel': not an ELF file"),
}
# The same files without a fault: they are entered and switch their machines off.
RIGHT = {
    "linux": (linux(), {"memory": LARGE, "args": f'"{"w" * 60}"'}),
    "last": (linux(WHOLE - 15), {"memory": LARGE}),     # syssize counts started paragraphs
    "elf": (program(), {}),
    "m1": (multiboot1(), {}),
    "m2": (multiboot2(), {}),
}


@pytest.mark.xdist_group("bad_kernels")
class TestBadKernels:
    """One boot with all of them."""

    @pytest.fixture(scope="class")
    def shell(self, class_boot):
        config, files = MONITOR, {"monitor.elf": find_program("monitor.elf"), "linux.elf": find_program("linux.elf")}

        def add(name, modules, **keys):
            nonlocal config
            block = personality(name, "linux.elf", cores="0", **{"memory": SMALL, **keys})
            words = "".join(f"; module {module} {name}.{module}" for module in modules)
            config += block.replace(" }\n", words + " }\n")
            files.update({f"{name}.{module}": contents for module, contents in modules.items()})

        for name, (contents, _) in FILES.items():
            add(name, {"kernel": contents})
        for name, (modules, keys, _) in UNFIT.items():
            add(name, modules, **{"memory": LARGE, **keys})
        for name, (contents, keys) in RIGHT.items():
            add(name, {"kernel": contents}, **keys)
        return class_boot.grub(config, files, cores=1, mem="1G")

    @pytest.mark.parametrize("name", RIGHT)
    def test_right(self, shell, name):
        """What is wrong with the others is only what their names say."""
        assert shell.wait_for_state(name, "exited")["exit_code"] == 0, shell.run(f"console {name}")

    @pytest.mark.parametrize("name", FILES)
    def test_file(self, shell, name):
        assert shell.wait_for_state(name, "exited")["exit_code"] == 2
        assert f"linux: the file of module 'kernel': {FILES[name][1]}" in shell.run(f"console {name}")

    @pytest.mark.parametrize("name", UNFIT)
    def test_does_not_fit(self, shell, name):
        assert shell.wait_for_state(name, "exited")["exit_code"] == 2
        assert f"linux: {UNFIT[name][2]}" in shell.run(f"console {name}")

    def test_the_shell_answers(self, shell):
        """Nobody but those that are broken has ended."""
        shell.answers()
        states = {name: record["state"] for name, record in shell.personalities().items()}
        assert states.pop("monitor") == "running" and set(states.values()) == {"exited"}
