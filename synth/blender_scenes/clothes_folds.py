"""Where cloth folds: seeded strokes that follow the pull of armpit, shoulder, chest and sleeve.

A fold is a curved stroke in one of three charts of the canonical body: front (|x|, z), back
(|x|, z) and sleeve (along the arm, around it). The strokes only start the folds; `clothes_drape`
lets the cloth settle around them, which gives them the shape that its length allows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synth.headmodel_masks import smoothstep

_ARMPIT = (0.160, 0.585)
_ARM_START = np.array([0.19, -0.015, 0.645])
_ARM_DIRECTION = np.array([0.19, -0.03, -0.21]) / np.linalg.norm([0.19, -0.03, -0.21])
_ARM_RADIUS_M = 0.05
_SEGMENTS = 9
_HIGHEST = 0.9


@dataclass(frozen=True)
class Folding:
    """How many folds of each kind a garment has on either side (0 is allowed).

    Attributes:
        armpit: from the armpit up over the chest towards shoulder and neck.
        drag: long ones from neck and shoulder down towards armpit or breastbone.
        shoulder: short ones from the shoulder seam downwards.
        chest: hanging from the chest, and from the shoulder blades.
        back: from the armpit over the back.
        sleeve: around the upper arm.
        width: factor on the width of all of them; thick cloth folds wide.
    """

    armpit: int = 4
    drag: int = 2
    shoulder: int = 2
    chest: int = 2
    back: int = 4
    sleeve: int = 6
    width: float = 1.0


def fold_heights(canonical: np.ndarray, folding: Folding, rng: np.random.Generator) -> np.ndarray:
    """[N] height of the folds, about [-0.6, 1.5]; 1 is the crest of a typical one.

    Args:
        canonical: [N, 3] canonical positions in metres.
        folding: how many of what.
        rng: places them.
    """
    x, y, z = canonical.T
    torso = smoothstep(0.21, 0.18, np.abs(x))
    front = torso * smoothstep(-0.02, -0.05, y)
    back = torso * smoothstep(-0.02, 0.01, y)
    heights = np.zeros(len(canonical))
    for sign in (1.0, -1.0):
        side = x * sign
        flat = np.stack([side, z], axis=1)
        for curve, width in _front_strokes(folding, rng):
            heights += front * _stroke(flat, curve, width * folding.width) * rng.uniform(0.4, 1.0)
        for curve, width in _back_strokes(folding, rng):
            heights += back * _stroke(flat, curve, width * folding.width) * rng.uniform(0.5, 1.0)
        if not folding.sleeve:
            continue
        along, around, arm = sleeve_chart(canonical, sign)
        sleeve = np.stack([along, around * _ARM_RADIUS_M], axis=1)
        for curve, width in _sleeve_strokes(folding, rng):
            heights += arm * _stroke(sleeve, curve, width * folding.width) * rng.uniform(0.2, 0.55)
    return _HIGHEST * np.tanh(heights / _HIGHEST)  # where folds meet, they do not add up


def sleeve_chart(canonical: np.ndarray, sign: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Along the arm on one side (metres), around it (radians, 0 outwards) and how much it is arm.

    Args:
        canonical: [N, 3] metres.
        sign: +1 the subject's left arm, -1 the right one.
    """
    mirrored = canonical * np.array([sign, 1.0, 1.0]) - _ARM_START
    along = mirrored @ _ARM_DIRECTION
    across = mirrored - along[:, None] * _ARM_DIRECTION
    outward = np.cross(_ARM_DIRECTION, [0.0, 1.0, 0.0])
    outward /= np.linalg.norm(outward)
    forward = np.cross(outward, _ARM_DIRECTION)
    around = np.arctan2(across @ forward, across @ outward)
    side = canonical[:, 0] * sign
    return along, around, smoothstep(-0.02, 0.03, along) * smoothstep(0.16, 0.19, side)


