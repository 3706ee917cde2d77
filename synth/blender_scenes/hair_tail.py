"""What leaves the tie: the tail of a ponytail, the knot of a bun."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicSpline

from synth.blender_scenes.hair_field import HeadSurface, normalize, smoothstep
from synth.blender_scenes.hair_flow import HEAD_CENTER
from synth.blender_scenes.hair_frames import transport_frames
from synth.blender_scenes.hair_strands import StrandSet, shorten
from synth.blender_scenes.hair_styles import WISP_STRANDS, Gather

_TIE_HEIGHT_M = 0.005
_BACK_OF_HEAD_M = 0.095
"""From the middle of the cranium to its back."""
_TAIL_SEGMENTS = 30
_OVER_SHOULDER_SHARE = 0.65
# Where a tail passes after its arch, canonical metres, for the subject's left.
_TAIL_BEHIND = np.array(
    [[0.045, 0.095, 0.93], [0.082, 0.080, 0.84], [0.098, 0.062, 0.75], [0.098, 0.068, 0.58]]
)
_TAIL_OVER_SHOULDER = np.array(
    [[0.045, 0.085, 0.945], [0.088, 0.062, 0.86], [0.108, 0.020, 0.77],
     [0.110, -0.040, 0.715], [0.100, -0.085, 0.62], [0.095, -0.095, 0.54]]
)  # fmt: skip


def place_tie(
    surface: HeadSurface,
    gather: Gather,
    rng: np.random.Generator,
    hat_z_m: float | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Where hair is tied: position [3] just above the head and outward unit normal [3].

    Args:
        hat_z_m: canonical height of the edge of a hat at the back, below which the tie then sits.
    """
    elevation = np.radians(rng.uniform(*gather.elevation_deg))
    if hat_z_m is not None:
        below = hat_z_m - (0.4 * gather.size_m + 0.004) - HEAD_CENTER[2]
        elevation = np.arcsin(np.clip(below / _BACK_OF_HEAD_M, -0.95, 0.3))
    direction = np.array([rng.normal(0.0, 0.02), np.cos(elevation), np.sin(elevation)])
    ray = HEAD_CENTER + np.linspace(0.0, 0.2, 200)[:, None] * normalize(direction)
    points = surface.canonical_map.to_model(ray)
    sd = surface.field.distance(points)
    point = points[np.argmax(sd > _TIE_HEIGHT_M)]
    return point, surface.field.distance_and_normal(point[None])[1][0]


def grow_tail(
    surface: HeadSurface,
    gather: Gather,
    tie: np.ndarray,
    normal: np.ndarray,
    length_m: float,
    count: int,
    radius_m: float,
    rng: np.random.Generator,
) -> StrandSet:
    """A ponytail of `count` strands: one falling centre line with a spindle of locks around it."""
    center = _tail_center(surface, tie, normal, length_m, rng)
    t = np.linspace(0.0, 1.0, len(center))
    # Width: tight at the tie, full at a third, thin at the end.
    width = gather.size_m * (
        0.25 + 0.75 * smoothstep(0.0, 0.32, t) - 0.55 * smoothstep(0.45, 1.0, t)
    )
    first, second = (f[0] for f in transport_frames(center[None]))
    locks = 42
    angle, reach = rng.uniform(0, 2 * np.pi, locks), np.sqrt(rng.random(locks))
    lock_phase = rng.uniform(0, 2 * np.pi, (locks, 2))
    wisp = np.arange(count) // WISP_STRANDS
    number = wisp[-1] + 1
    lock = rng.integers(0, locks, number)[wisp]
    phase, frequency = rng.uniform(0, 2 * np.pi, (2, number)), rng.uniform(8, 26, (2, number))
    inside = rng.normal(0.0, 0.17, (number, 2)) + 0.07 * np.sin(
        frequency.T * t[:, None, None] + phase.T
    )
    inside = inside[:, wisp] + rng.normal(0.0, 0.05, (count, 2))
    inside *= 1.0 - 0.4 * t[:, None, None] ** 1.5
    turn = angle[:, None] + 0.5 * np.sin(2.5 * t + lock_phase[:, :1])
    spread = reach[:, None] * (1.0 + 0.15 * np.sin(7.0 * t + lock_phase[:, 1:]))
    u = (spread * np.cos(turn))[lock] + inside[..., 0].T
    v = (spread * np.sin(turn))[lock] + inside[..., 1].T
    points = center + first * (u * width)[..., None] + second * (v * 0.8 * width)[..., None]
    uneven = np.abs(rng.normal(0, 0.06, count)) + 0.30 * rng.random(number)[wisp] ** 2
    keep = np.clip(1.0 - uneven - 0.12 * rng.random(locks)[lock], 0.5, 1.0)
    points = shorten(points, keep)
    points[:, 1:] = surface.field.push_out(points[:, 1:], 0.0015)
    radii = radius_m * rng.uniform(0.75, 1.2, count)[:, None] * (1.0 - 0.6 * t[None] ** 2.2)
    return StrandSet.plain(points, radii)


