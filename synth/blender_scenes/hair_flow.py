"""Direction fields that hair is combed along, as functions of the canonical position."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from synth.blender_scenes.hair_field import normalize, smoothstep

WHORL = np.array([0.008, 0.004, 1.004])
"""The crown whorl, from which hair radiates."""

_WHORL_RADIUS_M = 0.015
_FROM_WHORL_M = np.array([0.0, 0.010, 0.0])
"""Which way hair falls that grows at the whorl itself: backwards."""

HEAD_CENTER = np.array([0.0, -0.045, 0.925])
"""Middle of the cranium."""

_PARTING_END_Y_M = -0.042
"""A parting ends in front of the highest point, or it would notch the outline of the head."""

BEHIND_EAR = np.array([0.080, -0.026, 0.905])
"""Where hair that is tucked behind the left ear passes over it."""

FRINGE = 2
TENDRIL = 3
"""Sides of strands that follow no parting: bangs, and locks that slipped out of tied hair."""

_TENDRIL_ROOT, _TENDRIL_RADIUS_M = np.array([0.068, -0.098, 0.930]), 0.009
_FRINGE_HALF_WIDTH_M, _FRINGE_BACK_Y_M = 0.060, -0.104

FlowFunction = Callable[[np.ndarray, np.ndarray, float], np.ndarray]


def top_weight(canonical: np.ndarray) -> np.ndarray:
    """1 on top of the head, 0 on its sides, [n]."""
    return smoothstep(0.925, 0.975, canonical[..., 2])


def front_weight(canonical: np.ndarray) -> np.ndarray:
    """1 over the forehead, 0 from the crown on, [n]."""
    return smoothstep(-0.06, -0.125, canonical[..., 1]) * top_weight(canonical)


def crown_weight(canonical: np.ndarray) -> np.ndarray:
    """1 behind the crown, where no parting is drawn any more, [n]."""
    return smoothstep(-0.065, -0.005, canonical[..., 1])


def parting_side(canonical: np.ndarray, parting_m: float) -> np.ndarray:
    """Side of the parting [n]: +1 the subject's left, -1 right, 0 behind the crown.

    The line is drawn slightly unsteady, as with a comb.
    """
    wobble = 0.0015 * np.sin(canonical[:, 1] * 170.0)
    side = np.where(canonical[:, 0] + wobble > parting_m, 1, -1)
    return np.where(canonical[:, 1] > _PARTING_END_Y_M, 0, side)


def in_fringe(canonical: np.ndarray) -> np.ndarray:
    """Which roots [n] grow the bangs: a triangle behind the middle of the hairline."""
    x, y, z = canonical.T
    reach = 1.0 - np.abs(x) / _FRINGE_HALF_WIDTH_M
    back = -0.135 + (_FRINGE_BACK_Y_M + 0.135) * np.clip(1.6 * reach, 0, 1)
    return (reach > 0) & (y < back + 0.012) & (z > 0.945)


def in_tendril(canonical: np.ndarray) -> np.ndarray:
    """Which roots [n] slip out of tied hair: a spot of the hairline at each temple."""
    sideways = np.stack([np.abs(canonical[:, 0]), canonical[:, 1], canonical[:, 2]], -1)
    return np.linalg.norm(sideways - _TENDRIL_ROOT, axis=-1) < _TENDRIL_RADIUS_M


def whorl(canonical: np.ndarray, side: np.ndarray, parting_m: float) -> np.ndarray:
    """Short hair as it grows: away from the whorl, a little towards one side in front."""
    away = canonical - WHORL
    # Above the whorl itself "away" is up; without a way to lie, a lock would stand like a feather.
    up = normalize(canonical - HEAD_CENTER)
    rise = (away * up).sum(axis=-1, keepdims=True) * up
    level_m = np.linalg.norm(away - rise, axis=-1, keepdims=True)
    at_whorl = np.exp(-((level_m / _WHORL_RADIUS_M) ** 2))
    away = normalize(away + at_whorl * (_FROM_WHORL_M - rise))
    twist = np.cross(np.array([0.0, 0.0, 1.0]), away) * 0.25
    sides = (1.0 - top_weight(canonical))[:, None]
    lean = np.sign(parting_m or 1.0) * 0.25 * front_weight(canonical)
    drift = np.stack([lean, np.zeros_like(lean), np.zeros_like(lean)], -1)
    return away + twist + drift + sides * np.array([0.0, 0.30, -0.8])


def forward(canonical: np.ndarray, side: np.ndarray, parting_m: float) -> np.ndarray:
    """A textured crop: forwards on top and pushed to one side, down and back elsewhere."""
    base = whorl(canonical, side, parting_m)
    front = smoothstep(-0.02, -0.10, canonical[:, 1])[:, None] * top_weight(canonical)[:, None]
    lean = np.array([0.55 * np.sign(parting_m or 1.0), -0.55, 0.25])
    return base * (1 - 0.8 * front) + front * lean


def swept(canonical: np.ndarray, side: np.ndarray, parting_m: float) -> np.ndarray:
    """Back over the top, back and down at the sides."""
    top = top_weight(canonical)[:, None]
    back = crown_weight(canonical)[:, None]
    over = np.array([0.22 * np.sign(parting_m or 1.0), 0.9, 0.30]) * (1 - back)
    return top * (over + back * np.array([0.0, 0.8, -0.5])) + (1 - top) * np.array([0.0, 0.5, -1.0])


def parted(canonical: np.ndarray, side: np.ndarray, parting_m: float) -> np.ndarray:
    """Away from the parting, turning to back and down behind the crown and at the sides."""
    top = smoothstep(0.90, 0.965, canonical[:, 2])[:, None]
    back = crown_weight(canonical)[:, None]
    front = smoothstep(-0.09, -0.13, canonical[:, 1])[:, None]
    # Behind the crown the side fades in with the distance from the line: no bald stripe.
    soft_side = np.clip((canonical[:, 0] - parting_m) / 0.03, -1, 1)
    # At the line itself hair leaves at a slant and covers the scalp between.
    slant = np.clip(np.abs(canonical[:, 0] - parting_m) / 0.008, 0.45, 1.0)
    sideways = np.where(side == 0, soft_side, side * slant)[:, None] * np.array([1.0, 0.0, 0.0])
    over = (
        (1 - 0.75 * back) * sideways
        + np.array([0.0, 0.30, 0.0])
        + back * np.array([0.0, 0.7, -0.5])
        + front * np.array([0.0, -0.15, 0.10])
    )
    return top * over + (1 - top) * np.array([0.0, 0.40, -1.0])


def curtain(canonical: np.ndarray, side: np.ndarray, parting_m: float) -> np.ndarray:
    """Parted; the front rises first, then sweeps to the side and back over the temples."""
    base = parted(canonical, side, parting_m)
    front = front_weight(canonical)[:, None]
    return base + front * np.array([0.0, -0.30, 0.35])


def fringe(canonical: np.ndarray, parting_m: float) -> np.ndarray:
    """Bangs: forwards and down, a little to the outside and away from the parting."""
    out = 0.35 * canonical[:, 0] / _FRINGE_HALF_WIDTH_M - 0.12 * np.sign(parting_m or 1.0)
    flat = np.ones_like(out)
    return np.stack([out, -0.55 * flat, -0.75 * flat], -1)


def towards_ear(canonical: np.ndarray, side: np.ndarray) -> np.ndarray:
    """From canonical points [n, 3] to where hair passes behind the ear of their `side` [n]."""
    ear = BEHIND_EAR * np.stack([np.sign(side), np.ones_like(side), np.ones_like(side)], -1)
    return normalize(ear - canonical)


def radial(canonical: np.ndarray, side: np.ndarray, parting_m: float) -> np.ndarray:
    """Straight away from the middle of the head."""
    return canonical - HEAD_CENTER


FLOWS: dict[str, FlowFunction] = {
    "whorl": whorl,
    "forward": forward,
    "swept": swept,
    "parted": parted,
    "curtain": curtain,
    "radial": radial,
}
