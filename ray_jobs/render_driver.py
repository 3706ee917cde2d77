"""The driver of a render: keeps a bounded window of Ray tasks in flight, one for each shard."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence

from ray_jobs.fleet import Fleet, Lane
from ray_jobs.render_options import RenderOptions
from ray_jobs.render_task import render_task
from ray_jobs.window import Finished, run_window
from synth.dataset import Dataset, ShardPlan
from synth.errors import NodeUnfit, RenderCrashed, RenderTimeout
from synth.launch import ShardResult

MAX_RETRIES = 2


def render_plans(
    dataset: Dataset,
    plans: Sequence[ShardPlan],
    options: RenderOptions,
    fleet: Fleet,
    on_tick: Callable[[int], None],
) -> Iterator[Finished[ShardPlan, ShardResult]]:
    """Render shards and yield each as it is committed or has failed for good, in any order.

    Args:
        dataset: where the shards belong.
        plans: the shards.
        options: how they are rendered.
        fleet: who renders them.
        on_tick: called about once a second with the number of tasks in flight.
    """
    import ray

    # Permanent errors are not in the list: Ray raises them at once.
    task = ray.remote(
        max_retries=MAX_RETRIES, retry_exceptions=[RenderCrashed, RenderTimeout, OSError]
    )(render_task)
    config, dataset_id = dataset.config, dataset.dataset_id
    lanes: dict[int, Lane] = {}
    again: deque[ShardPlan] = deque()

    def submit(plan: ShardPlan):
        lane = lanes[plan.shard] = fleet.take()
        return task.options(name=f"render {plan.path.name}", **lane.ray_options()).remote(
            config, plan, dataset_id, options, lane.pool
        )

    def tick(running: int) -> None:
        fleet.refresh()
        on_tick(running)

    for finished in run_window(plans, submit, fleet.limit, again=again, on_tick=tick):
        lane = lanes.pop(finished.item.shard)
        fleet.release(lane)
        cause = getattr(finished.error, "cause", None)
        if isinstance(cause, NodeUnfit):  # the machine's fault, not the shard's
            fleet.exclude(lane, cause.node_id, str(cause))
            again.append(finished.item)
            continue
        yield finished
