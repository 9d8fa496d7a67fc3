"""Polyvisor beside KVM: what is made of KVM's output, whole and broken. Starts no machine."""
import json
import lzma
import os
import sys
import xml.etree.ElementTree as ElementTree

import pytest

import images
import script  # tools/script.py

sys.path.insert(0, os.path.join(str(images.ROOT), "tools", "kvm-peer"))
import peer_comparison as comparison  # noqa: E402
import peer_linux as linux  # noqa: E402
import peer_output as output  # noqa: E402

bench = script.load("bench")

KHZ = 50000
SWITCHES = 1200
TURN, LONG_TURN, AWAY = 10000, 10100, 400   # ticks: of a VM's turns, and from one VM to the next


def operation(op, median=900):
    return f"[kvm] bench: op={op} samples=1000 min={median - 1} median={median} p99={median + 1} max={5 * median} empty=1"


def turns(name, vms):
    """The lines of VMs that take turns: every VM is away while the others have theirs."""
    clock, last, away = 1000, {}, {number: [] for number in range(vms)}
    for turn in range(SWITCHES):
        number = turn % vms
        if number in last:
            away[number].append((last[number], clock))
        clock += TURN if turn % 3 else LONG_TURN
        last[number] = clock
        clock += AWAY
    lines = []
    for number, times in away.items():
        lines.append(f"[{name}-{number}] bench: op=slice core=0 away={len(times)} kept={len(times)}")
        lines += [f"[{name}-{number}] bench: away core=0 from={before:x} 0:{after - before:x}" for before, after in times]
    return lines


def kvm_lines():
    lines = [f"[kvm] bench: linux=6.1.0 tsc_khz={KHZ + 1}"]
    lines += [operation(op, 900 + 100 * number) for number, op in enumerate(comparison.OPERATIONS)]
    for name, vms in comparison.SLICES.items():
        lines += turns(name, vms)
    return lines + ["[kvm] bench: done"]


def parse(lines):
    return comparison.KvmOutput("[    0.2] some message\r\n" + "\r\n".join(lines) + "\r\n", KHZ)


def results():
    return parse(kvm_lines()).results()


def own(**changes):
    """Polyvisor's results, some of them changed."""
    found = {"cpuid": 100, "cpuid1": 110, "exit": 300, "vcpu": 400, **changes}
    return [*(bench.Result(op, 1, 1, 1000, median, median, median, median, 1) for op, median in found.items()),
            *(bench.Result("slice", count, 1, 1200, 140, 150, 160, 170, 2) for count in (2, 4)),
            bench.Result("slice", 2, 4, 1200, 1, 1, 1, 1, 2)]


def pairs():
    return comparison.compare(own(), results())


# ---- what is right ----

def test_results():
    found = results()
    assert parse(kvm_lines()).linux == "6.1.0"
    assert set(found) == {*comparison.OPERATIONS, *comparison.SLICES}
    assert (found["exit"].median, found["exit"].p99, found["exit"].max) == (1100, 1101, 5500)
    for name, vms in comparison.SLICES.items():
        # Every switch but those at the ends of the log is there, less what the guest's own stamps take.
        assert SWITCHES - 2 * vms <= found[name].samples < SWITCHES
        assert found[name].median == found[name].max == AWAY - bench.STAMP_SPACING
        assert found[name].personalities == vms


def test_rows():
    rows = {(pair.section, pair.what): pair for pair in pairs()}
    assert len(rows) == len(comparison.ROWS)
    cpuid = rows[comparison.ROWS[0][:2]]
    assert (cpuid.polyvisor.median, cpuid.kvm.median, cpuid.ratio) == (100, 900, 9.0)
    for pair in rows.values():          # never the rows of several cores
        assert pair.polyvisor.cores == 1
        assert pair.ratio == pair.kvm.median / pair.polyvisor.median


def test_table():
    lines = output.table(pairs(), "6.1.0").splitlines()
    assert "Linux 6.1.0" in lines[0]
    row = next(line for line in lines if line.startswith(f"  {comparison.ROWS[2][1]} "))
    assert row[len(comparison.ROWS[2][1]) + 2:].split() == "1000 300 300 300 1000 1100 1101 5500 3.7".split()
    for section in (comparison.EXITS, comparison.SLICES_END, comparison.OTHER_WAYS):
        assert lines.count(f"{section}:") == 1


def test_json(tmp_path):
    output.write_json(tmp_path / "json", pairs(), "6.1.0")
    data = json.loads((tmp_path / "json").read_text())
    assert (data["unit"], data["cores"], data["linux"]) == ("ticks", 1, "6.1.0")
    assert [(row["section"], row["what"]) for row in data["rows"]] == [row[:2] for row in comparison.ROWS]
    assert data["rows"][0]["kvm"] == \
        {"samples": 1000, "min": 899, "median": 900, "p99": 901, "max": 4500, "empty": 1, "not_exact": 0}
    assert data["rows"][0]["ratio"] == 9.0


