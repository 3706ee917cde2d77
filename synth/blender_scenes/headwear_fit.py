"""Where a hat sits: a frame on the head, the skull seen from it, and the hair pressed under it.

A hat is described by directions from a centre inside the head: azimuth from the front towards the
subject's left, elevation above the plane of its rim. The skull's radius in every direction comes
from the head itself, so that a hat fits any head. Numpy only; lengths are model space metres.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates

from synth.blender_scenes.hair_field import HeadSurface, normalize, smoothstep
from synth.blender_scenes.hair_strands import StrandSet

_AZIMUTHS = 120
_LOWEST, _HIGHEST, _STEP = -0.80, np.pi / 2, 0.04
"""Elevations of the skull's grid in radians."""
_CENTRE_Y_M = -0.045
_FAR_M = 0.20
_TRACE_STEPS = 14
_VISIBLE_BELOW_RIM_RAD = 0.03
_RELEASE_M = (0.030, 0.080)
"""Below the rim, hair is pressed up to the first distance and free beyond the second."""
_OPENING_SLOPE = 0.40
"""How fast pressed hair comes away from the head below the rim."""

HAIR_THICKNESS_M = {
    "bald": 0.0, "receding": 0.001, "buzz": 0.0015, "crop": 0.003, "braids": 0.005, "twists": 0.007,
    "afro": 0.011, "curly_short": 0.007, "long_curly": 0.007, "wavy": 0.005, "quiff": 0.005,
}  # fmt: skip
_ORDINARY_HAIR_M = 0.004
"""Thickness of other styles once a hat presses them."""


