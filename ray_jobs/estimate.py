"""What a dataset will cost: what some of its heads took, and sums.

    a shard takes     start + its heads * head              (seconds of a worker)
    the run takes     heads / (heads a second of all workers), and half a shard at the end

The heads are those of the dataset that such workers have rendered, by the clock on the wall; or, if
there are none, a few that are rendered on this machine for the purpose. There, where the CPU
renders, CPU seconds over threads are taken: they hardly change when the machine is busy with
something else.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from statistics import fmean

from ray_jobs.events import format_duration
from ray_jobs.pools import WorkerPool
from ray_jobs.render_task import time_limit_s
from ray_jobs.retries import MemoryReservation
from synth.dataset import Dataset
from synth.errors import RenderError
from synth.launch import WORKER_COMMAND, render_shard
from synth.record import ShardReader
from synth.sample import DatasetConfig, sample_head
from synth.shardplan import Plan
from synth.unfinished import scratch_directory

MEASURED_HEADS = 3
"""Rendered here, unless the dataset has as many of the kind of worker."""
SAMPLED_SHARDS = 50
"""Of the dataset at most, evenly spaced: the end and a small file a head are read of each."""


@dataclass(frozen=True)
class Measurement:
    """What rendering takes a kind of worker.

    Attributes:
        head_s: seconds of a worker, for each head that was measured.
        start_s: likewise, for starting Blender and committing a shard.
        head_bytes: stored bytes of a head, on average.
        memory_bytes: that a worker needs.
        source: where this is from, in words.
    """

    head_s: tuple[float, ...]
    start_s: float
    head_bytes: int
    memory_bytes: int
    source: str


@dataclass(frozen=True)
class PoolCost:
    """The part of one kind of worker.

    Attributes:
        pool: names it.
        workers, threads: Blender processes at a time, and CPU threads of each.
        machines: like this one, that they need; 0 of workers on GPUs.
        gpus: that they need.
        heads: that they will render of all.
        head_s, shard_s: seconds of a worker, on average.
        memory_gb: 10^9 bytes that each needs.
        measured: what it is taken from.
    """

    pool: str
    workers: int
    threads: int
    machines: int
    gpus: int
    heads: int
    head_s: float
    shard_s: float
    memory_gb: float
    measured: Measurement

    def __str__(self) -> str:
        low, high = min(self.measured.head_s), max(self.measured.head_s)
        place = f"{self.gpus} GPUs" if self.gpus else f"{self.machines} machines"
        rows = {
            "workers": f"{self.workers} on {self.pool}, on {place}: {self.heads} heads",
            "a head": f"{self.head_s:.1f} s of a worker ({low:.1f} to {high:.1f})",
            "a shard": f"{self.shard_s:.1f} s, {self.measured.start_s:.1f} s of it to start",
            "memory": f"{self.memory_gb:.1f} GB for each worker",
        }
        return _table(rows)


@dataclass(frozen=True)
class Estimate:
    """What rendering will take; `str` prints it for a person.

    Attributes:
        heads, shards: to be rendered.
        hours: of the run.
        machine_hours: of all machines whose CPUs render.
        gpu_hours: of all GPUs.
        cpu_core_hours: of all threads together.
        storage_gb: 10^9 bytes.
        head_bytes: stored bytes of a head, on average.
        pools: the kinds of workers.
        assumptions: in plain words.
    """

    heads: int
    shards: int
    hours: float
    machine_hours: float
    gpu_hours: float
    cpu_core_hours: float
    storage_gb: float
    head_bytes: int
    pools: tuple[PoolCost, ...]
    assumptions: tuple[str, ...]

    def __str__(self) -> str:
        hours = {"machine": self.machine_hours, "GPU": self.gpu_hours, "core": self.cpu_core_hours}
        cost = [f"{_short(value)} {what}-hours" for what, value in hours.items() if value]
        rows = {
            "heads": f"{self.heads} in {self.shards} shards",
            "time": format_duration(3600 * self.hours),
            "cost": ", ".join(cost),
            "storage": f"{_short(self.storage_gb)} GB, {_short(self.head_bytes / 1e6)} MB a head",
        }
        assumptions = [f"  - {line}" for line in self.assumptions]
        return "\n".join([_table(rows), *map(str, self.pools), "assuming:", *assumptions])


def recorded(dataset: Dataset, plan: Plan, pool: WorkerPool) -> Measurement | None:
    """What the heads took that workers of this kind have rendered for the dataset; None if they are
    fewer than `MEASURED_HEADS`.

    Args:
        dataset: with heads or without.
        plan: of it.
        pool: its device and number of threads tell the kind.

    Raises:
        RecordCorrupt: a shard is damaged.
    """
    rows = plan.settled[plan.settled["heads"] > 0]
    every, kind = dataset.expected(), (pool.device, pool.threads)
    metas, shards = [], 0
    for shard in rows["shard"][:: -(-len(rows) // SAMPLED_SHARDS) or 1]:
        found = [head.meta for head in ShardReader(every[int(shard)].path).heads()]
        found = [meta for meta in found if (meta["device"], meta["threads"]) == kind]
        metas, shards = metas + found, shards + bool(found)
    if len(metas) < MEASURED_HEADS:
        return None
    # importing Blender is booked on the first head, but is paid once a process
    imports = [meta["timings_s"].get("import_s", 0.0) for meta in metas]
    nodes = sorted({meta["node"] for meta in metas})
    named = f"{', '.join(nodes[:3])}{' and others' if len(nodes) > 3 else ''}"
    return Measurement(
        head_s=tuple(m["timings_s"]["head_s"] - start for m, start in zip(metas, imports)),
        start_s=sum(imports) / shards,
        head_bytes=int(rows["size"].sum() // rows["heads"].sum()),
        memory_bytes=pool.memory_bytes,
        source=f"{len(metas)} heads of this dataset, in seconds of the {len(nodes)} machines that "
        f"rendered them, as busy as those were ({named}); starting is the import of Blender only, "
        "memory is what the pool reserves",
    )


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
    wall = [t["head_s"] - t.get("import_s", 0.0) for t in timings]
    busy = result.cpu_s / pool.threads if pool.device == "CPU" else result.wall_s
    scale = busy / result.wall_s
    clock = "CPU seconds" if pool.device == "CPU" else "seconds"
    return Measurement(
        head_s=tuple(seconds * scale for seconds in wall),
        start_s=(result.wall_s - sum(wall)) * scale,
        head_bytes=size // count,
        memory_bytes=int(result.peak_rss_bytes * MemoryReservation.HEADROOM),
        source=f"{count} heads of this configuration, evenly spaced, rendered now in {clock} on "
        f"{_this_machine()}",
    )


def estimate(
    pools: Sequence[tuple[WorkerPool, Measurement]], *, heads: int, shards: int
) -> Estimate:
    """The sums.

    Args:
        pools: the kinds of workers and what a head takes each; how many is their `workers`, or what
            this machine holds.
        heads, shards: to be rendered, at least 1.
    """
    in_shard = heads / shards
    shard_s = [found.start_s + in_shard * fmean(found.head_s) for _, found in pools]
    workers = [pool.workers or _workers_here(pool, found) for pool, found in pools]
    rates = [count * in_shard / seconds for count, seconds in zip(workers, shard_s)]
    costs = tuple(
        _cost(pool, found, count, seconds, round(heads * rate / sum(rates)))
        for (pool, found), count, seconds, rate in zip(pools, workers, shard_s, rates)
    )
    # workers do not wait for each other but at the end
    waits = shards > sum(workers)
    hours = (heads / sum(rates) + max(shard_s) / 2 if waits else max(shard_s)) / 3600
    head_bytes = max(found.head_bytes for _, found in pools)
    return Estimate(
        heads=heads,
        shards=shards,
        hours=hours,
        machine_hours=hours * sum(cost.machines for cost in costs),
        gpu_hours=hours * sum(cost.gpus for cost in costs),
        cpu_core_hours=sum(c.heads * c.shard_s * c.threads for c in costs) / in_shard / 3600,
        storage_gb=heads * head_bytes / 1e9,
        head_bytes=head_bytes,
        pools=costs,
        assumptions=_assumptions(costs),
    )


def _cost(
    pool: WorkerPool, measured: Measurement, workers: int, shard_s: float, heads: int
) -> PoolCost:
    slots = _workers_here(pool, measured)
    return PoolCost(
        pool=str(pool),
        workers=workers,
        threads=pool.threads,
        machines=0 if pool.gpus_each else -(-workers // slots),
        gpus=ceil(workers * pool.gpus_each),
        heads=heads,
        head_s=fmean(measured.head_s),
        shard_s=shard_s,
        memory_gb=measured.memory_bytes / 1e9,
        measured=measured,
    )


def _workers_here(pool: WorkerPool, measured: Measurement) -> int:
    """How many this machine holds at a time; on GPUs, how many one GPU does."""
    if pool.gpus_each:
        return max(1, int(1 / pool.gpus_each))
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    by_memory = memory_bytes // max(1, measured.memory_bytes)
    return max(1, min((os.cpu_count() or 1) // pool.threads, by_memory))


def _this_machine() -> str:
    return f"{platform.node()}, {os.cpu_count() or 1} CPUs"


def _assumptions(costs: Sequence[PoolCost]) -> tuple[str, ...]:
    lines = [f"{cost.pool}: {cost.measured.source}" for cost in costs]
    lines.append("heads differ, so expect some tens of percent either way")
    if any(cost.machines for cost in costs):
        lines.append(f"machines are like this one ({_this_machine()}) and do nothing else")
    lines.append(
        "every worker has a shard all the time, storage is as fast as it was when that was "
        "measured, nothing is rendered twice, and half a shard is waited for at the end"
    )
    return tuple(lines)


def _table(rows: dict[str, str]) -> str:
    return "\n".join(f"{name:<9} {value}" for name, value in rows.items())


def _short(value: float) -> str:
    """A number in two or three digits, large ones whole."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"
