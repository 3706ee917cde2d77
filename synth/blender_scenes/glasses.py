"""The fit of a pair of glasses on a face: where rims, bridge, pads and temples run; numpy only.

The frame is laid out in front of the eyes in the frame of the unturned head (metres; x to the
subject's left, y backwards, z up) and then turned with it. `glasses_frame` makes meshes of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.spatial import cKDTree

from synth.blender_scenes.accessory_mesh import anchored, resample, transform, unit
from synth.headmodel import HeadModel, HeadShape
from synth.spec import Glasses

RIM_POINTS = 96
PLATE_HALF_DEPTH_M = 0.0019
"""Half the thickness of an acetate front, seen from above."""
PAD_HALF_THICKNESS_M = 0.0009
_HALF_PUPIL_DISTANCE_M = 0.032
"""Of the head for which the sizes below are meant."""
_EYE_RELIEF_M = 0.0105
"""From the eyeball's front to the lens: lashes are 8.5 mm long."""
_CLEARANCE_M = 0.0012
_LENS_OUTWARDS_M = 0.0022
"""Lenses are wider apart than pupils."""
_MAX_OUTWARDS_M = 0.0050
_WRAP_PER_M = 1.5
"""Curvature of the front: metres backwards per square metre from the middle."""
_TILT = 0.13
"""Slope of the front: its lower edge comes nearer to the cheeks."""
_BEHIND_EAR = np.array(
    [[0.0775, -0.0600, 0.9035], [0.0778, -0.0490, 0.9030], [0.0772, -0.0400, 0.8985],
     [0.0755, -0.0325, 0.8880], [0.0722, -0.0325, 0.8760], [0.0695, -0.0350, 0.8640]]
)  # fmt: skip
"""Where a temple lies on the subject's left, canonical metres: over the root of the ear and down
the groove behind it."""


@dataclass(frozen=True)
class RimShape:
    """Half sizes in metres and the form of a lens.

    Attributes:
        exponent: of the superellipse; 2 an ellipse, higher is squarer.
        drop_m: how far the middle of the lens lies below the eye.
        flat_top: below 1 the upper half is flatter than the lower.
        taper: how much wider the lens is at its top than in its middle.
        hinge: height of the hinge as a share of the half height.
    """

    half_width_m: float
    half_height_m: float
    exponent: float
    drop_m: float = 0.003
    flat_top: float = 1.0
    taper: float = 0.0
    hinge: float = 0.45


RIMS = {
    "round": RimShape(0.0236, 0.0226, 2.0, hinge=0.30),
    "oval": RimShape(0.0255, 0.0185, 2.35, taper=0.03),
    "rectangle": RimShape(0.0262, 0.0176, 4.0, taper=0.05, hinge=0.55),
    "browline": RimShape(0.0256, 0.0198, 2.7, flat_top=0.86, taper=0.06, hinge=0.62),
}


@dataclass(frozen=True, eq=False)
class GlassesFit:
    """Centre lines of a pair of glasses, metres, in the frame of the unturned head.

    The subject's left comes first in every pair.

    Attributes:
        rims: closed curves [RIM_POINTS, 3] from the temporal side over the top.
        forward: [3] unit normal of the front, towards the viewer.
        bridge: [n, 3] from the left rim to the right one.
        pads: centre, normal out of the skin and long axis ([3] each) of each nose pad.
        temples: curves [n, 3] from the rim over the ear to the groove behind it.
        hinges: number of the point of each temple at which it folds.
        model_from_head: [4, 4] turns everything with the head.
        size: factor of the frame's own measures on this head.
    """

    rims: tuple[np.ndarray, np.ndarray]
    forward: np.ndarray
    bridge: np.ndarray
    pads: tuple[tuple[np.ndarray, np.ndarray, np.ndarray], ...]
    temples: tuple[np.ndarray, np.ndarray]
    hinges: tuple[int, int]
    model_from_head: np.ndarray
    size: float


