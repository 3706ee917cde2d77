"""`headloom assets`: a user's own heads, hair, garments, skins and environment maps.

Adding an asset imports it once in a Blender process of its own, which checks it; a whole head is
also looked at from all sides until its face is found. What is known then goes into the store.
"""

from __future__ import annotations

import dataclasses
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import imageio.v3 as iio
import numpy as np

from synth.asset_alignment import Alignment, apply, world_from_template
from synth.asset_files import check_size
from synth.asset_manifest import (
    CustomLicence,
    ItemEntry,
    Manifest,
    inside,
    load_manifest,
)
from synth.asset_packs import PACKS, fetched, find_pack
from synth.asset_probe import Probe, ProbeFacts, ProbeJob, ProbeView, probe
from synth.asset_store import AssetRecord, AssetStore, StoredAsset
from synth.camera import Camera, orbit
from synth.errors import AssetError, HeadloomError, InputError
from synth.unfinished import scratch_directory

_MESHES = ("head", "hair", "garment")
_PREVIEW_SIZE, _PREVIEW_SAMPLES = 256, 12
_PREVIEW_VIEWS = ((-90.0, 0.0), (-135.0, 10.0), (180.0, 0.0), (90.0, 0.0))
_ROUNDED_TO = 6
"""Significant digits of an alignment that was found."""


def add_folder(
    folder: Path, store: AssetStore, *, replace_others: bool = False
) -> list[StoredAsset]:
    """Add every item of a folder's manifest to the store; prints a line for each.

    Args:
        folder: holds `assets.yaml`.
        store: where they go.
        replace_others: assets of the same names and other content are replaced.

    Raises:
        ConfigError: the manifest does not fit.
        AssetError: an item cannot be used; those before it are in the store.
    """
    folder = folder.resolve()
    manifest = load_manifest(folder)
    added = []
    for number, (name, item) in enumerate(manifest.items.items(), start=1):
        asset_id = f"{manifest.name}:{name}"
        print(f"{asset_id} ({number} of {len(manifest.items)}) ...", file=sys.stderr, flush=True)
        try:
            added.append(_add_item(folder, manifest, name, item, store, replace_others))
        except InputError as error:
            raise AssetError(f"{asset_id}: {error}") from error
        except HeadloomError as error:
            if str(error).startswith(asset_id):
                raise
            raise type(error)(f"{asset_id}: {error}") from error
    return added


def _add_item(
    folder: Path,
    manifest: Manifest,
    name: str,
    item: ItemEntry,
    store: AssetStore,
    replace_others: bool,
) -> StoredAsset:
    licence = manifest.licence_of(item)
    files = _files_of(folder, item, licence)
    with scratch_directory("asset") as staging:
        # from here on only the copies are used: what was left behind would be missed
        for relative, path in files.items():
            target = staging / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        main = staging / item.file
        layout = item.layout if item.kind == "skin" else ""
        job = ProbeJob(item.kind, main, staging, item.objects, layout)
        placed = _place(job, item) if item.kind in _MESHES else _Placed(probe(job).facts)
        custom = isinstance(licence, CustomLicence)
        record = AssetRecord(
            asset_id=f"{manifest.name}:{name}",
            kind=item.kind,
            file=item.file,
            files=(),
            licence=licence.spdx if custom else licence,
            licence_file=licence.file if custom else None,
            source=manifest.source if item.source is None else item.source,
            attribution=manifest.attribution if item.attribution is None else item.attribution,
            tags=item.tags,
            target_from_asset=_rounded_rows(placed.target_from_asset),
            aligned_by=placed.aligned_by,
            materials=dict(item.materials),
            objects=item.objects,
            layout=layout,
            landmarks={
                name: tuple(_rounded(v) for v in point) for name, point in placed.landmarks.items()
            },
            melanin=placed.facts.melanin if item.kind in ("head", "skin") else None,
        )
        staged = {relative: Path(staging) / relative for relative in files}
        asset = store.add(record, staged, placed.preview, replace_other=replace_others)
    print(_line(asset, placed.facts))
    for note in placed.facts.notes:
        print(f"  note: {note}")
    return asset


