"""What the parts around rendering cost in CPU seconds, and whether a shard hides any damage.

    python tests/bench/bench_parts.py [--shards 1000]

The head model is loaded from its cache, heads are sampled, a dataset of many committed shards is
planned, a shard attacked by bit flips and truncations. docs/decisions.md quotes it.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from synth.dataset import Dataset
from synth.errors import HeadloomError
from synth.headmodel import HeadModel
from synth.headmodel_build import ensure_built
from synth.record import ShardReader, ShardWriter
from synth.rng import stream
from synth.sample import DatasetConfig, ViewsConfig, sample_head
from synth.survey import shard_name

CONFIG = DatasetConfig(size=8, samples=1, heads_per_shard=1, views=ViewsConfig(random=0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shards", type=int, default=1000)
    arguments = parser.parse_args()
    cache = ensure_built(None)
    print(
        f"head model: {cache.stat().st_size / 1e6:.1f} MB, loaded in {_cpu_s(HeadModel.load):.2f}"
    )
    _sampling()
    with tempfile.TemporaryDirectory() as folder:
        _planning(Path(folder), arguments.shards)
        _attacks(Path(folder))


def _sampling() -> None:
    config = DatasetConfig()
    times = [_cpu_s(lambda index=index: sample_head(config, index)) for index in range(1, 200)]
    low, middle, high = 1000 * np.quantile(times, (0.05, 0.5, 0.95))
    print(f"sampling a head: {middle:.1f} ms ({low:.1f} ... {high:.1f})")


def _planning(folder: Path, shards: int) -> None:
    """One small head a shard."""
    dataset = Dataset.create(folder / "heads", dataclasses.replace(CONFIG, heads=shards))
    spec = sample_head(CONFIG, 0)
    cameras = spec.resolved_cameras()
    pictures = [np.zeros((8, 8, 4), np.uint8)] * len(cameras)
    for index in range(shards):
        path = dataset.shard_directory / shard_name(index)
        with ShardWriter(path, dataset_id=dataset.dataset_id) as writer:
            writer.add_head(dataclasses.replace(spec, index=index), cameras, pictures)
    before = _memory_mb()
    seconds = _cpu_s(dataset.plan)
    print(f"plan of {shards} committed shards: {seconds:.2f} s, +{_memory_mb() - before:.0f} MB")
    shutil.rmtree(dataset.root)


def _attacks(folder: Path, flips: int = 600, cuts: int = 100) -> None:
    path = folder / "shard.tar"
    with ShardWriter(path) as writer:
        spec = sample_head(CONFIG, 0)
        cameras = spec.resolved_cameras()
        rng = stream(0, 0, "bench.pictures")
        writer.add_head(
            spec, cameras, [rng.integers(0, 256, (8, 8, 4), dtype=np.uint8) for _ in cameras]
        )
    whole = path.read_bytes()
    missed = 0
    for number in range(flips + cuts):
        data = bytearray(whole)
        if number < flips:
            data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
        else:
            del data[rng.integers(len(data)) :]
        path.write_bytes(data)
        missed += _passes(path)
    print(f"{flips} bit flips and {cuts} truncations: {missed} missed")


def _passes(path: Path) -> bool:
    try:
        ShardReader(path).verify()
    except HeadloomError:
        return False
    return True


def _cpu_s(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _memory_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"^VmRSS:\s*(\d+) kB$", status, re.MULTILINE)[1]) / 1024


if __name__ == "__main__":
    main()
