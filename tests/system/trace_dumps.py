"""Makes dumps of traces as the shell prints them, for tests of what reads them: vmm/personalities/monitor/trace_lines.c once more."""
import base64
import json
import zlib

from tracing import decode

ON, OFF, GUEST, CALL, TRAP, IDLE, SWITCH, VMPTRLD = (decode.KINDS.index(kind) for kind in (
    "ON", "OFF", "GUEST", "CALL", "TRAP", "IDLE", "SWITCH", "VMPTRLD"))
NOBODY = 0xffff
PER_LINE = 8                            # events


def line(number, text):
    """A whole line, without its end."""
    whole = f"@trace {number} {text}".encode()
    return whole + b" %08x" % zlib.crc32(whole)


def _number(value):
    out = bytearray()
    while value > 0x7f:
        out.append(value & 0x7f | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def payload(events):
    """events: (when, kind, value, who, cause, outcome) with the kind as a number."""
    out, before = b"", 0
    for when, kind, value, who, cause, outcome in events:
        time = GUEST <= kind <= IDLE
        difference = when - (value if time else 0) - before
        out += bytes([kind | 0x10 | 0x20 | (0x40 if outcome else 0) | (0x80 if value and not time else 0)])
        out += _number(2 * difference if difference >= 0 else -2 * difference - 1)
        out += _number(value) if time or value else b""
        out += _number(who) + bytes([cause]) + (bytes([outcome]) if outcome else b"")
        before = when
    return out


def agent(personality, index=0):
    return 64 * personality + index


def vpid(personality, vcpu=0):
    return 1 + 128 * personality + vcpu


class Recording:
    """What one core records, kept up to date with its counters."""

    def __init__(self, begin, current, first=0):
        self.now, self.first, self.events = begin, first, []
        self.clocks = {"ticks_idle": 1000, "ticks_ring3": 2000, "ticks_guest": 3000, "switches": 7}
        self.begin = dict(self.clocks, tsc=begin)
        self.current = current
        self._add(ON, 0x7fff, current, 255)

    def _add(self, kind, value, who, cause=0, outcome=0):
        self.events.append((self.now, kind, value, who, cause, outcome))

    def mux(self, ticks):
        self.now += ticks
        return self

    def guest(self, ticks, who, reason=10, outcome=0):
        self.now += ticks
        self.clocks["ticks_guest"] += ticks
        self._add(GUEST, ticks, who, reason, outcome)
        return self

    def ring3(self, ticks, kind=CALL, cause=14):
        self.now += ticks
        self.clocks["ticks_ring3"] += ticks
        self._add(kind, ticks, self.current, cause)
        return self

    def idle(self, ticks):
        self.now += ticks
        self.clocks["ticks_idle"] += ticks
        self._add(IDLE, ticks, NOBODY, 0xf0)
        return self

    def switch(self, to, left=0):
        counted = to != NOBODY
        self._add(SWITCH, to, self.current, left, int(counted))
        self.clocks["switches"] += counted
        self.current = to
        return self

    def end(self):
        self.now += 5
        self._add(OFF, 0, self.current)
        return self


def dump(recordings, capacity=1024, names=("monitor", "tiny", "prio"), hz=1_000_000):
    """The lines of a dump of {core: Recording}."""
    texts = [{"format": 1, "version": "test", "tsc_hz": hz, "policy": "weighted", "slice_ticks": 1000, "cores": len(recordings),
              "agents": 64, "vcpus": 128}, {"reasons": {"10": "CPUID", "30": "I/O instruction", "52": "timer <expired>"}}]
    texts += [{"personality": number, "name": name, "weight": 100} for number, name in enumerate(names)]
    total = 0
    for core, recording in recordings.items():
        texts.append({"core": core, "on": False, "capacity": capacity, "recorded": recording.first + len(recording.events),
                      "begin": recording.first, "kinds": 0x7fff, "personality": 255, "first": recording.begin,
                      "last": dict(recording.clocks, tsc=recording.now), "vmxon": 1, "vmxoff": 0})
    lines = [f"meta {json.dumps(text, separators=(',', ':'))}" for text in texts]
    for core, recording in recordings.items():
        kept = max(0, len(recording.events) - capacity + 1)     # older ones are overwritten
        for at in range(kept, len(recording.events), PER_LINE):
            part = recording.events[at:at + PER_LINE]
            text = base64.b64encode(payload(part)).decode()
            lines.append(f"events {core} {recording.first + at} {len(part)} {text}")
            total += len(part)
    lines.append("meta " + json.dumps({"lines": len(lines), "events": total}, separators=(",", ":")))
    return [line(number, text) for number, text in enumerate(lines, 1)]


def console(lines):
    """As a console log shows them."""
    return b"polyvisor> trace dump\r\n" + b"".join(text + b"\r\n" for text in lines) + b"polyvisor> "
