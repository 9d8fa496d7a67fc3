"""APIC virtualization: a guest sees the same by it and by the model in software, and gets at nothing that is the core's."""
import re

import pytest

from images import MONITOR, personality


@pytest.mark.xdist_group("apic")
class TestApic:
    @pytest.fixture(scope="class")
    def shell(self, class_boot):
        config = (MONITOR + personality("hardware", "apic_guest.elf", memory="8M", args='"hardware"')
                  + personality("software", "apic_guest.elf", memory="8M", args='"software"')
                  + personality("isolation_apic", memory="8M"))
        shell = class_boot.grub(config, ["monitor.elf", "apic_guest.elf", "isolation_apic.elf"], emu="bochs", cores=1)
        assert shell.json("config")["errors"] == []
        return shell

    def lines(self, shell, name):
        assert shell.wait_for_state(name, "exited", "faulted")["state"] == "exited"
        return shell.json(f"console {name}")["text"].splitlines()

    def test_the_guest_sees_the_same(self, shell):
        hardware, software = self.lines(shell, "hardware"), self.lines(shell, "software")
        assert hardware[-1] == software[-1]
        assert hardware[-1] == ("low 101, high 1; while raised: low 100, high 1, CR8 4; lowered: low 101; ID 0x123, PPR 0x30, "
                                "ISR 0")

    def test_exits(self, shell):
        """With virtualization nothing exits but the HLT; in software every access does."""
        def counts(name):
            numbers = re.search(r"RDMSR (\d+), WRMSR (\d+), control registers (\d+), HLT (\d+)", self.lines(shell, name)[-2])
            return [int(number) for number in numbers.groups()]
        assert counts("hardware") == [0, 0, 0, 1]
        assert counts("software") == [101 + 2, 1 + 102 + 102, 3, 1]

    def test_the_cores_apic_is_out_of_reach(self, shell):
        lines = self.lines(shell, "isolation_apic")
        assert [line for line in lines if line.startswith("NOT refused")] == []
        assert lines[-1] == "0 not refused"
        combinations = next(int(line.split()[0]) for line in lines if line.endswith(" combinations"))
        assert combinations == 1 + 1 + 3 * 4, "Bochs's processor has them all: none, accesses alone, and with the shadow"
        assert shell.personality("isolation_apic")["exit_code"] == 0
        assert [(core["vmxon"], core["vmxoff"]) for core in shell.cores()] == [(1, 0)]
