"""A kernel with a stub in front that notes the TSC, and then goes on as if it had not been there."""
import struct

SETUP_SECTS, SYSSIZE, PAYLOAD_OFFSET, INIT_SIZE, ALIGNMENT, PREFERRED = 0x1f1, 0x1f4, 0x248, 0x260, 0x230, 0x258
STAMP = 0xeec                           # in the boot parameters: the padding at their end, which nobody uses (init.c)
STUB_SIZE = 4096
ENTRIES = (0, 0x200)                    # of the 32-bit and of the 64-bit boot protocol, from the loaded kernel's beginning


def entry(address):
    """rdtsc; mov [rsi + STAMP], eax; mov [rsi + STAMP + 4], edx; jmp to the same entry of the kernel itself. The bytes mean the
    same in 32-bit and in 64-bit mode; rsi holds the boot parameters' address in both protocols (Linux, x86/boot.rst)."""
    code = b"\x0f\x31" + b"\x89\x86" + struct.pack("<I", STAMP) + b"\x89\x96" + struct.pack("<I", STAMP + 4)
    end = address + len(code) + 5
    return code + b"\xe9" + struct.pack("<i", address + STUB_SIZE - end)


def stamped(kernel):
    """A bzImage, as bytes, with the stub: 4 KiB in front of the part that runs in protected mode."""
    start = ((kernel[SETUP_SECTS] or 4) + 1) * 512
    setup = bytearray(kernel[:start])

    def add(offset, value):
        old, = struct.unpack_from("<I", setup, offset)
        struct.pack_into("<I", setup, offset, old + value)

    add(SYSSIZE, STUB_SIZE // 16)
    add(PAYLOAD_OFFSET, STUB_SIZE)
    # The kernel finds itself 4 KiB behind an aligned address, and so moves on to the next one.
    add(INIT_SIZE, struct.unpack_from("<I", setup, ALIGNMENT)[0])
    stub = bytearray(STUB_SIZE)
    for address in ENTRIES:
        code = entry(address)
        stub[address:address + len(code)] = code
    return bytes(setup + stub) + kernel[start:]
