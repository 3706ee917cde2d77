"""What is sewn onto each garment: its band, its collar and its trim; numpy only."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from synth.blender_scenes.clothes_collar import (
    Band,
    FoldedCollar,
    fold_collar,
    lapel,
    sweep_band,
)
from synth.blender_scenes.clothes_cuts import CUTS
from synth.blender_scenes.clothes_drape import Collider
from synth.blender_scenes.clothes_geometry import Garment, Neckline
from synth.blender_scenes.clothes_hood import hood
from synth.blender_scenes.clothes_sheet import Frames, Part, edge_frames
from synth.blender_scenes.clothes_trim import Front, buttons, cord, hanging_path, pocket, strip
from synth.headmodel_masks import smoothstep

_RIB_TEE = np.array(
    [[-0.0030, 0.0008], [0.0018, 0.0011], [0.0065, 0.0012], [0.0112, 0.0009], [0.0160, 0.0004]]
)
_RIB_SWEATER = np.array(
    [[-0.0050, 0.0014], [0.0018, 0.0024], [0.0085, 0.0026], [0.0152, 0.0020], [0.0220, 0.0010]]
)
_ROLL_NECK = np.array(
    [[-0.004, 0.0005], [0.004, 0.001], [0.008, 0.0035], [0.005, 0.0065], [-0.006, 0.0078],
     [-0.018, 0.0084], [-0.027, 0.0082]]
)  # fmt: skip
_BINDING = np.array(
    [[-0.0060, 0.0008], [-0.0035, 0.0012], [-0.0010, 0.0013], [0.0015, 0.0011], [0.0040, 0.0006]]
)
_TURNED_UP = np.array(
    [[-0.0180, 0.0004], [-0.0130, 0.0011], [-0.0080, 0.0012], [-0.0030, 0.0010], [0.0015, 0.0002]]
)
_FACING = np.array([[-0.0160, 0.0016], [-0.0075, 0.0026], [0.0012, 0.0016]])
_BUTTON_BAND = np.array([[-0.026, 0.0022], [-0.013, 0.0036], [0.002, 0.0024]])

BANDS = {
    "tee": Band(_RIB_TEE, _RIB_TEE, 0.0018, 0.0006),
    "v_neck": Band(_RIB_TEE, _RIB_TEE, 0.0020, 0.0006),
    "tank_top": Band(_BINDING, _BINDING, 0.0018, 0.0008, role="plain"),
    "sweater": Band(_RIB_SWEATER, _RIB_SWEATER, 0.0038, 0.001),
    "turtleneck": Band(_ROLL_NECK, _ROLL_NECK, 0.0036, 0.003, rolled=True),
    "cardigan": Band(_BUTTON_BAND, _BUTTON_BAND, 0.0042),
    "shirt": Band(_FACING, _FACING, 0.0018, role="cloth"),
    "polo": Band(_FACING * 0.8, _FACING * 0.8, 0.0018, role="plain"),
}
"""What is swept along the whole neckline."""
_HEM = Band(_TURNED_UP, _TURNED_UP, 0.0016, role="plain")
"""The end of a short sleeve."""
COLLARS = {
    "shirt": FoldedCollar(0.030, 0.022, 0.041, 0.062, 0.030, 0.0018),
    "polo": FoldedCollar(0.022, 0.014, 0.034, 0.045, 0.024, 0.0020, role="rib"),
}
"""Collars with a stand and a leaf, whose ends meet in front."""
_JACKET_COLLAR = FoldedCollar(0.026, 0.004, 0.046, 0.036, 0.0, 0.0032, 0.006, 0.05)
_CLOSED_GAP_M = 0.0015
_OPEN_GAP = 0.72
"""Half the gap of an open collar, in half widths of the V."""
_LAPEL_WIDTH_M = 0.078
_GORGE = 0.80
"""Where collar and lapel meet, as a part of the way up the front edge."""
_CORD_RADIUS_M = 0.0024
_EYELET = 0.045
"""Where a drawstring comes out, as a part of the neckline from its front."""


@dataclass(frozen=True, eq=False)
class Sewing:
    """A garment on the table.

    Attributes:
        name: of the garment.
        garment: its cloth.
        neckline: how it was cut.
        frames: along its neckline.
        surface: its cloth, to lie on.
        skin: neck and chest, to stay outside of.
        rng: decides what differs between two garments of one cut.
    """

    name: str
    garment: Garment
    neckline: Neckline
    frames: Frames
    surface: Collider
    skin: Collider
    rng: np.random.Generator

    @classmethod
    def of(cls, name: str, garment: Garment, neckline: Neckline, skin: Collider, rng) -> Sewing:
        """Put a garment on the table."""
        frames = edge_frames(garment.vertices, garment.normals, garment.neck_loop)
        surface = Collider.of(garment.vertices, garment.normals)
        return cls(name, garment, neckline, frames, surface, skin, rng)


def sew_collar(sewing: Sewing) -> list[Part]:
    """Band, folded collar and bindings of a garment."""
    parts = []
    if sewing.name in BANDS:
        band = BANDS[sewing.name]
        parts.append(sweep_band("band", band, sewing.frames, sewing.skin, sewing.surface))
    if sewing.name in COLLARS:
        collar = COLLARS[sewing.name]
        gap = _CLOSED_GAP_M
        if sewing.neckline.v_depth_m:
            gap = sewing.neckline.v_half_width_m * _OPEN_GAP
        parts.append(fold_collar("collar", collar, sewing.frames, gap, sewing.skin, sewing.surface))
    sleeveless = CUTS[sewing.name].sleeve is None
    name, band = ("binding", BANDS[sewing.name]) if sleeveless else ("hem", _HEM)
    for opening in sewing.garment.arm_openings:
        frames = edge_frames(sewing.garment.vertices, sewing.garment.normals, opening)
        parts.append(sweep_band(name, band, frames, sewing.skin, sewing.surface))
    return parts


def sew_trim(sewing: Sewing) -> list[Part]:
    """Placket, buttons, pocket, lapels, hood and strings, as the garment has them."""
    if sewing.name not in _TRIM:
        return []
    front = Front(sewing.garment.vertices, sewing.surface)
    return _TRIM[sewing.name](sewing, front)


def sew_under(sewing: Sewing) -> list[Part]:
    """The same for what is worn underneath: all of its own cloth, and without a pocket."""
    parts = sew_collar(sewing)
    if sewing.name == "shirt":
        front = Front(sewing.garment.vertices, sewing.surface)
        parts += _placket(sewing, front, length_m=0.20, width_m=0.034, step_m=0.075)
    return [
        dataclasses.replace(
            part, name=f"under_{part.name}", role="button" if part.role == "button" else "under"
        )
        for part in parts
    ]


def _shirt(sewing: Sewing, front: Front) -> list[Part]:
    x, _, top = sewing.frames.points[0]
    parts = _placket(sewing, front, length_m=0.30, width_m=0.034, step_m=0.075)
    return [*parts, pocket("pocket", front, x + 0.075, top - 0.105, 0.095, 0.11)]


def _polo(sewing: Sewing, front: Front) -> list[Part]:
    return _placket(sewing, front, length_m=0.12, width_m=0.028, step_m=0.042)


def _placket(
    sewing: Sewing, front: Front, *, length_m: float, width_m: float, step_m: float
) -> list[Part]:
    """A band down from the neckline with its buttons; a closed one has one on the stand."""
    x, _, top = sewing.frames.points[0]
    band = strip("placket", front, x, top, top - length_m, width_m, 0.0018, "cloth")
    if sewing.neckline.v_depth_m:
        down = np.arange(0.030, length_m, step_m)
    else:
        down = np.r_[-0.010, np.arange(0.055, length_m, step_m)]
    return [band, _buttons(front, x, top - down, radius_m=0.0056, lift_m=0.0026)]


def _cardigan(sewing: Sewing, front: Front) -> list[Part]:
    x, _, top = sewing.frames.points[0]
    band = strip("placket", front, x, top + 0.01, top - 0.25, 0.028, 0.003, "rib")
    z = top - np.array([0.02, 0.09, 0.16])
    return [band, _buttons(front, x, z, radius_m=0.0085, lift_m=0.0042)]


def _blazer(sewing: Sewing, front: Front) -> list[Part]:
    x, _, top = sewing.frames.points[0]
    z = top - np.array([0.015, 0.11])
    return [*_lapels(sewing), _buttons(front, x, z, radius_m=0.010, lift_m=0.003)]


def _lapels(sewing: Sewing) -> list[Part]:
    """Both lapels, and the collar between them."""
    frames = sewing.frames
    count, height = len(frames.points), frames.points[:, 2]
    gorge = height[0] + _GORGE * (height.max() - height[0])
    left = np.arange(0, count // 2)
    left = left[: np.argmax(height[left] > gorge)]
    right = np.arange(count - 1, count // 2, -1)
    right = right[: np.argmax(height[right] > gorge)]
    parts = []
    for numbers in (left, right):
        edge = frames.take(numbers)
        share = np.linspace(0, 1, len(numbers))
        width = _LAPEL_WIDTH_M * smoothstep(-0.12, 0.95, share) ** 0.9
        parts.append(lapel("lapel", edge, width, 0.0032, sewing.surface, "cloth"))
    behind = frames.take(np.arange(left[-1], right[-1] + 1))
    collar = fold_collar("collar", _JACKET_COLLAR, behind, 0.0, sewing.skin, sewing.surface)
    return [*parts, collar]


def _hoodie(sewing: Sewing, front: Front) -> list[Part]:
    parts = [hood(sewing.frames, sewing.skin, sewing.surface, sewing.rng)]
    whole = sewing.frames.length[-1]
    for sign in (1.0, -1.0):
        eyelet = sewing.frames.at(np.array([whole * (0.5 - sign * (0.5 - _EYELET))]))
        start = eyelet.points[0] + eyelet.out[0] * 0.012
        length_m = sewing.rng.uniform(0.11, 0.17)
        drift_m = sign * sewing.rng.uniform(-0.01, 0.02)
        path = hanging_path(start, length_m, drift_m, front, _CORD_RADIUS_M)
        parts.append(cord(path, _CORD_RADIUS_M))
    return parts


def _buttons(front: Front, x: float, z: np.ndarray, *, radius_m: float, lift_m: float) -> Part:
    at = front.points(np.full(len(z), x), z, lift_m)
    return buttons(at, front.normals(at), radius_m)


_TRIM: dict[str, Callable[[Sewing, Front], list[Part]]] = {
    "shirt": _shirt,
    "polo": _polo,
    "cardigan": _cardigan,
    "blazer": _blazer,
    "hoodie": _hoodie,
}
