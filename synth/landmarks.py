"""Landmarks: named points on a head, the same anatomical places on every identity.

Two sets. The *sparse* one follows the familiar contour scheme (brows, eyes, nose, lips, jaw, ears)
under names of our own; left and right are the subject's. A point is a vertex of the fine mesh,
given here by its position on the canonical head, so it follows identity, expression and pose; the
two irises follow the gaze. The *dense* one is a list of vertices of MakeHuman's base mesh, spread
evenly over head and neck (`synth.landmarks_dense`).

Where mediapipe's face mesh has a point with the same meaning, its index is given. Brows, the bridge
and the base of the nose, where anatomy leaves a choice, were placed where mediapipe found its own
points on six heads (docs/decisions.md), so its agreement there is no independent test.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from enum import IntEnum
from functools import cache

import numpy as np

from synth.camera import Camera
from synth.errors import SpecError
from synth.gaze import lines_of_sight
from synth.headmodel import HeadModel, HeadShape
from synth.headmodel_masks import BROW_X, CANONICAL_BROWS, brow_band
from synth.landmarks_dense import DENSE_BASE_VERTICES
from synth.spec import BrowShape, HeadSpec

IRISES = ("iris_left", "iris_right")
"""Sparse landmarks that are no vertices: the centres of the pupils."""
IRIS_DEPTH = 0.08
"""The pupil lies this far behind the plane of the iris' rim, in radii of the eyeball."""
EYEBALL_SCALE = 0.985
"""Radius of the built eyeball relative to that of the model's eye."""

