"""Connecting to Ray: private by default, quick to refuse a wrong address, gone afterwards."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ray_jobs.cluster import connect
from ray_jobs.node_check import Expectation, require_fit
from synth.dataset import Dataset
from synth.errors import ConfigError, NodeUnfit
from synth.sample import DatasetConfig, ViewsConfig

PRIVATE = """
import os
from pathlib import Path
os.environ["RAY_ADDRESS"] = "127.0.0.1:1"  # another cluster that must not be joined
from ray_jobs.cluster import connect
import ray

def children():
    me = str(os.getpid())
    stats = [p.read_text().rpartition(")")[2].split() for p in Path("/proc").glob("[0-9]*/stat")]
    return sum(fields[1] == me and fields[0] not in "ZX" for fields in stats)

try:
    with connect(num_cpus=3) as cluster:
        assert cluster.local and cluster.cpus == 3, cluster
        assert children() > 0
        with connect("127.0.0.1:1") as inner:  # connected already: nothing is started or ended
            assert not inner.local
        assert ray.is_initialized()
        raise ZeroDivisionError
except ZeroDivisionError:
    assert not ray.is_initialized()
    assert children() == 0
"""


@pytest.mark.ray
def test_a_private_cluster_starts_quietly_and_ends_with_the_block():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PRIVATE], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert done.stderr == ""


def test_a_wrong_address_is_refused_at_once():
    with (
        pytest.raises(ConfigError, match=r"no Ray answers at 127.0.0.1:1.*ray start --head"),
        connect("127.0.0.1:1"),
    ):
        pass


@pytest.mark.parametrize("address", ["ray://head:10001", "http://head:8265"])
def test_a_driver_far_from_its_cluster_is_refused(address):
    with pytest.raises(ConfigError, match="from outside: headloom submit"), connect(address):
        pass


def test_a_machine_whose_mount_comes_back_is_fit_again(tmp_path):
    """Worker processes of Ray live longer than the five minutes that it is left alone."""
    config = DatasetConfig(heads=1, size=8, samples=1, views=ViewsConfig(random=0))
    expectation = Expectation.of(Dataset.create(tmp_path / "heads", config))
    (tmp_path / "heads").rename(tmp_path / "unmounted")
    for _ in range(2):
        with pytest.raises(NodeUnfit, match="all machines must share"):
            require_fit(expectation)
    (tmp_path / "unmounted").rename(tmp_path / "heads")
    require_fit(expectation)
    (tmp_path / "heads").rename(tmp_path / "unmounted")
    require_fit(expectation)  # once well, a process is not checked for every shard
