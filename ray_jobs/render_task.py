"""What runs on a machine of the cluster: a shard is sampled and rendered there."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ray_jobs.cluster import this_node
from ray_jobs.node_check import require_fit
from ray_jobs.pools import WorkerPool
from ray_jobs.render_options import RenderOptions
from ray_jobs.retries import TaskError
from synth.dataset import ShardPlan
from synth.errors import DeviceError, HeadloomError, NodeUnfit, RenderError, SpecError
from synth.launch import ShardResult, render_shard
from synth.sample import DatasetConfig
from synth.spec import HeadSpec

_SLOWEST_SAMPLES_PER_S = 50_000
"""A tenth of what one thread of an old machine does; only to tell slow from stuck."""


@dataclass(frozen=True)
class RenderContext:
    """What all tasks of a run share; put into Ray's object store once.

    Attributes:
        config: of the dataset.
        dataset_id: its id.
        options: how shards are rendered.
        retry_failed: heads that failed in earlier runs are tried again.
        reports: the actor that is told of every head.
    """

    config: DatasetConfig
    dataset_id: str
    options: RenderOptions
    retry_failed: bool
    reports: Any


@dataclass(frozen=True)
class TaskReport:
    """How an attempt ended.

    Attributes:
        node: the machine, for people.
        node_id: Ray's id of it.
        result: the committed shard, or None.
        error: why there is none.
    """

    node: str
    node_id: str
    result: ShardResult | None = None
    error: TaskError | None = None


def render_task(
    context: RenderContext, pool: WorkerPool, plan: ShardPlan, skip: Mapping[str, str]
) -> TaskReport:
    """Render a shard in a Ray worker, which samples its own specs, so that the driver need not.

    Args:
        context: of the run.
        pool: what this worker is.
        plan: the shard.
        skip: by spec id, why a head is not tried.
    """
    import ray

    node, node_id = this_node(), ray.get_runtime_context().get_node_id()
    shard, reports, options = plan.path.name, context.reports, context.options
    reports.begin.remote(shard, plan.start, node, node_id)
    try:
        if options.expectation is not None:
            require_fit(options.expectation)
        specs = plan.specs(context.config)
        index_of = {spec.spec_id: spec.index for spec in specs}
        result = render_shard(
            specs,
            plan.path,
            threads=pool.threads,
            gpu_ids=ray.get_gpu_ids(),
            device=pool.device,
            timeout_s=options.timeout_s or time_limit_s(specs),
            dataset_id=context.dataset_id,
            asset_store=context.config.assets.store.expanduser(),
            quality=context.config.quality,
            memory_limit_bytes=pool.memory_limit_bytes,
            node=node,
            skip=skip,
            retry_failed=context.retry_failed,
            on_progress=lambda progress: reports.heads.remote(
                shard, index_of[progress.spec_id], progress.done, progress.rendered
            ),
            command=options.command,
        )
    except (HeadloomError, OSError) as error:
        return TaskReport(node, node_id, error=task_error(error, shard))
    return TaskReport(node, node_id, result)


def task_error(error: Exception, shard: str) -> TaskError:
    """What a failed attempt tells the driver."""
    name, spec_id = type(error).__name__, getattr(error, "spec_id", None)
    message = str(error).removeprefix(f"{shard}: ")
    log_tail = getattr(error, "log_tail", "")
    if isinstance(error, NodeUnfit | DeviceError):  # others may have what this machine lacks
        return TaskError("unfit", name, message, log_tail)
    if isinstance(error, OSError):
        return TaskError("storage", name, message, log_tail)
    if spec_id is not None and isinstance(error, RenderError | SpecError):
        kind = "head" if error.retryable else "bad_head"
        return TaskError(kind, name, message, log_tail, spec_id)
    if not error.retryable:
        return TaskError("permanent", name, message, log_tail)
    killed = getattr(error, "exit_code", None) == -signal.SIGKILL
    return TaskError("shard", name, message, log_tail, out_of_memory=killed)


def time_limit_s(specs: Sequence[HeadSpec]) -> float:
    """Seconds after which a shard is taken to be stuck, generous by a factor of ten or more."""
    limit_s = 600.0
    for spec in specs:
        samples = len(spec.cameras) * spec.render.size**2 * spec.render.samples
        limit_s += 300.0 + 10.0 * len(spec.cameras) + samples / _SLOWEST_SAMPLES_PER_S
    return limit_s