# Points on the middle plane: name, canonical (y, z) in millimetres, mediapipe's index or -1.
_MIDDLE = (
    ("crown", -47.5, 1009.7, -1),
    ("forehead", -151.1, 944.7, 10),
    ("glabella", -156.4, 915.6, 9),
    ("nose_bridge_1", -153.8, 899.9, 168),
    ("nose_bridge_2", -154.3, 890.1, 6),
    ("nose_bridge_3", -158.5, 881.3, 197),
    ("nose_bridge_4", -167.4, 868.0, 5),
    ("nose_tip", -173.3, 857.0, 4),
    ("subnasale", -163.0, 844.9, 2),
    ("lip_upper_top", -166.3, 832.7, 0),
    ("lip_upper_inner", -158.9, 823.5, 13),
    ("lip_lower_inner", -158.7, 822.4, 14),
    ("lip_lower_bottom", -160.9, 811.1, 17),
    ("chin", -145.1, 780.4, 152),
    ("nape", 15.1, 813.9, -1),
)
# Points on the subject's left: name, canonical (x, y, z) in millimetres, mediapipe's index of the
# left and of the right point, or -1.
_LEFT = (
    ("brow_{}_upper_1", 14.2, -155.9, 916.4, 336, 107),
    ("brow_{}_upper_2", 27.5, -153.0, 919.8, 296, 66),
    ("brow_{}_upper_3", 39.5, -147.8, 920.8, 334, 105),
    ("brow_{}_upper_4", 49.5, -140.2, 917.2, 293, 63),
    ("brow_{}_upper_5", 55.5, -133.5, 912.5, 300, 70),
    ("brow_{}_lower_1", 13.3, -155.1, 909.7, 285, 55),
    ("brow_{}_lower_2", 27.5, -153.4, 913.6, 295, 65),
    ("brow_{}_lower_3", 38.5, -149.5, 915.6, 282, 52),
    ("brow_{}_lower_4", 46.8, -144.3, 914.0, 283, 53),
    ("brow_{}_lower_5", 53.2, -137.6, 910.4, 276, 46),
    ("eye_{}_inner", 17.4, -143.7, 892.3, 362, 133),
    ("eye_{}_outer", 45.2, -139.0, 894.8, 263, 33),
    ("eye_{}_upper_1", 22.5, -145.1, 896.1, 384, 157),
    ("eye_{}_upper_2", 27.8, -146.4, 897.9, 385, 158),
    ("eye_{}_upper_3", 32.7, -146.9, 898.7, 386, 159),
    ("eye_{}_upper_4", 37.4, -145.7, 898.3, 387, 160),
    ("eye_{}_upper_5", 41.3, -144.0, 897.5, 388, 161),
    ("eye_{}_lower_1", 23.1, -143.2, 890.7, 381, 154),
    ("eye_{}_lower_2", 28.2, -145.0, 890.1, 380, 153),
    ("eye_{}_lower_3", 32.0, -145.2, 890.0, 374, 145),
    ("eye_{}_lower_4", 37.9, -144.0, 890.1, 373, 144),
    ("eye_{}_lower_5", 41.3, -141.8, 891.1, 390, 163),
    ("nose_{}_alar", 18.7, -152.7, 854.3, 278, 48),
    ("nose_{}_alar_base", 16.5, -154.4, 847.7, 327, 98),
    ("nose_{}_nostril", 6.9, -160.6, 846.6, 326, 97),
    ("lip_upper_{}_peak", 7.7, -164.9, 832.8, 267, 37),
    ("lip_upper_{}_2", 13.9, -161.8, 831.2, 269, 39),
    ("lip_upper_{}_3", 18.8, -158.2, 828.9, 270, 40),
    ("mouth_{}", 24.0, -151.3, 822.6, 291, 61),
    ("lip_lower_{}_3", 18.4, -154.9, 814.4, 321, 91),
    ("lip_lower_{}_2", 13.2, -157.5, 812.2, 405, 181),
    ("lip_lower_{}_1", 6.6, -160.1, 811.6, 314, 84),
    ("lip_upper_{}_inner_1", 6.2, -157.7, 823.6, 312, 82),
    ("lip_upper_{}_inner_2", 11.5, -157.1, 823.9, 311, 81),
    ("lip_upper_{}_inner_3", 16.6, -154.9, 823.4, 310, 80),
    ("lip_lower_{}_inner_1", 6.5, -158.0, 822.5, 317, 87),
    ("lip_lower_{}_inner_2", 11.3, -156.3, 822.7, 402, 178),
    ("lip_lower_{}_inner_3", 16.2, -153.9, 822.2, 318, 88),
    ("jaw_{}_1", 9.2, -143.1, 780.7, -1, -1),
    ("jaw_{}_2", 20.2, -136.5, 782.8, -1, -1),
    ("jaw_{}_3", 30.2, -129.0, 788.4, -1, -1),
    ("jaw_{}_4", 38.0, -121.0, 793.6, -1, -1),
    ("jaw_{}_5", 45.6, -109.2, 798.7, -1, -1),
    ("jaw_{}_6", 52.1, -97.2, 804.7, -1, -1),
    ("jaw_{}_7", 57.9, -84.0, 814.0, -1, -1),
    ("jaw_{}_8", 63.1, -78.6, 828.2, -1, -1),
    ("ear_{}_top", 87.1, -45.5, 898.2, -1, -1),
    ("ear_{}_back", 87.8, -32.7, 879.3, -1, -1),
    ("ear_{}_lobe", 79.0, -55.8, 846.2, -1, -1),
    ("ear_{}_tragus", 76.6, -57.7, 869.1, -1, -1),
    ("ear_{}_front_top", 76.2, -62.7, 893.1, -1, -1),
    ("ear_{}_front_bottom", 76.2, -60.6, 847.9, -1, -1),
)
_MEDIAPIPE_IRISES = {"iris_left": 473, "iris_right": 468}


def _table() -> tuple[dict[str, tuple[float, float, float]], dict[str, int]]:
    """Canonical positions in metres, and mediapipe's indices, by name."""
    canonical, mediapipe = {}, dict(_MEDIAPIPE_IRISES)
    for name, y, z, index in _MIDDLE:
        canonical[name] = (0.0, y / 1000, z / 1000)
        mediapipe[name] = index
    for side, sign, column in (("left", 1, 4), ("right", -1, 5)):
        for row in _LEFT:
            name = row[0].format(side)
            canonical[name] = (sign * row[1] / 1000, row[2] / 1000, row[3] / 1000)
            mediapipe[name] = row[column]
    return canonical, {name: index for name, index in mediapipe.items() if index >= 0}


CANONICAL, MEDIAPIPE_INDEX = _table()
"""Positions on the canonical head in metres by name, without the irises; and the index of the point
of mediapipe's face mesh (478 points, refined) that means the same, where there is one."""

SPARSE_NAMES: tuple[str, ...] = (*CANONICAL, *IRISES)
"""Names of the sparse landmarks, in the order of every array of them."""
DENSE_COUNT = len(DENSE_BASE_VERTICES)


