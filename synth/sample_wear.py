"""Clothes of one look."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from synth import sample_garments as garments
from synth import sample_palettes as palettes
from synth.sample_draw import Draw, Weights, check_weights, choose, happens
from synth.spec import (
    GARMENTS,
    PATTERNS,
    Clothes,
    Rgb,
)

_WHITE_UNDER = 0.5
"""Probability that what is worn underneath is white."""


@dataclass(frozen=True)
class WearConfig:
    """Clothes.

    Attributes:
        garments, patterns: weights.
    """

    garments: Weights = field(
        default_factory=lambda: {
            "tee": 0.22,
            "v_neck": 0.08,
            "tank_top": 0.05,
            "sweater": 0.13,
            "turtleneck": 0.07,
            "shirt": 0.15,
            "polo": 0.07,
            "hoodie": 0.09,
            "cardigan": 0.06,
            "blazer": 0.08,
        }
    )
    patterns: Weights = field(
        default_factory=lambda: {
            "plain": 0.58,
            "horizontal_stripes": 0.10,
            "vertical_stripes": 0.06,
            "plaid": 0.07,
            "print": 0.06,
            "graphic": 0.08,
            "colour_block": 0.05,
        }
    )

    def __post_init__(self) -> None:
        check_weights("garments", self.garments, GARMENTS)
        check_weights("patterns", self.patterns, PATTERNS)


def sample_clothes(draw: Draw, settings: WearConfig) -> Clothes:
    """Garment, what it is worn over, colours, pattern, fabric and fit."""
    garment = choose(draw("clothes.garment"), settings.garments)
    rng = draw("clothes.colour")
    weights = np.array([cloth.weight for cloth in palettes.CLOTHS])
    first, second, under = rng.choice(len(weights), 3, replace=False, p=weights / weights.sum())

    def shade(number: int) -> Rgb:
        brightness = rng.uniform(0.8, 1.15)
        return tuple(float(min(0.7, c * brightness)) for c in palettes.CLOTHS[number].colour)

    colour, second_colour, under_colour = shade(first), shade(second), shade(under)
    rng = draw("clothes.under_colour")
    layers = garments.GARMENT_LAYERS.get(garment, {"none": 1.0})
    if rng.random() < _WHITE_UNDER:
        under_colour = garments.WHITE
    rng = draw("clothes.pattern")
    carried = garments.GARMENT_PATTERNS[garment]
    possible = {name: settings.patterns.get(name, 0.0) for name in carried}
    pattern = choose(rng, possible) if sum(possible.values()) > 0 else "plain"
    rng = draw("clothes.button_colour")
    buttons = garments.BUTTON_COLOURS[rng.integers(len(garments.BUTTON_COLOURS))]
    return Clothes(
        garment=garment,
        colour=colour,
        second_colour=second_colour,
        pattern=pattern,
        pattern_scale=float(draw("clothes.pattern_scale").uniform(24, 67)),
        wrinkles=float(draw("clothes.wrinkles").uniform(0.7, 1.6)),
        cloth_seed=draw.derive_seed("clothes.cloth"),
        fabric=choose(draw("clothes.fabric"), garments.GARMENT_FABRICS[garment]),
        fit=float(draw("clothes.fit").beta(2.0, 2.0)),
        opening=float(draw("clothes.opening").uniform(0, 1)),
        under=choose(draw("clothes.under_garment"), layers),
        under_colour=under_colour,
        button_colour=buttons,
        short_sleeves=happens(draw("clothes.sleeves"), garments.SHORT_SLEEVES.get(garment, 0.0)),
    )
