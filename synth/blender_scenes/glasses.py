"""The shape of a pair of glasses on a face: rims, bridge and temples as curves; numpy only.

The frame is laid out in front of the eyes in the frame of the unturned head (metres; x to the
subject's left, y backwards, z up) and then turned with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.spatial import cKDTree

from synth.headmodel import HeadModel, HeadShape
from synth.spec import Glasses

_RIM_POINTS = 72
_TUBE_SIDES = 10
_LENS_DISTANCE_M = 0.0035
"""Between the lens and the nearest skin or lash behind it."""
_WRAP_PER_M = 1.6
"""Curvature of the front: metres backwards per square metre from the middle."""


@dataclass(frozen=True)
class _Rim:
    """Half sizes in metres and the roundness of a lens.

    Attributes:
        exponent: of the superellipse; 2 an ellipse, higher is squarer.
        drop_m: how far the middle of the lens lies below the eye.
        upper_radius: factor on the rim's radius along its upper half.
        flat_top: 1 is symmetric; below, the upper half is flatter.
    """

    half_width_m: float
    half_height_m: float
    exponent: float
    drop_m: float = 0.003
    upper_radius: float = 1.0
    flat_top: float = 1.0


_RIMS = {
    "round": _Rim(0.0225, 0.0220, 2.0),
    "oval": _Rim(0.0245, 0.0180, 2.3),
    "rectangle": _Rim(0.0255, 0.0180, 4.2),
    "browline": _Rim(0.0250, 0.0195, 2.9, upper_radius=2.2, flat_top=0.88),
}


@dataclass(frozen=True, eq=False)
class GlassesShape:
    """Centre lines of a pair of glasses in model space, metres.

    Attributes:
        rims: closed curves [n, 3], the subject's left first.
        rim_radii: [n] radius along each rim.
        bridge: [n, 3].
        temples: curves [n, 3] from the hinge to behind the ear, left first.
    """

    rims: tuple[np.ndarray, np.ndarray]
    rim_radii: np.ndarray
    bridge: np.ndarray
    temples: tuple[np.ndarray, np.ndarray]


def fit_glasses(glasses: Glasses, model: HeadModel, shape: HeadShape) -> GlassesShape:
    """Lay the frame out on the face.

    The front stands clear of lids, brows and nose; the temples leave the outer rim and run along
    the skin to the top of the ear, then down behind it.

    Args:
        glasses: shape and thickness.
        model: landmarks.
        shape: the evaluated head.
    """
    rim = _RIMS[glasses.shape]
    # Work in the head's own frame, so that a turned head wears its glasses straight.
    head_from_model = np.linalg.inv(shape.model_from_rest_head)
    skin = _transform(head_from_model, shape.vertices)
    normals = shape.normals @ head_from_model[:3, :3].T
    eyes = np.stack([_transform(head_from_model, eye.center) for eye in shape.eyes])
    middle = eyes.mean(axis=0)
    half_distance = abs(eyes[0, 0] - eyes[1, 0]) / 2
    # Broad faces wear broad glasses: the lenses stay centred on the eyes.
    size = np.clip(half_distance / 0.032, 0.9, 1.12)
    outline = _superellipse(rim) * size
    radii = glasses.rim_radius_m * _upper_weight(outline, rim.upper_radius)
    fronts = []
    for sign in (1.0, -1.0):
        x = middle[0] + sign * (half_distance + outline[:, 0])
        z = middle[2] - rim.drop_m + outline[:, 1]
        fronts.append(np.stack([x, np.zeros_like(x), z], axis=1))
    face = _front_of_face(model, skin)
    front_y = _front_plane(np.concatenate(fronts), face, middle[0]) - _LENS_DISTANCE_M
    for front in fronts:
        front[:, 1] = front_y + _WRAP_PER_M * (front[:, 0] - middle[0]) ** 2
    bridge = _bridge(fronts, middle[0], rim)
    temples = tuple(
        _temple(front, sign, model, skin, normals, glasses.rim_radius_m)
        for front, sign in zip(fronts, (1.0, -1.0))
    )
    back = shape.model_from_rest_head
    return GlassesShape(
        rims=tuple(_transform(back, front) for front in fronts),
        rim_radii=radii,
        bridge=_transform(back, bridge),
        temples=tuple(_transform(back, temple) for temple in temples),
    )


def _superellipse(rim: _Rim) -> np.ndarray:
    """[n, 2] outline around the origin; the x axis is mirrored for the right lens by its sign."""
    angle = np.linspace(0, 2 * np.pi, _RIM_POINTS, endpoint=False)
    power = 2.0 / rim.exponent
    x = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** power * rim.half_width_m
    z = np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** power * rim.half_height_m
    return np.stack([x, np.where(z > 0, z * rim.flat_top, z)], axis=1)


def _upper_weight(outline: np.ndarray, upper: float) -> np.ndarray:
    height = np.clip(outline[:, 1] / outline[:, 1].max(), 0, 1)
    return 1 + (upper - 1) * np.clip(height * 2, 0, 1)


def _front_of_face(model: HeadModel, skin: np.ndarray) -> np.ndarray:
    """Skin between brows and cheeks that the frame must stand clear of, without the nose's tip."""
    x, y, z = model.canonical.T
    region = (np.abs(x) < 0.062) & (y < -0.085) & (z > 0.868) & (z < 0.93)
    return skin[region]


