"""The driver's loop with a Ray that runs each task at once, and a clock that jumps."""

from __future__ import annotations

import itertools
from concurrent.futures import Future
from pathlib import Path

import pytest
import ray
from ray.exceptions import NodeDiedError, OutOfMemoryError, RayTaskError, WorkerCrashedError

from ray_jobs import render_driver
from ray_jobs.accounts import Accounts
from ray_jobs.cluster import NODE_ID_LABEL, ClusterInfo, Node
from ray_jobs.fleet import Fleet
from ray_jobs.pools import ClusterConfig, WorkerPool
from ray_jobs.render_driver import Driver
from ray_jobs.render_options import RenderOptions
from ray_jobs.render_task import TaskReport
from ray_jobs.retries import MIN_STREAK, NODE_STREAK, MemoryReservation, TaskError
from synth.dataset import Dataset
from synth.errors import RenderStopped
from synth.launch import ShardResult
from synth.sample import DatasetConfig

GB = 10**9
CRASH = TaskError("shard", "RenderCrashed", "signal 9")


class Farm:
    """Two machines, `a` and `b`, and what was asked of Ray.

    Attributes:
        submitted: of every task its shard, its options and the time.
        task: called with the shard and how often it was tried before; what a task returns, None
            if it does not end.
        running: what the tasks in flight tell, by shard.
    """

    def __init__(self, root: Path, monkeypatch):
        self.submitted: list[tuple[int, dict, float]] = []
        self.task = lambda shard, before: done(shard)
        self.running: dict[str, dict] = {}
        self.now, self.notices = 0.0, []
        monkeypatch.setattr(ray, "put", lambda value: value)
        monkeypatch.setattr(ray, "remote", self._remote)
        monkeypatch.setattr(render_driver, "TaskWatch", lambda: self)
        monkeypatch.setattr(render_driver, "TICK_S", 0.001)
        monkeypatch.setattr(render_driver.time, "monotonic", self._clock)
        self.root, self.actor = root, None

    def _clock(self) -> float:
        self.now += 0.05
        return self.now

    def _remote(self, **options):
        assert options == {"max_retries": 0}
        return lambda task: self

    def options(self, **options):
        self._options = options
        return self

    def remote(self, context, pool, plan, skip):
        before = sum(shard == plan.shard for shard, *_ in self.submitted)
        self.submitted.append((plan.shard, self._options, self.now))
        self._future = Future()
        self._future.object_ref = plan.shard
        try:
            if report := self.task(plan.shard, before):
                self._future.set_result(report)
        except Exception as error:
            self._future.set_exception(error)
        return self

    def future(self) -> Future:
        return self._future

    def look(self, running) -> dict[str, dict]:
        return {shard: task for shard, task in self.running.items() if shard in running}

    def run(self, shards: int = 1, workers: int = 1, memory_gb: float = 1.0) -> Accounts:
        """Render so many shards of two heads."""
        heads = 2 * shards
        dataset = Dataset.create(self.root, DatasetConfig(heads=heads, heads_per_shard=2))
        nodes = [Node(name, 4, 0, 8 * GB, name) for name in "ab"]
        pool = WorkerPool(workers=workers, memory_gb=memory_gb)
        info = ClusterInfo("", False, tuple(nodes))
        self.fleet = Fleet(
            info, ClusterConfig("x:1", (pool,)), None, self.notices.append, nodes=lambda: nodes
        )
        accounts = Accounts(self.root, "d", heads, heads, 0, 0, (), lambda event: None)
        Driver(dataset, dataset.plan(), RenderOptions(), self.fleet, accounts).run()
        assert self.fleet.lanes[0].running == 0
        return accounts


def done(shard: int, node: str = "b", peak: int = 0) -> TaskReport:
    ids = (f"{shard}-0", f"{shard}-1")
    return TaskReport(node, node, ShardResult(Path("x"), ids, peak_rss_bytes=peak))


def failed(error: TaskError = CRASH, node: str = "a") -> TaskReport:
    return TaskReport(node, node, error=error)


@pytest.fixture
def farm(tmp_path, monkeypatch):
    return Farm(tmp_path / "heads", monkeypatch)


def away(options: dict) -> str | None:
    return options["label_selector"].get(NODE_ID_LABEL)


def test_a_failed_attempt_is_followed_by_another_later_and_elsewhere(farm):
    killed = TaskError("shard", "RenderCrashed", "signal 9", out_of_memory=True)
    farm.task = lambda shard, before: done(shard) if shard or before else failed(killed)
    accounts = farm.run(shards=2)
    assert [shard for shard, *_ in farm.submitted] == [0, 1, 0]  # others use the pause
    (_, first, at), _, (_, again, later) = farm.submitted
    assert later - at >= 1.0
    assert (away(first), away(again)) == (None, "!in(a)")
    assert again["memory"] == 1.5 * first["memory"] == 1.5 * GB
    assert (accounts.retries, accounts.rendered, accounts.failures) == (1, 4, ())


