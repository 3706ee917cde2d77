"""What runs on a machine of the cluster: a shard is sampled and rendered there."""

from __future__ import annotations

from collections.abc import Sequence

from ray_jobs.cluster import this_node
from ray_jobs.node_check import require_fit
from ray_jobs.pools import WorkerPool
from ray_jobs.render_options import RenderOptions
from synth.dataset import ShardPlan
from synth.errors import DeviceError, NodeUnfit
from synth.launch import ShardResult, render_shard
from synth.sample import DatasetConfig
from synth.spec import HeadSpec

_SLOWEST_SAMPLES_PER_S = 50_000
"""A tenth of what one thread of an old machine does; only to tell slow from stuck."""


def render_task(
    config: DatasetConfig,
    plan: ShardPlan,
    dataset_id: str,
    options: RenderOptions,
    pool: WorkerPool,
) -> ShardResult:
    """Render a shard in a Ray worker, which samples its own specs, so that the driver need not.

    Raises:
        NodeUnfit: this machine cannot take part, or lacks the device; others may.
        HeadloomError: as `synth.launch.render_shard`.
    """
    import ray

    if options.expectation is not None:
        require_fit(options.expectation)
    specs = plan.specs(config)
    try:
        return render_shard(
            specs,
            plan.path,
            threads=pool.threads,
            gpu_ids=ray.get_gpu_ids(),
            device=pool.device,
            timeout_s=options.timeout_s or time_limit_s(specs),
            dataset_id=dataset_id,
            asset_store=config.assets.store.expanduser(),
            quality=config.quality,
            node=this_node(),
            command=options.command,
        )
    except DeviceError as error:
        raise NodeUnfit(str(error), ray.get_runtime_context().get_node_id()) from error


def time_limit_s(specs: Sequence[HeadSpec]) -> float:
    """Seconds after which a shard is taken to be stuck, generous by a factor of ten or more."""
    limit_s = 600.0
    for spec in specs:
        samples = len(spec.cameras) * spec.render.size**2 * spec.render.samples
        limit_s += 300.0 + 10.0 * len(spec.cameras) + samples / _SLOWEST_SAMPLES_PER_S
    return limit_s
