"""Takes the ELF file (vmlinux) out of a bzImage, as Linux's scripts/extract-vmlinux does. The header says where the compressed
kernel stands (payload_offset, payload_length: Linux, Documentation/x86/boot.rst), its first bytes how it is compressed."""
import lzma
import shutil
import subprocess
import zlib

SETUP_SECTS, PAYLOAD_OFFSET, PAYLOAD_LENGTH = 0x1f1, 0x248, 0x24c
SECTOR = 512
GZIP, XZ, ZSTD, LZ4_LEGACY = b"\x1f\x8b", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"\x02\x21\x4c\x18"


def lz4_block(data):
    """One block of LZ4 (lz4_Block_format.md): literals, then a match, again and again; the last literals have no match."""
    out, at, end = bytearray(), 0, len(data)
    while at < end:
        token = data[at]
        at += 1
        length = token >> 4
        if length == 15:
            while data[at] == 255:
                length += 255
                at += 1
            length += data[at]
            at += 1
        out += data[at:at + length]
        at += length
        if at >= end:
            break
        distance = data[at] | data[at + 1] << 8
        at += 2
        length = token & 15
        if length == 15:
            while data[at] == 255:
                length += 255
                at += 1
            length += data[at]
            at += 1
        length += 4
        start = len(out) - distance
        assert distance > 0 and start >= 0, "LZ4: a match before the beginning"
        if distance >= length:
            out += out[start:start + length]
        else:                               # it repeats what it makes
            piece = out[start:]
            out += (piece * (length // distance + 1))[:length]
    return out


def lz4_legacy(data):
    """The legacy frame that Linux's build makes: blocks with their sizes, no mark of the end."""
    out, at = bytearray(), len(LZ4_LEGACY)
    while at + 4 <= len(data):
        size = int.from_bytes(data[at:at + 4], "little")
        if at + 4 + size > len(data):       # the kernel's size, which the build appends
            break
        out += lz4_block(data[at + 4:at + 4 + size])
        at += 4 + size
    return bytes(out)


def unpack(payload):
    """Whatever stands behind the end of the compressed data is ignored."""
    if payload.startswith(XZ):
        return lzma.LZMADecompressor(format=lzma.FORMAT_XZ).decompress(payload)
    if payload.startswith(GZIP):
        return zlib.decompressobj(wbits=31).decompress(payload)
    if payload.startswith(LZ4_LEGACY):
        return lz4_legacy(payload)
    if payload.startswith(ZSTD):
        assert shutil.which("zstd"), "the kernel is compressed with zstd, which is not installed"
        return subprocess.run(["zstd", "-dcq"], input=payload[:-4], stdout=subprocess.PIPE, check=True).stdout
    raise ValueError(f"unknown compression: {payload[:8].hex()}")


def extract_vmlinux(image):
    start = ((image[SETUP_SECTS] or 4) + 1) * SECTOR + int.from_bytes(image[PAYLOAD_OFFSET:PAYLOAD_OFFSET + 4], "little")
    length = int.from_bytes(image[PAYLOAD_LENGTH:PAYLOAD_LENGTH + 4], "little")
    vmlinux = unpack(image[start:start + length])
    assert vmlinux.startswith(b"\x7fELF"), "what was compressed is no ELF file"
    return vmlinux
