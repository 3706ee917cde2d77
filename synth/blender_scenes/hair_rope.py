"""Ropes: guides become twists of two plies or braids of three."""

from __future__ import annotations

import numpy as np

from synth.blender_scenes.hair_field import smoothstep
from synth.blender_scenes.hair_frames import arc_lengths, transport_frames
from synth.blender_scenes.hair_styles import Rope


def rope_strands(
    rope: Rope,
    roots: np.ndarray,
    guides: np.ndarray,
    nearest: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Strands of ropes that wind along guides.

    Args:
        roots: [n, 3] model space; guides: [g, m, 3]; nearest: [n] guide of each strand.

    Returns:
        [n, m, 3] float32: from its root each strand joins its rope over `rope.gather_m`.
    """
    count, keys = len(roots), guides.shape[1]
    arc = arc_lengths(guides)
    phase = rng.uniform(0, 2 * np.pi, (len(guides), 1))
    size = np.exp(rng.normal(0.0, 0.08, (len(guides), 1)))
    t = np.linspace(0.0, 1.0, keys)
    # thinner towards the end, then the tassel opens
    radius = rope.radius_m * size * (1.0 - 0.40 * t[None] ** 1.5)
    turn = 2 * np.pi * arc / (rope.pitch_m * size) + phase
    ply = rng.integers(0, rope.plies, count)
    across, along = ply_centers(rope.plies, turn[nearest], ply)
    # a place inside the ply that turns with it, denser at its surface
    reach = 0.46 * np.sqrt(rng.uniform(0.25, 1.0, count))[:, None]
    angle = rng.uniform(0, 2 * np.pi, count)[:, None] + turn[nearest]
    loose = 1.0 + 1.5 * smoothstep(1.0 - rope.tassel, 1.0, t)[None]
    u = (across + loose * reach * np.cos(angle)) * radius[nearest]
    v = (along + loose * reach * np.sin(angle)) * radius[nearest]
    together = smoothstep(0.0, rope.gather_m, arc)[nearest]
    first, second = (f.astype(np.float32)[nearest] for f in transport_frames(guides))
    offset = (roots - guides[nearest, 0])[:, None] * (1 - together)[..., None]
    strands = guides[nearest] + offset
    strands = strands + first * (u * together)[..., None] + second * (v * together)[..., None]
    return strands.astype(np.float32)


def ply_centers(plies: int, turn: np.ndarray, ply: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Middle of plies in units of the rope's radius, at `turn` [n, m] radians for `ply` [n].

    Two plies are wound as a double helix. Three are plaited: each runs along a figure of eight, a
    third of it behind the next.
    """
    angle = turn + (2 * np.pi / plies) * ply[:, None]
    if plies == 2:
        return 0.5 * np.cos(angle), 0.5 * np.sin(angle)
    return 0.60 * np.sin(angle), 0.30 * np.sin(2 * angle)
