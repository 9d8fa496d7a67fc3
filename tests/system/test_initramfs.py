"""guests/linux/mkinitramfs: the archive is what the kernel's format description says. Starts no machine."""
import os
import subprocess

from images import ROOT

TOOL = ROOT / "guests" / "linux" / "mkinitramfs"


def entries(data):
    """Takes a newc archive apart by itself: {name: (mode, device, contents)} in order, without the trailer."""
    found, at = {}, 0
    while True:
        assert data[at:at + 6] == b"070701", f"no header at {at}"
        field = [int(data[at + 6 + 8 * i:at + 14 + 8 * i], 16) for i in range(13)]
        _, mode, _, _, _, _, size, _, _, major, minor, name_size, check = field
        assert check == 0
        name = data[at + 110:at + 110 + name_size]
        assert name.endswith(b"\0")
        start = (at + 110 + name_size + 3) & ~3
        at = (start + size + 3) & ~3
        if name == b"TRAILER!!!\0":
            assert not data[at:].strip(b"\0")
            return found
        assert name not in found
        found[name[:-1].decode()] = (mode, (major, minor), data[start:start + size])


def make(tmp_path, *more, init_mode=0o755):
    (tmp_path / "busybox").write_bytes(b"\x7fELFxyz")
    (tmp_path / "busybox").chmod(0o755)
    (tmp_path / "init").write_text("#!/bin/sh\n")
    (tmp_path / "init").chmod(init_mode)
    out = tmp_path / "out.cpio"
    result = subprocess.run([TOOL, "-o", out, "--busybox", tmp_path / "busybox", "--init", tmp_path / "init", *more],
                            capture_output=True, text=True, timeout=60, check=False)
    return result, out


def test_contents(tmp_path):
    (tmp_path / "odd").write_bytes(b"12345")
    (tmp_path / "odd").chmod(0o644)
    result, out = make(tmp_path, f"{tmp_path / 'odd'}:/lib/deep/odd.ko")
    assert result.returncode == 0, result.stderr
    found = entries(out.read_bytes())
    assert found["init"] == (0o100755, (0, 0), b"#!/bin/sh\n")
    assert found["bin/busybox"] == (0o100755, (0, 0), b"\x7fELFxyz")
    assert found["bin/sh"] == (0o120777, (0, 0), b"busybox")
    assert found["dev/console"] == (0o020600, (5, 1), b"")
    assert found["lib/deep/odd.ko"] == (0o100644, (0, 0), b"12345")
    order = list(found)
    for name in order:  # the kernel unpacks in order and makes no folders by itself
        parent = os.path.dirname(name)
        assert not parent or order.index(parent) < order.index(name)


def test_without_busybox(tmp_path):
    """An init that needs none."""
    make(tmp_path)
    out = tmp_path / "small.cpio"
    subprocess.run([TOOL, "-o", out, "--init", tmp_path / "init"], timeout=60, check=True)
    found = entries(out.read_bytes())
    assert {"init", "dev/console", "proc"} <= set(found)
    assert not any(name.startswith("bin/") for name in found)


def test_same_again(tmp_path):
    first = make(tmp_path)[1].read_bytes()
    assert make(tmp_path)[1].read_bytes() == first


def test_refuses(tmp_path):
    result, out = make(tmp_path, init_mode=0o644)
    assert result.returncode != 0 and "not executable" in result.stderr and not out.exists()
    result, _ = make(tmp_path, f"{tmp_path / 'absent'}:x")
    assert result.returncode != 0 and "absent" in result.stderr
    assert "Traceback" not in result.stderr
