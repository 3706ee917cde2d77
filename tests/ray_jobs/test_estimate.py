"""The cost model: its sums, what it measures, and its command."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import pytest

from ray_jobs import cli, estimate
from ray_jobs.estimate import Measurement, measure
from ray_jobs.pools import WorkerPool
from synth.sample import DatasetConfig, ViewsConfig

STUB = Path(__file__).parents[1] / "synth" / "stub_worker.py"
CONFIG = DatasetConfig(heads=9, size=16, samples=1, views=ViewsConfig(random=0))
MEASURED = Measurement(
    heads=3,
    head_s=(90.0, 100.0, 110.0),
    start_s=20.0,
    head_bytes=5_000_000,
    peak_rss_bytes=1_000_000_000,
    slots=16,
    machine="m",
)


def test_the_sums():
    pool = WorkerPool(workers=64, threads=2)
    found = estimate.estimate(MEASURED, heads=64_000, heads_per_shard=10, pool=pool)
    assert (found.shards, found.machines, found.shard_s) == (6400, 4, 1020.0)
    busy_h = (6400 * 20 + 64_000 * 100) / 3600
    assert found.hours == pytest.approx(busy_h / 64 + 1020 / 2 / 3600)
    assert found.machine_hours == pytest.approx(4 * found.hours)
    assert found.cpu_core_hours == pytest.approx(2 * busy_h)
    assert (found.storage_gb, found.memory_gb) == (320.0, 1.3)
    text = str(found)
    assert "64000 in 6400 shards of 10" in text and "100.0 s of a worker (90.0 to 110.0)" in text
    assert "64 workers are 4 machines" in text


def test_one_round_takes_as_long_as_a_shard():
    found = estimate.estimate(MEASURED, heads=20, heads_per_shard=4, pool=WorkerPool())
    assert (found.workers, found.shards) == (16, 5)
    assert found.hours == pytest.approx((20 + 4 * 100) / 3600)
    found = estimate.estimate(MEASURED, heads=2, heads_per_shard=4, pool=WorkerPool())
    assert found.hours == pytest.approx((20 + 2 * 100) / 3600)


def test_known_times_are_found(monkeypatch):
    """Heads that sleep for known times on a device whose seconds are wall time."""
    command = (sys.executable, str(STUB), json.dumps({"sleep_s": 0.4}))
    pool = WorkerPool("OPTIX")
    found = measure(CONFIG, pool, command=command)
    assert found.heads == 3 and all(0.4 <= seconds < 0.8 for seconds in found.head_s)
    assert found.start_s > 0.05 and found.peak_rss_bytes > 10**7 and found.head_bytes > 1000
    cpu = measure(CONFIG, WorkerPool(), command=command)
    assert sum(cpu.head_s) < 0.5  # sleeping costs no CPU seconds
    one = dataclasses.replace(CONFIG, heads=1)
    assert measure(one, pool, command=command).heads == 1


def test_the_command_prints_a_person_s_text_or_json(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(estimate, "measure", lambda config, pool: MEASURED)
    flags = ["render", "--out", str(tmp_path / "heads"), "--heads", "1000", "--estimate"]
    assert cli.main([*flags, "--workers", "32"]) == 0
    captured = capsys.readouterr()
    assert "machine-hours" in captured.out and "assuming:" in captured.out
    assert "rendering 3 heads" in captured.err
    assert cli.main([*flags, "--log-format", "json", "--quiet"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["heads"] == 1000 and captured.err == ""
    assert not (tmp_path / "heads").exists()
