"""The machine in which the shell is tested: two cores, two personalities that have ended."""
from images import MONITOR, personality

CONFIG = MONITOR + personality("hello", args='"some \\"words\\""') + personality("chatter", args='"40"')


def start(boot):
    """Its shell, when all has been printed that will be. boot: the fixture class_boot."""
    # An MSR that Bochs does not know is an error here, as on a real processor.
    shell = boot.grub(CONFIG, ["monitor.elf", "hello.elf", "chatter.elf"], emu="bochs", cores=2, mem="512M",
                      config=["cpu: ignore_bad_msrs=0"])
    for name in ("hello", "chatter"):
        shell.wait_for_state(name, "exited")
    shell.wait_until(lambda: shell.answers() or any("line 40 of 40" in line for line in shell.transcript()),
                     "all has been printed that will be")
    return shell
