"""The picture of an eyeball: iris with fibres, sclera with veins, baked in numpy.

The picture is an azimuthal equidistant map about the pupil, of the left eye: its right edge points
to the temple, its upper edge up. The right eye shows it mirrored. True albedo, no light in it.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.ndimage import gaussian_filter

from synth.headmodel_masks import smoothstep
from synth.rng import stream
from synth.spec import Eyes

SIZE = 384
MAP_ANGLE = math.radians(80.0)
"""Polar angle at the edge of the picture; what lies behind is never seen."""

_SCLERA = np.array([0.48, 0.445, 0.41])
_SCLERA_SHADE = np.array([0.40, 0.355, 0.32])
_AGED = np.array([0.96, 0.90, 0.74])
_CORNER = np.array([0.56, 0.34, 0.30])
_VEIN = np.array([0.48, 0.13, 0.10])
_PLICA = np.array([0.50, 0.24, 0.21])
"""The fold of skin beside the caruncle."""
_ARCUS = np.array([0.34, 0.35, 0.36])
_PUPIL = np.array([0.0015, 0.0015, 0.0015])
_VEINS, _VEIN_STEPS = 34, 70


def map_coordinates_of(directions: np.ndarray) -> np.ndarray:
    """Texture coordinates [N, 2] in [0, 1] of unit vectors [N, 3] (x left, y up, z forward)."""
    polar = np.arccos(np.clip(directions[:, 2], -1, 1))
    across = np.maximum(np.linalg.norm(directions[:, :2], axis=1), 1e-9)
    radius = np.minimum(polar / MAP_ANGLE, 1.0)
    return 0.5 + 0.5 * directions[:, :2] * (radius / across)[:, None]


def bake_eye(eyes: Eyes) -> np.ndarray:
    """Linear albedo [SIZE, SIZE, 3] float32 of an eyeball, row 0 is the bottom."""
    axis = (np.arange(SIZE) + 0.5) / SIZE * 2 - 1
    x, y = np.meshgrid(axis, axis)
    polar = np.hypot(x, y) * MAP_ANGLE
    angle = np.arctan2(y, x)
    radius = np.sin(np.minimum(polar, math.pi / 2)) / eyes.iris_radius  # 1 at the iris' edge
    colour = _sclera(eyes, x, y, polar)
    inside = np.flatnonzero(radius.ravel() < 1.25)
    iris = _iris(eyes, radius.ravel()[inside], angle.ravel()[inside])
    cover = smoothstep(1.06, 0.93, radius.ravel()[inside])[:, None]
    flat = colour.reshape(-1, 3)
    flat[inside] = flat[inside] * (1 - cover) + iris * cover
    return np.clip(colour, 0.0, 1.0).astype(np.float32)


def _mix(colour: np.ndarray, other: np.ndarray, amount: np.ndarray) -> np.ndarray:
    return colour + (other - colour) * np.clip(amount, 0, 1)[..., None]


class _Around:
    """Periodic noise over the angle, about zero mean and unit deviation."""

    def __init__(self, seed: int, name: str):
        self._rng = stream(seed, 0, f"eye.{name}")

    def __call__(self, angle: np.ndarray, cells: int) -> np.ndarray:
        table = self._rng.normal(size=cells)
        position = (angle / (2 * np.pi) % 1.0) * cells
        low = position.astype(int) % cells
        share = position - np.floor(position)
        share = share * share * (3 - 2 * share)
        return table[low] * (1 - share) + table[(low + 1) % cells] * share


def _iris(eyes: Eyes, radius: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Colour [N, 3]: radial fibres, a wavy collarette, crypts, a dark limbal ring, the pupil."""
    around = _Around(eyes.pattern_seed, "iris")
    dark, light, inner = (np.array(c) for c in (eyes.iris_dark, eyes.iris_light, eyes.iris_inner))
    bend = 0.05 * around(angle, 9) * radius
    fibres = (
        0.55 * around(angle + bend, 46)
        + 0.45 * around(angle + 0.6 * bend + 0.05 * radius, 97)
        + 0.30 * around(angle - bend, 171)
    )
    collarette = 0.5 + 0.25 * eyes.pupil + 0.035 * around(angle, 17)
    ring = np.exp(-(((radius - collarette) / 0.06) ** 2))
    share = 0.42 + 0.30 * fibres + 0.35 * ring - 0.25 * smoothstep(0.7, 1.0, radius)
    colour = dark + (light - dark) * np.clip(share, 0, 1.15)[:, None]
    near = smoothstep(collarette + 0.16, collarette - 0.10, radius)
    colour = _mix(colour, inner * (1 + 0.25 * fibres[:, None]), 0.75 * near)
    crypts = smoothstep(1.0, 1.9, around(angle, 29) + 0.5 * around(angle + 2 * radius, 13))
    colour = _mix(colour, dark * 0.55, 0.6 * crypts * smoothstep(0.45, 0.6, radius))
    limbus = smoothstep(0.74, 0.99, radius) * eyes.limbal_ring
    colour = _mix(colour, dark * 0.25 + np.array([0.004, 0.005, 0.007]), limbus)
    arcus = np.exp(-(((radius - 0.92) / 0.065) ** 2)) * eyes.arcus
    colour = _mix(colour, _ARCUS, arcus * 0.75)
    edge = eyes.pupil * (1 + 0.03 * around(angle, 11))
    return _mix(colour, _PUPIL, smoothstep(edge + 0.035, edge - 0.02, radius))


