"""The faults a farm must survive, one test each; docs/faults.md is the table of all of them.

After each fault the same command runs again, in peace, and the dataset must equal the one that
never met a fault: every head once, every pixel, no unfinished file, no process left.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ray_jobs.cluster import connect
from ray_jobs.render import render_dataset
from synth.asset_store import AssetRecord, AssetStore
from synth.dataset import Dataset
from synth.dataset_report import verify
from synth.errors import DatasetMismatch, RecordError, RenderStopped
from synth.lock import exclusive
from synth.sample import DatasetConfig, ViewsConfig
from synth.sample_assets import AssetsConfig
from synth.sample_light import LightConfig
from synth.unfinished import is_stale, remove_stale_temporaries

_spec = importlib.util.spec_from_file_location(
    "headloom_test_farm", Path(__file__).with_name("farm.py")
)
farms = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = farms
_spec.loader.exec_module(farms)

CONFIG = DatasetConfig(heads=5, size=16, samples=1, heads_per_shard=2, views=ViewsConfig(random=0))
SCRATCH_BYTES = 64 * 2**20

pytestmark = pytest.mark.ray
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")


class Farm(farms.Farm):
    """A farm whose driver is this process, on the Ray of this module."""

    def __init__(self, directory: Path, temporary: Path, peace: dict):
        super().__init__(directory, CONFIG)
        self.temporary = temporary
        self.peace = peace

    def render(self, config: DatasetConfig = CONFIG, **options):
        """One run; `behaviour` is that of the stub."""
        command = options.pop("command", None) or farms.stub(**options.pop("behaviour", {}))
        options = {"memory_bytes": farms.MEMORY_BYTES, "quiet": True, **options}
        return render_dataset(config, self.out, command=command, **options)

    def check(self) -> None:
        super().check(self.peace)

    def finish_in_peace(self, **options):
        """Run again, without a fault, and check that nothing tells of the fault any more."""
        summary = self.render(**options)
        assert summary.failed == ()
        self.check()
        return summary


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    """Where the workers of the module's Ray keep their job directories; a small disk if we may."""
    path = tmp_path_factory.mktemp("scratch")
    if os.geteuid() != 0:
        yield path
        return
    with farms.small_disk(path, SCRATCH_BYTES):
        yield path


@pytest.fixture(scope="module")
def cluster(scratch):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(scratch))
        patch.setenv("RAY_TMPDIR", "/tmp")
        with connect(num_cpus=2) as info:
            yield info


@pytest.fixture(scope="module")
def peace(cluster, tmp_path_factory):
    """The pixels of the dataset that meets no fault."""
    out = tmp_path_factory.mktemp("peace") / "heads"
    render_dataset(CONFIG, out, command=farms.stub(), memory_bytes=farms.MEMORY_BYTES, quiet=True)
    return farms.pixels(out)


@pytest.fixture
def farm(tmp_path, scratch, peace):
    farm = Farm(tmp_path, scratch, peace)
    (tmp_path / "once").mkdir()
    yield farm
    farm.stop()


# ------------------------------------------------------------------------------------ kill -9


def test_killed_blender(farm, tmp_path):
    """The running driver renders its shard again and notices no more than a delay."""

    def kill() -> None:
        farms.wait_for(lambda: len(list(tmp_path.glob("once/hang-*"))) == 2)
        for blender in farm.workers():
            os.kill(blender, signal.SIGKILL)

    with farms.meanwhile(kill):
        summary = farm.render(behaviour={"hang": [0, 2], "once": str(tmp_path / "once")})
    assert (summary.rendered, summary.failed) == (5, ())
    farm.check()


def test_killed_ray_worker(farm, tmp_path):
    """Its Blender dies with it, by its death signal; the driver starts the task again."""

    def kill() -> None:
        farms.wait_for(lambda: list(tmp_path.glob("once/hang-*")))
        (blender,) = farm.workers()
        worker = farms.parent_of(blender)
        assert b"ray::" in Path(f"/proc/{worker}/cmdline").read_bytes()
        os.kill(worker, signal.SIGKILL)
        farms.wait_for(lambda: not farms.alive(blender), timeout_s=30.0)

    with farms.meanwhile(kill):
        summary = farm.render(behaviour={"hang": [0], "once": str(tmp_path / "once")}, workers=1)
    assert (summary.rendered, summary.failed) == (5, ())
    assert farm.status()["shards"]["retried"] == 1
    farm.check()


