"""tools/kernel-symbols: symbols for gdb out of a kernel's image. Kernels that are made here, in both orders of their tables and with each
compression, and damaged ones; and Debian's, which `make linux-test` alone has. Starts no machine."""
import lzma
import re
import struct
import subprocess
import zlib

import pytest

from images import BUILD, ROOT, make
import linux_image

TEXT, RODATA, BSS = 0xffffffff81000000, 0xffffffff82000000, 0xffffffff83000000
SIZE, HEADER, SECTION = 0x2000, 64, 64
BANNER = b"Linux version 9.9.9-test (somebody@somewhere) #1\n\0"
LONG = "a_name_of_more_than_127_characters_" * 5
OTHER_RELEASE = "trixie"


def all_symbols():
    """(address, type, name), by address; more than two markers' worth."""
    found = [(0, "A", "per_cpu_first"), (0x1fb80, "A", "per_cpu_second"), (TEXT, "T", "_text"), (TEXT, "T", "_stext")]
    found += [(TEXT + 16 * i, "tTW"[i % 3], f"function_{i:x}") for i in range(1, 500)]
    found += [(TEXT + SIZE - 16, "t", LONG), (RODATA, "B", "linux_banner"), (RODATA + 0x100, "r", "constant"), (BSS + 8, "b", "variable")]
    return found


def padded(data):
    return data + bytes(-len(data) % 8)


def name_tables(symbols):
    """num_syms, names and markers; token table and index. Single characters, as far as names have them, and some texts."""
    tokens = [bytes([i]) if chr(i).isalnum() or i == ord("_") else b"" for i in range(256)]
    tokens[1], tokens[200], tokens[255] = b"unction_", b"tf", b"_of"
    names, starts = b"", []
    for number, (_, kind, name) in enumerate(symbols):
        coded = (kind + name).encode().replace(b"tf", b"\xc8").replace(b"unction_", b"\1").replace(b"_of", b"\xff")
        if number % 256 == 0:
            starts.append(len(names))
        names += bytes([len(coded)]) if len(coded) < 128 else bytes([0x80 | len(coded) & 127, len(coded) >> 7])
        names += coded
    index, at = [], 0
    for token in tokens:
        index.append(at)
        at += len(token) + 1
    markers = struct.pack(f"<{len(starts)}I", *starts)
    first = padded(struct.pack("<I", len(symbols))) + padded(names) + padded(markers)
    return first, padded(b"".join(token + b"\0" for token in tokens)) + struct.pack("<256H", *index)


def tables(symbols, old, per_cpu=True):
    """All of them in one of the orders. per_cpu: absolute addresses are positive offsets, others negative ones."""
    base = TEXT
    offsets = [base - 1 - address if address >= base else address for address, _, _ in symbols]
    if not per_cpu:
        offsets = [address - base for address, _, _ in symbols]
    numbers = padded(struct.pack(f"<{len(offsets)}i", *offsets)) + struct.pack("<Q", base)
    names, tokens = name_tables(symbols)
    sequences = padded(b"".join(number.to_bytes(3, "big") for number in range(len(symbols))))
    return numbers + names + sequences + tokens if old else names + tokens + numbers + sequences


def vmlinux(rodata):
    """An ELF file with .text, .rodata, .bss and their names."""
    names = b"\0.text\0.rodata\0.bss\0.shstrtab\0"
    rodata_at = HEADER + SIZE
    names_at = rodata_at + len(rodata)
    headers_at = names_at + len(padded(names))
    rows = [(0,) * 10, (1, 1, 6, TEXT, HEADER, SIZE, 0, 0, 16, 0), (7, 1, 2, RODATA, rodata_at, len(rodata), 0, 0, 4096, 0),
            (15, 8, 3, BSS, names_at, SIZE, 0, 0, 16, 0), (20, 3, 0, 0, names_at, len(names), 0, 0, 1, 0)]
    head = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 2, 62, 1, 0, 0, headers_at, 0, HEADER, 0, 0, SECTION, len(rows), 4)
    return head + bytes(SIZE) + rodata + padded(names) + b"".join(struct.pack("<IIQQQQIIQQ", *row) for row in rows)


def kernel(symbols=None, old=False, **options):
    symbols = symbols or all_symbols()
    return vmlinux(padded(BANNER.ljust(0x200, b"\0") + tables(symbols, old, **options)))


