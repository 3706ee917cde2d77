"""A hood that lies on the shoulders: a thick edge around the neck, a collapsed bag on the back."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicSpline

from synth.blender_scenes.clothes_drape import Collider
from synth.blender_scenes.clothes_sheet import Frames, Part, lie_on, smooth_rows, thicken
from synth.headmodel_masks import smoothstep

_BACK = np.array(
    [[-0.008, 0.002], [0.010, 0.003], [0.030, 0.007], [0.047, 0.017], [0.045, 0.030],
     [0.022, 0.037], [-0.020, 0.040], [-0.062, 0.036], [-0.100, 0.025], [-0.122, 0.008]]
)  # fmt: skip
_SIDE = np.array(
    [[-0.008, 0.002], [0.006, 0.002], [0.018, 0.003], [0.027, 0.008], [0.027, 0.014],
     [0.018, 0.018], [0.002, 0.020], [-0.014, 0.019], [-0.027, 0.013], [-0.034, 0.004]]
)  # fmt: skip
_FRONT = np.array(
    [[-0.006, 0.001], [0.002, 0.002], [0.008, 0.003], [0.012, 0.006], [0.012, 0.010],
     [0.008, 0.013], [0.001, 0.014], [-0.007, 0.013], [-0.014, 0.010], [-0.019, 0.004]]
)  # fmt: skip
_ROWS = 24
_THICKNESS_M = 0.0042
_FOLD_M = 0.011
"""Height of the folds in the bag."""


def hood(frames: Frames, skin: Collider, cloth: Collider, rng: np.random.Generator) -> Part:
    """The hood of a hoodie.

    Args:
        frames: the neckline.
        skin: neck and chest, to stay outside of.
        cloth: the garment it lies on.
        rng: places the folds of the bag.
    """
    radial = frames.points - frames.points.mean(axis=0)
    backness = radial[:, 1] / np.linalg.norm(radial[:, :2], axis=1)  # -1 in front, 1 behind
    back = smoothstep(0.20, 0.95, backness)[:, None, None]
    front = smoothstep(-0.35, -0.90, backness)[:, None, None]
    profile = _BACK[None] * back + _FRONT[None] * front + _SIDE[None] * (1 - back - front)
    rows = np.linspace(0, 1, _ROWS)
    profile = CubicSpline(np.linspace(0, 1, profile.shape[1]), profile, axis=1)(rows)
    # the bag sinks in between its folds, and its tip hangs lower than its sides
    whole = frames.length[-1] + frames.length[1]
    from_middle = np.abs(frames.length - whole / 2) / (whole / 2)
    bag = smoothstep(0.25, 0.65, rows)[None] * back[..., 0]
    profile[..., 1] += _FOLD_M * bag * _folds(frames.length, rows, rng)
    profile[..., 0] -= 0.045 * smoothstep(0.30, 0.0, from_middle)[:, None] * rows[None] ** 2
    middle = (
        frames.points[:, None]
        + frames.along[:, None] * profile[..., :1]
        + frames.out[:, None] * profile[..., 1:]
    )
    half = _THICKNESS_M / 2
    middle = lie_on(middle, skin, 0.003 + half)
    free = slice(_ROWS // 2, None)
    middle[:, free] = lie_on(middle[:, free], cloth, half + 0.002)
    middle = smooth_rows(middle, 2, closed=True)
    centre_seam = np.broadcast_to(np.abs(frames.length - whole / 2)[:, None], middle.shape[:2])
    hem = np.abs(rows - 0.36) * 0.10  # where the hem of its edge is stitched
    seam = np.minimum(np.where(back[..., 0] > 0.5, centre_seam, 1.0), hem[None])
    return thicken(
        "hood", middle, _THICKNESS_M, "cloth", closed=True, seam_m=np.minimum(seam, 0.05)
    )


def _folds(length: np.ndarray, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """[n, P] height of the folds that run down and around the bag, about [-1, 1]."""
    height = np.zeros((len(length), len(rows)))
    for _ in range(7):
        per_metre, lean = rng.uniform(9, 20), rng.uniform(-0.9, 0.9)
        phase = rng.uniform(0, 2 * np.pi)
        wave = np.sin(2 * np.pi * per_metre * length[:, None] + 6.0 * lean * rows[None] + phase)
        height += (1 - np.abs(wave)) ** 2 - 0.4  # sharp crests, round valleys
    across = np.sin(2 * np.pi * (1.6 * rows[None] + 3.0 * length[:, None] + rng.uniform(0, 1)))
    return np.tanh(height / 1.6) * 0.8 + 0.45 * across
