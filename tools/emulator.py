"""Starts Bochs or QEMU on a Polyvisor image, with the guest's first serial port as a socket.

    with Machine(emu="bochs", boot="efi", cores=2) as machine:
        console = pexpect.fdpexpect.fdspawn(machine.fd)
        console.expect("polyvisor> ")

A machine is started and stopped once. Its configuration, logs and temporary disks are in a folder of its own,
build/run/NAME; images are never written to, so that several machines can share one. At most as many emulators run at
once, in the whole computer, as it has processors (or POLYVISOR_EMULATORS says); further ones wait for their turn.
An emulator dies with the process that started it.
"""
import concurrent.futures
import contextlib
import fcntl
import functools
import glob
import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import gdbline

TOOLS = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(TOOLS)
BUILD = os.path.join(ROOT, "build")
BOCHS = os.path.join(TOOLS, "bochs")

EMULATORS = ("bochs", "tcg", "kvm")
# QEMU's own `max` calls itself AMD's, and those have no SYSENTER in 64-bit mode.
DEFAULT_CPU = {"bochs": "corei7_skylake_x", "tcg": "max,vendor=GenuineIntel", "kvm": "host,+vmx"}
# Simulated instructions per second, the rate of the guest's clock. A lower rate shortens, in real time, every wait of
# the guest for a clock or for its serial line; but at too low a rate it spends its time in timer interrupts.
BOCHS_IPS = 50_000_000
LOG_MIB = 256                           # a log that grows beyond ends the emulator: it would fill the disk
LOG_READ = 4 << 20                      # bytes of a log that are looked at, from its beginning and from its end
BOCHS_HOST_MIB = 2048                   # its limit for memory held in memory; the rest goes into a file
OVMF_BOCHS = "/usr/share/ovmf/OVMF.fd"
OVMF_CODE = "/usr/share/OVMF/OVMF_CODE_4M.fd"
OVMF_VARS = "/usr/share/OVMF/OVMF_VARS_4M.fd"
KEPT_RUNS = 40                          # folders of finished runs that stay for a post-mortem
CONNECT_SECONDS = 180                   # Bochs takes 40 s for more memory than BOCHS_HOST_MIB before it connects
# Names in the folder of a run, which is the emulator's working folder.
LOG, DISK, CD, VARIABLES = "emulator.log", "disk.img", "cd.iso", "vars.fd"
# How Bochs ends when a guest writes `Shutdown` to port 0x8900, or switches off by ACPI.
SHUTDOWN_PANIC = re.compile(r">>PANIC<<.*(shutdown requested|soft power off)")


class EmulatorError(Exception):
    """The machine cannot be started; the text says what is wrong and what to do."""


def parse_size(text):
    """Memory size in MiB: '512M', '2G', '1024' or a number."""
    match = re.fullmatch(r"(\d+)([MG]?)", str(text).upper())
    if not match:
        raise EmulatorError(f"'{text}' is not a memory size: expected something like 512M or 2G")
    return int(match[1]) * (1024 if match[2] == "G" else 1)


def nested_kvm_problem():
    """Why QEMU/KVM cannot show VMX to its guest here, or None if it can. That /dev/kvm exists proves nothing."""
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        if not re.search(r"^flags\s*:.*\bvmx\b", file.read(), re.MULTILINE):
            return "this processor shows no VMX"
    try:
        with open("/sys/module/kvm_intel/parameters/nested", encoding="ascii") as file:
            if file.read().strip() not in ("1", "Y"):
                return "kvm_intel has nested VMX switched off"
    except OSError:
        return "kvm_intel is not loaded"
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "/dev/kvm cannot be opened"
    return None


class Slot:
    """One of the places in the computer for a running emulator: a locked file, freed by whatever ends this process.

    Who waits stands in a queue, a lock that the kernel hands on in order: programs that start one emulator after another
    would otherwise leave nothing to those that want a single one."""

    def __init__(self, notify=None):
        self.fd = None
        count = int(os.environ.get("POLYVISOR_EMULATORS") or os.cpu_count() or 1)
        folder = os.path.join(tempfile.gettempdir(), "polyvisor-emulators")
        self._make_folder(folder)
        places = [os.path.join(folder, str(number)) for number in range(count)]
        queue = self._open(os.path.join(folder, "queue"))
        try:
            if not self._lock_now(queue) or not any(map(self._try_lock, places)):
                if notify:
                    notify(f"waiting: {count} emulators are running already")
                fcntl.flock(queue, fcntl.LOCK_EX)
                while not any(map(self._try_lock, places)):
                    time.sleep(0.1)
        finally:
            os.close(queue)

    @staticmethod
    def _make_folder(folder):
        """Open to all users, like the folder for temporary files that it is in."""
        try:
            os.mkdir(folder)
            os.chmod(folder, 0o1777)
        except FileExistsError:
            pass

    @staticmethod
    def _open(path):
        try:
            return os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CREAT, 0o644)

    @staticmethod
    def _lock_now(fd):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _try_lock(self, path):
        fd = self._open(path)
        if self._lock_now(fd):
            self.fd = fd
            return True
        os.close(fd)
        return False

    def release(self):
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None


