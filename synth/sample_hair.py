"""Hair and beard of one look: style by sex and texture, colour by the person or the dye."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np

from synth import sample_palettes as palettes
from synth.sample_draw import (
    Draw,
    Weights,
    check_probability,
    check_weights,
    choose,
    happens,
)
from synth.sample_identity import Person
from synth.spec import BEARD_STYLES, HAIR_STYLES, FacialHair, Hair, HairColour


@dataclass(frozen=True)
class HairConfig:
    """Hair styles by sex and texture, and colours by ancestry.

    Attributes:
        female_styles, male_styles: weights for straight to wavy hair.
        female_coily_styles, male_coily_styles: weights for tightly curled hair.
        balding: how much more often old men than young men are bald or receding (0 never more).
        dyed: probability that a woman's hair has one of the natural colours of other people.
        regrowth: probability that dyed or tinted hair shows natural roots.
        light_tips: probability of bleached ends in a woman's hair; half of it in a man's.
        tinted: probability of a fancy dye.
        middle_parting: probability of a middle parting.
        fringe: probability of bangs where a woman's style allows them.
        tucked: probability that long hair is tucked behind an ear or both.
    """

    female_styles: Weights = field(
        default_factory=lambda: {
            "bob": 0.15,
            "long": 0.20,
            "wavy": 0.20,
            "long_curly": 0.10,
            "ponytail": 0.11,
            "bun": 0.10,
            "side_part": 0.04,
            "curly_short": 0.04,
            "crop": 0.03,
            "curtain": 0.03,
            "buzz": 0.01,
        }
    )
    male_styles: Weights = field(
        default_factory=lambda: {
            "buzz": 0.13,
            "crop": 0.22,
            "quiff": 0.15,
            "side_part": 0.17,
            "curtain": 0.08,
            "curly_short": 0.09,
            "receding": 0.045,
            "bald": 0.03,
            "long": 0.03,
            "bob": 0.01,
        }
    )
    female_coily_styles: Weights = field(
        default_factory=lambda: {
            "afro": 0.22,
            "curly_short": 0.14,
            "long_curly": 0.18,
            "braids": 0.18,
            "twists": 0.08,
            "bun": 0.10,
            "long": 0.06,
            "buzz": 0.04,
        }
    )
    male_coily_styles: Weights = field(
        default_factory=lambda: {
            "buzz": 0.36,
            "afro": 0.11,
            "curly_short": 0.18,
            "twists": 0.14,
            "braids": 0.05,
            "receding": 0.04,
            "bald": 0.06,
        }
    )
    balding: float = 3.0
    dyed: float = 0.12
    regrowth: float = 0.5
    light_tips: float = 0.10
    tinted: float = 0.02
    middle_parting: float = 0.5
    fringe: float = 0.22
    tucked: float = 0.5

    def __post_init__(self) -> None:
        for name in ("female_styles", "male_styles", "female_coily_styles", "male_coily_styles"):
            check_weights(name, getattr(self, name), HAIR_STYLES)
        for name in ("dyed", "regrowth", "light_tips", "tinted", "middle_parting", "fringe",
                     "tucked"):  # fmt: skip
            check_probability(name, getattr(self, name))


@dataclass(frozen=True)
class FacialHairConfig:
    """Beards of men; women have none."""

    beards: Weights = field(
        default_factory=lambda: {
            "none": 0.42,
            "stubble": 0.22,
            "short": 0.14,
            "full": 0.08,
            "moustache": 0.04,
            "goatee": 0.04,
            "circle": 0.06,
        }
    )

    def __post_init__(self) -> None:
        check_weights("beards", self.beards, BEARD_STYLES)


_FRINGE_STYLES = ("bob", "long", "wavy", "long_curly", "ponytail", "bun")
_TUCKABLE_STYLES = ("bob", "long", "wavy", "braids")
_SHORT_MALE_STYLES = ("buzz", "crop", "quiff", "side_part")


_LONGEST_AFRO = 0.92
"""Factor on the style's length; at 1.0 strands of one touched the top of the default frame."""


def sample_hair(draw: Draw, settings: HairConfig, person: Person) -> Hair:
    """The hair as worn: natural or dyed."""
    style = choose(draw("hair.style"), _style_weights(settings, person))
    shape = draw("hair.shape")
    length = float(draw("hair.length").uniform(0.85, 1.15))
    if style == "afro":
        length = min(length, _LONGEST_AFRO)
    return Hair(
        style=style,
        colour=_worn_colour(draw, settings, person),
        groom_seed=draw.derive_seed("hair.groom"),
        length_scale=length,
        parting=_parting(draw("hair.parting"), settings, style),
        volume=float(shape.uniform(0.75, 1.30)),
        curl=float(shape.uniform(0.75, 1.30)),
        fringe=_fringe(draw("hair.fringe"), settings, style, person),
        tucked=_tucked(draw("hair.tucked"), settings, style),
        recession=_recession(style, person),
    )


