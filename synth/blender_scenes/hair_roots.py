"""Where hair grows: roots sampled on the head by density, with a natural hairline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from synth.blender_scenes.hair_field import HeadSurface, normalize, smooth_noise, smoothstep
from synth.errors import SpecError
from synth.hairline import hairline_m
from synth.spec import Hair


@dataclass(frozen=True)
class Roots:
    """Sampled points of the skin.

    Attributes:
        positions, normals: [n, 3] model space; canonical: [n, 3].
        edge_m: [n] distance inside the edge of the hairy region, metres.
    """

    positions: np.ndarray
    normals: np.ndarray
    canonical: np.ndarray
    edge_m: np.ndarray

    def __len__(self) -> int:
        return len(self.positions)

    def take(self, index: np.ndarray) -> Roots:
        """The roots at `index`."""
        return Roots(
            self.positions[index], self.normals[index], self.canonical[index], self.edge_m[index]
        )


def sample_roots(
    surface: HeadSurface,
    density: np.ndarray,
    edge_sd: np.ndarray,
    count: int,
    rng: np.random.Generator,
) -> Roots:
    """Draw `count` roots, area-weighted by a density.

    Args:
        density: [V] in [0, 1]; quads with a corner of zero density grow nothing.
        edge_sd: [V] signed distance to the region's edge, metres.

    Raises:
        SpecError: no quad has density.
    """
    faces = surface.faces
    face_density = density[faces].min(axis=1)
    used = np.flatnonzero(face_density > 1e-3)
    if not len(used):
        raise SpecError("hair region is empty on this head; check the masks of the head model")
    quads = faces[used]
    corner = surface.vertices[quads]
    area = np.linalg.norm(
        np.cross(corner[:, 2] - corner[:, 0], corner[:, 3] - corner[:, 1]), axis=1
    )
    weight = area * face_density[used]
    # Systematic sampling spreads the roots more evenly than independent draws.
    position = (np.arange(count) + rng.random(count)) / count
    chosen = np.searchsorted(np.cumsum(weight) / weight.sum(), position).clip(0, len(used) - 1)
    u, v = rng.random((2, count))
    bilinear = np.stack([(1 - u) * (1 - v), u * (1 - v), u * v, (1 - u) * v], axis=1)
    corners = quads[chosen]

    def interpolate(values: np.ndarray) -> np.ndarray:
        return np.einsum("nk,nk...->n...", bilinear, values[corners])

    order = rng.permutation(count)
    return Roots(
        interpolate(surface.vertices),
        normalize(interpolate(surface.normals)),
        interpolate(surface.canonical),
        interpolate(edge_sd),
    ).take(order)


def even_subset(roots: Roots, count: int, rng: np.random.Generator, rounds: int = 3) -> Roots:
    """About `count` roots spread evenly (Lloyd's algorithm on the given ones)."""
    if len(roots) <= count:
        return roots
    centres = roots.positions[rng.choice(len(roots), count, replace=False)]
    tree = cKDTree(roots.positions)
    for _ in range(rounds):
        owner = cKDTree(centres).query(roots.positions)[1]
        total = np.zeros_like(centres)
        np.add.at(total, owner, roots.positions)
        size = np.bincount(owner, minlength=count)[:, None]
        centres = np.where(size > 0, total / np.maximum(size, 1), centres)
    return roots.take(np.unique(tree.query(centres)[1]))


def scalp_edge(
    surface: HeadSurface, hair: Hair, ragged_m: float, rng: np.random.Generator
) -> np.ndarray:
    """Signed distance [V] to the irregular hairline of this groom, metres, inside +."""
    line = hairline_m(surface.canonical, surface.scalp_sd, hair)
    ragged = 0.8 * smooth_noise(surface.canonical, 70, rng) + 0.6 * smooth_noise(
        surface.canonical, 200, rng
    )
    return line + ragged_m * (ragged - 0.6)


def scalp_density(edge_m: np.ndarray, softness_m: float) -> np.ndarray:
    """Density [V] in [0, 1] from the distance inside the hairline: a sparse rim, then full."""
    rim = 0.22 * smoothstep(-0.001, 0.004, edge_m)
    return rim + (1 - rim) * smoothstep(0.001, softness_m, edge_m)
