"""The skin atlas: which place on head and neck every texel shows, and a bank of noise on it.

The atlas is one picture of two charts: the head, laid out as MakeHuman does, and above it the neck,
unrolled (angle about the neck, distance from the head's chart). Every pattern is a function of the
canonical position, so nothing changes where the charts meet.

All of it depends on the head model and the resolution only. It is made once per machine, kept in
the cache folder, and every head's skin is then baked with plain array arithmetic.
"""

from __future__ import annotations

import fcntl
import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import distance_transform_edt, map_coordinates
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree

from synth.config import atomic_write
from synth.headmodel import HeadModel
from synth.headmodel_masks import smoothstep
from synth.rng import stream

ATLAS_VERSION = 3
"""Raised whenever the content of the cache file changes; part of its name."""

ATLAS_SIZES = (512, 768, 1024, 1536, 2048)
TEXELS_PER_PIXEL = 1.5
HEAD_SHARE = 0.8
"""Share of the height of the picture that the chart of the head takes; the picture is taller than
wide by as much, so that texels stay square."""
PADDING_TEXELS = 6
PORES = 130_000
NECK_REACH_M = 0.15
"""The chart of the neck ends this far below the chart of the head, on chest and shoulders."""
_NECK_AXIS_Y = -0.03
_NECK_LOWEST_Z = 0.60
_NAPE_Z = (0.797, 0.87)
_NAPE_SHARE = 0.24
"""MakeHuman's chart of the head has a gap in the nape, between these heights; it is unrolled with
the neck and has this share of the rows."""
_LATTICE = 64
_BLOCK = 1 << 15
_HEAD_WIDTH_M = 0.42
_CREASE_CELLS_M = (0.0012, 0.0042)


