"""Reads what the shell's `trace dump` printed, out of a console log (docs/tracing.md has the format).

    dump = decode.read(open("console.log", "rb").read())
    dump.cores[0].events            # in the order in which they happened
    dump.problems                   # what is damaged or missing, in words

A dump that is damaged in places is read as far as possible; DumpError says why there is nothing to be had at all.
"""
import base64
import binascii
import collections
import dataclasses
import json
import re
import zlib

FORMAT = 1
KINDS = ("LONG", "ON", "OFF", "GUEST", "CALL", "TRAP", "IDLE", "SWITCH", "VMPTRLD", "VMCLEAR", "VMX", "IPI", "INTERRUPT",
         "INJECT", "FAILED")        # enum pv_trace_kind
TIMES = ("GUEST", "CALL", "TRAP", "IDLE")
# Flags of an event's first byte (vmm/personalities/monitor/trace_lines.c).
TAG_WHO, TAG_CAUSE, TAG_OUTCOME, TAG_VALUE = 0x10, 0x20, 0x40, 0x80
PIECES = 4                          # a line that console text has cut apart is looked for in so many lines

RECORD = re.compile(rb"@trace (\d+) (meta|events) (.*) ([0-9a-f]{8})", re.DOTALL)

Event = collections.namedtuple("Event", "number when kind value who cause outcome")


class DumpError(Exception):
    """There is no trace to be had; the text says why."""


@dataclasses.dataclass
class Core:
    """What was recorded on a core. info: the core's line of the dump, or {} if that is lost."""
    info: dict = dataclasses.field(default_factory=dict)
    events: list = dataclasses.field(default_factory=list)
    missing: list = dataclasses.field(default_factory=list)     # (number of the first, how many) of events not had


@dataclasses.dataclass
class Dump:
    """A whole dump."""
    machine: dict = dataclasses.field(default_factory=dict)
    reasons: dict = dataclasses.field(default_factory=dict)     # {exit reason: name}
    personalities: dict = dataclasses.field(default_factory=dict)   # {number: its line}
    cores: dict = dataclasses.field(default_factory=dict)       # {number: Core}
    end: dict = None                                            # {"lines": ..., "events": ...}
    problems: list = dataclasses.field(default_factory=list)

    def core(self, number):
        return self.cores.setdefault(number, Core())


# ---- lines ----

def _check(text):
    """(number, kind, contents) of a whole line, or None."""
    match = RECORD.fullmatch(text)
    if not match or zlib.crc32(text[:-9]) != int(match[4], 16):
        return None
    return int(match[1]), match[2].decode(), match[3]


def _mend(lines, index):
    """A line that console text has cut: its pieces are the ends of some of the next lines."""
    text = lines[index]
    for line in lines[index + 1:index + PIECES]:
        if b"@trace " in line:
            break
        for cut in {len(text), *(match.start() for match in re.finditer(rb"[\r\x1b\[]", text))}:
            record = _check(text[:cut] + line)
            if record:
                return record
    return None


def _records(data):
    """Yields (number, kind, contents), or (number or None, "damaged", text) of lines that are not whole."""
    lines = []
    for line in re.split(rb"[\r\n]*\n[\r\n]*", data):
        starts = [match.start() for match in re.finditer(rb"@trace ", line)]
        if not starts:
            lines.append(re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]|\r", b"", line))
        for start, end in zip(starts, starts[1:] + [len(line)]):
            lines.append(line[start:end].rstrip(b"\r"))
    for index, line in enumerate(lines):
        if not re.match(rb"@trace \d", line):
            continue
        # What the console printed right behind it is no part of it.
        end = re.match(rb".* [0-9a-f]{8}(?=[^0-9a-f]|$)", line)
        record = _check(line) or (end and _check(end[0])) or _mend(lines, index)
        if record:
            yield record
        elif re.match(rb"@trace \d+ (?:meta|events) ", line):
            yield int(line.split(b" ")[1]), "damaged", line


# ---- contents ----

class _Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def byte(self):
        self.at += 1
        return self.data[self.at - 1]

    def number(self):
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7f) << shift
            shift += 7
            if byte < 0x80:
                return value
            if shift > 63:
                raise ValueError("a number without end")


