"""Chaos: something is killed every few seconds, and the dataset must equal the one made in peace.

    python tests/bench/bench_chaos.py                                # 200 shards, stub workers
    python tests/bench/bench_chaos.py --shards 40 --every-s 2        # a smoke test
    python tests/bench/bench_chaos.py --blender                      # real heads, tiny

`headloom render` runs against a private Ray cluster of several nodes. A seeded schedule kills
workers (stub or Blender), Ray workers, whole nodes (added again later) and the driver (started
again), damages shards that are in place and fills the disk. When a driver ends by itself the bench
does what its messages say: `headloom dataset repair`, and the same command again. At the end every
pixel is compared with a dataset that met no fault, and everything that lives on or lies about is
counted. Exit code 0: nothing lost, nothing twice, nothing left.

Chaos needs no quiet machine. The dataset lies on a small disk of its own when root runs this;
otherwise the disk is never full.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from importlib import metadata
from pathlib import Path

from synth.dataset import Dataset
from synth.launch import WORKER_COMMAND
from synth.sample import DatasetConfig, ViewsConfig

_spec = importlib.util.spec_from_file_location(
    "headloom_test_farm", Path(__file__).parents[1] / "ray_jobs" / "farm.py"
)
farms = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = farms
_spec.loader.exec_module(farms)

DISK_BYTES = 256 * 2**20
DISK_FULL_S = 3.0
NODE_AWAY_S = 5.0


def main() -> int:
    arguments = _arguments()
    directory = Path(tempfile.mkdtemp(prefix="headloom-chaos-"))
    try:
        with farms.adopted_orphans():
            return _run(arguments, directory)
    finally:
        shutil.rmtree(directory)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shards", type=int, default=200)
    parser.add_argument("--nodes", type=int, default=3, help="each with one CPU")
    parser.add_argument("--every-s", type=float, default=3.0, help="mean time between two faults")
    parser.add_argument("--sleep-s", type=float, default=0.3, help="of a stub, for each head")
    parser.add_argument("--limit-s", type=float, default=3600.0, help="give up after this")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--blender", action="store_true")
    return parser.parse_args()


def _config(arguments: argparse.Namespace) -> DatasetConfig:
    if arguments.blender:
        views = ViewsConfig(canonical=False, random=2)
        return DatasetConfig(
            heads=arguments.shards, size=32, samples=1, heads_per_shard=1, views=views
        )
    views = ViewsConfig(random=0)
    return DatasetConfig(
        heads=2 * arguments.shards, size=16, samples=1, heads_per_shard=2, views=views
    )


def _counting(starts: Path, command: tuple[str, ...]) -> tuple[str, ...]:
    """The command of a worker, which adds a line to a file at every start."""
    return ("sh", "-c", f'echo >> {starts}; exec "$@"', "sh", *command)


def _run(arguments: argparse.Namespace, directory: Path) -> int:
    config = _config(arguments)
    worker = WORKER_COMMAND if arguments.blender else farms.stub(sleep_s=arguments.sleep_s)
    calm, farm = (farms.Farm(directory / name, config) for name in ("peace", "chaos"))
    started = time.monotonic()
    calm.finish(calm.start(command=worker), arguments.limit_s)
    peace_s = time.monotonic() - started
    starts = directory / "starts"
    with farms.small_disk(farm.out, DISK_BYTES) if os.geteuid() == 0 else nullcontext():
        with Chaos(farm, _counting(starts, worker), arguments) as chaos:
            chaos.run()
        return _report(arguments, calm, farm, chaos, peace_s, len(starts.read_text().splitlines()))


def _report(arguments, calm, farm, chaos: Chaos, peace_s: float, tries: int) -> int:
    """Print the table; 1 if anything was lost, is there twice, differs or is left."""
    peace, found = farms.pixels(calm.out), farms.pixels(farm.out)
    indices = [head.index for head in Dataset.open(farm.out).heads()]
    bad = {
        "heads lost": len(peace.keys() - found.keys()),
        "heads twice": len(indices) - len(set(indices)),
        "heads with other pixels": sum(found[i] != peace[i] for i in found.keys() & peace.keys()),
        "unfinished files left": len(farm.unfinished()),
        "processes left": len(farms.descendants()),
    }
    rows = {
        **{name: chaos.done[name] for name in sorted(chaos.done)},
        "drivers started": chaos.drivers,
        "`headloom dataset repair`": chaos.repairs,
        "damaged shards put aside": len(list((farm.out / "quarantine").glob("*"))),
        "worker processes": f"{tries} for {arguments.shards} shards",
        "wall time": f"{chaos.wall_s:.0f} s ({peace_s:.0f} s in peace, without a cluster)",
        **bad,
    }
    print("| | |\n| --- | --- |")
    print("\n".join(f"| {name} | {value} |" for name, value in rows.items()))
    print(
        f"\n{'Blender' if arguments.blender else 'stub'}, {arguments.shards} shards, "
        f"{arguments.nodes} nodes of 1 CPU, a fault every {arguments.every_s:g} s, "
        f"seed {arguments.seed}, {os.cpu_count()} cores, ray {metadata.version('ray')}"
    )
    return int(any(bad.values()))


class Chaos:
    """A cluster, the driver on it, and what is done to both.

    Args:
        farm: the dataset.
        command: starts a worker.
        arguments: of the command line.
    """

    def __init__(self, farm, command: tuple[str, ...], arguments: argparse.Namespace):
        self.done: Counter[str] = Counter()
        self.drivers = self.repairs = 0
        self.wall_s = 0.0
        self._over = False
        self._farm, self._command, self._arguments = farm, command, arguments
        self._random = random.Random(arguments.seed)
        self._later: list[tuple[float, Callable[[], None]]] = []
        self._faults: dict[str, tuple[int, Callable[[], bool]]] = {
            "workers killed": (6, self._kill_worker),
            "Ray workers killed": (4, self._kill_ray_worker),
            "nodes killed": (2, self._kill_node),
            "drivers killed": (2, self._kill_driver),
            "shards truncated": (2, self._truncate),
            "shards with a flipped bit": (2, self._flip_bit),
            "times the disk was full": (1 if os.geteuid() == 0 else 0, self._fill_disk),
        }

    def __enter__(self) -> Chaos:
        from ray.cluster_utils import Cluster

        # Ray's processes take these from their parent; a socket below a long path is refused
        os.environ.update(self._farm.environment, RAY_raylet_start_wait_time_s="120")
        self._cluster = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 0, "include_dashboard": False},
        )
        for _ in range(self._arguments.nodes):
            self._cluster.add_node(num_cpus=1)
        return self

    def __exit__(self, *_: object) -> None:
        for _, act in self._later:
            act()
        self._farm.stop()
        self._cluster.shutdown()
        farms.wait_for(lambda: not farms.descendants(), timeout_s=30.0)

    def run(self) -> None:
        """Drive until the dataset is whole.

        Raises:
            TimeoutError: it is not in time.
        """
        started = time.monotonic()
        while not self._drive(started + self._arguments.limit_s):
            pass
        self.wall_s = time.monotonic() - started

    def _drive(self, deadline: float) -> bool:
        """One driver, among faults; whether the dataset is whole after it."""
        self._driver = self._farm.start("--address", self._cluster.address, command=self._command)
        self.drivers += 1
        next_fault = time.monotonic() + self._pause_s()
        while self._driver.poll() is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"not done after {self._arguments.limit_s:.0f} s: {self.done}")
            self._do_what_is_due()
            # from then on in peace: damage to the last shards would never end
            late = time.monotonic() > deadline - self._arguments.limit_s / 2
            self._over |= late or len(self._farm.shards()) == self._arguments.shards
            if not self._over and time.monotonic() > next_fault:
                self._do_harm()
                next_fault = time.monotonic() + self._pause_s()
            time.sleep(0.1)
        if self._driver.returncode == -signal.SIGKILL:
            return False
        done = self._farm.dataset_command("verify").returncode == 0
        if not done:
            self._farm.dataset_command("repair")
            self.repairs += 1
        return done and self._driver.returncode == 0

    def _pause_s(self) -> float:
        return self._random.uniform(0.3, 1.7) * self._arguments.every_s

    def _do_what_is_due(self) -> None:
        now = time.monotonic()
        due = [act for at, act in self._later if at <= now]
        self._later = [(at, act) for at, act in self._later if at > now]
        for act in due:
            act()

    def _do_harm(self) -> None:
        names = list(self._faults)
        weights = [weight for weight, _ in self._faults.values()]
        (name,) = self._random.choices(names, weights)
        if self._faults[name][1]():
            self.done[name] += 1

    # ----------------------------------------------------- the faults: False if there was nothing

    def _kill_worker(self) -> bool:
        workers = self._farm.workers()
        return bool(workers) and farms.kill(self._random.choice(workers))

    def _kill_ray_worker(self) -> bool:
        workers = self._farm.workers()
        return bool(workers) and farms.kill(farms.parent_of(self._random.choice(workers)))

    def _kill_node(self) -> bool:
        if len(self._cluster.worker_nodes) < self._arguments.nodes:
            return False
        node = self._random.choice(sorted(self._cluster.worker_nodes, key=lambda n: n.unique_id))
        self._cluster.remove_node(node, allow_graceful=False)
        back = time.monotonic() + NODE_AWAY_S
        self._later.append((back, lambda: self._cluster.add_node(num_cpus=1) and None))
        return True

    def _kill_driver(self) -> bool:
        return farms.kill(self._driver.pid)

    def _truncate(self) -> bool:
        shards = sorted(self._farm.shards())
        if shards:
            path = self._farm.out / "shards" / self._random.choice(shards)
            os.truncate(path, self._random.randrange(path.stat().st_size))
        return bool(shards)

    def _flip_bit(self) -> bool:
        shards = sorted(self._farm.shards())
        if shards:
            path = self._farm.out / "shards" / self._random.choice(shards)
            position = self._random.randrange(path.stat().st_size)
            with path.open("r+b") as file:
                file.seek(position)
                (byte,) = file.read(1)
                file.seek(position)
                file.write(bytes([byte ^ 1 << self._random.randrange(8)]))
        return bool(shards)

    def _fill_disk(self) -> bool:
        window = contextlib.ExitStack()
        window.enter_context(farms.filled(self._farm.out))
        self._later.append((time.monotonic() + DISK_FULL_S, window.close))
        return True


if __name__ == "__main__":
    sys.exit(main())
