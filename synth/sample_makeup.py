"""Makeup of one look."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from synth import sample_palettes as palettes
from synth.sample_draw import Draw, check_probability, happens
from synth.sample_identity import Person
from synth.spec import Makeup, Rgb, Skin

_PIGMENT_DARKENING = 0.8
"""Lipsticks are chosen darker for darker skin: by this share on the darkest."""


@dataclass(frozen=True)
class MakeupConfig:
    """Makeup.

    Attributes:
        female, male: probability that a woman or a man wears makeup at all.
        lipstick, eyeshadow, eyeliner, mascara, foundation, blush: probabilities given makeup.
        gloss: probability that lips shine, given makeup.
    """

    female: float = 0.55
    male: float = 0.02
    lipstick: float = 0.6
    gloss: float = 0.35
    foundation: float = 0.7
    eyeshadow: float = 0.4
    eyeliner: float = 0.45
    mascara: float = 0.7
    blush: float = 0.6

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):
            check_probability(item.name, getattr(self, item.name))


def dress_skin(draw: Draw, settings: MakeupConfig, person: Person) -> Skin:
    """The person's skin with the makeup of this look."""
    if not happens(draw("makeup.worn"), settings.female if person.female else settings.male):
        return person.skin

    def amount(name: str, low: float, high: float) -> float:
        """Drawn from a range where this part is worn, else 0."""
        rng = draw(f"makeup.{name}")
        worn = happens(rng, getattr(settings, name))
        return float(rng.uniform(low, high)) if worn else 0.0

    def colour(name: str, palette: tuple[Rgb, ...], darkening: float) -> Rgb | None:
        rng = draw(f"makeup.{name}")
        if not happens(rng, getattr(settings, name)):
            return None
        chosen = palette[rng.integers(len(palette))]
        return tuple(float(c * (1 - darkening * person.skin.melanin)) for c in chosen)

    makeup = Makeup(
        lipstick=colour("lipstick", palettes.LIPSTICKS, _PIGMENT_DARKENING),
        lipstick_opacity=float(draw("makeup.lipstick_opacity").uniform(0.45, 0.9)),
        lip_gloss=amount("gloss", 0.2, 1.0),
        foundation=amount("foundation", 0.3, 1.0),
        eyeshadow=colour("eyeshadow", palettes.EYESHADOWS, 0.35),
        eyeshadow_opacity=float(draw("makeup.eyeshadow_opacity").uniform(0.25, 0.75)),
        eyeliner=amount("eyeliner", 0.35, 0.95),
        mascara=amount("mascara", 0.3, 1.0),
        blush=amount("blush", 0.1, 0.6),
    )
    return dataclasses.replace(person.skin, makeup=makeup)