def _files_of(folder: Path, item: ItemEntry, licence: CustomLicence | str) -> dict[str, Path]:
    """Every file that an item consists of, by its path in the folder."""
    path = inside(folder, item.file, "file")
    check_size(path)
    needed: tuple[Path, ...] = ()
    if item.kind in _MESHES:
        needed = probe(ProbeJob(item.kind, path, folder, item.objects)).facts.files
    files = {item.file: path}
    for other in needed:
        files[str(PurePosixPath(other.resolve().relative_to(folder)))] = other
    if isinstance(licence, CustomLicence):
        files[licence.file] = inside(folder, licence.file, "licence.file")
    return files


@dataclasses.dataclass(frozen=True, eq=False)
class _Placed:
    """What was found out about an item.

    Attributes:
        facts: what its file holds.
        target_from_asset: [4, 4], or None for pictures.
        landmarks: in the canonical frame.
        preview: a PNG, or None.
    """

    facts: ProbeFacts
    target_from_asset: np.ndarray | None = None
    aligned_by: str = ""
    landmarks: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    preview: bytes | None = None


def _place(job: ProbeJob, item: ItemEntry) -> _Placed:
    """Align a mesh, look at it in its place."""
    if item.kind == "head":
        matrix, aligned_by, landmarks = _place_head(job, item.align)
        shown = matrix
    else:
        matrix, aligned_by = _place_wear(item.align)
        landmarks, shown = {}, world_from_template() @ matrix
    cameras = [orbit(a, e, size=_PREVIEW_SIZE) for a, e in _PREVIEW_VIEWS]
    looked = probe(dataclasses.replace(_at(job, shown), samples=_PREVIEW_SAMPLES), cameras)
    _require_place(item, looked.facts)
    return _Placed(looked.facts, matrix, aligned_by, landmarks, _png(looked.views))


def _place_head(job: ProbeJob, align: Alignment) -> tuple[np.ndarray, str, dict[str, np.ndarray]]:
    """Matrix to the canonical frame, how it was found, landmarks."""
    if not align.automatic:
        matrix = align.given(world_from_template())
        given = align.landmarks or {}
        points = {name: apply(matrix, np.array([point]))[0] for name, point in given.items()}
        by = "matrix" if align.matrix else "landmarks" if align.landmarks else "axes"
        return matrix, by, points

    from infer.faces import FaceFinder
    from infer.head_alignment import find_head

    def look(
        matrix: np.ndarray | None, cameras: Sequence[Camera]
    ) -> tuple[np.ndarray, Sequence[ProbeView]]:
        result: Probe = probe(_at(job, matrix), cameras)
        return np.array(result.facts.target_from_asset), result.views

    rotation = align.rotation() if align.up is not None else None
    found = find_head(look, FaceFinder(max_faces=1, min_confidence=0.3), rotation)
    return found.canonical_from_asset, "face", {}  # what a network found is no ground truth


def _place_wear(align: Alignment) -> tuple[np.ndarray, str]:
    """Hair and garments are modelled on the template unless the manifest says how they lie."""
    if align.automatic:
        matrix = np.eye(4)
        matrix[:3, :3] = align.rotation()
        return matrix, "template" if align.up is None else "axes"
    by = "matrix" if align.matrix else "landmarks" if align.landmarks else "axes"
    return align.given(np.eye(4)), by


