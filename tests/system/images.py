"""Images for one test: a configuration, files, and what of the build belongs to it.

    image = Images(tmp_path)
    path = image.iso(MONITOR + personality("spin"), cmdline="cores=2")

The programs of tests/personalities and the monitor are found by name in the build folder; other files are given as
bytes or as paths.
"""
import fcntl
import itertools
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("BUILD", "build")
MONITOR = "personality monitor { image monitor.elf; memory 16M; debug yes }\n"


def make(*targets, build=BUILD, variables=(), environment=None):
    """Builds targets. One at a time: tests may run in several processes. Returns make's output."""
    build.mkdir(parents=True, exist_ok=True)
    environment = {key: value for key, value in (environment or os.environ).items()
                   if key not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES")}
    with open(build / ".make-lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        command = ["make", "-C", str(ROOT), "--no-print-directory", f"-j{os.cpu_count() or 1}",
                   f"BUILD={os.path.relpath(build, ROOT)}", *variables, *(str(target) for target in targets)]
        result = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, errors="replace", timeout=900, check=False)
    assert result.returncode == 0, f"{' '.join(command)} failed:\n{result.stdout}"
    return result.stdout


def test_programs():
    """Names of the programs in tests/personalities."""
    return sorted(path.stem for path in (ROOT / "tests/personalities").glob("*.c"))


def personality(name, image=None, **keys):
    """A block of the configuration. Strings that need quotes must bring them."""
    keys = {"image": image or f"{name}.elf", "memory": "1M", **keys}
    return f"personality {name} {{ {'; '.join(f'{key} {value}' for key, value in keys.items())} }}\n"


def find_program(name):
    """A file of the build by the name that it has on the boot volume."""
    for path in (BUILD / name, BUILD / "tests" / name):
        if path.is_file():
            return path
    raise FileNotFoundError(f"{name} is not in {BUILD}")


class Images:
    """Makes images in a folder. files: names of programs of the build, or {name on the volume: contents}, where
    contents are bytes, or text, or a pathlib.Path; `find_program` has the paths of programs."""

    def __init__(self, folder, kernel=BUILD / "polyvisor.elf", loader=BUILD / "BOOTX64.EFI"):
        self.folder, self.kernel, self.loader = Path(folder), kernel, loader
        self._numbers = itertools.count(1)

    def _items(self, files):
        """FILE:NAME of each file; contents are written down first."""
        if not isinstance(files, dict):
            files = {name: find_program(name) for name in files}
        items = []
        for name, contents in files.items():
            if isinstance(contents, (bytes, str)):
                path = self.folder / f"file-{next(self._numbers)}"
                path.write_bytes(contents.encode() if isinstance(contents, str) else contents)
                contents = path
            items.append(f"{contents}:{name}")
        return items

    def _run(self, tool, output, *arguments):
        environment = dict(os.environ)
        environment.pop("MAKEFLAGS", None)
        result = subprocess.run([str(ROOT / "tools" / tool), "-o", str(output), *map(str, arguments)],
                                env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                errors="replace", timeout=300, check=False)
        assert result.returncode == 0, f"{tool}: {result.stderr}"
        return output

    def iso(self, config=MONITOR, files=("monitor.elf",), cmdline=""):
        """An ISO for GRUB. config: text or bytes; the configuration is the first module."""
        (configuration,) = self._items({"polyvisor.cfg": config})
        return self._run("mkiso", self.folder / f"{next(self._numbers)}.iso", "--kernel", f"{self.kernel}:polyvisor.elf",
                         "--config", configuration, "--cmdline", cmdline, *self._items(files))

    def disk(self, config=MONITOR, files=("monitor.elf",), loader_path="EFI/BOOT/BOOTX64.EFI"):
        """A disk for UEFI. config None: there is none; kernel None (of the object): no polyvisor.elf either."""
        items = [f"{self.loader}:{loader_path}"]
        if self.kernel:
            items.append(f"{self.kernel}:polyvisor.elf")
        if config is not None:
            items += self._items({"polyvisor.cfg": config})
        return self._run("mkimg", self.folder / f"{next(self._numbers)}.img", *items, *self._items(files))
