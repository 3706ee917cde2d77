"""Training through Ray gives the bits of the bare loop, survives kills and reports errors."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ray_jobs import train as training
from ray_jobs.cluster import connect
from synth.errors import CheckpointError, ConfigError, RecordCorrupt, RecordError, TrainCrashed
from synth.lock import exclusive
from train.data import HeadDataset
from train.loop import train as run_loop
from train.metrics_log import read_metrics
from train.registry import make_task, resolve_config

TINY = (
    "image_size=16",
    "model.block_out_channels=[8, 8]",
    "model.norm_groups=4",
    "train.steps=4",
    "train.batch_size=2",
    "train.micro_batch_size=1",
    "train.warmup_steps=1",
    "train.checkpoint_every=2",
    "train.log_every=1",
    "train.preview=false",
)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    path = Path(__file__).parents[1] / "train" / "toy.py"
    spec = importlib.util.spec_from_file_location("headloom_toy_for_ray", path)
    toy = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = toy  # dataclasses look their module up
    spec.loader.exec_module(toy)
    return toy.make_dataset(tmp_path_factory.mktemp("spheres"), heads=4, size=16)


@pytest.fixture(scope="module")
def cluster():
    """One local Ray with two CPUs for all tests of this module."""
    with connect(num_cpus=2) as info:
        yield info


def bare_run(run: Path, data: Path, *overrides: str) -> Path:
    """The same training without Ray, in this process."""
    torch.set_num_threads(1)
    config = resolve_config("vae", "tiny", [*TINY, *overrides])
    dataset = HeadDataset(data, config.train.split, config.image_size)
    run_loop(make_task("vae", config), dataset, run, progress=False)
    return run


def ray_run(run: Path, data: Path, *overrides: str, **options) -> training.TrainResult:
    options = {"cpus_per_worker": 1, "progress": False} | options
    return training.train("vae", "tiny", [*TINY, *overrides], data, run, **options)


def tensors(run: Path, step: int, name: str) -> dict[str, torch.Tensor]:
    return load_file(run / "checkpoints" / f"step-{step:08d}" / f"{name}.safetensors")


def assert_same_bits(one: Path, other: Path, step: int) -> None:
    for name in ("model", "ema", "optimizer"):
        first, second = tensors(one, step, name), tensors(other, step, name)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[key], second[key]) for key in first), name


@pytest.mark.ray
def test_ray_adds_nothing_and_resumes(cluster, data, tmp_path):
    whole = bare_run(tmp_path / "whole", data)
    part = shutil.copytree(whole, tmp_path / "part")
    shutil.rmtree(part / "checkpoints" / "step-00000004")
    result = ray_run(part, data)
    assert (result.steps, result.resumed_from, result.already_finished) == (4, 2, False)
    assert_same_bits(whole, part, 4)
    assert [r["step"] for r in read_metrics(part / "metrics.jsonl")] == [1, 2, 3, 4]
    assert not (part / training.RAY_STORAGE).exists()
    assert "vae, 4 steps" in str(result) and "resumed at step 2" in str(result)


@pytest.mark.ray
def test_two_workers_equal_one_with_the_whole_batch(cluster, data, tmp_path):
    """Same heads, views and noise, since randomness is keyed by micro-batch; sums round apart.

    Buffers (the running statistics of the latents) are the main worker's estimate and differ.
    """
    trained = [
        name
        for name, _ in make_task("vae", resolve_config("vae", "tiny", TINY))
        .build_model()
        .named_parameters()
    ]
    one = bare_run(tmp_path / "one", data)
    ray_run(tmp_path / "two", data, num_workers=2)
    for name in ("model", "ema"):
        first, second = tensors(one, 4, name), tensors(tmp_path / "two", 4, name)
        for key in trained:
            torch.testing.assert_close(second[key], first[key], rtol=1e-4, atol=1e-5)
    losses = [
        [record["loss"] for record in read_metrics(run / "metrics.jsonl")]
        for run in (one, tmp_path / "two")
    ]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    # Guards the comparison: other noise or heads would be told apart.
    other = bare_run(tmp_path / "other", data, "train.seed=1")
    assert tensors(other, 4, "model").keys() == tensors(one, 4, "model").keys()
    assert losses[0] != pytest.approx(
        [r["loss"] for r in read_metrics(other / "metrics.jsonl")], rel=1e-2
    )


@pytest.mark.ray
@pytest.mark.slow
def test_a_killed_worker_is_replaced_and_nothing_is_lost(cluster, data, tmp_path):
    longer = ("train.steps=30",)
    whole, run = bare_run(tmp_path / "whole", data, *longer), tmp_path / "run"
    killed = []

    def kill_after_the_first_checkpoint() -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not killed:
            if list((run / "checkpoints").glob("step-*/DONE")):
                killed.extend(train_workers())
                for pid in killed:
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)

    killer = threading.Thread(target=kill_after_the_first_checkpoint)
    killer.start()
    result = ray_run(run, data, *longer)
    killer.join()
    assert len(killed) == 1 and result.steps == 30
    assert_same_bits(whole, run, 30)
    assert [r["step"] for r in read_metrics(run / "metrics.jsonl")] == list(range(1, 31))


def train_workers() -> list[int]:
    """Process ids of the training workers below this process."""
    found = []
    parents = {os.getpid()}
    table = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, rest = int(path.parent.name), path.read_text().rpartition(")")[2].split()
            table[pid] = (int(rest[1]), (path.parent / "cmdline").read_text())
        except OSError:  # it ended meanwhile
            continue
    grown = True
    while grown:
        more = {pid for pid, (parent, _) in table.items() if parent in parents} - parents
        parents |= more
        grown = bool(more)
    for pid in parents:
        if "RayTrainWorker" in table.get(pid, (0, ""))[1]:
            found.append(pid)
    return found


@pytest.mark.ray
def test_an_error_in_a_worker_arrives_as_it_was_raised(cluster, data, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "MAX_FAILURES", 0)
    damaged = shutil.copytree(data, tmp_path / "data")
    for shard in (damaged / "shards").glob("*.tar"):
        raw = shard.read_bytes()
        shard.write_bytes(raw.replace(b"IDAT", b"IDOT"))
    with pytest.raises(RecordCorrupt, match=r"shard-00000\d\.tar.*rgba_00\d\.png"):
        ray_run(tmp_path / "run", damaged)


@pytest.mark.ray
def test_a_worker_that_only_dies_is_one_sentence(cluster, data, tmp_path, monkeypatch):
    def die(settings):
        import os

        os._exit(1)

    monkeypatch.setattr(training, "MAX_FAILURES", 0)
    monkeypatch.setattr(training, "_work", die)
    with pytest.raises(TrainCrashed, match=r"run: a training process died .* same command"):
        ray_run(tmp_path / "run", data)


def test_a_finished_run_does_not_start_ray(data, tmp_path, monkeypatch):
    run = bare_run(tmp_path / "run", data)
    monkeypatch.setattr(training, "connect", lambda address: pytest.fail("Ray was started"))
    result = ray_run(run, data)
    assert result.already_finished and "vae is finished (4 steps, loss" in str(result)


def test_two_runs_into_one_directory_are_refused(data, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "connect", lambda *_: pytest.fail("Ray must not start"))
    with (
        exclusive(tmp_path / "run"),
        pytest.raises(RecordError, match=f"pid {os.getpid()} on .* another --out"),
    ):
        training.train("vae", "tiny", TINY, data, tmp_path / "run", progress=False)


def test_what_cannot_work_is_refused_before_ray_starts(data, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "connect", lambda address: pytest.fail("Ray was started"))
    with pytest.raises(ConfigError, match="cannot be divided among 3 workers"):
        ray_run(tmp_path / "a", data, num_workers=3)
    with pytest.raises(ConfigError, match="unknown key 'learning_rat'"):
        ray_run(tmp_path / "b", data, "train.learning_rat=1")
    with pytest.raises(ConfigError, match="no preset 'tini'"):
        training.train("vae", "tini", [], data, tmp_path / "c")
    run = bare_run(tmp_path / "d", data)
    with pytest.raises(CheckpointError, match="another configuration"):
        ray_run(run, data, "train.steps=8")
    assert not (tmp_path / "a").exists() and not (tmp_path / "b").exists()


@pytest.mark.ray
def test_more_workers_than_processors_are_refused(cluster, data, tmp_path):
    with pytest.raises(ConfigError, match=r"4 workers need 4 CPUs; the cluster has 2 CPUs"):
        ray_run(tmp_path / "a", data, "train.batch_size=4", num_workers=4)
    with pytest.raises(ConfigError, match=r"1 CPUs, 1 GPUs"):
        ray_run(tmp_path / "b", data, use_gpu=True)