@dataclass(frozen=True, eq=False)
class Landmarks:
    """The landmarks of one head in world coordinates (scene units).

    Attributes:
        sparse: [S, 3] float64, in the order of `SPARSE_NAMES`.
        dense: [D, 3] float64, in the order of `DENSE_BASE_VERTICES`.
        sparse_normals, dense_normals: [S, 3] and [D, 3] float64, unit, outwards.
    """

    sparse: np.ndarray
    dense: np.ndarray
    sparse_normals: np.ndarray
    dense_normals: np.ndarray

    def named(self) -> dict[str, np.ndarray]:
        """[3] world position of each sparse landmark by name."""
        return dict(zip(SPARSE_NAMES, self.sparse))


def locate(spec: HeadSpec, model: HeadModel, shape: HeadShape) -> Landmarks:
    """All landmarks of a head.

    Args:
        spec: its gaze and iris place the irises.
        model: the static head model.
        shape: the evaluated head.
    """
    sparse = sparse_vertices(model, spec.identity.brows)
    dense = dense_vertices(model)
    forward = lines_of_sight(spec.gaze, shape.eyes)
    irises = np.stack(
        [
            eye.center + direction * iris_distance(eye.radius, spec.eyes.iris_radius)
            for eye, direction in zip(shape.eyes, forward)
        ]
    )
    return Landmarks(
        sparse=shape.to_world(np.concatenate([shape.vertices[sparse], irises])),
        dense=shape.to_world(shape.vertices[dense]),
        sparse_normals=np.concatenate([shape.normals[sparse], forward]),
        dense_normals=shape.normals[dense],
    )


def iris_distance(eye_radius: float, iris_radius: float) -> float:
    """Distance of the pupil from the centre of the eyeball, in the unit of `eye_radius`."""
    return EYEBALL_SCALE * eye_radius * (math.sqrt(1 - iris_radius**2) - IRIS_DEPTH)


@cache
def sparse_vertices(model: HeadModel, brows: BrowShape = CANONICAL_BROWS) -> np.ndarray:
    """[S - 2] int: the fine vertex of every sparse landmark but the irises.

    Args:
        model: the static head model.
        brows: of the person, whose outline the landmarks of the brows follow.
    """
    wanted = np.array(list(CANONICAL.values()))
    head = np.flatnonzero(model.canonical[:, 2] > 0.76)
    points = model.canonical[head]
    vertices = head[_nearest(points, wanted)]
    if brows != CANONICAL_BROWS:
        faces_front = model.canonical_normals[:, 1] < -0.2
        front = np.flatnonzero(faces_front & (model.canonical[:, 1] < -0.12))
        rows = [i for i, name in enumerate(CANONICAL) if name.startswith("brow_")]
        moved = _on_brows(wanted[rows], brows)
        plane = model.canonical[front][:, [0, 2]]
        vertices[rows] = front[_nearest(plane, moved)]
    return vertices


