"""A trace as one HTML file that needs nothing else: a timeline to zoom and point at (page.js), and the tables of numbers."""
import html
import json
import os

from tracing import model, summary, svg

FOLDER = os.path.dirname(os.path.abspath(__file__))
KIND_CODES = {"GUEST": 0, "CALL": 1, "TRAP": 2, "IDLE": 3}      # page.js knows them
SHOWN_US = 10_000                       # at first


def _times(lane, begin):
    numbers, previous = [], lane.begin
    for time in lane.times:
        numbers += [time.start - previous, time.end - time.start, KIND_CODES[time.event], time.who, time.cause, time.outcome]
        previous = time.end
    return numbers


def _mark_text(trace, mark):
    who = "" if mark.who == model.NOBODY else f" {trace.vcpu_name(mark.who)}"
    if mark.kind == "INJECT":
        return f"inject into{who}: vector 0x{mark.value & 0xff:x}"
    if mark.kind == "IPI":
        return f"IPI to core {mark.value}"
    if mark.kind == "INTERRUPT":
        return f"{model.vector_name(mark.cause)} took{who} from the core"
    if mark.kind == "VMX":
        return "VMXON" if mark.cause else "VMXOFF"
    return f"{'VM entry failed:' if mark.kind == 'FAILED' else mark.kind}{who}"


def _lane(trace, lane):
    begin = trace.begin
    return {
        "core": lane.core,
        "begin": lane.begin - begin,
        "end": lane.end - begin,
        "times": _times(lane, begin),
        "slices": [[piece.start - begin, piece.end - begin, piece.agent, -1 if piece.left is None else piece.left]
                   for piece in lane.slices],
        "marks": [[mark.when - begin, _mark_text(trace, mark)] for mark in lane.marks],
        "gaps": [[start - begin, end - begin, count] for start, end, count in lane.gaps],
    }


def view(trace):
    """The part that is shown at first: a few slices from the middle of the recording, (begin, end) in ticks."""
    length = trace.end - trace.begin
    shown = min(length, int(trace.hz * SHOWN_US / 1e6)) if trace.hz else length
    begin = (length - shown) // 3
    return begin, begin + shown


def _data(trace):
    return {
        "hz": trace.hz,
        "length": max(1, trace.end - trace.begin),
        "view": view(trace),
        "agents": trace.agents_each,
        "vcpus": trace.vcpus_each,
        "nobody": model.NOBODY,
        "personalities": {number: trace.name(number) for number in trace.dump.personalities},
        "reasons": trace.dump.reasons,
        "outcomes": model.OUTCOMES,
        "left": model.LEFT,
        "calls": model.CALLS,
        "vectors": {number: model.vector_name(number) for number in range(256)},
        "lanes": [_lane(trace, lane) for lane in trace.lanes],
    }


def _legend(trace):
    def item(classes, text, y=0, height=12, width=12):
        shape = f'<rect class="{classes}" x="0" y="{y}" width="{width}" height="{height}"/>'
        return f'<span><svg viewBox="0 0 14 12" aria-hidden="true">{shape}</svg> {html.escape(text)}</span>'

    items = [item(svg.colour_class(number), trace.name(number)) for number in trace.personalities()]
    items += [item("exit s1", "guest (a shade each)"), item("exit s1", "ring 3", 6, 6), item("mux", "multiplexer", 9, 3),
              item("exit", "exit, delivered", 0, 12, 2), item("exit absorbed", "absorbed", 0, 7, 2),
              '<span><svg viewBox="0 0 14 12" aria-hidden="true"><path class="mark" d="M6 3l3 6h-6z"/></svg> VMPTRLD, injection, '
              'interrupt, IPI</span>']
    return "".join(items)


def _table(title, note, columns, rows):
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in columns)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>\n" for row in rows)
    about = f'<p class="note">{html.escape(note)}</p>' if note else ""
    return (f"<section><h2>{html.escape(title)}</h2>{about}<div class=\"wide\"><table><thead><tr>{head}</tr></thead>\n"
            f"<tbody>{body}</tbody></table></div></section>\n")


def page(trace):
    """The text of the HTML file."""
    def read(name):
        with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
            return file.read()

    lost = bool(trace.dump.problems) or any(not lane.complete for lane in trace.lanes)
    loss = "".join(f'<p class="{"lost" if lost else "note"}">{html.escape(sentence)}</p>\n' for sentence in summary.loss(trace)[:20])
    begin, end = view(trace)
    picture = svg.picture(trace, trace.begin + begin, trace.begin + end, "part of the recording")
    parts = {
        "/*STYLE*/": svg.style(),
        "<!--HEADING-->": html.escape(summary.heading(trace)),
        "<!--LOSS-->": loss,
        "<!--LEGEND-->": _legend(trace),
        "<!--PICTURE-->": picture,
        "<!--TABLES-->": "".join(_table(*table) for table in summary.tables(trace)),
        # No text in it can end the script element.
        "/*DATA*/": json.dumps(_data(trace), separators=(",", ":")).replace("<", "\\u003c"),
        "/*SCRIPT*/": read("page.js"),
    }
    text = read("page.html")
    for mark, part in parts.items():
        text = text.replace(mark, part, 1)
    return text
