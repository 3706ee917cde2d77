"""From guides to strands: interpolation, clumps, flyaways, cut, thickness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from synth.blender_scenes.hair_field import HeadSurface
from synth.blender_scenes.hair_flow import FRINGE, TENDRIL
from synth.blender_scenes.hair_frames import arc_lengths, transport_frames
from synth.blender_scenes.hair_guides import fringe_height
from synth.blender_scenes.hair_locks import SIDES_APART_M, LockSet
from synth.blender_scenes.hair_roots import Roots
from synth.blender_scenes.hair_rope import rope_strands
from synth.blender_scenes.hair_styles import WISP_STRANDS, Bundle, HairStyle, Length
from synth.spec import Hair

_CLEARANCE_M = 0.0011
_WAVE_RAD_PER_M = (35.0, 110.0)
"""Waves of wisps: short enough to tilt them by some degrees, which moves their highlights."""
_BABY_SHARE, _BABY_RIM_M = 0.75, 0.012
_BABY_LENGTH_M = (0.006, 0.024)


@dataclass(frozen=True)
class StrandSet:
    """Strands of equal numbers of points.

    Attributes:
        points: [n, m, 3] float32 model space metres, root first.
        radii: [n, m] float32 metres.
        pigment: [n, m] float32 factor on the amount of pigment; 1 is the spec's colour.
    """

    points: np.ndarray
    radii: np.ndarray
    pigment: np.ndarray

    @classmethod
    def plain(cls, points: np.ndarray, radii: np.ndarray) -> StrandSet:
        """Strands of exactly the spec's colour."""
        radii = radii.astype(np.float32)
        return cls(points.astype(np.float32), radii, np.ones_like(radii))

    def take(self, index: np.ndarray) -> StrandSet:
        """The strands at `index`."""
        return StrandSet(self.points[index], self.radii[index], self.pigment[index])

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
    roots: Roots,
    guides: np.ndarray,
    index: np.ndarray,
    distance: np.ndarray,
    lock: np.ndarray,
    apart: float,
) -> np.ndarray:
    """Strands [n, m, 3] from each root along the weighted mean of its guides.

    Guides whose tips lie far from the nearest guide's tip get no weight: a mean of strands that
    go different ways would go nowhere.

    Args:
        index, distance: see `nearest_guides`; lock: [g] lock of each guide.
        apart: how little weight guides of other locks get, [0, 1].
    """
    weight = 1.0 / (distance + 0.0015) ** 2
    weight *= 1.0 - apart * (lock[index] != lock[index[:, :1]])
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
    hair: Hair,
    roots: Roots,
    side: np.ndarray,
    guides: np.ndarray,
    guide_side: np.ndarray,
    lockset: LockSet,
    cut_z_m: float | None,
    radius_factor: float,
    rng: np.random.Generator,
) -> tuple[StrandSet, np.ndarray, np.ndarray]:
    """Fill the hair between the guides.

    Args:
        roots: [n]; side: [n] side of the parting; guides: [g, m, 3]; guide_side: [g].
        cut_z_m: canonical height of the cut, or None.
        radius_factor: factor on the style's radius.

    Returns:
        The strands, still of one colour, and the lock [n] and the wisp [n] each belongs to.
    """
    bundle, count = style.bundle, len(roots)
    wisp = wisps(roots.positions, side, WISP_STRANDS)
    index, distance = nearest_guides(roots.positions, side, guides, guide_side, bundle.blend)
    nearest = index[:, 0]
    if style.rope is not None:
        strands = rope_strands(style.rope, roots.positions, guides, nearest, rng)
        keep = np.ones(count)
    else:
        strands = interpolate_strands(
            roots, guides, index, distance, lockset.of_guide, bundle.apart
        )
        loose = rng.random(count) < bundle.flyaways
        strands = _clump(strands, guides, nearest, loose, bundle, rng)
        strands = _ruffle(strands, guides, nearest, wisp, loose, bundle, rng)
        keep = _length_factors(style, roots, side, distance[:, 0], rng)
    limit = _cut_limits(style.length, hair, roots, side, nearest, wisp, cut_z_m, rng)
    if limit is not None:
        strands = cut_below(strands, surface.canonical_map.canonical_z(strands), limit)
    strands = shorten(strands, keep)
    baby = np.flatnonzero(_is_baby(roots, rng))
    strands[baby] = _baby_hair(strands[baby], roots.take(baby), rng)
    strands[:, 1:] = surface.field.push_out(strands[:, 1:], _CLEARANCE_M)
    # Young hair at the edge is finer: the hairline fades instead of ending.
    fine = 0.45 + 0.55 * np.clip(roots.edge_m / 0.014, 0, 1)
    fine[baby] *= 0.6
    t = np.linspace(0.0, 1.0, strands.shape[1])
    root_radius = style.radius_m * radius_factor * rng.uniform(0.75, 1.2, count) * fine
    radii = root_radius[:, None] * (1.0 - 0.65 * t[None] ** 2.2)
    return StrandSet.plain(strands, radii), lockset.of_guide[nearest], wisp


