"""Collars: profiles swept along the neckline, kept outside neck and garment.

A profile is drawn in the plane across the neckline: `along` continues the cloth beyond its edge
(towards the head), `out` points away from the body. Both are metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.spatial import cKDTree

from synth.blender_scenes.clothes_geometry import Garment
from synth.headmodel_masks import smoothstep

_LOOP_POINTS = 160

Profile = np.ndarray
"""[P, 2] (along, out) metres: the middle line of the cloth, from the edge outwards."""

_RIB_TEE: Profile = np.array([[-0.004, 0.001], [0.004, 0.0022], [0.013, 0.0012]])
_RIB_SWEATER: Profile = np.array([[-0.007, 0.002], [0.006, 0.0048], [0.020, 0.0030]])
_ROLL_NECK: Profile = np.array(
    [[-0.004, 0.0005], [0.004, 0.001], [0.009, 0.0045], [0.006, 0.0085], [-0.008, 0.010],
     [-0.026, 0.0115], [-0.034, 0.0125]]
)  # fmt: skip
_PLACKET: Profile = np.array([[-0.0160, 0.0016], [-0.0075, 0.0026], [0.0012, 0.0016]])
_SHIRT_BACK: Profile = np.array(
    [[-0.006, 0.001], [0.010, 0.001], [0.026, 0.0005], [0.031, 0.0025], [0.028, 0.0060],
     [0.014, 0.0085], [-0.002, 0.0105], [-0.016, 0.0115]]
)  # fmt: skip
_SHIRT_FRONT: Profile = np.array(
    [[-0.004, 0.001], [0.006, 0.0012], [0.015, 0.0015], [0.0195, 0.0035], [0.017, 0.0065],
     [0.002, 0.0085], [-0.022, 0.0095], [-0.046, 0.0090]]
)  # fmt: skip
_HOOD_BACK: Profile = np.array(
    [[-0.010, 0.002], [0.006, 0.003], [0.026, 0.008], [0.038, 0.021], [0.033, 0.038],
     [0.010, 0.049], [-0.026, 0.052], [-0.062, 0.044], [-0.090, 0.028], [-0.098, 0.010]]
)  # fmt: skip
_HOOD_FRONT: Profile = np.array(
    [[-0.006, 0.001], [0.002, 0.002], [0.009, 0.003], [0.013, 0.006], [0.013, 0.010],
     [0.009, 0.013], [0.002, 0.014], [-0.006, 0.013], [-0.013, 0.010], [-0.018, 0.005]]
)  # fmt: skip


@dataclass(frozen=True)
class CollarStyle:
    """How a collar is swept.

    Attributes:
        back, front: profiles with the same number of points, blended by the angle.
        thickness_m: thickness of the cloth.
        clearance_m: least distance of its inner side from the skin.
        open_half_width_m: half the gap at the front; None closes the collar.
        point_m: how far the ends of an open collar reach towards the middle, at their free edge.
        ribbed: knitted rib instead of the garment's fabric.
    """

    back: Profile
    front: Profile
    thickness_m: float
    clearance_m: float = 0.002
    open_half_width_m: float | None = None
    point_m: float = 0.0
    ribbed: bool = False


COLLARS: dict[str, tuple[CollarStyle, ...]] = {
    "tee": (CollarStyle(_RIB_TEE, _RIB_TEE, 0.0028, ribbed=True),),
    "v_neck": (CollarStyle(_RIB_TEE, _RIB_TEE, 0.0028, ribbed=True),),
    "sweater": (CollarStyle(_RIB_SWEATER, _RIB_SWEATER, 0.0065, ribbed=True),),
    "turtleneck": (CollarStyle(_ROLL_NECK, _ROLL_NECK, 0.0045, 0.003, ribbed=True),),
    "shirt": (
        CollarStyle(_PLACKET, _PLACKET, 0.0018),
        CollarStyle(
            _SHIRT_BACK, _SHIRT_FRONT, 0.0022, 0.003, open_half_width_m=0.030, point_m=0.012
        ),
    ),
    "hoodie": (CollarStyle(_HOOD_BACK, _HOOD_FRONT, 0.006, 0.003),),
}
"""What is swept along the neckline of each garment, the collar proper last."""


@dataclass(frozen=True, eq=False)
class Collar:
    """A swept collar in model space.

    Attributes:
        vertices: [N, 3] metres.
        faces: [F, 4] int.
        coordinates: [N, 2] metres around the neck and across the band.
        ribbed: see `CollarStyle`.
    """

    vertices: np.ndarray
    faces: np.ndarray
    coordinates: np.ndarray
    ribbed: bool


@dataclass(frozen=True, eq=False)
class Frames:
    """Local axes along a neckline.

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


