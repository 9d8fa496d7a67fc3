"""What a trace means: who had which core when, and how long it took to go from one to the other.

    trace = model.Trace(decode.read(data))
    for lane in trace.lanes: ...

Times are ticks of the TSC. A *time* is what one event says: a guest, ring 3 or nobody (idle) had the core from start to
end; the multiplexer had it between two times. A *slice* is the time from one switch of agents to the next.
"""
import collections
import dataclasses

NOBODY = 0xffff
LEFT = ("its slice ended", "waits", "blocked in a call", "stopped", "idle")     # enum pv_trace_left
OUTCOMES = ("absorbed", "delivered", "budget used up", "kicked", "entry refused")   # enum pv_trace_outcome
VECTORS = {0: "#DE", 1: "#DB", 3: "#BP", 4: "#OF", 6: "#UD", 7: "#NM", 8: "#DF", 13: "#GP", 14: "#PF", 17: "#AC",
           18: "#MC", 0x40: "COM1", 0xf0: "timer",
           0xf1: "message"}
# enum pv_syscall, enum pv_vcpu_syscall and enum pv_net_syscall
CALLS = ("null", "exit", "yield", "console_write", "console_read", "event_wait", "event_signal", "memory_map", "debug",
         "space_create", "space_map", "space_unmap", "space_destroy", "vcpu_create", "vcpu_run", "vcpu_move", "vcpu_kick",
         "vcpu_destroy", "vmcs_read", "vmcs_write", "vcpu_cpuid", "vcpu_msrs", "msr_allow", "io_allow", "net_send",
         "net_receive", "vcpu_apic", "devices")


def vector_name(vector):
    """An exception or interrupt."""
    return f"interrupt 0x{vector:x} ({VECTORS[vector]})" if vector > 31 and vector in VECTORS else \
        VECTORS.get(vector, f"{'interrupt' if vector > 31 else 'exception'} 0x{vector:x}")


GUEST, RING3, IDLE = "guest", "ring 3", "idle"
KIND_OF = {"GUEST": GUEST, "CALL": RING3, "TRAP": RING3, "IDLE": IDLE}

# who: VPID of a guest, number of an agent, or NOBODY; event: the kind of event that told it
Time = collections.namedtuple("Time", "start end kind who cause outcome event")
# agent: NOBODY while the core idles; left: how it ended (index into LEFT), None: the recording ended
Slice = collections.namedtuple("Slice", "start end agent left")
Mark = collections.namedtuple("Mark", "when kind who cause value")
# guests: from guest to guest, without ring 3
Switch = collections.namedtuple("Switch", "start ticks last next guests")


@dataclasses.dataclass
class Lane:
    """One core's recording."""
    core: int
    begin: int
    end: int
    complete: bool                      # all events of the recording are there, from its beginning to its end
    times: list = dataclasses.field(default_factory=list)
    slices: list = dataclasses.field(default_factory=list)
    switches: list = dataclasses.field(default_factory=list)
    marks: list = dataclasses.field(default_factory=list)       # VMPTRLD, VMCLEAR, IPI, INTERRUPT, INJECT, FAILED, VMX
    gaps: list = dataclasses.field(default_factory=list)        # (start, end, how many events) lost
    counted: int = 0                    # switches, as the scheduler counts them

    def ticks(self, kind):
        return sum(time.end - time.start for time in self.times if time.kind == kind)

    @property
    def length(self):
        return self.end - self.begin


