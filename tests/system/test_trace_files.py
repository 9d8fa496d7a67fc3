"""What reads a dump of a trace and makes pictures and numbers of it, on dumps that are known, damaged, or wrong."""
import json
import random
import re
from xml.etree import ElementTree

import pytest

import images
import trace_dumps
from tracing import decode, model, page, perfetto, summary, svg
from trace_dumps import NOBODY, Recording, agent, console, dump, vpid

TINY, PRIO = 1, 2
# tests/unit/test_trace_lines.c expects these bytes of these events.
GOLDEN = (b"@trace 12 events 3 4711 8 sYgO//8BAv8zyAH0A4IBCp3wASCCATQnCgIOY7QByAEeAdfIAUACAZCfn/////////8BA///AzYNB///A/A= "
          b"a70c446b")
GOLDEN_EVENTS = [
    (900, "ON", 0x7fff, 2, 255, 0), (1500, "GUEST", 500, 130, 10, 0), (1620, "INJECT", 0x20, 130, 0, 0),
    (1610, "CALL", 10, 2, 14, 0), (1900, "GUEST", 200, 130, 30, 1), (2000, "SWITCH", 64, 2, 0, 1),
    (0x8000000000002000, "LONG", 3, NOBODY, 0, 0), (0x8000000000002000, "IDLE", 7, NOBODY, 0xf0, 0),
]


def recordings(rounds=4):
    """Two cores: on core 0, tiny and prio take turns, with two exits a turn; core 1 mostly idles."""
    busy = Recording(10_000, agent(TINY))
    for turn in range(rounds):
        who = TINY if turn % 2 == 0 else PRIO
        busy.mux(20).guest(300, vpid(who, turn % 3))
        busy.mux(30).guest(400, vpid(who, turn % 3), 30, 1).mux(40).ring3(50)
        busy.mux(25).guest(500, vpid(who, turn % 3), 52).switch(agent(PRIO if who == TINY else TINY)).mux(70 + turn)
    idle = Recording(10_010, NOBODY, first=1).mux(5).idle(500).switch(agent(TINY, 1), 4).mux(50)
    idle.ring3(20, cause=5).switch(NOBODY, 1).mux(20).idle(1000)
    return {0: busy.guest(10, vpid(PRIO if rounds % 2 else TINY)).end(), 1: idle.end()}


def numbers(core):
    return [event.number for event in core.events]


# ---- reading ----

def test_reads_what_the_monitor_writes():
    value = decode.read(GOLDEN + b"\n")
    assert [event[1:] for event in value.cores[3].events] == GOLDEN_EVENTS
    assert numbers(value.cores[3]) == list(range(4711, 4719))


def test_reads_a_dump():
    made = recordings()
    value = decode.read(console(dump(made)))
    assert value.problems == []
    assert value.machine["tsc_hz"] == 1_000_000
    assert value.reasons[30] == "I/O instruction"
    for core, recording in made.items():
        assert [(event.when, decode.KINDS.index(event.kind), *event[3:]) for event in value.cores[core].events] == recording.events
        assert numbers(value.cores[core]) == [recording.first + index for index in range(len(recording.events))]


def test_console_text_between_lines():
    lines = dump(recordings())
    text = b"[    1.204117] core 1: something\r\n"
    noisy = b"".join(line + b"\r\n" + text + b"\r\x1b[K[tiny] @trace is a word\r\n" for line in lines)
    assert decode.read(noisy).problems == []
    before = b"\r\n".join(b"polyvisor> \r\x1b[K" + line for line in lines)
    assert decode.read(before + b"\n").problems == []
    assert decode.read(b"\n".join(lines)).problems == []        # as a terminal saves it


