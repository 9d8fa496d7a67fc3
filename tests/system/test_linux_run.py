"""What `make run` boots: the small guests' personalities, and two Linux guests. By `make linux-test` alone."""
import pytest

from images import BUILD, make
from test_linux import Guest

OTHERS = ("rr", "prio", "edf")


@pytest.mark.linux
@pytest.mark.timeout(2400)
def test_run(boot):
    make("run-images")
    shell = boot(boot="efi", image=BUILD / "run.img", cores=4)
    assert shell.json("config")["errors"] == []
    for name, mark in (("red", "one"), ("blue", "two")):
        guest = Guest(shell, name)
        guest.synchronise()
        guest.run("dmesg -n 1")
        assert guest.run("nproc") == ["2"]
        guest.run(f"echo {mark} > /tmp/mark")
        guest.leave()
    for name, mark in (("red", "one"), ("blue", "two")):        # each has its own
        guest = Guest(shell, name)
        guest.synchronise()
        assert guest.run("cat /tmp/mark") == [mark]
        guest.leave()
    for name in OTHERS:
        assert " errors=0 " in shell.ask(name)
    assert [(core["state"], core["vmxon"], core["vmxoff"]) for core in shell.cores()] == [("vmx", 1, 0)] * 4
    shell.power_off()