def test_chart(tmp_path):
    output.write_chart(tmp_path / "svg", pairs(), "6.1 <&>")
    picture = ElementTree.parse(tmp_path / "svg").getroot()
    bars = [float(bar.get("width")) for bar in picture.iter("{http://www.w3.org/2000/svg}rect") if "%" not in bar.get("width")]
    assert len(bars) == 2 * len(comparison.ROWS)
    for pair, polyvisor, kvm in zip(pairs(), bars[::2], bars[1::2]):
        assert kvm / polyvisor == pytest.approx(pair.ratio, rel=0.02)
    words = [text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert "KVM 1,100" in words and any("Linux 6.1 <&>" in text for text in words)


# ---- what is broken ----

def broken(message, change):
    lines = kvm_lines()
    with pytest.raises(bench.BenchError, match=message):
        changed = change(lines)
        parse(lines if changed is None else changed).results()


def without(start):
    """Leaves out the first line that begins so."""
    def change(lines):
        lines.remove(next(line for line in lines if line.startswith(start)))
    return change


def replaced(old, new):
    def change(lines):
        return [line.replace(old, new) for line in lines]
    return change


@pytest.mark.parametrize("length", [0, 1, 5, 1000, -1])
def test_output_that_is_cut(length):
    broken("ends before 'bench: done'", lambda lines: lines[:length])


def test_output_that_is_cut_within_a_line():
    text = "\r\n".join(kvm_lines())
    with pytest.raises(bench.BenchError, match="ends before 'bench: done'"):
        comparison.KvmOutput(text[:len(text) // 2], KHZ)


@pytest.mark.parametrize("op", comparison.OPERATIONS)
def test_an_operation_without_numbers(op):
    broken(f"no numbers for '{op}'", without(f"[kvm] bench: op={op} "))


def test_times_away_without_numbers():
    broken("has 598 of 599 times away of two-1", without("[two-1] bench: away"))
    broken("has 299 of the times away of four-2", without("[four-2] bench: op=slice"))
    broken("has 0 of the times away of rr-0", lambda lines: [line for line in lines if not line.startswith("[rr-0]")])


def test_lines_that_make_no_sense():
    broken("makes no sense: .*median=x", replaced("median=1100", "median=x"))
    broken("makes no sense: .*two-0", replaced("[two-0] bench: away core=0", "[two-0] bench: aw"))


def test_too_few_samples():
    broken("only 999 samples of 'exit'", replaced("op=exit samples=1000", "op=exit samples=999"))


def test_no_version():
    broken("version of Linux", without("[kvm] bench: linux="))


def test_another_frequency():
    broken("50000 kHz of the TSC for 3499912", replaced(f"tsc_khz={KHZ + 1}", "tsc_khz=3499912"))


def test_errors_of_the_client():
    broken("kvm: bench: error: KVM_RUN: Bad address", lambda lines: [*lines[:3], "[kvm] bench: error: KVM_RUN: Bad address"])
    with pytest.raises(bench.BenchError, match="not syncing: Attempted to kill init!"):
        comparison.KvmOutput("[ 1.0] Kernel panic - not syncing: Attempted to kill init!\r\n", KHZ)


def test_polyvisor_without_numbers():
    kvm = results()
    with pytest.raises(bench.BenchError, match="no numbers for 'exit', 1 personalities"):
        comparison.compare([result for result in own() if result.op != "exit"], kvm)
    with pytest.raises(bench.BenchError, match="no numbers for 'slice', 4 personalities"):
        comparison.compare([result for result in own() if result.personalities != 4], kvm)
    with pytest.raises(bench.BenchError, match="median of 0 ticks for 'cpuid' is no time"):
        comparison.compare(own(cpuid=0), kvm)


# ---- Linux's modules ----

class TestModules:
    @pytest.fixture
    def folder(self, tmp_path):
        """a needs b_b and c, b-b needs c; c is packed, d is part of the kernel."""
        (tmp_path / "deep").mkdir()
        (tmp_path / "a.ko").write_bytes(b"A\0license=GPL\0depends=b_b,c,d\0")
        (tmp_path / "deep/b-b.ko").write_bytes(b"B\0depends=c\0")
        (tmp_path / "deep/c.ko.xz").write_bytes(lzma.compress(b"C\0depends=\0"))
        (tmp_path / "modules.builtin").write_text("kernel/deep/d.ko\n")
        return tmp_path

    def test_order(self, folder):
        assert [contents[:1] for contents in linux.Modules(folder).with_needs("a")] == [b"C", b"B", b"A"]
        assert linux.Modules(folder).with_needs("d") == []

    def test_one_that_is_missing(self, folder):
        (folder / "deep/b-b.ko").unlink()
        with pytest.raises(bench.BenchError, match="has no module b_b"):
            linux.Modules(folder).with_needs("a")
