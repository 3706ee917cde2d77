"""How far tasks in flight are, by heads: they tell an actor beside the driver, which asks it.

A shard may take an hour and progress is counted in heads. Each report is a message that nobody
waits for, and the driver reads the sum of them every few seconds, so its cost does not grow with
heads or tasks. Nothing depends on the reports: if the actor is lost, progress is counted by shards.
"""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import Future
from typing import Any

from ray_jobs.events import utc_now


class HeadReports:
    """What tasks have told; lives as a Ray actor."""

    def __init__(self) -> None:
        self._tasks: dict[str, dict[str, Any]] = {}

    def begin(self, shard: str, first_head: int, node: str, node_id: str) -> None:
        """A task has started on a machine; an earlier attempt is forgotten."""
        self._tasks[shard] = {
            "shard": shard,
            "node": node,
            "node_id": node_id,
            "since": utc_now(),
            "head": first_head,
            "heads_done": 0,
            "heads_rendered": 0,
        }

    def heads(self, shard: str, head: int, done: int, rendered: int) -> None:
        """A task has begun with a head; it is through with `done` others and rendered some."""
        if task := self._tasks.get(shard):
            task |= {"head": head, "heads_done": done, "heads_rendered": rendered}

    def look(self, running: Collection[str]) -> dict[str, dict[str, Any]]:
        """The tasks in flight that have begun, by shard; those not in flight are forgotten."""
        self._tasks = {shard: self._tasks[shard] for shard in running if shard in self._tasks}
        return self._tasks


class TaskWatch:
    """The driver's end: starts the actor on its own machine and asks it without waiting."""

    def __init__(self) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = ray.get_runtime_context().get_node_id()
        self.actor = (
            ray.remote(HeadReports)
            .options(
                num_cpus=0,
                max_restarts=-1,
                scheduling_strategy=NodeAffinitySchedulingStrategy(here, soft=True),
            )
            .remote()
        )
        self._answer: Future | None = None
        self._tasks: dict[str, dict[str, Any]] = {}

    def look(self, running: Collection[str]) -> dict[str, dict[str, Any]]:
        """The newest answer, by shard: what `HeadReports` keeps of a task."""
        if self._answer is None or self._answer.done():
            if self._answer is not None and self._answer.exception() is None:
                self._tasks = self._answer.result()
            self._answer = self.actor.look.remote(list(running)).future()
        return {shard: task for shard, task in self._tasks.items() if shard in running}
