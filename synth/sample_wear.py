"""Clothes and makeup of one look."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np

from synth import sample_palettes as palettes
from synth.sample_draw import Draw, Weights, check_probability, check_weights, choose, happens
from synth.sample_identity import Person
from synth.spec import (
    GARMENTS,
    PATTERNS,
    Clothes,
    Makeup,
    Rgb,
    Skin,
)


@dataclass(frozen=True)
class WearConfig:
    """Clothes and makeup.

    Attributes:
        makeup: probability that a woman wears makeup at all.
        lipstick, eyeshadow: probabilities given makeup.
    """

    garments: Weights = field(
        default_factory=lambda: {
            "tee": 0.30,
            "v_neck": 0.12,
            "sweater": 0.18,
            "turtleneck": 0.10,
            "shirt": 0.18,
            "hoodie": 0.12,
        }
    )
    patterns: Weights = field(
        default_factory=lambda: {
            "plain": 0.62,
            "horizontal_stripes": 0.12,
            "vertical_stripes": 0.08,
            "plaid": 0.09,
            "print": 0.09,
        }
    )
    makeup: float = 0.55
    lipstick: float = 0.6
    eyeshadow: float = 0.4

    def __post_init__(self) -> None:
        check_weights("garments", self.garments, GARMENTS)
        check_weights("patterns", self.patterns, PATTERNS)
        for name in ("makeup", "lipstick", "eyeshadow"):
            check_probability(name, getattr(self, name))


def dress_skin(draw: Draw, settings: WearConfig, person: Person) -> Skin:
    """The person's skin with the makeup of this look."""
    rng = draw("makeup.worn")
    if not (person.female and happens(rng, settings.makeup)):
        return person.skin
    lipstick = eyeshadow = None
    rng = draw("makeup.lipstick")
    if happens(rng, settings.lipstick):
        colour = palettes.LIPSTICKS[rng.integers(len(palettes.LIPSTICKS))]
        # the same pigment is worn darker on darker skin
        lipstick = tuple(float(c * (1 - 0.62 * person.skin.melanin)) for c in colour)
    rng = draw("makeup.eyeshadow")
    if happens(rng, settings.eyeshadow):
        eyeshadow = palettes.EYESHADOWS[rng.integers(len(palettes.EYESHADOWS))]
    rng = draw("makeup.amount")
    makeup = Makeup(
        lipstick=lipstick,
        lipstick_opacity=float(rng.uniform(0.55, 0.9)),
        eyeshadow=eyeshadow,
        blush=float(rng.uniform(0, 0.5)),
    )
    return dataclasses.replace(person.skin, makeup=makeup)


def sample_clothes(draw: Draw, settings: WearConfig) -> Clothes:
    """Garment, colours and pattern."""
    rng = draw("clothes.colour")
    weights = np.array([cloth.weight for cloth in palettes.CLOTHS])
    first, second = rng.choice(len(weights), 2, replace=False, p=weights / weights.sum())

    def shade(number: int) -> Rgb:
        brightness = rng.uniform(0.8, 1.15)
        return tuple(float(min(0.7, c * brightness)) for c in palettes.CLOTHS[number].colour)

    return Clothes(
        garment=choose(draw("clothes.garment"), settings.garments),
        colour=shade(first),
        second_colour=shade(second),
        pattern=choose(draw("clothes.pattern"), settings.patterns),
        pattern_scale=float(draw("clothes.pattern_scale").uniform(24, 67)),
        wrinkles=float(draw("clothes.wrinkles").uniform(0.6, 1.3)),
        cloth_seed=draw.derive_seed("clothes.cloth"),
    )