def gzip(data):
    packer = zlib.compressobj(wbits=31)
    return packer.compress(data) + packer.flush()


def sized(data, original):
    return data + struct.pack("<I", len(original))


def xz(data):
    return sized(lzma.compress(data, check=lzma.CHECK_CRC32), data)


def zstd(data):
    return sized(subprocess.run(["zstd", "-cq"], input=data, capture_output=True, check=True).stdout, data)


def lz4(data):
    """Without any matches: sizes of 15 and more go on in bytes of up to 255."""
    blocks = b""
    for at in range(0, len(data), 8192):
        piece = data[at:at + 8192]
        rest = len(piece) - 15
        block = b"\xf0" + b"\xff" * (rest // 255) + bytes([rest % 255]) + piece
        blocks += struct.pack("<I", len(block)) + block
    return sized(linux_image.LZ4_LEGACY + blocks, data)


def bzimage(payload, **fields):
    header = bytearray(1024)
    values = {0x1f1: b"\1", 0x202: b"HdrS", 0x206: b"\x0f\2", 0x248: bytes(4), 0x24c: struct.pack("<I", len(payload))}
    for offset, value in {**values, **fields.get("changed", {})}.items():
        header[offset:offset + len(value)] = value
    return bytes(header) + payload


def run(tmp_path, image):
    (tmp_path / "image").write_bytes(image)
    return subprocess.run([ROOT / "tools/kernel-symbols", tmp_path / "image", "-o", tmp_path / "symbols"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)


def nm(path):
    lines = subprocess.run(["nm", path], capture_output=True, text=True, check=True).stdout.splitlines()
    return {line.split()[2]: int(line.split()[0], 16) for line in lines}


def gdb(path, *commands):
    arguments = ["gdb", "-nx", "-batch", *(part for line in commands for part in ("-ex", line)), str(path)]
    result = subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100, check=False)
    assert "warning" not in result.stderr, result.stderr
    return result.stdout


@pytest.mark.parametrize("pack", [gzip, xz, zstd, lz4])
@pytest.mark.parametrize("old", [True, False])
def test_symbols(tmp_path, old, pack):
    """Every symbol, whatever the order of the tables and the compression; and gdb takes the file."""
    result = run(tmp_path, bzimage(pack(kernel(old=old))))
    assert result.returncode == 0, result.stderr
    assert f"{len(all_symbols())} symbols of Linux version 9.9.9-test" in result.stdout
    assert nm(tmp_path / "symbols") == {name: address for address, _, name in all_symbols()}
    said = gdb(tmp_path / "symbols", "info symbol function_1f", "info symbol (long)&function_1f + 15", f"info symbol {BSS + 8}",
               "p &constant", "break function_20")
    assert said.splitlines()[:2] == ["function_1f in section .text", "function_1f + 15 in section .text"]
    assert "variable in section .bss" in said
    assert f"{RODATA + 0x100:#x} <constant>" in said
    assert f"Breakpoint 1 at {TEXT + 0x200:#x}" in said


def test_vmlinux(tmp_path):
    """A kernel that is not packed; and one whose per-processor variables have addresses like others (6.15)."""
    symbols = [symbol for symbol in all_symbols() if symbol[1] != "A"]
    result = run(tmp_path, kernel(symbols, per_cpu=False))
    assert result.returncode == 0, result.stderr
    assert nm(tmp_path / "symbols") == {name: address for address, _, name in symbols}


def test_lz4_matches():
    """'abc', then 9 bytes from 3 before, which are made meanwhile; 20 from 12 before; 'end'."""
    block = b"\x35abc\3\0" + b"\x0f\x0c\0\1" + b"\x30end"
    assert linux_image.lz4_block(block) == b"abcabcabcabc" + b"abcabcabcabcabcabcab" + b"end"
    with pytest.raises(ValueError, match="before the beginning"):
        linux_image.lz4_block(b"\x15a\2\0")


def changed(data, at, value):
    return data[:at] + value + data[at + len(value):]


def bad_images():
    good = kernel()
    payload = xz(good)
    token_index = good.index(struct.pack("<4H", 0, 1, 10, 11))
    names = good.index(struct.pack("<II", len(all_symbols()), 0))
    base = good.rindex(struct.pack("<Q", TEXT), 0, good.index(b".shstrtab"))
    truncated = bzimage(payload)[:-10]
    return {
        "text": (b"this is not a kernel\n" * 100, "no bzImage: 'HdrS' is not at 0x202"),
        "empty": (b"", "no bzImage"),
        "old": (bzimage(payload, changed={0x206: b"\4\2"}), "boot protocol 2.04, at least 2.08"),
        "truncated": (truncated, f"truncated: {len(truncated)} bytes, the payload ends at {len(truncated) + 10}"),
        "unknown": (bzimage(b"BZh9" + payload), "compressed in an unknown way: it begins with 425a6839fd377a58"),
        "damaged": (bzimage(changed(payload, len(payload) // 2, b"\xff\0\xff\0")), "the payload (xz) cannot be unpacked"),
        "short": (bzimage(sized(payload[:-4], b"")), f"the payload (xz) is damaged: {len(good)} bytes unpacked, it promises 0"),
        "gzip": (bzimage(changed(gzip(good), 2000, bytes(50))), "the payload (gzip) cannot be unpacked"),
        "zstd": (bzimage(changed(zstd(good), 500, bytes(50))), "the payload (zstd) cannot be unpacked"),
        "lz4": (bzimage(changed(lz4(good), 4, b"\xff\xff\xff")), "the payload (lz4) cannot be unpacked: a block goes beyond the end"),
        "no elf": (bzimage(xz(b"something else")), "what was compressed is no ELF file"),
        "32 bits": (changed(good, 4, b"\1"), "none for x86-64"),
        "cut": (good[:len(good) - 100], "the kernel's ELF file is damaged"),
        "no tables": (vmlinux(padded(BANNER)), "no table of symbols is in it: built without CONFIG_KALLSYMS"),
        "index": (changed(good, token_index, b"\7"), "no table of symbols is in it"),
        "names": (changed(good, names + 8, b"\0"), "the names of its symbols are not where they should be"),
        "base": (changed(good, base, bytes(8)), "the addresses of its symbols are not where they should be"),
        "offsets": (changed(good, base - 8, bytes(8)), "the addresses of its symbols are not where they should be"),
        "banner": (good.replace(b"Linux version", b"linux version"), "linux_banner is not the kernel's version"),
    }


@pytest.mark.parametrize("name", bad_images())
def test_bad_images(tmp_path, name):
    """A message that names the file and the reason, and no file."""
    image, message = bad_images()[name]
    result = run(tmp_path, image)
    assert result.returncode == 1 and result.stdout == ""
    assert result.stderr.startswith(f"kernel-symbols: {tmp_path / 'image'}: ") and result.stderr.count("\n") == 1, result.stderr
    assert message in result.stderr
    assert not (tmp_path / "symbols").exists()


def test_files_that_are_not_there(tmp_path):
    result = subprocess.run([ROOT / "tools/kernel-symbols", tmp_path / "none", "-o", tmp_path / "symbols"], capture_output=True,
                            text=True, check=False)
    assert result.returncode == 1
    assert result.stderr == f"kernel-symbols: {tmp_path / 'none'}: No such file or directory\n"


@pytest.mark.linux
@pytest.mark.parametrize("release", ["", OTHER_RELEASE])
def test_debian(tmp_path, release):
    """Debian's kernels, in whose order the tables come; what the addresses are is seen in the guest (test_linux_gdb.py)."""
    make("linux-guest", variables=[f"LINUX_RELEASE={release}"] if release else [])
    image = BUILD / "guests" / release / "vmlinuz"
    result = run(tmp_path, image.read_bytes())
    assert result.returncode == 0, result.stderr
    match = re.fullmatch(r".*: (\d+) symbols of Linux version (\S+) .*\n", result.stdout)
    assert int(match[1]) > 50_000
    # The header has a version of its own (kernel_version in boot.rst).
    data = image.read_bytes()
    version = 0x200 + int.from_bytes(data[0x20e:0x210], "little")
    assert data[version:data.index(b"\0", version)].decode().split()[0] == match[2]
    symbols = nm(tmp_path / "symbols")
    assert TEXT == symbols["_text"] < symbols["vfs_read"] < symbols["_etext"] < symbols["linux_banner"] < symbols["_end"]
