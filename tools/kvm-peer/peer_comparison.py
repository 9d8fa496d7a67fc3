"""Polyvisor's numbers beside KVM's: what stands beside what, and what KVM's side printed."""
import dataclasses
import re

import script

bench = script.load("bench")

# What the client (init.c) measures by itself, and the VMs whose times away it prints: {name: how many}.
OPERATIONS = ("cpuid", "cpuid1", "exit", "vcpu", "vms", "yield", "yieldrt")
SLICES = {"two": 2, "four": 4, "rr": 2}
KHZ_WRONG = 0.02                        # of Linux's idea of the TSC's frequency

EXITS = "Exits"
SLICES_END = "End of a slice, from a guest of one hypervisor to a guest of another; with KVM, of one VM to another"
OTHER_WAYS = "Other ways of KVM from one VM to another, beside Polyvisor's end of a slice with 2"
# (section, what, Polyvisor's operation and number of personalities, KVM's measurement)
ROWS = (
    (EXITS, "CPUID, leaf 0, answered in ring 0", ("cpuid", 1), "cpuid"),
    (EXITS, "CPUID, leaf 1, answered in ring 0", ("cpuid1", 1), "cpuid1"),
    (EXITS, "OUT, handled in ring 3, resumed", ("exit", 1), "exit"),
    (EXITS, "OUT, ring 3 runs another vcpu of the same VM", ("vcpu", 1), "vcpu"),
    (SLICES_END, "2 hypervisors; 2 VMs, default scheduler", ("slice", 2), "two"),
    (SLICES_END, "4 hypervisors; 4 VMs, default scheduler", ("slice", 4), "four"),
    (OTHER_WAYS, "end of a slice, 2 processes, SCHED_RR", ("slice", 2), "rr"),
    (OTHER_WAYS, "OUT, sched_yield, 2 processes, default scheduler", ("slice", 2), "yield"),
    (OTHER_WAYS, "OUT, sched_yield, 2 processes, SCHED_FIFO", ("slice", 2), "yieldrt"),
    (OTHER_WAYS, "OUT, one thread calls KVM_RUN for 2 VMs in turn", ("slice", 2), "vms"),
)


@dataclasses.dataclass
class Pair:
    """A row of the table."""
    section: str
    what: str
    polyvisor: object                   # bench.Result
    kvm: object

    @property
    def ratio(self):
        return self.kvm.median / self.polyvisor.median

    def record(self):
        def numbers(result):
            return {key: getattr(result, key) for key in ("samples", "min", "median", "p99", "max", "empty", "not_exact")}

        return {"section": self.section, "what": self.what, "polyvisor": numbers(self.polyvisor),
                "kvm": numbers(self.kvm), "ratio": round(self.ratio, 2)}


# ---- KVM's side ----

ABOUT = re.compile(r"bench: linux=(\S+) tsc_khz=(\d+)$")
KEPT = re.compile(r"bench: op=slice core=0 away=\d+ kept=(\d+)$")


class KvmOutput:
    """What Linux's console showed, checked: every line is understood and none that is expected is missing."""

    def __init__(self, text, khz):
        panic = re.search(r"Kernel panic - not syncing: [^\r\n]*", text)
        if panic:
            raise bench.BenchError(f"Linux: {panic[0]}")
        self.lines = list(bench.bench_lines(text))
        if ("kvm", "bench: done") not in self.lines:
            last = f": the last line is '{self.lines[-1][1]}'" if self.lines else " and holds no line of its client"
            raise bench.BenchError(f"KVM's output ends before 'bench: done'{last}")
        for name, line in self.lines:
            if line != "bench: done" and not any(p.match(line) for p in (ABOUT, KEPT, bench.DISTRIBUTION, bench.AWAY)):
                raise bench.BenchError(f"KVM's output has a line that makes no sense: [{name}] {line}")
        self.linux = self._about(khz)

    def _about(self, khz):
        found = [match for match in (ABOUT.match(line) for _, line in self.lines) if match]
        if len(found) != 1:
            raise bench.BenchError("KVM's output does not tell the version of Linux")
        if abs(int(found[0][2]) / khz - 1) > KHZ_WRONG:
            raise bench.BenchError(f"Linux takes {khz} kHz of the TSC for {found[0][2]}: its slices have another length")
        return found[0][1]

    def results(self):
        """{measurement: bench.Result}"""
        text = "\n".join(f"[{name}] {line}" for name, line in self.lines)
        found = {result.op: result for result in bench.operations(text)}
        found.update({name: self._switch(name, count) for name, count in SLICES.items()})
        for name in (*OPERATIONS, *SLICES):
            if name not in found:
                raise bench.BenchError(f"KVM's output has no numbers for '{name}'")
            check_samples("KVM", name, found[name])
        return found

    def _switch(self, name, count):
        """From the times away of `count` VMs that are called name-0, name-1, ..."""
        text = "\n".join(f"[{vm}] {line}" for vm, line in self.lines if re.fullmatch(rf"{name}-\d+", vm))
        kept = {vm: int(match[1]) for vm, match in ((vm, KEPT.match(line)) for vm, line in self.lines) if match}
        away = bench.times_away(text).get(0, {})
        for vm in (f"{name}-{number}" for number in range(count)):
            if len(away.get(vm, [])) != kept.get(vm):
                raise bench.BenchError(f"KVM's output has {len(away.get(vm, []))} of {kept.get(vm, 'the')} times away of {vm}")
        return bench.switch_result(text, 1, bench.STAMP_SPACING)


def check_samples(whose, name, result):
    if result.samples < bench.SAMPLES:
        raise bench.BenchError(f"{whose}: only {result.samples} samples of '{name}', at least {bench.SAMPLES} are needed")


# ---- both ----

def compare(polyvisor, kvm):
    """The rows. polyvisor: [bench.Result] of one core, kvm: {measurement: bench.Result}"""
    own = {(result.op, result.personalities): result for result in polyvisor if result.cores == 1}
    pairs = []
    for section, what, operation, measurement in ROWS:
        if operation not in own:
            raise bench.BenchError(f"Polyvisor's bench has no numbers for '{operation[0]}', {operation[1]} personalities")
        result = own[operation]
        check_samples("Polyvisor", operation[0], result)
        if result.median <= 0:
            raise bench.BenchError(f"Polyvisor: a median of {result.median} ticks for '{operation[0]}' is no time")
        pairs.append(Pair(section, what, result, kvm[measurement]))
    return pairs