def _require_place(item: ItemEntry, facts: ProbeFacts) -> None:
    """An asset that is far off would render to an empty or a full picture."""
    low, high = np.array(facts.low), np.array(facts.high)
    size = float((high - low).max())
    far = np.abs((low + high) / 2).max() > 6 or not 0.2 < size < 40
    if item.kind in ("hair", "garment") and (far or size > 8):
        raise AssetError(
            f"it is {size:.2f} scene units large and lies {np.round((low + high) / 2, 2).tolist()} "
            "from the head: hair and garments are modelled on the template (`headloom assets "
            "template DIR`) or need an `align` in the manifest"
        )
    if item.kind == "head" and far:
        raise AssetError(
            f"with this alignment it is {size:.2f} scene units large (a head is about 1.1) and its "
            f"middle lies at {np.round((low + high) / 2, 2).tolist()}; correct `align`"
        )


def _at(job: ProbeJob, matrix: np.ndarray | None) -> ProbeJob:
    rows = () if matrix is None else tuple(map(tuple, np.asarray(matrix).tolist()))
    return dataclasses.replace(job, target_from_asset=rows)


def _png(views: Sequence[ProbeView]) -> bytes:
    """The views side by side over grey."""
    strip = np.concatenate([view.rgba for view in views], axis=1).astype(np.float64)
    alpha = strip[..., 3:] / 255
    picture = (strip[..., :3] * alpha + 200 * (1 - alpha)).round().astype(np.uint8)
    return iio.imwrite("<bytes>", picture, extension=".png", plugin="pillow")


def _line(asset: StoredAsset, facts: ProbeFacts) -> str:
    record = asset.record
    if facts.vertices:
        size = f"{facts.vertices:,} vertices, aligned by {record.aligned_by}"
    else:
        size = f"{facts.size[0]} x {facts.size[1]} px"
    return f"{record.asset_id}  {record.kind}  {size}  {record.licence}  {record.digest[:16]}"


def _rounded(value: float) -> float:
    return float(f"{float(value):.{_ROUNDED_TO}g}")


def _rounded_rows(matrix: np.ndarray | None) -> tuple[tuple[float, ...], ...]:
    if matrix is None:
        return ()
    return tuple(tuple(_rounded(value) for value in row) for row in matrix.tolist())


def check_store(store: AssetStore) -> list[str]:
    """What is wrong with the assets of a store, one sentence each."""
    problems = []
    for asset_id in store.ids():
        try:
            store.get(asset_id).verify()
        except AssetError as error:
            problems.append(str(error))
    return problems


def list_lines(store: AssetStore) -> list[str]:
    """One line for each asset."""
    rows = [("id", "kind", "licence", "digest", "tags")]
    for asset in store.assets():
        record = asset.record
        tags = " ".join(f"#{tag}" for tag in record.tags)
        rows.append((record.asset_id, record.kind, record.licence, record.digest[:16], tags))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows
    ]


def write_template(folder: Path) -> tuple[Path, Path]:
    """Write the template and a manifest to fill in."""
    from synth.asset_template import write_template as write
    from synth.headmodel import HeadModel

    return write(folder, HeadModel.load())


def install_pack(
    name: str | None, store: AssetStore, *, accepted: bool, replace_others: bool = False
) -> int:
    """Show a pack's licence, ask, fetch it and add it; returns the exit code.

    Args:
        name: of the pack; None shows all.
        accepted: the licence was accepted on the command line.

    Raises:
        AssetError: no such pack, it cannot be fetched, or nobody is there to be asked.
    """
    if name is None:
        print("\n".join(pack.notice() for pack in PACKS.values()))
        return 0
    pack = find_pack(name)
    print(pack.notice())
    if not accepted:
        if not sys.stdin.isatty():
            raise AssetError(f"to install {name} under this licence, add --accept-licence")
        if input("Install it under this licence? [y/N] ").strip().lower() not in ("y", "yes"):
            print("nothing was installed")
            return 1
    with fetched(pack) as folder:
        added = add_folder(folder, store, replace_others=replace_others)
    print(f"{len(added)} assets in {store.root}; weigh them with --set 'light.hdris={{...}}'")
    return 0
