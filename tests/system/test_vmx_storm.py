"""A personality that makes work for another core without end does not slow down whoever else runs there."""
import pytest

from images import MONITOR, personality

STORMS = ("signal", "kick", "unmap", "refused")
SHARE = 0.48                            # of a core that two agents want to have, for each


@pytest.fixture(scope="class")
def stormy(class_boot):
    """The shell of a machine with all storms, paused, each with an agent on core 0 and one on core 1, where `spin` runs, too."""
    storms = "".join(personality(how, "storm.elf", memory="8M", args=f'"{how}"') for how in STORMS)
    shell = class_boot.grub(MONITOR + storms + personality("spin", cores="1"), ["monitor.elf", "storm.elf", "spin.elf"],
                            cores=2)
    shell.wait_until(lambda: all(f"a storm of {how}" in shell.json(f"console {how}")["text"] for how in STORMS),
                     "all have begun")
    for how in STORMS:
        shell.run(f"pause {how}")
    return shell


@pytest.mark.xdist_group("storm")
class TestStorm:
    @pytest.mark.parametrize("how", STORMS)
    def test_neighbour_keeps_its_share(self, stormy, how):
        stormy.run(f"resume {how}")
        growth = stormy.json("top")
        stormy.run(f"pause {how}")
        used = {record["name"]: record["ticks_ring3"] + record["ticks_guest"] for record in growth["personalities"]}
        assert used[how] > growth["cores"][0]["ticks_total"] // 4, "the storm blows"
        assert used["spin"] > SHARE * growth["cores"][1]["ticks_total"]