@pytest.mark.slow
def test_killed_driver(tmp_path, peace):
    """Nothing of it lives on; the next run renders what is missing and nothing that is there."""
    farm = farms.Farm(tmp_path, CONFIG)
    with farms.adopted_orphans():
        ours = farms.descendants()  # the Ray of this module
        try:
            for how in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
                once = tmp_path / how.name
                once.mkdir()
                worker = farms.stub(hang=[2], once=str(once))
                driver = farm.start("--workers", "1", command=worker)
                farms.wait_for(lambda once=once: list(once.iterdir()))
                driver.send_signal(how)
                assert driver.wait(150) == {"SIGKILL": -9, "SIGTERM": 143, "SIGINT": 130}[how.name]
                state = farm.status()["state"]
                assert state == ("running" if how == signal.SIGKILL else "interrupted")
                farms.wait_for(lambda: farms.reap(ours) or not farm.workers(), timeout_s=30.0)
            shards = farm.shards()
            assert list(shards) == ["shard-000000.tar"]
            farm.finish(farm.start("--workers", "2", command=farms.stub()))
            assert {name: farm.shards()[name] for name in shards} == shards
            farm.check(peace)
            # Ray's agents look for their parent every few seconds
            farms.wait_for(lambda: farms.none_left(but=ours), timeout_s=90.0)
        finally:
            farm.stop()


def test_unfinished_files_of_a_killed_driver(farm):
    """All of its places are cleared by the next run."""
    Dataset.create(farm.out, CONFIG)
    (farm.out / "rejects").mkdir()
    code = (
        "import pathlib, sys; from synth.unfinished import temporary_name\n"
        "for path in sys.argv[1:]:\n    pathlib.Path(path, temporary_name('dead')).touch()"
    )
    places = [str(farm.out), str(farm.out / "shards"), str(farm.out / "rejects")]
    leave = [sys.executable, "-c", code, *places]
    subprocess.run(leave, check=True, timeout=60)
    assert len(farm.unfinished()) == 3
    seen = farm.out.parent / "seen"  # by the first worker
    see = f"test -e {seen} || ls -A {' '.join(places)} > {seen}"
    command = ("sh", "-c", f'{see}; {shlex.join(leave)}; exec "$@"', "sh", *farms.stub())
    farm.render(command=command, workers=1)  # others like them come and go in that very run
    assert farm.unfinished() == []
    assert "dead" not in seen.read_text()
    farm.finish_in_peace()


# ----------------------------------------------------------------------- hangs, memory, full disks


def test_hang(farm, tmp_path):
    """Killed at the time limit and tried again."""
    summary = farm.render(behaviour={"hang": [2], "once": str(tmp_path / "once")}, timeout_s=5.0)
    assert (summary.rendered, summary.failed) == (5, ())
    farm.check()


@contextlib.contextmanager
def memory_cgroup(limit_bytes: int):
    """Directory of a group whose processes share this much memory; skips where that is not allowed.

    The kernel kills a process that wants more, as in a container.
    """
    group = Path(f"/sys/fs/cgroup/memory/headloom-test-{os.getpid()}")
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(limit_bytes))
    except OSError as error:
        pytest.skip(f"no memory cgroup (version 1) can be made here: {error}")
    try:
        yield group
    finally:
        farms.wait_for(lambda: not (group / "cgroup.procs").read_text(), timeout_s=20.0)
        group.rmdir()


def test_out_of_memory(farm, tmp_path):
    """The kernel kills the process; its shard is tried again."""
    worker = farms.stub(allocate=[2], once=str(tmp_path / "once"))
    with memory_cgroup(500_000_000) as group:
        enter = f'echo $$ > {group}/cgroup.procs && exec "$@"'
        summary = farm.render(command=("sh", "-c", enter, "sh", *worker))
    assert (summary.rendered, summary.failed) == (5, ())
    assert farm.status()["shards"]["retried"] == 1
    farm.check()


def test_a_head_that_wants_more_memory_than_its_pool_allows(farm):
    """The limit of the pool is kept by the task; the head is tried twice, then left out."""
    summary = farm.render(behaviour={"allocate": [2]})
    (failure,) = summary.failed
    assert (failure.index, failure.attempts, summary.rendered) == (2, 3, 4)
    assert f"out of memory in head {failure.spec_id}" in failure.message
    assert "it may allocate 4.00 GB" in failure.message
    farm.finish_in_peace(retry_failed=True)


@needs_root
def test_disk_full_in_the_middle_of_a_shard(farm):
    """Nothing half is left, what was there stays, and the run says why it failed."""
    with farms.small_disk(farm.out, 2**20):
        Dataset.create(farm.out, CONFIG)
        with farms.filled(farm.out, leave_bytes=70_000):
            # the shards, or what the driver itself had to write
            with pytest.raises((RenderStopped, OSError), match="No space left on device"):
                farm.render()
            assert list((farm.out / "shards").glob(".*")) == []
        farm.finish_in_peace()


@needs_root
def test_disk_full_where_the_workers_keep_their_jobs(farm, scratch):
    """A full /tmp of a machine: no shard can be rendered there, none is damaged."""
    # what earlier tests killed lies there until the next worker starts, which would make room
    farms.wait_for(lambda: all(map(is_stale, scratch.glob(".headloom-render.*.tmp"))))
    remove_stale_temporaries(scratch)
    with farms.filled(scratch):
        summary = farm.render()
    assert summary.failed
    assert all("No space left on device" in failure.message for failure in summary.failed)
    farm.finish_in_peace()


