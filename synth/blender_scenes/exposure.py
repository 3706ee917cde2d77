"""How a head is exposed, as a photographer does it: by what a light meter reads off the skin.

The light of a spec says how a face is lit, not how bright the picture is: the same lamp in front of
a face or beside it differs by two stops, a hat shades it, a dark skin returns a tenth of a light
one. `probe` therefore renders the face once, small and coarse, and this module turns what it saw
into stops. The probe is a pure function of the spec, and so are the stops.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from synth.blender_scenes.skin_tone import tone
from synth.color import LUMINANCE
from synth.errors import RenderInvalid

SKIN_LEVEL = 0.43
"""Scene-linear luminance that light skin is brought to: about 180 of 255 on screen."""
LIGHT_SKIN_LUMINANCE = 0.50
DARK_SKIN_GAIN = 0.18
"""Share of the difference to light skin, in stops, that the exposure takes back: 0.6 of 3.5."""
BRIGHT_QUANTILE = 0.95
BRIGHT_LIMIT = 1.35
"""The brightest skin may reach this scene-linear luminance, about 225 of 255: under a hard light
from the side the lit half then keeps its colour, and the other half stays dark."""
MIN_SKIN_PIXELS = 24
MIN_LUMINANCE = 1e-5
STEP_EV = 0.01
"""Stops are rounded to this, so that the last bits of a sum do not reach every pixel."""


@dataclass(frozen=True)
class Exposure:
    """What the light meter read, and what follows from it.

    Attributes:
        stops: exposure on top of the spec's own `light.exposure_ev`.
        skin_luminance: mean scene-linear luminance of the face's skin before any exposure.
        bright_luminance: its 95 % quantile.
        skin_pixels: number of pixels that were measured.
    """

    stops: float
    skin_luminance: float
    bright_luminance: float
    skin_pixels: int


def skin_target(melanin: float) -> float:
    """Scene-linear luminance at which skin of this melanin is shown.

    Dark skin gets a little more light than light skin, and stays visibly darker.

    Args:
        melanin: [0, 1].
    """
    luminance = float(tone(np.array([melanin]))[0] @ LUMINANCE)
    return SKIN_LEVEL * (luminance / LIGHT_SKIN_LUMINANCE) ** (1 - DARK_SKIN_GAIN)


def expose(luminance: np.ndarray, melanin: float) -> Exposure:
    """The stops that bring a face to its level without burning its bright side.

    Args:
        luminance: [n] scene-linear luminance of the skin's pixels.
        melanin: that of the skin, [0, 1].

    Raises:
        RenderInvalid: too little skin is seen to measure, or no light reaches it.
    """
    if len(luminance) < MIN_SKIN_PIXELS:
        raise RenderInvalid(
            f"the exposure probe sees {len(luminance)} pixels of skin, at least {MIN_SKIN_PIXELS} "
            "are needed; does something cover the whole face?"
        )
    mean = float(luminance.mean())
    if mean < MIN_LUMINANCE:
        raise RenderInvalid(
            f"the face is not lit: its luminance is {mean:.2g}; raise light.strength or add areas"
        )
    bright = float(np.quantile(luminance, BRIGHT_QUANTILE))
    stops = min(math.log2(skin_target(melanin) / mean), math.log2(BRIGHT_LIMIT / bright))
    return Exposure(
        stops=round(round(stops / STEP_EV) * STEP_EV, 4),
        skin_luminance=float(f"{mean:.5g}"),
        bright_luminance=float(f"{bright:.5g}"),
        skin_pixels=len(luminance),
    )