@dataclass(frozen=True, eq=False)
class HatFrame:
    """Directions of a hat.

    Attributes:
        centre: [3] in the plane of the rim; axes: [3, 3], rows left, front and up, unit vectors.
    """

    centre: np.ndarray
    axes: np.ndarray

    @classmethod
    def create(
        cls,
        surface: HeadSurface,
        front_z_m: float,
        back_z_m: float,
        tilt_deg: float,
        turn_deg: float = 0.0,
    ) -> HatFrame:
        """A frame whose rim plane cuts forehead and nape at two canonical heights.

        Args:
            front_z_m, back_z_m: canonical heights at the forehead and at the back of the head.
            tilt_deg: further backwards; turn_deg: towards the subject's left.
        """
        slope = (front_z_m - back_z_m) / 0.205 + np.tan(np.radians(tilt_deg))
        middle_z = 0.5 * (front_z_m + back_z_m)
        to_model = surface.canonical_map.direction_to_model
        front = to_model(np.array([0.0, -1.0, slope]))
        left = to_model(np.array([1.0, 0.0, 0.0]))
        left = normalize(left - front * (left @ front))
        up = np.cross(front, left)
        turn = np.radians(turn_deg)
        turned = front * np.cos(turn) + left * np.sin(turn)
        centre = surface.canonical_map.to_model(np.array([0.0, _CENTRE_Y_M, middle_z]))
        return cls(centre, np.stack([np.cross(up, turned), turned, up]))

    def directions(self, azimuth: np.ndarray, elevation: np.ndarray) -> np.ndarray:
        """Unit vectors [..., 3] of model space; angles in radians."""
        azimuth, elevation = np.broadcast_arrays(azimuth, elevation)
        local = np.stack(
            [
                np.cos(elevation) * np.sin(azimuth),
                np.cos(elevation) * np.cos(azimuth),
                np.sin(elevation),
            ],
            axis=-1,
        )
        return local @ self.axes

    def points(
        self, azimuth: np.ndarray, elevation: np.ndarray, radius: np.ndarray | float
    ) -> np.ndarray:
        """Points [..., 3] of model space."""
        return self.centre + self.directions(azimuth, elevation) * np.asarray(radius)[..., None]

    def polar(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Azimuth, elevation and radius [...] of points [..., 3]."""
        local = (points - self.centre) @ self.axes.T.astype(points.dtype)
        flat = np.hypot(local[..., 0], local[..., 1])
        return (
            np.arctan2(local[..., 0], local[..., 1]),
            np.arctan2(local[..., 2], flat),
            np.hypot(flat, local[..., 2]),
        )


@dataclass(frozen=True, eq=False)
class PolarGrid:
    """Values over azimuth and elevation.

    Attributes:
        values: [E, A]; elevations rise from `_LOWEST`, azimuths go once around.
    """

    values: np.ndarray

    def at(self, azimuth: np.ndarray, elevation: np.ndarray) -> np.ndarray:
        """Linear interpolation at angles in radians, any shape."""
        azimuth, elevation = np.broadcast_arrays(azimuth, elevation)
        row = (elevation - _LOWEST) / _STEP
        column = np.mod(azimuth, 2 * np.pi) * (_AZIMUTHS / (2 * np.pi))
        padded = np.concatenate([self.values, self.values[:, :1]], axis=1)
        grid = np.stack([row.ravel(), column.ravel()])
        return map_coordinates(padded, grid, order=1, mode="nearest").reshape(row.shape)


def grid_angles() -> tuple[np.ndarray, np.ndarray]:
    """Azimuth [1, A] and elevation [E, 1] of the cells of a `PolarGrid`, radians."""
    rows = round((_HIGHEST - _LOWEST) / _STEP) + 1
    azimuth = np.arange(_AZIMUTHS) * (2 * np.pi / _AZIMUTHS)
    return azimuth[None], (_LOWEST + _STEP * np.arange(rows))[:, None]


def skull(surface: HeadSurface, frame: HatFrame, *, covers_ears_below_m: float = 0.0) -> PolarGrid:
    """Radius of the head in every direction.

    Args:
        covers_ears_below_m: the ears count down to this depth below the rim's plane; further down
            the rays may slip past them.
    """
    azimuth, elevation = grid_angles()
    direction = frame.directions(azimuth, elevation)
    radius = np.full(direction.shape[:2], _FAR_M)
    for step in range(_TRACE_STEPS):
        distance = surface.field.distance(frame.centre + direction * radius[..., None])
        # the distance is a bound only where the grid is fine, so the first steps hold back
        radius -= distance * (0.8 if step < 6 else 1.0)
    radius = np.clip(radius, 0.03, _FAR_M)
    # Thin flaps slip through the grid of distances: every vertex near the hat counts.
    around, above, far = frame.polar(surface.vertices)
    height = far * np.sin(above)
    near = (height > -covers_ears_below_m - 0.004) & (far < _FAR_M)
    near &= surface.canonical[:, 2] > 0.84
    row = np.clip(np.round((above[near] - _LOWEST) / _STEP).astype(int), 0, len(radius) - 1)
    column = np.round(np.mod(around[near], 2 * np.pi) * (_AZIMUTHS / (2 * np.pi))).astype(int)
    np.maximum.at(radius, (row, column % _AZIMUTHS), far[near])
    radius[-1] = radius[-1].mean()  # the pole is one point
    return PolarGrid(radius)


def hair_thickness(style: str, azimuth: np.ndarray, elevation: np.ndarray) -> np.ndarray:
    """Room for hair between scalp and hat; none on the forehead at the rim."""
    thickness = HAIR_THICKNESS_M.get(style, _ORDINARY_HAIR_M)
    forehead = smoothstep(0.9, 0.45, np.abs(np.mod(azimuth + np.pi, 2 * np.pi) - np.pi))
    bare = forehead * smoothstep(0.35, 0.15, elevation)
    return 0.0012 + thickness * (1 - 0.9 * bare) * (0.65 + 0.35 * smoothstep(0.1, 0.7, elevation))


@dataclass(frozen=True, eq=False)
class HairCover:
    """What a piece of headwear does to scalp hair.

    Attributes:
        hides_all: no scalp hair is seen (a headscarf); the rest is then unused.
        frame: of the hat; head: radius of the head; inside: radius of the hat's inner face.
        rim: [A] elevation of the hat's edge by azimuth, radians.
    """

    hides_all: bool = False
    frame: HatFrame | None = None
    head: PolarGrid | None = None
    inside: PolarGrid | None = None
    rim: np.ndarray | None = None

    def press(self, strands: StrandSet) -> StrandSet:
        """Strands with this on: under the hat they lie between scalp and cloth.

        What never comes out below the rim is left out. Below the rim the hair opens out again
        within some centimetres. A point keeps its direction from the centre and moves along it.
        """
        if self.hides_all:
            return strands.take(np.arange(0))
        assert self.frame is not None
        assert self.head is not None
        assert self.inside is not None
        points = strands.points
        azimuth, elevation, radius = self.frame.polar(points)
        rim = self._rim_at(azimuth)
        seen = (elevation < rim + _VISIBLE_BELOW_RIM_RAD).any(axis=1)
        strands = strands.take(np.flatnonzero(seen))
        points = strands.points.copy()
        azimuth, elevation, radius, rim = (v[seen] for v in (azimuth, elevation, radius, rim))
        near = elevation > _LOWEST
        azimuth, elevation, radius, rim = (v[near] for v in (azimuth, elevation, radius, rim))
        head = self.head.at(azimuth, elevation)
        below = (rim - elevation).clip(0) * radius
        gap = self.inside.at(azimuth, np.maximum(elevation, rim)) - self.head.at(
            azimuth, np.maximum(elevation, rim)
        )
        limit = np.maximum(0.85 * gap, 0.0006) + _OPENING_SLOPE * below
        height = radius - head
        pressed = head + limit * np.tanh(height / limit)
        share = smoothstep(_RELEASE_M[1], _RELEASE_M[0], below)
        moved = radius + np.where(height > 0, share, 0.0) * (pressed - radius)
        direction = (points[near] - self.frame.centre) / np.maximum(radius, 1e-6)[:, None]
        points[near] = (self.frame.centre + direction * moved[:, None]).astype(points.dtype)
        return dataclasses.replace(strands, points=points)

    def rim_towards(self, direction: np.ndarray) -> np.ndarray:
        """Model space point [3] of the head at the edge of the hat, seen along `direction` [3]."""
        assert self.frame is not None
        assert self.head is not None
        azimuth, _, _ = self.frame.polar(self.frame.centre + direction)
        elevation = self._rim_at(azimuth)
        return self.frame.points(azimuth, elevation, self.head.at(azimuth, elevation))

    def _rim_at(self, azimuth: np.ndarray) -> np.ndarray:
        assert self.rim is not None
        angle = np.arange(len(self.rim) + 1) * (2 * np.pi / len(self.rim))
        return np.interp(np.mod(azimuth, 2 * np.pi), angle, np.r_[self.rim, self.rim[:1]])