def _nearest(points: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """[n] int: which of `points` [N, d] is nearest to each of `wanted` [n, d].

    One after the other: all distances at once would be the largest array of a Blender process.
    """
    return np.array([np.linalg.norm(points - point, axis=1).argmin() for point in wanted])


def _on_brows(points: np.ndarray, brows: BrowShape) -> np.ndarray:
    """Canonical x and z [n, 2] of points [n, 3] on the canonical brows, on those of a person.

    A point keeps its share of the length and its height in the band.
    """
    side = np.abs(points[:, 0])
    middle, half_height = brow_band(side, CANONICAL_BROWS)
    height = (points[:, 2] - middle) / half_height
    tail = BROW_X[-1]
    start = BROW_X[0] + brows.gap_m
    moved = start + (side - BROW_X[0]) * (tail - start) / (tail - BROW_X[0])
    middle, half_height = brow_band(moved, brows)
    return np.stack([np.sign(points[:, 0]) * moved, middle + height * half_height], axis=1)


@cache
def dense_vertices(model: HeadModel) -> np.ndarray:
    """[D] int: the fine vertex of every dense landmark.

    Raises:
        SpecError: the head model has another base mesh.
    """
    fine_of_base = {int(base): fine for fine, base in enumerate(model.base_of_fine)}
    missing = [vertex for vertex in DENSE_BASE_VERTICES if vertex not in fine_of_base]
    if missing:
        raise SpecError(
            f"dense landmarks: base vertex {missing[0]} is not in head model {model.digest}; "
            "landmarks_dense.py belongs to another base mesh"
        )
    return np.array([fine_of_base[vertex] for vertex in DENSE_BASE_VERTICES])


# -------------------------------------------------------------------------------------- visibility

_THICKNESS = 0.012
"""Scene units (2.4 mm) that a surface may lie in front of a landmark on it: lashes' roots, lips."""
_STEEPEST = 4.0
"""Slope up to which the depth within a pixel is followed."""


class Visibility(IntEnum):
    """What a view sees of a landmark."""

    OUTSIDE = 0
    """It lies outside the frame."""
    VISIBLE = 1
    COVERED = 2
    """Hair, beard, headwear, an earring, or dark glasses are in front; nothing else is."""
    HIDDEN = 3
    """On the far side of the head, or behind another part of it or of the clothes."""


def visibility(
    points: np.ndarray,
    normals: np.ndarray,
    camera: Camera,
    depth: np.ndarray,
    cover: np.ndarray,
) -> np.ndarray:
    """What a view sees of points on the head.

    Args:
        points: [N, 3] world coordinates.
        normals: [N, 3] of the surface there, unit, outwards.
        camera: of the view.
        depth: [H, W] of the head without what covers it, 0 where nothing is.
        cover: [H, W] depth of hair and the like where they are in front, else 0.

    Returns:
        [N] uint8, a `Visibility` each.
    """
    pixels, distance = camera.project(points)
    inside = (distance > 0) & (pixels >= 0).all(axis=1)
    inside &= (pixels < [camera.width, camera.height]).all(axis=1)
    column, row = np.where(inside[:, None], pixels, 0).astype(int).T
    view = camera.position - points
    cosine = (view * normals).sum(axis=1) / np.linalg.norm(view, axis=1)
    slope = np.sqrt(np.maximum(1 - cosine**2, 0)) / np.maximum(cosine, 1e-6)
    # a point lies up to half a pixel from the centre that depth was measured at
    pixel = distance / min(camera.K[0, 0], camera.K[1, 1])
    nearest = distance - _THICKNESS - pixel * np.minimum(slope, _STEEPEST)

    def in_front(surface: np.ndarray) -> np.ndarray:
        found = surface[row, column]
        return (found > 0) & (found < nearest)

    result = np.full(len(points), Visibility.VISIBLE, np.uint8)
    result[in_front(cover)] = Visibility.COVERED
    result[(cosine <= 0) | in_front(depth)] = Visibility.HIDDEN
    result[~inside] = Visibility.OUTSIDE
    return result


# ------------------------------------------------------------------------------------------- files


@dataclass(frozen=True, eq=False)
class HeadLandmarks:
    """The landmarks of a rendered head; pixels are `camera.project(sparse)`.

    Attributes:
        sparse_names: [S] names of the sparse landmarks.
        sparse: [S, 3] float32, world coordinates in scene units.
        dense_base_vertices: [D] int32, vertex numbers of MakeHuman's base mesh.
        dense: [D, 3] float32, world coordinates.
        sparse_visibility: [V, S] uint8, a `Visibility` for every view.
        dense_visibility: [V, D] uint8.
    """

    sparse_names: np.ndarray
    sparse: np.ndarray
    dense_base_vertices: np.ndarray
    dense: np.ndarray
    sparse_visibility: np.ndarray
    dense_visibility: np.ndarray

    @classmethod
    def of(cls, located: Landmarks, seen: np.ndarray) -> HeadLandmarks:
        """From the located points and their visibility [V, S + D] uint8, sparse ones first."""
        count = len(SPARSE_NAMES)
        return cls(
            sparse_names=np.array(SPARSE_NAMES),
            sparse=located.sparse.astype(np.float32),
            dense_base_vertices=np.array(DENSE_BASE_VERTICES, np.int32),
            dense=located.dense.astype(np.float32),
            sparse_visibility=seen[:, :count],
            dense_visibility=seen[:, count:],
        )

    def to_bytes(self) -> bytes:
        """An NPZ file with the attributes as arrays."""
        file = io.BytesIO()
        np.savez_compressed(file, **self.__dict__)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> HeadLandmarks:
        """The inverse of `to_bytes`."""
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            return cls(**{name: file[name] for name in cls.__dataclass_fields__})