@pytest.mark.parametrize("noise", [b"\r\n[    1.2] core 1: text\r\n", b"\r\x1b[K[tiny] rounds=12\r\n", b"\r\n"])
def test_a_line_that_console_text_has_cut_is_mended(noise):
    lines = dump(recordings())
    for index in (0, 5, len(lines) - 2):
        for cut in (len(lines[index]) // 2, len(lines[index]) - 4):
            torn = lines[:index] + [lines[index][:cut] + noise + lines[index][cut:]] + lines[index + 1:]
            assert decode.read(console(torn)).problems == [], (index, cut)


def test_a_damaged_line_costs_its_events_only():
    lines = dump(recordings())
    index = next(index for index, line in enumerate(lines) if b" events 0 8 " in line)
    damaged = lines[index].replace(b" events 0 8 ", b" events 0 9 ")
    value = decode.read(console(lines[:index] + [damaged] + lines[index + 1:]))
    assert value.problems == [f"line {index + 1} is damaged: its check sum is wrong",
                              "core 0: 8 events from number 8 on missing"]
    assert value.cores[0].missing == [(8, 8)]
    assert 8 not in numbers(value.cores[0]) and 16 in numbers(value.cores[0])
    trace = model.Trace(value)
    assert not trace.lanes[0].complete and trace.lanes[1].complete
    assert trace.lanes[0].gaps[0][2] == 8 and trace.faults() == []
    assert "8 events from number 8 on missing" in summary.text(trace) and "8 events from number 8 on missing" in page.page(trace)


def test_lines_that_are_missing():
    lines = dump(recordings())
    value = decode.read(console(lines[:1] + lines[3:]))
    assert value.problems == ["lines 2 to 3 are missing"]
    value = decode.read(console(lines[:-1]))
    assert value.problems == ["the dump has no end: its last lines are missing"]
    without_machine = decode.read(console(lines[1:]))
    assert without_machine.problems == ["line 1 is missing", "the line about the machine is lost: times are in ticks"]
    assert "ticks" in summary.text(model.Trace(without_machine))


def test_overwritten_events_are_counted():
    made = recordings(rounds=40)
    value = decode.read(console(dump(made, capacity=64)))
    lost = len(made[0].events) - 63
    assert value.problems == [f"core 0: the first {lost} events were overwritten, as its ring holds 64"]
    assert value.cores[0].missing == [(0, lost)]
    trace = model.Trace(value)
    assert not trace.lanes[0].complete and trace.faults() == []
    assert trace.lanes[0].begin == made[0].begin["tsc"] and trace.lanes[0].gaps[0][0] == trace.lanes[0].begin
    assert "overwritten" in summary.text(trace)


@pytest.mark.parametrize("seed", range(4))
def test_cut_dumps(seed):
    """Wherever it is cut: nothing that was not there, and it says that something is missing."""
    data = console(dump(recordings()))
    whole = decode.read(data)
    for cut in random.Random(seed).sample(range(len(data) - len(b"\r\npolyvisor> ") - 1), 60):
        for part, where in ((data[:cut], "end"), (data[cut:], "beginning")):
            try:
                value = decode.read(part)
            except decode.DumpError as error:
                assert str(error)
                continue
            assert value.problems or cut < data.index(b"@trace"), (where, cut)
            for number, core in value.cores.items():
                assert set(core.events) <= set(whole.cores[number].events)
            summary.text(model.Trace(value))
            page.page(model.Trace(value))


@pytest.mark.parametrize("seed", range(4))
def test_flipped_bits(seed):
    """A damaged dump gives fewer events, never other ones."""
    lines, dice = dump(recordings()), random.Random(seed)
    data = console(lines)
    whole = decode.read(data)
    for _ in range(60):
        damaged = bytearray(data)
        for _ in range(dice.randint(1, 4)):
            damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
        try:
            value = decode.read(bytes(damaged))
        except decode.DumpError as error:
            assert str(error)
            continue
        for number, core in value.cores.items():
            assert set(core.events) <= set(whole.cores[number].events)
        if not value.problems:
            assert value.cores == whole.cores and value.machine == whole.machine
        summary.text(model.Trace(value))


def test_the_last_of_two_dumps_counts():
    first, second = dump(recordings()), dump(recordings(rounds=6))
    value = decode.read(console(first) + console(second))
    assert value.problems == [] and len(value.cores[0].events) == len(recordings(6)[0].events)


def test_a_log_without_a_dump():
    with pytest.raises(decode.DumpError, match="no line of a trace"):
        decode.read(b"polyvisor> trace dump\r\ntrace: no such command\r\n")
    with pytest.raises(decode.DumpError, match="format 2"):
        decode.read(trace_dumps.line(1, 'meta {"format":2}') + b"\n")
    with pytest.raises(decode.DumpError, match="no event can be read"):
        decode.read(console(dump(recordings())[:4]))
    with pytest.raises(decode.DumpError, match="no event can be read:\nline 1 is damaged"):
        decode.read(b"@trace 1 events 0 0 1 AAAA 00000000\n")


def test_whole_lines_of_nonsense():
    lines = dump(recordings())
    for text in ("events 0 9 5 AAAA", "events 0 9 1 ////", "events 0 9", "events 0 9 1 =", "meta 12", "meta {", "meta []"):
        value = decode.read(console(lines[:-1] + [trace_dumps.line(len(lines), text)] + [trace_dumps.line(len(lines) + 1, "meta {}")]))
        assert value.cores[1].events, text
        assert any("not understood" in problem or "no end" in problem for problem in value.problems), text


# ---- what it means ----

@pytest.fixture
def trace():
    return model.Trace(decode.read(console(dump(recordings()))))


def test_times_slices_and_switches(trace):
    busy, idle = trace.lanes
    assert trace.faults() == [] and busy.complete and idle.complete
    assert (busy.ticks(model.GUEST), busy.ticks(model.RING3), busy.ticks(model.IDLE)) == (4 * 1200 + 10, 200, 0)
    assert [(piece.end - piece.start, trace.name(piece.agent // 64), piece.left) for piece in busy.slices] == [
        (1365, "tiny", 0), (1435, "prio", 0), (1436, "tiny", 0), (1437, "prio", 0), (88, "tiny", None)]
    assert [switch.ticks for switch in busy.switches] == [90, 91, 92, 73]
    assert all(switch.guests for switch in busy.switches)
    assert busy.counted == 4
    assert [piece.agent for piece in idle.slices] == [NOBODY, agent(TINY, 1), NOBODY] and idle.switches == []
    assert [piece.left for piece in idle.slices] == [4, 1, None]


def test_summary(trace):
    text = summary.text(trace)
    assert text.startswith("Polyvisor test: 2 cores, 0.006 s (5761 ticks at 1.000 MHz), 30 events\nNothing is missing")
    table = {title: rows for title, _, _, rows in summary.tables(trace)}
    assert ["10 CPUID", "5", "0", "0", "30", "30"] in table["Exits"]
    assert ["30 I/O instruction", "0", "4", "0", "40", "40"] in table["Exits"]
    assert ["52 timer <expired>", "4", "0", "0", "90", "92"] in table["Exits"]
    assert ["tiny", "2", "25.0", "1436.0", "1436.0"] not in table["Slices"]      # the recording's first slices are cut
    assert ["prio", "2", "1435.0", "1437.0", "1437.0"] in table["Slices"]
    assert table["Switches between personalities"][0][:5] == ["from guest to guest", "4", "90", "92", "92"]
    assert table["Shares of the cores' time"][1][-2:] == ["93.8 %", "1"]


def test_percentiles():
    values = list(range(1, 101))
    assert [summary.percentile(values, percent) for percent in (1, 50, 99, 100)] == [1, 50, 99, 100]
    assert summary.percentile([5], 99) == 5 and summary.percentile([], 50) == 0


def break_events(change):
    made = recordings()
    change(made[0])
    return model.Trace(decode.read(console(dump(made)))).faults()


def test_contradictions_are_found():
    def overlap(recording):
        when, *rest = recording.events[2]
        recording.events[2] = (when, rest[0], rest[1] + 100, *rest[2:])

    def another_agent(recording):
        index = next(index for index, event in enumerate(recording.events) if event[1] == trace_dumps.SWITCH)
        recording.events[index] = (*recording.events[index][:2], agent(7), *recording.events[index][3:])

    assert any("overlaps" in fault for fault in break_events(overlap))
    assert any("but the core counted" in fault for fault in break_events(lambda recording: recording.clocks.update(ticks_guest=1)))
    assert any("but the scheduler counted" in fault for fault in break_events(lambda recording: recording.clocks.update(switches=9)))
    assert any("in a slice of personality 7" in fault for fault in break_events(another_agent))


def test_long_times():
    made = Recording(1 << 40, NOBODY)
    made.now += (3 << 32) + 5
    made.clocks["ticks_idle"] += (3 << 32) + 5
    made.events += [(made.now, 0, 3, NOBODY, 0, 0), (made.now, trace_dumps.IDLE, 5, NOBODY, 0xf0, 0)]
    trace = model.Trace(decode.read(console(dump({0: made.end()}))))
    assert trace.faults() == [] and trace.lanes[0].times[0].start == 1 << 40


def test_names_follow_the_headers():
    text = "".join((images.ROOT / "vmm/include/polyvisor" / name).read_text() for name in ("abi.h", "vcpu.h", "net.h"))
    calls = {int(number): name.lower() for name, number in re.findall(r"PV_SYS_(\w+)\s*=\s*(\d+)", text)}
    assert list(model.CALLS) == [calls[number] for number in range(len(model.CALLS))] and len(calls) == len(model.CALLS)
    kinds = re.findall(r"PV_TRACE_(\w+) = (\d+)", (images.ROOT / "vmm/include/polyvisor/trace.h").read_text())
    assert [name for name, number in kinds[:len(decode.KINDS)]] == list(decode.KINDS)
    registers = (images.ROOT / "arch/x86/registers.h").read_text()
    for name, text in (("COM1", "COM1"), ("TIMER", "timer"), ("MESSAGE", "message")):
        assert model.VECTORS[int(re.search(rf"VECTOR_{name} = (0x\w+)", registers)[1], 16)] == text


# ---- pictures ----

def test_perfetto(trace, tmp_path):
    with open(tmp_path / "trace.json", "w", encoding="utf-8") as file:
        perfetto.write(trace, file)
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    times = [event for event in events if event["ph"] == "X" and event["tid"] == perfetto.RUNS]
    assert len(times) == 4 * 4 + 1 + 1          # without idling
    assert times[1]["name"] == "tiny/0" and times[1]["args"] == {"ended by": "I/O instruction, delivered"}
    assert times[1]["ts"] == 350 and times[1]["dur"] == 400


def test_svg(trace):
    text = svg.picture(trace, trace.begin, trace.end, "a title with <angles> & more")
    root = ElementTree.fromstring(text)
    names = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "core 0" in names and "core 1" in names and "tiny" in names and "prio" in names
    assert "prefers-color-scheme:dark" in text and "@media print" in text and "NaN" not in text


def test_page_needs_nothing_else(trace):
    text = page.page(trace)
    assert not re.search(r"""(?:src|href)\s*=|@import|url\(|https?://(?!www\.w3\.org/)""", text)
    data = json.loads(re.search(r'type="application/json">(.*?)</script>', text, re.S)[1])
    assert [lane["core"] for lane in data["lanes"]] == [0, 1] and len(data["lanes"][0]["times"]) == 6 * 17
    assert "<expired>" not in text and "timer &lt;expired&gt;" in text
