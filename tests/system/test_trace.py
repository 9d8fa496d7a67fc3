"""Tracing on a running machine: what is recorded is what the shell counts; and the picture made of it opens in a browser."""
import collections
import html
import itertools
import re
import shutil
import subprocess

import pytest

import images
from images import MONITOR, personality
from test_bench import bench
from tracing import decode, model, page, summary

CORES = 2
CONFIG = ("slice 1ms\n" + MONITOR + personality("tiny", memory="32M", args='"report=0"') +
          personality("prio", image="tiny.elf", memory="32M", weight=200, args='"report=0 sched=prio"'))
FILES = ["monitor.elf", "tiny.elf"]
GUESTS = ("tiny", "prio")
CHROMIUM = shutil.which("chromium")


def fetch(shell, what="trace dump"):
    """The dump of a machine, decoded."""
    return decode.read(shell.run(what).encode())


def all_there(trace):
    """A trace in which nothing is missing and nothing contradicts itself; returns it."""
    assert trace.dump.problems == [] and trace.faults() == []
    assert all(lane.complete for lane in trace.lanes) and len(trace.lanes) == CORES
    return trace


def kinds(dump):
    return collections.Counter(event.kind for core in dump.cores.values() for event in core.events)


def pause(shell):
    for name in GUESTS:
        assert shell.run(f"pause {name}") == f"{name}: paused"


def resume(shell):
    for name in GUESTS:
        assert shell.run(f"resume {name}") == f"{name}: resumed"


def counters(shell):
    """What the shell counts of the personalities with guests and their vcpus. They are paused, so soon it does not change."""
    def ask():
        vcpus = {(record["personality"], record["vcpu"]): record["run_time"] for record in shell.json("vcpus")["vcpus"]}
        exits = {}
        for name, vcpu in vcpus:
            for record in shell.json(f"exits {name}/{vcpu}")["exits"]:
                exits[name, vcpu, record["reason"]] = (record["absorbed"], record["delivered"])
        switches = {name: shell.personality(name)["switches"] for name in GUESTS}
        return vcpus, exits, switches

    before = ask()
    while (now := ask()) != before:
        before = now
    return now


@pytest.fixture(scope="class")
def shell(class_boot):
    shell = class_boot.grub(CONFIG, FILES, cores=CORES)
    yield shell
    shell.answers()
    shell.power_off()


