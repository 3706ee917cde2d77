"""Renders a dataset on a Ray cluster: one task, one shard, one Blender process.

The driver plans, keeps a bounded window of tasks in flight and shows progress; pixels go from the
Blender process straight to storage. Whatever is killed, running the command again renders what is
missing: progress is nothing but the shards that are in place.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ray_jobs.cluster import ClusterInfo, connect
from ray_jobs.index import INDEX_NAME, write_index
from ray_jobs.progress import RenderProgress, format_duration
from ray_jobs.window import Finished, run_window
from synth.config import to_dict
from synth.dataset import Dataset, ShardPlan
from synth.errors import HeadloomError, RenderCrashed, RenderTimeout
from synth.launch import WORKER_COMMAND, Device, ShardResult, render_shard
from synth.lock import exclusive
from synth.report import contact_sheet
from synth.sample import DatasetConfig
from synth.sample_config import with_known_assets
from synth.spec import HeadSpec
from synth.unfinished import remove_stale_temporaries

FAILURES_NAME = "failures.jsonl"
MEMORY_BYTES = 1_600_000_000
"""Reserved per Blender process; without it Ray would start more than the memory holds."""
MAX_RETRIES = 2

_SLOWEST_SAMPLES_PER_S = 50_000
"""A tenth of what one thread of an old machine does; only to tell slow from stuck."""


@dataclass(frozen=True)
class RenderOptions:
    """How the shards are rendered; nothing here changes a pixel.

    Attributes:
        threads: CPU threads of each Blender process.
        timeout_s: limit for one shard; None derives a generous one from its pixels.
        memory_bytes: reserved for each process.
        device: Cycles device; other than "CPU", every process gets one GPU of that kind.
        command: starts the worker; tests replace it.
    """

    threads: int = 1
    timeout_s: float | None = None
    memory_bytes: int = MEMORY_BYTES
    device: Device = "CPU"
    command: tuple[str, ...] = WORKER_COMMAND

    @property
    def gpus(self) -> int:
        """GPUs reserved for each process."""
        return 0 if self.device == "CPU" else 1


@dataclass(frozen=True)
class ShardFailure:
    """A shard that could not be rendered, as written to `failures.jsonl`."""

    time: str
    shard: str
    start: int
    stop: int
    error: str
    message: str
    log_tail: str

    @property
    def head_count(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class RenderSummary:
    """What `render_dataset` did; `str` prints it for a person.

    Attributes:
        root: the dataset.
        heads: heads that are there now.
        rendered: heads rendered by this run.
        expected: heads the configuration asks for.
        failed: the shards that stayed failed.
        wall_s: seconds.
        peak_rss_bytes: largest memory of a Blender process in this run, or 0.
        contact_sheet: the picture, None if there is no head.
        index: the Parquet index, None if there is no head.
    """

    root: Path
    heads: int
    rendered: int
    expected: int
    failed: tuple[ShardFailure, ...]
    wall_s: float
    peak_rss_bytes: int
    contact_sheet: Path | None
    index: Path | None

    def __str__(self) -> str:
        rate = f", {60 * self.rendered / self.wall_s:.1f} heads/min" if self.rendered else ""
        lines = [
            f"{self.root}: {self.heads} of {self.expected} heads, {self.rendered} rendered now "
            f"in {format_duration(self.wall_s)}{rate}"
        ]
        if self.contact_sheet is not None:
            lines.append(f"contact sheet: {self.contact_sheet}")
        for failure in self.failed[:5]:
            lines.append(f"failed: {failure.shard}: {failure.error}: {failure.message}")
        if self.failed:
            lines.append(
                f"{len(self.failed)} shards failed, see {self.root / FAILURES_NAME}; "
                "the same command tries them again"
            )
        return "\n".join(lines)


def render_dataset(
    config: DatasetConfig,
    out: str | Path,
    *,
    workers: int | None = None,
    threads: int = 1,
    address: str | None = None,
    progress: bool = True,
    timeout_s: float | None = None,
    memory_bytes: int = MEMORY_BYTES,
    device: Device = "CPU",
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
        command: starts the worker; tests replace it.

    Raises:
        DatasetMismatch: the existing dataset differs, or a foreign shard is in the way.
        RecordError: another process is rendering into the same directory.
        ConfigError: no cluster at the address, or no machine large enough.
        AssetError: a user's asset that the configuration names is not in the store.
    """
    started = time.monotonic()
    config = with_known_assets(config)
    root = Path(out).absolute()
    options = RenderOptions(threads, timeout_s, memory_bytes, device, tuple(command))
    with exclusive(root):
        dataset = Dataset.create(root, config)
        remove_stale_temporaries(dataset.shard_directory)
        plans = dataset.plan()
        missing = sum(plan.head_count for plan in plans)
        failed: list[ShardFailure] = []
        results: list[ShardResult] = []
        if plans:
            bar = RenderProgress(config.heads, config.heads - missing, enabled=progress)
            try:
                _quarantine_damaged(dataset, plans, bar)
                slots = None if workers is None else workers * threads
                with connect(address, num_cpus=slots) as cluster:
                    cluster.require(cpus=threads, memory_bytes=memory_bytes, gpus=options.gpus)
                    limit = workers or _slots(cluster, threads)
                    _render_plans(dataset, plans, options, limit, bar, results, failed)
            finally:
                bar.close()
                remove_stale_temporaries(dataset.shard_directory)  # of workers that were killed
        rendered = sum(result.head_count for result in results)
        any_heads = config.heads - missing + rendered > 0
        sheet, index = _summaries(dataset) if any_heads else (None, None)
        return RenderSummary(
            root=root,
            heads=config.heads - missing + rendered,
            rendered=rendered,
            expected=config.heads,
            failed=tuple(failed),
            wall_s=time.monotonic() - started,
            peak_rss_bytes=max((result.peak_rss_bytes for result in results), default=0),
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


def _slots(cluster: ClusterInfo, threads: int) -> int:
    """Tasks in flight: one per slot here; twice that on a cluster, which may also grow."""
    slots = max(1, int(cluster.cpus // threads))
    return slots if cluster.local else 2 * slots


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


def _render_plans(
    dataset: Dataset,
    plans: Sequence[ShardPlan],
    options: RenderOptions,
    limit: int,
    bar: RenderProgress,
    results: list[ShardResult],
    failed: list[ShardFailure],
) -> None:
    import ray

    # Permanent errors are not in the list: Ray raises them at once.
    task = ray.remote(
        num_cpus=options.threads,
        num_gpus=options.gpus,
        memory=options.memory_bytes,
        max_retries=MAX_RETRIES,
        retry_exceptions=[RenderCrashed, RenderTimeout, OSError],
        scheduling_strategy="SPREAD",
    )(_render_task)
    config, dataset_id = dataset.config, dataset.dataset_id

    def submit(plan: ShardPlan):
        return task.options(name=f"render {plan.path.name}").remote(
            config, plan, dataset_id, options
        )

    for finished in run_window(plans, submit, limit, on_tick=bar.tick):
        if finished.error is None:
            results.append(finished.value)
            bar.add(finished.item.head_count)
            continue
        failure = _failure(finished)
        _append_line(dataset.root / FAILURES_NAME, failure)
        failed.append(failure)
        bar.add_failed(failure.head_count)
        bar.message(f"{failure.shard} failed: {failure.error}: {failure.message}")


def _render_task(
    config: DatasetConfig, plan: ShardPlan, dataset_id: str, options: RenderOptions
) -> ShardResult:
    """Runs in a Ray worker; samples its own specs, so that the driver need not."""
    import ray

    specs = plan.specs(config)
    return render_shard(
        specs,
        plan.path,
        threads=options.threads,
        gpu_ids=ray.get_gpu_ids(),
        device=options.device,
        timeout_s=options.timeout_s or time_limit_s(specs),
        dataset_id=dataset_id,
        asset_store=config.assets.store.expanduser(),
        command=options.command,
    )


def time_limit_s(specs: Sequence[HeadSpec]) -> float:
    """Seconds after which a shard is taken to be stuck, generous by a factor of ten or more."""
    limit_s = 600.0
    for spec in specs:
        samples = len(spec.cameras) * spec.render.size**2 * spec.render.samples
        limit_s += 300.0 + 10.0 * len(spec.cameras) + samples / _SLOWEST_SAMPLES_PER_S
    return limit_s


def _failure(finished: Finished[ShardPlan, ShardResult]) -> ShardFailure:
    plan, error = finished.item, finished.error
    cause = getattr(error, "cause", None) or error  # Ray wraps what a task raised
    known = isinstance(cause, HeadloomError)
    return ShardFailure(
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        shard=plan.path.name,
        start=plan.start,
        stop=plan.stop,
        error=type(cause).__name__,
        message=str(cause).removeprefix(f"{plan.path.name}: ") if known else _last_line(cause),
        log_tail=getattr(cause, "log_tail", ""),
    )


def _last_line(error: Exception) -> str:
    """Ray's own errors are pages of advice around one sentence."""
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else repr(error)


def _append_line(path: Path, failure: ShardFailure) -> None:
    """One JSON line, on the disk when this returns."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(to_dict(failure)) + "\n")
        file.flush()
        os.fsync(file.fileno())
