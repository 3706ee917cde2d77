"""Lifts photos and videos: one in this process, many through Ray Data with a pool of actors.

Each actor holds both models and writes the results of its inputs straight to storage; only paths
and outcomes travel through Ray. A bad input fails alone, and running the command again finishes
what is missing.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from ray_jobs.cluster import ClusterInfo, connect
from ray_jobs.progress import StageProgress

if TYPE_CHECKING:
    from infer.collection import LiftItem, LiftResult, LiftSummary
    from infer.config import LiftConfig
    from infer.weights import WeightSet

CPUS_PER_ACTOR = 2
"""Threads of one pair of models; more pairs use many cores better than more threads."""
MEMORY_BYTES_PER_ACTOR = 2_000_000_000
_MAX_BLOCKS = 1000
"""Inputs travel one per block up to here, so that a killed worker costs one input, not many."""


def lift(
    inputs: Sequence[str | Path],
    out: str | Path,
    *,
    config: LiftConfig,
    address: str | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> LiftSummary:
    """Lift photos, folders of photos and videos into result folders.

    One photo or video is lifted in this process, without Ray, straight into `out`. Otherwise every
    photo gets a folder of its own below `out`, and what failed is listed in `out/failures.jsonl`.

    Args:
        inputs: files and folders.
        out: folder of the results; must be reachable by the workers of a remote cluster.
        config: all that decides the results.
        address: of a Ray cluster; None starts one on this machine.
        overwrite: replace results of another input, configuration or weights.
        progress: show a bar.

    Returns:
        What was done, skipped and failed.

    Raises:
        HeadloomError: an input is missing, there are no weights, or the only input failed.
    """
    from infer.collection import LiftSummary, find_items, lift_item, write_failures
    from infer.lifter import Lifter
    from infer.weights import load_weight_set

    out = Path(out)
    items = find_items([Path(path) for path in inputs], out)
    weights = load_weight_set(config.weights)
    if items[0].folder == out:
        return LiftSummary((_lift_here(items[0], config, weights, overwrite, progress),))
    if len(items) == 1:  # a folder of one: Ray would add nothing but its start
        results = [lift_item(Lifter(config, weights), items[0], overwrite=overwrite)]
    else:
        with connect(address) as cluster:
            results = list(_lift_there(items, config, weights, overwrite, cluster, progress))
    by_path = {result.path: result for result in results}
    ordered = tuple(by_path.get(str(item.path)) or _lost(item) for item in items)
    write_failures(out, ordered)
    return LiftSummary(ordered)


def _lift_here(
    item: LiftItem, config: LiftConfig, weights: WeightSet, overwrite: bool, progress: bool
) -> LiftResult:
    """The only item, in this process; its error is the error of the command."""
    from infer.collection import LiftResult
    from infer.lifter import Lifter
    from infer.video import lift_video

    lifter = Lifter(config, weights)
    lift_it = partial(lift_video, lifter) if item.kind == "video" else lifter.lift_photo
    with StageProgress("lift", enabled=progress) as bar:
        worked = lift_it(item.path, item.folder, overwrite=overwrite, progress=bar.update)
    return LiftResult(str(item.path), str(item.folder), "done" if worked else "skipped")


def _lost(item: LiftItem) -> LiftResult:
    from infer.collection import LiftResult

    return LiftResult(
        str(item.path),
        str(item.folder),
        "failed",
        f"{item.path}: the worker that lifted it died (out of memory?); run the command again",
    )


class LiftActor:
    """Lifts batches of one item; the models stay loaded between them."""

    def __init__(
        self,
        config: LiftConfig,
        weights: WeightSet,
        overwrite: bool,
        working_directory: Path,
        threads: int,
    ) -> None:
        import torch

        from infer.lifter import Lifter

        os.chdir(working_directory)  # relative paths mean the user's directory
        torch.set_num_threads(threads)
        self._lifter = Lifter(config, weights)
        self._overwrite = overwrite

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        from infer.collection import LiftItem, lift_item

        columns: dict[str, list[str]] = {"path": [], "folder": [], "status": [], "error": []}
        for path, folder, kind in zip(batch["path"], batch["folder"], batch["kind"]):
            item = LiftItem(Path(str(path)), Path(str(folder)), str(kind))  # type: ignore[arg-type]
            result = lift_item(self._lifter, item, overwrite=self._overwrite)
            for name, values in columns.items():
                values.append(getattr(result, name))
        return columns


def _lift_there(
    items: Sequence[LiftItem],
    config: LiftConfig,
    weights: WeightSet,
    overwrite: bool,
    cluster: ClusterInfo,
    progress: bool,
) -> Iterator[LiftResult]:
    """Through Ray Data; yields results as they come, and nothing for an item that was lost."""
    from infer.collection import LiftResult

    rows = [
        {"path": str(item.path), "folder": str(item.folder), "kind": item.kind} for item in items
    ]
    dataset = _dataset(rows, (config, weights, overwrite, Path.cwd()), cluster)
    with tqdm(total=len(items), desc="lift", unit="item", disable=not progress or None,
              file=sys.stderr) as bar:  # fmt: skip
        for row in dataset.iter_rows():
            result = LiftResult(**row)
            if result.status == "failed" and progress:
                bar.write(f"failed: {result.error}", file=sys.stderr)
            bar.update()
            yield result


def _dataset(rows: list[dict[str, str]], arguments: tuple[Any, ...], cluster: ClusterInfo) -> Any:
    """The lazy Ray dataset of outcomes: rows -> actor pool."""
    config = arguments[0]
    threads = max(min(CPUS_PER_ACTOR, int(cluster.cpus)), 1)
    gpus = sum(node.gpus for node in cluster.nodes) if config.device != "cpu" else 0
    pool = int(gpus) if gpus else max(int(cluster.cpus) // threads, 1)
    cluster.require(cpus=threads, memory_bytes=MEMORY_BYTES_PER_ACTOR, gpus=1 if gpus else 0)
    with warnings.catch_warnings():
        # Ray Data 2.60 warns of fields of its own context, and of the only way to set the two
        # limits at the end, without which it restarts for ever a worker that its input kills.
        warnings.simplefilter("ignore", DeprecationWarning)
        import ray.data

        _quiet(ray.data.DataContext.get_current())
        source = ray.data.from_items(rows, override_num_blocks=min(len(rows), _MAX_BLOCKS))
        return source.map_batches(
            LiftActor,
            fn_constructor_args=(*arguments, threads),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(
                min_size=1, max_size=min(pool, len(rows)), max_tasks_in_flight_per_actor=1
            ),
            num_cpus=threads,
            num_gpus=1 if gpus else 0,  # a GPU each; not run here
            memory=MEMORY_BYTES_PER_ACTOR,
            max_restarts=4,
            max_task_retries=1,  # an input that kills its worker twice is given up
        )


def _quiet(context: Any) -> None:
    """Our own bar instead of Ray's; no limit on a slow item; a lost block is no lost run."""
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_no_progress_timeout_s = -1  # a long video says nothing for an hour
    context.max_errored_blocks = -1
    # It logs the whole traceback of a lost block; the lost item is named in our summary.
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
