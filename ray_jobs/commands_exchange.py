"""`headloom dataset export` and `import`: arguments in, exit code out."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from synth.errors import ConfigError

if TYPE_CHECKING:
    from synth.dataset import Dataset
    from synth.export_frame import HeadChoice
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
            _choice(arguments, data, bar.update),
            jobs=arguments.jobs,
            progress=bar.update,
        )
    print(summary)
    return 1 if summary.failures.count else 0


def import_heads(arguments: argparse.Namespace) -> int:
    """`headloom dataset import`: exit code 1 if a head could not be imported."""
    from ray_jobs.progress import StageProgress
    from synth.import_heads import ImportOptions, import_dataset
    from synth.import_layouts import layout_in

    options = ImportOptions(
        layout=layout_in(arguments.layout, arguments.source),
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
            jobs=arguments.jobs,
            progress=bar.update,
        )
    print(summary)
    return 1 if summary.failures.count else 0


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _in_words(arguments: argparse.Namespace) -> str:
    """The choice of heads as the flags that make it."""
    chosen = {name: getattr(arguments, name) for name in ("index", "split", "where")}
    return ", ".join(f"{name} {value}" for name, value in chosen.items() if value) or "all heads"


def _choice(
    arguments: argparse.Namespace, data: Dataset, progress: Callable[[str, int, int], None]
) -> HeadChoice:
    """The heads that meet all the flags, and where these may lie."""
    from synth.export_frame import HeadChoice

    tests: list[Callable[[HeadRecord], bool]] = []
    shards: list[set[str]] = []
    if arguments.index:
        spans = _spans(arguments.index)
        tests.append(lambda head: any(head.index in span for span in spans))
        shards.append(data.shards_with(spans))
    if arguments.split:
        tests.append(lambda head: head.split == arguments.split)
    if arguments.where:
        from ray_jobs.sampling import ready_index, select

        rows = select(ready_index(data, progress), where=arguments.where).rows
        found = {row["spec_id"] for row in rows}
        tests.append(lambda head: head.spec_id in found)
        shards.append({row["shard"] for row in rows})
    return HeadChoice(
        lambda head: all(test(head) for test in tests),
        set.intersection(*shards) if shards else None,
    )


def _spans(text: str) -> list[range]:
    """The numbers of `0-99,205`."""
    spans = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
        span = range(int(match[1]), int(match[2] or match[1]) + 1) if match else range(0)
        if not span:
            raise ConfigError(f"--index {text}: {part!r} is no number and no range such as 0-99")
        spans.append(span)
    return spans
