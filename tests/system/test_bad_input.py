"""Bad input of every kind. Each ends at the shell (a loader's fatal error: back in the firmware) with a message that
names the thing and says what is wrong with it."""
import random

import pytest

from elf_writer import (ABI_VERSION, BASE, EXIT_CODE, PAGE, PT_DYNAMIC, PT_INTERP, PT_NOTE, PT_TLS, R, W, X, Segment, code,
                        data, note, notes, write)
from images import BUILD, MONITOR, find_program, personality

TCG = {"emu": "tcg", "machine": "pc", "cores": 2, "mem": "256M"}
GARBAGE = random.Random(2).randbytes(5000)
GOOD = write()

# What the file is like: the file, and what `ps` says of it.
BROKEN_IMAGES = {
    "empty": (b"", "the file is empty"),
    "text": (b"#!/bin/sh\necho no\n", "not an ELF file"),
    "garbage": (GARBAGE, "not an ELF file"),
    "cut-header": (GOOD[:40], "cut off: 40 bytes, fewer than an ELF header's 64"),
    "32-bit": (write(ident=b"\x7fELF\x01\x01\x01" + bytes(9)), "ELF class 1, not 2: not a 64-bit program"),
    "big-endian": (write(ident=b"\x7fELF\x02\x02\x01" + bytes(9)), "ELF data encoding 2, not 1: not little-endian"),
    "arm": (write(machine=183), "for another machine: e_machine is 183, not 62 (x86-64)"),
    "shared": (write(type=3), "position-independent (ET_DYN), not static"),
    "object": (write(type=1), "not an executable: e_type is 1, not 2 (ET_EXEC)"),
    "version": (write(version=0), "ELF version 0, not 1"),
    "no-headers": (write(phnum=0), "no program headers"),
    "many-headers": (write(phnum=65535), "65535 program headers, more than 64"),
    "headers-away": (write(phoff=1 << 63), "3 program headers at offset 0x8000000000000000 go beyond the file's end"),
    "header-size": (write(phentsize=32), "program header size 32, not 56"),
    "cut-segment": (find_program, "goes beyond the file's end at 0x"),     # half of a real program, see below
    "huge-in-file": (write(notes(), code(filesz=1 << 60, memsz=1 << 60)),
                     "segment 1 (0x1000000000000000 bytes at offset 0x"),
    "huge-in-memory": (write(notes(), code(memsz=1 << 62)), "segment 1 (0x4000000000000000 bytes at 0x400000) is outside"),
    "wraps": (write(notes(), code(offset=(1 << 64) - 16)), "segment 1 (0x18 bytes at offset 0xfffffffffffffff0) goes beyond"),
    "gigabyte": (write(notes(), code(), data(memsz=1 << 30)),
                 "its memory of 1024 KiB is too small for image, stacks and info page"),
    "low": (write(notes(), code(address=0x1000), entry=0x1000), "segment 1 (0x18 bytes at 0x1000) is outside [0x400000,"),
    "kernel": (write(notes(), code(address=0xffffffff80000000), entry=0xffffffff80000000),
               "segment 1 (0x18 bytes at 0xffffffff80000000) is outside"),
    "more-in-file": (write(notes(), code(memsz=1)), "segment 1 is larger in the file (0x18) than in memory (0x1)"),
    "align-3": (write(notes(), code(align=3)), "segment 1 has alignment 0x3, no power of two"),
    "crooked": (write(notes(), code(align=PAGE)), "differ modulo its alignment 0x1000"),
    "write-execute": (write(notes(), code(flags=R | W | X)), "segment 1 is writable and executable"),
    "no-access": (write(notes(), code(), data(flags=0)), "segment 2 has no access rights"),
    "overlap": (write(notes(), code(), data(address=BASE + 16)), "segments 1 and 2 overlap in the page at 0x400000"),
    "one-page": (write(notes(), data(address=BASE + 0x800), code()), "segments 2 and 1 overlap in the page at 0x400000"),
    "entry-away": (write(entry=BASE + 0x100), "the entry 0x400100 is outside what the file loads"),
    "entry-data": (write(entry=BASE + PAGE), "the entry 0x401000 is in segment 2, which is not executable"),
    "entry-kernel": (write(entry=0xffffffff80000000), "the entry 0xffffffff80000000 is outside"),
    "interpreter": (write(Segment(kind=PT_INTERP), notes(), code()), "not static: segment 0 is PT_INTERP"),
    "dynamic": (write(Segment(kind=PT_DYNAMIC), notes(), code()), "not static: segment 0 is PT_DYNAMIC"),
    "tls": (write(Segment(kind=PT_TLS), notes(), code()), "segment 0 is PT_TLS"),
    "nothing": (write(notes()), "no segment to load"),
    "many-segments": (write(notes(), *(code(address=BASE + i * PAGE) for i in range(17))), "more than 16 segments to load"),
    "no-note": (write(code()), "no Polyvisor note: not a personality"),
    "other-note": (write(notes(note(name=b"GNU\0")), code()), "no Polyvisor note: not a personality"),
    "two-notes": (write(notes(note() + note()), code()), "more than one Polyvisor note"),
    "cut-note": (write(notes(note()[:8]), code()), "segment 0: a note is cut off"),
    "long-note": (write(notes(note(contents=bytes(8))[:-8]), code()), "segment 0: a note goes beyond the segment's end"),
    "note-size": (write(notes(note(contents=bytes(12))), code()), "the Polyvisor note has 12 bytes, not 8"),
    "note-away": (write(Segment(kind=PT_NOTE, offset=1 << 40, filesz=100), code()), "segment 0 (0x64 bytes at offset 0x1"),
    "abi": (write(notes(note(abi=ABI_VERSION + 1)), code()),
            f"made for ABI version {ABI_VERSION + 1}, not {ABI_VERSION}"),
    "needs": (write(notes(note(needs=0x80000000)), code()), "needs what this version does not know: 0x80000000"),
    "needs-vmx": (write(notes(note(needs=1)), code()), "it needs VMX, and the processor has no VMX"),
}