def wisps(positions: np.ndarray, side: np.ndarray, size: int) -> np.ndarray:
    """Number of the strand that leads the wisp of each strand [n].

    Args:
        positions: [n, 3] roots in random order; side: [n] side of the parting, which no wisp
            crosses; size: mean number of strands in a wisp.
    """
    place = np.concatenate([positions, side[:, None] * SIDES_APART_M], axis=1)
    leader = np.arange(0, len(positions), size)
    return leader[cKDTree(place[leader]).query(place)[1]]


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
    wisp: np.ndarray,
    loose: np.ndarray,
    bundle: Bundle,
    rng: np.random.Generator,
) -> np.ndarray:
    """Slow waves and offsets in the frame of the guide, shared by a wisp but for a third."""
    count = len(strands)
    arc = arc_lengths(guides).astype(np.float32)[nearest]
    first, second = (f.astype(np.float32)[nearest] for f in transport_frames(guides))
    frequency = rng.uniform(*_WAVE_RAD_PER_M, (2, count)).astype(np.float32)
    phase = rng.uniform(0, 2 * np.pi, (2, count)).astype(np.float32)
    offset = (rng.normal(0, bundle.spread_m, (2, count))).astype(np.float32)
    grown = np.clip(arc / 0.02, 0, 1)
    height = bundle.noise_m * np.clip(arc / 0.03, 0, 1.6)
    gain = np.where(loose, rng.uniform(1.5, max(1.5, bundle.flyaway_gain), count), 0.33)
    for k, axis in enumerate((first, second)):
        own = np.sin(0.4 * frequency[k, :, None] * arc + phase[k, :, None]) * gain[:, None]
        together = np.sin(frequency[k, wisp, None] * arc + phase[k, wisp, None])
        move = height * (own + together) + offset[k, :, None] * grown
        strands = strands + axis * move.astype(np.float32)[..., None]
    return _pull_to(strands, wisp, np.where(loose, 0.0, bundle.wisp_pull), bundle.clump_power)


def _pull_to(strands: np.ndarray, wisp: np.ndarray, pull: np.ndarray, power: float) -> np.ndarray:
    """Strands [n, m, 3] drawn to the leaders of their wisps by `pull` [n], more to the tip."""
    toward = strands[wisp] - strands
    length = np.linalg.norm(strands[:, -1] - strands[:, 0], axis=-1)
    near = np.exp(-((np.linalg.norm(toward[:, -1], axis=-1) / (0.3 * length + 0.003)) ** 2))
    t = np.linspace(0.0, 1.0, strands.shape[1], dtype=np.float32)
    share = (pull * near).astype(np.float32)[:, None] * t[None] ** power
    return strands + toward * share[..., None]


def _cut_limits(
    length: Length,
    hair: Hair,
    roots: Roots,
    side: np.ndarray,
    nearest: np.ndarray,
    wisp: np.ndarray,
    cut_z_m: float | None,
    rng: np.random.Generator,
) -> np.ndarray | None:
    """Canonical height of the cut for each strand: locks differ more than strands of one lock."""
    bangs = side == FRINGE
    if cut_z_m is None and not bangs.any():
        return None
    count = len(roots)
    lock = rng.normal(0.0, 1.0, nearest.max() + 1)[nearest]
    strand = rng.normal(0.0, 0.35, count)
    thin = np.minimum(rng.exponential(1.0, count), 4.0)[wisp]
    at_face = np.clip((-0.05 - roots.canonical[:, 1]) / 0.06, 0, 1)
    base = -np.inf if cut_z_m is None else cut_z_m + length.frame_m * at_face
    limit = base + length.cut_jitter_m * (lock + strand) + length.taper_m * thin
    # bangs are a little longer towards the temples
    bend = 0.5 * np.clip(np.abs(roots.canonical[:, 0]) - 0.025, 0, None)
    limit = np.where(bangs, fringe_height(hair) - bend + 0.0032 * (lock + strand + thin), limit)
    return np.where(side == TENDRIL, -np.inf, limit)


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


def _length_factors(
    style: HairStyle,
    roots: Roots,
    side: np.ndarray,
    from_guide_m: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Fraction of its length that each strand keeps: filling, tendrils, pointed clumps."""
    count, length = len(roots), style.length
    keep = 1.0 - np.abs(rng.normal(0.0, 0.5 * length.jitter, count))
    outer = np.clip(from_guide_m / (2 * np.median(from_guide_m) + 1e-6), 0, 1)
    keep -= style.bundle.point * outer
    filling = rng.random(count) < length.fill
    keep = np.where(filling | (side == TENDRIL), rng.uniform(0.35, 0.95, count), keep)
    return np.clip(keep, 0.1, 1.0)


def _is_baby(roots: Roots, rng: np.random.Generator) -> np.ndarray:
    """Which strands [n] are the short fine ones of the hairline, most of them at its very edge."""
    share = _BABY_SHARE * np.clip(1.0 - roots.edge_m / _BABY_RIM_M, 0.0, 1.0)
    return rng.random(len(roots)) < share


def _baby_hair(strands: np.ndarray, roots: Roots, rng: np.random.Generator) -> np.ndarray:
    """Strands [n, m, 3] cut to a centimetre or two that stand off the head and bend anyhow."""
    count, keys = strands.shape[:2]
    arc = arc_lengths(strands)[:, -1]
    length = rng.uniform(*_BABY_LENGTH_M, count)
    strands = shorten(strands, np.clip(length / np.maximum(arc, 1e-4), 0.02, 1.0))
    t = np.linspace(0.0, 1.0, keys)[None, :, None]
    stand = rng.uniform(0.0, 0.35, (count, 1, 1)) * roots.normals[:, None] * t
    bend = rng.normal(0.0, 0.30, (count, 1, 3)) * t**2
    return (strands + length[:, None, None] * (stand + bend)).astype(np.float32)
