"""The shell's list of a personality's devices, which the personality makes: whatever it says, the shell shows text."""
from images import MONITOR, personality

ALL = 2 ** 64 - 1


def test_hostile_table(boot):
    """Texts end, no byte of them acts on the terminal, and a new life begins without a table."""
    config = MONITOR + personality("devices", cores="0") + personality("hello", cores="0")
    shell = boot.grub(config, ["monitor.elf", "devices.elf", "hello.elf"], cores=1)
    console = shell.wait_until(lambda: (lambda text: text if "ready" in text else None)
                               (shell.json("console devices")["text"]), "the table is there")
    assert console == "devices: ready\n"
    counts = ("reads", "writes", "interrupts", "bytes_in", "bytes_out")
    rows = shell.json("devices devices")["devices"]
    assert rows[0] == {"device": ".[2Jname..", "place": '"\\,{}%s', **dict.fromkeys(counts, ALL)}
    assert rows[1] == {"device": "x" * 23, "place": "y" * 39, **dict.fromkeys(counts, ALL)}
    assert len(rows) == 3 and len(rows[2]["device"]) <= 23
    for _ in range(20):
        name = shell.json("devices devices")["devices"][2]["device"]
        assert all(" " <= character <= "~" for character in name)
    lines = shell.run("devices devices").splitlines()
    assert len(lines) == 4 and lines[0].startswith("device ") and lines[1].startswith(".[2Jname.. ")
    assert shell.run("kill devices") == "devices: killed"
    assert len(shell.json("devices devices")["devices"]) == 3       # as it was
    assert shell.run("devices hello") == "hello lists no devices"
    assert "there is no personality 'x'" in shell.run("devices x")
    shell.answers()
    shell.power_off()
