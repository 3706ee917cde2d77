"""The person: bones, skin and eyes, everything that all looks of an identity share."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from synth import sample_palettes as palettes
from synth import sample_shapes as shapes
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
from synth.spec import BrowShape, Eyes, Identity, Skin, Teeth

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
        shape_scale: factor on the spread of all sculpted controls; above 1.2 come caricatures.
        asymmetry: standard deviation of the difference between left and right.
        shoulder_breadth: ranges by sex, see `Identity.shoulder_breadth`.
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
    age_shape: Range = (1.1, 1.8)
    shape_scale: float = 1.0
    asymmetry: float = 0.06
    shoulder_breadth: dict[str, Range] = field(
        default_factory=lambda: {"female": (1.75, 1.92), "male": (1.90, 2.10)}
    )

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
        balding: how far a man's hairline goes back for his age, in standard deviations.
        brow_density, brow_length, lash_length, beard_density: how facial hair grows, factors of
            `FacialHair`.
    """

    identity: Identity
    skin: Skin
    eyes: Eyes
    age: float
    hair_colour: str
    grey: float
    coily: bool
    balding: float
    brow_density: float
    brow_length: float
    lash_length: float
    beard_density: float

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
        phenotype=(phenotype := _phenotype(draw, ancestry, female, age)),
        shape=_shape(draw, settings, ancestry, phenotype["weight"], female, age),
        age_years=float(round(years)),
        sex=(sex := "female" if female else "male"),
        shoulder_breadth=float(draw("identity.shoulders").uniform(*settings.shoulder_breadth[sex])),
        brows=_brows(draw("identity.brows"), female),
        teeth=_teeth(draw, age),
        ancestry=group,
    )
    melanin = draw("skin.melanin").uniform(*ancestry.melanin)
    grey_spread = draw("hair.grey").normal(0, 0.15)
    brow, lash = draw("brow.amount"), draw("lash.amount")
    return Person(
        identity=identity,
        skin=sample_skin(draw, melanin, age),
        eyes=sample_eyes(draw, ancestry, age),
        age=age,
        hair_colour=choose(draw("hair.colour"), ancestry.hair),
        grey=float(np.clip((age - 0.45) * 1.7 + grey_spread, 0, 0.95)) if age > 0.35 else 0.0,
        coily=happens(draw("hair.texture"), ancestry.coily),
        balding=float(draw("hair.balding").normal()),
        brow_density=float(brow.uniform(0.45, 0.9) if female else brow.uniform(0.6, 1.15)),
        brow_length=float(brow.uniform(0.8, 1.1)),
        lash_length=float(lash.uniform(0.95, 1.25) if female else lash.uniform(0.7, 0.95)),
        beard_density=float(draw("beard.density").uniform(0.8, 1.15)),
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
        tendencies=merge(first.tendencies, second.tendencies),
    )


def _phenotype(
    draw: Draw, ancestry: palettes.Ancestry, female: bool, age: float
) -> dict[str, float]:
    rng = draw("identity.phenotype")
    shares = rng.dirichlet(np.array(ancestry.shares) * 24 + 0.2)
    gender = np.clip((0.97 if female else 0.06) + rng.normal(0, 0.05), 0, 1)
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


def _brows(rng: np.random.Generator, female: bool) -> BrowShape:
    """Women's brows are mostly plucked: thinner, higher and more arched."""
    low, high = (0.70, 1.40) if female else (0.95, 1.80)
    return BrowShape(
        thickness=float(np.exp(rng.uniform(np.log(low), np.log(high)))),
        lift_m=float(rng.uniform(-0.0026, 0.0026) - (0.0010 if female else 0.0012)),
        arch_m=float(rng.uniform(-0.0012, 0.0022) if female else rng.uniform(-0.0022, 0.0012)),
        tail_m=float(rng.uniform(-0.0028, 0.0022)),
        gap_m=float(rng.uniform(-0.0030, 0.0034)),
    )


def _teeth(draw: Draw, age: float) -> Teeth:
    """Teeth darken with the years; few have a gap."""
    rng = draw("identity.teeth")
    return Teeth(
        shade=float(np.clip(rng.beta(2.0, 3.5) + 0.35 * age - 0.1, 0, 1)),
        size=float(rng.uniform(0.94, 1.06)),
        irregularity=float(rng.beta(1.3, 3.0)),
        gap_m=float(max(0.0, rng.uniform(-0.006, 0.0013))),
        seed=draw.derive_seed("identity.teeth"),
    )


def _shape(
    draw: Draw,
    settings: IdentityConfig,
    ancestry: palettes.Ancestry,
    weight: float,
    female: bool,
    age: float,
) -> dict[str, float]:
    """Sculpted controls: directions, what age and fat do, then what is nobody else's."""
    total = dict(shapes.SEX_MEANS["female" if female else "male"])

    def add(controls: dict[str, float], amount: float) -> None:
        for label, value in controls.items():
            total[label] = total.get(label, 0.0) + value * amount

    for name, controls in shapes.DIRECTIONS.items():
        rng = draw(f"identity.direction.{name}")
        position = rng.uniform(-shapes.DIRECTION_LIMIT, shapes.DIRECTION_LIMIT)
        spread = settings.shape_scale * (shapes.WOMENS_SPREAD.get(name, 1.0) if female else 1.0)
        add(controls, float(position * spread + ancestry.tendencies.get(name, 0.0)))
    old = max(0.0, age - shapes.MIDDLE_AGE) / (1 - shapes.MIDDLE_AGE)
    add(shapes.OLD_AGE, old * draw("identity.ageing").uniform(0.6, 1.1))
    add(shapes.BODY_FAT, (weight - 0.5) / 0.35)
    for labels, sigma in shapes.RESIDUALS.items():
        for label in labels:
            rng = draw(f"identity.shape.{label}")
            add({label: 1.0}, float(rng.normal(0, sigma * settings.shape_scale)))
    return (
        _forms(draw, settings) | _asymmetries(draw, settings) | _both_sides(draw, settings, total)
    )


def _both_sides(draw: Draw, settings: IdentityConfig, total: dict[str, float]) -> dict[str, float]:
    """Split `l-` controls into a left and a right one that differ a little; cut at the limit."""
    shape: dict[str, float] = {}
    for label, value in total.items():
        if label.startswith("l-"):
            rng = draw(f"identity.sides.{label}")
            left, right = value + rng.normal(0, settings.asymmetry, 2)
            shape[label], shape[f"r{label[1:]}"] = float(left), float(right)
        else:
            shape[label] = float(value)
    return {label: float(np.clip(v, -shapes.LIMIT, shapes.LIMIT)) for label, v in shape.items()}


def _forms(draw: Draw, settings: IdentityConfig) -> dict[str, float]:
    """The outline of the face: mostly one form, and a little of a second."""
    rng = draw("identity.form")
    first, second = (str(form) for form in rng.choice(list(shapes.FORMS), 2, replace=False))
    scale = min(settings.shape_scale, 1.0)
    return {
        first: float(rng.uniform(0.2, 1.0) * shapes.FORMS[first] * scale),
        second: float(rng.uniform(0, 0.4) * shapes.FORMS[second] * scale),
    }


def _asymmetries(draw: Draw, settings: IdentityConfig) -> dict[str, float]:
    factor = settings.asymmetry / shapes.USUAL_ASYMMETRY
    result = {}
    for labels, sigma in shapes.ASYMMETRIES.items():
        for label in labels:
            value = draw(f"identity.shape.{label}").normal(0, sigma * factor)
            result[label] = float(np.clip(value, -2.5 * sigma, 2.5 * sigma))
    return result
