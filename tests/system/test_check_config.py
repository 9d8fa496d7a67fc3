"""tools/check-config: what it prints where, and how it ends. No emulator."""
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOUND = "personality a {\n  image a.elf\n  cores 0-1\n  memory 4M\n  module m data\n}\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.elf").write_bytes(b"x")
    (tmp_path / "data").write_bytes(b"x")
    return tmp_path


def check(folder, text, *options):
    config = folder / "test.cfg"
    config.write_bytes(text if isinstance(text, bytes) else text.encode())
    command = [ROOT / "tools/check-config", str(config), *options]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=folder, stdin=subprocess.DEVNULL)
    return result.returncode, result.stdout, result.stderr.replace(f"{config}:", "test.cfg:")


def test_right(folder):
    status, out, err = check(folder, SOUND, "--cores", "2", "--memory", "6M")
    assert (status, err) == (0, "")
    assert out.endswith("test.cfg: right: 1 personality, 2 files, 5136K of memory\n")


def test_syntax_error(folder):
    assert check(folder, SOUND + "}") == (1, "", "test.cfg:7:1: found '}', expected 'personality', 'slice', 'policy', 'frame' or 'timer'\n")


def test_binary_garbage_prints_safely(folder):
    status, out, err = check(folder, bytes(range(256)) * 16)
    assert (status, out) == (1, "")
    assert err.startswith("test.cfg:1:1: found '\\x00'") and err[:-1].isprintable()


def test_a_config_of_a_megabyte(folder):
    assert check(folder, "#" * 2**20)[2] == "test.cfg:1:1: found more than 65536 bytes of text, expected at most that\n"


@pytest.mark.parametrize("options, message", [
    (["--cores", "1"], "test.cfg:3:9: found absent cores (1) for 'a', expected some of those that run (0)"),
    (["--memory", "4M"], "test.cfg:4:10: found memory 4M and quota 1040K for 'a', expected at most 4M in sum: "
                         "of the machine's 4M, the personalities before it take 0"),
    (["--cmdline", "quiet a.cores=x"], "command line:1:15: found 'x', expected a core number from 0 to 63 or a range such "
                                       "as 2-5"),
])
def test_machine_errors(folder, options, message):
    assert check(folder, SOUND, *options) == (1, "", message + "\n")


def test_missing_and_empty_files(folder):
    (folder / "data").write_bytes(b"")
    assert check(folder, SOUND)[2] == "test.cfg:5:12: found no usable file 'data' (zero bytes), expected module 'm' of 'a'\n"
    (folder / "data").unlink()
    (folder / "data").mkdir()
    assert "'data' (no regular file)" in check(folder, SOUND)[2]
    (folder / "a.elf").unlink()
    assert "'a.elf' (No such file or directory), expected the image of 'a'" in check(folder, SOUND)[2]


def test_files_in_other_folders(folder):
    other = folder / "other"
    other.mkdir()
    os.rename(folder / "data", other / "data")
    assert check(folder, SOUND)[0] == 1
    assert check(folder, SOUND, "--dir", "/nowhere", "--dir", str(other))[0] == 0


def test_lists_files_without_looking_for_them(folder):
    (folder / "data").unlink()
    assert check(folder, SOUND, "--files") == (0, "a.elf\ndata\n", "")


@pytest.mark.parametrize("options", [["--cores", "0"], ["--cores", "65"], ["--cores"], ["--memory", "4X"], ["--memory", ""],
                                     ["--unknown"], ["second.cfg"]])
def test_bad_usage(folder, options):
    status, out, err = check(folder, SOUND, *options)
    assert (status, out) == (2, "")
    assert "usage: check-config" in err


def test_no_such_file(folder):
    result = subprocess.run([ROOT / "tools/check-config", "none.cfg"], capture_output=True, text=True, cwd=folder, timeout=120)
    assert (result.returncode, result.stderr) == (1, "none.cfg: No such file or directory\n")


def test_the_shipped_configuration_is_right():
    result = subprocess.run([ROOT / "tools/check-config", ROOT / "polyvisor.cfg", "--cores", "1", "--memory", "200M"],
                            capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