# The kernel ends a child with the *thread* that started it, so all are started by one that lives as long as Python.
_spawner = concurrent.futures.ThreadPoolExecutor(max_workers=1)
_run_numbers = itertools.count(1)


def _prune_runs(folder):
    """Removes the oldest folders of processes that are gone."""
    runs = sorted(glob.glob(os.path.join(glob.escape(folder), "*-*-*")), key=os.path.getmtime)
    for run in runs[:-KEPT_RUNS]:
        if not os.path.exists(f"/proc/{run.rsplit('-', 2)[1]}"):
            shutil.rmtree(run, ignore_errors=True)


@functools.lru_cache(maxsize=None)
def ensure_bochs():
    """Fetches Bochs where it is missing."""
    if subprocess.run([BOCHS, "--share-dir"], stdout=subprocess.DEVNULL, check=False).returncode:
        raise EmulatorError("Bochs 3.0 could not be set up: see above")


def bochs_is_corrected():
    """Whether it is the one of tools/build-bochs: Debian's own has flaws that Linux guests meet (docs/building.md)."""
    return subprocess.run([BOCHS, "--corrected"], stdin=subprocess.DEVNULL, check=False).returncode == 0


class Machine:
    """One emulated computer.

    emu         'bochs', 'tcg' (QEMU without VMX) or 'kvm' (QEMU with nested VMX)
    boot        'efi': the disk image, from OVMF; 'grub': the ISO, from a BIOS. Says what the next three leave open:
    image, iso  paths of a disk and of a CD; the CD is booted if there is one
    firmware    'ovmf' or 'bios'
    cores, mem  number of processors; memory such as '512M' or '6G'
    cpu_model   of the emulator in question, see DEFAULT_CPU
    machine     of QEMU: 'q35' or 'pc'
    reboot      False: QEMU ends when the guest resets (Bochs cannot)
    ips         of Bochs: see BOCHS_IPS
    config      more lines for the bochsrc, they override earlier ones; or more arguments for QEMU
    gdb_port    None, or the TCP port that is to be COM2, 0: a free one; then the attribute tells which
    name        first part of the name of the run's folder
    notify      called with a line of text when there is something to tell, such as a wait
    """

    def __init__(self, emu="bochs", boot="efi", *, image=None, iso=None, firmware=None, cores=4, mem="1G",
                 cpu_model=None, machine="q35", reboot=True, ips=BOCHS_IPS, config=(), name=None, run_root=None,
                 notify=None, gdb_port=None):
        if emu not in EMULATORS:
            raise EmulatorError(f"'{emu}' is not an emulator: expected one of {', '.join(EMULATORS)}")
        if boot not in ("efi", "grub"):
            raise EmulatorError(f"'{boot}' is not a boot path: expected efi or grub")
        if not image and not iso:
            image = os.path.join(BUILD, "polyvisor.img") if boot == "efi" else None
            iso = os.path.join(BUILD, "polyvisor.iso") if boot == "grub" else None
        self.emu, self.cores, self.mem = emu, int(cores), parse_size(mem)
        self.image, self.iso = image and os.path.abspath(image), iso and os.path.abspath(iso)
        self.firmware = firmware or ("ovmf" if boot == "efi" else "bios")
        self.cpu_model = cpu_model or DEFAULT_CPU[emu]
        self.machine, self.reboot, self.ips, self.config = machine, reboot, ips, list(config)
        self.name = f"{name or emu}-{os.getpid()}-{next(_run_numbers)}"
        self.folder = os.path.join(run_root or os.path.join(BUILD, "run"), self.name)
        self.log_path = os.path.join(self.folder, LOG)
        self.output_path = os.path.join(self.folder, "output.txt")
        self.notify = notify
        self.socket = self.process = self.slot = self.gdb_line = None
        self.gdb_port = gdb_port
        self.start_time = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    # ---- life ----

    def start(self):
        """Starts the emulator, when there is room for it, and returns self with the serial line connected."""
        self._check_files()
        if self.emu == "bochs":
            ensure_bochs()
        _prune_runs(os.path.dirname(self.folder))
        self._make_folder()
        self.slot = Slot(self.notify)
        try:
            self.start_time = time.monotonic()
            if self.gdb_port is not None:
                self.gdb_line = gdbline.GdbLine(self.gdb_port)
                self.gdb_port = self.gdb_line.port
            if self.emu == "bochs":
                self._start_bochs()
            else:
                self._start_qemu()
        except BaseException:
            self.stop()
            raise
        return self

    @property
    def fd(self):
        """The serial line's file descriptor."""
        return self.socket.fileno()

    @property
    def returncode(self):
        """None while the emulator runs; 0 after an orderly end, such as the guest's power-off."""
        status = self.process.poll() if self.process else None
        if status and self.emu == "bochs" and self._shut_down_by_guest():
            return 0
        return status

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def wait(self, timeout=None):
        """Waits until the emulator has ended; returns returncode, or raises subprocess.TimeoutExpired."""
        self.process.wait(timeout)
        return self.returncode

    def stop(self):
        """Ends the emulator if it still runs, and frees what it held. May be called again."""
        if self.process:
            if self.process.poll() is None:
                # Bochs takes no notice of gentler signals. The emulator leads its own process group.
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        if self.socket:
            self.socket.close()
        if self.gdb_line:
            self.gdb_line.close()
            self.gdb_line = None
        if self.slot:
            self.slot.release()
        for pattern in (DISK + ".*", VARIABLES):    # not the links: the folder stays good for a run by hand
            for path in glob.glob(os.path.join(glob.escape(self.folder), pattern)):
                os.unlink(path)

    # ---- what it left behind ----

    def log_lines(self):
        """What the emulator reported, without the middle of what is very long."""
        lines = []
        for path in (self.log_path, self.output_path):
            if os.path.exists(path):
                with open(path, "rb") as file:
                    text = file.read(LOG_READ)
                    rest = os.fstat(file.fileno()).st_size - len(text)
                    if rest > LOG_READ:
                        file.seek(-LOG_READ, os.SEEK_END)
                        text += b"\n...\n"
                    text += file.read()
                lines += text.decode(errors="replace").splitlines()
        return lines

    def vmfail_lines(self):
        """The lines of Bochs' log that say why a VM entry failed."""
        return [line for line in self.log_lines() if "VMFAIL" in line]

    def alarming_lines(self):
        """Failed VM entries and panics of the emulator, as by a triple fault: what a user should see after a run."""
        alarming = re.compile(r"VMFAIL|>>PANIC<<|^qemu-system|KVM internal error")
        return [line for line in self.log_lines() if alarming.search(line) and not SHUTDOWN_PANIC.search(line)]

    def _shut_down_by_guest(self):
        return any(SHUTDOWN_PANIC.search(line) for line in self.log_lines())

    # ---- starting ----

    def _check_files(self):
        for path in filter(None, (self.image, self.iso)):
            if not os.path.isfile(path):
                raise EmulatorError(f"{path} does not exist" + (": run make" if path.startswith(BUILD) else ""))
        if self.firmware == "ovmf":
            for path in (OVMF_BOCHS,) if self.emu == "bochs" else (OVMF_CODE, OVMF_VARS):
                if not os.path.exists(path):
                    raise EmulatorError(f"{path} does not exist: run tools/setup run")

    def _make_folder(self):
        """The run's folder, with links to the images: emulators have trouble with unusual characters in a path, and
        Bochs makes a lock file beside a disk, which stays when it is killed and keeps others from the disk."""
        os.makedirs(self.folder)
        for target, link in ((self.image, DISK), (self.iso, CD)):
            if target:
                os.symlink(target, os.path.join(self.folder, link))

    def _spawn(self, command, **options):
        """Starts a command that dies with this process, in a process group of its own, without a terminal."""
        limit = (LOG_MIB + self.mem) << 20      # memory may be in a file too
        command = ["setpriv", "--pdeathsig", "KILL", "--", "prlimit", f"--fsize={limit}", "--", *command]
        environment = dict(os.environ, TERM="vt100")
        with open(self.output_path, "wb") as output:
            self.process = _spawner.submit(
                subprocess.Popen, command, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True, **options).result()

    def _failed_to_start(self):
        lines = self.alarming_lines() or self.log_lines()[-5:]
        where = f"all of its output is in {self.folder}"
        return EmulatorError("\n".join([f"{self.emu} did not start:", *lines, where]))

    def _start_bochs(self):
        """Bochs connects to us, so there is no race for a free port."""
        with contextlib.ExitStack() as stack:
            servers = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2 if self.gdb_line else 1)]
            with open(os.path.join(self.folder, "bochsrc"), "w", encoding="utf-8") as file:
                file.write("\n".join(self._bochs_config(*(server.getsockname()[1] for server in servers)) + [""]))
            self._spawn([BOCHS, "-f", "bochsrc"])
            lines = [self._accept(server) for server in servers]
        self.socket = lines[0]
        if self.gdb_line:
            self.gdb_line.serve(lines[1])

    def _accept(self, server):
        """The serial line that Bochs connects to a server."""
        server.settimeout(0.1)
        deadline = time.monotonic() + CONNECT_SECONDS
        while True:
            try:
                line = server.accept()[0]
                line.setblocking(True)
                return line
            except TimeoutError:
                if not self.running or time.monotonic() > deadline:
                    raise self._failed_to_start() from None

    def _bochs_config(self, port, gdb_port=None):
        lines = [
            f"log: {LOG}",
            "panic: action=fatal", "error: action=report", "info: action=ignore", "debug: action=ignore",
            f"memory: guest={self.mem}, host={min(self.mem, BOCHS_HOST_MIB)}",
            # Any triple fault is a bug of ours, so it must be seen: no quiet reset.
            f"cpu: model={self.cpu_model}, count={self.cores}, ips={self.ips}, reset_on_triple_fault=0, "
            # Nor may an MSR that does not exist be read unnoticed; but OVMF reads one that Bochs lacks (0x17).
            f"ignore_bad_msrs={int(self.firmware == 'ovmf')}",
            "clock: sync=none",         # repeatable: time is what was executed
            "vgaromimage: file=$BXSHARE/VGABIOS-lgpl-latest",
            "vga: extension=none",      # Bochs panics in the graphics modes that GRUB would choose
            f"com1: enabled=1, mode=socket-client, dev=127.0.0.1:{port}",
            f"boot: {'cdrom' if self.iso else 'disk'}",
        ]
        if gdb_port:
            lines.append(f"com2: enabled=1, mode=socket-client, dev=127.0.0.1:{gdb_port}")
        if self.firmware == "ovmf":
            lines.append(f"romimage: file={OVMF_BOCHS}, address=0x0, options=none")
        else:
            lines.append("romimage: file=$BXSHARE/BIOS-bochs-latest, options=fastboot")
        if self.image:
            lines.append(f"ata0-master: type=disk, path={DISK}, mode=volatile")
        if self.iso:
            lines.append(f"ata1-master: type=cdrom, path={CD}, status=inserted")
        return lines + self.config

    def _start_qemu(self):
        program = shutil.which("qemu-system-x86_64")
        if not program:
            raise EmulatorError("qemu-system-x86_64 is not installed: run tools/setup run")
        pairs = [socket.socketpair() for _ in range(2 if self.gdb_line else 1)]
        self.socket = pairs[0][0]
        if self.gdb_line:
            self.gdb_line.serve(pairs[1][0])
        others = [pair[1].fileno() for pair in pairs]
        try:
            self._spawn([program, *self._qemu_arguments(*others)], pass_fds=others)
        finally:
            for _, other in pairs:
                other.close()

    def _qemu_arguments(self, serial_fd, gdb_fd=None):
        arguments = [
            "-nodefaults", "-display", "none", "-vga", "std", "-machine", self.machine, "-cpu", self.cpu_model,
            "-accel", self.emu, "-smp", str(self.cores), "-m", str(self.mem),
            "-chardev", f"socket,id=com1,fd={serial_fd}", "-serial", "chardev:com1",
            "-boot", "d" if self.iso else "c", "-D", LOG,
        ]
        if gdb_fd is not None:
            arguments += ["-chardev", f"socket,id=com2,fd={gdb_fd}", "-serial", "chardev:com2"]
        if not self.reboot:
            arguments.append("-no-reboot")
        if self.firmware == "ovmf":
            shutil.copyfile(OVMF_VARS, os.path.join(self.folder, VARIABLES))
            arguments += ["-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={OVMF_CODE}",
                          "-drive", f"if=pflash,format=raw,unit=1,file={VARIABLES}"]
        if self.image:
            arguments += ["-drive", f"format=raw,snapshot=on,media=disk,index=0,file={DISK}"]
        if self.iso:
            arguments += ["-drive", f"format=raw,readonly=on,media=cdrom,index=2,file={CD}"]
        return arguments + self.config
