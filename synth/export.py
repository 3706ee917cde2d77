"""Export: the heads of a dataset in the layouts of other programs.

    heads/<spec_id>/... or gslrm/<spec_id>/... or shards/shard-000000.tar ...
    export.json              what was asked for; written first, another request is refused
    heads.jsonl              the exported heads: id, identity, split, index
    LICENCES.txt             of everything the heads are made of
    README.md                conventions of the layout; written last

A folder or shard appears in one step, so running the same export again finishes it. A head that a
layout cannot hold is named in the summary and costs no other head.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from synth import export_webdataset
from synth.config import atomic_write, did_you_mean
from synth.dataset import Dataset
from synth.dataset_report import Progress
from synth.errors import InputError
from synth.export_folders import LAYOUTS, FolderExporter
from synth.export_frame import (
    HEADS_NAME,
    REQUEST_NAME,
    Exported,
    ExportRequest,
    ExportSummary,
    Failures,
    HeadChoice,
    local_path,
    record_request,
    write_licences,
    write_readme,
)
from synth.in_order import in_order
from synth.lock import exclusive
from synth.record import HeadRecord
from synth.spec import AssetRef
from synth.unfinished import remove_stale_temporaries

SUMMARIES = {
    **{name: layout.summary for name, layout in LAYOUTS.items()},
    export_webdataset.NAME: export_webdataset.SUMMARY,
}
"""What `--to` takes, and a line about each."""


class Exporter(Protocol):
    """Writes heads in one layout.

    Attributes:
        conventions: of cameras, pixels and files, for the README.
    """

    conventions: str

    def units(self, heads: Iterable[HeadRecord]) -> Iterator[Sequence[HeadRecord]]:
        """The heads that are written together, in order."""
        ...

    def export(self, number: int, heads: Sequence[HeadRecord]) -> Exported:
        """Write a unit, unless it is in place; several threads at a time.

        Args:
            number: of the unit, from 0.
        """
        ...

    def finish(self) -> None:
        """Write what is about all heads, once `heads.jsonl` is in place."""
        ...


def export_dataset(
    dataset: Dataset,
    out: str | Path,
    request: ExportRequest,
    choice: HeadChoice = HeadChoice(),  # noqa: B008 - frozen
    *,
    jobs: int = 1,
    progress: Progress = lambda *_: None,
) -> ExportSummary:
    """Export heads.

    Args:
        dataset: an unfinished one is exported as it is; run again for the rest.
        out: folder of the export.
        request: what for.
        choice: which heads.
        jobs: heads, or shards of a WebDataset, written at a time.
        progress: told of every shard whose heads were looked at.

    Raises:
        InputError: no such layout, a request that it cannot meet, or no head can be exported.
        RecordCorrupt: a shard is damaged; what can be read before it is exported.
        DatasetMismatch: `out` holds the export of another request.
        RecordError: another process exports into `out`.
    """
    out = local_path(out)
    _check(request)
    failures = Failures()
    assets: set[AssetRef] = set()
    heads = written = 0
    with exclusive(out):
        remove_stale_temporaries(out)
        is_first = record_request(dataset, out, request)
        exporter: Exporter = (
            export_webdataset.ShardExporter(out, request, dataset.dataset_id)
            if request.to == export_webdataset.NAME
            else FolderExporter(out, request)
        )
        units = exporter.units(_looked_at(dataset, choice, progress))
        with atomic_write(out / HEADS_NAME) as table:
            for done in in_order(lambda unit: exporter.export(*unit), enumerate(units), jobs):
                heads, written = heads + len(done.lines), written + done.written
                failures.add(done.failures)
                assets |= done.assets
                table.write(b"".join(line.to_bytes() for line in done.lines))
            if not heads:
                if is_first:  # a mistake in the request does not stand in the way of another
                    (out / REQUEST_NAME).unlink()
                raise InputError(_nothing(dataset, request, failures))
        exporter.finish()
        write_licences(dataset, out, assets)
        write_readme(dataset, out, request, heads, exporter.conventions)
    return ExportSummary(out, request.to, heads, written, failures)


def _nothing(dataset: Dataset, request: ExportRequest, failures: Failures) -> str:
    if not failures.count:
        return f"{dataset.root} has none of the heads asked for"
    return (
        f"none of {failures.count} heads can be exported as {request.to}; the first: "
        f"{failures.first[0]}"
    )


def _check(request: ExportRequest) -> None:
    """Refuse what no layout can do, before anything is written."""
    if request.to not in SUMMARIES:
        hint = did_you_mean(request.to, SUMMARIES)
        raise InputError(f"no layout {request.to!r}{hint}; there are {', '.join(SUMMARIES)}")
    if request.to != export_webdataset.NAME:
        if request.members:
            raise InputError(f"--members belongs to --to {export_webdataset.NAME}")
        return
    if request.views or request.background is not None:
        raise InputError(
            f"{request.to} copies the files of a head as they are: choose them with --members, not "
            "with --views or --background"
        )
    if not request.shard_size_mb > 0:
        raise InputError(f"--shard-size-mb {request.shard_size_mb:g}: give more than 0")


def _looked_at(dataset: Dataset, choice: HeadChoice, progress: Progress) -> Iterator[HeadRecord]:
    """The wanted heads of a dataset in its order."""
    shards = [
        path
        for path in dataset.shard_paths()
        if choice.shards is None or path.name in choice.shards
    ]
    for number, path in enumerate(shards, 1):
        yield from filter(choice.wanted, dataset.heads_of(path))
        progress("shards read", number, len(shards))
