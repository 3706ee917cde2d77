"""Renders a dataset on a Ray cluster: one task, one shard, one Blender process.

The driver plans, keeps a bounded window of tasks in flight and shows progress; pixels go from the
Blender process straight to storage. Whatever is killed, running the command again renders what is
missing: progress is nothing but the shards that are in place.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from ray_jobs.accounts import Accounts
from ray_jobs.cluster import connect
from ray_jobs.fleet import Fleet
from ray_jobs.index import INDEX_NAME, write_index
from ray_jobs.node_check import Expectation
from ray_jobs.pools import MEMORY_GB, ClusterConfig, WorkerPool
from ray_jobs.progress import RenderProgress
from ray_jobs.render_driver import render_plans
from ray_jobs.render_options import RenderOptions, RenderSummary
from synth.dataset import Dataset, ShardPlan
from synth.launch import WORKER_COMMAND, Device
from synth.lock import exclusive
from synth.report import contact_sheet
from synth.sample import DatasetConfig
from synth.sample_config import with_known_assets
from synth.unfinished import remove_stale_temporaries


def render_dataset(
    config: DatasetConfig,
    out: str | Path,
    *,
    workers: int | None = None,
    threads: int = 1,
    address: str | None = None,
    progress: bool = True,
    timeout_s: float | None = None,
    memory_bytes: float = MEMORY_GB * 1e9,
    device: Device = "CPU",
    cluster: ClusterConfig | None = None,
    command: Sequence[str] = WORKER_COMMAND,
) -> RenderSummary:
    """Render what is missing of a dataset.

    Args:
        config: the dataset; an existing one must have been made with the same, but may grow.
        out: its directory; on a cluster, a path that all machines share.
        workers: Blender processes at a time; None: one for every `threads` CPUs.
        threads: CPU threads of each; 1 is the most efficient when there is a head for each.
        address: Ray cluster; None starts one on this machine.
        progress: show progress on stderr.
        timeout_s: limit for one shard; None derives a generous one from its pixels.
        memory_bytes: reserved for each Blender process.
        device: Cycles device of all processes; pixels differ between kinds of device.
        cluster: instead of the five arguments above, for several kinds of workers and more.
        command: starts the worker; tests replace it.

    Raises:
        DatasetMismatch: the existing dataset differs, or a foreign shard is in the way.
        RecordError: another process is rendering into the same directory.
        ConfigError: no cluster at the address, or no machine that could render.
        AssetError: a user's asset that the configuration names is not in the store.
    """
    started = time.monotonic()
    config = with_known_assets(config)
    root = Path(out).absolute()
    if cluster is None:
        pool = WorkerPool(device, workers, threads, memory_gb=memory_bytes / 1e9)
        cluster = ClusterConfig(address, (pool,))
    with exclusive(root):
        dataset = Dataset.create(root, config)
        options = RenderOptions(timeout_s, tuple(command), Expectation.of(dataset))
        for directory in (root, dataset.shard_directory):
            remove_stale_temporaries(directory)
        plans = dataset.plan()
        missing = sum(plan.head_count for plan in plans)
        bar = RenderProgress(config.heads, config.heads - missing, enabled=progress and bool(plans))
        accounts = Accounts(root, bar)
        if plans:
            try:
                _quarantine_damaged(dataset, plans, bar)
                dataset.record_devices(cluster.devices, mix=cluster.mix_devices)
                with connect(cluster.address, num_cpus=cluster.slots) as connected:
                    fleet = Fleet(connected, cluster, options.expectation, bar.message)
                    for finished in render_plans(dataset, plans, options, fleet, bar.tick):
                        accounts.add(finished)
            finally:
                bar.close()
                remove_stale_temporaries(dataset.shard_directory)  # of workers that were killed
        heads = config.heads - missing + accounts.rendered
        sheet, index = _summaries(dataset) if heads else (None, None)
        return RenderSummary(
            root=root,
            heads=heads,
            rendered=accounts.rendered,
            expected=config.heads,
            failed=tuple(accounts.failed),
            wall_s=time.monotonic() - started,
            peak_rss_bytes=accounts.peak_rss_bytes,
            contact_sheet=sheet,
            index=index,
        )


def _summaries(dataset: Dataset) -> tuple[Path, Path]:
    """Contact sheet and index, made again if a shard is newer than they are."""
    sheet, index = dataset.root / "contact.png", dataset.root / INDEX_NAME
    newest = max(path.stat().st_mtime_ns for path in dataset.shard_directory.glob("shard-*.tar"))
    if not all(path.is_file() and path.stat().st_mtime_ns > newest for path in (sheet, index)):
        contact_sheet(dataset, sheet)
        write_index(dataset)
    return sheet, index


def _quarantine_damaged(dataset: Dataset, plans: Sequence[ShardPlan], bar: RenderProgress) -> None:
    """Move damaged shards aside, never over an earlier one, so that they can be looked at."""
    for plan in plans:
        if not plan.damaged:
            continue
        directory = dataset.root / "quarantine"
        directory.mkdir(exist_ok=True)
        target = directory / f"{plan.path.name}.{time.time_ns()}"
        plan.path.rename(target)
        bar.message(f"{plan.reason}; moved to {target} and rendered again")
