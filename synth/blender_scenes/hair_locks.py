"""Locks: guides that stay together. Hair without them is fuzz or a sheet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from synth.blender_scenes.hair_field import smooth_noise, smoothstep
from synth.blender_scenes.hair_frames import arc_lengths, transport_frames
from synth.blender_scenes.hair_roots import Roots, even_subset
from synth.blender_scenes.hair_styles import Curl, Locks

_BEND_GROWS_M = 0.08
"""Length from the root over which a lock's wave grows to its full height."""
SIDES_APART_M = 10.0
"""A fourth coordinate that keeps neighbours across the parting apart."""


@dataclass(frozen=True)
class LockSet:
    """The locks of one head of hair.

    Attributes:
        of_guide: [g] number of the lock of each guide.
        leader: [k] guide in the middle of each lock.
        layer: [k] in [0.35, 1], how high it lies; drift: [k, 3] own direction, unit deviation.
        length: [k] factor on its length; shade: [k] logarithm of the factor on its pigment.
        bend: [k, 4] phases in radians and frequencies per metre of its slow wave.
    """

    of_guide: np.ndarray
    leader: np.ndarray
    layer: np.ndarray
    drift: np.ndarray
    length: np.ndarray
    shade: np.ndarray
    bend: np.ndarray


def assign_locks(locks: Locks, roots: Roots, side: np.ndarray, rng: np.random.Generator) -> LockSet:
    """Divide guides with `roots` [g] into patches that do not reach over the parting."""
    count = len(roots)
    if 0 < locks.count < count:
        # The side is a fourth coordinate far apart, so that no lock crosses the parting.
        place = np.concatenate([roots.positions, side[:, None] * SIDES_APART_M], axis=1)
        subset = even_subset(roots, locks.count, rng)
        leader = np.unique(cKDTree(roots.positions).query(subset.positions)[1])
        leader = _one_per_side(leader, side)
        of_guide = cKDTree(place[leader]).query(place)[1]
    else:
        leader = of_guide = np.arange(count)
    number = len(leader)
    # Locks next to each other lie at different heights, which shows them as locks.
    layer = 0.35 + 0.65 * rng.permutation(np.linspace(0, 1, number))
    bend = np.concatenate(
        [rng.uniform(0, 2 * np.pi, (number, 2)), rng.uniform(6, 13, (number, 2))], axis=1
    )
    broad = smooth_noise(roots.positions[leader], 14, rng)
    return LockSet(
        of_guide=of_guide,
        leader=leader,
        layer=layer,
        drift=rng.normal(size=(number, 3)),
        length=np.exp(rng.normal(0.0, locks.uneven, number)),
        shade=locks.shade * (0.8 * rng.normal(size=number) + 0.5 * broad),
        bend=bend,
    )


def _one_per_side(leader: np.ndarray, side: np.ndarray) -> np.ndarray:
    """The leaders, and one more for each side that has none."""
    missing = np.setdiff1d(side, side[leader])
    return np.concatenate([leader, *([np.flatnonzero(side == s)[0]] for s in missing)])


def pull_together(guides: np.ndarray, lockset: LockSet, locks: Locks) -> np.ndarray:
    """Pull guides [g, m, 3] towards the leader of their lock, more and more to the tip."""
    if locks.pull <= 0 or len(lockset.leader) == len(guides):
        return guides
    leader = lockset.leader[lockset.of_guide]
    arc = arc_lengths(guides)[:, -1]
    far = np.linalg.norm(guides[leader, -1] - guides[:, -1], axis=-1)
    # A guide whose tip fell elsewhere is not dragged through the head.
    near = np.exp(-((far / (0.5 * arc + 0.005)) ** 2))
    t = np.linspace(0.0, 1.0, guides.shape[1])
    pull = locks.pull * near[:, None] * t[None] ** locks.power
    return guides + (guides[leader] - guides) * pull[..., None]


def bend_locks(guides: np.ndarray, lockset: LockSet, amplitude_m: float) -> np.ndarray:
    """Give each lock a slow wave of its own: guides [g, m, 3] of one lock wave together."""
    if amplitude_m <= 0:
        return guides
    arc = arc_lengths(guides)
    wave = lockset.bend[lockset.of_guide]
    grown = amplitude_m * smoothstep(0.0, _BEND_GROWS_M, arc)
    first, second = transport_frames(guides)
    for axis, phase, frequency in ((first, 0, 2), (second, 1, 3)):
        angle = 2 * np.pi * wave[:, frequency, None] * arc + wave[:, phase, None]
        swing = np.sin(angle) - np.sin(wave[:, phase, None])
        guides = guides + axis * (grown * swing)[..., None]
    return guides


def curl_guides(
    guides: np.ndarray, curl: Curl, tightness: float, rng: np.random.Generator
) -> np.ndarray:
    """Wind guides [n, m, 3] into helices or waves, `tightness` times the turns of the style."""
    count = len(guides)
    arc = arc_lengths(guides)
    if curl.smooth_phase:
        phase = 2.2 * smooth_noise(guides[:, 0], 9, rng) + rng.normal(0, 0.25, count)
        hand = np.ones(count)
    else:
        phase = rng.uniform(0, 2 * np.pi, count)
        hand = rng.choice([-1.0, 1.0], count)
    turns = curl.turns_per_m * tightness * np.exp(rng.normal(0.0, curl.jitter, count))
    # a tighter curl is a thinner one
    radius = curl.radius_m * tightness**-0.6 * np.exp(rng.normal(0.0, 0.15, count))
    angle = 2 * np.pi * (turns * hand)[:, None] * arc + phase[:, None]
    amplitude = radius[:, None] * smoothstep(0.0, curl.start_m, arc)
    first, second = transport_frames(guides)
    return (
        guides
        + first * (amplitude * np.cos(angle))[..., None]
        + second * (amplitude * np.sin(angle) * curl.roundness)[..., None]
    )
