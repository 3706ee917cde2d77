"""From guides to strands: interpolation, clumps, flyaways, cut, thickness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from synth.blender_scenes.hair_field import HeadSurface
from synth.blender_scenes.hair_guides import transport_frames
from synth.blender_scenes.hair_roots import Roots
from synth.blender_scenes.hair_styles import Bundle, HairStyle, Length

_CLEARANCE_M = 0.0011


@dataclass(frozen=True)
class StrandSet:
    """Strands of equal numbers of points.

    Attributes:
        points: [n, m, 3] float32 model space metres, root first.
        radii: [n, m] float32 metres.
    """

    points: np.ndarray
    radii: np.ndarray

    def __len__(self) -> int:
        return len(self.points)


def nearest_guides(
    positions: np.ndarray, side: np.ndarray, guides: np.ndarray, guide_side: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest guides of the same side of the parting.

    Args:
        positions: [n, 3] roots; side: [n]; guides: [g, m, 3]; guide_side: [g].
        count: neighbours wanted; where a side has fewer guides the last one repeats.

    Returns:
        Indices [n, count] and distances between the roots [n, count] in metres.
    """
    index = np.zeros((len(positions), count), int)
    distance = np.ones((len(positions), count))
    for value in np.unique(side):
        mine = np.flatnonzero(side == value)
        theirs = np.flatnonzero(guide_side == value)
        if not len(theirs):  # a side so narrow that no guide grew there
            theirs = np.arange(len(guides))
        k = min(count, len(theirs))
        d, i = cKDTree(guides[theirs, 0]).query(positions[mine], k=k)
        d, i = d.reshape(-1, k), i.reshape(-1, k)
        fill = np.minimum(np.arange(count), k - 1)
        index[mine], distance[mine] = theirs[i[:, fill]], d[:, fill]
    return index, distance


def interpolate_strands(
    roots: Roots, guides: np.ndarray, index: np.ndarray, distance: np.ndarray
) -> np.ndarray:
    """Strands [n, m, 3] from each root along the weighted mean of its guides.

    Guides whose tips lie far from the nearest guide's tip get no weight: a mean of strands that
    go different ways would go nowhere.
    """
    weight = 1.0 / (distance + 0.0015) ** 2
    tip_gap = np.linalg.norm(guides[index, -1] - guides[index[:, :1], -1], axis=-1)
    arc = np.linalg.norm(np.diff(guides, axis=1), axis=-1).sum(1)[index[:, :1]]
    weight *= np.exp(-((tip_gap / (0.35 * arc + 1e-3)) ** 2))
    weight = (weight / weight.sum(1, keepdims=True)).astype(np.float32)
    shapes = (guides - guides[:, :1]).astype(np.float32)
    strands = np.repeat(roots.positions[:, None].astype(np.float32), guides.shape[1], axis=1)
    for k in range(index.shape[1]):
        strands += weight[:, k, None, None] * shapes[index[:, k]]
    return strands


def grow_strands(
    surface: HeadSurface,
    style: HairStyle,
    roots: Roots,
    side: np.ndarray,
    guides: np.ndarray,
    guide_side: np.ndarray,
    cut_z_m: float | None,
    radius_factor: float,
    rng: np.random.Generator,
) -> StrandSet:
    """Fill the hair between the guides.

    Args:
        roots: [n]; side: [n] side of the parting; guides: [g, m, 3]; guide_side: [g].
        cut_z_m: canonical height of the cut, or None.
        radius_factor: factor on the style's radius.
    """
    bundle, count = style.bundle, len(roots)
    index, distance = nearest_guides(roots.positions, side, guides, guide_side, bundle.blend)
    strands = interpolate_strands(roots, guides, index, distance)
    nearest = index[:, 0]
    loose = rng.random(count) < bundle.flyaways
    strands = _clump(strands, guides, nearest, loose, bundle, rng)
    strands = _ruffle(strands, guides, nearest, loose, bundle, rng)
    if cut_z_m is not None:
        limit = _cut_limits(style.length, roots, nearest, len(guides), cut_z_m, rng)
        strands = cut_below(strands, surface.canonical_map.canonical_z(strands), limit)
    strands = shorten(strands, _length_factors(style.length, roots, rng))
    strands[:, 1:] = surface.field.push_out(strands[:, 1:], _CLEARANCE_M)
    # Young hair at the edge is finer: the hairline fades instead of ending.
    fine = 0.55 + 0.45 * np.clip(roots.edge_m / 0.012, 0, 1)
    t = np.linspace(0.0, 1.0, strands.shape[1])
    root_radius = style.radius_m * radius_factor * rng.uniform(0.75, 1.2, count) * fine
    radii = root_radius[:, None] * (1.0 - 0.65 * t[None] ** 2.2)
    return StrandSet(strands.astype(np.float32), radii.astype(np.float32))