def _tail_center(
    surface: HeadSurface,
    tie: np.ndarray,
    normal: np.ndarray,
    length_m: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """The centre line [m, 3]: up and out of the tie, over, then down, often over one shoulder."""
    way = _TAIL_OVER_SHOULDER if rng.random() < _OVER_SHOULDER_SHARE else _TAIL_BEHIND
    mirror = np.array([rng.choice([-1.0, 1.0]), 1.0, 1.0])
    jitter = rng.normal(0.0, 0.004, way.shape)
    arch = tie + 0.022 * normal + np.array([0.0, 0.004, 0.010])
    way = way * mirror + jitter
    # near the head the tail turns with it, further down it falls on shoulders that do not turn
    with_head = surface.canonical_map.to_model(way)
    falling = surface.torso_map.to_model(way)
    low = smoothstep(0.95, 0.80, way[:, 2:])
    below_tie = way[:, 2] < surface.canonical_map.canonical_z(tie) - 0.02
    onwards = (with_head * (1 - low) + falling * low)[below_tie]
    knots = np.concatenate([[tie, arch], onwards])
    chord = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1))])
    spline = CubicSpline(np.sqrt(chord), knots)
    fine = spline(np.sqrt(np.linspace(0.0, chord[-1], 200)))
    for _ in range(6):
        fine[1:] = surface.field.push_out(fine[1:], 0.016)
        fine[1:-1] = 0.5 * fine[1:-1] + 0.25 * (fine[:-2] + fine[2:])
    arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(fine, axis=0), axis=1))])
    stations = np.linspace(0.0, min(length_m, arc[-1]), _TAIL_SEGMENTS + 1)
    return np.stack([np.interp(stations, arc, fine[:, k]) for k in range(3)], axis=1)


def grow_bun(
    gather: Gather,
    tie: np.ndarray,
    normal: np.ndarray,
    count: int,
    radius_m: float,
    rng: np.random.Generator,
) -> StrandSet:
    """A twisted knot: ropes of hair that spiral from the rim of a dome to its top."""
    points_per_strand, ropes = 26, 7
    t = np.linspace(0.0, 1.0, points_per_strand)
    axis_x = normalize(np.cross(normal, np.array([1.0, 0.0, 0.0])))
    axis_y = np.cross(normal, axis_x)
    wisp = np.arange(count) // WISP_STRANDS
    number = wisp[-1] + 1
    rope = rng.integers(0, ropes, number)[wisp]
    start = np.clip(rng.uniform(0.0, 0.45, number)[wisp] + rng.normal(0, 0.03, count), 0, 0.5)
    reach = start[:, None] + (1 - start[:, None]) * t[None]
    across = rng.uniform(-1.0, 1.0, number)[wisp] + rng.normal(0.0, 0.05, count)
    across = np.clip(across, -1.0, 1.0)
    depth = np.sqrt(rng.random(count))
    # Latitude on a slightly flattened ball: from below the rim up to the middle of the top.
    latitude = -0.75 + (np.pi / 2 + 0.70) * reach
    turn = 2 * np.pi * (rope[:, None] / ropes + 0.85 * reach) + across[:, None] * np.pi / ropes
    swell = np.sqrt(np.clip(1.0 - 0.9 * across**2, 0.05, None))[:, None]
    shell = gather.size_m * (0.80 + 0.20 * swell * depth[:, None] ** 0.5)
    shell = shell + rng.normal(0.0, 0.0005, (count, 1))
    ring = np.cos(latitude) * shell
    height = 0.82 * np.sin(latitude) * shell + 0.62 * gather.size_m
    points = (
        tie
        + axis_x * (ring * np.cos(turn))[..., None]
        + axis_y * (ring * np.sin(turn))[..., None]
        + normal * height[..., None]
    )
    loose = rng.random(count) < 0.03
    wave = np.where(loose, 0.004, 0.0004)[:, None] * np.sin(
        6.0 * t + rng.uniform(0, 2 * np.pi, (count, 1))
    )
    points = points + normalize(points - (tie + 0.6 * gather.size_m * normal)) * wave[..., None]
    radii = radius_m * rng.uniform(0.75, 1.2, count)[:, None] * (1.0 - 0.3 * t[None])
    return StrandSet.plain(points, radii)


def wrap_tie(
    tie: np.ndarray, direction: np.ndarray, ring_m: float, radius_m: float, rng: np.random.Generator
) -> StrandSet:
    """A strand of hair wound round the tie: closed rings that hide where the tail begins."""
    count, points_per_strand = 260, 20
    axis_x = normalize(np.cross(direction, np.array([1.0, 0.0, 0.0])))
    axis_y = np.cross(direction, axis_x)
    angle = np.linspace(0.0, 2.2 * np.pi, points_per_strand) + rng.uniform(0, 6.28, (count, 1))
    along = rng.uniform(-0.006, 0.008, (count, 1)) + 0.002 * np.sin(angle)
    ring = ring_m * (1.0 + 0.12 * rng.normal(size=(count, 1)))
    points = (
        tie
        + axis_x * (ring * np.cos(angle))[..., None]
        + axis_y * (ring * np.sin(angle))[..., None]
        + direction * along[..., None]
    )
    radii = np.full((count, points_per_strand), radius_m)
    return StrandSet.plain(points, radii)