class Trace:
    """A dump, put in order."""

    def __init__(self, dump):
        self.dump, self.machine = dump, dump.machine
        self.hz = dump.machine.get("tsc_hz") or 0
        self.agents_each = dump.machine.get("agents", 64)
        self.vcpus_each = dump.machine.get("vcpus", 128)
        self.lanes = [lane for number, core in sorted(dump.cores.items()) if (lane := _lane(number, core))]
        self.begin = min((lane.begin for lane in self.lanes), default=0)
        self.end = max((lane.end for lane in self.lanes), default=0)

    # ---- names ----

    def personality_of(self, kind, who):
        """The number of the personality that had a time, or None."""
        if kind == IDLE or who == NOBODY:
            return None
        return (who - 1) // self.vcpus_each if kind == GUEST else who // self.agents_each

    def name(self, personality):
        if personality is None:
            return "idle"
        return self.dump.personalities.get(personality, {}).get("name", f"personality {personality}")

    def agent_name(self, agent):
        if agent == NOBODY:
            return "idle"
        return f"{self.name(agent // self.agents_each)}, agent {agent % self.agents_each}"

    def vcpu_name(self, vpid):
        return f"{self.name((vpid - 1) // self.vcpus_each)}/{(vpid - 1) % self.vcpus_each}"

    def reason(self, number):
        return self.dump.reasons.get(number, f"exit reason {number}")

    def us(self, ticks):
        return ticks * 1e6 / self.hz if self.hz else float(ticks)

    def personalities(self):
        """Numbers of those that had time, in order."""
        found = {self.personality_of(time.kind, time.who) for lane in self.lanes for time in lane.times}
        return sorted(found - {None})

    # ---- checks ----

    def faults(self):
        """What cannot be in a trace that is complete, in words: nothing, or there is a bug."""
        faults = []
        for lane in self.lanes:
            faults += [f"core {lane.core}: {fault}" for fault in self._lane_faults(lane)]
        return faults

    def _lane_faults(self, lane):
        end = lane.begin
        for time in lane.times:
            if time.start < end:
                yield f"{time.kind} from {time.start} on overlaps with what ended at {end}"
            if time.end < time.start or time.end > lane.end:
                yield f"{time.kind} ends at {time.end}, outside of its recording"
            end = time.end
        if not lane.complete:
            return
        yield from self._wrong_slices(lane)
        first, last = self.dump.cores[lane.core].info["first"], self.dump.cores[lane.core].info["last"]
        for kind, key in ((IDLE, "ticks_idle"), (RING3, "ticks_ring3"), (GUEST, "ticks_guest")):
            if lane.ticks(kind) != last[key] - first[key]:
                yield f"{lane.ticks(kind)} ticks of {kind}, but the core counted {last[key] - first[key]}"
        if lane.counted != last["switches"] - first["switches"]:
            yield f"{lane.counted} switches, but the scheduler counted {last['switches'] - first['switches']}"

    def _wrong_slices(self, lane):
        slices = iter(lane.slices)
        current = next(slices, None)
        for time in lane.times:
            while current and time.start >= current.end:
                current = next(slices, None)
            if current is None or time.end > current.end or time.start < current.start:
                yield f"{time.kind} from {time.start} to {time.end} is in no slice"
                return
            if self.personality_of(time.kind, time.who) != self.personality_of(RING3, current.agent):
                yield f"{time.kind} of {time.who} at {time.start} in a slice of {self.agent_name(current.agent)}"


# ---- from events to lanes ----

def _recording(core):
    """The events of the last recording, as far as they are there, and whether that is all of it."""
    begin = core.info.get("begin")
    events = [event for event in core.events if begin is None or event.number >= begin]
    if begin is None:
        starts = [index for index, event in enumerate(events) if event.kind == "ON"]
        events = events[starts[-1]:] if starts else events
    whole = bool(events) and events[0].kind == "ON" and events[-1].kind == "OFF"
    return events, whole and not any(first >= events[0].number for first, _ in core.missing)


def _lane(number, core):
    events, complete = _recording(core)
    if not events:
        return None
    gaps = _gaps(events, core)
    # What happened while an entry to ring 0 was dealt with was recorded before the time that the entry ended.
    events.sort(key=lambda event: (event.when, event.kind not in ("GUEST", "CALL", "TRAP", "IDLE", "LONG"), event.number))
    first = core.info.get("first", {}).get("tsc") if events[0].kind != "ON" else events[0].when
    begin = first if first and first <= events[0].when else events[0].when - _length(events[0])
    lane = Lane(number, begin, events[-1].when, complete, gaps=gaps)
    _fill(lane, events)
    if not any(event.kind == "ON" for event in events[:1]):
        lane.gaps.insert(0, (begin, lane.times[0].start if lane.times else lane.end, 0))
    return lane


def _length(event):
    return event.value if event.kind in KIND_OF else 0


def _gaps(events, core):
    """Where events are missing, in time: between the ones before and after."""
    gaps = []
    for first, count in core.missing:
        before = max((event.when for event in events if event.number < first), default=None)
        after = min((event.when - _length(event) for event in events if event.number >= first + count), default=None)
        if before is not None and after is not None:
            gaps.append((min(before, after), max(before, after), count))
    return gaps


def _fill(lane, events):
    more, agent, since = 0, None, lane.begin
    switch = None                       # the last one that has not found its first time yet
    for event in events:
        if event.kind == "LONG":
            more += event.value << 32
        elif event.kind in KIND_OF:
            start = event.when - event.value - more
            more = 0
            time = Time(start, event.when, KIND_OF[event.kind], event.who, event.cause, event.outcome, event.kind)
            if switch is not None and lane.times and not _lost_between(lane, lane.times[-1].end, start):
                _add_switch(lane, switch, lane.times[-1], time)
            switch = None
            lane.times.append(time)
        elif event.kind == "SWITCH":
            lane.counted += event.outcome
            if agent is None:           # the beginning is lost
                agent = event.who
            if event.value != agent or event.who != agent:
                lane.slices.append(Slice(since, event.when, agent, event.cause))
                switch = (event.who, event.value)
                since = event.when
            agent = event.value
        elif event.kind == "ON":
            agent, since = event.who, event.when
        elif event.kind != "OFF":
            lane.marks.append(Mark(event.when, event.kind, event.who, event.cause, event.value))
    lane.slices.append(Slice(since, lane.end, NOBODY if agent is None else agent, None))


def _lost_between(lane, start, end):
    return any(gap_start < end and start < gap_end for gap_start, gap_end, _ in lane.gaps)


def _add_switch(lane, agents, last, following):
    if NOBODY not in agents and last.kind != IDLE and following.kind != IDLE:
        guests = last.kind == GUEST and following.kind == GUEST
        lane.switches.append(Switch(last.end, following.start - last.end, *agents, guests))