def half_of_a_program():
    contents = find_program("hello.elf").read_bytes()
    return contents[:len(contents) // 2]


@pytest.mark.xdist_group("broken images")
class TestBrokenImages:
    """One boot with all of them."""

    @pytest.fixture(scope="class")
    def shell(self, class_boot):
        files = {name: contents for name, (contents, _) in BROKEN_IMAGES.items()}
        files["cut-segment"] = half_of_a_program()
        files |= {"good": GOOD, "monitor.elf": find_program("monitor.elf")}
        config = MONITOR + "".join(personality(name, name, quota="64K") for name in files if name != "monitor.elf")
        config += personality("small-quota", "good", quota="4K") + personality("small-memory", "good", memory="4K")
        return class_boot.grub(config, files, **TCG)

    @pytest.fixture(scope="class")
    def states(self, shell):
        return shell.personalities()

    def test_the_good_one_runs(self, shell):
        """What is broken in the others is only what their name says."""
        assert shell.wait_for_state("good", "exited")["exit_code"] == EXIT_CODE

    @pytest.mark.parametrize("name", BROKEN_IMAGES)
    def test_refused(self, shell, states, name):
        record = states[name]
        why = BROKEN_IMAGES[name][1]
        assert record["state"] == "refused"
        assert why in record["why"]
        if not why.startswith(("its ", "it ")):
            assert record["why"].startswith(f"{name}: "), "the file is named"
        assert f"{name}: not started: {record['why']}" in shell.log()
        assert f"{name} was not started: {record['why']}" in shell.boot_text
        assert shell.run(f"restart {name}") == f"restart: {name} was not started: {record['why']}"

    def test_too_small(self, states):
        assert states["small-quota"]["why"] == "its kernel-memory quota of 4 KiB is too small for its page tables"
        assert states["small-memory"]["why"] == "its memory of 4 KiB is too small for image, stacks and info page"
        assert {states[name]["state"] for name in ("small-quota", "small-memory")} == {"refused"}

    def test_the_shell_answers(self, shell):
        shell.answers()
        assert not shell.json("machine")["config_broken"]


A = "personality a { image exit42.elf; memory 1M }\n"
LONG = "n" * 300

# Each: the configuration, the command line, what the shell says of it.
BROKEN_CONFIGS = {
    "empty": ("", "", "polyvisor.cfg:1:1: found the end of the file, expected at least one personality"),
    "only-comments": ("# nothing\n\n", "", "polyvisor.cfg:3:1: found the end of the file, expected at least one personality"),
    "no-monitor": (A, "", "no personality has 'debug yes', so nobody would own the shell"),
    "two-monitors": (MONITOR + "personality b { debug yes }", "",
                     "polyvisor.cfg:2:23: found 'yes', expected no: personality 'monitor' on line 1 has the debug capability"),
    "unknown-key": (MONITOR + "personality b {\n  colour red\n}", "", "polyvisor.cfg:3:3: found 'colour', expected a key ("),
    "unknown-word": (MONITOR + "}", "", "polyvisor.cfg:2:1: found '}', expected 'personality', 'slice', 'policy', 'frame' or 'timer'"),
    "repeated-key": (MONITOR + "personality b { image x; image y }", "",
                     "polyvisor.cfg:2:26: found 'image', expected it once in a personality: it stands on line 2 already"),
    "repeated-name": (MONITOR + MONITOR, "",
                      "polyvisor.cfg:2:13: found 'monitor', expected a new name: the personality on line 1 is called so"),
    "no-image": (MONITOR + "personality b { memory 1M }", "", "found '}', expected 'image' in personality 'b'"),
    "no-memory": (MONITOR + "personality b { image x }", "", "found '}', expected 'memory' in personality 'b'"),
    "open-block": (MONITOR + "personality b {\n  image x\n", "",
                   "polyvisor.cfg:4:1: found the end of the file, expected '}' for personality 'b' on line 2"),
    "open-string": (MONITOR + 'personality b { args "never ends\n}\n', "",
                    "expected a '\"' that ends the string on the same line"),
    "bad-size": (MONITOR + "personality b { memory 64MB }", "", "found '64MB', expected a size such as 64M (K, M or G)"),
    "huge-size": (MONITOR + "personality b { memory 99999999999999999999G }", "",
                  "found '99999999999999999999G', expected a size of at most"),
    "crooked-size": (MONITOR + "personality b { memory 5000 }", "", "found '5000', expected a size that is a multiple of 4K"),
    "falling-cores": (MONITOR + "personality b { cores 3-1 }", "", "found '3-1', expected a range that ascends, 1-3"),
    "overlapping-cores": (MONITOR + "personality b { cores 0-1,1 }", "",
                          "found '1', expected cores that the list does not have yet (overlapping cores)"),
    "core-64": (MONITOR + "personality b { cores 64 }", "", "found '64', expected a core number from 0 to 63"),
    "absent-cores": (MONITOR + A.replace("memory", "cores 1-3; memory"), "",
                     "polyvisor.cfg:2:41: found absent cores (2-3) for 'a', expected some of those that run (0-1)"),
    "phantom-core": (MONITOR + A.replace("memory", "cores 2; memory"), "phantom-core=9",
                     "polyvisor.cfg:2:41: found absent cores (2) for 'a', expected some of those that run (0-1)"),
    "too-much-memory": (MONITOR + A.replace("1M", "100G"), "", "found memory 100G and quota 401M for 'a', expected at most "),
    "weight-0": (MONITOR + "personality b { weight 0 }", "", "found '0', expected a weight from 1 to 10000"),
    "slow-slice": ("slice 5s\n" + MONITOR, "", "polyvisor.cfg:1:7: found '5s', expected a time from 100us to 1s"),
    "long-name": (MONITOR + f"personality {LONG} {{ }}", "",
                  "polyvisor.cfg:2:13: found 'nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"),
    "long-file": (MONITOR + f"personality b {{ image {LONG} }}", "", "expected a file name of at most 127 bytes, not 300"),
    "missing-image": (MONITOR + personality("b", "nowhere.elf"), "",
                      "polyvisor.cfg:2:23: found no usable file 'nowhere.elf' (no such file on the boot volume), "
                      "expected the image of 'b'"),
    "missing-module": (MONITOR + A.replace("memory", "module guest nowhere.img; memory"), "",
                       "found no usable file 'nowhere.img' (no such file on the boot volume), "
                       "expected module 'guest' of 'a'"),
    "missing-config": (MONITOR, "config=nowhere.cfg", "nowhere.cfg: no such file on the boot volume"),
    "binary": (GARBAGE, "", "polyvisor.cfg:1:1: found '"),
    "nul": (MONITOR + "slice \0 1ms", "", "polyvisor.cfg:2:7: found '\\x00', expected text without NUL bytes"),
    "utf-16": (MONITOR.encode("utf-16"), "", "polyvisor.cfg:1:1: found '\\xff"),
    "megabyte": (MONITOR + "#" * (1 << 20), "",
                 "polyvisor.cfg:1:1: found more than 65536 bytes of text, expected at most that"),
    "many-personalities": (MONITOR + "".join(f"personality p{i} {{ image x; memory 4K }}\n" for i in range(128)), "",
                           "polyvisor.cfg:129:1: found 'personality', expected at most 128 personalities"),
    "many-files": (MONITOR + "".join(f"personality p{i} {{ image f{i}; memory 4K }}\n" for i in range(126)), "",
                   "polyvisor.cfg:127:26: found 'f125', expected at most 126 different files"),
    "override-name": (MONITOR, "montor.memory=4M", "command line:1:1: found 'montor', expected the name of a personality"),
    "override-value": (MONITOR, "quiet monitor.cores=x",
                       "command line:1:21: found 'x', expected a core number from 0 to 63 or a range such as 2-5"),
    "override-cores": (MONITOR, "monitor.cores=5", "found absent cores (5) for 'monitor', expected some of those that run (0-1)"),
}


@pytest.mark.parametrize("case", BROKEN_CONFIGS)
def test_broken_config(boot, case):
    config, cmdline, message = BROKEN_CONFIGS[case]
    shell = boot.grub(config, ("monitor.elf", "exit42.elf"), cmdline, **TCG)
    answer = shell.json("config")
    (error,) = answer["errors"]
    assert message in error
    assert error.isprintable() and len(error) < 512
    assert "The configuration is wrong:\n  " + error in shell.boot_text
    assert f"configuration: {error}" in shell.log()
    assert "configuration: not used; only the monitor runs" in shell.log()
    assert shell.json("machine")["config_broken"]
    assert error in shell.run("config")
    (monitor,) = shell.personalities().values()
    assert (monitor["name"], monitor["debug"], monitor["cores"]) == ("monitor", True, [0, 1])


def test_config_text_is_shown_as_it_is(boot):
    """Also a broken one, with characters that JSON has to escape."""
    text = MONITOR + '# "quotes" \\ \t\x01\x1b[31m\x7f\r\nbroken\n'
    shell = boot.grub(text, **TCG)
    assert shell.json("config")["text"] == text


def test_broken_module_strings(boot):
    """GRUB's modules: a name that is too long, and a monitor that is no program. There is one built in."""
    name = "d" * 200 + "/" + "n" * 99
    shell = boot.grub(MONITOR, {name: b"x", "monitor.elf": GARBAGE}, **TCG)
    log = shell.log()
    assert "monitor.elf: not an ELF file; using the monitor that is built in" in log
    assert f"boot loader: the module '{'d' * 40}...' is ignored: its name has 300 characters" in log
    assert not shell.json("machine")["config_broken"]


def test_empty_module(boot):
    """A module of no bytes is a module of no bytes."""
    config = MONITOR + personality("hello", module="nothing empty.bin")
    shell = boot.grub(config, {"empty.bin": b"", "monitor.elf": find_program("monitor.elf"),
                               "hello.elf": find_program("hello.elf")}, **TCG)
    shell.wait_for_state("hello", "exited")
    assert "module nothing: 0 bytes at " in shell.json("console hello")["text"]


# ---- the EFI loader ----

EFI = dict(TCG, cores=1)


def loader_messages(shell):
    return [line for line in shell.boot_text.splitlines() if line.startswith("Polyvisor loader: ")]


def test_efi_without_config(boot):
    shell = boot(image=boot.images.disk(None), **EFI)
    assert "Polyvisor loader: polyvisor.cfg: no such file: EFI_NOT_FOUND" in loader_messages(shell)
    assert shell.json("config") == {"text": "", "errors": ["polyvisor.cfg: no such file on the boot volume"]}


def test_efi_without_files(boot):
    """Files that are not there, a folder in place of one, and a name that FAT cannot hold."""
    config = MONITOR + personality("a", "nowhere.elf") + personality("b", "folder") + personality("c", '"a*b"')
    files = {"folder/file": b"x", "monitor.elf": find_program("monitor.elf")}
    shell = boot(image=boot.images.disk(config, files), **EFI)
    said = "\n".join(loader_messages(shell))
    assert "nowhere.elf: no such file: EFI_NOT_FOUND" in said
    assert "folder: cannot be read: EFI_UNSUPPORTED" in said
    assert "a*b: no such file: EFI_" in said
    (error,) = shell.json("config")["errors"]
    assert "found no usable file 'nowhere.elf' (no such file on the boot volume" in error
    assert list(shell.personalities()) == ["monitor"]


def test_efi_with_a_config_of_a_megabyte(boot):
    shell = boot(image=boot.images.disk(MONITOR + "#" * (1 << 20)), **EFI)
    (error,) = shell.json("config")["errors"]
    assert error == "polyvisor.cfg:1:1: found more than 65536 bytes of text, expected at most that"


def test_efi_loader_gives_up_and_the_firmware_goes_on(boot):
    """Multiplexers that are missing or broken, started one after the other by the firmware's shell, which must be
    unharmed; at the end a good one."""
    kernel = (BUILD / "polyvisor.elf").read_bytes()
    broken = {
        "missing": (None, "polyvisor.elf: no such file: EFI_NOT_FOUND"),
        "empty": (b"", "polyvisor.elf: shorter than an ELF header (EFI_LOAD_ERROR)"),
        "cut": (kernel[:len(kernel) // 3], "polyvisor.elf: a segment lies outside the file (is it truncated?) (EFI_LOAD_ERROR)"),
        "garbage": (GARBAGE, "polyvisor.elf: not an ELF file (EFI_LOAD_ERROR)"),
        "arm": (kernel[:18] + b"\xb7\0" + kernel[20:], "polyvisor.elf: made for another processor than x86-64 (EFI_LOAD_ERROR)"),
    }
    loader = (BUILD / "BOOTX64.EFI").read_bytes()
    files, script = {"good/monitor.elf": find_program("monitor.elf")}, []
    for name, (contents, _) in broken.items():
        files[f"{name}/start.efi"] = loader
        script += [f"fs0:\\{name}\\start.efi", f"echo after-{name} %lasterror%"]
        if contents is not None:
            files[f"{name}/polyvisor.elf"] = contents
    files |= {"good/polyvisor.elf": kernel, "good/polyvisor.cfg": MONITOR.encode(),
              "startup.nsh": "\r\n".join(["@echo -off", *script, "fs0:\\good\\start.efi", ""])}
    boot.images.kernel = None
    shell = boot(image=boot.images.disk(None, files, loader_path="good/start.efi"), **EFI)
    for name, (_, message) in broken.items():
        place = shell.boot_text.find(f"after-{name} ")
        assert place >= 0, f"the firmware's shell did not go on after {name}"
        status = shell.boot_text[place:].splitlines()[0].split()[-1]
        assert int(status, 16) not in (0, 1 << 63)
        assert message in shell.boot_text[:place]
    shell.answers()
