"""The comparison as text, as JSON and as a picture."""
import html
import json

COLUMNS = ("samples", "median", "p99", "max")


def table(pairs, linux):
    """Text. Each row: what, Polyvisor's numbers, KVM's, and how many times as much KVM takes."""
    rows = [["", *COLUMNS, *COLUMNS, "ratio"]]
    for pair in pairs:
        numbers = [getattr(result, name) for result in (pair.polyvisor, pair.kvm) for name in COLUMNS]
        rows.append([f"  {pair.what}", *map(str, numbers), f"{pair.ratio:.1f}"])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    texts = ["  ".join(f"{cell:{'<' if i == 0 else '>'}{widths[i]}}" for i, cell in enumerate(row)) for row in rows]
    half = sum(widths[1:5]) + 2 * 3
    lines = [f"Polyvisor beside KVM (Linux {linux}): ticks on one core", "",
             " " * widths[0] + "  " + "Polyvisor".center(half, "-") + "  " + "KVM".center(half, "-"), texts[0]]
    section = None
    for pair, text in zip(pairs, texts[1:]):
        if pair.section != section:
            section = pair.section
            lines.append(f"{section}:")
        lines.append(text)
    return "\n".join(line.rstrip() for line in lines)


def write_json(path, pairs, linux):
    data = {"unit": "ticks", "cores": 1, "linux": linux, "rows": [pair.record() for pair in pairs]}
    with open(path, "w", encoding="ascii") as file:
        json.dump(data, file, indent=2)
        file.write("\n")


# ---- the picture ----

BAR, GAP, HEAD, MARGIN = 14, 14, 44, 12
TEXT_WIDTH, BARS_WIDTH, NUMBER_WIDTH = 380, 460, 110
COLOURS = {"Polyvisor": "#1b6ca8", "KVM": "#d98032"}


def _text(x, y, words, more=""):
    return f'<text x="{x}" y="{y}"{more}>{html.escape(words)}</text>'


def _bar(x, y, width, colour):
    return f'<rect x="{x}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{colour}"/>'


def chart(pairs, linux):
    """An SVG picture: two bars a row, their lengths the medians on one scale that begins at 0."""
    scale = BARS_WIDTH / max(result.median for pair in pairs for result in (pair.polyvisor, pair.kvm))
    left = MARGIN + TEXT_WIDTH
    parts, y = [_text(MARGIN, 22, f"Polyvisor beside KVM (Linux {linux}): median ticks on one core", ' font-weight="bold"')], HEAD
    section = None
    for pair in pairs:
        if pair.section != section:
            section = pair.section
            parts.append(_text(MARGIN, y + BAR, section, ' font-style="italic"'))
            y += BAR + GAP
        parts.append(_text(MARGIN, y + BAR + 4, pair.what))
        for whose, result in (("Polyvisor", pair.polyvisor), ("KVM", pair.kvm)):
            parts.append(_bar(left, y, result.median * scale, COLOURS[whose]))
            parts.append(_text(f"{left + result.median * scale + 5:.1f}", y + BAR - 3, f"{whose} {result.median:,}"))
            y += BAR + 1
        y += GAP
    width, height = left + BARS_WIDTH + NUMBER_WIDTH + MARGIN, y
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        ' font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>', *parts, "</svg>", ""])


def write_chart(path, pairs, linux):
    with open(path, "w", encoding="utf-8") as file:
        file.write(chart(pairs, linux))
