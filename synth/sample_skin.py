"""Skin and eyes of a person."""

from __future__ import annotations

import numpy as np

from synth import sample_palettes as palettes
from synth.sample_draw import Draw, choose, happens
from synth.spec import Eyes, Rgb, Skin


def sample_skin(draw: Draw, melanin: float, age: float) -> Skin:
    """The bare skin of a person; makeup belongs to a look.

    Args:
        melanin: [0, 1].
        age: 0 youngest ... 1 oldest adult.
    """

    def uniform(name: str, low: float, high: float) -> float:
        return float(draw(f"skin.{name}").uniform(low, high))

    def sometimes(name: str, probability: float, low: float, high: float) -> float:
        """A value with the given probability, else 0."""
        rng = draw(f"skin.{name}")
        return float(rng.uniform(low, high)) if happens(rng, probability) else 0.0

    freckles = max(0.0, uniform("freckles", -0.6, 0.7)) if melanin < 0.35 else 0.0
    marked = draw("skin.birthmark")
    kind = choose(marked, {"cafe_au_lait": 0.7, "port_wine": 0.3})
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
        undertone=float(np.clip(draw("skin.undertone").normal(0.0, 0.45), -1, 1)),
        pores=uniform("pores", 0.15, 0.8),
        eye_bags=float(np.clip(0.75 * age + uniform("eye_bags", -0.15, 0.35), 0, 1)),
        age_spots=float(np.clip((age - 0.45) * uniform("age_spots", 0.0, 2.0), 0, 1)),
        acne=sometimes("acne", 0.30 * max(0.0, 1 - 3.5 * age), 0.15, 1.0),
        vitiligo=sometimes("vitiligo", 0.006, 0.1, 0.5),
        birthmark=kind if happens(marked, 0.015) else "none",
        scars=int(draw("skin.scars").choice((0, 1, 2), p=(0.86, 0.11, 0.03))),
    )


def sample_eyes(draw: Draw, ancestry: palettes.Ancestry, age: float) -> Eyes:
    """The eyes of a person; age as in `sample_skin`."""
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
        iris_radius=float(draw("eyes.size").uniform(0.345, 0.375)),
        pupil=float(draw("eyes.pupil").uniform(0.28, 0.44)),
        veins=float(draw("eyes.veins").uniform(0.05, 0.45) + 0.25 * age),
        limbal_ring=float(draw("eyes.limbal_ring").uniform(0.55, 0.95) - 0.35 * age),
        # the conjunctiva of dark people has some melanin of its own
        yellowing=float(
            draw("eyes.yellowing").uniform(0.0, 0.25) + 0.3 * age + 0.18 * sum(ancestry.melanin)
        ),
        arcus=float(np.clip((age - 0.55) * draw("eyes.arcus").uniform(0.0, 2.2), 0, 1)),
        pattern_seed=draw.derive_seed("eyes.pattern"),
    )
