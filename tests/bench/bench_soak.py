"""What piles up: memory, files, threads, zombies and temporary directories over a long run.

    python tests/bench/bench_soak.py                  # 4000 shards
    python tests/bench/bench_soak.py --shards 400     # a smoke test

`headloom render` on this machine, whose workers do all of the protocol and none of the rendering: a
shell script copies a shard that was made before. Driver, Ray workers and everything else that the
run started are measured all along; a line is fitted through the second half, when everything is
warm, and stated for a thousand shards. Exit code 1 if files, threads or temporary directories grow.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shutil
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path

import numpy as np

from synth.config import canonical_json
from synth.dataset import Dataset
from synth.record import ShardWriter
from synth.sample import DatasetConfig, ViewsConfig

_spec = importlib.util.spec_from_file_location(
    "headloom_test_farm", Path(__file__).parents[1] / "ray_jobs" / "farm.py"
)
farms = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = farms
_spec.loader.exec_module(farms)

SIZE = 8
SAMPLE_EVERY_S = 1.0
WEEK_SHARDS = 1_000_000
"""100 machines, 16 workers each, a shard in 16 minutes: a week."""
WORKER = """
name=$(grep -o 'shard-[0-9]*[.]tar' "$2/job.json" | head -n 1)
cp "$1/result.json" "$2/" && cp "$1/$name" "$2/.half" && mv "$2/.half" "$2/$name"
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shards", type=int, default=4000)
    parser.add_argument("--limit-s", type=float, default=3600.0)
    arguments = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="headloom-soak-"))
    try:
        with farms.adopted_orphans():
            return _run(arguments, directory)
    finally:
        shutil.rmtree(directory)


def _run(arguments: argparse.Namespace, directory: Path) -> int:
    config = DatasetConfig(
        heads=arguments.shards,
        size=SIZE,
        samples=1,
        heads_per_shard=1,
        views=ViewsConfig(canonical=False, random=1),
    )
    farm = farms.Farm(directory / "farm", config)
    stock = directory / "stock"
    _make_stock(stock, Dataset.create(farm.out, config))
    samples, started = [], time.monotonic()
    try:
        driver = farm.start("--workers", "2", command=("sh", "-c", WORKER, "sh", str(stock)))
        while driver.poll() is None:
            if time.monotonic() - started > arguments.limit_s:
                raise TimeoutError(f"not done after {arguments.limit_s:.0f} s")
            samples.append(_measure(farm, driver.pid))
            time.sleep(SAMPLE_EVERY_S)
        assert driver.returncode == 0, farm.log.read_text()
    finally:
        farm.stop()
    farms.wait_for(lambda: farms.none_left(but=()), timeout_s=60.0)
    return _report(arguments, farm, samples, time.monotonic() - started)


def _make_stock(stock: Path, dataset: Dataset) -> None:
    """The shards that the workers will copy, and the result that they claim."""
    stock.mkdir()
    for plan in dataset.expected():
        with ShardWriter(stock / plan.path.name, dataset_id=dataset.dataset_id) as writer:
            for spec in plan.specs(dataset.config):
                cameras = spec.resolved_cameras()
                view = np.full((SIZE, SIZE, 4), spec.index % 256, np.uint8)
                writer.add_head(spec, cameras, [view] * len(cameras))
    head = {"timings_s": {"head_s": 0.0}}
    result = {"heads": [head], "cpu_s": 0.0, "peak_rss_bytes": 1}
    (stock / "result.json").write_text(canonical_json(result))


def _measure(farm, driver: int) -> dict[str, float]:
    commands = {pid: farms.command_of(pid) for pid in farms.descendants()}
    workers = [pid for pid, command in commands.items() if command.startswith("ray::")]
    session = re.search(r"/tmp/ray/session_[^/ ]+", " ".join(commands.values()))
    return {
        "shards": len(farm.shards()),
        "driver memory, MB": farms.memory_bytes(driver) / 1e6,
        "driver files": farms.entries(driver, "fd"),
        "driver threads": farms.entries(driver, "task"),
        "Ray workers' memory, MB": sum(map(farms.memory_bytes, workers)) / 1e6,
        "Ray workers' files": sum(farms.entries(pid, "fd") for pid in workers),
        "Ray workers": len(workers),
        "zombies": len(farms.zombies()),
        "temporary directories": len(list(farm.temporary.iterdir())),
        "Ray's session, MB": farms.directory_bytes(Path(session[0])) / 1e6 if session else 0.0,
    }


def _report(arguments: argparse.Namespace, farm, samples: list[dict], wall_s: float) -> int:
    done = np.array([sample["shards"] for sample in samples])
    running = [i for i, shards in enumerate(done) if 0 < shards < arguments.shards]
    late = [i for i in running if done[i] >= arguments.shards / 2]
    print(f"| | start | middle | end | per 1000 shards | a week ({WEEK_SHARDS:,} shards) |")
    print("| --- | --- | --- | --- | --- | --- |")
    growing = []
    for name in list(samples[0])[1:]:
        values = np.array([sample[name] for sample in samples])
        slope = np.polyfit(done[late], values[late], 1)[0] * 1000
        steps = values[running[0]], values[late[0]], values[late[-1]]
        print(
            f"| {name} | {' | '.join(f'{value:.0f}' for value in steps)} | {slope:+.2f} | "
            f"{slope * WEEK_SHARDS / 1000:+,.0f} |"
        )
        if name in ("driver files", "driver threads", "zombies", "temporary directories"):
            growing += [name] if slope * arguments.shards / 2000 > 2 else []
    left = [path.name for path in farm.temporary.iterdir()]
    print(
        f"\n{arguments.shards} shards in {wall_s:.0f} s, {len(samples)} samples, "
        f"left in the temporary directory: {left or 'nothing'}; growing: {growing or 'nothing'}; "
        f"{os.cpu_count()} cores, ray {metadata.version('ray')}"
    )
    return int(bool(left or growing))


if __name__ == "__main__":
    sys.exit(main())