def sweep_collar(
    style: CollarStyle, garment: Garment, skin: np.ndarray, skin_normals: np.ndarray
) -> Collar:
    """Sweep the profile of `style` along the neckline of `garment`.

    Args:
        style: one of `COLLARS`.
        garment: the draped garment.
        skin: [S, 3] vertices of neck and chest in model space, to keep the collar outside.
        skin_normals: [S, 3].
    """
    frames = neckline_frames(garment)
    if style.open_half_width_m is not None:
        frames = _open_front(frames, style.open_half_width_m)
    centre = frames.points.mean(axis=0)
    radial = frames.points - centre
    frontness = smoothstep(-0.45, 0.55, -radial[:, 1] / np.linalg.norm(radial[:, :2], axis=1))
    profile = (
        style.back[None] * (1 - frontness[:, None, None])
        + style.front[None] * frontness[:, None, None]
    )
    profile = _refine(profile)
    middle = (
        frames.points[:, None]
        + frames.along[:, None] * profile[..., :1]
        + frames.out[:, None] * profile[..., 1:]
    )
    if style.point_m:
        middle = _draw_points(middle, frames, style.point_m)
    middle = _push_outside(middle, skin, skin_normals, style.clearance_m + style.thickness_m / 2)
    # Only the free half of the cloth lies on the garment; the other half is sewn to it.
    free = slice(middle.shape[1] // 2, None)
    middle[:, free] = _push_outside(
        middle[:, free], garment.vertices, garment.normals, style.thickness_m / 2 + 0.0025
    )
    middle = _smooth_along(middle, frames.closed)
    return _thicken(middle, frames, style)


def neckline_frames(garment: Garment) -> Frames:
    """Evenly spaced frames along the neckline; the first point is in front."""
    loop = garment.neck_loop
    points, normals = garment.vertices[loop], garment.normals[loop]
    turn = np.cross(points, np.roll(points, -1, axis=0)).sum(axis=0)[2]
    if turn < 0:  # counter-clockwise from above
        points, normals = points[::-1], normals[::-1]
    front = np.argmin(points[:, 1] + 0.5 * np.abs(points[:, 0] - points[:, 0].mean()))
    points, normals = np.roll(points, -front, axis=0), np.roll(normals, -front, axis=0)
    points, normals = _without_turning_back(points, normals)
    closed = np.concatenate([points, points[:1]])
    length = np.r_[0.0, np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))]
    at = np.linspace(0, length[-1], _LOOP_POINTS, endpoint=False)
    points = _resample(at, length, closed)
    normals = _resample(at, length, np.concatenate([normals, normals[:1]]))
    points = _smooth(points, 2)
    tangent = np.roll(points, -1, axis=0) - np.roll(points, 1, axis=0)
    tangent = _unit(tangent)
    out = _smooth(_unit(normals), 12)
    out = _unit(out - (out * tangent).sum(axis=1, keepdims=True) * tangent)
    along = np.cross(out, tangent)  # towards the head for a counter-clockwise loop
    return Frames(points, _unit(along), out, at, True)


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


