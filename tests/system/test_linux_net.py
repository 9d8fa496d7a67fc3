"""Two Linux guests on a virtual switch: Debian's kernel and its driver, a core each."""
import re

import pytest

from images import MONITOR
from test_linux import BOOT_TIMEOUT, GUEST_PROMPT, Guest, linux, make_guest_files  # noqa: F401, the fixture

ARGUMENTS = "console=ttyS0 quiet cryptomgr.notests mitigations=off"
MEGABYTES = 4
LARGEST_SEGMENT = 1448                  # of TCP in a frame of 1514 bytes, with time stamps
LARGEST_PING = 1472
PORT = 5000
ADDRESSES = {"alice": "10.0.0.1", "bob": "10.0.0.2"}


def on_switch(text):
    """Gives the personality that linux() describes a port."""
    return text.replace("{ ", "{ net lan; ", 1)


def ports(shell):
    return {port["personality"]: port for port in shell.json("net")["ports"]}


def set_up(guest, name):
    """The network of a guest whose shell has come."""
    assert guest.run("cat /sys/class/net/eth0/address") == [f"02:50:56:00:00:0{1 + list(ADDRESSES).index(name)}"]
    assert guest.run("basename $(readlink /sys/class/net/eth0/device/driver)") == ["virtio_net"]
    assert guest.run(f"ifconfig eth0 {ADDRESSES[name]} netmask 255.255.255.0 && echo up")[-1] == "up"


@pytest.mark.timeout(1800)
def test_two_guests(boot, guest_files):  # noqa: F811
    """They find each other's address, ping each other, and copy a file over TCP."""
    config = MONITOR + "".join(on_switch(linux(name, str(core), "112M", ARGUMENTS)) for core, name in enumerate(ADDRESSES))
    shell = boot.grub(config, guest_files, cores=2, mem="512M")
    bob = Guest(shell, "bob")
    bob.wait_for_shell()
    set_up(bob, "bob")
    # The receiver's input must not end: nc would close the connection. It may listen by IPv6.
    bob.run(f"sleep 100000 | nc -l -p {PORT} > /tmp/copy &")
    assert bob.run(f"until grep -q ':{PORT:04X} ' /proc/net/tcp*; do sleep 1; done; echo listens")[-1] == "listens"
    bob.leave()

    alice = Guest(shell, "alice")
    alice.wait_for_shell()
    set_up(alice, "alice")
    for size in (0, LARGEST_PING):
        assert any(" 0% packet loss" in line for line in alice.run(f"ping -c 3 -s {size} {ADDRESSES['bob']}"))
    alice.run(f"dd if=/dev/urandom of=/tmp/file bs=64k count={16 * MEGABYTES}")
    digest = alice.run("md5sum /tmp/file")[-1].split()[0]
    assert re.fullmatch("[0-9a-f]{32}", digest)
    copied = alice.run(f"time nc {ADDRESSES['bob']} {PORT} < /tmp/file; echo code=$?")
    assert copied[-1] == "code=0", copied
    alice.leave()

    # What bob printed last is shown again: only what stands behind the mark is new.
    bob = Guest(shell, "bob")
    shell.expect("attached to bob")     # what is typed sooner goes to the monitor
    shell.send("echo mark-$((1))\n")
    shell.expect("mark-1", BOOT_TIMEOUT)
    shell.expect(GUEST_PROMPT, BOOT_TIMEOUT)
    assert any(" 0% packet loss" in line for line in bob.run(f"ping -c 3 {ADDRESSES['alice']}"))
    assert bob.run("wc -c < /tmp/copy")[-1].strip() == str(MEGABYTES << 20)
    assert bob.run("md5sum /tmp/copy")[-1].split()[0] == digest
    bob.check_log()
    bob.leave()
    shell.wait_until(lambda: all(port["waiting"] == 0 for port in ports(shell).values()), "every frame has been fetched")
    counters = ports(shell)
    for name, other in (("alice", "bob"), ("bob", "alice")):
        mine, others = counters[name], counters[other]
        assert mine["switch"] == "lan" and mine["up"] and mine["forged"] == 0
        # What was sent and did not come is accounted for.
        lost = mine["unknown"] + others["dropped"]
        assert mine["sent"] == others["received"] + lost
    assert counters["alice"]["sent"] > MEGABYTES * 2**20 // LARGEST_SEGMENT
    assert counters["bob"]["bytes_received"] > MEGABYTES << 20
    shell.power_off()
