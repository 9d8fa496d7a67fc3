"""A picture of a part of a trace, as an SVG that needs nothing else, is light or dark as its reader's screen, and prints well.

A lane a core: above, whose slice it is; below, what ran: guests full height (a shade a vcpu), ring 3 half height, the
multiplexer as a dark line, nothing while the core idles; at the bottom a tick an exit, long ones were delivered.
"""
import collections
from xml.sax.saxutils import escape

from tracing import model

# Colours that colour-blind people can tell apart (after Okabe and Ito), for light and dark backgrounds.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8b6fc0", "#8a7a00")
DARK_COLOURS = ("#4aa3df", "#f0b429", "#2fc79a", "#e3a0c4", "#8fd0f5", "#f08040", "#b39ddb", "#c9b830")
SHADES = (1.0, 0.78, 0.58)              # of a personality's vcpus, in turn
GUTTER, RIGHT, TOP = 64, 12, 58         # around the lanes
LANE, SLICE, BODY, TICKS = 84, 16, 34, 14   # heights: of a lane with the space below it, and of its parts
AXIS = 34
LEAST = 0.3                             # what is narrower, in pixels, is drawn that wide
PER_PIXEL = 4                           # so many rectangles a pixel at most


def style():
    """The colours, for a picture or a page."""
    def rules(colours):
        return "".join(f".p{index}{{fill:{colour}}}" for index, colour in enumerate(colours))
    light = "svg{color:#222;background:#fff}.mux{fill:#444}.axis{stroke:#999}.back{fill:#0000000a}.gap{fill:#c00;opacity:.3}"
    dark = "svg{color:#ddd;background:#15171a}.mux{fill:#aaa}.axis{stroke:#777}.back{fill:#ffffff10}.gap{fill:#f55;opacity:.4}"
    shades = "".join(f".s{index}{{opacity:{shade}}}" for index, shade in enumerate(SHADES))
    return (f"text{{font:12px system-ui,sans-serif;fill:currentColor}}.name{{fill:#fff;font-weight:600}}.small{{font-size:11px}}"
            f".exit{{fill:currentColor}}.absorbed{{opacity:.45}}{shades}{light}{rules(COLOURS)}"
            f"@media (prefers-color-scheme:dark){{{dark}{rules(DARK_COLOURS)}.name{{fill:#111}}}}"
            f"@media print{{{light}{rules(COLOURS)}.name{{fill:#fff}}}}")


def colour_class(number):
    return f"p{number % len(COLOURS)}"


def nice_step(length, parts):
    """A round length of which about so many fit."""
    step, target = 1.0, length / parts
    while step * 10 <= target:
        step *= 10
    while step > target:
        step /= 10
    return next(step * factor for factor in (1, 2, 5, 10) if step * factor >= target * 0.7)


def time_text(us):
    return f"{us / 1e6:g} s" if us and us % 1e6 == 0 else f"{us / 1000:g} ms" if us >= 1000 or us == 0 else f"{us:g} us"