def _clump(
    strands: np.ndarray,
    guides: np.ndarray,
    nearest: np.ndarray,
    loose: np.ndarray,
    bundle: Bundle,
    rng: np.random.Generator,
) -> np.ndarray:
    if bundle.clump <= 0:
        return strands
    t = np.linspace(0.0, 1.0, strands.shape[1], dtype=np.float32)
    amount = bundle.clump * rng.uniform(0.6, 1.0, len(strands)) * np.where(loose, 0.3, 1.0)
    pull = amount.astype(np.float32)[:, None] * t[None] ** bundle.clump_power
    return strands + (guides.astype(np.float32)[nearest] - strands) * pull[..., None]


def _ruffle(
    strands: np.ndarray,
    guides: np.ndarray,
    nearest: np.ndarray,
    loose: np.ndarray,
    bundle: Bundle,
    rng: np.random.Generator,
) -> np.ndarray:
    """Slow waves and a constant offset of each strand, in the frame of its guide."""
    count = len(strands)
    segment = np.linalg.norm(np.diff(guides, axis=1), axis=-1)
    arc = np.concatenate([np.zeros((len(guides), 1)), np.cumsum(segment, axis=1)], axis=1)
    arc = arc.astype(np.float32)[nearest]
    first, second = (f.astype(np.float32)[nearest] for f in transport_frames(guides))
    gain = np.where(loose, rng.uniform(1.5, max(1.5, bundle.flyaway_gain), count), 1.0)
    frequency = rng.uniform(12, 44, (2, count)).astype(np.float32)
    phase = rng.uniform(0, 2 * np.pi, (2, count)).astype(np.float32)
    offset = (rng.normal(0, bundle.spread_m, (2, count))).astype(np.float32)
    grown = np.clip(arc / 0.02, 0, 1)
    amplitude = (bundle.noise_m * gain).astype(np.float32)[:, None] * np.clip(arc / 0.03, 0, 1.6)
    for k, axis in enumerate((first, second)):
        wave = amplitude * np.sin(frequency[k, :, None] * arc + phase[k, :, None])
        strands = strands + axis * (wave + offset[k, :, None] * grown)[..., None]
    return strands


def _cut_limits(
    length: Length,
    roots: Roots,
    nearest: np.ndarray,
    guide_count: int,
    cut_z_m: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Canonical height of the cut for each strand: locks differ more than strands of one lock."""
    lock = rng.normal(0.0, length.cut_jitter_m, guide_count)[nearest]
    strand = rng.normal(0.0, 0.35 * length.cut_jitter_m, len(roots))
    at_face = np.clip((-0.05 - roots.canonical[:, 1]) / 0.06, 0, 1)
    return cut_z_m + lock + strand + length.frame_m * at_face


def cut_below(strands: np.ndarray, canonical_z: np.ndarray, limit: np.ndarray) -> np.ndarray:
    """Cut strands [n, m, 3] where their height [n, m] first falls below `limit` [n]."""
    below = canonical_z < limit[:, None]
    last = strands.shape[1] - 1
    first = np.where(below.any(1), below.argmax(1), last)
    # The part of the crossing segment that stays above the limit.
    rows, before = np.arange(len(strands)), np.maximum(first - 1, 0)
    drop = canonical_z[rows, before] - canonical_z[rows, first]
    part = np.clip((canonical_z[rows, before] - limit) / np.where(drop > 1e-9, drop, 1.0), 0, 1)
    keep = np.where(below.any(1), (before + part) / last, 1.0)
    return shorten(strands, np.maximum(keep, 0.1))


def shorten(strands: np.ndarray, fraction: np.ndarray) -> np.ndarray:
    """The first `fraction` [n] in (0, 1] of strands [n, m, 3], resampled to m points."""
    last = strands.shape[1] - 1
    position = np.linspace(0.0, last, last + 1)[None] * fraction[:, None]
    lower = np.minimum(position.astype(int), last - 1)
    part = (position - lower)[..., None].astype(strands.dtype)
    rows = np.arange(len(strands))[:, None]
    return strands[rows, lower] * (1 - part) + strands[rows, lower + 1] * part


def _length_factors(length: Length, roots: Roots, rng: np.random.Generator) -> np.ndarray:
    """Fraction of its length that each strand keeps: filling, baby hair, natural variation."""
    count = len(roots)
    keep = 1.0 - np.abs(rng.normal(0.0, 0.5 * length.jitter, count))
    filling = rng.random(count) < length.fill
    keep = np.where(filling, rng.uniform(0.35, 0.95, count), keep)
    front = (roots.canonical[:, 1] < -0.06) & (roots.edge_m < 0.007)
    baby = front & (rng.random(count) < 0.10)
    return np.clip(np.where(baby, rng.uniform(0.10, 0.35, count), keep), 0.1, 1.0)
