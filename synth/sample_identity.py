"""The person: bones, skin and eyes, everything that all looks of an identity share."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from synth import sample_palettes as palettes
from synth.sample_draw import (
    Draw,
    Range,
    Weights,
    check_probability,
    check_weights,
    choose,
    happens,
)
from synth.sample_skin import sample_eyes, sample_skin
from synth.spec import Eyes, Identity, Skin

YOUNGEST_YEARS, OLDEST_YEARS = 20.0, 85.0
_YOUNGEST, _OLDEST = 0.63, 0.98
"""anny's age values of these: 2/3 is a young adult, 1 is very old."""


@dataclass(frozen=True)
class IdentityConfig:
    """Who there is. Adults only.

    Attributes:
        female: probability of a woman.
        ancestries: weights of the groups of `synth.sample_palettes.ANCESTRIES`, or "mixed".
        age_shape: parameters a, b of the Beta distribution of age between 20 and 85 years.
        shape_scale: factor on the spread of all sculpted controls; above 1.3 come caricatures.
        asymmetry: standard deviation of the difference between left and right.
    """

    female: float = 0.5
    ancestries: Weights = field(
        default_factory=lambda: {
            "african": 0.20,
            "east_asian": 0.18,
            "south_asian": 0.14,
            "middle_eastern": 0.10,
            "european": 0.22,
            "mixed": 0.16,
        }
    )
    age_shape: Range = (1.2, 2.4)
    shape_scale: float = 1.0
    asymmetry: float = 0.05

    def __post_init__(self) -> None:
        check_probability("female", self.female)
        check_weights("ancestries", self.ancestries, (*palettes.ANCESTRIES, "mixed"))


@dataclass(frozen=True)
class Person:
    """An identity with its skin and eyes, and what the looks need to know about it.

    Attributes:
        age: 0 youngest ... 1 oldest adult.
        hair_colour: name of the natural hair colour.
        grey: fraction of grey hair.
        coily: tightly curled hair.
    """

    identity: Identity
    skin: Skin
    eyes: Eyes
    age: float
    hair_colour: str
    grey: float
    coily: bool

    @property
    def female(self) -> bool:
        return self.identity.sex == "female"


def sample_person(draw: Draw, settings: IdentityConfig, seed: int) -> Person:
    """Draw a person from the streams of its identity index."""
    female = happens(draw("identity.sex"), settings.female)
    age = float(draw("identity.age").beta(*settings.age_shape))
    group = choose(draw("identity.ancestry"), settings.ancestries)
    ancestry = _mixed(draw) if group == "mixed" else palettes.ANCESTRIES[group]
    years = YOUNGEST_YEARS + (OLDEST_YEARS - YOUNGEST_YEARS) * age
    identity = Identity(
        identity_id=f"s{seed}-{draw.index:06d}",
        phenotype=_phenotype(draw, ancestry, female, age),
        shape=_shape(draw, settings, female, age),
        age_years=float(round(years)),
        sex="female" if female else "male",
    )
    melanin = draw("skin.melanin").uniform(*ancestry.melanin)
    grey_spread = draw("hair.grey").normal(0, 0.15)
    return Person(
        identity=identity,
        skin=sample_skin(draw, melanin, age),
        eyes=sample_eyes(draw, ancestry, age),
        age=age,
        hair_colour=choose(draw("hair.colour"), ancestry.hair),
        grey=float(np.clip((age - 0.45) * 1.7 + grey_spread, 0, 0.95)) if age > 0.35 else 0.0,
        coily=happens(draw("hair.texture"), ancestry.coily),
    )


def _mixed(draw: Draw) -> palettes.Ancestry:
    """A blend of two ancestries: shapes and melanin between them, colours of either."""
    rng = draw("identity.mixture")
    names = sorted(palettes.ANCESTRIES)
    first, second = (palettes.ANCESTRIES[names[i]] for i in rng.choice(len(names), 2, False))
    share = rng.uniform(0.3, 0.7)

    def blend(a: float, b: float) -> float:
        return float(share * a + (1 - share) * b)

    def merge(a: Weights, b: Weights) -> Weights:
        return {k: blend(a.get(k, 0.0), b.get(k, 0.0)) for k in sorted({*a, *b})}

    return palettes.Ancestry(
        shares=tuple(blend(a, b) for a, b in zip(first.shares, second.shares)),
        melanin=tuple(blend(a, b) for a, b in zip(first.melanin, second.melanin)),
        hair=merge(first.hair, second.hair),
        irises=merge(first.irises, second.irises),
        coily=blend(first.coily, second.coily),
    )


def _phenotype(
    draw: Draw, ancestry: palettes.Ancestry, female: bool, age: float
) -> dict[str, float]:
    rng = draw("identity.phenotype")
    shares = rng.dirichlet(np.array(ancestry.shares) * 24 + 0.2)
    gender = np.clip((0.95 if female else 0.08) + rng.normal(0, 0.07), 0, 1)
    return {
        "gender": float(gender),
        "age": _YOUNGEST + (_OLDEST - _YOUNGEST) * age,
        "muscle": float(rng.uniform(0.3, 0.75)),
        "weight": float(np.clip(rng.normal(0.5, 0.17), 0.15, 0.92)),
        "height": float(rng.uniform(0.3, 0.8)),
        "proportions": float(rng.uniform(0.3, 0.9)),
        "cupsize": 0.45,
        "african": float(shares[0]),
        "asian": float(shares[1]),
        "caucasian": float(shares[2]),
    }


def _shape(draw: Draw, settings: IdentityConfig, female: bool, age: float) -> dict[str, float]:
    """Sculpted controls; left and right are coupled and differ a little."""
    shape: dict[str, float] = {}
    means = palettes.CONTROL_MEAN["female" if female else "male"]
    for part, labels in palettes.CONTROLS.items():
        sigma = palettes.CONTROL_SIGMA[part] * settings.shape_scale
        sigma *= palettes.FEMALE_FACTOR.get(part, 1.0) if female else 1.0
        for label in labels:
            rng = draw(f"identity.shape.{label}")
            value = float(np.clip(rng.normal(0, sigma), -0.7, 0.7))
            value = value * palettes.CONTROL_FACTOR.get(label, 1.0) + means.get(label, 0.0)
            if label.startswith("l-"):
                left, right = value + rng.normal(0, settings.asymmetry, 2)
                shape[label], shape[f"r{label[1:]}"] = float(left), float(right)
            else:
                shape[label] = value
    rng = draw("identity.shape.age")
    shape["head-age-incr"] = float(max(0.0, age - 0.35) * 0.8 * rng.uniform(0.5, 1.0))
    return shape