class Picture:
    """Collects rectangles by class, and writes each class as one path."""

    def __init__(self, trace, begin, end, width):
        self.trace, self.begin, self.end = trace, begin, end
        self.scale = (width - GUTTER - RIGHT) / max(1, end - begin)
        self.width, self.texts = width, []
        self.paths = collections.defaultdict(list)
        self.drawn = set()              # pixels of which enough is drawn

    def x(self, when):
        return GUTTER + (min(max(when, self.begin), self.end) - self.begin) * self.scale

    def rect(self, classes, start, end, y, height):
        if end <= self.begin or start >= self.end:
            return
        left = self.x(start)
        width = max(LEAST, self.x(end) - left)
        key = (classes, y, int(left * PER_PIXEL), int((left + width) * PER_PIXEL))
        if width < 1 and key in self.drawn:
            return
        self.drawn.add(key)
        self.paths[classes].append(f"M{left:.2f} {y:g}h{width:.2f}v{height:g}h-{width:.2f}z")

    def text(self, x, y, text, classes="", anchor="start"):
        css = f' class="{classes}"' if classes else ""
        self.texts.append(f'<text x="{x:.1f}" y="{y:.1f}"{css} text-anchor="{anchor}">{escape(text)}</text>')

    def lane(self, lane, y):
        trace = self.trace
        self.text(GUTTER - 8, y + SLICE + BODY / 2 + 4, f"core {lane.core}", anchor="end")
        body, ticks = y + SLICE + 2, y + SLICE + BODY + 4
        self.rect("back", self.begin, self.end, body, BODY)
        for piece in lane.slices:
            if piece.agent == model.NOBODY:
                continue
            number = trace.personality_of(model.RING3, piece.agent)
            self.rect(colour_class(number), piece.start, piece.end, y, SLICE)
            left, right = self.x(piece.start), self.x(piece.end)
            if right - left > 7 * len(trace.name(number)) + 8:
                self.text((left + right) / 2, y + 12, trace.name(number), "name small", "middle")
        previous = lane.begin
        for time in lane.times:
            self.rect("mux", previous, time.start, body + BODY - 4, 4)
            previous = time.end
            if time.kind == model.IDLE or time.end < self.begin or time.start > self.end:
                continue
            number = trace.personality_of(time.kind, time.who)
            if time.kind == model.GUEST:
                shade = (time.who - 1) % trace.vcpus_each % len(SHADES)
                self.rect(f"{colour_class(number)} s{shade}", time.start, time.end, body, BODY)
                delivered = time.outcome == 1
                if self.begin <= time.end <= self.end:
                    height = TICKS if delivered else TICKS / 2
                    self.rect("exit" if delivered else "exit absorbed", time.end, time.end + 0.7 / self.scale, ticks, height)
            else:
                self.rect(colour_class(number), time.start, time.end, body + BODY / 2, BODY / 2)
        for start, end, _ in lane.gaps:
            self.rect("gap", start, end, y, SLICE + BODY + TICKS + 4)

    def axis(self, y):
        us = self.trace.us(self.end - self.begin)
        step = nice_step(us, (self.width - GUTTER) / 110)
        for index in range(int(us / step + 1e-9) + 1):
            x = GUTTER + index * step * (self.width - GUTTER - RIGHT) / us
            self.paths["axis"].append(f"M{x:.1f} {y:g}v5")
            # The outermost texts stay within the picture.
            anchor = "end" if x > self.width - 30 else "middle"
            self.text(x, y + 18, time_text(round(index * step, 6)), "small", anchor)

    @staticmethod
    def _path(classes, shapes):
        fill = ' fill="none"' if classes == "axis" else ""
        return f'<path class="{classes}"{fill} d="{"".join(shapes)}"/>\n'

    def svg(self, height, title):
        paths = "".join(self._path(classes, shapes) for classes, shapes in self.paths.items())
        return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {height}" width="{self.width}" '
                f'height="{height}" role="img"><title>{escape(title)}</title>\n<style>{style()}</style>\n'
                f'{paths}{"".join(self.texts)}\n</svg>\n')


def _legend(picture, trace, numbers, title):
    picture.text(GUTTER, 18, title)
    x, y = GUTTER, 30

    def box(classes, top, height, text):
        nonlocal x
        picture.paths[classes].append(f"M{x:.1f} {y + top:g}h12v{height:g}h-12z")
        picture.text(x + 17, y + 11, text, "small")
        x += 32 + 6.4 * len(text)

    for number in numbers:
        box(colour_class(number), 0, 12, trace.name(number))
    box("exit s1", 0, 12, "guest: full height")
    box("exit s1", 6, 6, "ring 3: half")
    box("mux", 9, 3, "multiplexer")
    picture.paths["exit"].append(f"M{x + 5:.1f} {y:g}h1v12h-1z")
    picture.paths["exit absorbed"].append(f"M{x + 9:.1f} {y:g}h1v6h-1z")
    picture.text(x + 17, y + 11, "exit: delivered, absorbed", "small")


def picture(trace, begin, end, title, width=1200):
    """The part from begin to end (TSC) as the text of an SVG."""
    drawing = Picture(trace, begin, end, width)
    seen = {trace.personality_of(time.kind, time.who) for lane in trace.lanes for time in lane.times
            if time.end > begin and time.start < end} - {None}
    _legend(drawing, trace, sorted(seen), title)
    y = TOP
    for lane in trace.lanes:
        drawing.lane(lane, y)
        y += LANE
    drawing.axis(y)
    return drawing.svg(y + AXIS, title)
