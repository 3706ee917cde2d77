"""What a dataset will cost: a few of its heads are rendered on this machine, and the rest is sums.

    a shard takes     start + heads_per_shard * head        (CPU seconds; of a GPU, seconds)
    a worker takes    that / threads                        (its threads are busy all the time)
    the run takes     the sum of all shards / workers, and half a shard at the end

Where the CPU renders, CPU seconds are taken instead of wall time: they hardly change when the
machine is busy with something else.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from ray_jobs.events import format_duration
from ray_jobs.pools import WorkerPool
from ray_jobs.render_task import time_limit_s
from ray_jobs.retries import MemoryReservation
from synth.errors import RenderError
from synth.launch import WORKER_COMMAND, render_shard
from synth.record import ShardReader
from synth.sample import DatasetConfig, sample_head
from synth.unfinished import scratch_directory

MEASURED_HEADS = 3


@dataclass(frozen=True)
class Measurement:
    """What rendering some heads of a configuration took on this machine.

    Attributes:
        heads: how many.
        head_s: seconds of a worker for a head, each; CPU seconds / threads if the CPU renders.
        start_s: likewise, for starting Blender and committing a shard.
        head_bytes: stored bytes of a head, on average.
        peak_rss_bytes: of the Blender process.
        slots: workers that this machine holds at a time.
        machine: names it.
    """

    heads: int
    head_s: tuple[float, ...]
    start_s: float
    head_bytes: int
    peak_rss_bytes: int
    slots: int
    machine: str


@dataclass(frozen=True)
class Estimate:
    """What rendering will take; `str` prints it for a person.

    Attributes:
        heads, shards: to be rendered.
        heads_per_shard: of the configuration.
        workers, threads: Blender processes at a time, and CPU threads of each.
        machines: like this one, that these workers need.
        head_s, start_s, shard_s: seconds of a worker, on average.
        hours: of the run.
        machine_hours: of all machines together.
        cpu_core_hours: of all threads together.
        storage_gb: 10^9 bytes.
        memory_gb: that each worker needs.
        measured: what it is taken from.
        assumptions: in plain words.
    """

    heads: int
    shards: int
    heads_per_shard: int
    workers: int
    threads: int
    machines: int
    head_s: float
    start_s: float
    shard_s: float
    hours: float
    machine_hours: float
    cpu_core_hours: float
    storage_gb: float
    memory_gb: float
    measured: Measurement
    assumptions: tuple[str, ...]

    def __str__(self) -> str:
        low, high = min(self.measured.head_s), max(self.measured.head_s)
        rows = {
            "heads": f"{self.heads} in {self.shards} shards of {self.heads_per_shard}",
            "a head": f"{self.head_s:.1f} s of a worker ({low:.1f} to {high:.1f})",
            "a shard": f"{self.shard_s:.1f} s, {self.start_s:.1f} s of it to start",
            "workers": f"{self.workers} with {self.threads} threads, on {self.machines} machines",
            "time": format_duration(3600 * self.hours),
            "cost": f"{_short(self.machine_hours)} machine-hours, "
            f"{_short(self.cpu_core_hours)} core-hours",
            "storage": f"{_short(self.storage_gb)} GB, "
            f"{_short(self.measured.head_bytes / 1e6)} MB a head",
            "memory": f"{self.memory_gb:.1f} GB for each worker",
        }
        lines = [f"{name:<9} {value}" for name, value in rows.items()]
        return "\n".join([*lines, "assuming:", *(f"  - {line}" for line in self.assumptions)])


def measure(
    config: DatasetConfig,
    pool: WorkerPool,
    *,
    heads: int = MEASURED_HEADS,
    command: Sequence[str] = WORKER_COMMAND,
) -> Measurement:
    """Render some heads of a configuration, evenly spaced, in a scratch directory.

    Args:
        config: of the dataset.
        pool: the kind of worker.
        heads: how many.
        command: starts the worker; tests replace it.

    Raises:
        RenderError, SpecError, AssetError, DeviceError: they cannot be rendered.
    """
    count = min(heads, config.heads)
    specs = [sample_head(config, number * config.heads // count) for number in range(count)]
    with scratch_directory("estimate") as scratch:
        result = render_shard(
            specs,
            scratch / "shards" / "shard-000000.tar",
            threads=pool.threads,
            gpu_ids=(0,) if pool.gpus_each else (),
            device=pool.device,
            timeout_s=time_limit_s(specs),
            asset_store=config.assets.store.expanduser(),
            command=command,
        )
        if result.absent:
            raise RenderError(f"a head that was to be measured failed: {result.absent[0].reason}")
        timings = [head.meta["timings_s"] for head in ShardReader(result.path).heads()]
        size = result.path.stat().st_size
    # importing Blender is booked on the first head, but is paid once a process
    wall = [t["head_s"] - t.get("import_s", 0.0) for t in timings]
    busy = result.cpu_s / pool.threads if pool.device == "CPU" else result.wall_s
    scale = busy / result.wall_s
    memory = int(result.peak_rss_bytes * MemoryReservation.HEADROOM)
    by_memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // max(1, memory)
    cpus = os.cpu_count() or 1
    return Measurement(
        heads=count,
        head_s=tuple(seconds * scale for seconds in wall),
        start_s=(result.wall_s - sum(wall)) * scale,
        head_bytes=size // count,
        peak_rss_bytes=result.peak_rss_bytes,
        slots=max(1, min(cpus // pool.threads, by_memory)),
        machine=f"{platform.node()}, {cpus} CPUs",
    )


def estimate(
    measured: Measurement,
    *,
    heads: int,
    heads_per_shard: int,
    pool: WorkerPool,
) -> Estimate:
    """The sums.

    Args:
        measured: on this machine.
        heads: to be rendered, at least 1.
        heads_per_shard: of the configuration.
        pool: the workers; how many is its `workers`, or what this machine holds.
    """
    workers = pool.workers or measured.slots
    machines = -(-workers // measured.slots)
    head_s = fmean(measured.head_s)
    shards = -(-heads // heads_per_shard)
    shard_s = measured.start_s + min(heads, heads_per_shard) * head_s
    total_s = shards * measured.start_s + heads * head_s
    # workers do not wait for each other but at the end
    run_s = total_s / workers + shard_s / 2 if shards > workers else shard_s
    hours = run_s / 3600
    memory_gb = measured.peak_rss_bytes * MemoryReservation.HEADROOM / 1e9
    return Estimate(
        heads=heads,
        shards=shards,
        heads_per_shard=heads_per_shard,
        workers=workers,
        threads=pool.threads,
        machines=machines,
        head_s=head_s,
        start_s=measured.start_s,
        shard_s=shard_s,
        hours=hours,
        machine_hours=hours * machines,
        cpu_core_hours=total_s * pool.threads / 3600,
        storage_gb=heads * measured.head_bytes / 1e9,
        memory_gb=memory_gb,
        measured=measured,
        assumptions=_assumptions(measured, pool, workers, machines),
    )


def _assumptions(
    measured: Measurement, pool: WorkerPool, workers: int, machines: int
) -> tuple[str, ...]:
    clock = "CPU seconds" if pool.device == "CPU" else "seconds"
    lines = [
        f"measured in {clock} on {measured.heads} heads of this configuration, evenly spaced; "
        "heads differ, so expect some tens of percent either way",
        f"all machines are like this one ({measured.machine}), which holds {measured.slots} such "
        "workers, and do nothing else",
        "every worker's threads are busy all the time; starting a Blender for each shard and "
        "writing to a local disk are included, a slower storage is not",
        "nothing is rendered twice, and half a shard is waited for at the end",
    ]
    if workers > measured.slots:
        lines.append(f"{workers} workers are {machines} machines")
    return tuple(lines)


def _short(value: float) -> str:
    """A number in two or three digits, large ones whole."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"
