"""What `make claims` shows, in its short form; and that the tool says so when a claim does not hold."""
import pytest

import images
import script  # tools/script.py

claims = script.load("claims")


@pytest.fixture(scope="module")
def lab(build):
    del build                           # all but the debug build is up to date
    images.make((images.BUILD / "debug" / "polyvisor.elf").relative_to(images.ROOT), build=images.BUILD / "debug",
                variables=["DEBUG=1"])
    return claims.Lab(str(images.BUILD), short=True)


@pytest.mark.parametrize("letter", claims.CLAIMS)
def test_claim(lab, letter):
    seen, _ = claims.examine(lab, letter)
    assert seen.findings
    assert [text for holds, text in seen.findings if not holds] == []


# ---- two cores, as a log shows them; then what must not be believed ----

OUTSIDE = "vmxe=0 vmptrst=#UD vmcs=0x0 read=0 value=0x0 cr4=0x3402e8"
INSIDE = "vmxe=1 vmptrst=works vmcs=0x5{0}000 read=1 value=0x{0} cr4=0x3422e8"


def log(*steps):
    lines = []
    for who, cores in steps:
        lines.append("watched: step=" + ("before" if who is None else f"vmxon core={who}"))
        lines += [f"watched: core={core} {saw}" for core, saw in enumerate(cores)]
    return "".join(f"[    0.039764] {line}\r\n" for line in lines)


SOUND = [(None, [OUTSIDE, OUTSIDE]), (0, [INSIDE.format(3), OUTSIDE]), (1, [INSIDE.format(3), INSIDE.format(4)])]


def roll_call_holds(steps, cores=2):
    seen = claims.Seen("")
    claims.check_roll_call(seen, claims.roll_call(log(*steps)), cores)
    return seen.holds


def test_a_sound_roll_call_holds():
    assert roll_call_holds(SOUND)


@pytest.mark.parametrize("step, core, saw", [
    (0, 1, INSIDE.format(4)),                                       # was in VMX operation before its VMXON
    (1, 0, OUTSIDE),                                                # VMXON without effect
    (1, 0, INSIDE.format(3).replace("read=1", "read=0")),           # a VMCS that cannot be read
    (1, 1, OUTSIDE.replace("0x3402e8", "0x3402e9")),                # another core's CR4 changed
    (1, 1, OUTSIDE.replace("#UD", "works")),                        # another core can execute VMX instructions
    (2, 0, INSIDE.format(3).replace("value=0x3", "value=0x4")),     # another core's VMCS changed
    (2, 0, OUTSIDE),                                                # VMXON took another core out
])
def test_a_roll_call_that_does_not_hold(step, core, saw):
    steps = [(who, list(cores)) for who, cores in SOUND]
    steps[step][1][core] = saw
    assert not roll_call_holds(steps)


def test_a_roll_call_with_gaps():
    assert not roll_call_holds(SOUND[:2])
    assert not roll_call_holds(SOUND[1:])
    assert not roll_call_holds(SOUND, cores=3)
    assert not roll_call_holds([])


def test_no_finding_is_no_proof():
    assert not claims.Seen("nothing was looked at").holds


def test_errors_of_guests_are_seen():
    seen = claims.Seen("")
    seen.add_intact({"one": (10, 0, 3), "two": (12, 1, 3)})
    assert not seen.holds
    seen = claims.Seen("")
    seen.add_intact({"one": (10, 0, 3), "two": (0, 0, 3)})          # stands still
    assert not seen.holds


def test_a_machine_that_fails_is_a_finding(monkeypatch):
    def fail(_):
        raise claims.bench.BenchError("no machine")
    monkeypatch.setitem(claims.CLAIMS, "z", ("something", fail))
    seen, _ = claims.examine(claims.Lab(str(images.BUILD), short=True), "z")
    assert seen.findings == [(False, "no machine")]
