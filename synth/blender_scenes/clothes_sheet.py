"""Parts that lie on a garment: frames along its edges, sheets with thickness, and how they lie.

numpy and scipy only; lengths are metres in model space.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synth.blender_scenes.clothes_drape import Collider

ROLES = ("cloth", "plain", "rib", "under", "button", "cord")
"""What a part is made of: the garment's cloth with or without its pattern, its knitted rib, the
cloth worn under it, buttons, strings."""
_LOOP_POINTS = 160
_FREE_EDGE = 0.35
"""Thickness of a sheet at its free edges, as a part of the whole."""


@dataclass(frozen=True, eq=False)
class Part:
    """A mesh that belongs to the clothes, in model space.

    Attributes:
        name: of its Blender object.
        vertices: [N, 3] metres.
        faces: [F, 4] int, counter-clockwise from outside.
        coordinates: [F, 4, 2] metres along the cloth, at the corners.
        role: one of `ROLES`.
        seam_m: [N] distance to the nearest seam, or None where there is none.
    """

    name: str
    vertices: np.ndarray
    faces: np.ndarray
    coordinates: np.ndarray
    role: str
    seam_m: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Frames:
    """Local axes along an edge of a garment.

    Attributes:
        points: [n, 3] metres.
        along: [n, 3] unit, continues the cloth beyond its edge.
        out: [n, 3] unit, away from the body.
        length: [n] metres from the start.
        closed: whether the last point is joined to the first.
    """

    points: np.ndarray
    along: np.ndarray
    out: np.ndarray
    length: np.ndarray
    closed: bool

    def take(self, kept: np.ndarray) -> Frames:
        """The part of a curve with these numbers, in this order; it is open."""
        return Frames(self.points[kept], self.along[kept], self.out[kept], self.length[kept], False)

    def at(self, length: np.ndarray) -> Frames:
        """Frames at other lengths [n], interpolated."""
        columns = np.concatenate([self.points, self.along, self.out], axis=1)
        order = np.argsort(self.length)  # a curve may run against its lengths
        values = _resample(length, self.length[order], columns[order])
        return Frames(values[:, :3], unit(values[:, 3:6]), unit(values[:, 6:]), length, self.closed)


def edge_frames(vertices: np.ndarray, normals: np.ndarray, loop: np.ndarray) -> Frames:
    """Evenly spaced frames along a border of a garment; the first point is in front.

    Args:
        vertices, normals: [N, 3] of the garment.
        loop: vertex numbers of the border, from `boundary_loops`.
    """
    # Against the direction of the faces' own edges, the cloth lies on the right.
    points, normals = vertices[loop[::-1]], normals[loop[::-1]]
    front = np.argmin(points[:, 1] + 0.5 * np.abs(points[:, 0] - points[:, 0].mean()))
    points, normals = np.roll(points, -front, axis=0), np.roll(normals, -front, axis=0)
    points, normals = _without_turning_back(points, normals)
    closed = np.concatenate([points, points[:1]])
    length = np.r_[0.0, np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))]
    at = np.linspace(0, length[-1], _LOOP_POINTS, endpoint=False)
    points = _resample(at, length, closed)
    normals = _resample(at, length, np.concatenate([normals, normals[:1]]))
    points = _smooth(points, 2)
    tangent = unit(np.roll(points, -1, axis=0) - np.roll(points, 1, axis=0))
    out = _smooth(unit(normals), 12)
    out = unit(out - (out * tangent).sum(axis=1, keepdims=True) * tangent)
    return Frames(points, unit(np.cross(out, tangent)), out, at, True)


def _without_turning_back(points: np.ndarray, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Drop points of a closed curve at which it turns back on itself.

    Where the cut runs diagonally through the quads, the vertices that were snapped onto it do not
    follow each other in order.
    """
    while True:
        before = points - np.roll(points, 1, axis=0)
        after = np.roll(points, -1, axis=0) - points
        turns = (before * after).sum(axis=1) <= 0
        turns[1:] &= ~turns[:-1]  # of two neighbours the first goes, then look again
        if not turns.any():
            return points, normals
        points, normals = points[~turns], normals[~turns]


def lie_on(
    points: np.ndarray, surface: Collider, lowest_m: float, highest_m: float | np.ndarray = np.inf
) -> np.ndarray:
    """Move points [..., 3] along the normal of `surface` until their height is within limits.

    Points farther than 5 cm are left alone; `highest_m` may be an array that broadcasts to [...].
    """
    flat = points.reshape(-1, 3)
    anchor, normal = surface.planes(flat, 6)
    height = ((flat - anchor) * normal).sum(axis=1)
    highest = np.broadcast_to(highest_m, points.shape[:-1]).ravel()
    wanted = np.clip(height, lowest_m, np.maximum(highest, lowest_m))
    near = np.linalg.norm(flat - anchor, axis=1) < 0.05
    change = np.clip(wanted - height, -0.03, 0.03) * near
    return (flat + normal * change[:, None]).reshape(points.shape)


