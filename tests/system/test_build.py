"""What the build promises, and the tools around it. Only the tests of tools/run start a machine."""
import hashlib
import os
import re
import shutil
import subprocess

import pexpect
import pytest

from console import PROMPT, TIMEOUT
from images import BUILD, ROOT, Images, make, test_programs as program_names

COMPARED = ["polyvisor.elf", "BOOTX64.EFI", "monitor.elf", "polyvisor.img"]


def run(*command, **options):
    options = {"capture_output": True, "text": True, "stdin": subprocess.DEVNULL, "timeout": 300, **options}
    return subprocess.run([str(word) for word in command], check=False, **options)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


# ---- the images ----

def test_reproducible(tmp_path):
    """Two builds of one tree, in different places, with different settings of the user, are the same byte for byte."""
    one, two = tmp_path / "one", tmp_path / "a-longer" / "path" / "to" / "two"
    shutil.copytree(ROOT, one, ignore=lambda folder, names: ["build"] if folder == str(ROOT) else [], symlinks=True)
    shutil.copytree(one, two, symlinks=True)
    settings = {
        one: ({"TZ": "UTC", "LC_ALL": "C"}, "build", "-j2"),
        two: ({"TZ": "Asia/Tokyo", "LC_ALL": "C.UTF-8", "USER": "somebody", "HOME": str(tmp_path)}, "other/build", "-j1"),
    }
    digests = []
    for folder, (changes, build, jobs) in settings.items():
        # Each is its own repository; the owner of a copy may be another than that of the tree.
        environment = dict(os.environ, GIT_CONFIG_COUNT="1", GIT_CONFIG_KEY_0="safe.directory", GIT_CONFIG_VALUE_0="*",
                           **changes)
        for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "SOURCE_DATE_EPOCH", "BUILD"):
            environment.pop(name, None)
        targets = [f"{build}/{name}" for name in COMPARED]
        result = run("make", jobs, f"BUILD={build}", *targets, cwd=folder, env=environment, timeout=900,
                     umask=0o022 if folder == one else 0o077)
        assert result.returncode == 0, result.stdout + result.stderr
        digests.append({name: digest(folder / build / name) for name in COMPARED})
    assert digests[0] == digests[1]


def test_nothing_is_built_twice():
    """When all is built, make does nothing."""
    assert make("all") == ""


def disassembly(path):
    result = run("objdump", "-d", "--no-show-raw-insn", path)
    assert result.returncode == 0, result.stderr
    return result.stdout


def functions_with(listing, instruction):
    """Names of the functions that an instruction stands in, once for each time."""
    names, function = [], None
    for line in listing.splitlines():
        start = re.match(r"[0-9a-f]+ <(.+)>:$", line)
        if start:
            function = start[1]
        elif re.match(rf" *[0-9a-f]+:\s+{instruction}(\s|$)", line):
            names.append(function)
    return names


@pytest.fixture(scope="module")
def multiplexer():
    return disassembly(BUILD / "polyvisor.debug.elf")


def callers(listing, function):
    """Names of the functions that call a function, or jump there."""
    return set(functions_with(listing, rf"(call|jmp) +[0-9a-f]+ <{function}>"))


def test_vmx_operation_is_left_by_power_off_alone(multiplexer):
    """And by the baseline, a measurement of just that, which the configuration has to allow."""
    assert sorted(functions_with(multiplexer, "vmxoff")) == ["baseline_vmx_off_and_on", "vmx_disable"]
    assert sorted(functions_with(multiplexer, "vmxon")) == ["baseline_vmx_off_and_on", "vmx_enable"]
    assert callers(multiplexer, "vmx_disable") == {"stop_here", "stop_all"}
    assert callers(multiplexer, "stop_here") == {"run_stop", "stop_all", "machine_power_off"}
    assert callers(multiplexer, "stop_all") == {"machine_power_off", "machine_reboot"}
    assert callers(multiplexer, "baseline_vmx_off_and_on") == {"baseline_exit", "debug_baseline"}
    assert callers(multiplexer, "baseline_exit") == {"baseline_exit_entry"}


def test_vmxoff_hides_nowhere():
    """Its bytes are in no instruction's middle either, nor in data that could be executed."""
    code = BUILD / "polyvisor.code"
    assert run("objcopy", "-O", "binary", "--only-section=.text*", BUILD / "polyvisor.elf", code).returncode == 0
    assert code.read_bytes().count(b"\x0f\x01\xc4") == 2
    assert len(re.findall(r"\bvmxoff\b", disassembly(BUILD / "polyvisor.elf"))) == 2


def test_the_monitor_has_no_privileged_instructions():
    listing = disassembly(BUILD / "monitor.debug.elf")
    for instruction in ("vmxon", "vmxoff", "vmlaunch", "vmresume", "hlt", "cli", "sti", "wrmsr", "rdmsr"):
        assert functions_with(listing, instruction) == []
    assert functions_with(listing, "sysenter") and not functions_with(listing, "syscall")


def test_ring_0_leaves_the_fpu_alone(multiplexer):
    """It holds the state of the vcpu that was loaded last."""
    assert not re.search(r"%(xmm|ymm|zmm|mm|st)\d?\b", multiplexer)
    assert functions_with(multiplexer, "sysretq?") == []


@pytest.mark.parametrize("name", ["polyvisor.elf", "monitor.elf", "tests/hello.elf"])
def test_nothing_is_writable_and_executable(name):
    result = run("readelf", "-lW", BUILD / name)
    flags = re.findall(r"^  (?:LOAD|GNU_STACK) .* ([R ][W ][E ]) 0x\w+$", result.stdout, re.M)
    assert len(flags) >= 2
    for segment in flags:
        assert not ("W" in segment and "E" in segment), result.stdout


