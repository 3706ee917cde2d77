"""The driver of a render: keeps tasks in flight, one a shard, and tries again what failed."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from ray_jobs.accounts import Accounts
from ray_jobs.fleet import Fleet, Lane
from ray_jobs.head_reports import TaskWatch
from ray_jobs.render_options import RenderOptions
from ray_jobs.render_task import RenderContext, TaskReport, render_task
from ray_jobs.retries import NODE_STREAK, Breaker, MemoryReservation, TaskError, Work, judge
from ray_jobs.window import Finished, Window
from synth.dataset import Dataset, ShardPlan

TICK_S = 1.0


@dataclass(frozen=True, eq=False)
class _Attempt:
    """A task that Ray has: of which pool, with which options, and its future."""

    lane: Lane
    options: dict[str, Any]
    future: Future


class Driver:
    """Renders the shards of a plan on the Ray that is connected.

    Args:
        dataset: where they belong.
        plans: the shards; taken one by one.
        options: how they are rendered.
        fleet: who renders them.
        accounts: are told what becomes of them.
        retry_failed: heads that failed in earlier runs are tried again.
        task: runs on a machine; a bench replaces it.
    """

    def __init__(
        self,
        dataset: Dataset,
        plans: Iterable[ShardPlan],
        options: RenderOptions,
        fleet: Fleet,
        accounts: Accounts,
        retry_failed: bool = False,
        task: Callable[..., TaskReport] = render_task,
    ):
        import ray

        self._plans, self._fleet, self._accounts = iter(plans), fleet, accounts
        self._planned_all = False
        self._waiting: list[tuple[float, int, Work]] = []  # heap: when, order, what
        self._order = itertools.count()
        self._running: dict[str, _Attempt] = {}  # by shard
        self._tasks: dict[str, dict[str, Any]] = {}
        self._rendered_seen = 0
        self._breaker = Breaker()
        self._memory = {lane: MemoryReservation(lane.pool.memory_bytes) for lane in fleet.lanes}
        self._watch = TaskWatch()
        context = RenderContext(
            dataset.config, dataset.dataset_id, options, retry_failed, self._watch.actor
        )
        self._context = ray.put(context)
        # Ray retries nothing by itself: see ray_jobs.retries
        self._task = ray.remote(max_retries=0)(task)

    def run(self) -> None:
        """Render until every shard is in place or was given up.

        Raises:
            RenderStopped: the same trouble hit everything.
            ConfigError: no machine is left that could render.
        """
        ticked = -TICK_S
        with Window(self._submit, _cancel) as window:
            while True:
                while len(window) < self._fleet.limit() and (work := self._next()) is not None:
                    window.start(work)
                if not window and not self._waiting and self._planned_all:
                    return
                if time.monotonic() - ticked >= TICK_S:
                    ticked = time.monotonic()
                    self._tick()
                for finished in window.wait(TICK_S):
                    self._settle(finished)

    def _next(self) -> Work | None:
        """A shard whose pause is over, or a new one; None: nothing can be started now."""
        if self._waiting and self._waiting[0][0] <= time.monotonic():
            return heapq.heappop(self._waiting)[2]
        plan = next(self._plans, None)
        if plan is None:
            self._planned_all = True
            return None
        return Work(plan)

    def _submit(self, work: Work) -> Future:
        lane = self._fleet.take()
        options = lane.ray_options(work.avoid, work.more_memory)
        # not named after the shard: Ray keeps metrics for every name of a task, for ever
        task = self._task.options(name="render shard", **options)
        future = task.remote(self._context, lane.pool, work.plan, work.skip).future()
        self._running[work.plan.path.name] = _Attempt(lane, options, future)
        return future

    def _tick(self) -> None:
        if self._fleet.refresh():
            for attempt in self._running.values():
                if self._fleet.is_stranded(attempt.lane, attempt.options):
                    _cancel(attempt.future)
        self._tasks = self._watch.look(self._running)
        rendered = sum(task["heads_rendered"] for task in self._tasks.values())
        if rendered > self._rendered_seen:
            self._breaker.head_rendered()
        self._rendered_seen = rendered
        self._accounts.tick(self._tasks.values(), len(self._running))

    def _settle(self, finished: Finished[Work]) -> None:
        work, shard = finished.item, finished.item.plan.path.name
        lane = self._running.pop(shard).lane
        self._fleet.release(lane)
        report = finished.value if finished.error is None else self._lost(shard, finished.error)
        if report.result is None:
            self._failed(work, lane, report)
            return
        if report.result.head_count:
            self._breaker.shard_committed(report.node_id)
        memory = self._memory[lane]
        if memory.measured(report.result.peak_rss_bytes):
            self._fleet.reserve(lane, memory.reserved_bytes)
            self._accounts.memory(str(lane.pool), memory)
        self._accounts.committed(work, report.result, report.node)

    def _failed(self, work: Work, lane: Lane, report: TaskReport) -> None:
        error, node_id = report.error, report.node_id
        verdict = judge(work, error, node_id)
        if verdict.delay_s is None:
            self._accounts.given_up(work, error, report.node)
        else:
            self._accounts.retried(work, error, report.node, verdict)
            due = time.monotonic() + verdict.delay_s
            heapq.heappush(self._waiting, (due, next(self._order), work))
        if error.kind == "unfit":
            if node_id:
                self._fleet.exclude(lane, node_id, error.message)
            return
        machines = len(self._fleet.nodes)
        self._breaker.attempt_failed(error, node_id, self._fleet.limit(), machines)
        if self._breaker.distrusts(node_id):
            self._fleet.distrust(lane, node_id, f"failed {NODE_STREAK} times in a row: {error}")

    def _lost(self, shard: str, error: Exception) -> TaskReport:
        """The report of a task that could not give one: its worker died, or it met a bug."""
        found = _system_error(error)
        if found.kind == "unfit":  # it has not begun
            return TaskReport("", "", error=found)
        task = self._tasks.get(shard, {"node": "", "node_id": ""})
        return TaskReport(task["node"], task["node_id"], error=found)


def _system_error(error: Exception) -> TaskError:
    from ray.exceptions import (
        NodeDiedError,
        OutOfMemoryError,
        RaySystemError,
        RayTaskError,
        TaskCancelledError,
    )

    if isinstance(error, TaskCancelledError):
        return TaskError("unfit", type(error).__name__, "no machine that it could use is left")
    if isinstance(error, RaySystemError) or "failed to import on the worker" in str(error):
        return TaskError("unfit", type(error).__name__, "a machine could not even read the task")
    if isinstance(error, RayTaskError):
        cause = getattr(error, "cause", error)
        message = str(cause) or repr(cause)
        return TaskError("permanent", type(cause).__name__, message, log_tail=str(error))
    lines = str(error).strip().splitlines()  # pages of advice around one sentence
    return TaskError(
        "gone" if isinstance(error, NodeDiedError) else "lost",
        type(error).__name__,
        lines[0] if lines else repr(error),
        out_of_memory=isinstance(error, OutOfMemoryError),
    )


def _cancel(future: Future) -> None:
    import ray

    # force: the worker process ends, and with it, by its death signal, its Blender
    ray.cancel(future.object_ref, force=True)