def fit_glasses(glasses: Glasses, model: HeadModel, shape: HeadShape) -> GlassesFit:
    """Lay the frame out on the face.

    The front stands clear of lashes, brows, cheeks and the flanks of the nose, as near to the eyes
    as these allow; pads reach from it to the nose; the temples run back outside the skin, over the
    roots of the ears and down behind them.

    Args:
        glasses: shape and thickness.
        model: landmarks and canonical positions.
        shape: the evaluated head.
    """
    rim = RIMS[glasses.shape]
    # Work in the head's own frame, so that a turned head wears its glasses straight.
    head_from_model = np.linalg.inv(shape.model_from_rest_head)
    skin = transform(head_from_model, shape.vertices)
    normals = shape.normals @ head_from_model[:3, :3].T
    eyes = np.stack([transform(head_from_model, eye.center) for eye in shape.eyes])
    middle = eyes.mean(axis=0)
    half_distance = abs(eyes[0, 0] - eyes[1, 0]) / 2
    # Broad faces wear broad glasses: the lenses stay centred on the eyes.
    size = float(np.clip(half_distance / _HALF_PUPIL_DISTANCE_M, 0.88, 1.14))
    outline = _outline(rim) * size
    half_width = glasses.rim_radius_m
    half_depth = half_width if glasses.metal > 0.5 else PLATE_HALF_DEPTH_M
    front = _Front(middle, rim.drop_m, outline, half_distance, half_width, half_depth)
    eye_front_y = (eyes[:, 1] - [eye.radius for eye in shape.eyes]).min()
    rims = front.place(model, skin, eye_front_y)
    pads = tuple(
        _pad(rim_line, sign, model, skin, normals, middle, size)
        for rim_line, sign in zip(rims, (1.0, -1.0))
    )
    temples, hinges = zip(
        *(
            _temple(line, s, rim, glasses, model, skin, normals)
            for line, s in zip(rims, (1.0, -1.0))
        )
    )
    return GlassesFit(
        rims=rims,
        forward=unit(np.array([0.0, -1.0, -_TILT])),
        bridge=_bridge(rims, middle[0], glasses, skin, model),
        pads=pads,
        temples=temples,
        hinges=hinges,
        model_from_head=shape.model_from_rest_head,
        size=size,
    )


def _outline(rim: RimShape) -> np.ndarray:
    """[RIM_POINTS, 2] outline around the origin, +x towards the temple, at equal steps."""
    angle = np.linspace(0, 2 * np.pi, 4 * RIM_POINTS, endpoint=False)
    power = 2.0 / rim.exponent
    x = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** power
    z = np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** power
    x = x * (1 + rim.taper * z) * rim.half_width_m
    z = np.where(z > 0, z * rim.flat_top, z) * rim.half_height_m
    return resample(np.stack([x, z], axis=1), RIM_POINTS, closed=True)


