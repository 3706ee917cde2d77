"""Exports of one folder a head: the layouts, and how a folder is put in place in one step."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from synth import export_colmap, export_facelift, export_transforms
from synth.config import sync_directory
from synth.errors import HeadloomError
from synth.export_frame import Exported, ExportRequest, write_lists
from synth.export_head import FetchedHead, HeadExport
from synth.record import HeadRecord
from synth.unfinished import remove_stale_temporaries, temporary_name

WriteFolder = Callable[[HeadExport, Path], None]


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


class FolderExporter:
    """Writes the folders of heads that are not in place; see `synth.export.Exporter`.

    Args:
        out: the export.
        request: for one of `LAYOUTS`.
    """

    def __init__(self, out: Path, request: ExportRequest):
        self._out, self._request, self._layout = out, request, LAYOUTS[request.to]
        self.conventions = self._layout.conventions
        for name in self._layout.folders:
            (out / name).mkdir(exist_ok=True)
            remove_stale_temporaries(out / name)

    def units(self, heads: Iterable[HeadRecord]) -> Iterator[Sequence[HeadRecord]]:
        """One head is one piece of work."""
        return ([head] for head in heads)

    def export(self, number: int, heads: Sequence[HeadRecord]) -> Exported:
        """Write what is missing of a head, all of its folders or none."""
        (record,) = heads
        missing = {
            self._out / name / record.spec_id: write
            for name, write in self._layout.folders.items()
            if not (self._out / name / record.spec_id).exists()
        }
        try:
            if missing:
                record = FetchedHead.of(record)
                head = HeadExport.choose(record, self._request.views, self._request.background)
                _write_folders(head, missing)
            return Exported.of([record], written=1 if missing else 0)
        except HeadloomError as error:
            return Exported(failures=(str(error),))

    def finish(self) -> None:
        """Write the lists of the layout."""
        for name, beginning in self._layout.lists.items():
            write_lists(self._out, name, beginning)


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
