"""What `make run` boots: the small guests' personalities, and two Linux guests. By `make linux-test` alone."""
import json
import os
import re

import pexpect
import pytest

from images import BUILD, ROOT, make
from test_linux import Guest

OTHERS = ("rr", "prio", "edf")


@pytest.mark.linux
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("path", "loader"), [("efi", "EFI loader"), ("grub", "GRUB")])
def test_command(path, loader):
    """`make run` itself, to the prompt and off: the loader that was asked for, and every core."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = pexpect.spawn("make", ["run", "EMU=bochs", f"BOOT={path}", "CORES=2"], cwd=ROOT, env=environment, timeout=900)
    try:
        command.expect("polyvisor> ")
        command.send("machine --json\r")
        command.expect(re.compile(rb"\r\n(\{.*\})\r"))
        machine = json.loads(command.match.group(1))
        assert machine["cores"] == 2 and loader in machine["loader"], machine
        command.send("poweroff\r")
        command.expect(pexpect.EOF)
        command.wait()
        assert command.exitstatus == 0
    finally:
        command.close(force=True)


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
