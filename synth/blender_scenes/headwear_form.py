"""The form of a hat on a head: a dome over scalp and hair, and rings of cloth on it; numpy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synth.blender_scenes.accessory_mesh import MeshPart, grid_faces, unit
from synth.blender_scenes.hair_field import smoothstep
from synth.blender_scenes.headwear_fit import (
    HairCover,
    HatFrame,
    PolarGrid,
    grid_angles,
    hair_thickness,
)

CLOTH_M = 0.0012
AROUND_M = 0.092
"""Metres of cloth per radian around the head, for texture coordinates."""


def taut(radius: np.ndarray, elevation: np.ndarray) -> np.ndarray:
    """A cloth stretched around every row [E, A] of a polar grid: its hull seen from above."""
    angle = np.arange(radius.shape[1]) * (2 * np.pi / radius.shape[1])
    cosine = np.cos(angle[:, None] - angle[None])  # [A, A]
    flat = radius * np.cos(elevation)
    support = (flat[:, :, None] * cosine[None]).max(axis=1)  # [E, A] by direction
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = np.where(cosine[None] > 0.2, support[:, None, :] / cosine[None], np.inf)
    hull = reach.min(axis=2) / np.maximum(np.cos(elevation), 1e-3)
    # Near the pole a row is a point and has no hull.
    share = smoothstep(1.25, 0.9, elevation)
    return radius + share * (np.maximum(hull, radius) - radius)


def superellipsoid(
    rim: np.ndarray, height: float, exponent: float, elevation: np.ndarray
) -> np.ndarray:
    """Radius of a dome: `rim` [A] at its base, `height` at its pole; high exponents are boxy."""
    wide = (np.cos(elevation) / rim) ** exponent
    tall = (np.sin(elevation).clip(0) / height) ** exponent
    return (wide + tall) ** (-1.0 / exponent)


@dataclass(frozen=True, eq=False)
class HatFit:
    """A hat's form on a head.

    Attributes:
        frame: its directions.
        head: radius of the head; lining: of what the cloth lies on, hair included; form: of the
            hat before its folds.
        rim: [A] elevation of the edge by azimuth, radians.
    """

    frame: HatFrame
    head: PolarGrid
    lining: PolarGrid
    form: PolarGrid
    rim: np.ndarray

    @classmethod
    def of(
        cls,
        frame: HatFrame,
        head: PolarGrid,
        hair_style: str,
        *,
        rise_m: float,
        exponent: float,
        tight_below_rad: float = -1.0,
    ) -> HatFit:
        """A dome over head and hair.

        Args:
            rise_m: room above the crown; exponent: of the dome, see `superellipsoid`.
            tight_below_rad: elevation under which the cloth lies on the head all around.
        """
        azimuth, elevation = grid_angles()
        hair = hair_thickness(hair_style, azimuth, elevation)
        lining = taut(head.values + hair, elevation)
        rim_radius = np.array([np.interp(0.12, elevation[:, 0], column) for column in lining.T])
        dome = superellipsoid(rim_radius, lining[-1, 0] + rise_m, exponent, elevation)
        form = np.where(elevation > tight_below_rad, soft_max(lining, dome), lining)
        rim = np.zeros(azimuth.shape[1])
        return cls(frame, head, PolarGrid(lining), PolarGrid(form), rim)

    def over_hair(self, points: np.ndarray) -> np.ndarray:
        """Points [..., 3] of the cloth, moved outwards until head and hair fit under them."""
        azimuth, elevation, radius = self.frame.polar(points)
        lack = (self.lining.at(azimuth, elevation) + 0.5 * CLOTH_M - radius).clip(0)
        return points + (points - self.frame.centre) * (lack / radius)[..., None]

    def cover(self) -> HairCover:
        """How it presses hair."""
        return HairCover(frame=self.frame, head=self.head, inside=self.lining, rim=self.rim)


def soft_max(a: np.ndarray, b: np.ndarray, width_m: float = 0.004) -> np.ndarray:
    """The larger of two lengths, with a rounded transition of `width_m`."""
    difference = a - b
    return 0.5 * (a + b + np.sqrt(difference**2 + width_m**2))


def shell(
    fit: HatFit, rows: int, columns: int, from_rad: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Azimuth, elevation and radius [rows, columns] from above the rim to the pole."""
    azimuth = np.arange(columns) * (2 * np.pi / columns)
    angle = np.arange(len(fit.rim) + 1) * (2 * np.pi / len(fit.rim))
    low = np.interp(azimuth, angle, np.r_[fit.rim, fit.rim[:1]]) + from_rad
    t = np.linspace(0.0, 1.0, rows)[:, None]
    elevation = low + t * (np.pi / 2 - 0.012 - low)
    azimuth = np.broadcast_to(azimuth, elevation.shape)
    return azimuth, elevation, fit.form.at(azimuth, elevation)


def around(
    name: str,
    points: np.ndarray,
    azimuth: np.ndarray,
    material: str,
    around_m: float = AROUND_M,
) -> MeshPart:
    """A part from rings of points [rows, columns, 3].

    Its uv: `around_m` metres per radian of azimuth, and upwards by arc length.
    """
    points = np.concatenate([points, points[:, :1]], axis=1)
    azimuth = np.concatenate([azimuth, azimuth[:, :1] + 2 * np.pi], axis=1)
    arc = np.linalg.norm(np.diff(points, axis=0), axis=-1).mean(axis=1)
    up = np.broadcast_to(np.r_[0.0, np.cumsum(arc)][:, None], azimuth.shape)
    uv = np.stack([azimuth * around_m, up], axis=-1).reshape(-1, 2)
    return MeshPart(name, points.reshape(-1, 3), grid_faces(*azimuth.shape), material, uv)


def normals(points: np.ndarray) -> np.ndarray:
    """[rows, columns, 3] unit normals of rings of points, away from their middle."""
    down = np.gradient(points, axis=0)
    ahead = np.roll(points, -1, axis=1) - np.roll(points, 1, axis=1)
    normal = unit(np.cross(ahead, down))
    outside = ((points - points.mean(axis=(0, 1))) * normal).sum(axis=-1, keepdims=True)
    return normal * np.where(outside < 0, -1.0, 1.0)


def brim_section(
    steps: int, thick_m: float, *, rounded_from: float
) -> tuple[np.ndarray, np.ndarray]:
    """A stiff sheet cut open: along its upper face to the edge and back along the lower one.

    Args:
        steps: points on each face.
        thick_m: thickness, which closes to nothing at the edge.
        rounded_from: where the edge begins to round, as a part of the way.

    Returns:
        [2 * steps] the parts of the way out, 0 to 1 and back, and [2 * steps] the heights above
        the middle of the sheet in metres.
    """
    out = np.linspace(0, 1, steps)
    rounded = ((out - rounded_from) / (1 - rounded_from)).clip(0, 1)
    half = 0.5 * thick_m * np.sqrt(1 - rounded**2)
    return np.r_[out, out[::-1]], np.r_[half, -half[::-1]]
