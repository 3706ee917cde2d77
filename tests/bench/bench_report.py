"""What the datasheet of a large dataset costs: CPU seconds by stage and peak memory.

    python tests/bench/bench_report.py --heads 4000      # stub heads of the default config
    python tests/bench/bench_report.py --dataset heads/  # one that is there

The stub heads are written first, with real specs of a few hundred different people, all views of
the configuration and pictures of 16 px; that is not counted. `--judges pictures` lets the judges
without a network look too.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import tempfile
import time
from pathlib import Path

import numpy as np

from infer.datasheet import write_report
from infer.judges import parse_judges
from synth.dataset import Dataset
from synth.record import ShardWriter
from synth.sample import DatasetConfig, sample_head

DIFFERENT_SPECS = 300
SIZE = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--heads", type=int, default=4000)
    parser.add_argument("--dataset", type=Path, help="instead of stub heads")
    parser.add_argument("--judges", default="none")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.dataset is None:
            dataset = _stub(Path(folder) / "heads", arguments.heads)
        else:
            dataset = Dataset.open(arguments.dataset)
        _measure(dataset, Path(folder) / "report", parse_judges(arguments.judges))


def _stub(root: Path, heads: int) -> Dataset:
    config = DatasetConfig(heads=heads, size=SIZE, samples=1, heads_per_shard=50)
    drawn = [sample_head(config, index) for index in range(min(heads, DIFFERENT_SPECS))]
    dataset = Dataset.create(root, config)
    picture = np.zeros((SIZE, SIZE, 4), np.uint8)
    picture[2:, 2:14] = (150, 110, 90, 255)
    meta = {"timings_s": {"head_s": 4.0, "build_s": 1.0}, "device": "CPU"}
    for plan in dataset.plan():
        with ShardWriter(plan.path, dataset_id=dataset.dataset_id) as writer:
            for index in range(plan.start, plan.stop):
                spec = drawn[index % len(drawn)]
                person = dataclasses.replace(spec.identity, identity_id=f"s0-{index:06d}")
                spec = dataclasses.replace(spec, index=index, identity=person)
                cameras = spec.resolved_cameras()
                writer.add_head(spec, cameras, [picture] * len(cameras), meta=meta)
    return dataset


def _measure(dataset: Dataset, out: Path, judges: tuple[str, ...]) -> None:
    stages: dict[str, float] = {}
    last = time.process_time()

    def progress(stage: str, *_: int) -> None:
        nonlocal last
        now = time.process_time()
        stages[stage] = stages.get(stage, 0.0) + now - last
        last = now

    before, start = _memory_mb("VmRSS"), time.process_time()
    summary = write_report(dataset, out, judges, progress=progress)
    seconds = time.process_time() - start
    for stage, spent in stages.items():
        print(f"{stage:<16}{spent:8.1f} s {1000 * spent / summary.heads:8.2f} ms a head")
    print(f"{'all':<16}{seconds:8.1f} s")
    page = summary.page.stat().st_size / 1e6
    print(f"{summary.heads} heads, page {page:.2f} MB")
    print(f"memory {before:.0f} MB before, {_memory_mb('VmHWM'):.0f} MB at most")


def _memory_mb(key: str) -> float:
    status = Path("/proc/self/status").read_text()
    return int(re.search(rf"^{key}:\s*(\d+) kB$", status, re.MULTILINE)[1]) / 1024


if __name__ == "__main__":
    main()