def _resample(at: np.ndarray, length: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.stack([np.interp(at, length, column) for column in values.T], axis=1)


def _open_front(frames: Frames, half_width_m: float) -> Frames:
    """The part of the frames behind the front gap, from the subject's left to its right."""
    x = frames.points[:, 0] - frames.points[:, 0].mean()
    kept = np.flatnonzero(
        (np.abs(x) > half_width_m) | (frames.points[:, 1] > frames.points[:, 1].mean())
    )
    return Frames(
        frames.points[kept], frames.along[kept], frames.out[kept], frames.length[kept], False
    )


def _refine(profile: np.ndarray) -> np.ndarray:
    """Round the corners of the profiles [n, P, 2] with a spline of twice as many points."""
    count = profile.shape[1]
    if count < 4:
        return profile
    spline = CubicSpline(np.arange(count), profile, axis=1)
    return spline(np.linspace(0, count - 1, 2 * count - 1))


def _draw_points(middle: np.ndarray, frames: Frames, reach_m: float) -> np.ndarray:
    """Draw the free edge of both ends towards the middle of the chest: the collar's points."""
    from_end = np.minimum(frames.length - frames.length[0], frames.length[-1] - frames.length)
    near_end = smoothstep(0.05, 0.0, from_end)[:, None]
    row = np.linspace(0, 1, middle.shape[1])[None]
    inward = -np.sign(frames.points[:, :1] - frames.points[:, 0].mean())
    moved = middle.copy()
    moved[..., 0] += inward * near_end * reach_m * (row - 0.4)
    return moved


def _push_outside(
    points: np.ndarray, surface: np.ndarray, normals: np.ndarray, clearance_m: float
) -> np.ndarray:
    """Move points that are nearer than `clearance_m` to a surface, or inside it, out along it."""
    flat = points.reshape(-1, 3)
    distance, nearest = cKDTree(surface).query(flat, k=6)
    weight = 1.0 / (distance + 1e-4)
    weight /= weight.sum(axis=1, keepdims=True)
    normal = _unit((normals[nearest] * weight[..., None]).sum(axis=1))
    anchor = (surface[nearest] * weight[..., None]).sum(axis=1)
    height = ((flat - anchor) * normal).sum(axis=1)
    lack = np.clip(clearance_m - height, 0.0, 0.03) * (distance[:, 0] < 0.05)
    return (flat + normal * lack[:, None]).reshape(points.shape)


def _smooth_along(middle: np.ndarray, closed: bool) -> np.ndarray:
    """Smooth the rows along the neckline; the ends of an open collar stay."""
    for _ in range(4):
        before, after = np.roll(middle, 1, axis=0), np.roll(middle, -1, axis=0)
        smoothed = 0.5 * middle + 0.25 * (before + after)
        if not closed:
            smoothed[[0, -1]] = middle[[0, -1]]
        middle = smoothed
    return middle


def _thicken(middle: np.ndarray, frames: Frames, style: CollarStyle) -> Collar:
    """Give the swept sheet [n, P, 3] two sides and rounded edges."""
    count, rows = middle.shape[:2]
    across = np.gradient(middle, axis=1)
    tangent = np.gradient(middle, axis=0)
    if frames.closed:
        tangent = np.roll(middle, -1, axis=0) - np.roll(middle, 1, axis=0)
    normal = _unit(np.cross(tangent, across))
    half = style.thickness_m / 2
    edge = np.ones(rows)
    edge[[0, -1]] = 0.35  # thinner towards the edges, which look rounded
    shell = normal * (half * edge)[None, :, None]
    ring = np.concatenate([middle + shell, (middle - shell)[:, ::-1]], axis=1)
    size = 2 * rows
    i = np.arange(count if frames.closed else count - 1)[:, None]
    j = np.arange(size)[None]
    i_next, j_next = (i + 1) % count, (j + 1) % size
    faces = np.stack(
        [i * size + j, i_next * size + j, i_next * size + j_next, i * size + j_next], axis=-1
    ).reshape(-1, 4)
    if not frames.closed:
        faces = np.concatenate([faces, _end_caps(count, rows)])
    width = np.r_[0.0, np.cumsum(np.linalg.norm(np.diff(middle, axis=1), axis=2).mean(axis=0))]
    coordinates = np.stack(
        [
            np.repeat(frames.length, size),
            np.tile(np.r_[width, width[::-1]], count),
        ],
        axis=1,
    )
    return Collar(ring.reshape(-1, 3), faces, coordinates, style.ribbed)


def _end_caps(count: int, rows: int) -> np.ndarray:
    """Quads that close both ends of an open collar."""
    size = 2 * rows
    j = np.arange(rows - 1)
    cap = np.stack([j, j + 1, size - 2 - j, size - 1 - j], axis=1)
    return np.concatenate([cap, cap[:, ::-1] + (count - 1) * size])


def _smooth(values: np.ndarray, steps: int) -> np.ndarray:
    """Binomial smoothing of a closed sequence [n, C]."""
    for _ in range(steps):
        values = 0.5 * values + 0.25 * (np.roll(values, 1, axis=0) + np.roll(values, -1, axis=0))
    return values


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
