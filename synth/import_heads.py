"""Import: heads in the layouts of other programs as a dataset.

The dataset has the layout of a rendered one, so training, evaluation and the verbs of `dataset`
read it; `spec.json` of its heads is an `ImportedSpec`. Running the same import again finishes it. A
head that cannot be read is noted in its shard as absent, named in the summary, and tried again by
the next run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as iio
import numpy as np

from synth.assets import LicenceRow
from synth.camera import Camera
from synth.config import canonical_json, did_you_mean, digest
from synth.dataset import Dataset
from synth.dataset_report import Progress
from synth.errors import HeadloomError, InputError
from synth.export_frame import HEADS_NAME, Failures, local_path, read_lines
from synth.import_layouts import LAYOUTS, ImportLayout, SourceView
from synth.imported import ImportConfig, ImportedIdentity, ImportedSpec
from synth.lock import exclusive
from synth.record import ShardWriter
from synth.shardplan import ShardPlan
from synth.splits import SPLITS, Split, split_of
from synth.unfinished import remove_stale_temporaries

UNKNOWN_LICENCE = "unknown"
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")
"""Pillow's names of what may be imported. The fourth channel of CMYK is no alpha."""


@dataclass(frozen=True)
class ImportOptions:
    """How heads are imported.

    Attributes:
        layout: what they are read from, of `synth.import_layouts.LAYOUTS`.
        opaque: take pictures without alpha and without mask as opaque, background and all; else
            they are refused.
        heads_per_shard: heads in a shard.
        licence: of the pictures (SPDX, or a short text).
        attribution: whom to name.
    """

    layout: str
    opaque: bool = False
    heads_per_shard: int = 32
    licence: str = UNKNOWN_LICENCE
    attribution: str = ""


@dataclass(frozen=True)
class SourceHead:
    """A head that is to be imported: its folder, who it is, and its split."""

    folder: Path
    name: str
    identity_id: str
    split: Split


@dataclass(frozen=True)
class ImportSummary:
    """What an import did; `str` prints it for a person.

    Attributes:
        heads: how many are in the dataset now.
        failures: heads that cannot be read; their shards say why, too.
        distances: least and largest distance of this run's cameras from the origin, scene units;
            None if nothing was left to do.
    """

    out: Path
    heads: int
    failures: Failures
    distances: tuple[float, float] | None

    def __str__(self) -> str:
        lines = self.failures.lines("imported")
        if self.distances is not None:
            low, high = self.distances
            lines.append(
                f"cameras stand {low:.2f} to {high:.2f} units from the origin, where the models "
                "expect the head; Headloom's own stand at 2.7"
            )
        lines.append(f"{self.out}: {self.heads} heads imported{self.failures.total('imported')}")
        return "\n".join(lines)


def import_dataset(
    source: str | Path,
    out: str | Path,
    options: ImportOptions,
    *,
    jobs: int = 1,
    progress: Progress = lambda *_: None,
) -> ImportSummary:
    """Import every head below a folder.

    Args:
        source: holds the heads' folders at any depth; `heads.jsonl` in it (a line a head, see
            `HeadLine`) tells identities and splits, else lists of FaceLift's layout the splits,
            else the name of a folder is the identity and splits go by its hash.
        out: the dataset; one of the same import is finished.
        options: how.
        jobs: shards made at a time.
        progress: told of every shard.

    Raises:
        InputError: no such layout, no heads, or a list that names a head that is not there.
        DatasetMismatch: `out` is another dataset, or what is imported has changed.
    """
    source, out = local_path(source), local_path(out)
    if options.layout not in LAYOUTS:
        hint = did_you_mean(options.layout, LAYOUTS)
        raise InputError(f"no layout {options.layout!r}{hint}; there are {', '.join(LAYOUTS)}")
    layout = LAYOUTS[options.layout]
    heads = find_heads(source, layout)
    config = ImportConfig(
        layout=options.layout,
        source=str(source),
        heads=len(heads),
        size=_first_size(layout, heads),
        heads_per_shard=options.heads_per_shard,
        opaque=options.opaque,
        heads_sha256=digest([(head.name, head.identity_id, head.split) for head in heads]),
    )
    row = LicenceRow(
        f"import:{source.resolve().name}",
        config.heads_sha256,
        options.licence,
        str(source),
        options.attribution,
    )
    failures = Failures()
    distances: list[float] = []
    with exclusive(out):
        remove_stale_temporaries(out)
        dataset = Dataset.create_imported(out, config, [row])
        remove_stale_temporaries(dataset.shard_directory)
        plan = dataset.plan(retry_failed=True)
        for damaged in plan.damaged:
            dataset.quarantine(damaged.path)
        shards = _ShardImporter(dataset, layout, heads, row)
        with ThreadPoolExecutor(jobs, thread_name_prefix="import") as pool:
            for number, (failed, stands) in enumerate(pool.map(shards, plan), 1):
                failures.add(failed)
                distances += [min(stands), max(stands)] if stands else []
                progress("shards", number, len(plan))
    there = dataset.head_count()
    span = (min(distances), max(distances)) if distances else None
    return ImportSummary(out, there, failures, span)