def thicken(
    name: str,
    middle: np.ndarray,
    thickness_m: float,
    role: str,
    *,
    closed: bool,
    seam_m: np.ndarray | None = None,
) -> Part:
    """Give a sheet two sides and thin, rounded looking edges.

    Args:
        name, role: see `Part`.
        middle: [n, P, 3] the sheet's middle: n around, P across; its outside is where the cross
            product of both directions points.
        thickness_m: between its sides.
        closed: whether the last row is joined to the first.
        seam_m: [n, P] distance to a seam.
    """
    count, rows = middle.shape[:2]
    across = np.gradient(middle, axis=1)
    tangent = np.gradient(middle, axis=0)
    if closed:
        tangent = np.roll(middle, -1, axis=0) - np.roll(middle, 1, axis=0)
    normal = unit(np.cross(tangent, across))
    half = np.full((count, rows), thickness_m / 2)
    half[:, [0, -1]] *= _FREE_EDGE
    if not closed:
        half[[0, -1]] *= _FREE_EDGE
    shell = normal * half[..., None]
    ring = np.concatenate([middle + shell, (middle - shell)[:, ::-1]], axis=1)
    size = 2 * rows
    i = np.arange(count if closed else count - 1)[:, None]
    j = np.arange(size)[None]
    i_next, j_next = (i + 1) % count, (j + 1) % size
    faces = np.stack(
        [i * size + j, i_next * size + j, i_next * size + j_next, i * size + j_next], axis=-1
    ).reshape(-1, 4)
    if not closed:
        j = np.arange(rows - 1)
        cap = np.stack([j, j + 1, size - 2 - j, size - 1 - j], axis=1)
        faces = np.concatenate([faces, cap, cap[:, ::-1] + (count - 1) * size])
    vertices = ring.reshape(-1, 3)
    if _signed_volume(vertices, faces) < 0:  # the sheet's outside was its other side
        faces = faces[:, ::-1]
    around = np.linalg.norm(np.diff(middle, axis=0), axis=2).mean(axis=1)
    around = np.r_[0.0, np.cumsum(around)]
    width = np.r_[0.0, np.cumsum(np.linalg.norm(np.diff(middle, axis=1), axis=2).mean(axis=0))]
    flat = np.stack([np.repeat(around, size), np.tile(np.r_[width, width[::-1]], count)], axis=1)
    coordinates = flat[faces]
    if closed:  # the last faces go on instead of turning back to the start
        whole = around[-1] + np.linalg.norm(middle[0] - middle[-1], axis=1).mean()
        last = coordinates[(count - 1) * size :]
        last[..., 0] += whole * (last[..., 0] < whole / 2)
    if seam_m is not None:
        seam_m = np.concatenate([seam_m, seam_m[:, ::-1]], axis=1).ravel()
    return Part(name, vertices, faces, coordinates, role, seam_m)


def _signed_volume(vertices: np.ndarray, quads: np.ndarray) -> float:
    """Volume that closed quads enclose, positive if they are counter-clockwise from outside."""
    a, b, c, d = (vertices[quads[:, i]] - vertices.mean(axis=0) for i in range(4))
    return float(((np.cross(a, b) * c).sum() + (np.cross(a, c) * d).sum()) / 6)


def smooth_rows(sheet: np.ndarray, steps: int, *, closed: bool) -> np.ndarray:
    """Smooth a sheet [n, P, 3] along its first direction; the ends of an open one stay."""
    for _ in range(steps):
        before, after = np.roll(sheet, 1, axis=0), np.roll(sheet, -1, axis=0)
        smoothed = 0.5 * sheet + 0.25 * (before + after)
        if not closed:
            smoothed[[0, -1]] = sheet[[0, -1]]
        sheet = smoothed
    return sheet


def join(name: str, parts: list[Part]) -> Part:
    """Several parts of one role as one."""
    starts = np.cumsum([0] + [len(part.vertices) for part in parts[:-1]])
    return Part(
        name,
        np.concatenate([part.vertices for part in parts]),
        np.concatenate([part.faces + start for part, start in zip(parts, starts)]),
        np.concatenate([part.coordinates for part in parts]),
        parts[0].role,
    )


def unit(vectors: np.ndarray) -> np.ndarray:
    """[..., 3] scaled to length 1."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def _resample(at: np.ndarray, length: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.stack([np.interp(at, length, column) for column in values.T], axis=1)


def _smooth(values: np.ndarray, steps: int) -> np.ndarray:
    """Binomial smoothing of a closed sequence [n, C]."""
    for _ in range(steps):
        values = 0.5 * values + 0.25 * (np.roll(values, 1, axis=0) + np.roll(values, -1, axis=0))
    return values
