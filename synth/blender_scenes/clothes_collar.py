"""Collars: ribbed bands, roll necks, folded collars with points, lapels.

Everything is swept along the edge of a garment. A profile is drawn in the plane across the edge:
`along` continues the cloth beyond it (towards the head), `out` points away from the body. Metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

from synth.blender_scenes.clothes_drape import Collider
from synth.blender_scenes.clothes_sheet import Frames, Part, lie_on, smooth_rows, thicken
from synth.headmodel_masks import smoothstep

Profile = np.ndarray
"""[P, 2] (along, out) metres: the middle line of the cloth, from the edge outwards."""

_FREE_CLEARANCE_M = 0.0022
_STAND_ROWS, _LEAF_ROWS = 4, 10
_OPEN_SLIDE = 0.45
"""How far the points of an open collar lie down along the front edge, in widths of the leaf."""


@dataclass(frozen=True, eq=False)
class Band:
    """A closed profile along an edge: rib, roll neck, hem of an armhole.

    Attributes:
        back, front: profiles with the same number of points, blended by the angle.
        thickness_m: thickness of the cloth.
        clearance_m: least distance of its inner side from the skin.
        role: see `clothes_sheet.ROLES`.
        rolled: whether it is folded over, so that its second half lies on the garment.
    """

    back: Profile
    front: Profile
    thickness_m: float
    clearance_m: float = 0.002
    role: str = "rib"
    rolled: bool = False


@dataclass(frozen=True)
class FoldedCollar:
    """A collar of a stand and a leaf that is folded over it; metres.

    Attributes:
        stand_back_m, stand_front_m: height of the stand at the nape and at the ends.
        leaf_back_m, leaf_front_m: width of the leaf at the nape and at its points.
        spread_m: how far the points lie away from the ends, along the neckline.
        thickness_m: thickness of the cloth.
        roll_m: distance between stand and leaf at the fold.
        end_m: over what length the leaf grows from its width at the nape to its points.
        role: see `clothes_sheet.ROLES`.
    """

    stand_back_m: float
    stand_front_m: float
    leaf_back_m: float
    leaf_front_m: float
    spread_m: float
    thickness_m: float
    roll_m: float = 0.004
    end_m: float = 0.10
    role: str = "cloth"


def sweep_band(name: str, band: Band, frames: Frames, skin: Collider, cloth: Collider) -> Part:
    """Sweep the profile of `band` along a closed edge.

    Args:
        name: name of the part.
        band: what to sweep.
        frames: the edge.
        skin: neck and chest, to stay outside of.
        cloth: the garment, on which the free half of the band lies.
    """
    radial = frames.points - frames.points.mean(axis=0)
    sideways = np.linalg.norm(radial[:, :2], axis=1)
    frontness = smoothstep(-0.45, 0.55, -radial[:, 1] / sideways)[:, None, None]
    profile = _refine(band.back[None] * (1 - frontness) + band.front[None] * frontness)
    middle = (
        frames.points[:, None]
        + frames.along[:, None] * profile[..., :1]
        + frames.out[:, None] * profile[..., 1:]
    )
    half = band.thickness_m / 2
    middle = lie_on(middle, skin, band.clearance_m + half)
    if band.rolled:  # its free half lies on the garment
        free = slice(middle.shape[1] // 2, None)
        middle[:, free] = lie_on(middle[:, free], cloth, half + _FREE_CLEARANCE_M)
    middle = smooth_rows(middle, 4, closed=frames.closed)
    return thicken(name, middle, band.thickness_m, band.role, closed=frames.closed)


def fold_collar(
    name: str, collar: FoldedCollar, edge: Frames, gap_m: float, skin: Collider, cloth: Collider
) -> Part:
    """Sweep a folded collar along a neckline.

    Args:
        name: name of the part.
        collar: what to sweep.
        edge: the whole neckline, or the part of it that the collar follows.
        gap_m: half the gap at the front; above a centimetre the collar is open, and its points
            lie down along the front edges instead of away from them.
        skin: neck and chest, to stay outside of.
        cloth: the garment, on which the leaf lies.
    """
    frames = open_front(edge, gap_m) if gap_m else edge
    whole = frames.length[-1] - frames.length[0]
    from_end = np.minimum(frames.length - frames.length[0], frames.length[-1] - frames.length)
    back = smoothstep(0.0, 0.6 * whole / 2, from_end)
    stand = collar.stand_front_m + (collar.stand_back_m - collar.stand_front_m) * back
    tip = smoothstep(collar.end_m, 0.0, from_end)
    leaf = collar.leaf_back_m + (collar.leaf_front_m - collar.leaf_back_m) * tip
    inward = np.where(frames.length < frames.length[0] + whole / 2, 1.0, -1.0)
    slide = collar.spread_m if gap_m < 0.01 else -_OPEN_SLIDE * collar.leaf_front_m
    rows = [
        frames.points + frames.along * (stand * t)[:, None] + frames.out * 0.001
        for t in np.linspace(0, 1, _STAND_ROWS)
    ]
    for t in np.linspace(1, 0, _LEAF_ROWS, endpoint=False)[::-1]:
        # rows of the leaf slide along the edge: its end slants, its corner is the point
        shifted = edge.at(frames.length + inward * slide * t * tip)
        fold = collar.roll_m * np.sin(np.pi * min(t * 3.0, 0.5))
        rise = stand + 0.5 * collar.roll_m - leaf * t
        rows.append(shifted.points + shifted.along * rise[:, None] + shifted.out * fold)
    sheet = np.stack(rows, axis=1)
    half = collar.thickness_m / 2
    sheet[:, :_STAND_ROWS] = lie_on(sheet[:, :_STAND_ROWS], skin, 0.003 + half)
    outer = lie_on(sheet[:, _STAND_ROWS:], skin, 0.003 + half + collar.roll_m)
    # below the edge of the garment nothing holds the leaf up
    below = np.arange(1, _LEAF_ROWS + 1) / _LEAF_ROWS * leaf[:, None] > stand[:, None] + 0.012
    highest = np.where(below, half + 0.0055, np.inf)
    sheet[:, _STAND_ROWS:] = lie_on(outer, cloth, half + _FREE_CLEARANCE_M, highest)
    sheet = smooth_rows(sheet, 3, closed=False)
    return thicken(name, sheet, collar.thickness_m, collar.role, closed=False)


def lapel(
    name: str, frames: Frames, width_m: np.ndarray, thickness_m: float, cloth: Collider, role: str
) -> Part:
    """A lapel: the front edge of a jacket, folded outwards onto its chest.

    Args:
        name, role: see `Part`.
        frames: the edge from the button up to the notch.
        width_m: [n] its width along the edge.
        thickness_m: of the cloth.
        cloth: the jacket.
    """
    rows = []
    half = thickness_m / 2
    top = smoothstep(0.80, 1.0, np.linspace(0, 1, len(frames.points)))
    for t in np.linspace(0, 1, 12):
        # the upper edge drops outwards, which opens the notch
        shifted = frames.at(frames.length - np.sign(frames.length[-1] - frames.length[0])
                            * 0.022 * t * top)  # fmt: skip
        out = -width_m * max(t - 0.08, 0) / 0.92
        roll = 0.007 * np.sin(np.pi * min(1.0, t * 1.6 + 0.12)) + half
        rows.append(shifted.points + shifted.along * out[:, None] + shifted.out * roll)
    sheet = np.stack(rows, axis=1)
    share = np.linspace(0, 1, 12)[None]
    highest = half + 0.003 + 0.006 * np.sin(np.pi * np.minimum(1.0, share + 0.1))
    sheet[:, 1:] = lie_on(sheet[:, 1:], cloth, half + 0.002, highest[:, 1:])
    return thicken(name, smooth_rows(sheet, 2, closed=False), thickness_m, role, closed=False)


def open_front(frames: Frames, half_width_m: float) -> Frames:
    """The part of the frames behind the front gap, from the subject's left to its right."""
    x = frames.points[:, 0] - frames.points[:, 0].mean()
    behind = frames.points[:, 1] > frames.points[:, 1].mean()
    return frames.take(np.flatnonzero((np.abs(x) > half_width_m) | behind))


def _refine(profile: np.ndarray) -> np.ndarray:
    """Round the corners of the profiles [n, P, 2] with a spline of twice as many points."""
    count = profile.shape[1]
    if count < 4:
        return profile
    spline = CubicSpline(np.arange(count), profile, axis=1)
    return spline(np.linspace(0, count - 1, 2 * count - 1))
