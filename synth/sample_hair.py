"""Hair and beard of one look: style by sex and texture, colour by the person or the dye."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np

from synth import sample_palettes as palettes
from synth.sample_draw import Draw, Weights, check_weights, choose, happens
from synth.sample_identity import Person
from synth.spec import BEARD_STYLES, HAIR_STYLES, FacialHair, Hair, HairColour


@dataclass(frozen=True)
class HairConfig:
    """Hair styles by sex and texture, and colours by ancestry.

    Attributes:
        female_styles, male_styles: weights for straight to wavy hair.
        female_coily_styles, male_coily_styles: weights for tightly curled hair.
        balding: how much more often old men than young men are bald (0 never more often).
        dyed: probability that a woman's hair has one of the natural colours of other people.
        tinted: probability of a fancy dye.
        middle_parting: probability of a middle parting.
    """

    female_styles: Weights = field(
        default_factory=lambda: {
            "bob": 0.15,
            "long": 0.20,
            "wavy": 0.20,
            "long_curly": 0.10,
            "ponytail": 0.12,
            "bun": 0.10,
            "side_part": 0.05,
            "curly_short": 0.04,
            "crop": 0.03,
            "buzz": 0.01,
        }
    )
    male_styles: Weights = field(
        default_factory=lambda: {
            "buzz": 0.15,
            "crop": 0.26,
            "quiff": 0.18,
            "side_part": 0.20,
            "curly_short": 0.10,
            "bald": 0.06,
            "long": 0.03,
            "bob": 0.02,
        }
    )
    female_coily_styles: Weights = field(
        default_factory=lambda: {
            "afro": 0.30,
            "curly_short": 0.18,
            "long_curly": 0.22,
            "bun": 0.14,
            "long": 0.10,
            "buzz": 0.06,
        }
    )
    male_coily_styles: Weights = field(
        default_factory=lambda: {
            "buzz": 0.38,
            "afro": 0.16,
            "curly_short": 0.24,
            "crop": 0.10,
            "bald": 0.12,
        }
    )
    balding: float = 4.0
    dyed: float = 0.12
    tinted: float = 0.02
    middle_parting: float = 0.5

    def __post_init__(self) -> None:
        for name in ("female_styles", "male_styles", "female_coily_styles", "male_coily_styles"):
            check_weights(name, getattr(self, name), HAIR_STYLES)


@dataclass(frozen=True)
class FacialHairConfig:
    """Beards of men; women have none."""

    beards: Weights = field(
        default_factory=lambda: {
            "none": 0.44,
            "stubble": 0.22,
            "short": 0.14,
            "full": 0.09,
            "moustache": 0.05,
            "goatee": 0.06,
        }
    )

    def __post_init__(self) -> None:
        check_weights("beards", self.beards, BEARD_STYLES)


def sample_hair(draw: Draw, settings: HairConfig, person: Person) -> Hair:
    """The hair as worn: natural or dyed."""
    worn = _hair_colour(person.hair_colour, person.grey)
    rng = draw("hair.dye")
    if person.female and happens(rng, settings.dyed):
        worn = _hair_colour(choose(rng, dict.fromkeys(palettes.HAIR_COLOURS, 1.0)), 0.0)
    rng = draw("hair.tint")
    if happens(rng, settings.tinted):
        tint = palettes.TINTS[rng.integers(len(palettes.TINTS))]
        bleached = _hair_colour("blond", 0.0)
        albedo = tuple(a * t for a, t in zip(bleached.albedo, tint))
        worn = dataclasses.replace(bleached, name="tinted", tint=tint, albedo=albedo)
    style = choose(draw("hair.style"), _style_weights(settings, person))
    return Hair(
        style=style,
        colour=worn,
        groom_seed=draw.derive_seed("hair.groom"),
        length_scale=float(draw("hair.length").uniform(0.85, 1.15)),
        parting=_parting(draw("hair.parting"), settings, style),
    )


def _style_weights(settings: HairConfig, person: Person) -> dict[str, float]:
    sex = "female" if person.female else "male"
    weights = dict(getattr(settings, f"{sex}_{'coily_' if person.coily else ''}styles"))
    if not person.female and "bald" in weights:
        weights["bald"] *= 1 + settings.balding * person.age
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
    shadow = {"none": draw("beard.shadow").uniform(0.0, 0.18), "stubble": 0.32, "short": 0.5,
              "full": 0.55}.get(beard, 0.12)  # fmt: skip
    # blond and grey stubble hardly shows
    shadow *= 1 - 0.6 * min(1.0, max(natural.albedo) / 0.3)
    brow, lash = draw("brow.amount"), draw("lash.amount")
    female = person.female
    return FacialHair(
        beard=beard,
        beard_seed=draw.derive_seed("beard.groom"),
        colour=natural,
        beard_density=float(draw("beard.density").uniform(0.8, 1.15)),
        beard_length=float(draw("beard.length").uniform(0.8, 1.25)),
        shaving_shadow=0.0 if female else float(shadow),
        brow_density=float(brow.uniform(0.45, 0.75) if female else brow.uniform(0.6, 1.0)),
        brow_length=float(brow.uniform(0.8, 1.1)),
        lash_length=float(lash.uniform(0.95, 1.25) if female else lash.uniform(0.7, 0.95)),
    )