def _front_strokes(folding: Folding, rng: np.random.Generator):
    for reach in _spread(folding.armpit, rng):
        # the lowest run across to the breastbone, the highest up to the point of the shoulder
        start = (_ARMPIT[0] - 0.012 * reach, _ARMPIT[1] - 0.02 + 0.055 * reach)
        end = (0.065 + 0.075 * reach, 0.595 + 0.105 * reach)
        middle = (0.5 * (start[0] + end[0]), 0.5 * (start[1] + end[1]) - 0.012)
        yield _curve(rng, start, middle, end), rng.uniform(0.011, 0.018)
    for share in _spread(folding.drag, rng):
        # from neck and shoulder, either towards the armpit or across to the breastbone
        top, low = 0.060 + 0.055 * share, rng.choice([0.02, 0.13]) + rng.uniform(-0.02, 0.02)
        curve = _curve(rng, (top, 0.725), (0.6 * top + 0.4 * low, 0.675), (low, 0.625))
        yield curve, rng.uniform(0.012, 0.020)
    for share in _spread(folding.shoulder, rng):
        top = 0.09 + 0.075 * share
        yield (
            _curve(rng, (top, 0.715), (top + 0.002, 0.67), (top - 0.01, 0.62)),
            rng.uniform(0.011, 0.018),
        )
    for share in _spread(folding.chest, rng):
        at = 0.015 + 0.115 * share
        yield (
            _curve(rng, (at + 0.02, 0.645), (at, 0.57), (at + 0.01, 0.46)),
            rng.uniform(0.014, 0.024),
        )


def _back_strokes(folding: Folding, rng: np.random.Generator):
    for reach in _spread(folding.back, rng):
        start = (_ARMPIT[0] - 0.01 * reach, _ARMPIT[1] - 0.015 + 0.06 * reach)
        curve = _curve(
            rng, start, (0.11, 0.60 + 0.05 * reach), (0.04 + 0.05 * reach, 0.60 + 0.10 * reach)
        )
        yield curve, rng.uniform(0.012, 0.020)
    for share in _spread(folding.chest, rng):
        at = 0.015 + 0.11 * share
        yield _curve(rng, (at, 0.65), (at + 0.01, 0.57), (at, 0.46)), rng.uniform(0.015, 0.024)


def _sleeve_strokes(folding: Folding, rng: np.random.Generator):
    for share in _spread(folding.sleeve, rng):
        start = -0.02 + 0.20 * share
        inner = rng.choice([-1, 1]) * rng.uniform(1.6, 2.4)  # begins at the inside of the arm
        outer = inner * rng.uniform(0.2, 0.6)
        radius = _ARM_RADIUS_M
        yield np.array([
            [start, inner * radius],
            [start + rng.uniform(-0.01, 0.03), (inner + outer) / 2 * radius],
            [start + rng.uniform(0.01, 0.06), outer * radius],
        ]), rng.uniform(0.011, 0.018)  # fmt: skip


def _spread(count: int, rng: np.random.Generator) -> np.ndarray:
    """[count] places in [0, 1], one in each of as many equal parts: folds do not pile up."""
    return (np.arange(count) + rng.uniform(0, 1, count)) / max(count, 1)


def _curve(rng: np.random.Generator, *points: tuple[float, float]) -> np.ndarray:
    """[3, 2] control points of a quadratic Bezier curve, shaken by a centimetre."""
    return np.array(points) + rng.normal(scale=0.012, size=(3, 2))


def _stroke(points: np.ndarray, curve: np.ndarray, width: float) -> np.ndarray:
    """[N] cross-section of a fold at distance from a Bezier curve: a steep and a flat side.

    Args:
        points: [N, 2] metres in the chart.
        curve: [3, 2] control points.
        width: half width of the crest, metres.
    """
    height = np.zeros(len(points))
    margin = 4 * width
    near = np.flatnonzero(
        ((points > curve.min(axis=0) - margin) & (points < curve.max(axis=0) + margin)).all(axis=1)
    )
    t = np.linspace(0, 1, _SEGMENTS + 1)[:, None]
    line = (1 - t) ** 2 * curve[0] + 2 * t * (1 - t) * curve[1] + t**2 * curve[2]
    start, step = line[:-1], np.diff(line, axis=0)
    offset = points[near, None] - start  # [n, S, 2]
    share = np.clip((offset * step).sum(-1) / (step * step).sum(-1), 0, 1)
    away = offset - share[..., None] * step
    distance = np.hypot(away[..., 0], away[..., 1])
    nearest = distance.argmin(axis=1)
    row = np.arange(len(near))
    passed = (nearest + share[row, nearest]) / _SEGMENTS
    turn = step[nearest, 0] * away[row, nearest, 1] - step[nearest, 1] * away[row, nearest, 0]
    taper = np.sin(np.pi * np.clip(passed, 0.02, 0.98)) ** 0.7
    at = np.sign(turn) * distance[row, nearest] / (width * (0.6 + 0.4 * taper))
    crest = np.exp(-((at * np.where(at > 0, 1.4, 0.8)) ** 2))
    valleys = np.exp(-(((np.abs(at) - 2.0) / 0.9) ** 2))
    height[near] = (crest - 0.45 * valleys) * taper
    return height
