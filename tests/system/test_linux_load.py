"""Linux guests with several processors under load, beside each other and a small guest."""
import hashlib
import random
import re

import pytest

from images import BUILD, MONITOR, personality
from test_linux import Guest, linux, make_guest_files  # noqa: F401, the fixture

SWITCHES = 1000
PAUSE = 40                              # basic exit reason
DISK = random.Random(7).randbytes(4 << 20)
PART, PLACE = 512 << 10, 2560 << 10     # what the load copies to where
CLOCK_ERROR = 0.5                       # seconds: what the questions themselves take
INTERRUPTS_PER_SECOND = 1000            # of a timer that runs at 250 Hz, and sleeps


def md5(data):
    return hashlib.md5(data).hexdigest()


def lines(numbers):
    return "".join(f"{number}\n" for number in numbers).encode()


def expected():
    """What guests/linux/load has to say, but for how long it slept."""
    numbers, x = [], 1
    for _ in range(4000):
        x = x * 16807 % 2147483647
        numbers.append(x)
    return {"sort": md5(lines(sorted(numbers))), "gzip": md5(lines(range(1, 20001))), "disk": md5(DISK),
            "copied": md5(DISK[:PLACE] + DISK[:PART] + DISK[PLACE + PART:]), "forks": "150"}


def with_disk(text):
    return text.replace("module initrd initrd }", "module initrd initrd; module disk disk.img }")


class Clocks:
    """What time it is: for a guest, by its clock and its RTC, and for the machine; and how often its timers went off."""

    def __init__(self, shell, guest):
        self.interrupts = sum(int(word) for word in guest.run("grep LOC: /proc/interrupts")[0].split() if word.isdigit())
        self.rtc = int(guest.run("cat /sys/class/rtc/rtc0/since_epoch")[0])
        self.date = int(guest.run("date +%s")[0])
        self.uptime = float(guest.run("cut -d' ' -f1 /proc/uptime")[0])
        guest.leave()
        self.machine = shell.cores()[0]["ticks_total"] / shell.json("machine")["tsc_hz"]

    def check_since(self, before, processors):
        seconds = self.machine - before.machine
        assert seconds > 10
        assert abs(self.uptime - before.uptime - seconds) < CLOCK_ERROR
        assert abs(self.date - self.rtc) <= 2 and abs(self.date - before.date - seconds) < 2
        assert self.interrupts - before.interrupts < INTERRUPTS_PER_SECOND * seconds * processors
        print(f"{seconds:.2f} s: error {self.uptime - before.uptime - seconds:.3f} s, "
              f"{self.interrupts - before.interrupts} interrupts of timers")


def start_load(shell, name, processors):
    """Waits for the guest's shell, and has it work. Returns its clocks."""
    guest = Guest(shell, name)
    guest.synchronise()
    assert guest.run("nproc") == [str(processors)]
    guest.run("dmesg -n 1")             # what the kernel has to say is looked for afterwards
    guest.run("load > /tmp/load 2>&1 &")
    return Clocks(shell, guest)


def check_load(shell, name, processors, before):
    """Waits for the end of its work; checks what came of it, the kernel's log, and its clocks."""
    guest = Guest(shell, name)
    guest.synchronise()
    guest.run("wait")
    said = dict(re.findall(r"load: (\w+) (\w+)", "\n".join(guest.run("cat /tmp/load"))))
    slept = int(said.pop("slept", "0"))
    assert said == expected()
    assert 2000 <= slept
    guest.check_log()
    Clocks(shell, guest).check_since(before, processors)


def check_cores(shell, before):
    for core in shell.cores():
        assert core["vmxon"] == 1 and core["vmxoff"] == 0
        assert core["switches"] - before[core["core"]] > SWITCHES


def check_tiny(shell):
    match = re.search(r"rounds=(\d+) errors=(\d+)", shell.ask("tiny"))
    assert int(match[1]) > 0 and int(match[2]) == 0


def spins(shell, name):
    return sum(record["delivered"] for record in shell.json(f"exits {name}")["exits"] if record["reason"] == PAUSE)


def run_load(boot, guest_files, cores, polyvisor=""):
    """Two guests with two processors each, beside tiny, on one or several cores."""
    arguments = f"console=ttyS0 cryptomgr.notests mitigations=off {polyvisor}"
    names = ("red", "blue")
    config = MONITOR + personality("tiny", memory="16M", args='"report=0"')
    config += "".join(with_disk(linux(name, f"0-{cores - 1}", arguments=arguments)) for name in names)
    files = {**guest_files, "tiny.elf": BUILD / "tiny.elf", "disk.img": DISK}
    shell = boot.grub(config, files, cores=cores, mem="768M")
    clocks = {name: start_load(shell, name, 2) for name in names}
    before = {core["core"]: core["switches"] for core in shell.cores()}
    for name in names:
        check_load(shell, name, 2, clocks[name])
    check_cores(shell, before)
    for name in names:
        assert spins(shell, name) > 0       # a processor has waited for one without a core, and made way
    check_tiny(shell)
    shell.power_off()


@pytest.mark.timeout(2400)
def test_two_guests_on_two_cores(boot, guest_files):  # noqa: F811
    run_load(boot, guest_files, 2)


@pytest.mark.linux
@pytest.mark.timeout(2400)
def test_two_guests_on_one_core(boot, guest_files):  # noqa: F811
    """With local APICs that are software alone."""
    run_load(boot, guest_files, 1, "polyvisor.cpus=2 polyvisor.apicv=off")
