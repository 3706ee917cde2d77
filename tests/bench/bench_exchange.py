"""What export and import cost: CPU seconds a head, and how that compares with copying the files.

    python tests/bench/bench_exchange.py [--heads 16] [--views 32] [--size 512] [--jobs 1]

Makes a dataset of discs with soft noise (PNG files of about the size of a rendered head's), exports
it to every layout, imports two of them back, and prints per head CPU seconds, wall seconds and
megabytes. CPU seconds are those of this process, so another load on the machine does not count.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from synth.dataset import Dataset
from synth.export import SUMMARIES, export_dataset
from synth.export_frame import ExportRequest
from synth.import_heads import ImportOptions, import_dataset
from synth.record import ShardWriter
from synth.rng import stream
from synth.sample import DatasetConfig, ViewsConfig


def picture(head: int, view: int, size: int) -> np.ndarray:
    """[H, W, 4] uint8: a disc of a third of the picture with noise of a few levels."""
    y, x = np.mgrid[:size, :size] / size - 0.5
    noise = stream(head, view, "bench.noise").integers(-3, 4, (size, size, 3))
    shade = 128 + 90 * np.stack([x, y, x + y], axis=-1) + noise
    inside = (x**2 + y**2 < 0.1)[..., None]
    return (np.concatenate([shade, np.full_like(x, 255)[..., None]], -1) * inside).astype(np.uint8)


def make(root: Path, heads: int, views: int, size: int) -> Dataset:
    """The dataset."""
    config = DatasetConfig(
        heads=heads, size=size, samples=1, heads_per_shard=8, views=ViewsConfig(random=views - 6)
    )
    dataset = Dataset.create(root, config)
    for plan in dataset.plan():
        with ShardWriter(plan.path, dataset_id=dataset.dataset_id) as writer:
            for spec in plan.specs(config):
                pictures = [picture(spec.index, view, size) for view in range(views)]
                writer.add_head(spec, spec.resolved_cameras(), pictures)
    return dataset


def measured(name: str, heads: int, folder: Path, work: Callable[[], object]) -> None:
    """Run some work and print a line."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(
        f"{name:<30} {cpu / heads:9.4f} {wall / heads:9.4f} {size / heads / 1e6:9.2f}", flush=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("heads", 16), ("views", 32), ("size", 512), ("jobs", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} CPUs, Python "
          f"{platform.python_version()}, numpy {np.__version__}; {given}")  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="headloom-bench-") as folder:
        root = Path(folder)
        dataset = make(root / "heads", given.heads, given.views, given.size)
        print(f"{'':<30} {'CPU s':>9} {'wall s':>9} {'MB':>9}   a head")
        requests = {f"export {to}": (to, ExportRequest(to)) for to in SUMMARIES}
        flat = ExportRequest("facelift-gslrm", background="white")
        requests["export facelift-gslrm, white"] = ("white", flat)
        for title, (name, request) in requests.items():
            work = partial(export_dataset, dataset, root / name, request, jobs=given.jobs)
            measured(title, given.heads, root / name, work)
        for layout in ("facelift-gslrm", "nerfstudio"):
            out = root / f"from-{layout}"
            options = ImportOptions(layout)
            work = partial(import_dataset, root / layout, out, options, jobs=given.jobs)
            measured(f"import {layout}", given.heads, out, work)


if __name__ == "__main__":
    main()
