"""What the control plane costs: CPU seconds of the driver per shard, from the first to the last.

    python tests/bench/bench_control.py [--shards 20000] [--workers 8]

The renderer is a stub: a Ray task that reports its heads and returns a result, without a process
and without a file. All else is real: plan, window, Ray, retries (an attempt in a hundred fails),
head reports, accounts, status.json. CPU seconds hold on a loaded machine, wall time does not. Goal:
at most 5 ms a shard, flat; the driver's memory does not grow with the shards.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path

from ray_jobs.accounts import Accounts
from ray_jobs.cluster import connect
from ray_jobs.fleet import Fleet
from ray_jobs.pools import ClusterConfig, WorkerPool
from ray_jobs.progress import RunLog
from ray_jobs.render_driver import Driver
from ray_jobs.render_options import RenderOptions
from ray_jobs.render_task import TaskReport
from ray_jobs.retries import TaskError
from synth.dataset import Dataset
from synth.launch import ShardResult
from synth.sample import DatasetConfig

HEADS_PER_SHARD = 4
GOAL_MS, GROWTH_MB = 5.0, 20.0


def stub_task(context, pool, plan, skip) -> TaskReport:
    """What `render_task` does, but for rendering."""
    import ray

    node_id = ray.get_runtime_context().get_node_id()
    context.reports.begin.remote(plan.path.name, plan.start, "here", node_id)
    failed_once = plan.path.parent / f"{plan.shard}.failed"
    if plan.shard % 100 == 50 and not failed_once.exists():
        failed_once.touch()
        return TaskReport("here", node_id, error=TaskError("shard", "RenderCrashed", "once"))
    for done in range(1, HEADS_PER_SHARD + 1):
        context.reports.heads.remote(plan.path.name, plan.start + done, done, done)
    spec_ids = tuple(f"{index:016x}" for index in range(plan.start, plan.stop))
    result = ShardResult(plan.path, spec_ids, (), 60.0, (15.0,) * 4, 58.0, 700_000_000, "here")
    return TaskReport("here", node_id, result)


class Meter:
    """CPU and memory of this process at every `step` committed shards."""

    def __init__(self, step: int):
        self.step, self.rows, self._count = step, [], 0
        self.start()

    def start(self) -> None:
        self._last = time.process_time(), time.perf_counter()

    def shard(self) -> None:
        self._count += 1
        if self._count % self.step:
            return
        now = time.process_time(), time.perf_counter()
        cpu_ms, wall_ms = (1e3 * (b - a) / self.step for a, b in zip(self._last, now))
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        self.rows.append((self._count, cpu_ms, wall_ms, pages * os.sysconf("SC_PAGE_SIZE") / 2**20))
        self._last = now


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shards", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=8)
    arguments = parser.parse_args()
    heads = HEADS_PER_SHARD * arguments.shards
    config = DatasetConfig(heads=heads, heads_per_shard=HEADS_PER_SHARD)
    meter = Meter(max(1, arguments.shards // 20))
    with tempfile.TemporaryDirectory(prefix="headloom-bench-") as folder:
        dataset = Dataset.create(Path(folder) / "heads", config)
        plans = dataset.plan()
        pool = WorkerPool(workers=arguments.workers, memory_gb=0.05)
        cluster = ClusterConfig(None, (pool,))
        log = RunLog(log_format="json", quiet=True)
        accounts = Accounts(dataset.root, dataset.dataset_id, heads, heads, 0, 0, (), log)
        committed = accounts.committed

        def counted(*values) -> None:
            committed(*values)
            meter.shard()

        accounts.committed = counted
        with connect(None, num_cpus=arguments.workers) as connected:
            fleet = Fleet(connected, cluster, None, print)
            driver = Driver(dataset, plans, RenderOptions(), fleet, accounts, task=stub_task)
            meter.start()
            driver.run()
        accounts.end("finished")
    return report(meter, arguments, accounts)


def report(meter: Meter, arguments: argparse.Namespace, accounts: Accounts) -> int:
    """Print the curve and the verdict; the exit code is 1 if a goal was missed."""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("headloom", "ray"))
    print(f"{versions}, Python {platform.python_version()}, {os.cpu_count()} CPUs, ", end="")
    print(f"{arguments.shards} shards, {arguments.workers} workers, {accounts.retries} retried\n")
    print("| shards | driver CPU ms/shard | wall ms/shard | driver RSS MB |")
    print("| --- | --- | --- | --- |")
    for count, cpu_ms, wall_ms, rss_mb in meter.rows:
        print(f"| {count} | {cpu_ms:.2f} | {wall_ms:.2f} | {rss_mb:.0f} |")
    first, last = meter.rows[1], meter.rows[-1]
    worst = max(row[1] for row in meter.rows)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\nworst {worst:.2f} ms of CPU a shard (goal {GOAL_MS}); last twentieth / second one: ")
    print(
        f"CPU {last[1] / first[1]:.2f}, memory +{last[3] - first[3]:.0f} MB; peak {peak_mb:.0f} MB"
    )
    flat = last[1] <= 1.5 * first[1] and last[3] - first[3] <= GROWTH_MB
    return 0 if worst <= GOAL_MS and flat else 1


if __name__ == "__main__":
    sys.exit(main())
