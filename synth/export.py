"""Export: the heads of a dataset in the layouts of other programs.

    <folder>/<spec_id>/...   one folder a head (`LAYOUTS`), put in place in one step
    export.json              what was asked for; written first, another request is refused
    heads.jsonl              the exported heads: id, identity, index, split
    LICENCES.txt             of everything the heads are made of
    README.md                conventions of the layout; written last

Running the same export again finishes it: a head whose folders are in place is not written again.
A head that a layout cannot hold is named in the summary and costs no other head.
"""

from __future__ import annotations

import os
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from synth import export_colmap, export_facelift, export_transforms
from synth.config import atomic_write, did_you_mean, sync_directory
from synth.dataset import Dataset
from synth.dataset_report import Progress
from synth.errors import HeadloomError, InputError
from synth.export_frame import (
    HEADS_NAME,
    ExportRequest,
    HeadLine,
    record_request,
    write_licences,
    write_lists,
    write_readme,
)
from synth.export_head import HeadExport
from synth.lock import exclusive
from synth.record import HeadRecord
from synth.spec import AssetRef
from synth.unfinished import remove_stale_temporaries, temporary_name

_AHEAD = 4
"""Heads in work or waiting for each thread; bounds memory on any dataset."""
_SHOWN_FAILURES = 10

WriteFolder = Callable[[HeadExport, Path], None]
Wanted = Callable[[HeadRecord], bool]


@dataclass(frozen=True)
class Layout:
    """How another program wants its heads.

    Attributes:
        summary: for `--help`.
        folders: by the name of a folder of the export, what writes the folder of a head in it.
        conventions: of cameras, pixels and files, for the README.
        lists: by the same name the beginning of the names of its lists, one a split.
    """

    summary: str
    folders: Mapping[str, WriteFolder]
    conventions: str
    lists: Mapping[str, str] = field(default_factory=dict)


def _facelift(summary: str, folders: Mapping[str, WriteFolder]) -> Layout:
    lists = {name: export_facelift.LIST_NAMES[name] for name in folders}
    return Layout(summary, folders, export_facelift.CONVENTIONS, lists)


_GSLRM = {"gslrm": export_facelift.write_gslrm}
_MVDIFFUSION = {"mvdiffusion": export_facelift.write_mvdiffusion}

LAYOUTS: dict[str, Layout] = {
    "facelift": _facelift("FaceLift, both of the following", {**_GSLRM, **_MVDIFFUSION}),
    "facelift-gslrm": _facelift("its reconstructor: all views and their cameras", _GSLRM),
    "facelift-mvdiffusion": _facelift("its diffusion model: six views", _MVDIFFUSION),
    "nerfstudio": Layout(
        "transforms.json of nerfstudio and Instant-NGP",
        {"heads": export_transforms.write_nerfstudio},
        export_transforms.NERFSTUDIO_CONVENTIONS,
    ),
    "nerf": Layout(
        "transforms_train.json of NeRF's synthetic scenes",
        {"heads": export_transforms.write_nerf},
        export_transforms.NERF_CONVENTIONS,
    ),
    "colmap": Layout(
        "COLMAP's text model", {"heads": export_colmap.write_colmap}, export_colmap.CONVENTIONS
    ),
}
"""The layouts of one folder a head."""


@dataclass(frozen=True)
class ExportSummary:
    """What an export did; `str` prints it for a person.

    Attributes:
        heads: how many are there now.
        written: how many of them this run wrote.
        failures: one sentence for each head that the layout cannot hold.
    """

    out: Path
    to: str
    heads: int
    written: int
    failures: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"not exported: {failure}" for failure in self.failures[:_SHOWN_FAILURES]]
        if len(self.failures) > _SHOWN_FAILURES:
            lines.append(f"and {len(self.failures) - _SHOWN_FAILURES} more")
        there, lost = self.heads - self.written, len(self.failures)
        known = f", {there} of them were there" if there else ""
        failed = f"; {lost} NOT exported" if lost else ""
        lines.append(f"{self.out}: {self.heads} heads as {self.to}{known}{failed}")
        return "\n".join(lines)


