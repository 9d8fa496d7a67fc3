"""Writes ELF64 files by hand, right ones and wrong ones in every detail that a linker would not get wrong."""
import struct

PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_NOTE, PT_TLS = 1, 2, 3, 4, 7
R, W, X = 4, 2, 1
HEADER_SIZE, SEGMENT_SIZE, PAGE = 64, 56, 4096
BASE = 0x400000
ABI_VERSION = 1
EXIT_CODE = 7
# mov edi, 7; mov eax, PV_SYS_EXIT; mov rcx, rsp; lea rdx, [rip + 2]; sysenter; ud2
EXIT_PROGRAM = bytes.fromhex("bf07000000 b801000000 4889e1 488d1502000000 0f34 0f0b")


def note(abi=ABI_VERSION, needs=0, name=b"Polyvisor\0", kind=1, contents=None):
    """The note that every personality carries."""
    contents = struct.pack("<II", abi, needs) if contents is None else contents
    def padded(data):
        return data + bytes(-len(data) % 4)
    return struct.pack("<III", len(name), len(contents), kind) + padded(name) + padded(contents)


class Segment:
    """A program header, with the bytes that it covers. Fields that are given are written whatever they mean."""

    def __init__(self, flags=R, address=0, data=b"", kind=PT_LOAD, **fields):
        self.flags, self.address, self.data, self.kind, self.fields = flags, address, data, kind, fields

    def header(self, offset):
        values = {"type": self.kind, "flags": self.flags, "offset": offset, "vaddr": self.address,
                  "paddr": self.address, "filesz": len(self.data), "memsz": len(self.data), "align": 0, **self.fields}
        return struct.pack("<IIQQQQQQ", *values.values())


def code(address=BASE, data=EXIT_PROGRAM, flags=R | X, **fields):
    return Segment(flags, address, data, **fields)


def data(address=BASE + PAGE, contents=b"data", flags=R | W, **fields):
    return Segment(flags, address, contents, **fields)


def notes(contents=None, **fields):
    return Segment(R, 0, note() if contents is None else contents, PT_NOTE, **fields)


def write(*segments, **fields):
    """A file with these segments; without any, a program that exits with EXIT_CODE. fields: of the file header."""
    segments = segments or (notes(), code(), data())
    values = {"ident": b"\x7fELF\x02\x01\x01" + bytes(9), "type": 2, "machine": 62, "version": 1, "entry": BASE,
              "phoff": HEADER_SIZE, "shoff": 0, "flags": 0, "ehsize": HEADER_SIZE, "phentsize": SEGMENT_SIZE,
              "phnum": len(segments), "shentsize": 0, "shnum": 0, "shstrndx": 0, **fields}
    headers, contents = b"", b""
    start = HEADER_SIZE + SEGMENT_SIZE * len(segments)
    for segment in segments:
        headers += segment.header(start + len(contents))
        contents += segment.data + bytes(-len(segment.data) % 4)
    return struct.pack("<16sHHIQQQIHHHHHH", *values.values()) + headers + contents