@dataclass(frozen=True, eq=False)
class SkinAtlas:
    """Texels of the atlas that show skin, as flat arrays; row 0 is v = 0 (bottom).

    Attributes:
        size: width in texels.
        texels: [N] int64 flat index into the image.
        corners: [N, 4] int32 fine vertices of the face that a texel shows.
        weights: [N, 4] float32 bilinear weights of these.
        canonical: [N, 3] float32 canonical position in metres.
        detail: [N] float32, 1 on head and neck, fading to 0 where vertex colours take over.
        medium_noise: [3, N] float32, features of about 4 mm, about zero mean and unit deviation.
        fine_noise: [2, N] float32, features of about 1 mm.
        pores: [N] float32, depth of the pores in [0, 1]; a pore is about 0.3 mm wide.
        creases: [2, N] float32 in [0, 1], the net of furrows between the fine cells of all skin
            (1 mm) and the coarse ones of old skin (4 mm).
        uv: [F, 4, 2] float32 texture coordinates of the model's faces, where `covered` [F].
    """

    size: int
    texels: np.ndarray
    corners: np.ndarray
    weights: np.ndarray
    canonical: np.ndarray
    detail: np.ndarray
    medium_noise: np.ndarray
    fine_noise: np.ndarray
    pores: np.ndarray
    creases: np.ndarray
    uv: np.ndarray
    covered: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in texels."""
        return _height(self.size), self.size

    @property
    def texel_m(self) -> float:
        """Width of a texel on the face in metres, about."""
        return _HEAD_WIDTH_M / self.size

    def sample(self, values: np.ndarray) -> np.ndarray:
        """Interpolate values per fine vertex, [V] or [V, C], at the texels: float32 [N(, C)]."""
        values = np.asarray(values, np.float32)
        fields = self.sample_fields(values.reshape(len(values), -1))
        return fields.T.reshape(len(self.texels), *values.shape[1:])

    def sample_fields(self, values: np.ndarray) -> np.ndarray:
        """The same for [V, C] float32 with each field in a row: [C, N], contiguous."""
        fields = np.empty((values.shape[1], len(self.texels)), np.float32)
        start = 0
        for block in self._blocks:
            end = start + block.shape[0]
            fields[:, start:end] = (block @ values[: block.shape[1]]).T
            start = end
        return fields

    @functools.cached_property
    def _blocks(self) -> list[csr_matrix]:
        """Interpolation of successive texels, few enough that the result stays in the cache."""
        vertices = int(self.corners.max()) + 1
        blocks = []
        for start in range(0, len(self.texels), _BLOCK):
            corners = self.corners[start : start + _BLOCK]
            starts = np.arange(0, corners.size + 1, 4)
            weights = self.weights[start : start + _BLOCK]
            shape = (len(corners), vertices)
            blocks.append(csr_matrix((weights.ravel(), corners.ravel(), starts), shape))
        return blocks

    def image(self, values: np.ndarray, background: float = 0.0) -> np.ndarray:
        """Put values [N] or [N, C] of texels into an image [H, W(, C)] float32."""
        height, width = self.shape
        picture = np.full((height * width, *values.shape[1:]), background, np.float32)
        picture[self.texels] = values
        return picture.reshape(height, width, *values.shape[1:])


def atlas_size(pixel_m: float) -> int:
    """Width in texels for pictures whose pixels cover `pixel_m` metres of the face."""
    for size in ATLAS_SIZES:
        if _HEAD_WIDTH_M / size * TEXELS_PER_PIXEL <= pixel_m:
            return size
    return ATLAS_SIZES[-1]


def load_atlas(model: HeadModel, size: int, cache_dir: Path | None = None) -> SkinAtlas:
    """Load the atlas, making it first when it is missing (8 s at 512, 30 s at 1024)."""
    directory = cache_dir if cache_dir is not None else Path.home() / ".cache" / "headloom"
    path = directory / f"skin-atlas-{model.digest}-v{ATLAS_VERSION}-{size}.npz"
    return _load(path, model, size)


@functools.lru_cache(maxsize=1)
def _load(path: Path, model: HeadModel, size: int) -> SkinAtlas:
    arrays = cached_arrays(path, lambda: _build(model, size))
    return SkinAtlas(size=size, **arrays)


def cached_arrays(path: Path, build: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Arrays from `path`, or from `build`, which then writes them; half floats come back as floats.

    Several processes may ask at once: one builds, the others wait.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # a second process waits and then finds the file
            if not path.exists():
                arrays = build()
                with atomic_write(path) as file:
                    np.savez(file, **arrays)
    with np.load(path) as file:
        return {
            name: file[name].astype(np.float32) if file[name].dtype == np.float16 else file[name]
            for name in file.files
        }


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


def _height(size: int) -> int:
    return round(size / HEAD_SHARE)


def _build(model: HeadModel, size: int) -> dict[str, np.ndarray]:
    uv, covered = _charts(model)
    quad, weights = _rasterise(uv, covered, size)
    hole = quad < 0
    distance, (row, column) = distance_transform_edt(hole, return_indices=True)
    shown = np.flatnonzero((distance <= PADDING_TEXELS).ravel())
    nearest = (row * size + column).ravel()[shown]
    corners = model.faces[quad.ravel()[nearest]]
    weights = weights.reshape(-1, 4)[nearest]
    canonical = np.einsum("nk,nkc->nc", weights, model.canonical[corners]).astype(np.float32)
    fade = smoothstep(NECK_REACH_M, NECK_REACH_M - 0.04, _below_head(model))
    medium = [lattice_noise(canonical, 250, i, "skin_atlas.medium") for i in range(3)]
    fine = [lattice_noise(canonical, 900, i, "skin_atlas.fine", 3) for i in range(2)]
    return {
        "texels": shown,
        "corners": corners.astype(np.int32),
        "weights": weights.astype(np.float16),
        "canonical": canonical,
        "detail": np.einsum("nk,nk->n", weights, fade[corners]).astype(np.float16),
        "medium_noise": np.stack(medium).astype(np.float16),
        "fine_noise": np.stack(fine).astype(np.float16),
        "pores": _pores(canonical).astype(np.float16),
        "creases": np.stack([_creases(canonical, m) for m in _CREASE_CELLS_M]).astype(np.float16),
        "uv": uv.astype(np.float32),
        "covered": covered,
    }


# ---------------------------------------------------------------- charts


def _charts(model: HeadModel) -> tuple[np.ndarray, np.ndarray]:
    """Texture coordinates [F, 4, 2] and which faces have any [F]."""
    uv = model.uv * np.array([1.0, HEAD_SHARE])
    below = _below_head(model)
    x, y, z = model.canonical.T
    center = model.canonical[model.faces].mean(axis=1)
    nape = ~model.in_atlas & (np.abs(center[:, 0]) < 0.05) & (center[:, 1] > 0)
    nape &= (center[:, 2] > _NAPE_Z[0]) & (center[:, 2] < _NAPE_Z[1])
    neck = (
        ~model.in_atlas
        & (below[model.faces].max(axis=1) < NECK_REACH_M)
        & (z[model.faces].min(axis=1) > _NECK_LOWEST_Z)
        & ~_inside_head(model)
    ) | nape
    angle = np.arctan2(x, -(y - _NECK_AXIS_Y))[model.faces[neck]] / (2 * np.pi) + 0.5
    # faces across the seam in the nape lie beyond the right edge instead of across the picture
    torn = np.ptp(angle, axis=1) > 0.5
    angle[torn] = np.where(angle[torn] < 0.5, angle[torn] + 1, angle[torn])
    margin = 0.012
    across = margin + angle / 1.04 * (1 - 2 * margin)
    along = _NAPE_SHARE + (1 - _NAPE_SHARE) * below[model.faces[neck]] / NECK_REACH_M
    height = (_NAPE_Z[1] - z[model.faces[nape]]) / (_NAPE_Z[1] - _NAPE_Z[0] + 0.006)
    along[nape[neck]] = _NAPE_SHARE * height
    upwards = HEAD_SHARE + (1 - HEAD_SHARE) * (2 * margin + along * (1 - 3 * margin))
    uv[neck] = np.stack([across, upwards], axis=-1)
    return uv, model.in_atlas | neck


def _below_head(model: HeadModel) -> np.ndarray:
    """Distance [V] along the mesh from the head's chart in metres; 0 on it, large if cut off."""
    on_head = np.zeros(len(model.canonical), bool)
    on_head[np.unique(model.faces[model.in_atlas])] = True
    edges = np.concatenate([model.faces[:, [0, 1]], model.faces[:, [1, 2]], model.faces[:, [0, 2]]])
    length = np.linalg.norm(model.canonical[edges[:, 0]] - model.canonical[edges[:, 1]], axis=1)
    graph = csr_matrix((length, (edges[:, 0], edges[:, 1])), (len(on_head), len(on_head)))
    distance = dijkstra(
        graph, directed=False, indices=np.flatnonzero(on_head), min_only=True, limit=0.4
    )
    return np.where(np.isfinite(distance), distance, 1.0)


