"""Where skin differs: zones of the head as fields over the fine mesh, and a bank of broad noise.

Zones are functions of canonical position (metres) and so follow every identity and expression; they
are made once per machine and cached. Numbers were tuned by eye on rendered heads.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix

from synth.blender_scenes.eye_rim import INNER_RINGS, OUTER_RINGS, eye_rims
from synth.blender_scenes.skin_atlas import cached_arrays, lattice_noise
from synth.headmodel import HeadModel
from synth.headmodel_masks import smoothstep
from synth.rng import stream

REGIONS_VERSION = 4
"""Raised whenever a zone changes; part of the cache file's name."""

NOISE_PER_METRE = {"broad": 18.0, "patches": 60.0, "blots": 150.0}
"""Cells per metre: features of about 55, 16 and 7 mm."""
_PATTERNS = 4
_NOSTRIL, _NOSTRIL_RADII = np.array([0.0098, -0.1608, 0.8520]), np.array([0.0046, 0.0056, 0.006])
"""The opening of a nostril on the canonical head, which is a dimple there."""
FAR_M = 0.03
"""Distance from the lids' edge where a vertex lies on no lid."""


@dataclass(frozen=True, eq=False)
class SkinRegions:
    """Static fields per fine vertex.

    Attributes:
        zones: [V] float32 each, amounts in [0, 1]; `upper_lid` and `lower_lid` are distances from
            the front edge of that lid in metres, at most `FAR_M`, and `lid_middle` falls to 0
            towards the corners of the eye.
        noise: [4, V] float32 each, patterns of unit deviation by the names of `NOISE_PER_METRE`.
    """

    zones: dict[str, np.ndarray]
    noise: dict[str, np.ndarray]

    def __getitem__(self, zone: str) -> np.ndarray:
        return self.zones[zone]

    def person_noise(self, scale: str, seed: int, name: str) -> np.ndarray:
        """A person's own pattern [V] of unit deviation: a random mixture of the bank's."""
        return mixture(self.noise[scale], seed, f"{scale}.{name}")


def mixture(bank: np.ndarray, seed: int, name: str) -> np.ndarray:
    """Patterns [K, N] summed with weights on the unit sphere: [N], of the same deviation."""
    weights = stream(seed, 0, f"skin.mixture.{name}").normal(size=len(bank))
    weights = (weights / np.linalg.norm(weights)).astype(np.float32)
    return weights @ bank


@functools.lru_cache(maxsize=1)
def load_regions(model: HeadModel, cache_dir: Path | None = None) -> SkinRegions:
    """Load the fields, making them first when they are missing (about 3 s)."""
    directory = cache_dir if cache_dir is not None else Path.home() / ".cache" / "headloom"
    path = directory / f"skin-regions-{model.digest}-v{REGIONS_VERSION}.npz"
    arrays = cached_arrays(path, lambda: _build(model))
    kinds = {"zone": {}, "noise": {}}
    for name, values in arrays.items():
        kind, _, short = name.partition("/")
        kinds[kind][short] = values
    return SkinRegions(kinds["zone"], kinds["noise"])


def _build(model: HeadModel) -> dict[str, np.ndarray]:
    zones = {**_face_zones(model), **_lid_zones(model)}
    arrays = {f"zone/{name}": values.astype(np.float16) for name, values in zones.items()}
    for name, frequency in NOISE_PER_METRE.items():
        patterns = [
            lattice_noise(model.canonical, frequency, i, f"skin_regions.{name}", 3)
            for i in range(_PATTERNS)
        ]
        arrays[f"noise/{name}"] = np.stack(patterns).astype(np.float16)
    return arrays


