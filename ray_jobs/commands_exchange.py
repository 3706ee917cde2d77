"""`headloom dataset export` and `import`: arguments in, exit code out."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from synth.errors import ConfigError

if TYPE_CHECKING:
    from synth.dataset import Dataset
    from synth.record import HeadRecord


def export(arguments: argparse.Namespace) -> int:
    """`headloom dataset export`: exit code 1 if a head could not be exported."""
    from ray_jobs.progress import StageProgress
    from synth.dataset import Dataset
    from synth.export import export_dataset
    from synth.export_frame import ExportRequest

    data = Dataset.open(arguments.dataset)
    with StageProgress("export", enabled=not arguments.quiet) as bar:
        request = ExportRequest(
            to=arguments.to,
            views=_words(arguments.views),
            background=arguments.background,
            members=_words(arguments.members),
            shard_size_mb=arguments.shard_size_mb,
            selection=_in_words(arguments),
        )
        summary = export_dataset(
            data,
            arguments.out,
            request,
            _wanted(arguments, data, bar.update),
            jobs=_jobs(arguments),
            progress=bar.update,
        )
    print(summary)
    return 1 if summary.failures else 0


def import_heads(arguments: argparse.Namespace) -> int:
    """`headloom dataset import`: exit code 1 if a head could not be imported."""
    from ray_jobs.progress import StageProgress
    from synth.import_heads import ImportOptions, import_dataset

    if arguments.heads_per_shard < 1:
        raise ConfigError(f"--heads-per-shard {arguments.heads_per_shard}: give 1 or more")
    options = ImportOptions(
        layout=arguments.layout,
        opaque=arguments.opaque,
        heads_per_shard=arguments.heads_per_shard,
        licence=arguments.licence,
        attribution=arguments.attribution,
    )
    with StageProgress("import", enabled=not arguments.quiet) as bar:
        summary = import_dataset(
            arguments.source,
            arguments.out,
            options,
            jobs=_jobs(arguments),
            progress=bar.update,
        )
    print(summary)
    return 1 if summary.failures else 0


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _jobs(arguments: argparse.Namespace) -> int:
    jobs = arguments.jobs if arguments.jobs is not None else os.cpu_count() or 1
    if jobs < 1:
        raise ConfigError(f"--jobs {jobs}: give 1 or more")
    return jobs


def _in_words(arguments: argparse.Namespace) -> str:
    """The choice of heads as the flags that make it."""
    chosen = {name: getattr(arguments, name) for name in ("heads", "split", "where")}
    return ", ".join(f"{name} {value}" for name, value in chosen.items() if value) or "all heads"


def _wanted(
    arguments: argparse.Namespace, data: Dataset, progress: Callable[[str, int, int], None]
) -> Callable[[HeadRecord], bool]:
    """Whether a head meets all the flags."""
    tests: list[Callable[[HeadRecord], bool]] = []
    if arguments.heads:
        spans = _spans(arguments.heads)
        tests.append(lambda head: any(first <= head.index <= last for first, last in spans))
    if arguments.split:
        tests.append(lambda head: head.split == arguments.split)
    if arguments.where:
        from ray_jobs.sampling import ready_index, select

        rows = select(ready_index(data, progress), where=arguments.where).rows
        found = {row["spec_id"] for row in rows}
        tests.append(lambda head: head.spec_id in found)
    return lambda head: all(test(head) for test in tests)


def _spans(text: str) -> list[tuple[int, int]]:
    """First and last numbers of `0-99,205`."""
    spans = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last:
            raise ConfigError(f"--heads {text}: {part!r} is no number and no range such as 0-99")
        spans.append((first, last))
    return spans
