"""The worker protocol with real processes, and a stand-in for Blender inside them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from synth import launch, worker_process
from synth.errors import (
    AssetError,
    DatasetMismatch,
    RecordCorrupt,
    RenderCrashed,
    RenderError,
    RenderInvalid,
    RenderTimeout,
)
from synth.quality import QualityConfig
from synth.record import ShardReader
from synth.sample import DatasetConfig, ViewsConfig, sample_head
from synth.unfinished import scratch_directory
from synth.worker_process import Progress, job_directory

STUB = Path(__file__).with_name("stub_worker.py")
CONFIG = DatasetConfig(size=16, samples=1, views=ViewsConfig(random=0))
SPECS = [sample_head(CONFIG, index) for index in range(3)]


def stub(**behaviour) -> tuple[str, ...]:
    return (sys.executable, str(STUB), json.dumps(behaviour))


def processes_with(token: str) -> list[int]:
    """Pids of living processes whose command line contains the token, but not our own children."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            zombie = (entry / "stat").read_text().rpartition(")")[2].split()[0] in "ZX"
            if not zombie and token.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


def wait_for(condition, timeout_s: float = 20.0):
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise TimeoutError(f"nothing after {timeout_s} s")


@pytest.fixture
def out(tmp_path, monkeypatch):
    """A shard path in an empty directory; the job directories go beside it and must go away."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "shards").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "jobs"))
    yield tmp_path / "shards" / "shard-000000.tar"
    assert list((tmp_path / "jobs").iterdir()) == []
    assert not list((tmp_path / "shards").glob(".*"))


def test_a_shard_is_rendered_and_measured(out):
    ballast = np.ones(50_000_000)  # a large parent must not count as memory of the worker
    result = launch.render_shard(SPECS, out, command=stub(sleep_s=0.05), dataset_id="abc")
    assert result.spec_ids == tuple(spec.spec_id for spec in SPECS)
    assert result.head_count == len(result.head_s) == 3
    assert all(0.05 <= seconds < 5 for seconds in result.head_s)
    assert result.wall_s > sum(result.head_s)
    assert 0.05 < result.cpu_s < 2 * result.wall_s
    assert result.absent == ()
    assert 10e6 < result.peak_rss_bytes < ballast.nbytes
    reader = ShardReader(out)
    reader.verify()
    assert reader.footer.dataset_id == "abc"
    meta = reader.heads()[0].meta
    assert meta["device"] == "CPU"
    assert meta["node"] == result.node == socket.gethostname()
    assert meta["timings_s"]["head_s"] == result.head_s[0]
    assert meta["versions"]["bpy"].startswith("4.5")


def test_a_committed_shard_is_left_alone(out):
    launch.render_shard(SPECS, out, command=stub())
    before = out.stat().st_mtime_ns
    result = launch.render_shard(SPECS, out, command=("/bin/false",))
    assert result.wall_s == 0
    assert out.stat().st_mtime_ns == before


def members(path: Path) -> dict[str, str]:
    """SHA-256 by name of all that a shard holds of its heads."""
    heads = ShardReader(path).heads()
    return {f"{head.spec_id}.{k}": m.sha256 for head in heads for k, m in head.members.items()}


def test_a_shard_is_replaced_only_by_more_heads(out):
    """What is in it is not rendered again: it could only be lost by that."""
    launch.render_shard([SPECS[0], SPECS[2]], out, command=stub(), dataset_id="abc")
    before = out.read_bytes()
    with pytest.raises(RenderCrashed):
        launch.render_shard(SPECS, out, command=stub(crash=[1]))
    assert out.read_bytes() == before
    kept = members(out)
    result = launch.render_shard(SPECS, out, command=stub(crash=[0, 2]), dataset_id="abc")
    assert (result.head_count, len(result.head_s), result.absent) == (3, 1, ())
    reader = ShardReader(out)
    reader.verify()
    assert (reader.footer.indices, reader.footer.dataset_id) == ((0, 1, 2), "abc")
    assert kept.items() < members(out).items()  # timings included
    with pytest.raises(DatasetMismatch, match="would be replaced by"):
        launch.render_shard(SPECS[:2], out, command=stub())
    out.write_bytes(b"x" * 5000)
    with pytest.raises(RecordCorrupt, match=r"shard-000000.tar"):
        launch.render_shard(SPECS, out, command=stub())


def test_a_crash_in_the_middle_keeps_nothing(out):
    with pytest.raises(RenderCrashed, match="signal 11") as caught:
        launch.render_shard(SPECS, out, command=stub(crash=[1]))
    assert caught.value.retryable
    assert caught.value.exit_code == -signal.SIGSEGV
    assert "about to crash" in caught.value.log_tail
    assert "stub_worker.py" in caught.value.log_tail  # where, by faulthandler
    assert caught.value.spec_id == SPECS[1].spec_id
    assert list(out.parent.iterdir()) == []


def test_a_head_is_not_blamed_for_a_kill_from_outside(out):
    with pytest.raises(RenderCrashed, match=f"in head {SPECS[1].spec_id} .ended by signal 9: some"):
        launch.render_shard(SPECS, out, command=stub(kill=[1]))
    with pytest.raises(RenderCrashed) as caught:
        launch.render_shard(SPECS, out, command=stub(kill=[1]))
    assert caught.value.spec_id is None


def test_a_crash_may_be_repaired_by_a_retry(out, tmp_path):
    (tmp_path / "once").mkdir()
    command = stub(crash=[1], once=str(tmp_path / "once"))
    with pytest.raises(RenderCrashed):
        launch.render_shard(SPECS, out, command=command)
    assert launch.render_shard(SPECS, out, command=command).head_count == 3


def test_a_hanging_worker_is_killed(out):
    token = uuid.uuid4().hex
    started = time.monotonic()
    with pytest.raises(RenderTimeout, match="killed after 5 s") as caught:
        launch.render_shard(SPECS, out, command=stub(hang=[2], token=token), timeout_s=5.0)
    assert time.monotonic() - started < 60  # it would hang for ten minutes
    assert processes_with(token) == []
    assert caught.value.retryable
    assert caught.value.spec_id == SPECS[2].spec_id
    assert f"in head {SPECS[2].spec_id}, 2 heads done" in str(caught.value)


ERRORS = [
    ("invalid", RenderInvalid, "is black"),
    ("bug", RenderError, "KeyError at stub_worker.py:"),
    ("Error: Shader stack", RenderError, "Blender reported: Error: Shader"),
    ("Could not load a.png", AssetError, "Could not load a.png"),
]
MACHINE_ERRORS = [
    ("disk_full", RenderCrashed, "No space left on device"),
    ("lost_file", RenderCrashed, "/nowhere/hair.npz"),
    ("CUDA out of memory", RenderCrashed, "out of memory"),
    ("Illegal address in CUDA queue copy_from_device", RenderCrashed, "Illegal address"),
]


def failing(what: str, indices: list[int]) -> tuple[str, ...]:
    """A stub in which heads fail in one way, or print a text."""
    if " " in what:
        return stub(print={str(index): what for index in indices})
    return stub(**{what: indices})


@pytest.mark.parametrize(("what", "error", "message"), ERRORS)
def test_a_bad_head_costs_no_other(out, what, error, message):
    result = launch.render_shard(SPECS, out, command=failing(what, [1]))
    assert result.spec_ids == (SPECS[0].spec_id, SPECS[2].spec_id)
    assert len(result.head_s) == 2
    (absent,) = result.absent
    assert (absent.index, absent.spec_id, absent.kind) == (1, SPECS[1].spec_id, "failed")
    assert absent.reason.startswith(f"{error.__name__}: ") and message in absent.reason
    reader = ShardReader(out)
    reader.verify()
    assert reader.footer.absent == result.absent
    assert launch.render_shard(SPECS, out, command=("/bin/false",)).absent == result.absent


@pytest.mark.parametrize(("what", "error", "message"), ERRORS)
def test_if_every_head_fails_the_shard_does(out, what, error, message):
    """Then the machine or the configuration is at fault, and a dataset must not fill with gaps."""
    with pytest.raises(error, match=message) as caught:
        launch.render_shard(SPECS, out, command=failing(what, [0, 1, 2]))
    assert type(caught.value) is error
    assert caught.value.spec_id == SPECS[0].spec_id
    assert str(caught.value).startswith("shard-000000.tar: ")
    assert SPECS[0].spec_id in str(caught.value)
    assert "Traceback" in caught.value.log_tail
    assert list(out.parent.iterdir()) == []


@pytest.mark.parametrize(("what", "error", "message"), MACHINE_ERRORS)
def test_an_error_of_the_machine_ends_the_shard(out, what, error, message):
    with pytest.raises(error, match=message) as caught:
        launch.render_shard(SPECS, out, command=failing(what, [1]))
    assert caught.value.retryable
    assert caught.value.spec_id == (None if what == "disk_full" else SPECS[1].spec_id)
    assert list(out.parent.iterdir()) == []


def test_a_head_that_wants_too_much_memory_is_told_from_the_machine(out):
    limited = {"memory_limit_bytes": 1_500_000_000}
    with pytest.raises(RenderCrashed, match=r"out of memory in .*may allocate 1.50 GB") as e:
        launch.render_shard(SPECS, out, command=stub(allocate=[1]), **limited)
    assert e.value.spec_id == SPECS[1].spec_id and SPECS[1].spec_id in str(e.value)
    assert e.value.retryable
    assert launch.render_shard(SPECS, out, command=stub(), **limited).head_count == 3


def test_what_blender_printed_of_the_machine_weighs_more_than_a_bad_picture(out):
    """Blender without memory goes on, and what it leaves fails the checks of pictures."""
    command = stub(print={"1": "System is out of GPU memory"}, invalid=[1])
    with pytest.raises(RenderCrashed, match="Blender reported: System is out of GPU memory"):
        launch.render_shard(SPECS, out, command=command)


def test_a_worker_that_cannot_say_why_it_failed_blames_no_head(out):
    """Its disk is full: `error.json` cannot be written either."""
    command = stub(disk_full=[1], mute=1)
    with pytest.raises(RenderCrashed, match=r"without a result in head .*exit code 1") as caught:
        launch.render_shard(SPECS, out, command=command)
    assert caught.value.spec_id is None
    assert "No space left on device" in caught.value.log_tail


def test_an_allocation_that_fails_in_c_is_called_by_its_name(out):
    """It is said while what Blender prints is kept apart, and the process dies of it."""
    with pytest.raises(RenderCrashed, match=r"ended by signal 6, out of memory") as caught:
        launch.render_shard(SPECS, out, command=stub(abort=[1]))
    assert caught.value.spec_id == SPECS[1].spec_id
    assert "instance of 'std::bad_alloc'\n" in caught.value.log_tail
    assert "stub_worker.py" in caught.value.log_tail  # and where, as ever


def test_what_may_be_chance_is_tried_twice_and_a_bad_picture_once(out, tmp_path):
    (tmp_path / "once").mkdir()
    once = {"once": str(tmp_path / "once")}
    result = launch.render_shard(SPECS, out, command=stub(bug=[0], invalid=[1], **once))
    assert [head.index for head in result.absent] == [1]


def test_what_a_failed_head_printed_is_not_held_against_the_next(out):
    command = stub(print={"0": "Could not load a.png"}, invalid=[1])
    result = launch.render_shard(SPECS, out, command=command)
    assert result.spec_ids == (SPECS[2].spec_id,)


def test_a_failed_head_is_tried_again_on_request(out):
    launch.render_shard(SPECS, out, command=stub(invalid=[1]))
    with pytest.raises(RenderCrashed):  # what is there is not lost, and not taken for the new one
        launch.render_shard(SPECS, out, command=("/bin/true",), retry_failed=True)
    again = launch.render_shard(SPECS, out, command=stub(invalid=[1]), retry_failed=True)
    assert ([head.index for head in again.absent], again.head_s) == ([1], ())
    result = launch.render_shard(SPECS, out, command=stub(), retry_failed=True)
    assert (result.head_count, result.absent) == (3, ())
    assert launch.render_shard(SPECS, out, command=("/bin/false",), retry_failed=True).wall_s == 0


def test_skipped_heads_are_not_tried(out):
    skip = {spec.spec_id: "crashed twice" for spec in SPECS[:2]}
    result = launch.render_shard(SPECS, out, command=stub(crash=[0, 1]), skip=skip)
    assert result.spec_ids == (SPECS[2].spec_id,)
    assert [(head.index, head.reason) for head in result.absent] == [
        (0, "crashed twice"),
        (1, "crashed twice"),
    ]
    out.unlink()
    everything = {spec.spec_id: "no" for spec in SPECS}  # then an empty shard is what was asked for
    assert launch.render_shard(SPECS, out, command=stub(), skip=everything).head_count == 0
    ShardReader(out).verify()


def test_rejected_heads_are_counted_and_kept_apart(out):
    limits = QualityConfig()
    command = stub(twin=[0, 2], burnt=[1])
    result = launch.render_shard(SPECS, out, command=command, quality=limits, dataset_id="abc")
    assert result.spec_ids == (SPECS[0].spec_id,)
    assert [(head.index, head.kind) for head in result.absent] == [(1, "rejected"), (2, "rejected")]
    assert [head.reason.split()[0] for head in result.absent] == [
        "face_luminance",
        "near-duplicate",
    ]
    assert len(result.head_s) == 3
    place = out.parent.parent / "rejects" / out.name
    rejects = ShardReader(place)
    rejects.verify()
    assert rejects.footer.indices == (1, 2) and rejects.footer.dataset_id == "abc"
    assert [head.meta["rejected"] for head in rejects.heads()] == [h.reason for h in result.absent]
    quality = ShardReader(out).heads()[0].meta["quality"]
    assert limits.face_luminance[0] < quality["face_luminance"] < limits.face_luminance[1]
    assert len(quality["fingerprint"]) == 512

    launch.render_shard(SPECS, out, command=("/bin/false",), retry_failed=True)  # none failed
    out.unlink()
    launch.render_shard(SPECS[2:], out, command=stub(twin=[0, 2]), quality=limits)
    result = launch.render_shard(SPECS, out, command=command, quality=limits)
    (head,) = [head for head in result.absent if head.index == 0]
    assert f"near-duplicate of head {SPECS[2].spec_id}" in head.reason  # which is there already
    out.unlink()
    assert launch.render_shard(SPECS, out, command=stub(), quality=limits).head_count == 3
    assert not place.exists()


def test_a_shard_never_tells_of_rejects_that_are_not_there(out, tmp_path):
    (tmp_path / "rejects").write_bytes(b"in the way")
    with pytest.raises(OSError, match="rejects"):
        launch.render_shard(SPECS, out, command=stub(burnt=[1]), quality=QualityConfig())
    assert not out.exists()


def test_progress_is_told_while_the_worker_runs(out):
    told: list[Progress] = []
    worker = stub(sleep_s=0.9, invalid=[0])
    launch.render_shard(SPECS, out, command=worker, on_progress=told.append)
    assert told[-2:] == [Progress(1, 0, SPECS[1].spec_id), Progress(2, 1, SPECS[2].spec_id)]


def test_trouble_of_this_machine_is_worth_another(out, tmp_path, monkeypatch):
    """A full /tmp (here: a directory that is none) and a program that is not there."""
    with pytest.raises(RenderCrashed, match=r"no worker can be started here.*No such file") as one:
        launch.render_shard(SPECS, out, command=("/nowhere/python",))
    monkeypatch.setattr(tempfile, "tempdir", "/dev/null")
    with pytest.raises(RenderCrashed, match=r"shard-000000.tar: no worker .*Not a directory"):
        launch.render_shard(SPECS, out, command=stub())
    assert one.value.spec_id is None


def test_trouble_of_the_storage_names_the_shard(out, monkeypatch):
    def refuse(handle):
        if "shards" in str(Path(f"/proc/self/fd/{handle}").readlink()):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match=rf"No space left on device: '{out}'"):
        launch.render_shard(SPECS, out, command=stub())


def test_a_worker_of_another_version_is_refused(out):
    """Somebody exchanges the package while a run lasts: the same specs become other heads."""
    with pytest.raises(RenderError, match=f"rendered {SPECS[0].spec_id}, {SPECS[1].spec_id}; was"):
        launch.render_shard(SPECS, out, command=stub(forget=1))
    assert list(out.parent.iterdir()) == []


def test_a_process_that_does_not_die_holds_nobody_up(out, monkeypatch):
    """It hangs in the kernel: a driver of a GPU, a dead mount."""
    alive = []
    monkeypatch.setattr(subprocess.Popen, "kill", lambda process: alive.append(process))
    monkeypatch.setattr(worker_process, "_LAST_GASP_S", 0.1)
    with pytest.raises(RenderTimeout, match="killed after 0 s"):
        launch.render_shard(SPECS, out, command=("sh", "-c", "exec sleep 99"), timeout_s=0.1)
    assert [process.poll() for process in alive] == [None]
    for process in alive:
        process.terminate()
        process.wait()


@pytest.mark.parametrize(("program", "code"), [("/bin/false", 1), ("/bin/true", 0)])
def test_a_worker_that_leaves_no_shard_is_a_crash(out, program, code):
    with pytest.raises(RenderCrashed, match=f"without a result .exit code {code}"):
        launch.render_shard(SPECS, out, command=(program,))


def test_a_committed_shard_counts_whatever_the_exit_code(out):
    """Blender may crash while the interpreter shuts down, long after the last byte."""
    assert launch.render_shard(SPECS, out, command=stub(exit_code=139)).head_count == 3
    ShardReader(out).verify()


def test_the_worker_sees_its_threads_and_gpus_only(out, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    launch.render_shard(SPECS[:1], out, command=stub(env=1), threads=3)
    environment = ShardReader(out).heads()[0].meta["environment"]
    assert environment["CUDA_VISIBLE_DEVICES"] == ""
    assert environment["OMP_NUM_THREADS"] == "3"
    assert Path(environment["TMPDIR"]).name.startswith(".headloom-render.")  # goes with the job
    out.unlink()
    launch.render_shard(SPECS[:1], out, command=stub(env=1), gpu_ids=(2, "GPU-ab"))
    environment = ShardReader(out).heads()[0].meta["environment"]
    masks = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ZE_AFFINITY_MASK")
    assert [environment[mask] for mask in masks] == ["2,GPU-ab"] * 3


def test_pixels_and_spec_ids_repeat_in_another_process(out, tmp_path):
    launch.render_shard(SPECS, out, command=stub())
    launch.render_shard(SPECS, tmp_path / "other.tar", command=stub(sleep_s=0.01), threads=2)
    first, second = (
        [(h.spec_id, h.meta["pixel_sha256"]) for h in ShardReader(path).heads()]
        for path in (out, tmp_path / "other.tar")
    )
    assert first == second


# ------------------------------------------------------------------------------- the death signal

PARENT = """
import json, sys
from synth.launch import render_shard
from synth.sample import DatasetConfig, ViewsConfig, sample_head
specs = [sample_head(DatasetConfig(size=8, samples=1, views=ViewsConfig(random=0)), 0)]
render_shard(specs, sys.argv[1], command=(sys.executable, sys.argv[2], sys.argv[3]))
"""


def kill_parent_and_look(tmp_path, behaviour) -> list[int]:
    """Kill -9 a process inside `render_shard`; the workers that lived on (and are killed now)."""
    token = uuid.uuid4().hex
    command = [str(tmp_path / "s.tar"), str(STUB), json.dumps({**behaviour, "token": token})]
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, *command], env={**os.environ, "TMPDIR": str(tmp_path)}
    )
    try:
        hanging = wait_for(lambda: list(tmp_path.glob("hang-0")) and processes_with(token), 60)
        workers = [pid for pid in hanging if pid != parent.pid]
        assert len(workers) == 1
    finally:
        parent.kill()
        parent.wait()
    time.sleep(1.0)
    alive = processes_with(token)
    for pid in alive:
        os.kill(pid, signal.SIGKILL)
    return alive


def test_a_killed_parent_takes_the_worker_with_it(tmp_path, monkeypatch):
    """What it left on the local disk goes when the next worker starts there."""
    assert kill_parent_and_look(tmp_path, {"hang": [0], "once": str(tmp_path)}) == []
    assert not (tmp_path / "s.tar").exists()
    (left,) = tmp_path.glob(".headloom-render.*")
    assert (left / "specs.jsonl").exists()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with scratch_directory("other") as directory, job_directory("next") as job:
        assert set(tmp_path.glob(".headloom-*")) == {directory, job}
        assert stat.S_IMODE(job.stat().st_mode) == 0o700  # others use /tmp, too


def test_without_the_death_signal_it_would_live_on(tmp_path):
    """The control: the test above can fail."""
    behaviour = {"hang": [0], "once": str(tmp_path), "no_death_signal": True}
    assert len(kill_parent_and_look(tmp_path, behaviour)) == 1


def test_a_worker_whose_parent_is_gone_does_not_start(tmp_path):
    """The parent may die before the signal is armed."""
    worker = subprocess.run([*stub(), str(tmp_path), "999999999"], capture_output=True, timeout=60)
    assert worker.returncode == 1
    assert worker.stderr == b""
    assert list(tmp_path.iterdir()) == []


# --------------------------------------------------------------- two processes render one shard


def test_heads_that_came_or_went_meanwhile_are_seen(out, tmp_path):
    """The shard is completed from what is there in the end, not from what was there at first."""
    with ThreadPoolExecutor(1) as pool:
        launch.render_shard(SPECS[:1], out, command=stub())
        slow = stub(wait_for=str(tmp_path / "go"))
        late = pool.submit(launch.render_shard, SPECS, out, command=slow)
        wait_for(lambda: list(tmp_path.glob("jobs/.*/specs.jsonl")))
        launch.render_shard(SPECS[:2], out, command=stub())
        kept = members(out)
        (tmp_path / "go").touch()
        assert late.result().head_count == 3
        assert kept.items() < members(out).items()

        (tmp_path / "go").unlink()
        out.unlink()
        launch.render_shard(SPECS[:1], out, command=stub())
        late = pool.submit(launch.render_shard, SPECS, out, command=slow)
        wait_for(lambda: list(tmp_path.glob("jobs/.*/specs.jsonl")))
        out.unlink()  # `repair` put it aside
        (tmp_path / "go").touch()
        with pytest.raises(RenderCrashed, match="not there any more"):
            late.result()
        assert not out.exists()


@pytest.mark.parametrize("there", [1, 3])
def test_a_shard_that_came_meanwhile_is_not_replaced(out, tmp_path, there):
    """A worker that its cluster lost sight of ends late, when another has rendered its shard, or
    already more of it: the file that readers know stays."""
    with ThreadPoolExecutor(1) as pool:
        slow = stub(wait_for=str(tmp_path / "go"))
        late = pool.submit(launch.render_shard, SPECS[:1], out, command=slow)
        launch.render_shard(SPECS[:there], out, command=stub())
        before = out.stat()
        (tmp_path / "go").touch()
        if there == 1:
            assert late.result().spec_ids == (SPECS[0].spec_id,)
        else:
            with pytest.raises(DatasetMismatch, match="would be replaced by"):
                late.result()
    assert (out.stat().st_ino, out.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
