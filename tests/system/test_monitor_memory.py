"""There is a shell whatever memory the configuration wants for the monitor."""
from images import MONITOR


def test_no_contiguous_memory(boot):
    """5 GiB are free, but not in one piece: the machine has a hole below 4 GiB."""
    shell = boot.grub(MONITOR, cmdline="monitor.memory=5G", emu="tcg", firmware="bios", cores=1, mem="6G")
    errors = "\n".join(shell.json("config")["errors"])
    assert "personality 'monitor': there is no contiguous piece of 5242880 KiB of memory for it" in errors
    assert list(shell.personalities()) == ["monitor"]
