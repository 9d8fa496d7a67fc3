"""What becomes of a personality that ends: `on_exit` of the configuration."""
from images import MONITOR, personality

SHORT_LIVES = 5


def parked(shell, name, state):
    """Waits until a personality has been given up; returns its record."""
    return shell.wait_until(lambda: (lambda r: r if r["state"] == state and "parked" in r["why"] else None)
                            (shell.personality(name)), f"{name} is parked")


def test_on_exit(boot):
    """Started again, however they ended, but not for ever; parked when the configuration or the shell wants that."""
    names = ("exit42", "divide", "spin", "hello")
    config = MONITOR + "".join(personality(name, cores="0", on_exit="restart") for name in names[:3]) + personality("hello")
    shell = boot.grub(config, ["monitor.elf"] + [f"{name}.elf" for name in names], cores=1)
    record = parked(shell, "exit42", "exited")
    assert record["restarts"] == SHORT_LIVES - 1 and record["exit_code"] == 42
    assert record["why"] == "exit code 42; parked: its last 5 lives were shorter than 10 s"
    record = parked(shell, "divide", "faulted")
    assert record["restarts"] == SHORT_LIVES - 1 and record["why"].startswith("#DE divide error")
    assert shell.wait_for_state("hello", "exited")["restarts"] == 0
    log = shell.log()
    for name in ("exit42", "divide"):
        assert log.count(f"{name}: started again") == SHORT_LIVES - 1
        assert f"{name}: parked, not started again: its last 5 lives were shorter than 10 s" in log
    assert shell.run("kill spin") == "spin: killed"
    assert shell.run("restart exit42") == "exit42: restarted"       # and has its chances anew
    shell.wait_until(lambda: shell.personality("exit42")["restarts"] == 2 * SHORT_LIVES - 1, "exit42 has had them")
    parked(shell, "exit42", "exited")
    record = shell.personality("spin")
    assert record["state"] == "killed" and record["restarts"] == 0
    shell.power_off()
