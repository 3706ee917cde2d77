"""What the index costs: CPU a head to write it, to add to it, to ask it; peak memory.

    PYTHONPATH=. .venv/bin/python tests/bench/bench_index.py --heads 20000
    PYTHONPATH=. .venv/bin/python tests/bench/bench_index.py --heads 1000000 --clone

The heads are real specs of 64 persons under other numbers, with tiny pictures; so the file is
smaller than that of as many persons. With `--clone` only 4,000 are read; their rows are repeated
to the number of heads, to ask an index of that size.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import platform
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet

from ray_jobs.duplicates import find_duplicates
from ray_jobs.index import INDEX_NAME, LABELS_KEY, count_indexed, write_index
from ray_jobs.index_schema import arrow_schema
from ray_jobs.sampling import select
from synth.dataset import Dataset
from synth.record import ShardWriter
from synth.sample import DatasetConfig, ViewsConfig, sample_head

PERSONS = 64
MOST_READ = 4000


def make(root: Path, heads: int) -> Dataset:
    """A dataset of tiny heads."""
    config = DatasetConfig(
        heads=heads, size=8, samples=1, heads_per_shard=4, views=ViewsConfig(random=26)
    )
    dataset = Dataset.create(root, config)
    persons = [sample_head(config, index) for index in range(PERSONS)]
    picture = np.full((8, 8, 4), 99, np.uint8)
    meta = {"device": "CPU", "node": "a", "timings_s": {"head_s": 90.0}}
    rng = np.random.default_rng(0)
    for plan in dataset.plan():
        with ShardWriter(plan.path, dataset_id=dataset.dataset_id) as writer:
            for index in range(plan.start, plan.stop):
                spec = dataclasses.replace(persons[index % PERSONS], index=index)
                cameras = spec.resolved_cameras()
                own = meta | {"quality": {"fingerprint": fingerprint(rng)}}
                writer.add_head(spec, cameras, [picture] * len(cameras), meta=own)
    return dataset


def clone(index: Path, heads: int) -> None:
    """Repeat the rows of an index, each with a fingerprint of its own."""
    table = parquet.read_table(index)
    labels = parquet.read_metadata(index).metadata[LABELS_KEY]
    column = table.schema.get_field_index("fingerprint")
    rng = np.random.default_rng(0)
    with parquet.ParquetWriter(index, arrow_schema(), compression="zstd") as writer:
        for start in range(0, heads, table.num_rows):
            rows = table.slice(0, min(table.num_rows, heads - start))
            own = [fingerprint(rng) for _ in range(rows.num_rows)]
            writer.write_table(rows.set_column(column, table.schema.field(column), [own]))
        writer.add_key_value_metadata({LABELS_KEY: labels})


WAYS = np.random.default_rng(1).normal(size=(20, 256)) * 8


def fingerprint(rng: np.random.Generator) -> str:
    """As far apart as those of the 24 heads of the gallery (49 in the median), and less along one
    axis (a standard deviation of 10 and not 22), which makes the search harder."""
    levels = 128 + rng.normal(size=20) @ WAYS + rng.normal(size=256)
    return levels.clip(0, 255).astype(np.uint8).tobytes().hex()


def measure(what: str, heads: int, work) -> None:
    """Print CPU seconds of this process, and per head, and the peak of its memory so far."""
    started = time.process_time()
    result = work()
    cpu_s = time.process_time() - started
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(
        f"{what:<44} {cpu_s:8.2f} s CPU {1e3 * cpu_s / heads:8.4f} ms/head {peak_mb:7.0f} MB peak"
    )
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--heads", type=int, default=20_000)
    parser.add_argument("--clone", action="store_true")
    options = parser.parse_args()
    versions = ", ".join(f"{p} {importlib.metadata.version(p)}" for p in ("pyarrow", "numpy"))
    machine = platform.processor() or platform.machine()
    print(f"{machine}, Python {platform.python_version()}, {versions}")
    read = min(options.heads, MOST_READ) if options.clone else options.heads
    with tempfile.TemporaryDirectory() as scratch:
        dataset = make(Path(scratch) / "heads", read)
        index = dataset.root / INDEX_NAME
        measure(f"write, {read} heads", read, lambda: write_index(dataset))
        measure("nothing to do", read, lambda: write_index(dataset))
        (moved := dataset.shard_paths()[read // 8]).rename(dataset.root / "away")
        write_index(dataset)
        (dataset.root / "away").rename(moved)
        measure("one shard of 4 heads more", read, lambda: write_index(dataset))
        if options.clone:
            clone(index, options.heads)
        print(f"{index.stat().st_size / options.heads:.0f} bytes a head in the file")
        measure("info", options.heads, lambda: count_indexed(index))
        where = "age_years > 60 and glasses and sex == 'female'"
        measure(
            "sample 24 of a condition", options.heads, lambda: select(index, where=where, count=24)
        )
        where = "expression.actions.jawOpen > 0.3"
        measure(
            "sample 24 of a facial action",
            options.heads,
            lambda: select(index, where=where, count=24),
        )
        measure(
            "sample 24 balanced", options.heads, lambda: select(index, count=24, balance="ancestry")
        )
        measure("near-duplicates of all", options.heads, lambda: find_duplicates(index))


if __name__ == "__main__":
    main()