def _front_plane(rims: np.ndarray, face: np.ndarray, middle_x: float) -> float:
    """The y in the middle of the frame at which every rim point stays in front of the skin."""
    _, nearest = cKDTree(face[:, [0, 2]]).query(rims[:, [0, 2]], k=4)
    surface = face[nearest, 1].min(axis=1)
    return float((surface - _WRAP_PER_M * (rims[:, 0] - middle_x) ** 2).min())


def _bridge(fronts: list[np.ndarray], middle_x: float, rim: _Rim) -> np.ndarray:
    """An arch between the inner upper parts of the rims."""
    ends = []
    for front, sign in zip(fronts, (1.0, -1.0)):
        height = front[:, 2] - front[:, 2].mean()
        inner = (front[:, 0] - middle_x) * sign + 0.6 * np.abs(height - 0.25 * rim.half_height_m)
        ends.append(front[np.argmin(inner)])
    t = np.linspace(0, 1, 17)[:, None]
    arch = ends[0] * (1 - t) + ends[1] * t
    arch[:, 2] += 0.0030 * np.sin(np.pi * t[:, 0])
    arch[:, 1] -= 0.0010 * np.sin(np.pi * t[:, 0])
    return arch


def _temple(
    front: np.ndarray,
    sign: float,
    model: HeadModel,
    skin: np.ndarray,
    normals: np.ndarray,
    radius_m: float,
) -> np.ndarray:
    """From the outer rim straight back to the top of the ear, then down behind it."""
    side = "left" if sign > 0 else "right"
    ear = skin[model.landmarks[f"ear_top_{side}"]]
    height = front[:, 2] - front[:, 2].mean()
    outer = front[np.argmax((front[:, 0] * sign) - 0.5 * np.abs(height - 0.4 * height.max()))]
    over_ear = ear + np.array([sign * 0.001, 0.004, 0.0025])
    behind = ear + np.array([-sign * 0.004, 0.020, -0.010])
    hook = ear + np.array([-sign * 0.007, 0.028, -0.030])
    # The hinge turns the frame backwards within a few millimetres of the rim, without a stub.
    hinge = outer + np.array([sign * 0.0018, 0.004, 0.0])
    third = hinge + (over_ear - hinge) * 0.35
    two_thirds = hinge + (over_ear - hinge) * 0.7
    keys = np.stack([outer, hinge, third, two_thirds, over_ear, behind, hook])
    length = np.r_[0.0, np.cumsum(np.linalg.norm(np.diff(keys, axis=0), axis=1))]
    line = CubicSpline(length, keys)(np.linspace(0, length[-1], 48))
    return _outside_of_head(line, skin, normals, model, 1.2 * radius_m + 0.0008)


