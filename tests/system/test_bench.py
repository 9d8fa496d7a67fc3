"""What operations cost, in ticks of Bochs, where a tick is an instruction: the same on every run and on every computer."""
import pytest

import images
import script  # tools/script.py

pytestmark = pytest.mark.xdist_group("bench")


bench = script.load("bench")

# Two personalities that take turns on core 0: b0 until 100, b1 from 110 to 200, b0 from 215 to 300, b1 from 311 on.
TURNS = """\
polyvisor> \x1b[K[b0] bench: op=slice core=0 away=1 kept=1\r
[b0] bench: away core=0 from=40 24:73\r
polyvisor> \r\x1b[K[b1] bench: away core=0 from=6e 5a:6f~\r
[b0] bench: away core=0 from=d7 55:64\r
[b0] bench: done\r
"""


def test_pairs_the_ends_of_turns():
    away = bench.times_away(TURNS)
    assert away == {0: {"b0": [(100, 215, True), (300, 400, True)], "b1": [(200, 311, False)]}}
    assert bench.switches(away[0]) == ([], 2)                   # what b1 says is not exact
    exact = {"b0": away[0]["b0"], "b1": [(200, 311, True)]}
    assert bench.switches(exact) == ([15, 11], 0)
    assert bench.switches({"b0": away[0]["b0"]}) == ([], 0)     # from a personality to itself is no switch


def test_an_error_of_a_personality_is_told():
    with pytest.raises(bench.BenchError, match="b0: bench: error: vcpu: PV_ERR_QUOTA"):
        bench.operations("[b0] bench: error: vcpu: PV_ERR_QUOTA\r\n")


def test_a_console_log_is_worked_out(tmp_path, capsys):
    log = tmp_path / "log"
    log.write_text("[b0] bench: op=null samples=1000 min=150 median=160 p99=171 max=4000 empty=24\n")
    bench.show_log(str(log))
    assert capsys.readouterr().out.splitlines()[1].split() == \
        ["null", "system", "call", "1", "1", "1000", "150", "160", "171", "4000"]


@pytest.fixture(scope="module")
def results(build):
    del build                           # polyvisor.elf, monitor.elf and bench.elf are up to date
    return {result.op: result for result in bench.measure(bench.Bench(str(images.BUILD)), quick=True)}


@pytest.mark.parametrize("op", bench.OPERATIONS)
def test_limit(results, op, record_property):
    result = results[op]
    record_property(f"ticks of {op}", result.median)
    assert result.samples >= 1000
    assert 0 < result.min <= result.median <= result.p99 <= result.max
    assert result.median <= result.limit