@pytest.mark.xdist_group("trace")
class TestTrace:
    def test_boot_is_recorded(self, shell):
        """VMXON is, always: the first event of every core."""
        dump = fetch(shell, "trace dump all")
        for core in dump.cores.values():
            first = core.events[0]
            assert (first.number, first.kind, first.cause) == (0, "VMX", 1)
            assert dump.machine["tsc_entry"] < first.when
            assert core.info["vmxon"] == 1 and core.info["vmxoff"] == 0

    def test_off_records_nothing(self, shell):
        def recorded():
            return [core["recorded"] for core in shell.json("trace")["cores"]]

        assert shell.run("trace off") == "tracing is off"
        before = recorded()
        shell.json("top")                                       # a second passes
        assert recorded() == before

    def test_a_recording(self, shell):
        state = shell.json("trace record 100ms")
        for core in state["cores"]:
            assert not core["on"] and core["lost"] == 0
            length = core["last"]["tsc"] - core["first"]["tsc"]
            # A core that computes in a guest hears of the end when its slice is over (at the latest).
            assert 0.1 <= length / shell.json("machine")["tsc_hz"] < 0.12
        trace = all_there(model.Trace(fetch(shell)))
        seen = kinds(trace.dump)
        assert min(seen[kind] for kind in ("GUEST", "CALL", "SWITCH", "VMPTRLD", "INJECT", "IPI", "INTERRUPT")) > 0
        assert seen["ON"] == seen["OFF"] == CORES and seen["VMCLEAR"] == seen["FAILED"] == 0
        assert {trace.name(number) for number in trace.personalities()} >= {"tiny", "prio"}
        for lane in trace.lanes:
            assert len(lane.switches) > 20
            # What a core did adds up to its time, and most of it is the guests': they are all that there is to do.
            assert lane.ticks(model.GUEST) + lane.ticks(model.RING3) + lane.ticks(model.IDLE) <= lane.length
            assert lane.ticks(model.GUEST) > lane.length / 2
            lengths = sorted(piece.end - piece.start for piece in lane.slices[1:-1] if piece.agent // 64 == 1)
            assert 0.9 < trace.us(summary.percentile(lengths, 50)) / 1000 < 1.1

    def test_sums_are_the_shells(self, shell):
        """Guests are paused, recorded from their resumption to their next pause, and all counters compared."""
        pause(shell)
        run_time, exits, switches = counters(shell)
        assert "tracing is on" in shell.run("trace on")
        resume(shell)
        shell.run("version")
        pause(shell)
        run_time2, exits2, switches2 = counters(shell)
        assert shell.run("trace off") == "tracing is off"
        trace = all_there(model.Trace(fetch(shell)))
        resume(shell)
        traced, counted = collections.Counter(), collections.Counter()
        for lane in trace.lanes:
            for time in lane.times:
                if time.kind == model.GUEST:
                    name, vcpu = trace.vcpu_name(time.who).split("/")
                    key = name, int(vcpu)
                    traced["time", *key] += time.end - time.start
                    # Those that ended vcpu_run by its budget or a kick were absorbed before.
                    traced["delivered" if time.outcome == 1 else "absorbed", *key, time.cause] += 1
        traced.update(("switches", trace.name(event.value // trace.agents_each)) for core in trace.dump.cores.values()
                      for event in core.events if event.kind == "SWITCH" and event.outcome and
                      trace.name(event.value // trace.agents_each) in GUESTS)
        for key, time in run_time2.items():
            counted["time", *key] = time - run_time[key]
        for key, (absorbed, delivered) in exits2.items():
            before = exits.get(key, (0, 0))
            counted["absorbed", *key] = absorbed - before[0]
            counted["delivered", *key] = delivered - before[1]
        for name in GUESTS:
            counted["switches", name] = switches2[name] - switches[name]
        assert +traced == +counted
        assert sum(counted[key] for key in counted if key[0] == "delivered") > 10

    def test_reading_while_it_records(self, shell):
        """The last recording, which goes on, up to where it was when the dump began. More than switches would overwrite the rings in the
        time that a dump takes on a serial line."""
        shell.run("trace filter switch")
        shell.run("trace on")
        first = model.Trace(fetch(shell))
        second = model.Trace(fetch(shell))
        shell.run("trace off")
        shell.run("trace filter all")
        for trace in (first, second):
            assert trace.dump.problems == [] and trace.faults() == []
            assert not any(lane.complete for lane in trace.lanes)
        for core in range(CORES):
            before, after = (trace.dump.cores[core].events for trace in (first, second))
            assert len(after) > len(before) > 1 and after[:len(before)] == before

    @pytest.mark.parametrize("words, expected", [
        ("switch", {"SWITCH"}), ("guest", {"GUEST"}), ("ring3 idle", {"CALL", "TRAP", "IDLE"}), ("vmcs", {"VMPTRLD", "VMCLEAR"}),
    ])
    def test_filter_of_kinds(self, shell, words, expected):
        shell.run(f"trace filter {words}")
        shell.run("trace record 20ms")
        dump = fetch(shell)
        shell.run("trace filter all of everybody")
        seen = set(kinds(dump)) - {"ON", "OFF"}
        assert seen and seen <= expected and dump.problems == []
        if "GUEST" in seen:             # times are right also when what is between them is not recorded
            for lane in model.Trace(dump).lanes:
                assert lane.complete
                assert lane.ticks(model.GUEST) == dump.cores[lane.core].info["last"]["ticks_guest"] - \
                    dump.cores[lane.core].info["first"]["ticks_guest"]

    def test_filter_of_a_personality(self, shell):
        shell.run("trace filter of prio")
        shell.run("trace record 20ms 1")
        dump = fetch(shell)
        shell.run("trace filter all of everybody")
        trace = model.Trace(dump)
        prio = shell.personality("prio")["id"]
        lane, = (lane for lane in trace.lanes if lane.core == 1)
        assert {trace.personality_of(time.kind, time.who) for time in lane.times} == {prio, None} or \
            {trace.personality_of(time.kind, time.who) for time in lane.times} == {prio}
        marks = {(mark.who - 1) // 128 for mark in lane.marks if mark.kind in ("VMPTRLD", "INJECT", "INTERRUPT")}
        assert marks == {prio}
        assert all(prio in (piece.agent // 64, following.agent // 64) for piece, following in itertools.pairwise(lane.slices[:-1]))

    def test_a_new_filter_begins_a_new_recording(self, shell):
        assert "tracing is on" in shell.run("trace on 1")
        begin = shell.json("trace")["cores"][1]["begin"]
        shell.run("trace filter switch")
        state = shell.json("trace")["cores"][1]
        assert state["on"] and state["begin"] > begin
        shell.run("trace filter all")
        shell.run("trace off")

    def test_switching_on_and_off_often(self, shell):
        for _ in range(8):
            shell.run("trace on")
            shell.run("trace off")
            all_there(model.Trace(fetch(shell)))

    def test_page_in_a_browser(self, shell, tmp_path):
        if CHROMIUM is None:
            pytest.skip("chromium is not installed: tools/setup test could not do it")
        shell.run("trace record 200ms")
        trace = all_there(model.Trace(fetch(shell)))
        path = tmp_path / "trace.html"
        text = page.page(trace).replace("<head>", f"<head>{FRAMES}").replace("</body>", f"<script>{PROBE}</script></body>")
        path.write_text(text, encoding="utf-8")
        dom, errors = browse(path, "--dump-dom")
        assert errors == []
        state = html.unescape(re.search(r'<body[^>]* data-state="([^"]*)"', dom)[1])
        assert state == "drawn"
        chart = re.search(r'<svg id="chart".*?</svg>', dom, re.S)[0]
        assert re.findall(r'class="lane">core (\d+)<', chart) == [str(core) for core in range(CORES)]
        for number in {trace.personality_of(model.RING3, piece.agent) for lane in trace.lanes for piece in lane.slices
                       if piece.agent != model.NOBODY} & {1, 2}:
            assert f'class="p{number}"' in chart and f'class="p{number} s' in chart
        assert 'class="exit absorbed"' in chart and 'class="exit"' in chart and "NaN" not in dom
        probe = dict(re.findall(r'data-probe-(\w+)="([^"]*)"', dom))
        assert probe["tips"].startswith("core 0 at ") and "slice of " in probe["tips"]
        assert float(probe["zoomed"]) == pytest.approx(0.5, abs=0.01) and float(probe["whole"]) == pytest.approx(1)
        assert float(probe["moved"]) > 0 and float(probe["wheel"]) < 1
        screenshot = images.BUILD / "trace-test.png"
        screenshot.unlink(missing_ok=True)
        _, errors = browse(path, f"--screenshot={screenshot}", "--window-size=1300,1400")
        assert errors == [] and screenshot.stat().st_size > 20_000


# A browser without a window shows frames when it likes, and its time runs by timers.
FRAMES = "<script>window.requestAnimationFrame = (draw) => setTimeout(draw, 10);</script>"
# Uses the page as a person would, and leaves what it saw in the document.
PROBE = """
(() => {
    const note = (name, value) => document.body.setAttribute(`data-probe-${name}`, value);
    const chart = document.getElementById("chart"), range = document.getElementById("range"), tip = document.getElementById("tip");
    const length = () => +/\\((\\d+) ticks\\)/.exec(range.textContent)[1];
    const next = () => new Promise((done) => setTimeout(done, 100));
    const press = (key) => document.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true}));
    (async () => {
        const whole = JSON.parse(document.getElementById("data").textContent).length, first = length(), begin = range.textContent;
        const box = chart.getBoundingClientRect();
        const at = {clientX: box.left + box.width / 2, clientY: box.top + 40, pageX: 10, pageY: 10, bubbles: true, cancelable: true};
        chart.dispatchEvent(new PointerEvent("pointermove", at));
        note("tips", tip.hidden ? "hidden" : tip.textContent);
        press("+"); await next(); note("zoomed", length() / first);
        press("-"); await next(); press("ArrowRight"); await next(); note("moved", +(range.textContent !== begin));
        const before = length();
        chart.dispatchEvent(new WheelEvent("wheel", {...at, deltaY: -300})); await next(); note("wheel", length() / before);
        press("0"); await next(); note("whole", length() / whole);
        location.hash = "#10000-20000"; await next();
    })();
})();
"""


def browse(path, *arguments):
    """Opens a file in a browser without a window; returns what it printed and the page's error messages."""
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr",
               "--virtual-time-budget=10000", f"--user-data-dir={path.parent / 'browser'}", *arguments, path.as_uri()]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout, [line for line in result.stderr.splitlines() if "CONSOLE" in line]


def test_overwritten_events_are_counted(boot):
    """Rings of 16 KiB hold 1024 events."""
    shell = boot.grub(CONFIG, FILES, cmdline="trace=16", cores=1)
    state, = shell.json("trace record 200ms")["cores"]
    assert state["capacity"] == 1024 and state["recorded"] - state["begin"] > 2048
    assert state["lost"] == state["recorded"] - state["begin"] - 1024
    dump = fetch(shell)
    lost = state["lost"] + 1            # the oldest one may be about to be overwritten
    assert dump.problems == [f"core 0: the first {lost} events were overwritten, as its ring holds 1024"]
    assert len(dump.cores[0].events) == 1023
    trace = model.Trace(dump)
    assert trace.faults() == [] and not trace.lanes[0].complete
    assert "overwritten" in summary.text(trace) and 'class="lost"' in page.page(trace)
    shell.power_off()


def test_calls_with_wrong_arguments(boot):
    """tests/personalities/tracecalls.c, in the monitor's place."""
    config = personality("tracecalls", memory="2M", debug="yes")
    shell = boot.start(boot="grub", iso=boot.images.iso(config, ["tracecalls.elf"]), emu="bochs", cores=1)
    before, match = shell.expect(re.compile(rb"tracecalls: (\d+) wrong\r\n"))
    assert match[1] == b"0", before.decode()


# events of one operation, as docs/tracing.md says: what each may cost
EVENTS = {"null": 1, "cpuid": 1, "cpuid1": 1, "exit": 2, "vcpu": 3, "slice": 3}
TICKS_AN_EVENT = 40


def slices(machines, tracing):
    """The switch between personalities, with tracing on or off. The personalities begin late: the shell needs its time."""
    start, length = 2_000_000, bench.SLICE_US * 1400
    folder, machine = machines.start({f"b{i}": f"slice start={start} end={start + length}" for i in range(2)})
    with folder, machine:
        console = bench.Console(machine)
        console.wait_for(rb"polyvisor> ")
        if tracing:
            console.ask("trace on", rb"tracing is on")
        console.wait_for(rb"bench: (?:done|failed)", 2)
        return bench.switch_result(console.text.decode("ascii", "replace"), 1, bench.STAMP_SPACING)


def test_costs(record_property):
    """What an operation takes longer while it is traced, on one core: the same on every run."""
    def results(text):
        return {result.op: result for result in bench.operations(text)}

    def traced(console):
        console.ask("trace on", rb"tracing is on")
        console.ask("restart b0", rb"\] bench: done")
        return console.text.decode("ascii", "replace")

    machines = bench.Bench(str(images.BUILD))
    text, more = machines.run({"b0": "samples=1000"}, finish=traced, slice_length=bench.LONG_SLICE)
    off, on = results(text), results(more)
    off["slice"], on["slice"] = slices(machines, False), slices(machines, True)
    assert set(off) == set(on) == set(EVENTS)
    for op, events in EVENTS.items():
        record_property(f"ticks of {op} while traced", on[op].median)
        assert off[op].samples >= 1000 and on[op].samples >= 1000
        assert 0 < on[op].median - off[op].median <= TICKS_AN_EVENT * events, op
