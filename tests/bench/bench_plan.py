"""What it costs to know what is missing of a large dataset, half of which is rendered.

    python tests/bench/bench_plan.py [--heads 1000000] [--committed 500000] [--root DIR]

Makes the committed shards (tiny, with valid footers; `--root` keeps them for the next run) and
prints, each in a process of its own, seconds, CPU seconds and peak memory of:

    plan       a dataset that nobody has planned before: every footer is read once
    resume     the same again: what is known is not read again
    count      `Dataset.head_count`
    listing    `verify` of a sample of none: the index of every shard, no pictures

Target: plan in at most 10 s and 500 MB.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from synth.dataset import Dataset
from synth.sample import DatasetConfig
from synth.shardlayout import (
    BLOCK,
    END_OF_ARCHIVE,
    FOOTER_NAME,
    MEMBERS_NAME,
    HeadEntry,
    footer_bytes,
    tar_header,
)
from synth.survey import shard_name

STAGES = ("plan", "resume", "count", "listing")


def tiny_shard(dataset_id: str, start: int, stop: int) -> bytes:
    """A shard whose heads have no members: planning sees no difference."""
    entries = [HeadEntry(f"{index:016x}", index) for index in range(start, stop)]
    members = b"[]"
    return (
        b"".join(
            tar_header(name, len(data)) + data + b"\0" * (-len(data) % BLOCK)
            for name, data in (
                (MEMBERS_NAME, members),
                (FOOTER_NAME, footer_bytes(dataset_id, entries, members)),
            )
        )
        + END_OF_ARCHIVE
    )


def make(root: Path, heads: int, committed: int) -> None:
    config = DatasetConfig(heads=heads)
    dataset = Dataset.create(root, config)
    size = config.heads_per_shard
    for shard, start in enumerate(range(0, committed, size)):
        path = dataset.shard_directory / shard_name(shard)
        path.write_bytes(tiny_shard(dataset.dataset_id, start, min(start + size, committed)))


def run_stage(stage: str, root: Path) -> dict[str, float]:
    """Runs in a process of its own, so that its peak memory is that of the stage."""
    dataset = Dataset.open(root)
    before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    started, cpu = time.perf_counter(), time.process_time()
    if stage == "count":
        heads = dataset.head_count()
    elif stage == "listing":
        from synth.dataset_report import verify

        heads = verify(dataset, sample=0).expected_heads
    else:
        heads = sum(plan.missing for plan in dataset.plan(remember=True))
    return {
        "heads": heads,
        "wall_s": time.perf_counter() - started,
        "cpu_s": time.process_time() - cpu,
        "before_mb": before_mb,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--heads", type=int, default=1_000_000)
    parser.add_argument("--committed", type=int, default=500_000)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.stage:
        print(json.dumps(run_stage(arguments.stage, arguments.root)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        root = arguments.root or Path(scratch) / "heads"
        if not (root / "dataset.yaml").exists():
            make(root, arguments.heads, arguments.committed)
        (root / "known_shards.bin").unlink(missing_ok=True)
        print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
        print(f"{arguments.heads} heads, {arguments.committed} committed")
        for stage in STAGES:
            command = [sys.executable, __file__, "--root", str(root), "--stage", stage]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            numbers = json.loads(done.stdout)
            print(
                f"{stage:<8} {numbers['wall_s']:6.2f} s, {numbers['cpu_s']:6.2f} CPU s, "
                f"peak {numbers['peak_mb']:.0f} MB ({numbers['before_mb']:.0f} before)"
            )


if __name__ == "__main__":
    main()