def events(first, count, payload):
    """The events of one line; ValueError or IndexError: the line is not one of ours."""
    reader, when = _Reader(payload), 0
    last_who, last_cause, found = {}, {}, []
    for number in range(first, first + count):
        tag = reader.byte()
        kind = KINDS[tag & 15]
        difference = reader.number()
        difference = difference >> 1 ^ -(difference & 1)
        value = reader.number() if kind in TIMES or tag & TAG_VALUE else 0
        who = reader.number() if tag & TAG_WHO else last_who.get(kind, 0)
        cause = reader.byte() if tag & TAG_CAUSE else last_cause.get(kind, 0)
        outcome = reader.byte() if tag & TAG_OUTCOME else 0
        when = when + difference + (value if kind in TIMES else 0) & 0xffffffffffffffff
        last_who[kind], last_cause[kind] = who, cause
        found.append(Event(number, when, kind, value, who, cause, outcome))
    if reader.at != len(payload):
        raise ValueError("bytes are left over")
    return found


def _take_meta(dump, contents):
    value = json.loads(contents)
    if "reasons" in value:
        dump.reasons = {int(reason): name for reason, name in value["reasons"].items()}
    elif "name" in value and "personality" in value:
        dump.personalities[value["personality"]] = value
    elif "core" in value:
        dump.core(value["core"]).info = value
    elif "lines" in value:
        dump.end = value
    elif "format" in value:
        dump.machine = value


def _take_events(dump, contents):
    core, first, count, text = contents.split(b" ")
    found = events(int(first), int(count), base64.b64decode(text, validate=True))
    dump.core(int(core)).events += found


def _ranges(numbers):
    """[(first, last), ...] of sorted numbers."""
    ranges = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ranges


def _plural(count, what):
    return f"{count} {what}{'' if count == 1 else 's'}"


def _find_missing(dump):
    """Events that the rings had when the dump began and that are not here, and those that were overwritten before."""
    for number, core in sorted(dump.cores.items()):
        core.events.sort(key=lambda event: event.number)
        expected = core.events[0].number if core.events else None
        end = core.events[-1].number + 1 if core.events else 0
        if core.info and core.info["capacity"]:
            begin, end = core.info["begin"], core.info["recorded"]
            expected = begin if expected is None else min(begin, expected)
            # The ring keeps one event fewer than it has places: the oldest may be about to be overwritten.
            overwritten = max(0, end - core.info["capacity"] + 1 - expected)
            if overwritten:
                core.missing.append((expected, overwritten))
                expected += overwritten
                dump.problems.append(f"core {number}: the first {_plural(overwritten, 'event')} were overwritten, as its "
                                     f"ring holds {core.info['capacity']}")
        for event in core.events + [None]:
            upto = event.number if event else end
            if expected is not None and upto > expected:
                core.missing.append((expected, upto - expected))
                dump.problems.append(f"core {number}: {_plural(upto - expected, 'event')} from number {expected} on missing")
            expected = upto + 1 if event else upto


def _finish(dump, seen, damaged):
    last = max(seen, default=0)
    absent = sorted(set(range(1, last)) - seen)
    for number in sorted(damaged & set(absent)):
        dump.problems.append(f"line {number} is damaged: its check sum is wrong")
    for first, end in _ranges(number for number in absent if number not in damaged):
        dump.problems.append(f"line {first} is missing" if first == end else f"lines {first} to {end} are missing")
    for number in sorted(number for number in damaged if number > last):
        dump.problems.append(f"line {number} is damaged: its check sum is wrong")
    if dump.end is None:
        dump.problems.append("the dump has no end: its last lines are missing")
    _find_missing(dump)
    return dump


def read(data):
    """The last dump in a console log (bytes)."""
    dumps = []
    for number, kind, contents in _records(data):
        begins = kind != "damaged" and dumps and number <= max(dumps[-1][1], default=0)
        if begins or not dumps:
            dumps.append((Dump(), set(), set()))
        dump, seen, damaged = dumps[-1]
        if kind == "damaged":
            damaged.add(number)
            continue
        try:
            (_take_meta if kind == "meta" else _take_events)(dump, contents)
            seen.add(number)
        except (ValueError, IndexError, KeyError, TypeError, binascii.Error) as error:
            seen.add(number)
            dump.problems.append(f"line {number} is whole, but not understood ({error})")
        if dump.machine.get("format", FORMAT) != FORMAT:
            raise DumpError(f"the dump has format {dump.machine['format']}; this program reads format {FORMAT}")
    if not dumps:
        raise DumpError("there is no line of a trace in it: `trace dump` prints lines that begin with '@trace'")
    dump = _finish(*dumps[-1])
    if not any(core.events for core in dump.cores.values()):
        raise DumpError("no event can be read:\n" + "\n".join(dump.problems[:10]))
    if not dump.machine:
        dump.problems.append("the line about the machine is lost: times are in ticks")
    return dump
