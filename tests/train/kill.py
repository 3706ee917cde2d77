"""Trains in a process that is killed, and compares the result with a run left in peace."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import load_file

from synth.config import save_yaml
from train.data import HeadDataset
from train.loop import train
from train.metrics_log import read_metrics

ROOT = Path(__file__).parents[2]
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