def find_heads(source: Path, layout: ImportLayout) -> list[SourceHead]:
    """The heads below a folder with identities and splits, in the order of `heads.jsonl`, else of
    their names.

    Raises:
        InputError: there are none, a list names one that is not there or that another names, or one
            identity is in two splits.
    """
    folders = layout.folders(source)
    if not folders:
        raise InputError(f"{source}: no folder below it holds {layout.marker}")
    by_name = {folder.absolute().name: folder for folder in folders}
    if len(by_name) < len(folders):
        by_name = {folder.relative_to(source).as_posix(): folder for folder in folders}
    names = list(by_name)
    identities = {name: name for name in names}
    splits: Mapping[str, Split | None] = {}
    if (source / HEADS_NAME).is_file():
        lines = {line.id: line for line in read_lines(source)}
        identities.update({name: line.identity_id for name, line in lines.items()})
        splits = {name: line.split for name, line in lines.items()}
        places = {name: place for place, name in enumerate(lines)}
        names.sort(key=lambda name: places.get(name, len(places)))
    elif layout.lists:
        splits = _listed(source, layout.lists, by_name)
    if missing := sorted(splits.keys() - set(names)):
        raise InputError(
            f"{source}: {len(missing)} listed heads are not there, the first is {missing[0]!r}"
        )
    heads = [
        SourceHead(
            by_name[name], name, identities[name], splits.get(name) or split_of(identities[name])
        )
        for name in names
    ]
    _require_one_split(source, heads)
    return heads


def _listed(source: Path, beginning: str, names: Collection[str]) -> dict[str, Split]:
    """Splits by head of the lists of FaceLift's layout, as far as there are any; what a line ends
    with is the head's name."""
    splits: dict[str, Split] = {}
    for split in SPLITS:
        path = source / f"{beginning}_{split}.txt"
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else ()
        for parts in (Path(line.strip()).parts for line in lines if line.strip()):
            ends = ["/".join(parts[-length:]) for length in range(1, len(parts) + 1)]
            name = next((end for end in ends if end in names), ends[0])
            if splits.setdefault(name, split) != split:
                raise InputError(
                    f"{path}: head {name!r} is in the list of {splits[name]}, too; a test would "
                    "see people that training saw. Take it out of one of them"
                )
    return splits


def _require_one_split(source: Path, heads: Sequence[SourceHead]) -> None:
    seen: dict[str, SourceHead] = {}
    for head in heads:
        other = seen.setdefault(head.identity_id, head)
        if other.split != head.split:
            raise InputError(
                f"{source}: identity {head.identity_id!r} is in two splits, {other.name!r} in "
                f"{other.split} and {head.name!r} in {head.split}; a test would see people that "
                "training saw"
            )


def _first_size(layout: ImportLayout, heads: Sequence[SourceHead]) -> int:
    """Size of the pictures of the first head that can be read, which all others must have."""
    error: HeadloomError | None = None
    for head in heads:
        try:
            return layout.read(head.folder)[0].camera.width
        except HeadloomError as problem:
            error = error or problem
    raise InputError(f"none of the {len(heads)} heads can be read; the first: {error}") from error


