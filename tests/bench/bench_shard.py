"""What a shard costs beside its heads, and how far apart near-duplicates are from variations.

    python tests/bench/bench_shard.py start                # CPU seconds of a process, no heads
    python tests/bench/bench_shard.py memory               # resident against limited memory
    python tests/bench/bench_shard.py quality --people 60  # measures, distances of fingerprints

`quality` renders front views: people at random; the same heads with other noise; with another
expression; under another light. A threshold for near-duplicates belongs above the second row and
below the two that follow it.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import platform
import re
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import numpy as np

from synth.launch import ShardResult, render_shard
from synth.quality import QualityConfig, distance
from synth.record import HeadRecord, ShardReader
from synth.sample import DatasetConfig, FactorConfig, RingConfig, ViewsConfig, sample_head
from synth.spec import HeadSpec

FRONT = ViewsConfig(canonical=False, rings=(RingConfig(1, 0.0),), random=0)
MEASURES = ("face_luminance", "burnt", "top_alpha", "skin")


def rendered(specs: Sequence[HeadSpec], folder: Path) -> tuple[ShardResult, list[HeadRecord]]:
    out = folder / f"{time.monotonic_ns()}.tar"
    result = render_shard(specs, out, timeout_s=36_000)
    return result, ShardReader(out).heads()


def measure_start(folder: Path, size: int) -> None:
    """Least CPU seconds, of three runs, of [a], [b] and [a, b]: what the first two have twice."""
    config = DatasetConfig(size=size, samples=4, views=FRONT)
    heads = [sample_head(config, index) for index in range(2)]
    one, other, both = (
        min(rendered(part, folder)[0].cpu_s for _ in range(3))
        for part in (heads[:1], heads[1:], heads)
    )
    start_s = one + other - both
    print(f"starting a process: {start_s:.2f} CPU s; with two heads of {size} px {both:.2f} CPU s")


def measure_memory(folder: Path, size: int) -> None:
    """Largest VmData, which RLIMIT_DATA limits, against what is resident."""
    config = DatasetConfig(size=size, samples=2, views=ViewsConfig(random=0))
    with watched_children() as largest_kb:
        result, _ = rendered([sample_head(config, index) for index in range(2)], folder)
    print(f"resident {result.peak_rss_bytes / 1e9:.2f} GB, ", end="")
    print(", ".join(f"{name} {value / 1e6:.2f} GB" for name, value in sorted(largest_kb.items())))


@contextmanager
def watched_children() -> Iterator[dict[str, int]]:
    """Largest VmData and VmPeak of this process' children while the block runs, in kB."""
    largest: dict[str, int] = {}
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
                try:
                    status = Path(f"/proc/{child}/status").read_text()
                except OSError:
                    continue
                for name, value in re.findall(r"^(VmData|VmPeak):\s*(\d+) kB$", status, re.M):
                    largest[name] = max(largest.get(name, 0), int(value))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield largest
    finally:
        done.set()
        thread.join()


def measure_quality(folder: Path, size: int, samples: int, people: int) -> None:
    base = DatasetConfig(size=size, samples=samples, views=FRONT, seed=77)
    heads = rendered([sample_head(base, index) for index in range(people)], folder)[1]
    print(f"{people} people: lowest, median, highest; limits {QualityConfig()}")
    for name in MEASURES:
        values = np.array([head.meta["quality"][name] for head in heads])
        print(f"  {name:15} {values.min():.4f} {np.median(values):.4f} {values.max():.4f}")
    few = max(2, people // 8)
    other = [with_other_noise(sample_head(base, index)) for index in range(few)]
    rows = {
        "other people": pairs(heads, lambda a, b: True),
        "other noise": [
            distance(mark(a), mark(b)) for a, b in zip(heads, rendered(other, folder)[1])
        ],
    }
    crossed = FactorConfig(expressions=4, lights=2, crossed=True)
    varied = dataclasses.replace(base, factors=crossed, seed=5)
    count = few * crossed.heads_per_identity
    heads = rendered([sample_head(varied, index) for index in range(count)], folder)[1]

    def alike(a: int, b: int, same: int) -> bool:
        """Whether two heads of one person share their expression (1) or light (2), and not both."""
        one, two = ((i // 8, i % 8 // 2, i % 2) for i in (a, b))
        return one[0] == two[0] and one[same] == two[same] and one != two

    rows["other expression"] = pairs(heads, lambda a, b: alike(a, b, 2))
    rows["other light"] = pairs(heads, lambda a, b: alike(a, b, 1))
    print("distance of fingerprints: pairs, smallest, median, largest")
    for name, values in rows.items():
        low, middle, high = np.min(values), np.median(values), np.max(values)
        print(f"  {name:17} {len(values):6} {low:6.2f} {middle:6.2f} {high:6.2f}")


def mark(head: HeadRecord) -> str:
    return head.meta["quality"]["fingerprint"]


def pairs(heads: Sequence[HeadRecord], wanted) -> list[float]:
    """Distances of all pairs for which `wanted(index, index)` holds."""
    return [
        distance(mark(one), mark(two))
        for one in heads
        for two in heads
        if one.index < two.index and wanted(one.index, two.index)
    ]


def with_other_noise(spec: HeadSpec) -> HeadSpec:
    render = dataclasses.replace(spec.render, noise_seed=spec.render.noise_seed + 1)
    return dataclasses.replace(spec, render=render)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("start", "memory", "quality"))
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--samples", type=int, default=24)
    parser.add_argument("--people", type=int, default=16)
    given = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, bpy {metadata.version('bpy')}")
    with tempfile.TemporaryDirectory(prefix="bench-shard-") as name:
        if given.what == "quality":
            measure_quality(Path(name), given.size, given.samples, given.people)
        else:
            {"start": measure_start, "memory": measure_memory}[given.what](Path(name), given.size)


if __name__ == "__main__":
    main()
