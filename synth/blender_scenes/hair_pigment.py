"""Colour differences within one head of hair, as factors on the amount of pigment.

Principled Hair turns melanin m into an amount of pigment -ln(1 - m) (Chiang et al. 2016, section
4.2), to which these factors apply; so one material per object is enough for grey strands, roots
that grew since the dye, and light ends.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from synth.blender_scenes.hair_field import smoothstep
from synth.blender_scenes.hair_strands import StrandSet
from synth.spec import HairColour

_GREY_MELANIN = 0.10
"""Gives strands of any colour about `GREY_ALBEDO`."""
_STRAND_DEVIATION = 0.14
_TIP_LIGHTENING = 2.2
_TEMPLE = np.array([0.070, -0.085, 0.915])
_TEMPLE_RADIUS_M = 0.055


def pigment_amount(melanin: float) -> float:
    """Pigment of a melanin value in [0, 1)."""
    return float(-np.log(max(1.0 - melanin, 1e-4)))


def facial_colour(colour: HairColour) -> HairColour:
    """Brows and beards are a little darker than the hair of the scalp."""
    return replace(colour, melanin=min(1.0, 0.9 * colour.melanin + 0.12))


def greying(canonical: np.ndarray, grey: float) -> np.ndarray:
    """Probability [n] that a hair with this root is grey; temples and sideburns lead the top.

    Args:
        canonical: [n, 3] roots in canonical metres; grey: fraction over the whole head, [0, 1].
    """
    sideways = np.stack([np.abs(canonical[:, 0]), canonical[:, 1], canonical[:, 2]], -1)
    near = np.exp(-((np.linalg.norm(sideways - _TEMPLE, axis=-1) / _TEMPLE_RADIUS_M) ** 2))
    return 1.0 - (1.0 - min(grey, 0.999)) ** (0.6 + 2.4 * near)


def _centre(colour: HairColour, variance: float) -> float:
    """What to add to the logarithm of the pigment so that the mean of strands has the colour.

    A strand of p times the pigment has the albedo c ** sqrt(p) (Chiang et al. 2016, eq. 9), which
    is convex: strands that differ are brighter in the mean. To second order in log p.
    """
    depth = -float(np.log(np.mean(colour.albedo)))
    return 0.25 * variance * (depth - 1.0)


def colour_strands(
    strands: StrandSet,
    colour: HairColour,
    canonical_roots: np.ndarray,
    shade: np.ndarray,
    rng: np.random.Generator,
) -> StrandSet:
    """The strands with their pigment.

    Args:
        canonical_roots: [n, 3]; shade: [n] logarithm of the factor of a strand's lock.
    """
    count, keys = strands.radii.shape
    own = pigment_amount(colour.melanin)
    t = np.linspace(0.0, 1.0, keys)[None]
    shade = shade + rng.normal(0.0, _STRAND_DEVIATION, count)
    shade = shade + _centre(colour, float(shade.var()))
    factor = np.exp(shade)[:, None] * np.ones((1, keys))
    edge = rng.normal(0.0, 0.03, count)[:, None] + 0.06 * shade[:, None]
    if colour.light_tips > 0:
        ends = smoothstep(0.35, 0.95, t + edge)
        factor *= np.exp(-_TIP_LIGHTENING * colour.light_tips * ends)
    if colour.regrowth > 0:
        grown = smoothstep(colour.regrowth + 0.08, colour.regrowth - 0.02, t + edge)
        natural = pigment_amount(colour.regrowth_melanin) / own
        factor *= natural**grown
    if colour.grey > 0:
        is_grey = rng.random(count) < greying(canonical_roots, colour.grey)
        factor[is_grey] = pigment_amount(_GREY_MELANIN) / own
    return replace(strands, pigment=factor.astype(np.float32))
