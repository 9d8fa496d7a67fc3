"""The numbers of a trace: who got how much, for how long at a time, and how quickly one came after the other.

Tables are (title, note, columns, rows); `text` makes a page of them, tracing/page.py an HTML one.
"""
import collections

from tracing import model


def percentile(values, percent):
    """The smallest value that so many percent of sorted values do not exceed; 0 when there are none."""
    return values[max(0, -(-len(values) * percent // 100) - 1)] if values else 0


def _share(part, whole):
    return f"{100 * part / whole:.1f} %" if whole else "-"


def shares(trace):
    """(title, note, columns, rows): where each core's time went."""
    each = [(lane, _core_ticks(trace, lane)) for lane in trace.lanes]
    sums = sum((ticks for _, ticks in each), collections.Counter())
    who = [(number, kind) for number in trace.personalities() for kind in (model.GUEST, model.RING3) if sums[number, kind]]
    columns = ["core", *(f"{trace.name(number)} {kind}{'s' if kind == model.GUEST else ''}" for number, kind in who),
               "multiplexer", "idle", "switches"]
    rows = [_share_row(f"{lane.core}", ticks, who) for lane, ticks in each]
    if len(rows) > 1:
        rows.append(_share_row("all", sums, who))
    return "Shares of the cores' time", "", columns, rows


def _core_ticks(trace, lane):
    """{(personality, kind): ticks}, and "mux", "whole" (of what is not lost), "switches"."""
    ticks = collections.Counter()
    for time in lane.times:
        ticks[trace.personality_of(time.kind, time.who), time.kind] += time.end - time.start
    known = max(0, lane.length - sum(end - start for start, end, _ in lane.gaps))
    ticks["mux"] = max(0, known - sum(ticks.values()))
    ticks["whole"], ticks["switches"] = known, lane.counted
    return ticks


def _share_row(name, ticks, who):
    whole = ticks["whole"]
    return [name, *(_share(ticks[key], whole) for key in who), _share(ticks["mux"], whole), _share(ticks[None, model.IDLE], whole),
            str(ticks["switches"])]


def _distribution(trace, name, ticks):
    ticks = sorted(ticks)
    return [name, f"{len(ticks)}", *(f"{trace.us(value):.1f}" for value in
                                     (percentile(ticks, 50), percentile(ticks, 99), ticks[-1] if ticks else 0))]


def slices(trace):
    """How long agents kept their core. Those that the recording cut are left out."""
    lengths = collections.defaultdict(list)
    for lane in trace.lanes:
        for piece in lane.slices[1:]:
            if piece.left is not None and piece.agent != model.NOBODY:
                lengths[piece.agent // trace.agents_each].append(piece.end - piece.start)
    rows = [_distribution(trace, trace.name(number), lengths[number]) for number in sorted(lengths)]
    unit = "us" if trace.hz else "ticks"
    return "Slices", f"From switch to switch, in {unit}.", ["personality", "slices", "p50", "p99", "longest"], rows


def switches(trace):
    """From the last instruction of one agent to the first of the next."""
    groups = {"from guest to guest": [], "others (ring 3 before or after)": []}
    for lane in trace.lanes:
        for switch in lane.switches:
            groups["from guest to guest" if switch.guests else "others (ring 3 before or after)"].append(switch.ticks)
    rows = []
    for name, ticks in groups.items():
        ticks.sort()
        values = (percentile(ticks, 50), percentile(ticks, 99), ticks[-1] if ticks else 0)
        rows.append([name, f"{len(ticks)}", *(f"{value}" for value in values), *(f"{trace.us(value):.1f}" for value in values)])
    return ("Switches between personalities", "From the last instruction of one to the first of the next, tracing included.",
            ["", "switches", "p50 ticks", "p99", "longest", "p50 us", "p99", "longest"], rows)


def exits(trace):
    """Why guests left, what became of it, and how long it took until somebody had the core again."""
    counts = collections.defaultdict(lambda: ([0] * len(model.OUTCOMES), []))
    for lane in trace.lanes:
        for time, following in zip(lane.times, lane.times[1:] + [None]):
            if time.kind != model.GUEST:
                continue
            outcomes, after = counts[time.cause]
            outcomes[time.outcome] += 1
            if following is not None:
                after.append(following.start - time.end)
    rows = []
    for reason in sorted(counts):
        outcomes, after = counts[reason]
        after.sort()
        absorbed, delivered, budget, kicked, refused = outcomes
        rows.append([f"{reason} {trace.reason(reason)}", f"{absorbed}", f"{delivered}", f"{budget + kicked + refused}",
                     f"{percentile(after, 50)}", f"{percentile(after, 99)}"])
    if rows:
        total = [sum(outcomes[index] for outcomes, _ in counts.values()) for index in range(len(model.OUTCOMES))]
        rows.append(["all", f"{total[0]}", f"{total[1]}", f"{sum(total[2:])}", "", ""])
    return ("Exits", "after: ticks in the multiplexer until a guest or ring 3 went on. ended: vcpu_run returned by its budget, a kick, or a "
            "refused entry.", ["reason", "absorbed", "delivered", "ended", "after, p50", "p99"], rows)


def loss(trace):
    """What is missing, in a sentence each; ["Nothing is missing."] is good news."""
    sentences = list(trace.dump.problems)
    sentences += [f"core {lane.core}: the recording is not complete" for lane in trace.lanes
                  if not lane.complete and not any(problem.startswith(f"core {lane.core}:") for problem in sentences)]
    return sentences or ["Nothing is missing: every event of the recording is here."]


def heading(trace):
    """What was recorded, in one line."""
    length = max((lane.length for lane in trace.lanes), default=0)
    seconds = f"{length / trace.hz:.3f} s ({length} ticks at {trace.hz / 1e6:.3f} MHz)" if trace.hz else f"{length} ticks"
    events = sum(len(core.events) for core in trace.dump.cores.values())
    cores = len(trace.lanes)
    version = trace.machine.get("version", "?")
    return f"Polyvisor {version}: {cores} core{'s' if cores != 1 else ''}, {seconds}, {events} events"


def tables(trace):
    return [shares(trace), slices(trace), switches(trace), exits(trace)]


def _table_text(columns, rows):
    rows = [columns, *rows]
    widths = [max(len(row[index]) for row in rows) for index in range(len(columns))]
    return [" ".join(f"{cell:{'<' if index == 0 else '>'}{widths[index] + (index > 0)}}"
                     for index, cell in enumerate(row)).rstrip() for row in rows]


def _shares_text(columns, rows):
    """With many personalities the table is wide: one line each instead."""
    turned = [list(row) for row in zip(columns, *rows)]
    return _table_text([turned[0][0], *turned[0][1:]], turned[1:])


def text(trace):
    """A page of text."""
    lines = [heading(trace), *loss(trace)[:20]]
    for title, note, columns, rows in tables(trace):
        lines += ["", title, *([note] if note else []), ""]
        lines += _shares_text(columns, rows) if columns[0] == "core" else _table_text(columns, rows)
    return "\n".join(lines) + "\n"
