"""What strands know about the head: distance to its surface, canonical coordinates, smooth noise.

Pure numpy and scipy. All positions are model space metres (z up, face towards -y, +x is the
subject's left) unless a name says canonical.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.ndimage import map_coordinates, zoom
from scipy.spatial import cKDTree

from synth.errors import SpecError
from synth.headmodel import HeadModel, HeadShape

Obstacle = tuple[np.ndarray, np.ndarray]
"""Vertices and outward normals of something hair lies on, each [n, 3] in model space metres."""

_FIT_SCALP_SD_M = -0.06
_COLLIDER_MIN_CANONICAL_Z_M = 0.45
_COVER_MAX_CANONICAL_Z_M = 0.80
_COVER_DEPTH_M = 0.05
_COVER_ASIDE_M, _COVER_ASIDE_SLOPE = 0.008, 0.5
"""How far beside the cloth skin may lie to be under it: at its surface, and per metre of depth."""
_TORSO_Z_M, _TORSO_HALF_HEIGHT_M, _TORSO_HALF_WIDTH_M = 0.66, 0.06, 0.15
_COARSEST = 8
"""Cells of the first grid in cells of the last; at 16 one head's field was wrong by 5 cm."""
_EVEN_M = 0.005
"""Cells of the surface that count once each, however many vertices they hold."""
_PATCH_M, _PATCHES_ASKED = 0.02, 8
"""Wider than an ear or a crease of cloth is thick; a cube of them surrounds a point."""
_BOX_M = ((-0.20, 0.20), (-0.24, 0.20), (0.52, 1.12))
"""Where hair may be, canonical x, y and z."""