# -------------------------------------------------------------------------------- damaged shards


def test_truncated_shard(farm):
    """Found when the dataset is planned, put aside, rendered again."""
    farm.render()
    shard = farm.out / "shards" / "shard-000001.tar"
    damaged = shard.read_bytes()[:-1]
    shard.write_bytes(damaged)
    assert farm.finish_in_peace().rendered == 2
    (kept,) = (farm.out / "quarantine").iterdir()
    assert kept.read_bytes() == damaged


def test_flipped_bit(farm):
    """Planning reads no pixels and cannot see it; `verify` does, and `repair` puts it aside."""
    farm.render()
    shard = farm.out / "shards" / "shard-000001.tar"
    data = bytearray(shard.read_bytes())
    data[data.index(b"\x89PNG") + 60] ^= 4
    shard.write_bytes(data)
    assert farm.render().rendered == 0
    verified = farm.dataset_command("verify")
    assert verified.returncode == 1
    assert "shard-000001.tar: member " in verified.stdout
    assert farm.dataset_command("repair").returncode == 0
    assert farm.finish_in_peace().rendered == 2
    (kept,) = (farm.out / "quarantine").iterdir()
    assert kept.read_bytes() == data


# --------------------------------------------------------------------- faults that no retry mends


def test_head_that_always_crashes(farm):
    """It is left out after its second crash; its shard-mate is there."""
    summary = farm.render(behaviour={"crash": [2]})
    (failure,) = summary.failed
    assert (failure.index, failure.error, failure.attempts) == (2, "RenderCrashed", 3)
    assert "about to crash" in failure.log_tail
    assert set(farms.pixels(farm.out)) == {0, 1, 3, 4}
    assert farm.render().rendered == 0  # it stays failed until it is asked for
    farm.finish_in_peace(retry_failed=True)


def test_error_that_cycles_only_prints(farm):
    """The picture would be wrong, so there is none."""
    summary = farm.render(behaviour={"print": {"2": "Error: Shader graph: out of SVM stack"}})
    (failure,) = summary.failed
    assert (failure.index, failure.error) == (2, "RenderError")
    assert "Blender reported: Error: Shader graph: out of SVM stack" in failure.message
    farm.finish_in_peace(retry_failed=True)


class AssetFarm(Farm):
    """Its heads are lit by a map of a user, which its workers check as Blender's builders do.

    Args:
        directory: an empty one.
    """

    def __init__(self, directory: Path, temporary: Path):
        super().__init__(directory, temporary, {})
        (directory / "dawn.exr").write_bytes(b"map")
        store = AssetStore(directory / "store")
        record = AssetRecord("own:dawn", "hdri", "dawn.exr", (), "CC0-1.0")
        store.add(record, {"dawn.exr": directory / "dawn.exr"})
        (self.map,) = (directory / "store").rglob("dawn.exr")
        self.config = dataclasses.replace(
            CONFIG,
            light=LightConfig(kinds={"hdri": 1}, hdris={"own:dawn": 1.0}),
            assets=AssetsConfig(store=store.root),
        )
        self.starts = directory / "starts"

    def render(self, config: DatasetConfig | None = None, **options):
        count = ("sh", "-c", f'echo >> {self.starts}; exec "$@"', "sh", *farms.stub(assets=1))
        return super().render(config or self.config, command=count, **options)

    def fails(self) -> str:
        """Render with something wrong: every shard is tried once, and says the same."""
        failed = self.render().failed
        assert [failure.error for failure in failed] == ["AssetError"] * 3
        assert len(self.starts.read_text().splitlines()) == 3
        return failed[0].message


@pytest.fixture
def asset_farm(tmp_path, cluster, scratch):
    farm = AssetFarm(tmp_path, scratch)
    yield farm
    farm.stop()


def test_missing_asset(asset_farm):
    data = asset_farm.map.read_bytes()
    asset_farm.map.unlink()
    message = asset_farm.fails()
    assert "own:dawn" in message
    assert str(asset_farm.map) in message
    asset_farm.map.write_bytes(data)
    assert asset_farm.render().failed == ()
    assert verify(Dataset.open(asset_farm.out)).ok


def test_changed_asset(asset_farm):
    data = asset_farm.map.read_bytes()
    asset_farm.map.write_bytes(b"pam")
    assert "own:dawn" in asset_farm.fails()
    asset_farm.map.write_bytes(data)
    assert asset_farm.render().failed == ()
    assert verify(Dataset.open(asset_farm.out)).ok


def test_two_drivers(farm):
    """The second is refused while the first works, and says who that is."""
    with exclusive(farm.out), pytest.raises(RecordError, match=f"pid {os.getpid()} on "):
        farm.render()
    farm.finish_in_peace()


def test_changed_configuration(farm):
    farm.render()
    other = dataclasses.replace(CONFIG, samples=2)
    with pytest.raises(DatasetMismatch, match="samples: 1 in the dataset, 2 given"):
        farm.render(other)
    assert farm.finish_in_peace().rendered == 0
