"""What is sewn onto a garment: button bands, buttons, pockets, drawstrings."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from synth.blender_scenes.clothes_drape import Collider
from synth.blender_scenes.clothes_sheet import Part, join, lie_on, thicken, unit

_STRIP_ROWS, _STRIP_COLUMNS = 60, 7
_FRONT_HALF_WIDTH_M = 0.14
_BUTTON_SIDES = 20
_BUTTON_PROFILE = np.array(
    [[1.0, 0.0], [1.0, 0.55], [0.93, 0.9], [0.80, 1.0], [0.70, 0.90], [0.62, 0.62], [0.0, 0.58]]
)
"""(radius, height) of half a button, in its radius and thickness."""
_CORD_SIDES = 8


class Front:
    """The front of a garment as a height over (x, z): where trim is laid out.

    Args:
        vertices: [N, 3] of the garment, metres.
        surface: the same with normals, to lie on.
    """

    def __init__(self, vertices: np.ndarray, surface: Collider):
        near = (np.abs(vertices[:, 0]) < _FRONT_HALF_WIDTH_M) & (vertices[:, 2] > 0.2)
        near &= vertices[:, 1] < -0.02
        self._plan = cKDTree(vertices[near][:, [0, 2]])
        self._depth = vertices[near, 1]
        self._surface = surface

    def points(self, x: np.ndarray, z: np.ndarray, lift_m: float) -> np.ndarray:
        """[..., 3] points at height `lift_m` over the cloth, by broadcast positions."""
        x, z = np.broadcast_arrays(x, z)
        distance, nearest = self._plan.query(np.stack([x, z], axis=-1), k=4)
        weight = 1.0 / (distance + 1e-4)
        y = (self._depth[nearest] * weight).sum(axis=-1) / weight.sum(axis=-1)
        flat = np.stack([x, y, z], axis=-1)
        return lie_on(flat, self._surface, lift_m, lift_m)

    def normals(self, points: np.ndarray) -> np.ndarray:
        """[N, 3] outward normals at points [N, 3]."""
        return self._surface.planes(points, 8)[1]


def strip(
    name: str, front: Front, x: float, top_z: float, bottom_z: float, width_m: float, lift_m: float,
    role: str,
) -> Part:  # fmt: skip
    """A vertical band on the front of a garment, with a stitched line along both edges."""
    z = np.linspace(bottom_z, top_z, _STRIP_ROWS)
    share = np.linspace(-1, 1, _STRIP_COLUMNS)
    sheet = front.points(x + share[None] * width_m / 2, z[:, None], lift_m)
    # its edges go down into the cloth
    sheet[:, [0, -1]] -= front.normals(sheet[:, [0, -1]].reshape(-1, 3)).reshape(-1, 2, 3) * lift_m
    seam = np.broadcast_to((1 - np.abs(share)) * width_m / 2, sheet.shape[:2])
    # across from the subject's left, so that the outside is in front
    part = thicken(name, sheet[:, ::-1], 0.0012, role, closed=False, seam_m=seam)
    return part


def pocket(
    name: str, front: Front, x: float, top_z: float, width_m: float, height_m: float
) -> Part:
    """A patch pocket on the chest, with a point at its lower edge."""
    across = np.linspace(-1, 1, 13)
    down = np.linspace(0, 1, 12)
    bottom = height_m * (1 - 0.16 * np.abs(across))
    z = top_z - down[:, None] * bottom[None]
    sheet = front.points(x + across[None] * width_m / 2, z, 0.0022)
    sheet = sheet[::-1, ::-1]
    from_side = (1 - np.abs(across[::-1])) * width_m / 2
    from_bottom = (1 - down[::-1, None]) * height_m
    seam = np.minimum(from_side[None], np.minimum(from_bottom, down[::-1, None] * height_m + 0.012))
    return thicken(name, sheet, 0.0014, "cloth", closed=False, seam_m=seam)


def buttons(positions: np.ndarray, normals: np.ndarray, radius_m: float) -> Part:
    """Round buttons with a rim.

    Args:
        positions: [B, 3] where they are sewn on, metres.
        normals: [B, 3] unit.
        radius_m: their radius.
    """
    turn = np.linspace(0, 2 * np.pi, _BUTTON_SIDES, endpoint=False)
    ring = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    thickness = 0.38 * radius_m
    parts = []
    for position, normal in zip(positions, normals):
        first = unit(np.cross(normal, [0.0, 0.3, 1.0]))
        second = np.cross(normal, first)
        plane = ring[:, :1] * first + ring[:, 1:] * second
        vertices = position + (
            plane[None] * (_BUTTON_PROFILE[:, :1] * radius_m)[..., None]
            + normal * (_BUTTON_PROFILE[:, 1:] * thickness)[..., None]
        )
        faces = _tube_faces(len(_BUTTON_PROFILE), _BUTTON_SIDES)
        flat = np.zeros((len(faces), 4, 2))
        parts.append(Part("buttons", vertices.reshape(-1, 3), faces, flat, "button"))
    return join("buttons", parts)


def cord(path: np.ndarray, radius_m: float) -> Part:
    """A string along a path [n, 3] metres, with a knot at its last point."""
    tangent = unit(np.gradient(path, axis=0))
    side = unit(np.cross(tangent, [0.0, 1.0, 0.1]))
    other = np.cross(side, tangent)
    turn = np.linspace(0, 2 * np.pi, _CORD_SIDES, endpoint=False)
    radius = np.full(len(path), radius_m)
    radius[-6:] = radius_m * np.array([1.0, 1.9, 2.1, 1.7, 1.3, 0.4])  # the knot and its end
    ring = (
        np.cos(turn)[None, :, None] * side[:, None] + np.sin(turn)[None, :, None] * other[:, None]
    )
    vertices = path[:, None] + ring * radius[:, None, None]
    faces = _tube_faces(len(path), _CORD_SIDES)
    around = np.tile(np.arange(_CORD_SIDES) / _CORD_SIDES * 2 * np.pi * radius_m, len(path))
    along = np.repeat(np.linspace(0, len(path) * 0.004, len(path)), _CORD_SIDES)
    flat = np.stack([around, along], axis=1)
    return Part("cord", vertices.reshape(-1, 3), faces, flat[faces], "cord")


def hanging_path(
    start: np.ndarray, length_m: float, drift: float, front: Front, radius_m: float
) -> np.ndarray:
    """[n, 3] a string that hangs from `start` [3] over the chest; `drift` is metres sideways."""
    t = np.linspace(0, 1, 26)
    x = start[0] + drift * t**1.5
    path = front.points(x, start[2] - length_m * t, radius_m + 0.001)
    path[0] = start
    path[1] = (start + path[2]) / 2
    return path


def _tube_faces(rings: int, sides: int) -> np.ndarray:
    i = np.arange(rings - 1)[:, None] * sides
    j = np.arange(sides)[None]
    following = (j + 1) % sides
    return np.stack([i + j, i + following, i + sides + following, i + sides + j], axis=-1).reshape(
        -1, 4
    )