def smoothstep(low: float, high: float, x: np.ndarray) -> np.ndarray:
    """Hermite step from 0 at `low` to 1 at `high` (`low` may be the larger one)."""
    t = np.clip((np.asarray(x) - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def normalize(vectors: np.ndarray) -> np.ndarray:
    """Unit vectors along the last axis; zero stays zero."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def smooth_noise(
    points: np.ndarray, frequency_per_m: float, rng: np.random.Generator, waves: int = 24
) -> np.ndarray:
    """Band-limited noise of zero mean and unit variance at points [n, 3], as a sum of cosines."""
    directions = normalize(rng.normal(size=(waves, 3)))
    wave_vectors = directions * (2 * np.pi * frequency_per_m * rng.uniform(0.6, 1.4, (waves, 1)))
    phases = rng.uniform(0, 2 * np.pi, waves)
    return np.sqrt(2.0 / waves) * np.cos(points @ wave_vectors.T + phases).sum(-1)


@dataclass(frozen=True)
class CanonicalMap:
    """Affine map between a head and the canonical head, fitted to the hairy part.

    Styles are written in canonical coordinates, so a parting or a cut height follows every head.

    Attributes:
        linear: [3, 3], offset: [3]; canonical = model @ linear + offset.
    """

    linear: np.ndarray
    offset: np.ndarray

    @classmethod
    def fit(cls, model: np.ndarray, canonical: np.ndarray) -> CanonicalMap:
        """Least squares over corresponding points [n, 3]."""
        homogeneous = np.concatenate([model, np.ones((len(model), 1))], axis=1)
        solution = np.linalg.lstsq(homogeneous, canonical, rcond=None)[0]
        return cls(solution[:3], solution[3])

    def to_canonical(self, points: np.ndarray) -> np.ndarray:
        """Model space [..., 3] to canonical space."""
        return points @ self.linear + self.offset

    def to_model(self, points: np.ndarray) -> np.ndarray:
        """Canonical space [..., 3] to model space."""
        return (np.asarray(points) - self.offset) @ np.linalg.inv(self.linear)

    def direction_to_model(self, directions: np.ndarray) -> np.ndarray:
        """Canonical directions [..., 3] as unit vectors of model space (the head may be turned)."""
        return normalize(directions @ np.linalg.inv(self.linear))

    def canonical_z(self, points: np.ndarray) -> np.ndarray:
        """Only the canonical height of points [..., 3]."""
        return points @ self.linear[:, 2] + self.offset[2]


@dataclass(frozen=True, eq=False)
class _Patches:
    """The same surface in pieces of two centimetres, whose normals together no crease turns over.

    Attributes:
        tree: of the patches' centres; normals: [p, 3] sum over the small cells of each of their
            mean normals, short where they disagree, as on both sides of an ear.
    """

    tree: cKDTree
    normals: np.ndarray

    @classmethod
    def create(cls, vertices: np.ndarray, normals: np.ndarray) -> _Patches:
        """Collect vertices [n, 3] by the cells of a regular grid.

        First by small cells, each of which counts once: the mesh is dense where it is detailed.
        """
        even, normals, _ = _pooled(vertices, normals, _EVEN_M)
        centres, normals, counts = _pooled(even, normals, _PATCH_M)
        return cls(cKDTree(centres), normals * counts)

    def side(self, points: np.ndarray) -> np.ndarray:
        """+1 outside and -1 inside for points [n, 3] well away from the surface.

        The sign of the nearest terms of the winding number of oriented points (Barill et al., Fast
        Winding Numbers for Soups and Clouds, 2018); all of its terms would need a closed surface,
        and this one ends below the shoulders.
        """
        distance, nearest = self.tree.query(points, k=min(_PATCHES_ASKED, self.tree.n))
        offset = points[:, None] - self.tree.data[nearest]
        solid_angle = (offset * self.normals[nearest]).sum(-1) / distance**3
        return np.where(solid_angle.sum(-1) < 0, -1.0, 1.0)


def _pooled(
    vertices: np.ndarray, normals: np.ndarray, cell_m: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means of points and normals [n, 3] in each occupied cell [c, 3], and how many, [c, 1]."""
    cells = np.floor((vertices - vertices.min(0)) / cell_m).astype(int)
    flat = np.ravel_multi_index(tuple(cells.T), cells.max(0) + 1)
    _, group, counts = np.unique(flat, return_inverse=True, return_counts=True)
    columns = np.concatenate([vertices, normals], axis=1).T
    sums = np.stack([np.bincount(group, weights=column) for column in columns], -1)
    means = sums / counts[:, None]
    return means[:, :3], means[:, 3:], counts[:, None]


@dataclass(frozen=True)
class DistanceField:
    """Signed distance to head and clothes on a regular grid, positive outside.

    A grid makes a collision test a table look-up: a million strand points cost some ten
    milliseconds, where nearest-neighbour queries cost seconds.

    Attributes:
        values: [X, Y, Z] float32 metres; gradients: three arrays of the same shape.
        origin: [3] position of the first cell; cell_m: edge of a cell.
    """

    values: np.ndarray
    gradients: tuple[np.ndarray, np.ndarray, np.ndarray]
    origin: np.ndarray
    cell_m: float

    @classmethod
    def build(
        cls,
        vertices: np.ndarray,
        normals: np.ndarray,
        low: np.ndarray,
        high: np.ndarray,
        cell_m: float = 0.005,
    ) -> DistanceField:
        """Sample the distance to an oriented point cloud.

        Cells of eight times the size are measured first; each finer grid is interpolated from the
        coarser one and measured anew only near the surface, where it matters.

        Args:
            vertices, normals: [n, 3] surface points and outward unit normals.
            low, high: [3] corners of the box to cover.
        """
        tree = cKDTree(vertices)
        side = _Patches.create(vertices, normals).side

        def measure(points: np.ndarray) -> np.ndarray:
            distance, nearest = tree.query(points)
            # Close to the surface the tangent plane is smoother than the point distance. Farther
            # away one vertex in a crease of cloth would turn centimetres of air inside out.
            values = ((points - vertices[nearest]) * normals[nearest]).sum(-1)
            far = distance > 3 * cell_m
            values[far] = side(points[far]) * distance[far]
            return values

        step = _COARSEST * cell_m
        counts = np.ceil((high - low) / step).astype(int) + 1
        cells = np.stack(np.meshgrid(*(np.arange(n) for n in counts), indexing="ij"), -1)
        values = measure(low + cells.reshape(-1, 3) * step).reshape(counts).astype(np.float32)
        while step > 1.5 * cell_m:
            band_m, step = 1.2 * step, step / 2
            finer = 2 * np.array(values.shape) - 1
            values = zoom(values, finer / values.shape, order=1)
            band = np.argwhere(np.abs(values) < band_m)
            values[tuple(band.T)] = measure(low + band * step)
        gx, gy, gz = np.gradient(values, cell_m)
        return cls(values, (gx, gy, gz), np.asarray(low, float), cell_m)

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Signed distance [...] in metres at points [..., 3]; the border value outside the box."""
        return self._look_up(self.values, self._grid_coordinates(points), points.shape[:-1])

    def distance_and_normal(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Signed distance [...] and unit direction away from the surface [..., 3]."""
        grid, shape = self._grid_coordinates(points), points.shape[:-1]
        normal = np.stack([self._look_up(g, grid, shape) for g in self.gradients], -1)
        return self._look_up(self.values, grid, shape), normalize(normal)

    def push_out(self, points: np.ndarray, clearance: np.ndarray | float) -> np.ndarray:
        """Move points [..., 3] that are closer than `clearance` (broadcast to [...]) outside."""
        lack = np.clip(clearance - self.distance(points), 0.0, None)
        inside = lack > 0
        if not inside.any():
            return points
        moved = points.copy()
        _, normal = self.distance_and_normal(points[inside])
        moved[inside] += (normal * lack[inside][:, None]).astype(points.dtype)
        return moved

    def _grid_coordinates(self, points: np.ndarray) -> np.ndarray:
        return ((points.reshape(-1, 3) - self.origin) / self.cell_m).T

    @staticmethod
    def _look_up(grid: np.ndarray, coordinates: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        return map_coordinates(grid, coordinates, order=1, mode="nearest").reshape(shape)


@dataclass(frozen=True)
class HeadSurface:
    """The head as hair sees it.

    Attributes:
        canonical, vertices, normals: [V, 3]; faces: [F, 4] quads.
        scalp_sd, beard_sd: [V] signed distance to the region's edge in metres, inside +.
        field: distance to head and obstacles.
        canonical_map: affine map of the head to canonical coordinates.
        torso_map: the same of neck and shoulders, which do not turn with the head.
    """

    canonical: np.ndarray
    vertices: np.ndarray
    normals: np.ndarray
    faces: np.ndarray
    scalp_sd: np.ndarray
    beard_sd: np.ndarray
    field: DistanceField
    canonical_map: CanonicalMap
    torso_map: CanonicalMap

    @classmethod
    def create(
        cls, model: HeadModel, shape: HeadShape, obstacles: Sequence[Obstacle] = ()
    ) -> HeadSurface:
        """The head as hair sees it, with its distance field (about 0.4 s).

        Raises:
            SpecError: the model lacks a mask.
        """
        canonical, masks = model.canonical, model.masks
        vertices, normals = shape.vertices, shape.normals
        missing = {"scalp_sd", "beard_sd", "mouth"} - set(masks)
        if missing:
            raise SpecError(
                f"head model has no mask {', '.join(sorted(missing))}; has {', '.join(masks)}; "
                "delete the cached head model so that it is built again"
            )
        near_scalp = masks["scalp_sd"] > _FIT_SCALP_SD_M
        canonical_map = CanonicalMap.fit(vertices[near_scalp], canonical[near_scalp])
        torso = np.abs(canonical[:, 2] - _TORSO_Z_M) < _TORSO_HALF_HEIGHT_M
        torso &= np.abs(canonical[:, 0]) < _TORSO_HALF_WIDTH_M
        solid = (canonical[:, 2] > _COLLIDER_MIN_CANONICAL_Z_M) & (masks["mouth"] < 0.5)
        for obstacle in obstacles:
            solid &= ~_covered(vertices, canonical, *obstacle)
        points = [vertices[solid], *(np.asarray(v) for v, _ in obstacles)]
        directions = [normals[solid], *(np.asarray(n) for _, n in obstacles)]
        corners = canonical_map.to_model(np.array(list(product(*_BOX_M))))
        field = DistanceField.build(
            np.concatenate(points), np.concatenate(directions), corners.min(0), corners.max(0)
        )
        return cls(
            canonical=canonical,
            vertices=vertices,
            normals=normals,
            faces=model.faces,
            scalp_sd=masks["scalp_sd"],
            beard_sd=masks["beard_sd"],
            field=field,
            canonical_map=canonical_map,
            torso_map=CanonicalMap.fit(vertices[torso], canonical[torso]),
        )


def _covered(
    vertices: np.ndarray, canonical: np.ndarray, cover: np.ndarray, cover_normals: np.ndarray
) -> np.ndarray:
    """Which vertices [V] lie under an obstacle.

    They must not count as surface: between skin and cloth, "outside the skin" is inside. Skin that
    lies beyond the obstacle's edge, as the nape above a neckline, stays: it is off to the side.
    """
    covered = np.zeros(len(vertices), bool)
    low = np.flatnonzero(canonical[:, 2] < _COVER_MAX_CANONICAL_Z_M)
    distance, nearest = cKDTree(cover).query(vertices[low], distance_upper_bound=_COVER_DEPTH_M)
    found = np.isfinite(distance)
    offset = vertices[low[found]] - cover[nearest[found]]
    depth = -(offset * cover_normals[nearest[found]]).sum(-1)
    aside = np.sqrt(np.clip(distance[found] ** 2 - depth**2, 0.0, None))
    covered[low[found]] = (depth > 0) & (aside < _COVER_ASIDE_M + _COVER_ASIDE_SLOPE * depth)
    return covered
