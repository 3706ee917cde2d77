"""Meshes of accessories before they become Blender objects: sweeps, discs, grids; numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

_PROFILE_SIDES = 16


@dataclass(frozen=True, eq=False)
class MeshPart:
    """One mesh of an accessory.

    Attributes:
        name: name of the Blender object.
        vertices: [N, 3] model space metres.
        faces: [F, 4] quads; a triangle repeats its last corner.
        material: key of the material, see `accessory_materials`.
        uv: [N, 2] texture coordinates, in metres along the cloth unless the material says
            otherwise; None where the material needs none.
        casts_shadow: False for panes that light should pass.
        smooth: False for cut stones.
    """

    name: str
    vertices: np.ndarray
    faces: np.ndarray
    material: str
    uv: np.ndarray | None = None
    casts_shadow: bool = True
    smooth: bool = True


def transform(target_from_source: np.ndarray, points: np.ndarray) -> np.ndarray:
    """A 4x4 motion applied to points [..., 3]."""
    return points @ target_from_source[:3, :3].T + target_from_source[:3, 3]


def anchored(points: np.ndarray, canonical: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """Points [n, 3] near the canonical head, moved like the vertices nearest to them.

    Args:
        canonical: [V, 3] the model's canonical vertices.
        skin: [V, 3] this head's vertices, in the frame that is wanted.
    """
    distance, nearest = cKDTree(canonical).query(points, k=6)
    weight = 1.0 / (distance + 0.001) ** 2
    weight /= weight.sum(axis=1, keepdims=True)
    moved = skin[nearest] - canonical[nearest]
    return points + (moved * weight[..., None]).sum(axis=1)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Unit vectors along the last axis; zero stays zero."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def grid_faces(
    rows: int, columns: int, *, close_rows: bool = False, close_columns: bool = False
) -> np.ndarray:
    """Quads [F, 4] between the points of a grid that is stored row by row."""
    i = np.arange(rows if close_rows else rows - 1)[:, None]
    j = np.arange(columns if close_columns else columns - 1)[None]
    below, right = (i + 1) % rows, (j + 1) % columns
    quads = np.stack(
        np.broadcast_arrays(
            i * columns + j, i * columns + right, below * columns + right, below * columns + j
        ),
        axis=-1,
    )
    return quads.reshape(-1, 4)


def rounded_box(
    half_a: np.ndarray | float, half_b: np.ndarray | float, sharpness: float = 4.5
) -> np.ndarray:
    """Cross-sections [n, sides, 2] (or [1, sides, 2]): superellipses of the given half sizes.

    Args:
        half_a, half_b: metres, scalar or [n].
        sharpness: exponent; 2 is an ellipse, higher comes nearer to a box.
    """
    angle = np.linspace(0, 2 * np.pi, _PROFILE_SIDES, endpoint=False) + np.pi / _PROFILE_SIDES
    power = 2.0 / sharpness
    outline = np.stack(
        [np.sign(f) * np.abs(f) ** power for f in (np.cos(angle), np.sin(angle))], axis=-1
    )
    half = np.stack(np.broadcast_arrays(np.atleast_1d(half_a), np.atleast_1d(half_b)), axis=-1)
    return outline[None] * half[:, None]


def sweep(
    points: np.ndarray, across: np.ndarray, profiles: np.ndarray, *, closed: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a cross-section along a curve.

    Args:
        points: [n, 3] the curve.
        across: [3] or [n, 3], about where the profile's first axis points; made perpendicular to
            the curve.
        profiles: [n or 1, k, 2] cross-sections.
        closed: join the end to the start; an open sweep gets flat, slightly rounded ends.

    Returns:
        Vertices [m, 3] and quads [f, 4].
    """
    points = np.asarray(points, float)
    if closed:
        tangent = unit(np.roll(points, -1, axis=0) - np.roll(points, 1, axis=0))
    else:
        tangent = unit(np.gradient(points, axis=0))
    first = np.broadcast_to(across, points.shape)
    first = unit(first - tangent * (first * tangent).sum(-1, keepdims=True))
    second = np.cross(tangent, first)
    profiles = np.broadcast_to(profiles, (len(points), *np.shape(profiles)[1:]))
    if not closed:
        points, tangent, first, second, profiles = _with_ends(
            points, tangent, first, second, profiles
        )
    rings = (
        points[:, None] + first[:, None] * profiles[..., :1] + second[:, None] * profiles[..., 1:]
    )
    faces = grid_faces(*rings.shape[:2], close_rows=closed, close_columns=True)
    return rings.reshape(-1, 3), faces


def _with_ends(points, tangent, first, second, profiles):
    """Repeat the end rings inwards, so that an open sweep is closed with a small bevel."""
    size = np.abs(profiles).max(axis=(1, 2))
    start = [(-0.30, 0.0), (-0.30, 0.55), (-0.12, 0.88)]
    end = [(0.12, 0.88), (0.30, 0.55), (0.30, 0.0)]

    def extended(values: np.ndarray) -> np.ndarray:
        return np.concatenate([values[[0] * 3], values, values[[-1] * 3]])

    shift = np.r_[[a for a, _ in start], np.zeros(len(points)), [a for a, _ in end]]
    shrink = np.r_[[b for _, b in start], np.ones(len(points)), [b for _, b in end]]
    size = np.concatenate([size[[0] * 3], size, size[[-1] * 3]])
    new_tangent = extended(tangent)
    return (
        extended(points) + new_tangent * (shift * size)[:, None],
        new_tangent,
        extended(first),
        extended(second),
        extended(profiles) * shrink[:, None, None],
    )


def ellipsoid(
    center: np.ndarray, axes: np.ndarray, half: Sequence[float], rows: int = 10, columns: int = 16
) -> tuple[np.ndarray, np.ndarray]:
    """An ellipsoid as quads.

    Args:
        center: [3]; axes: [3, 3], its rows are unit vectors; half: three half sizes in metres.
    """
    polar = np.linspace(0.0, np.pi, rows)[:, None]
    around = np.linspace(0.0, 2 * np.pi, columns, endpoint=False)[None]
    local = np.stack(
        np.broadcast_arrays(
            np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar)
        ),
        axis=-1,
    ).reshape(-1, 3)
    vertices = center + (local * np.asarray(half)) @ axes
    return vertices, grid_faces(rows, columns, close_columns=True)


def resample(points: np.ndarray, count: int, *, closed: bool = False) -> np.ndarray:
    """`count` points at equal steps of arc length along a polyline [n, d]."""
    line = np.concatenate([points, points[:1]]) if closed else np.asarray(points)
    arc = np.r_[0.0, np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))]
    stations = np.linspace(0.0, arc[-1], count, endpoint=not closed)
    return np.stack([np.interp(stations, arc, line[:, k]) for k in range(line.shape[1])], axis=1)
