"""What a task asks of the worker, and what it tells the driver; without Ray."""

from __future__ import annotations

import types
from pathlib import Path

import pytest
import ray

from ray_jobs import render_task as module
from ray_jobs.node_check import Expectation
from ray_jobs.pools import WorkerPool
from ray_jobs.render_options import RenderOptions
from ray_jobs.render_task import RenderContext, TaskReport, render_task, time_limit_s
from synth.dataset import ShardPlan
from synth.errors import RenderInvalid
from synth.launch import ShardResult
from synth.sample import DatasetConfig
from synth.sample_assets import AssetsConfig
from synth.worker_process import Progress

CONFIG = DatasetConfig(heads=9, assets=AssetsConfig(store=Path("~/store")))
PLAN = ShardPlan(1, 4, 8, Path("/heads/shards/shard-000001.tar"))
POOL = WorkerPool("OPTIX", threads=3)


class Reports:
    """The actor: what it was told."""

    def __init__(self):
        self.told = []
        self.begin = self.heads = types.SimpleNamespace(remote=lambda *what: self.told.append(what))


@pytest.fixture
def on_a_machine(monkeypatch):
    """The machine `n1`, which gave the task its GPU 5."""
    here = types.SimpleNamespace(get_node_id=lambda: "n1")
    monkeypatch.setattr(ray, "get_runtime_context", lambda: here)
    monkeypatch.setattr(ray, "get_gpu_ids", lambda: [5])
    monkeypatch.setattr(module, "this_node", lambda: "host (n1)")


def run(monkeypatch, render_shard, pool=POOL, **options) -> tuple[TaskReport, list]:
    monkeypatch.setattr(module, "render_shard", render_shard)
    reports = Reports()
    context = RenderContext(CONFIG, "d1", RenderOptions(**options), True, reports)
    return render_task(context, pool, PLAN, {"bad": "why"}), reports.told


def test_a_task_renders_its_shard_as_the_run_wants_it(on_a_machine, monkeypatch):
    asked = {}

    def render_shard(specs, path, on_progress, **options):
        asked.update(options, specs=specs, path=path)
        on_progress(Progress(2, 1, specs[3].spec_id))
        return ShardResult(path, ())

    report, told = run(monkeypatch, render_shard, command=("stub",))
    specs = asked.pop("specs")
    assert [spec.index for spec in specs] == [4, 5, 6, 7]
    assert asked == {
        "path": PLAN.path,
        "threads": 3,
        "gpu_ids": [5],
        "device": "OPTIX",
        "timeout_s": time_limit_s(specs),
        "dataset_id": "d1",
        "asset_store": Path("~/store").expanduser(),
        "quality": CONFIG.quality,
        "memory_limit_bytes": POOL.memory_limit_bytes,
        "node": "host (n1)",
        "skip": {"bad": "why"},
        "retry_failed": True,
        "command": ("stub",),
    }
    assert told == [("shard-000001.tar", 4, "host (n1)", "n1"), ("shard-000001.tar", 7, 2, 1)]
    assert (report.node_id, report.result.path, report.error) == ("n1", PLAN.path, None)
    run(monkeypatch, render_shard, pool=WorkerPool(), timeout_s=9.0)
    assert (asked["timeout_s"], asked["memory_limit_bytes"]) == (9.0, 4_000_000_000)


def test_what_goes_wrong_comes_back_as_data(on_a_machine, monkeypatch):
    def fail(*_, **__):
        error = RenderInvalid("shard-000001.tar: head ab is black")
        error.spec_id, error.log_tail = "ab", "last words"
        raise error

    report, _ = run(monkeypatch, fail)
    assert (report.node, report.result) == ("host (n1)", None)
    assert (report.error.kind, report.error.spec_id) == ("bad_head", "ab")
    assert (report.error.message, report.error.log_tail) == ("head ab is black", "last words")

    other = Expectation(Path("/heads"), "d1", (("headloom", "9.9"),))
    report, _ = run(monkeypatch, fail, expectation=other)
    assert (report.node_id, report.error.kind, report.error.error) == ("n1", "unfit", "NodeUnfit")

    def bug(*_, **__):
        raise KeyError("hair")

    with pytest.raises(KeyError):  # Ray tells the driver
        run(monkeypatch, bug)