def _worn_colour(draw: Draw, settings: HairConfig, person: Person) -> HairColour:
    worn = natural = _hair_colour(person.hair_colour, person.grey)
    rng = draw("hair.dye")
    if person.female and happens(rng, settings.dyed):
        worn = _hair_colour(choose(rng, dict.fromkeys(palettes.HAIR_COLOURS, 1.0)), 0.0)
    rng = draw("hair.tint")
    if happens(rng, settings.tinted):
        tint = palettes.TINTS[rng.integers(len(palettes.TINTS))]
        bleached = _hair_colour("blond", 0.0)
        albedo = tuple(a * t for a, t in zip(bleached.albedo, tint))
        worn = dataclasses.replace(bleached, name="tinted", tint=tint, albedo=albedo)
    rng = draw("hair.ends")
    bleach = settings.light_tips * (1.0 if person.female else 0.5) * (worn.grey < 0.2)
    if happens(rng, bleach):
        worn = dataclasses.replace(worn, light_tips=float(rng.uniform(0.35, 0.9)))
    rng = draw("hair.roots")
    if worn.melanin != natural.melanin and happens(rng, settings.regrowth):
        worn = dataclasses.replace(
            worn, regrowth=float(rng.uniform(0.03, 0.12)), regrowth_melanin=natural.melanin
        )
    return worn


def _fringe(rng: np.random.Generator, settings: HairConfig, style: str, person: Person) -> float:
    wanted = person.female and style in _FRINGE_STYLES and happens(rng, settings.fringe)
    return float(rng.uniform(0.55, 1.0)) if wanted else 0.0


def _tucked(rng: np.random.Generator, settings: HairConfig, style: str) -> str:
    if style not in _TUCKABLE_STYLES or not happens(rng, settings.tucked):
        return "none"
    return choose(rng, {"left": 0.25, "right": 0.25, "both": 0.5})


def _recession(style: str, person: Person) -> float:
    """Male pattern: most of it in receding hair, some in the short hair of older men."""
    if style == "receding":
        return float(np.clip(0.50 + 0.25 * person.age + 0.12 * person.balding, 0.3, 1.0))
    if person.female or style not in _SHORT_MALE_STYLES:
        return 0.0
    return float(np.clip(0.30 * person.age - 0.03 + 0.10 * person.balding, 0.0, 0.35))


def _style_weights(settings: HairConfig, person: Person) -> dict[str, float]:
    sex = "female" if person.female else "male"
    weights = dict(getattr(settings, f"{sex}_{'coily_' if person.coily else ''}styles"))
    for style in {"bald", "receding"} & set(weights):
        weights[style] *= 1 + settings.balding * person.age
    for style in {"long", "wavy", "long_curly", "ponytail"} & set(weights):
        weights[style] *= 1 - 0.6 * person.age  # long hair becomes rarer with age
    return weights


def _parting(rng: np.random.Generator, settings: HairConfig, style: str) -> float:
    side = rng.choice((-1.0, 1.0))
    if style != "side_part" and happens(rng, settings.middle_parting):
        return float(rng.normal(0, 0.002))
    return float(side * rng.uniform(0.018, 0.035))


def _hair_colour(name: str, grey: float) -> HairColour:
    pigment = palettes.HAIR_COLOURS[name]
    albedo = tuple(
        float(a * (1 - grey) + g * grey) for a, g in zip(pigment.albedo, palettes.GREY_ALBEDO)
    )
    return HairColour(name, pigment.melanin, pigment.redness, albedo, grey)


def sample_facial_hair(draw: Draw, settings: FacialHairConfig, person: Person) -> FacialHair:
    """Beard, brows and lashes, in the person's natural colour; they grey later than the scalp."""
    natural = _hair_colour(person.hair_colour, 0.7 * person.grey)
    beard = "none" if person.female else choose(draw("beard.style"), settings.beards)
    shadow = {"none": draw("beard.shadow").uniform(0.0, 0.18), "stubble": 0.28, "short": 0.45,
              "full": 0.50}.get(beard, 0.10)  # fmt: skip
    # blond and grey stubble hardly shows
    shadow *= 1 - 0.6 * min(1.0, max(natural.albedo) / 0.3)
    return FacialHair(
        beard=beard,
        beard_seed=draw.derive_seed("beard.groom"),
        colour=natural,
        beard_density=person.beard_density,
        beard_length=float(draw("beard.length").uniform(0.8, 1.25)),
        shaving_shadow=0.0 if person.female else float(shadow),
        brow_density=person.brow_density,
        brow_length=person.brow_length,
        lash_length=person.lash_length,
    )
