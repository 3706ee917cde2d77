"""Lips and lids that touch do not pass through: corrections after the sum of shapes.

Shapes are linear, so a shrugging lower lip or a frown over thin lips would push one lip millimetres
into the other, and a lid that closes over a long eye would let the eyeball through. Lips give way
to each other, and the skin around them less and less; lids slide over the eyeball.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synth.headmodel_masks import smoothstep

# Where the lips meet, from the middle outwards: canonical |x|, y and the heights of the upper and
# of the lower lip, in millimetres.
_SEAM = (
    (0.0, -159.5, 823.7, 822.4), (5.7, -159.0, 823.8, 822.5), (11.3, -157.4, 824.1, 822.3),
    (16.3, -154.8, 823.5, 822.2), (20.6, -152.4, 823.1, 821.6),
)  # fmt: skip
_CORNER_M = 0.027
_MIDDLE_Z = 0.8231
_UPPER_REACH_M, _LOWER_REACH_M = 0.020, 0.022
_TOUCH_M = 0.0006
"""The least distance of the base vertices of both lips; subdivision rounds their edges off."""

_LID_ANGLE_DEG = 62.0
"""Lids lie within this angle of the line of sight, seen from the middle of the eyeball."""
_LID_DEPTH_M = 0.005
_LID_CLEARANCE_M = 0.0006
"""Least distance of a lid's base vertices from the eyeball, unless they lie closer on the canonical
head; subdivision cuts the chords between."""


@dataclass(frozen=True, eq=False)
class LipSeam:
    """Which base vertices of the lips meet, and what moves when they are parted.

    Attributes:
        x: [S] canonical position of the pairs in metres, ascending.
        upper, lower: [S] base vertices.
        share: [N] how far each base vertex goes up (negative: down) of what a pair is parted.
        canonical_x: [N] of all base vertices.
    """

    x: np.ndarray
    upper: np.ndarray
    lower: np.ndarray
    share: np.ndarray
    canonical_x: np.ndarray


def build_seam(canonical_base: np.ndarray, body: np.ndarray) -> LipSeam:
    """The seam of the base mesh.

    Args:
        canonical_base: [N, 3] metres.
        body: vertices of the skin, in base numbering.
    """
    right = [(-x, *rest) for x, *rest in _SEAM[:0:-1]]
    places = np.array([*right, *_SEAM]) / 1000  # [S, 4]

    def nearest(wanted: np.ndarray) -> np.ndarray:
        offsets = canonical_base[body][None] - wanted[:, None]
        return body[np.argmin(np.linalg.norm(offsets, axis=2), axis=1)]

    x, y, z = canonical_base.T
    above, below = z - _MIDDLE_Z, _MIDDLE_Z - z
    up = (above > 0) * smoothstep(_UPPER_REACH_M, 0.002, above)
    down = (below >= 0) * smoothstep(_LOWER_REACH_M, 0.002, below)
    share = np.zeros(len(z))
    share[body] = 0.5 * ((up - down) * smoothstep(-0.135, -0.148, y))[body]
    upper, lower = nearest(places[:, [0, 1, 2]]), nearest(places[:, [0, 1, 3]])
    return LipSeam(places[:, 0], upper, lower, share, x)


def part_lips(base: np.ndarray, seam: LipSeam) -> np.ndarray:
    """Base vertices [N, 3] in metres, of an unturned head, with lips that touch at most."""
    crossed = np.maximum(_TOUCH_M - (base[seam.upper, 2] - base[seam.lower, 2]), 0)
    if not crossed.any():
        return base
    x = np.concatenate([[-_CORNER_M], seam.x, [_CORNER_M]])
    depth = np.interp(seam.canonical_x, x, np.pad(crossed, 1), left=0, right=0)
    parted = base.copy()
    parted[:, 2] += seam.share * depth
    return parted


def lid_vertices(
    canonical_base: np.ndarray, body: np.ndarray, center: np.ndarray, radius: float
) -> tuple[np.ndarray, np.ndarray]:
    """Base vertices [L] of the skin in front of an eyeball, and their least distance [L] from it.

    Args:
        canonical_base: [N, 3] metres; center, radius: the eyeball of the same head.
        body: vertices of the skin, in base numbering.
    """
    local = canonical_base[body] - center
    distance = np.linalg.norm(local, axis=1)
    in_front = -local[:, 1] > np.cos(np.radians(_LID_ANGLE_DEG)) * distance
    lids = in_front & (distance > radius) & (distance < radius + _LID_DEPTH_M)
    return body[lids], np.minimum(distance[lids] - radius, _LID_CLEARANCE_M)


def clear_lids(
    base: np.ndarray, lids: tuple[np.ndarray, np.ndarray], center: np.ndarray, radius: float
) -> np.ndarray:
    """Base vertices [N, 3] in metres whose `lids` stay outside the eyeball."""
    vertices, clearance = lids
    local = base[vertices] - center
    distance = np.linalg.norm(local, axis=1)
    cleared = base.copy()
    cleared[vertices] = center + local * np.maximum(1, (radius + clearance) / distance)[:, None]
    return cleared