def _inside_head(model: HeadModel) -> np.ndarray:
    """[F] faces outside the head's chart that line mouth and eye sockets."""
    center = model.canonical[model.faces].mean(axis=1)
    near_axis = np.hypot(center[:, 0], center[:, 1] - _NECK_AXIS_Y)
    mouth = model.masks["mouth"][model.faces].mean(axis=1) > 0.3
    return mouth | (center[:, 2] > 0.83) | ((center[:, 2] > 0.80) & (near_axis < 0.04))


def _rasterise(uv: np.ndarray, covered: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Face number [H, W] (-1 outside) and bilinear weights [H, W, 4] per texel."""
    faces = np.flatnonzero(covered)
    height = _height(size)
    corners = uv[faces] * np.array([size, height])
    extent = (corners.max(axis=1) - corners.min(axis=1)).max(axis=1)
    quad = np.full((height, size), -1, np.int64)
    weights = np.zeros((height, size, 4), np.float32)
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
                position = np.einsum("fkc,k->fc", corners[group], w).astype(int)
                column = np.clip(position[:, 0], 0, size - 1)
                row = np.clip(position[:, 1], 0, height - 1)
                quad[row, column] = faces[group]
                weights[row, column] = w
    return quad, weights


# ---------------------------------------------------------------- patterns


def _pores(canonical: np.ndarray) -> np.ndarray:
    """Depth [N] in [0, 1] of pores, some wider than others."""
    rng = stream(0, 0, "skin_atlas.pores")
    centers = canonical[rng.choice(len(canonical), min(PORES, len(canonical)), replace=False)]
    width = rng.uniform(0.00022, 0.00042, len(centers))
    distance, nearest = cKDTree(centers).query(canonical, workers=1)
    return np.clip(1 - distance / width[nearest], 0, 1)


def _creases(canonical: np.ndarray, cell_m: float) -> np.ndarray:
    """[N] in [0, 1]: 1 on the borders of cells `cell_m` wide, 0 inside (Worley 1996, F2 - F1)."""
    rng = stream(0, 0, f"skin_atlas.creases.{cell_m}")
    wanted = int(0.17 / cell_m**2)  # head and neck have about 0.17 m2
    centers = canonical[rng.choice(len(canonical), min(wanted, len(canonical)), replace=False)]
    distance, _ = cKDTree(centers).query(canonical, k=2, workers=1)
    return np.clip(1 - (distance[:, 1] - distance[:, 0]) / (0.30 * cell_m), 0, 1)
