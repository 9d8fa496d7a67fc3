"""A trace in the JSON that chrome://tracing and https://ui.perfetto.dev open (Chrome's 'Trace Event Format').

Each core is a process with the threads `agents` (slices), `runs` (guests and ring 3 within them) and `events`.
"""
import json

from tracing import model

AGENTS, RUNS, EVENTS = 1, 2, 3


def _meta(pid, name, tid=None):
    event = {"ph": "M", "pid": pid, "name": "thread_name" if tid else "process_name", "args": {"name": name}}
    return {**event, "tid": tid} if tid else event


def time_name(trace, time):
    """What had the core."""
    if time.kind == model.GUEST:
        return trace.vcpu_name(time.who)
    return "idle" if time.kind == model.IDLE else f"{trace.name(trace.personality_of(time.kind, time.who))} (ring 3)"


def end_name(trace, time):
    """How its time ended."""
    if time.kind == model.GUEST:
        return f"{trace.reason(time.cause)}, {model.OUTCOMES[min(time.outcome, len(model.OUTCOMES) - 1)]}"
    if time.event == "CALL":
        return model.CALLS[time.cause] if time.cause < len(model.CALLS) else "unknown system call"
    return model.vector_name(time.cause)


def _lane(trace, lane):
    def us(ticks):
        return round(trace.us(ticks - trace.begin), 3)

    pid = lane.core
    yield _meta(pid, f"core {lane.core}")
    for tid, name in ((AGENTS, "agents"), (RUNS, "runs"), (EVENTS, "events")):
        yield _meta(pid, name, tid)
    for piece in lane.slices:
        if piece.agent != model.NOBODY:
            left = "recording ended" if piece.left is None else model.LEFT[piece.left]
            yield {"ph": "X", "pid": pid, "tid": AGENTS, "ts": us(piece.start), "dur": round(trace.us(piece.end - piece.start), 3),
                   "name": trace.agent_name(piece.agent), "args": {"then": left}}
    for time in lane.times:
        if time.kind != model.IDLE:
            yield {"ph": "X", "pid": pid, "tid": RUNS, "ts": us(time.start), "dur": round(trace.us(time.end - time.start), 3),
                   "name": time_name(trace, time), "cat": time.kind, "args": {"ended by": end_name(trace, time)}}
    for mark in lane.marks:
        yield {"ph": "i", "s": "t", "pid": pid, "tid": EVENTS, "ts": us(mark.when), "name": mark.kind,
               "args": {"who": trace.vcpu_name(mark.who) if mark.who != model.NOBODY else "", "cause": mark.cause,
                        "value": mark.value}}
    for start, end, count in lane.gaps:
        yield {"ph": "X", "pid": pid, "tid": EVENTS, "ts": us(start), "dur": round(trace.us(end - start), 3),
               "name": f"{count} events lost" if count else "events lost"}


def write(trace, file):
    """Writes the JSON, one event a line."""
    file.write('{"displayTimeUnit":"ns","traceEvents":[\n')
    separator = ""
    for lane in trace.lanes:
        for event in _lane(trace, lane):
            file.write(separator + json.dumps(event, separators=(",", ":")))
            separator = ",\n"
    file.write("\n]}\n")