def test_every_test_program_is_used():
    """One that no test starts tests nothing."""
    users = [*(ROOT / "tests/system").glob("test_*.py"), ROOT / "tools/claims"]  # test_claims runs the latter
    texts = "\n".join(path.read_text() for path in users)
    for name in program_names():
        assert re.search(rf"\b{name}\b", texts), name


# ---- set-up ----

@pytest.mark.parametrize("group", ["build", "run", "test", "bochs", "linux", "peer"])
def test_setup_is_silent_when_all_is_there(group):
    result = run(ROOT / "tools/setup", group)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_setup_of_something_unknown():
    result = run(ROOT / "tools/setup", "everything")
    assert result.returncode == 2
    assert "tools/setup [build|run|test|bochs|linux|peer]" in result.stderr


def test_bochs_has_its_files():
    result = run(ROOT / "tools/bochs", "--share-dir")
    assert os.path.isfile(os.path.join(result.stdout.strip(), "BIOS-bochs-latest"))


# ---- install-esp ----

def install_esp(folder, *files, **options):
    files = files or (BUILD / "BOOTX64.EFI", BUILD / "polyvisor.elf", ROOT / "polyvisor.cfg", BUILD / "monitor.elf")
    return run(ROOT / "tools/install-esp", folder, *files, **options)


class TestInstallEsp:
    @pytest.fixture
    def esp(self, tmp_path):
        """A folder that findmnt takes for a mounted FAT partition: mounting is not allowed everywhere."""
        tools = tmp_path / "bin"
        tools.mkdir()
        (tools / "findmnt").write_text('#!/bin/sh\ncase "$*" in *FSTYPE*) echo vfat ;; *) echo /dev/sdz3 ;; esac\n')
        (tools / "findmnt").chmod(0o755)
        folder = tmp_path / "esp"
        folder.mkdir()
        self.environment = dict(os.environ, PATH=f"{tools}:{os.environ['PATH']}")
        return folder

    def test_copies_everything(self, esp):
        result = install_esp(esp, env=self.environment)
        assert result.returncode == 0, result.stderr
        folder = esp / "EFI/polyvisor"
        assert {path.name for path in folder.iterdir()} == {"polyvisor.efi", "polyvisor.elf", "polyvisor.cfg", "monitor.elf"}
        assert digest(folder / "polyvisor.efi") == digest(BUILD / "BOOTX64.EFI")
        assert digest(folder / "polyvisor.elf") == digest(BUILD / "polyvisor.elf")
        assert re.search(r"^    efibootmgr --create .* --loader '\\EFI\\polyvisor\\polyvisor.efi'$", result.stdout, re.M)

    def test_again(self, esp):
        """Nothing is copied that is there; a configuration of the user's is kept."""
        install_esp(esp, env=self.environment)
        result = install_esp(esp, env=self.environment)
        assert result.stdout.count("is there already") == 4
        (esp / "EFI/polyvisor/polyvisor.cfg").write_text("mine")
        result = install_esp(esp, env=self.environment)
        assert "kept as polyvisor.cfg.old" in result.stdout
        assert (esp / "EFI/polyvisor/polyvisor.cfg.old").read_text() == "mine"
        assert digest(esp / "EFI/polyvisor/polyvisor.cfg") == digest(ROOT / "polyvisor.cfg")

    def test_by_make(self, esp):
        make("install-esp", variables=[f"ESP={esp}"], environment=self.environment)
        assert (esp / "EFI/polyvisor/polyvisor.efi").is_file()

    def test_refusals(self, tmp_path, esp):
        assert "no such folder" in install_esp(tmp_path / "nowhere").stderr
        file = tmp_path / "file"
        file.touch()
        assert "is not a folder" in install_esp(file).stderr
        assert "is no mount point: mount the EFI system partition there first" in install_esp(esp).stderr
        assert "is a proc file system: an EFI system partition is FAT (vfat)" in install_esp("/proc").stderr
        assert "make install-esp ESP=/boot/efi" in install_esp("").stderr
        assert "nothing.elf: no such file" in install_esp(esp, "nothing.elf", env=self.environment).stderr
        assert not any(install_esp(folder).returncode == 0 for folder in (tmp_path / "nowhere", file, esp, "/proc", ""))
        assert list(esp.iterdir()) == []


# ---- tools/run ----

class TestRun:
    @pytest.fixture
    def runner(self, tmp_path):
        """tools/run in a terminal."""
        iso = Images(tmp_path).iso()
        child = pexpect.spawn("/usr/bin/python3", [str(ROOT / "tools/run"), "--emu", "tcg", "--boot", "grub", "--iso", str(iso),
                                                   "--cores", "1", "--mem", "256M"], timeout=TIMEOUT, cwd=str(ROOT))
        child.expect_exact(PROMPT)
        yield child
        child.close(force=True)

    def test_ends_with_the_machine(self, runner):
        runner.send("cores\r")
        runner.expect_exact("the processor has no VMX")
        runner.expect_exact(PROMPT)
        runner.send("poweroff\r")
        runner.expect_exact("all cores stopped: 0 VMXON, 0 VMXOFF")
        runner.expect(pexpect.EOF)
        runner.close()
        assert runner.exitstatus == 0

    def test_keys(self, runner):
        runner.send("\x01h")
        runner.expect_exact("Ctrl-A x leaves")
        runner.send("version\r")
        runner.expect("Polyvisor .*, ABI 1")
        runner.send("\x01x")
        runner.expect(pexpect.EOF)
        runner.close()
        assert runner.exitstatus == 0

    def test_what_cannot_be_started(self):
        result = run(ROOT / "tools/run", "--emu", "tcg", "--boot", "grub", "--iso", "nowhere.iso")
        assert result.returncode == 2
        assert "nowhere.iso does not exist" in result.stderr