@dataclass(frozen=True, eq=False)
class _Front:
    """The front of a frame, to be placed on a face.

    Attributes:
        middle: [3] between the eyes; drop_m: of the lenses below it.
        outline: [RIM_POINTS, 2] of a lens.
        half_distance: of the eyes; half_width, half_depth: of the rim's cross-section, metres.
    """

    middle: np.ndarray
    drop_m: float
    outline: np.ndarray
    half_distance: float
    half_width: float
    half_depth: float

    def place(
        self, model: HeadModel, skin: np.ndarray, eye_front_y: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Both rims: as near to the eyes as lashes, nose, brows and cheeks allow."""
        x, y, z = model.canonical.T
        near = (np.abs(x) < 0.075) & (y < -0.075) & (z > 0.845) & (z < 0.945)
        nose = near & (np.abs(x) < 0.021) & (z > 0.862) & (z < 0.912)
        y_front = eye_front_y - _EYE_RELIEF_M
        for _ in range(12):
            outwards = self._outwards_for_nose(skin[nose], y_front)
            if outwards <= _MAX_OUTWARDS_M:
                break
            y_front -= 0.0008
        outwards = float(np.clip(outwards, _LENS_OUTWARDS_M, _MAX_OUTWARDS_M))
        rims = [self._rim(sign, outwards, 0.0) for sign in (1.0, -1.0)]
        face = skin[near & ~nose]
        lenses = np.concatenate(
            [self._rim(s, outwards, 0.0, t) for s in (1, -1) for t in (1.08, 0.8)]
        )
        _, nearest = cKDTree(face[:, [0, 2]]).query(lenses[:, [0, 2]], k=6)
        gap = (face[nearest, 1] - self.half_depth - _CLEARANCE_M).min(axis=1) - lenses[:, 1]
        y_front = min(y_front, float(gap.min()))
        return tuple(line + np.array([0.0, y_front, 0.0]) for line in rims)

    def _rim(self, sign: float, outwards: float, y: float, scale: float = 1.0) -> np.ndarray:
        across = self.half_distance + outwards + scale * self.outline[:, 0]
        up = scale * self.outline[:, 1] - self.drop_m
        depth = y + _WRAP_PER_M * across**2 - _TILT * up
        return np.stack([self.middle[0] + sign * across, depth, self.middle[2] + up], axis=1)

    def _outwards_for_nose(self, nose: np.ndarray, y_front: float) -> float:
        """How far the lenses must move apart so that the nose fits between their rims."""
        nasal = self.outline[:, 0] < -0.4 * self.outline[:, 0].max()
        line = self._rim(1.0, 0.0, y_front)[nasal]
        close = np.abs(line[:, None, 2] - nose[None, :, 2]) < 0.0016
        in_front = nose[None, :, 1] < line[:, None, 1] + self.half_depth + 0.0006
        width = np.abs(nose[:, 0] - self.middle[0])[None] * (close & in_front)
        room = line[:, 0] - self.middle[0] - self.half_width
        return float((width.max(axis=1) + 0.0008 - room).max())


def _bridge(
    rims: tuple[np.ndarray, np.ndarray],
    middle_x: float,
    glasses: Glasses,
    skin: np.ndarray,
    model: HeadModel,
) -> np.ndarray:
    """An arch between the inner upper parts of the rims that clears the ridge of the nose."""
    ends = []
    for line, sign in zip(rims, (1.0, -1.0)):
        height = line[:, 2] - line[:, 2].mean()
        target = 0.42 * height.max()
        inner = (line[:, 0] - middle_x) * sign + 0.8 * np.abs(height - target)
        ends.append(line[np.argmin(inner)])
    t = np.linspace(0, 1, 21)[:, None]
    arch = ends[0] * (1 - t) + ends[1] * t
    bow = np.sin(np.pi * t[:, 0])
    metal = glasses.metal > 0.5
    arch[:, 2] += (0.0034 if metal else 0.0014) * bow
    arch[:, 1] -= 0.0012 * bow
    half = glasses.rim_radius_m if metal else PLATE_HALF_DEPTH_M
    x, y, z = model.canonical.T
    ridge = skin[(np.abs(x) < 0.02) & (y < -0.13) & (z > 0.875) & (z < 0.935)]
    _, nearest = cKDTree(ridge[:, [0, 2]]).query(arch[:, [0, 2]], k=4)
    lack = (arch[:, 1] + half + 0.0005 - ridge[nearest, 1].min(axis=1)).clip(0).max()
    arch[:, 1] -= lack * bow**0.5
    return arch


def _pad(
    line: np.ndarray,
    sign: float,
    model: HeadModel,
    skin: np.ndarray,
    normals: np.ndarray,
    middle: np.ndarray,
    size: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A pad lies flat on the flank of the nose beside the rim's inner edge."""
    x, y, z = model.canonical.T
    flank = (x * sign > 0.003) & (x * sign < 0.024) & (y < -0.128) & (z > 0.862) & (z < 0.91)
    flank &= (normals[:, 0] * sign > 0.35) & (normals[:, 1] < -0.1)
    height = line[:, 2] - line[:, 2].mean()
    inner = line[
        np.argmin(
            (line[:, 0] - middle[0]) * sign + 0.6 * np.abs(height + 0.25 * np.ptp(height) / 2)
        )
    ]
    wish = inner + np.array([-sign * 0.0020, 0.0055, 0.0]) * size
    candidates = np.flatnonzero(flank)
    close = candidates[np.argsort(np.linalg.norm(skin[candidates] - wish, axis=1))[:12]]
    normal = unit(normals[close].mean(axis=0))
    touched = skin[close].mean(axis=0)
    # the highest of these points carries the pad
    lift = ((skin[close] - touched) @ normal).max()
    long_axis = np.array([0.0, 0.30, 1.0])
    long_axis = unit(long_axis - normal * (long_axis @ normal))
    return touched + normal * (lift + PAD_HALF_THICKNESS_M - 0.0002), normal, long_axis


def _temple(
    line: np.ndarray,
    sign: float,
    rim: RimShape,
    glasses: Glasses,
    model: HeadModel,
    skin: np.ndarray,
    normals: np.ndarray,
) -> tuple[np.ndarray, int]:
    """From the outer rim around the corner, back over the ear and down behind it."""
    metal = glasses.metal > 0.5
    height = line[:, 2] - line[:, 2].mean()
    outer = line[np.argmax(line[:, 0] * sign - 1.2 * np.abs(height - rim.hinge * height.max()))]
    thickness = 0.0008 if metal else 0.0013
    mirror = np.array([sign, 1.0, 1.0])
    behind = anchored(_BEHIND_EAR * mirror, model.canonical, skin)
    behind[:2, 2] += 0.0022 if not metal else 0.0010  # half the height of the temple
    behind[:, 0] += sign * (thickness + 0.0006)
    # The corner: outwards as far as the temple needs to pass the face, then a tight turn.
    radius = 0.0026
    reach = float(np.clip(sign * (behind[0, 0] - outer[0]) - 0.005 - radius, 0.0008, 0.0075))
    corner = outer + np.array([sign * reach, 0.0008, 0.0])
    turn = np.linspace(0, np.pi / 2, 6)[1:, None]
    arc = corner + radius * (np.sin(turn) * [sign, 0, 0] + (1 - np.cos(turn)) * [0, 1, 0])
    start = np.concatenate([np.linspace(outer, corner, 5), arc])
    keys = np.concatenate(
        [start[-1:], start[-1:] + (behind[0] - start[-1]) * [[0.33], [0.66]], behind]
    )
    arc_length = np.r_[0.0, np.cumsum(np.linalg.norm(np.diff(keys, axis=0), axis=1))]
    back = CubicSpline(arc_length, keys)(np.linspace(0, arc_length[-1], 48))
    back[1:] = _outside_of_head(back, skin, normals, model, thickness + 0.0007)[1:]
    return np.concatenate([start, back[1:]]), len(start) - 1


def _outside_of_head(
    line: np.ndarray, skin: np.ndarray, normals: np.ndarray, model: HeadModel, clearance_m: float
) -> np.ndarray:
    """Push the line sideways out of cheek and temple; the ear itself may cover it."""
    side = np.abs(model.canonical[:, 0])
    head = (model.canonical[:, 2] > 0.84) & (side > 0.03) & (model.masks["ear"] < 0.5)
    points, directions = skin[head], normals[head]
    tree = cKDTree(points)
    for _ in range(3):
        _, nearest = tree.query(line)
        height = ((line - points[nearest]) * directions[nearest]).sum(axis=1)
        lack = np.clip(clearance_m - height, 0, 0.02)
        lack = np.convolve(np.pad(lack, 3, mode="edge"), np.ones(7) / 7, mode="valid")
        line = line + directions[nearest] * [1.0, 0.0, 0.3] * lack[:, None]
    return line
