"""How falling hair finds its way: in towards the neck, over the shoulders, behind the ears, out of
the face. All functions return wishes [n, 3] in model space that are added to a strand's direction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synth.blender_scenes.hair_field import HeadSurface, smoothstep
from synth.blender_scenes.hair_flow import FRINGE, TENDRIL, towards_ear
from synth.blender_scenes.hair_locks import LockSet
from synth.blender_scenes.hair_roots import Roots
from synth.blender_scenes.hair_styles import Growth, HairStyle
from synth.spec import Hair

_FACE_BACK_Y_M = -0.080
_FACE_TOP_Z_M, _FACE_LOW_Z_M = 0.940, 0.790
_FACE_HALF_WIDTH_M = 0.068
_PAST_EAR_Y_M = -0.036
_CHEST_Y_M, _BACK_Y_M = (-0.120, -0.060), (0.020, 0.060)
"""Range of where locks lie that fall over the front and over the back of the shoulder."""
_NECK_X_M = (0.074, 0.108)
"""How far from the middle they stay."""


@dataclass(frozen=True)
class FallPlan:
    """Where each guide goes once it leaves the head.

    Attributes:
        sign: [g] +1 for what falls on the subject's left, -1 right.
        front: [g] whether it falls in front of the shoulder.
        tucked: [g] whether it goes behind the ear first.
        aim_x_m, aim_y_m: [g] where it lies on the shoulder: largest |x|, and y.
    """

    sign: np.ndarray
    front: np.ndarray
    tucked: np.ndarray
    aim_x_m: np.ndarray
    aim_y_m: np.ndarray


def plan_fall(
    hair: Hair,
    style: HairStyle,
    roots: Roots,
    side: np.ndarray,
    lockset: LockSet,
    rng: np.random.Generator,
) -> FallPlan:
    """Decide for guides with `roots` [g] of `side` [g]; a lock goes one way."""
    x, y, _ = roots.canonical.T
    sign = np.where(np.abs(side) == 1, side, np.where(x > 0, 1, -1))
    # Each shoulder has its own line between front and back; a tucked side tends to fall behind.
    line = {s: rng.choice([-0.075, -0.045, -0.015], p=[0.25, 0.5, 0.25]) for s in (1, -1)}
    wanted = {"none": (), "left": (1,), "right": (-1,), "both": (1, -1)}[hair.tucked]
    tucked = np.isin(sign, wanted) & style.tuckable & (side != FRINGE) & (side != TENDRIL)
    middle_y = y[lockset.leader][lockset.of_guide]
    front = middle_y < np.where(sign > 0, line[1], line[-1]) - 0.03 * tucked
    place = rng.random((2, len(lockset.leader)))[:, lockset.of_guide]
    place = np.clip(place + rng.normal(0.0, 0.12, place.shape), 0, 1)
    low, high = np.where(front[:, None], _CHEST_Y_M, _BACK_Y_M).T
    aim_x = _NECK_X_M[0] + (_NECK_X_M[1] - _NECK_X_M[0]) * place[0]
    return FallPlan(sign, front, tucked, aim_x, low + (high - low) * place[1])


def gravity(
    growth: Growth,
    surface: HeadSurface,
    point: np.ndarray,
    canonical: np.ndarray,
    plan: FallPlan,
    weight: np.ndarray,
) -> np.ndarray:
    """Down, in towards the neck below the ears, then to the front or the back of the shoulder.

    Args:
        point, canonical: [g, 3] the same points in both spaces; weight: [g] of gravity.
    """
    pull = np.tile([0.0, 0.0, -1.0], (len(point), 1))
    if growth.fall_width_m <= 0:
        return pull * weight[:, None]
    across, along = surface.canonical_map.direction_to_model(np.eye(3)[:2])
    low = smoothstep(0.905, 0.86, canonical[:, 2])
    x, y = canonical[:, 0], canonical[:, 1]
    inwards = -0.55 * low * np.sign(x) * np.clip((np.abs(x) - growth.fall_width_m) / 0.03, 0, 1.5)
    backwards = low * (0.25 * (y < -0.06) - 0.30 * np.clip((y - 0.045) / 0.03, 0, 1.5))
    pull += inwards[:, None] * across + backwards[:, None] * along
    return (pull + _over_shoulder(surface, point, plan)) * weight[:, None]


def _over_shoulder(surface: HeadSurface, point: np.ndarray, plan: FallPlan) -> np.ndarray:
    """Sideways pull near the shoulders, which stay where they are when the head turns."""
    x, y, z = surface.torso_map.to_canonical(point).T
    near = smoothstep(0.83, 0.75, z)
    forwards = 0.9 * near * np.clip((plan.aim_y_m - y) / 0.03, -1, 1)
    # down the slope of the shoulder hair would slide outwards; its own weight holds it
    inwards = -0.9 * near * np.sign(x) * np.clip((np.abs(x) - plan.aim_x_m) / 0.02, 0, 1.2)
    return np.stack([inwards, forwards, np.zeros_like(x)], -1)


def turn_in(growth: Growth, canonical: np.ndarray, cut_z_m: float | None) -> np.ndarray:
    """The last three centimetres bend towards the neck; canonical direction [g, 3]."""
    if growth.turn_in <= 0 or cut_z_m is None:
        return np.zeros_like(canonical)
    end = growth.turn_in * smoothstep(cut_z_m + 0.045, cut_z_m, canonical[:, 2])
    inwards = np.array([0.0, -0.03, 0.0]) - canonical
    inwards[:, 2] = 0.0
    return end[:, None] * inwards / 0.09


def leave_face(canonical: np.ndarray, plan: FallPlan) -> np.ndarray:
    """Out of the face to the own side, canonical direction [g, 3]."""
    x, y, z = canonical.T
    inside = (
        np.clip((_FACE_BACK_Y_M - y) / 0.02, 0, 1)
        * np.clip((_FACE_TOP_Z_M - z) / 0.02, 0, 1)
        * np.clip((z - _FACE_LOW_Z_M) / 0.02, 0, 1)
        * np.clip((_FACE_HALF_WIDTH_M - np.abs(x)) / 0.03, 0, 1)
    )
    return np.stack([1.2 * inside * plan.sign, 0.8 * inside, np.zeros_like(x)], -1)


def behind_ear(canonical: np.ndarray, plan: FallPlan, past: np.ndarray) -> np.ndarray:
    """Over the ear, and never again in front of it; canonical direction [g, 3].

    Args:
        past: [g] bool, changed in place: which guides have passed the ear.
    """
    past |= canonical[:, 1] > _PAST_EAR_Y_M
    towards = towards_ear(canonical, plan.sign) * (plan.tucked & ~past)[:, None]
    _, y, z = canonical.T
    beside = smoothstep(0.835, 0.85, z) * smoothstep(0.925, 0.91, z)
    block = plan.tucked * beside * np.clip((-0.028 - y) / 0.01, 0, 1)
    return 0.9 * towards + 1.3 * block[:, None] * np.array([0.0, 1.0, 0.25])
