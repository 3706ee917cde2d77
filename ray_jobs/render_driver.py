"""The driver of a render: keeps a bounded window of Ray tasks in flight, one for each shard."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ray_jobs.render_options import RenderOptions
from ray_jobs.render_task import render_task
from ray_jobs.window import Finished, run_window
from synth.dataset import Dataset, ShardPlan
from synth.errors import RenderCrashed, RenderTimeout
from synth.launch import ShardResult

MAX_RETRIES = 2


def render_plans(
    dataset: Dataset,
    plans: Sequence[ShardPlan],
    options: RenderOptions,
    limit: int,
    on_tick: Callable[[int], None],
) -> Iterator[Finished[ShardPlan, ShardResult]]:
    """Render shards and yield each as it is committed or has failed for good, in any order.

    Args:
        dataset: where the shards belong.
        plans: the shards.
        options: how they are rendered.
        limit: tasks in flight.
        on_tick: called about once a second with the number of tasks in flight.
    """
    import ray

    # Permanent errors are not in the list: Ray raises them at once.
    task = ray.remote(
        num_cpus=options.threads,
        num_gpus=options.gpus,
        memory=options.memory_bytes,
        max_retries=MAX_RETRIES,
        retry_exceptions=[RenderCrashed, RenderTimeout, OSError],
        scheduling_strategy="SPREAD",
    )(render_task)
    config, dataset_id = dataset.config, dataset.dataset_id

    def submit(plan: ShardPlan):
        return task.options(name=f"render {plan.path.name}").remote(
            config, plan, dataset_id, options
        )

    yield from run_window(plans, submit, limit, on_tick=on_tick)
