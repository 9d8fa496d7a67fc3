"""Takes the ELF file (vmlinux) out of a bzImage, as Linux's scripts/extract-vmlinux does. The header says where the compressed
kernel stands (payload_offset, payload_length: Linux, Documentation/x86/boot.rst), its first bytes how it is compressed, its last
four how long it is unpacked. What is wrong with a file is a ValueError that says so."""
import lzma
import shutil
import subprocess
import zlib

SETUP_SECTS, MAGIC, VERSION, PAYLOAD_OFFSET, PAYLOAD_LENGTH = 0x1f1, 0x202, 0x206, 0x248, 0x24c
PAYLOAD_VERSION = 0x208                 # of the boot protocol: the first one that tells of the payload
SECTOR, HEADER_END, SIZE_BYTES = 512, 0x250, 4
ELF = b"\x7fELF"
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
        if distance == 0 or start < 0:
            raise ValueError("a match before the beginning")
        if distance >= length:
            out += out[start:start + length]
        else:                               # it repeats what it makes
            piece = out[start:]
            out += (piece * (length // distance + 1))[:length]
    return out


def unlz4(data):
    """The legacy frame that Linux's build makes: blocks with their sizes, no mark of the end."""
    out, at = bytearray(), len(LZ4_LEGACY)
    while at + SIZE_BYTES < len(data):
        size = int.from_bytes(data[at:at + SIZE_BYTES], "little")
        at += SIZE_BYTES
        if at + size > len(data):
            raise ValueError("a block goes beyond the end")
        out += lz4_block(data[at:at + size])
        at += size
    return bytes(out)


def unxz(data):
    return lzma.LZMADecompressor(format=lzma.FORMAT_XZ).decompress(data)


def ungzip(data):
    return zlib.decompressobj(wbits=31).decompress(data)


def unzstd(data):
    if not shutil.which("zstd"):
        raise ValueError("the program zstd is not installed")
    result = subprocess.run(["zstd", "-dcq"], input=data, capture_output=True, check=False)
    if result.returncode:
        raise ValueError(result.stderr.decode(errors="replace").strip() or "zstd fails")
    return result.stdout


# Of the bytes behind the compressed data, the size, only gzip and xz take no notice.
FORMATS = {XZ: ("xz", unxz), GZIP: ("gzip", ungzip), LZ4_LEGACY: ("lz4", unlz4), ZSTD: ("zstd", unzstd)}


def unpack(payload):
    """What was compressed."""
    for magic, (name, function) in FORMATS.items():
        if payload.startswith(magic):
            break
    else:
        raise ValueError(f"the payload is compressed in an unknown way: it begins with {payload[:8].hex()}")
    # gzip's own last field is that size.
    compressed = payload if magic == GZIP else payload[:-SIZE_BYTES]
    try:
        data = function(compressed)
    except (ValueError, IndexError, lzma.LZMAError, zlib.error) as error:
        raise ValueError(f"the payload ({name}) cannot be unpacked: {error}") from None
    size = int.from_bytes(payload[-SIZE_BYTES:], "little")
    if len(data) != size:
        raise ValueError(f"the payload ({name}) is damaged: {len(data)} bytes unpacked, it promises {size}")
    return data


def payload_of(image):
    """The compressed kernel of a bzImage."""
    if len(image) < HEADER_END or image[MAGIC:MAGIC + 4] != b"HdrS":
        raise ValueError("no bzImage: 'HdrS' is not at 0x202")
    version = int.from_bytes(image[VERSION:VERSION + 2], "little")
    if version < PAYLOAD_VERSION:
        raise ValueError(f"boot protocol {version >> 8}.{version & 255:02}, at least 2.08 is needed")
    start = ((image[SETUP_SECTS] or 4) + 1) * SECTOR + int.from_bytes(image[PAYLOAD_OFFSET:PAYLOAD_OFFSET + 4], "little")
    end = start + int.from_bytes(image[PAYLOAD_LENGTH:PAYLOAD_LENGTH + 4], "little")
    if end > len(image):
        raise ValueError(f"truncated: {len(image)} bytes, the payload ends at {end}")
    return image[start:end]


def extract_vmlinux(image):
    """The ELF file in a bzImage."""
    vmlinux = unpack(payload_of(image))
    if not vmlinux.startswith(ELF):
        raise ValueError("what was compressed is no ELF file")
    return vmlinux