def export_dataset(
    dataset: Dataset,
    out: str | Path,
    request: ExportRequest,
    wanted: Wanted = lambda head: True,
    *,
    jobs: int = 1,
    progress: Progress = lambda *_: None,
) -> ExportSummary:
    """Export heads as one folder each.

    Args:
        dataset: an unfinished one is exported as it is; run again for the rest.
        out: folder of the export.
        request: what for.
        wanted: whether a head is exported.
        jobs: heads written at a time.
        progress: told of every head that was looked at.

    Raises:
        InputError: no such layout, or no head is wanted.
        DatasetMismatch: `out` holds the export of another request.
        RecordError: another process exports into `out`.
    """
    out = Path(out)
    if request.to not in LAYOUTS:
        hint = did_you_mean(request.to, LAYOUTS)
        raise InputError(f"no layout {request.to!r}{hint}; there are {', '.join(LAYOUTS)}")
    layout = LAYOUTS[request.to]
    failures: list[str] = []
    assets: set[AssetRef] = set()
    heads = written = 0
    with exclusive(out):
        record_request(dataset, out, request)
        for name in layout.folders:
            (out / name).mkdir(exist_ok=True)
            remove_stale_temporaries(out / name)
        write = _HeadWriter(out, layout, request)
        with atomic_write(out / HEADS_NAME) as table:
            for head, done in _in_order(dataset, wanted, write, jobs, progress):
                if isinstance(done, HeadloomError):
                    failures.append(str(done))
                    continue
                heads, written = heads + 1, written + done
                assets.update(AssetRef(**asset) for asset in head.spec_data["assets"])
                table.write(HeadLine.of(head).to_bytes())
            if not heads and not failures:
                raise InputError(f"{dataset.root} has none of the heads asked for")
        for name, beginning in layout.lists.items():
            write_lists(out, name, beginning)
        write_licences(dataset, out, assets)
        write_readme(dataset, out, request, heads, layout.conventions)
    return ExportSummary(out, request.to, heads, written, tuple(failures))


@dataclass(frozen=True)
class _HeadWriter:
    """Writes the folders of a head that are not in place."""

    out: Path
    layout: Layout
    request: ExportRequest

    def __call__(self, record: HeadRecord) -> bool | HeadloomError:
        """Whether anything had to be written, or why the head cannot be exported."""
        missing = {
            self.out / name / record.spec_id: write
            for name, write in self.layout.folders.items()
            if not (self.out / name / record.spec_id).exists()
        }
        if not missing:
            return False
        try:
            head = HeadExport.choose(record, self.request.views, self.request.background)
            _write_folders(head, missing)
        except HeadloomError as error:
            return error
        return True


def _write_folders(head: HeadExport, folders: Mapping[Path, WriteFolder]) -> None:
    """Write folders under temporary names; once all are whole, put each in place in one step."""
    finished = {}
    try:
        for path, write in folders.items():
            temporary = finished[path] = path.with_name(temporary_name(path.name))
            temporary.mkdir()
            write(head, temporary)
            for folder, _, _ in os.walk(temporary):
                sync_directory(folder)
        for path, temporary in finished.items():
            temporary.rename(path)
            sync_directory(path.parent)
    finally:
        for temporary in finished.values():
            shutil.rmtree(temporary, ignore_errors=True)


def _in_order(
    dataset: Dataset,
    wanted: Wanted,
    write: Callable[[HeadRecord], bool | HeadloomError],
    jobs: int,
    progress: Progress,
) -> Iterator[tuple[HeadRecord, bool | HeadloomError]]:
    """Every wanted head in the dataset's order with what `write` made of it, `jobs` at a time."""
    total = dataset.head_count()
    pending: deque[tuple[HeadRecord, Future]] = deque()
    pool = ThreadPoolExecutor(jobs, thread_name_prefix="export")
    try:
        for number, head in enumerate(dataset.heads(), 1):
            if wanted(head):
                pending.append((head, pool.submit(write, head)))
            if len(pending) > _AHEAD * jobs:
                oldest, future = pending.popleft()
                yield oldest, future.result()
            progress("heads", number, total)
        for oldest, future in pending:
            yield oldest, future.result()
    finally:
        pool.shutdown(cancel_futures=True)
