"""Polyvisor beside KVM, both measured here and now, in Bochs (docs/experiments.md). About a minute: SYSTEM_ARGS='-k "not
test_peer"' leaves it out, SYSTEM_ARGS='-k test_peer' runs nothing else."""
import os

import pytest

import images
import script  # tools/script.py

pytestmark = pytest.mark.xdist_group("peer")

peer = script.load("kvm-peer/peer")


@pytest.fixture(scope="module")
def measured(build):
    del build                           # polyvisor.elf, monitor.elf and bench.elf are up to date
    images.make(os.path.relpath(images.BUILD / "kvm-peer/init", images.ROOT))
    return peer.measure(str(images.BUILD))


def test_everything_is_measured(measured):
    pairs, _ = measured
    for pair in pairs:
        for result in (pair.polyvisor, pair.kvm):
            assert result.samples >= 1000, pair
            assert 0 < result.min <= result.median <= result.p99 <= result.max, pair


def test_a_switch_between_hypervisors_is_cheaper_than_between_vms_of_kvm(measured, record_property):
    """However KVM switches; even Polyvisor's slow ones, and even KVM's fastest."""
    pairs, _ = measured
    switches = [pair for pair in pairs if pair.section != peer.comparison.EXITS]
    assert len(switches) >= 3
    for pair in switches:
        record_property(f"ratio of {pair.what}", round(pair.ratio, 1))
        assert pair.polyvisor.p99 < pair.kvm.min, pair


def test_the_table_shows_the_version_of_linux(measured):
    pairs, version = measured
    assert version[0].isdigit()
    assert version in peer.output.table(pairs, version).splitlines()[0]
