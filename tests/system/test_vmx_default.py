"""What `make run` boots: four cores shared by three hypervisors, each with a scheduler of its own."""
import re
import subprocess

import pytest

from images import ROOT

HYPERVISORS = {"rr": ("rr", 100), "prio": ("priority", 200), "edf": ("edf", 100)}


@pytest.mark.xdist_group("default")
class TestDefault:
    @pytest.fixture(scope="class")
    def shell(self, class_boot):
        return class_boot(emu="bochs", boot="efi", cores=4)

    def test_configuration(self, shell):
        """It is the one in the repository, and there is nothing wrong with it."""
        assert shell.json("config") == {"text": (ROOT / "polyvisor.cfg").read_text(), "errors": []}
        assert "\n4 cores, in VMX operation: 0-3\n" in shell.boot_text
        assert "was not started" not in shell.boot_text

    def test_everyone_runs_on_every_core(self, shell):
        """Guests of all three have had time on all four cores, and go on having it."""
        def worked():
            return {(vcpu["personality"], vcpu["core"]) for vcpu in shell.json("vcpus")["vcpus"] if vcpu["run_time"]}
        everywhere = {(name, core) for name in HYPERVISORS for core in range(4)}
        shell.wait_until(lambda: worked() == everywhere, "all guests run")
        before = {name: shell.personality(name)["ticks_guest"] for name in HYPERVISORS}
        shell.wait_until(lambda: all(shell.personality(name)["ticks_guest"] > ticks for name, ticks in before.items()),
                         "they go on")
        assert [(core["state"], core["vmxon"], core["vmxoff"]) for core in shell.cores()] == [("vmx", 1, 0)] * 4

    @pytest.mark.parametrize("name", HYPERVISORS)
    def test_its_guests(self, shell, name):
        policy, weight = HYPERVISORS[name]
        record = shell.personality(name)
        assert (record["state"], record["weight"], record["vcpus"]) == ("running", weight, 12)
        first, *_ = shell.json(f"console {name}")["text"].splitlines()
        assert first == f"real16,prot32,long64 on each of 4 cores, level 2: {policy}, quantum 200 us"
        assert re.match(r"rounds=[1-9]\d* errors=0 vcpus=12 ", shell.ask(name))

    def test_frame_policy_can_be_tried(self, shell):
        """The comment in the configuration says so."""
        assert shell.run("sched policy frame") == "policy: frame"
        assert shell.run("sched policy weighted") == "policy: weighted"

    def test_power_off(self, shell):
        assert any(line.endswith("all cores stopped: 4 VMXON, 4 VMXOFF") for line in shell.power_off())


@pytest.mark.parametrize("cores", [1, 8])
def test_fits_other_machines(cores):
    """The smallest machine that is tested has 256 MiB, of which firmware and image take some."""
    result = subprocess.run([ROOT / "tools/check-config", ROOT / "polyvisor.cfg", "--cores", str(cores), "--memory", "198M"],
                            capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
