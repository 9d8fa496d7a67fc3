"""The symbols that a Linux kernel carries in itself for its own backtraces (CONFIG_KALLSYMS), out of its image.

Nothing says where the tables are; they are found by what must be true of them. Linux's scripts/kallsyms.c writes them, each at a
multiple of 8, in one of two orders:

    up to 6.3      offsets, relative_base, num_syms, names, markers, ..., token_table, token_index
    from 6.4 on    num_syms, names, markers, ..., token_table, token_index, offsets, relative_base

    token_table    256 texts that end with 0: what each byte of a name stands for
    token_index    where each of them begins, 16 bits each
    names          for each symbol, by address: the number of bytes (above 127 in two bytes, low 7 bits first), and those.
                   The first character of the text that they stand for is the symbol's type, as nm has it
    markers        where each 256th name begins, 32 bits each
    offsets        32 bits for each symbol, from relative_base: see addresses()

What is wrong is a ValueError that says so."""
import struct
from typing import NamedTuple

ALIGN = 8
TOKENS, TOKEN_MAX, BETWEEN_MARKERS = 256, 1024, 256
SYMBOLS_MIN, SYMBOLS_MAX = 100, 1 << 22
DIGITS = b"".join(b"%d\0" % digit for digit in range(10))   # every kernel has digits in names, and they stay single
TYPES = b"AaBbCcDdGgIiNnRrSsTtUuVvWw"


class Symbol(NamedTuple):
    address: int
    kind: str                           # as nm has it; A: absolute, such as the offset of a per-processor variable
    name: str


def align(offset):
    return -(-offset // ALIGN) * ALIGN


def tokens_at(data, start):
    """(tokens, where token_index ends), if a token table with its index begins there, else None."""
    tokens, at = [], start
    for _ in range(TOKENS):
        end = data.find(b"\0", at, at + TOKEN_MAX)
        if end < 0:
            return None
        tokens.append(data[at:end])
        at = end + 1
    index, size = align(at), TOKENS * 2
    starts = [0]
    for token in tokens[:-1]:
        starts.append(starts[-1] + len(token) + 1)
    if starts[-1] > 0xffff or data[index:index + size] != struct.pack(f"<{TOKENS}H", *starts):
        return None
    return tokens, index + size


def find_tokens(data):
    """(tokens, where the table begins, where its index ends)."""
    digits = data.find(DIGITS)
    while digits >= 0:
        first = max(0, digits - ord("0") * 64) // ALIGN * ALIGN
        for start in range(first, digits, ALIGN):
            found = tokens_at(data, start)
            if found:
                return found[0], start, found[1]
        digits = data.find(DIGITS, digits + 1)
    raise ValueError("no table of symbols is in it: built without CONFIG_KALLSYMS, or damaged")


def names_at(data, at, end, count, tokens):
    """(names with their types, where they end), if so many names and their markers are there, else None."""
    start, names, markers = at, [], []
    for number in range(count):
        if number % BETWEEN_MARKERS == 0:
            markers.append(at - start)
        size = data[at]
        at += 1
        if size & 0x80:
            size = size & 0x7f | data[at] << 7
            at += 1
        if size == 0 or at + size > end or tokens[data[at]][:1] not in TYPES:
            return None
        names.append(data[at:at + size])
        at += size
    wanted = struct.pack(f"<{len(markers)}I", *markers)
    if data[align(at):align(at) + len(wanted)] != wanted:
        return None
    return [b"".join([tokens[byte] for byte in name]).decode("ascii", "replace") for name in names]


def find_names(data, end, tokens):
    """(the names, where num_syms stands); they end before end."""
    types = {byte for byte, token in enumerate(tokens) if token[:1] and token[:1] in TYPES}
    for at in range(end - 2 * ALIGN, -1, -ALIGN):
        if data[at + 4:at + 8] != b"\0\0\0\0":
            continue
        count = int.from_bytes(data[at:at + 4], "little")
        # The first byte is a length, and a first name that takes 128 bytes there is not.
        if SYMBOLS_MIN <= count <= SYMBOLS_MAX and 0 < data[at + 8] < 0x80 and data[at + 9] in types:
            names = names_at(data, at + ALIGN, end, count, tokens)
            if names:
                return names, at
    raise ValueError("the names of its symbols are not where they should be: damaged, or a kernel of another kind")


def addresses(data, offsets, base_at, count, is_address):
    """The addresses, if the offsets are there with their base, else None. Where per-processor variables are absolute (up to 6.14),
    they are not negative, and negative ones are counted downwards from the base; else all go upwards from the base."""
    if offsets < 0 or base_at + 8 > len(data):
        return None
    base = int.from_bytes(data[base_at:base_at + 8], "little")
    values = struct.unpack_from(f"<{count}i", data, offsets)
    if not is_address(base):
        return None
    if min(values) < 0:
        found = [value if value >= 0 else base - 1 - value for value in values]
    else:
        found = [base + value for value in values]
    return found if found == sorted(found) else None


def symbols(data, is_address):
    """All symbols, in the order of their addresses. is_address: whether a number can be an address of the kernel's."""
    tokens, table, index_end = find_tokens(data)
    names, count_at = find_names(data, table, tokens)
    count = len(names)
    behind, before = align(index_end), count_at - ALIGN - align(4 * count)
    found = (addresses(data, behind, behind + align(4 * count), count, is_address) or
             addresses(data, before, count_at - ALIGN, count, is_address))
    if not found:
        raise ValueError("the addresses of its symbols are not where they should be: damaged, or a kernel of another kind")
    return [Symbol(address, name[0], name[1:]) for address, name in zip(found, names)]