def _outside_of_head(
    line: np.ndarray, skin: np.ndarray, normals: np.ndarray, model: HeadModel, clearance_m: float
) -> np.ndarray:
    """Push the line sideways out of cheek and temple; the ear itself may cover it."""
    side = np.abs(model.canonical[:, 0])
    head = (model.canonical[:, 2] > 0.84) & (side > 0.03) & (model.masks["ear"] < 0.5)
    points, directions = skin[head], normals[head]
    for _ in range(3):
        _, nearest = cKDTree(points).query(line)
        height = ((line - points[nearest]) * directions[nearest]).sum(axis=1)
        lack = np.clip(clearance_m - height, 0, 0.02)
        lack = np.convolve(np.pad(lack, 3, mode="edge"), np.ones(7) / 7, mode="valid")
        line = line + directions[nearest] * [1.0, 0.0, 0.3] * lack[:, None]
    return line


def tube(points: np.ndarray, radii: np.ndarray, *, closed: bool) -> tuple[np.ndarray, np.ndarray]:
    """A round tube along a curve.

    Args:
        points: [n, 3] centre line.
        radii: [n].
        closed: join the end to the start; an open tube gets closed, slightly rounded ends.

    Returns:
        vertices [N, 3] and quads [F, 4].
    """
    count = len(points)
    tangent = np.gradient(points, axis=0)
    if closed:
        tangent = np.roll(points, -1, axis=0) - np.roll(points, 1, axis=0)
    else:
        ends = points[:1] - tangent[:1] * 0.4, points[-1:] + tangent[-1:] * 0.4
        points = np.concatenate([ends[0], points, ends[1]])
        tangent = np.concatenate([tangent[:1], tangent, tangent[-1:]])
        radii = np.r_[radii[0] * 0.05, radii, radii[-1] * 0.05]
        count += 2
    tangent = tangent / np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-12)
    # One reference direction suffices: no part of a frame runs along this diagonal.
    across = np.cross(tangent, np.array([0.36, 0.48, 0.8]))
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    other = np.cross(tangent, across)
    angle = np.linspace(0, 2 * np.pi, _TUBE_SIDES, endpoint=False)
    ring = across[:, None] * np.cos(angle)[None, :, None]
    ring = ring + other[:, None] * np.sin(angle)[None, :, None]
    vertices = points[:, None] + ring * radii[:, None, None]
    i = np.arange(count if closed else count - 1)[:, None]
    j = np.arange(_TUBE_SIDES)[None]
    i_next, j_next = (i + 1) % count, (j + 1) % _TUBE_SIDES
    n = _TUBE_SIDES
    faces = np.stack([i * n + j, i * n + j_next, i_next * n + j_next, i_next * n + j], axis=-1)
    return vertices.reshape(-1, 3), faces.reshape(-1, 4)


def lens_pane(rim: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A slightly domed pane inside a rim: rings towards its centre, as quads."""
    centre = rim.mean(axis=0)
    forward = np.cross(rim[0] - centre, rim[len(rim) // 4] - centre)
    forward /= np.linalg.norm(forward)
    forward *= -np.sign(forward[1])  # towards the viewer in front, -y
    radius = np.linalg.norm(rim - centre, axis=1).mean()
    rings = [
        centre + (rim - centre) * t + forward * (0.08 * radius * (1 - t * t))
        for t in (1.0, 0.75, 0.5, 0.25, 0.02)
    ]
    count = len(rim)
    j = np.arange(count)
    faces = [
        np.stack([k * count + j, k * count + (j + 1) % count,
                  (k + 1) * count + (j + 1) % count, (k + 1) * count + j], axis=1)
        for k in range(len(rings) - 1)
    ]  # fmt: skip
    return np.concatenate(rings), np.concatenate(faces)


def _transform(target_from_source: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ target_from_source[:3, :3].T + target_from_source[:3, 3]
