"""Shapes that MakeHuman's targets lack, as functions of the base mesh; numpy only.

Its noses stand half as far from the face as people's do, its nostrils are dimples of two
millimetres, its lids lie too low on the eyeball, so that white shows below the iris, and its skulls
are too narrow for their length and height. Sliders of the package cannot mend these; the controls
made here can, and join the others in `Identity.shape`.
"""

from __future__ import annotations

import numpy as np

from synth.headmodel_masks import smoothstep

NOSE_PROJECTION = "nose-project-incr"
NOSTRIL_DEPTH = "nose-nostrils-depth-incr"
SKULL_BREADTH = "head-skull-breadth-incr"
LIDS = ("l-eye-lids-up", "r-eye-lids-up")
SCULPTED = (NOSE_PROJECTION, NOSTRIL_DEPTH, SKULL_BREADTH, *LIDS)
"""Labels of the controls; their negative side is the opposite displacement."""

# The face without a nose, in canonical metres: its front in the middle from the bridge to the upper
# lip, and how it curves back to the sides.
_PLANE_Z = (0.838, 0.845, 0.896, 0.905)
_PLANE_Y = (-0.1625, -0.1600, -0.1535, -0.1545)
_PLANE_CURVE_PER_M = 22.0
_NOSE_Z = (0.845, 0.862, 0.880, 0.900)
_NOSE_HALF_WIDTH_M = (0.027, 0.027, 0.016, 0.011)
_NOSTRIL = (0.0098, -0.1610, 0.8522)
_NOSTRIL_DEPTH_M = 0.009
_NOSTRIL_AXIS = (0.0, 0.35, 0.94)
_RINGS = (1.0, 1.0, 0.80, 0.35)
"""Share of the depth by steps along edges from the bottom of the dimple; its rim stays."""
_SKULL_BASE_Z = (0.885, 0.945)
"""The skull changes from the height of the eyes upwards, and fully above the brows."""
_SKULL_BACK_Y = (-0.09, 0.0)
_SKULL_BROADER, _SKULL_LOWER, _SKULL_SHORTER = 0.10, 0.20, 0.12
_LID_TURN_DEG = 9.0
_LID_REACH_DEG = (30.0, 52.0)
"""Angles from the line of sight within which lids turn fully, and beyond which nothing does."""


def sculpted_shapes(
    canonical_base: np.ndarray,  # [N, 3] float64, metres
    body: np.ndarray,  # [Q, 4] quads of the skin, in base numbering
    eyes: tuple[np.ndarray, np.ndarray],  # vertices of the (left, right) eyeball
) -> dict[str, np.ndarray]:
    """Displacement [N, 3] in metres of every vertex at control 1, by label of `SCULPTED`."""
    shapes = {
        NOSE_PROJECTION: _project_nose(canonical_base),
        NOSTRIL_DEPTH: _deepen_nostrils(canonical_base, body),
        SKULL_BREADTH: _broaden_skull(canonical_base),
    }
    for label, eye in zip(LIDS, eyes):
        shapes[label] = _turn_lids(canonical_base, eye)
    return shapes


def _project_nose(points: np.ndarray) -> np.ndarray:
    """The nose grows away from the face in proportion to how far it stands out already."""
    x, y, z = points.T
    plane = np.interp(z, _PLANE_Z, _PLANE_Y) + _PLANE_CURVE_PER_M * x**2
    half_width = np.interp(z, _NOSE_Z, _NOSE_HALF_WIDTH_M)
    inside = smoothstep(1.0, 0.75, np.abs(x) / half_width)
    inside = inside * smoothstep(0.838, 0.846, z) * smoothstep(0.905, 0.896, z)
    displacement = np.zeros_like(points)
    displacement[:, 1] = -np.maximum(plane - y, 0) * inside
    return displacement


def _deepen_nostrils(points: np.ndarray, quads: np.ndarray) -> np.ndarray:
    axis = np.array(_NOSTRIL_AXIS) / np.linalg.norm(_NOSTRIL_AXIS)
    displacement = np.zeros_like(points)
    for side in (1.0, -1.0):
        bottom = np.array(_NOSTRIL) * [side, 1, 1]
        skin = np.unique(quads)
        ring = skin[[np.argmin(np.linalg.norm(points[skin] - bottom, axis=1))]]
        seen = ring
        for share in _RINGS:
            displacement[ring] = share * _NOSTRIL_DEPTH_M * axis
            neighbours = np.unique(quads[np.isin(quads, ring).any(axis=1)])
            ring = np.setdiff1d(neighbours, seen)
            seen = np.union1d(seen, ring)
    return displacement


def _broaden_skull(points: np.ndarray) -> np.ndarray:
    """The vault grows broader, lower and shorter; the face in front of it stays."""
    x, y, z = points.T
    vault = smoothstep(*_SKULL_BASE_Z, z)
    back = smoothstep(*_SKULL_BACK_Y, y) * smoothstep(0.80, 0.87, z)
    behind = np.maximum(y - _SKULL_BACK_Y[0], 0)
    above = np.maximum(z - _SKULL_BASE_Z[1], 0)
    return np.stack(
        [_SKULL_BROADER * x * vault, -_SKULL_SHORTER * behind * back, -_SKULL_LOWER * above],
        axis=1,
    )


def _turn_lids(points: np.ndarray, eye: np.ndarray) -> np.ndarray:
    """Both lids slide up on the eyeball, turned about its horizontal axis; the eyeball stays."""
    centre = points[eye].mean(axis=0)
    local = points - centre
    forward = -local[:, 1] / np.maximum(np.linalg.norm(local, axis=1), 1e-9)
    angle = np.degrees(np.arccos(np.clip(forward, -1, 1)))
    weight = smoothstep(*_LID_REACH_DEG[::-1], angle)
    weight = weight * smoothstep(0.040, 0.032, np.linalg.norm(local, axis=1))
    weight[eye] = 0
    turned = np.radians(_LID_TURN_DEG) * np.stack(
        [np.zeros(len(points)), local[:, 2], -local[:, 1]], axis=1
    )
    return turned * weight[:, None]
