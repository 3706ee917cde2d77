"""Glasses, headwear and earrings of one look, and what goes together."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from synth import sample_palettes as palettes
from synth.sample_draw import Draw, Weights, check_probability, check_weights, choose, happens
from synth.sample_identity import Person
from synth.spec import (
    EARRINGS,
    GLASSES_SHAPES,
    HEADWEAR,
    PATTERNS,
    Accessories,
    Earrings,
    Glasses,
    Headwear,
    Rgb,
)


@dataclass(frozen=True)
class AccessoriesConfig:
    """Glasses, headwear and earrings, each with its probability.

    Attributes:
        glasses: probability of glasses for the youngest; it doubles towards old age.
        glasses_shapes: weights of their shapes.
        tinted_glasses: probability that glasses are tinted.
        female_headwear, male_headwear: probability of any headwear.
        female_headwear_kinds, male_headwear_kinds: weights given headwear. Every hair style wears
            every hat: what is under it is pressed or hidden.
        headwear_patterns: weights of the patterns of hats; headscarf_patterns: of headscarves.
        female_earrings, male_earrings: probability of a pair of earrings, where no headscarf
            covers the ears.
        earring_kinds: weights for women; men wear studs and hoops in the same proportion.
        gem_earrings: probability of a stone, pearl or bead instead of plain metal.
    """

    glasses: float = 0.14
    glasses_shapes: Weights = field(
        default_factory=lambda: {"round": 0.25, "oval": 0.2, "rectangle": 0.35, "browline": 0.2}
    )
    tinted_glasses: float = 0.10
    female_headwear: float = 0.16
    male_headwear: float = 0.15
    female_headwear_kinds: Weights = field(
        default_factory=lambda: {"beanie": 0.3, "cap": 0.16, "bucket_hat": 0.16, "headscarf": 0.38}
    )
    male_headwear_kinds: Weights = field(
        default_factory=lambda: {"beanie": 0.42, "cap": 0.42, "bucket_hat": 0.16}
    )
    headwear_patterns: Weights = field(
        default_factory=lambda: {"plain": 0.8, "horizontal_stripes": 0.1, "plaid": 0.1}
    )
    headscarf_patterns: Weights = field(default_factory=lambda: {"plain": 0.72, "print": 0.28})
    female_earrings: float = 0.38
    male_earrings: float = 0.06
    earring_kinds: Weights = field(
        default_factory=lambda: {"stud": 0.4, "hoop": 0.32, "drop": 0.28}
    )
    gem_earrings: float = 0.45

    def __post_init__(self) -> None:
        check_weights("glasses_shapes", self.glasses_shapes, GLASSES_SHAPES)
        check_weights("female_headwear_kinds", self.female_headwear_kinds, HEADWEAR)
        check_weights("male_headwear_kinds", self.male_headwear_kinds, HEADWEAR)
        check_weights("headwear_patterns", self.headwear_patterns, PATTERNS)
        check_weights("headscarf_patterns", self.headscarf_patterns, PATTERNS)
        check_weights("earring_kinds", self.earring_kinds, EARRINGS)
        for name in (
            "glasses", "tinted_glasses", "female_headwear", "male_headwear", "female_earrings",
            "male_earrings", "gem_earrings",
        ):  # fmt: skip
            check_probability(name, getattr(self, name))


def sample_accessories(
    draw: Draw, glasses_draw: Draw, settings: AccessoriesConfig, person: Person
) -> Accessories:
    """What the head wears beside clothes; glasses have streams of their own: people keep them."""
    headwear = _headwear(draw, settings, person)
    covered = headwear is not None and headwear.kind == "headscarf"
    return Accessories(
        glasses=_glasses(glasses_draw, settings, person),
        headwear=headwear,
        earrings=None if covered else _earrings(draw, settings, person),
    )


def _glasses(draw: Draw, settings: AccessoriesConfig, person: Person) -> Glasses | None:
    if not happens(draw("glasses.worn"), min(1.0, settings.glasses * (1 + person.age))):
        return None
    rng = draw("glasses.look")
    weights = np.array([frame.weight for frame in palettes.FRAMES])
    frame = palettes.FRAMES[rng.choice(len(weights), p=weights / weights.sum())]
    radius = rng.uniform(0.00055, 0.00080) if frame.metal else rng.uniform(0.0013, 0.0021)
    rng = draw("glasses.tint")
    tinted = happens(rng, settings.tinted_glasses)
    return Glasses(
        shape=choose(draw("glasses.shape"), settings.glasses_shapes),
        colour=frame.colour,
        rim_radius_m=float(radius),
        metal=1.0 if frame.metal else 0.0,
        tint=float(rng.uniform(0.45, 0.95)) if tinted else 0.0,
        second_colour=frame.second_colour,
        tortoise=frame.tortoise,
        lens_colour=palettes.LENS_COLOURS[rng.integers(len(palettes.LENS_COLOURS))],
        gradient=float(rng.uniform(0.4, 0.9)) if happens(rng, 0.55) else 0.0,
    )


def _headwear(draw: Draw, settings: AccessoriesConfig, person: Person) -> Headwear | None:
    sex = "female" if person.female else "male"
    if not happens(draw("headwear.worn"), getattr(settings, f"{sex}_headwear")):
        return None
    kind = choose(draw("headwear.kind"), getattr(settings, f"{sex}_headwear_kinds"))
    rng = draw("headwear.colour")
    colour, second_colour = _two_cloths(rng)
    scarf = kind == "headscarf"
    patterns = settings.headscarf_patterns if scarf else settings.headwear_patterns
    rng = draw("headwear.fit")
    backwards = kind == "cap" and happens(rng, 0.12)
    return Headwear(
        kind=kind,
        colour=colour,
        second_colour=second_colour,
        pattern=choose(draw("headwear.pattern"), patterns),
        pattern_scale=float(draw("headwear.pattern_scale").uniform(20, 55)),
        tilt_deg=float(np.clip(rng.normal(1.0, 2.5), -5, 7)),
        turn_deg=float(np.clip(rng.normal(180.0 if backwards else 0.0, 5.0), -12, 190)),
        looseness=float(rng.uniform(0.0, 1.0)),
        fit_seed=draw.derive_seed("headwear.folds"),
    )


def _earrings(draw: Draw, settings: AccessoriesConfig, person: Person) -> Earrings | None:
    sex = "female" if person.female else "male"
    if not happens(draw("earrings.worn"), getattr(settings, f"{sex}_earrings")):
        return None
    weights = dict(settings.earring_kinds)
    if not person.female and sum(weights.get(kind, 0.0) for kind in ("stud", "hoop")) > 0:
        weights.pop("drop", None)
    kind = choose(draw("earrings.kind"), weights)
    rng = draw("earrings.look")
    low, high = {"stud": (0.003, 0.007), "hoop": (0.012, 0.042), "drop": (0.022, 0.050)}[kind]
    if not person.female:
        high = low + 0.25 * (high - low)
    metal_colour = palettes.METALS[rng.integers(len(palettes.METALS))]
    gem = kind != "hoop" and happens(rng, settings.gem_earrings)
    colour = palettes.GEMS[rng.integers(len(palettes.GEMS))] if gem else metal_colour
    return Earrings(
        kind=kind,
        colour=colour,
        size_m=float(rng.uniform(low, high)),
        metal=0.0 if gem else 1.0,
        metal_colour=metal_colour,
    )


def _two_cloths(rng: np.random.Generator) -> tuple[Rgb, Rgb]:
    """Two different colours of cloth, each a little lighter or darker than its name."""
    weights = np.array([cloth.weight for cloth in palettes.CLOTHS])
    chosen = rng.choice(len(weights), 2, replace=False, p=weights / weights.sum())
    brightness = rng.uniform(0.8, 1.15, 2)
    first, second = (
        tuple(float(min(0.7, c * shade)) for c in palettes.CLOTHS[number].colour)
        for number, shade in zip(chosen, brightness)
    )
    return first, second