def _sclera(eyes: Eyes, x: np.ndarray, y: np.ndarray, polar: np.ndarray) -> np.ndarray:
    """A dull white, yellower with age, with veins that thicken and redden towards the corners."""
    rng = stream(eyes.pattern_seed, 0, "eye.sclera")
    clouds = gaussian_filter(rng.normal(size=x.shape).astype(np.float32), 14, mode="wrap") * 45
    colour = _mix(np.broadcast_to(_SCLERA, (*x.shape, 3)), _SCLERA_SHADE, 0.35 + 0.3 * clouds)
    # fat under the conjunctiva is yellow, most of all beside the iris where sun reaches it
    sunned = 0.6 + 0.4 * np.exp(-((y / 0.22) ** 2))
    colour = colour * (1 - (0.22 + 0.9 * eyes.yellowing) * sunned[..., None] * (1 - _AGED))
    corner = smoothstep(0.42, 0.80, np.abs(x)) + 0.5 * smoothstep(0.45, 0.8, np.abs(y))
    colour = _mix(colour, _CORNER, corner * (0.30 + 0.45 * eyes.veins))
    colour = _mix(colour, _VEIN, _veins(rng) * (0.25 + 0.9 * eyes.veins))
    plica = smoothstep(-0.50, -0.62, x + 0.05 * y) * smoothstep(0.32, 0.2, np.abs(y))
    colour = _mix(colour, _PLICA, 0.75 * plica)
    # the sclera darkens to blue-grey where it goes over into the cornea
    limbus = np.exp(-(((np.sin(polar) / eyes.iris_radius - 1.0) / 0.13) ** 2))
    return colour * (1 - 0.30 * limbus[..., None] * np.array([1.0, 0.93, 0.85]))


def _veins(rng: np.random.Generator) -> np.ndarray:
    """Coverage [SIZE, SIZE] of winding vessels that run from the corners towards the iris."""
    side = rng.choice((0.0, np.pi), _VEINS)
    start = side + rng.normal(0, 0.5, _VEINS)
    position = (
        np.stack([np.cos(start), np.sin(start)], axis=1) * rng.uniform(0.75, 0.98, _VEINS)[:, None]
    )
    heading = start + np.pi + rng.normal(0, 0.35, _VEINS)
    end = rng.uniform(0.34, 0.62, _VEINS)  # some nearly reach the iris
    width = rng.uniform(0.25, 1.0, _VEINS)
    picture = np.zeros((SIZE, SIZE), np.float32)
    for _ in range(_VEIN_STEPS):
        heading = heading + rng.normal(0, 0.28, _VEINS)
        inward = np.arctan2(-position[:, 1], -position[:, 0])
        heading += 0.22 * np.sin(inward - heading)
        position = position + 0.009 * np.stack([np.cos(heading), np.sin(heading)], axis=1)
        distance = np.linalg.norm(position, axis=1)
        alive = (distance > end) & (np.abs(position) < 0.995).all(axis=1)
        column, row = ((position[alive] * 0.5 + 0.5) * SIZE).astype(int).T
        taper = smoothstep(0.0, 0.25, distance[alive] - end[alive])
        np.maximum.at(picture, (row, column), width[alive] * (0.3 + 0.7 * taper))
    return np.clip(1.6 * gaussian_filter(picture, 0.7), 0, 1)
