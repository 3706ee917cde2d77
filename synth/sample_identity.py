"""The person: bones, skin and eyes, everything that all looks of an identity share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from synth import sample_palettes as palettes
from synth.sample_config import DatasetConfig, IdentityConfig, Weights
from synth.spec import Eyes, Identity, Rgb, Skin

Draw = Callable[[str], np.random.Generator]
"""The generator of a named stream."""

YOUNGEST_YEARS, OLDEST_YEARS = 20.0, 85.0
_YOUNGEST, _OLDEST = 0.63, 0.98
"""anny's age values of these: 2/3 is a young adult, 1 is very old."""


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


def choose(rng: np.random.Generator, weights: Weights) -> str:
    """Draw a key; sorted, so that the order in a YAML file does not matter."""
    names = sorted(weights)
    edges = np.cumsum([weights[name] for name in names])
    position = np.searchsorted(edges, rng.random() * edges[-1], side="right")
    return names[min(int(position), len(names) - 1)]


def happens(rng: np.random.Generator, probability: float) -> bool:
    """True with the given probability."""
    return bool(rng.random() < probability)


def sample_person(draw: Draw, config: DatasetConfig) -> Person:
    """Draw a person from the streams of its identity index."""
    settings = config.identity
    female = happens(draw("identity.sex"), settings.female)
    age = float(draw("identity.age").beta(*settings.age_shape))
    group = choose(draw("identity.ancestry"), settings.ancestries)
    ancestry = _mixed(draw) if group == "mixed" else palettes.ANCESTRIES[group]
    years = YOUNGEST_YEARS + (OLDEST_YEARS - YOUNGEST_YEARS) * age
    identity = Identity(
        identity_id=f"s{config.seed}-{draw.index:06d}",
        phenotype=_phenotype(draw, ancestry, female, age),
        shape=_shape(draw, settings, female, age),
        age_years=float(round(years)),
        sex="female" if female else "male",
    )
    melanin = draw("skin.melanin").uniform(*ancestry.melanin)
    grey_spread = draw("hair.grey").normal(0, 0.15)
    return Person(
        identity=identity,
        skin=_skin(draw, melanin, age),
        eyes=_eyes(draw, ancestry),
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


def _skin(draw: Draw, melanin: float, age: float) -> Skin:
    def uniform(name: str, low: float, high: float) -> float:
        return float(draw(f"skin.{name}").uniform(low, high))

    freckles = max(0.0, uniform("freckles", -0.6, 0.7)) if melanin < 0.35 else 0.0
    return Skin(
        melanin=float(melanin),
        redness=float(np.clip(draw("skin.redness").normal(0.42, 0.22), 0, 1)),
        dark_circles=uniform("dark_circles", 0.0, 0.7),
        oil=uniform("oil", 0.1, 0.9),
        mottle=uniform("mottle", 0.6, 1.1),
        freckles=freckles,
        spots=max(0.0, uniform("spots", -0.5, 0.5)),
        moles=uniform("moles", 0.0, 0.4),
        wrinkles=float(np.clip(age * 1.25 + uniform("wrinkles", -0.1, 0.1), 0.03, 1.2)),
        bump=uniform("bump", 0.8, 1.1),
        texture_seed=draw.derive_seed("skin.texture"),
    )


def _eyes(draw: Draw, ancestry: palettes.Ancestry) -> Eyes:
    name = choose(draw("eyes.iris"), ancestry.irises)
    colour = palettes.IRISES[name]
    rng = draw("eyes.shade")
    shade = rng.uniform(0.5, 0.85)

    def darker(rgb: Rgb) -> Rgb:
        return tuple(float(channel * shade) for channel in rgb)

    return Eyes(
        iris_name=name,
        iris_dark=darker(colour.dark),
        iris_light=darker(colour.light),
        iris_inner=darker(colour.inner),
        iris_radius=float(draw("eyes.size").uniform(0.335, 0.365)),
        pupil=float(draw("eyes.pupil").uniform(0.28, 0.44)),
        veins=float(draw("eyes.veins").uniform(0.1, 0.5)),
    )