@dataclass(frozen=True)
class _ShardImporter:
    """Makes shards."""

    dataset: Dataset
    layout: ImportLayout
    heads: Sequence[SourceHead]
    row: LicenceRow

    def __call__(self, plan: ShardPlan) -> tuple[list[str], list[float]]:
        """Problems of heads that cannot be read, and how far cameras stand from the origin."""
        failures: list[str] = []
        distances: list[float] = []
        with ShardWriter(plan.path, dataset_id=self.dataset.dataset_id) as writer:
            for index in range(plan.start, plan.stop):
                try:
                    views = self.layout.read(self.heads[index].folder)
                    cameras = [view.camera for view in views]
                    pictures = [self._picture(view) for view in views]
                except HeadloomError as error:
                    failures.append(str(error))
                    writer.add_absent(self._spec(index, ""), "failed", str(error))
                    continue
                files = [str(view.picture.relative_to(self.heads[index].folder)) for view in views]
                spec = self._spec(index, _content(cameras, pictures))
                writer.add_head(spec, cameras, pictures, meta={"files": files})
                distances += [float(np.linalg.norm(camera.position)) for camera in cameras]
        return failures, distances

    def _spec(self, index: int, content_sha256: str) -> ImportedSpec:
        head = self.heads[index]
        return ImportedSpec(
            index=index,
            identity=ImportedIdentity(head.identity_id),
            split=head.split,
            layout=self.dataset.config.layout,
            source=head.name,
            content_sha256=content_sha256,
            assets=(self.row.ref,),
        )

    def _picture(self, view: SourceView) -> np.ndarray:
        """[H, W, 4] uint8 of a view.

        Raises:
            InputError: it cannot be decoded, has another size than its camera or the other heads,
                or no alpha.
        """
        rgba, camera = _decode(view, opaque=self.dataset.config.opaque), view.camera
        size, found = self.dataset.config.size, rgba.shape[:2]
        if found != (camera.height, camera.width) or found != (size, size):
            raise InputError(
                f"{view.picture} is {found[1]} x {found[0]} px, its camera {camera.width} x "
                f"{camera.height}, and this import {size} x {size}: pictures are square and of "
                "one size, bring them to it first (focal lengths and centres scale with them)"
            )
        return rgba


def _decode(view: SourceView, *, opaque: bool) -> np.ndarray:
    """[H, W, 4] uint8, straight alpha: that of the picture, of its mask, or 255 everywhere."""
    pixels = _read_pixels(view.picture)
    grey = pixels.ndim == 2 or pixels.shape[2] == 2
    if grey:
        pixels = pixels.reshape(*pixels.shape[:2], -1)
        colour, rest = np.repeat(pixels[..., :1], 3, axis=2), pixels[..., 1:]
    else:
        colour, rest = pixels[..., :3], pixels[..., 3:]
    if rest.shape[2]:
        alpha = rest
    elif view.mask is not None:
        mask = _read_pixels(view.mask)
        alpha = mask.reshape(*mask.shape[:2], -1)[..., :1]
        if alpha.shape[:2] != colour.shape[:2]:
            raise InputError(
                f"{view.mask} is {alpha.shape[1]} x {alpha.shape[0]} px, its picture "
                f"{colour.shape[1]} x {colour.shape[0]}"
            )
    elif opaque:
        alpha = np.full((*colour.shape[:2], 1), 255, np.uint8)
    else:
        raise InputError(
            f"{view.picture} has no alpha and no mask; cut the head out, or import it with its "
            "background by --opaque"
        )
    return np.ascontiguousarray(np.concatenate([colour, alpha], axis=2))


def _read_pixels(path: Path) -> np.ndarray:
    """[H, W] grey or [H, W, C] uint8; a colour that stands for nothing becomes alpha."""
    try:
        with iio.imopen(path, "r", plugin="pillow") as file:
            told = file.metadata()
            keyed = told["mode"] == "PA" or "transparency" in told
            pixels = np.asarray(file.read(mode="RGBA" if keyed else None))
    except (OSError, ValueError, SyntaxError) as error:  # pillow: a broken PNG is a SyntaxError
        raise InputError(f"{path}: cannot be decoded: {error}") from error
    if told["mode"] not in _MODES or pixels.ndim > 3:
        raise InputError(
            f"{path}: {told['mode']} {list(pixels.shape)}; one picture of 8 bits is expected, grey "
            "or RGB, with or without alpha"
        )
    return pixels.astype(np.uint8) * 255 if pixels.dtype == bool else pixels


def _content(cameras: Sequence[Camera], pictures: Sequence[np.ndarray]) -> str:
    """Digest of what was read."""
    sha = hashlib.sha256(canonical_json([camera.to_json() for camera in cameras]).encode())
    for picture in pictures:
        sha.update(picture.tobytes())
    return sha.hexdigest()
