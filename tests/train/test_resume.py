"""Exact resume: 4 steps equal 2 steps, SIGKILL, 2 steps, to the last bit (CPU)."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from synth.config import save_yaml
from train.data import HeadDataset
from train.loop import train
from train.metrics_log import read_metrics

ROOT = Path(__file__).parents[2]
SCHEDULE = {"steps": 4, "checkpoint_every": 2, "log_every": 3}
TIMINGS = ("seconds", "wait_fraction")


def run_until_killed(root, run, kind, config, log_path, timeout_s=100):
    """Train in another process, which stalls after step 2, and kill it with SIGKILL there."""
    config_path = run.parent / "config-in.yaml"
    save_yaml(config, config_path)
    script = Path(__file__).with_name("toy.py")
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, str(script), str(root), str(run), kind, str(config_path)],
            cwd=ROOT,
            stdout=log,
            stderr=log,
        )
        try:
            deadline = time.monotonic() + timeout_s
            done = run / "checkpoints" / "step-00000002" / "DONE"
            while not done.exists():
                assert process.poll() is None, log_path.read_text()
                assert time.monotonic() < deadline, log_path.read_text()
                time.sleep(0.05)
            time.sleep(0.3)  # let it go on into step 3, whose batch never comes
        finally:
            process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL


def assert_equal_runs(one, other, step):
    for name in ("model", "ema", "optimizer"):
        first, second = (
            load_file(run / "checkpoints" / f"step-{step:08d}" / f"{name}.safetensors")
            for run in (one, other)
        )
        assert first.keys() == second.keys() and len(first) > 1
        different = [key for key in first if not torch.equal(first[key], second[key])]
        assert not different, f"{name}: {different[:5]}"
    first, second = (
        [
            {k: v for k, v in record.items() if k not in TIMINGS}
            for record in read_metrics(run / "metrics.jsonl")
        ]
        for run in (one, other)
    )
    assert first == second
    states = [
        json.loads((run / "checkpoints" / f"step-{step:08d}" / "state.json").read_text())
        for run in (one, other)
    ]
    assert states[0] == states[1]


def check_exact_resume(task_of, config, kind, root, tmp_path):
    data = HeadDataset(root, "all", config.image_size)
    torch.set_num_threads(1)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(task_of(config), data, whole, progress=False)
    run_until_killed(root, parts, kind, config, tmp_path / "child.log")
    assert not (parts / "checkpoints" / "step-00000004").exists()
    with (parts / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "samples_seen": 99, "loss": 1.0}\n{"step": 4, "sam')  # a torn tail
    summary = train(task_of(config), data, parts, progress=False)
    assert summary.resumed_from == 2 and summary.step == 4
    assert_equal_runs(whole, parts, 4)


def test_toy_run_resumes_exactly_after_sigkill(toy, toy_module, sphere_dataset, tmp_path):
    config = toy(batch_size=3, **SCHEDULE).config
    check_exact_resume(toy_module.ToyTask, config, "toy", sphere_dataset, tmp_path)


def test_resume_restores_and_does_not_merely_restart(toy, heads, tmp_path):
    """Guards the test above: steps 3 and 4 depend on the weights and moments of step 2."""
    train(toy(**SCHEDULE), heads, tmp_path / "a", progress=False)
    train(toy(**SCHEDULE, seed=1), heads, tmp_path / "b", progress=False)
    with pytest.raises(AssertionError):
        assert_equal_runs(tmp_path / "a", tmp_path / "b", 4)


def test_a_kill_before_the_first_checkpoint_starts_anew(toy, heads, tmp_path):
    run = tmp_path / "run"
    (run / "checkpoints" / ".step-00000002.abc.tmp").mkdir(parents=True)
    (run / "metrics.jsonl").write_text('{"step": 1, "samples_seen": 2, "loss": 1.0}\n')
    summary = train(toy(**SCHEDULE), heads, run, progress=False)
    assert summary.resumed_from is None
    assert [r["step"] for r in read_metrics(run / "metrics.jsonl")] == [2, 3, 4]
    assert not list((run / "checkpoints").glob(".*"))


def test_an_incomplete_checkpoint_is_ignored_by_name(toy, heads, tmp_path):
    train(toy(**SCHEDULE), heads, tmp_path / "whole", progress=False)
    run = tmp_path / "run"
    train(toy(**SCHEDULE), heads, run, progress=False)
    (run / "checkpoints" / "step-00000004" / "DONE").unlink()
    with pytest.warns(UserWarning, match="incomplete checkpoint .*step-00000004"):
        summary = train(toy(**SCHEDULE), heads, run, progress=False)
    assert summary.resumed_from == 2
    assert_equal_runs(tmp_path / "whole", run, 4)