def _face_zones(model: HeadModel) -> dict[str, np.ndarray]:
    x, y, z = model.canonical.T
    side, masks = np.abs(x), model.masks
    cavity = _cavity(model)

    def blob(cx, cy, cz, rx, ry, rz) -> np.ndarray:
        return np.exp(-(((side - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 + ((z - cz) / rz) ** 2))

    ear = smoothstep(0.0735, 0.0775, side) * smoothstep(0.838, 0.846, z)
    ear = ear * smoothstep(0.912, 0.904, z) * smoothstep(-0.086, -0.078, y)
    ear = ear * smoothstep(-0.016, -0.024, y)
    # the bowl of the ear and its canal lie deeper than the helix around them
    concha = smoothstep(0.0815, 0.0745, side) * smoothstep(0.062, 0.066, side)
    concha = concha * blob(side, -0.055, 0.876, 1.0, 0.017, 0.021)
    from_nostril = np.linalg.norm(
        (np.stack([side, y, z], axis=1) - _NOSTRIL) / _NOSTRIL_RADII, axis=1
    )
    nostril = smoothstep(1.05, 0.65, from_nostril) * smoothstep(
        0.0, -0.3, model.canonical_normals[:, 2]
    )
    nose_tip = blob(0, -0.172, 0.857, 0.014, 0.014, 0.011)
    wings = blob(0.0155, -0.158, 0.854, 0.007, 0.012, 0.009)
    crease = blob(0.0195, -0.152, 0.856, 0.0035, 0.010, 0.008)
    cheek = blob(0.040, -0.135, 0.858, 0.019, 0.035, 0.017)
    jaw = np.clip(masks["beard_sd"] / 0.02, 0, 1)
    perioral = blob(0, -0.158, 0.822, 0.034, 0.03, 0.020) * (1 - masks["lips"])
    front = smoothstep(-0.03, -0.09, y)
    lips = masks["lips"] * (1 - masks["mouth"])
    return {
        "lips": lips,
        "mouth": masks["mouth"],
        "cheek": cheek,
        "nose": np.clip(nose_tip + wings, 0, 1),
        "flush": np.clip(
            0.80 * cheek + 0.85 * nose_tip + 0.75 * wings + 0.8 * crease
            + 0.30 * blob(0, -0.150, 0.785, 0.020, 0.02, 0.014)
            + 0.25 * blob(0, -0.155, 0.915, 0.012, 0.02, 0.012)
            + 0.20 * blob(0.03, -0.14, 0.925, 0.02, 0.03, 0.012), 0, 1.1,
        ),
        "sallow": np.clip(
            0.7 * masks["forehead"] + 0.8 * perioral
            + 0.6 * blob(0.060, -0.09, 0.925, 0.02, 0.03, 0.025), 0, 1,
        ),
        "under_eye": np.clip(
            blob(0.028, -0.14, 0.8805, 0.016, 0.025, 0.0055)
            + 0.7 * blob(0.0175, -0.145, 0.8855, 0.005, 0.02, 0.007), 0, 1,
        ),
        "socket": masks["socket"],
        "forehead": masks["forehead"],
        "chin": masks["chin"],
        "tzone": masks["tzone"],
        "perioral": perioral,
        "jaw": jaw,
        "ear": ear,
        "concha": np.clip(concha + 0.8 * ear * cavity, 0, 1),
        "nostril": nostril,
        "cavity": cavity,
        "porous": np.clip(
            0.25 + nose_tip + wings + 0.50 * cheek + 0.45 * masks["forehead"]
            + 0.35 * masks["chin"], 0, 1,
        ),
        "face": front * smoothstep(0.770, 0.790, z) * smoothstep(0.985, 0.965, z) * (1 - ear),
        "sunned": np.clip(
            0.25 + 0.9 * cheek + nose_tip + 0.6 * masks["forehead"]
            + 0.4 * smoothstep(0.93, 0.99, z), 0, 1,
        ) * front,
        "freckly": np.clip(
            1.2 * cheek + 1.1 * nose_tip + 0.9 * blob(0, -0.155, 0.885, 0.012, 0.03, 0.015)
            + 0.4 * masks["forehead"] + 0.10 * front, 0, 1,
        ) * (1 - masks["lips"]),
    }  # fmt: skip


def _lid_zones(model: HeadModel) -> dict[str, np.ndarray]:
    count = len(model.canonical)
    upper, lower = np.full(count, FAR_M), np.full(count, FAR_M)
    waterline, middle = np.zeros(count), np.zeros(count)
    for rim in eye_rims(model):
        points = model.canonical[rim.rings]
        steps = np.linalg.norm(np.diff(points, axis=0), axis=2)
        along = np.concatenate([np.zeros((1, steps.shape[1])), np.cumsum(steps, axis=0)])
        from_edge = along - along[INNER_RINGS]
        rows = np.arange(INNER_RINGS + OUTER_RINGS + 1)
        margin = smoothstep(INNER_RINGS + 2.5, INNER_RINGS - 1.0, rows)
        waterline[rim.rings] = np.broadcast_to(margin[:, None], rim.rings.shape)
        column = np.arange(rim.rings.shape[1])
        to_corner = np.minimum(
            np.abs(column - rim.outer_corner), np.minimum(column, len(column) - column)
        )
        middle[rim.rings] = smoothstep(0, 11, to_corner)[None, :]
        ramp = np.minimum(from_edge, FAR_M)
        upper[rim.rings[:, rim.upper]] = ramp[:, rim.upper]
        lower[rim.rings[:, ~rim.upper]] = ramp[:, ~rim.upper]
    return {
        "upper_lid": upper, "lower_lid": lower, "waterline": waterline, "lid_middle": middle,
    }  # fmt: skip


def _cavity(model: HeadModel) -> np.ndarray:
    """[V] in [0, 1]: how hollow the canonical surface is at the scale of a few millimetres."""
    faces, count = model.faces, len(model.canonical)
    edges = np.concatenate([faces[:, [i, (i + 1) % 4]] for i in range(4)])
    edges = np.concatenate([edges, edges[:, ::-1]])
    graph = csr_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), (count, count))
    degree = np.maximum(np.asarray(graph.sum(axis=1)), 1)
    smooth = model.canonical.copy()
    for _ in range(12):
        smooth = (graph @ smooth) / degree
    height = ((smooth - model.canonical) * model.canonical_normals).sum(axis=1)
    return smoothstep(0.0001, 0.0011, height)
