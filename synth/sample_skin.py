"""Skin and eyes of a person."""

from __future__ import annotations

import numpy as np

from synth import sample_palettes as palettes
from synth.sample_draw import Draw, choose
from synth.spec import Eyes, Rgb, Skin


def sample_skin(draw: Draw, melanin: float, age: float) -> Skin:
    """The bare skin of a person; makeup belongs to a look."""

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


def sample_eyes(draw: Draw, ancestry: palettes.Ancestry) -> Eyes:
    """The eyes of a person."""
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
