"""The cost model: its sums, what it measures, what it finds in a dataset, and its command."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import pytest

from ray_jobs import cli, estimate
from ray_jobs.estimate import Measurement, measure, recorded
from ray_jobs.pools import WorkerPool
from synth.config import save_yaml
from synth.dataset import Dataset
from synth.record import HeadRecord
from synth.sample import DatasetConfig, ViewsConfig

STUB = Path(__file__).parents[1] / "synth" / "stub_worker.py"
CONFIG = DatasetConfig(heads=9, size=16, samples=1, views=ViewsConfig(random=0))
MEASURED = Measurement((90.0, 100.0, 110.0), 20.0, 5_000_000, 1_300_000_000, "three heads")
FAST = Measurement((10.0,), 10.0, 4_000_000, 3_000_000_000, "one head")


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """This machine has 16 CPUs and enough memory."""
    monkeypatch.setattr(estimate.os, "cpu_count", lambda: 16)
    monkeypatch.setattr(estimate.os, "sysconf", lambda name: 2**20)


def test_the_sums():
    pool = WorkerPool(workers=32, threads=4)
    found = estimate.estimate([(pool, MEASURED)], heads=64_000, shards=6400)
    (cost,) = found.pools
    assert (found.heads, cost.machines, cost.gpus, cost.shard_s) == (64_000, 8, 0, 1020.0)
    busy_h = (6400 * 20 + 64_000 * 100) / 3600
    assert found.hours == pytest.approx(busy_h / 32 + 1020 / 2 / 3600)
    assert (found.machine_hours, found.gpu_hours) == (pytest.approx(8 * found.hours), 0)
    assert found.cpu_core_hours == pytest.approx(4 * busy_h)
    assert (found.storage_gb, cost.memory_gb, cost.heads) == (320.0, 1.3, 64_000)
    text = str(found)
    assert "64000 in 6400 shards" in text and "100.0 s of a worker (90.0 to 110.0)" in text
    assert "on 8 machines" in text and ": three heads" in text and "GPU" not in text


def test_one_round_takes_as_long_as_a_shard():
    pools = [(WorkerPool(), MEASURED)]
    found = estimate.estimate(pools, heads=20, shards=5)
    assert (found.pools[0].workers, found.shards) == (16, 5)
    assert found.hours == pytest.approx((20 + 4 * 100) / 3600)
    found = estimate.estimate(pools, heads=2, shards=1)
    assert found.hours == pytest.approx((20 + 2 * 100) / 3600)


def test_several_kinds_of_workers_share_the_heads_as_fast_as_they_are():
    cpu, gpu = WorkerPool(workers=12), WorkerPool("OPTIX", 3, threads=2, gpus=0.5)
    pools = [(cpu, MEASURED), (gpu, FAST)]
    found = estimate.estimate(pools, heads=9000, shards=900)
    slow_per_s, fast_per_s = 12 * 10 / 1020, 3 * 10 / 110
    assert found.hours == pytest.approx((9000 / (slow_per_s + fast_per_s) + 510) / 3600)
    slow, fast = found.pools
    assert slow.heads / fast.heads == pytest.approx(slow_per_s / fast_per_s, rel=1e-3)
    assert (slow.machines, slow.gpus, fast.machines, fast.gpus) == (1, 0, 0, 2)
    assert found.gpu_hours == pytest.approx(2 * found.hours)
    busy_s = slow.heads * 102 + fast.heads * 11 * 2
    assert found.cpu_core_hours == pytest.approx(busy_s / 3600)
    (alone,) = estimate.estimate([(WorkerPool("CUDA", gpus=0.5), FAST)], heads=9, shards=3).pools
    assert (alone.workers, alone.gpus) == (2, 1)
    assert "GPU-hours" in str(found) and "on 2 GPUs" in str(found) and "one head" in str(found)


def test_known_times_are_found():
    """Heads that sleep for known times on a device whose seconds are wall time."""
    command = (sys.executable, str(STUB), json.dumps({"sleep_s": 0.4}))
    pool = WorkerPool("OPTIX")
    found = measure(CONFIG, pool, command=command)
    assert len(found.head_s) == 3 and all(0.4 <= seconds < 0.8 for seconds in found.head_s)
    assert found.start_s > 0.05 and found.memory_bytes > 10**7 and found.head_bytes > 1000
    cpu = measure(CONFIG, WorkerPool(), command=command)
    assert sum(cpu.head_s) < 0.5  # sleeping costs no CPU seconds
    assert "rendered now in CPU seconds" in cpu.source
    one = dataclasses.replace(CONFIG, heads=1)
    assert len(measure(one, pool, command=command).head_s) == 1


def test_heads_that_are_there_need_not_be_rendered_again(heads, monkeypatch):
    """Those of the same kind of worker, of at most so many shards."""
    read = []

    def meta(head):
        read.append(head.index)
        times = {"head_s": 30.0 + head.index, "import_s": 6.0 if head.index % 3 == 0 else 0.0}
        gpu = head.index in (3, 4, 5, 6)
        node = f"n{head.index % 2}"
        return {"timings_s": times, "device": "OPTIX" if gpu else "CPU", "threads": 1, "node": node}

    monkeypatch.setattr(HeadRecord, "meta", property(meta))
    (heads.shard_directory / "shard-000004.tar").unlink()
    plan = heads.plan()
    found = recorded(heads, plan, WorkerPool())
    assert found.head_s == (24.0, 31.0, 32.0, 37.0, 38.0, 33.0, 40.0, 41.0)
    assert found.start_s == 6 * 2 / 3  # two imports in the three shards with such heads
    assert "8 heads of this dataset" in found.source and "2 machines" in found.source
    assert 1000 < found.head_bytes < 100_000 and found.memory_bytes == 1_600_000_000
    assert recorded(heads, plan, WorkerPool("OPTIX")).head_s == (27.0, 34.0, 35.0, 30.0)
    assert recorded(heads, plan, WorkerPool(threads=2)) is None
    read.clear()
    monkeypatch.setattr(estimate, "SAMPLED_SHARDS", 2)
    recorded(heads, plan, WorkerPool())
    assert read == [0, 1, 2, 6, 7, 8]


def test_the_command_prints_a_person_s_text_or_json(heads, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(estimate, "measure", lambda config, pool: MEASURED)
    flags = ["render", "--out", str(tmp_path / "new"), "--heads", "1000", "--estimate"]
    assert cli.main([*flags, "--workers", "32"]) == 0
    captured = capsys.readouterr()
    assert "machine-hours" in captured.out and "assuming:" in captured.out
    assert "rendering 3 heads on CPU" in captured.err
    assert cli.main([*flags, "--log-format", "json", "--quiet"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["heads"] == 1000 and captured.err == ""
    assert not (tmp_path / "new").exists()

    save_yaml(dataclasses.replace(heads.config, heads=20), tmp_path / "config.yaml")
    flags = ["render", "--out", str(heads.root), "--config", str(tmp_path / "config.yaml")]
    assert cli.main([*flags, "--estimate"]) == 0
    captured = capsys.readouterr()
    assert "12 heads of this dataset" in captured.out and captured.err == ""
    assert "7 in 3 shards" in captured.out  # the last shard is completed
    assert Dataset.open(heads.root).config.heads == 13

    (tmp_path / "two.yaml").write_text("pools: [{workers: 2}, {threads: 2}]")
    assert cli.main([*flags, "--estimate", "--cluster", str(tmp_path / "two.yaml")]) == 1
    assert "set `workers` in the pools of" in capsys.readouterr().err