def test_later_tasks_reserve_what_was_measured(farm):
    farm.task = lambda shard, before: done(shard, peak=2 * GB)
    farm.run(shards=2)
    first, second = (options["memory"] for _, options, _ in farm.submitted)
    least = MemoryReservation.HEADROOM * 2 * GB
    assert first == GB and least <= second <= least + MemoryReservation.STEP_BYTES


def test_an_unfit_machine_is_left_alone_and_costs_no_attempt(farm):
    unfit = TaskError("unfit", "NodeUnfit", "has no dataset")
    farm.task = lambda shard, before: failed(unfit) if before < MIN_STREAK else done(shard)
    accounts = farm.run()
    assert (accounts.rendered, accounts.failures) == (2, ())
    assert [away(options) for _, options, _ in farm.submitted] == [None, *["!in(a)"] * MIN_STREAK]
    assert farm.notices == ["not used: a has no dataset"]


def test_a_machine_that_only_fails_is_left_alone_if_there_is_another(farm):
    farm.task = lambda shard, before: failed() if shard < NODE_STREAK and not before else done(9)
    farm.run(shards=NODE_STREAK + 1)
    last = [options for shard, options, _ in farm.submitted if shard == NODE_STREAK]
    assert away(last[0]) == "!in(a)"
    assert "failed 3 times in a row: RenderCrashed: signal 9" in farm.notices[0]


def test_a_machine_that_also_succeeds_is_not(farm):
    farm.task = lambda shard, before: done(shard, "a") if shard % 2 or before else failed()
    farm.run(shards=4 * NODE_STREAK)
    assert farm.notices == []


@pytest.mark.parametrize("told", ["heads_rendered", "heads_done"])
def test_only_heads_that_are_rendered_keep_a_failing_run_going(farm, told):
    """While others are at work, heads that are through with may all have failed."""
    counts = itertools.count()
    task = {"shard": "", "node": "", "node_id": "", "since": "", "heads_done": 0}

    def look(running):
        return {shard: {**task, "heads_rendered": 0, told: next(counts)} for shard in running}

    farm.look = look
    farm.task = lambda shard, before: failed(TaskError("permanent", "AssetError", "gone"), "")
    if told == "heads_done":
        with pytest.raises(RenderStopped, match=f"last {MIN_STREAK} attempts"):
            farm.run(shards=3 * MIN_STREAK)
    else:
        assert len(farm.run(shards=3 * MIN_STREAK).failures) == 3 * MIN_STREAK


def test_what_is_in_flight_is_killed_when_the_run_stops(farm, monkeypatch):
    cancelled = []
    monkeypatch.setattr(ray, "cancel", lambda shard, force: cancelled.append((shard, force)))
    gone = failed(TaskError("permanent", "AssetError", "gone"))
    farm.task = lambda shard, before: gone if shard else None
    with pytest.raises(RenderStopped):
        farm.run(shards=2 * MIN_STREAK, workers=2)
    assert cancelled[0] == (0, True)


def test_losing_many_machines_at_once_does_not_stop_the_run(farm):
    def task(shard, before):
        if before < 2:
            raise NodeDiedError("the node where this task was running is dead")
        return done(shard)

    farm.task = task
    accounts = farm.run(shards=2 * MIN_STREAK, workers=2 * MIN_STREAK)
    assert (accounts.retries, accounts.failures) == (4 * MIN_STREAK, ())


def test_a_task_that_cannot_report_is_told_by_ray_and_placed_by_what_it_said(farm):
    name = "shard-000000.tar"
    farm.running[name] = {"shard": name, "node": "host (a)", "node_id": "a", "since": ""}
    farm.running[name] |= {"heads_done": 0, "heads_rendered": 0}
    errors = [WorkerCrashedError(), OutOfMemoryError("killed\npages of advice"), KeyError("hair")]
    errors[2] = RayTaskError("render_task", "in render_task", errors[2])

    def task(shard, before):
        raise errors[before]

    farm.task = task
    (failure,) = farm.run().failures
    assert len(farm.submitted) == 3  # a bug is not tried again
    options = [options for _, options, _ in farm.submitted]
    assert [away(option) for option in options] == [None, "!in(a)", "!in(a)"]
    assert [option["memory"] / GB for option in options] == [1.0, 1.0, 1.5]
    assert (failure.error, failure.message, failure.node) == ("KeyError", "'hair'", "host (a)")
    assert "in render_task" in failure.log_tail
