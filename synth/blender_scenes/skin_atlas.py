"""The head atlas: which place on the head every texel shows, and a bank of noise on it.

Both depend on the head model and the resolution only. They are made once per machine, kept in the
cache folder, and every head's skin is then baked with plain array arithmetic.
"""

from __future__ import annotations

import fcntl
import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import distance_transform_edt, map_coordinates
from scipy.spatial import cKDTree

from synth.config import atomic_write
from synth.headmodel import HeadModel
from synth.rng import stream

ATLAS_VERSION = 1
"""Raised whenever the content of the cache file changes; part of its name."""

PADDING_TEXELS = 6
PORES = 110_000
_LATTICE = 64
_ATLAS_WIDTH_M = 0.42


@dataclass(frozen=True, eq=False)
class SkinAtlas:
    """Texels of the head atlas that show skin, as flat arrays; row 0 is v = 0 (bottom).

    Attributes:
        size: width and height in texels.
        texels: [N] int64 flat index into the image.
        quads: [N] int32 face of the fine mesh.
        weights: [N, 4] float32 bilinear weights of the corners of that face.
        canonical: [N, 3] float32 canonical position in metres.
        medium_noise: [2, N] float32, features of about 4 mm, about zero mean and unit deviation.
        fine_noise: [N] float32, features of about 1 mm.
        pore_distance: [N] float32 distance to the nearest pore in metres.
    """

    size: int
    texels: np.ndarray
    quads: np.ndarray
    weights: np.ndarray
    canonical: np.ndarray
    medium_noise: np.ndarray
    fine_noise: np.ndarray
    pore_distance: np.ndarray

    @property
    def texel_m(self) -> float:
        """Width of a texel on the face in metres, about."""
        return _ATLAS_WIDTH_M / self.size

    def sample(self, model: HeadModel, values: np.ndarray) -> np.ndarray:
        """Interpolate values per fine vertex, [V] or [V, C], at the texels: [N] or [N, C]."""
        corners = model.faces[self.quads]
        values = np.asarray(values, np.float32)
        weights = self.weights if values.ndim == 1 else self.weights[:, :, None]
        result = values[corners[:, 0]] * weights[:, 0]
        for corner in range(1, 4):
            result += values[corners[:, corner]] * weights[:, corner]
        return result

    def image(self, values: np.ndarray, background: float = 0.0) -> np.ndarray:
        """Put values [N] or [N, C] of texels into an image [size, size(, C)] float32."""
        picture = np.full((self.size**2, *values.shape[1:]), background, np.float32)
        picture[self.texels] = values
        return picture.reshape(self.size, self.size, *values.shape[1:])


def atlas_size(render_size: int) -> int:
    """Texels along a side for pictures of `render_size` pixels: about 1.5 texels a pixel."""
    for limit, size in ((160, 512), (320, 768), (640, 1280)):
        if render_size <= limit:
            return size
    return 2048


def load_atlas(model: HeadModel, size: int, cache_dir: Path | None = None) -> SkinAtlas:
    """Load the atlas, making it first when it is missing (5 s at 512, about 30 s at 1280)."""
    directory = cache_dir if cache_dir is not None else Path.home() / ".cache" / "headloom"
    path = directory / f"skin-atlas-{model.digest}-v{ATLAS_VERSION}-{size}.npz"
    return _load(path, model, size)


@functools.lru_cache(maxsize=1)
def _load(path: Path, model: HeadModel, size: int) -> SkinAtlas:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # a second process waits and then finds the file
            if not path.exists():
                arrays = _build(model, size)
                with atomic_write(path) as file:
                    np.savez(file, **arrays)
    with np.load(path) as file:
        arrays = {
            name: file[name].astype(np.float32) if file[name].dtype == np.float16 else file[name]
            for name in file.files
        }
    return SkinAtlas(size=size, **arrays)


def lattice_noise(
    points: np.ndarray, frequency: float, seed: int, name: str, octaves: int = 4
) -> np.ndarray:
    """Fractal noise [N] float32 of about unit deviation at `points` [N, 3].

    Random values on a periodic lattice, interpolated with quadratic B-splines.

    Args:
        frequency: of the coarsest octave, in lattice cells per metre.
        seed: together with `name` it decides the pattern.
        octaves: each halves the feature size and has 0.55 of the amplitude.
    """
    rng = stream(seed, 0, name)
    total, power, amplitude = np.zeros(len(points), np.float32), 0.0, 1.0
    for _ in range(octaves):
        lattice = rng.normal(size=(_LATTICE,) * 3).astype(np.float32)
        offset = rng.uniform(0, _LATTICE, 3)
        coordinates = (points * frequency + offset).T
        total += amplitude * map_coordinates(
            lattice, coordinates, order=2, mode="grid-wrap", prefilter=False
        )
        power += amplitude**2
        frequency, amplitude = frequency * 2.03, amplitude * 0.55
    # quadratic B-splines average neighbours: 0.36 is the mean deviation that is left in 3D
    return total / np.float32(0.36 * np.sqrt(power))


def _build(model: HeadModel, size: int) -> dict[str, np.ndarray]:
    quad, weights = _rasterise(model, size)
    hole = quad < 0
    distance, (row, column) = distance_transform_edt(hole, return_indices=True)
    shown = np.flatnonzero((distance <= PADDING_TEXELS).ravel())
    nearest = (row * size + column).ravel()[shown]
    quads = quad.ravel()[nearest]
    weights = weights.reshape(-1, 4)[nearest]
    corners = model.canonical[model.faces[quads]]
    canonical = np.einsum("nk,nkc->nc", weights, corners).astype(np.float32)
    rng = stream(0, 0, "skin_atlas.pores")
    pores = canonical[rng.choice(len(canonical), min(PORES, len(canonical)), replace=False)]
    pore_distance, _ = cKDTree(pores).query(canonical, workers=1)
    medium = [lattice_noise(canonical, 250, i, "skin_atlas.medium") for i in range(2)]
    return {
        "texels": shown,
        "quads": quads.astype(np.int32),
        "weights": weights.astype(np.float16),
        "canonical": canonical,
        "medium_noise": np.stack(medium).astype(np.float16),
        "fine_noise": lattice_noise(canonical, 900, 0, "skin_atlas.fine", 3).astype(np.float16),
        "pore_distance": np.minimum(pore_distance, 0.001).astype(np.float16),
    }


def _rasterise(model: HeadModel, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Face number [size, size] (-1 outside) and bilinear weights [size, size, 4] per texel."""
    faces = np.flatnonzero(model.in_atlas)
    corners = model.uv[faces]
    extent = (corners.max(axis=1) - corners.min(axis=1)).max(axis=1) * size
    quad = np.full((size, size), -1, np.int64)
    weights = np.zeros((size, size, 4), np.float32)
    # enough samples in every face that no texel of it is missed; faces are grouped by extent
    for low, high in ((0, 4), (4, 10), (10, 24), (24, np.inf)):
        group = (extent > low) & (extent <= high)
        if not group.any():
            continue
        steps = int(np.ceil(1.6 * min(high, extent[group].max()))) + 1
        grid = (np.arange(steps) + 0.5) / steps
        for a in grid:
            for b in grid:
                w = np.array([(1 - a) * (1 - b), a * (1 - b), a * b, (1 - a) * b], np.float32)
                position = np.einsum("fkc,k->fc", corners[group], w)
                index = np.clip((position * size).astype(int), 0, size - 1)
                quad[index[:, 1], index[:, 0]] = faces[group]
                weights[index[:, 1], index[:, 0]] = w
    return quad, weights
