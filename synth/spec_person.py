"""The person in a spec: bones, expression, skin, eyes, hair."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Rgb = tuple[float, float, float]
"""Linear red, green and blue in [0, 1]."""

HAIR_STYLES = (
    "bald", "receding", "buzz", "crop", "quiff", "side_part", "curtain", "curly_short", "afro",
    "twists", "braids", "bob", "long", "wavy", "long_curly", "ponytail", "bun",
)  # fmt: skip
BEARD_STYLES = ("none", "stubble", "short", "full", "moustache", "goatee", "circle")


def check_known(path: str, value: str, known: tuple[str, ...]) -> None:
    """Raise `ValueError` unless `value`, found at `path` of a spec, is one of `known`."""
    if value not in known:
        raise ValueError(f"{path}: {value!r} is not one of {', '.join(known)}")


@dataclass(frozen=True)
class Identity:
    """Who it is: what stays the same over looks, expressions and lights.

    Attributes:
        identity_id: stable name of the identity; splits hash it.
        phenotype: anny's phenotype values in [0, 1]: gender (0 male, 1 female), age (2/3 young
            adult, 1 old), muscle, weight, height, proportions, african, asian, caucasian ...
        shape: local shape controls in [-1, 1], by anny's label.
        age_years: apparent age, for queries and labels.
        sex: label of the sampled sex, for queries; the geometry reads `phenotype` only.
    """

    identity_id: str
    phenotype: dict[str, float]
    shape: dict[str, float]
    age_years: float
    sex: Literal["female", "male"]


@dataclass(frozen=True)
class Expression:
    """Facial actions in [0, 1] by their ARKit-style name, and the family they were drawn from."""

    name: str = "neutral"
    actions: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Gaze:
    """Direction of the eyes; yaw to the subject's left and pitch upwards are positive, degrees."""

    yaw_deg: float = 0.0
    pitch_deg: float = 0.0


@dataclass(frozen=True)
class HeadPose:
    """Rotation of the head on the neck: yaw to the subject's left, pitch up, roll to its left."""

    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    roll_deg: float = 0.0


@dataclass(frozen=True)
class Makeup:
    """Colours that lie on the skin; None where nothing is worn."""

    lipstick: Rgb | None = None
    lipstick_opacity: float = 0.85
    eyeshadow: Rgb | None = None
    blush: float = 0.0


@dataclass(frozen=True)
class Skin:
    """Skin appearance. All amounts in [0, 1] unless said otherwise.

    Attributes:
        melanin: 0 very light ... 1 very dark.
        texture_seed: seed of the noise (mottling, freckles, moles), a plain value of the spec.
        wrinkles: depth factor of the wrinkle grooves, about the age.
        freckles, spots, moles: densities.
    """

    melanin: float
    redness: float
    dark_circles: float
    oil: float
    mottle: float
    freckles: float
    spots: float
    moles: float
    wrinkles: float
    bump: float
    texture_seed: int
    makeup: Makeup = Makeup()


@dataclass(frozen=True)
class Eyes:
    """Eye appearance.

    Attributes:
        iris_name: label of the palette.
        iris_dark, iris_light, iris_inner: the two fibre colours and the collarette.
        iris_radius: radius of the iris relative to that of the eyeball.
        pupil: pupil radius relative to the iris.
        veins: amount of veins in the sclera, [0, 1].
    """

    iris_name: str
    iris_dark: Rgb
    iris_light: Rgb
    iris_inner: Rgb
    iris_radius: float
    pupil: float
    veins: float


@dataclass(frozen=True)
class HairColour:
    """Colour of the strands after Chiang et al. (2016).

    Attributes:
        name: label of the palette.
        melanin, redness: inputs of the Principled Hair shader, [0, 1].
        albedo: the resulting look as a colour, for under-painting and ground truth.
        grey: fraction of strands without pigment.
        tint: dye multiplied onto the strands, or None.
    """

    name: str
    melanin: float
    redness: float
    albedo: Rgb
    grey: float = 0.0
    tint: Rgb | None = None


@dataclass(frozen=True)
class Hair:
    """Scalp hair.

    Attributes:
        style: one of `HAIR_STYLES`.
        groom_seed: seed of roots, clumps and flyaways.
        length_scale: factor on the lengths of the style, about 0.8 ... 1.2.
        parting: sideways position of the parting in metres, + is the subject's left.
        strands: number of strands, or 0 for the style's own number.
    """

    style: str
    colour: HairColour
    groom_seed: int
    length_scale: float = 1.0
    parting: float = 0.0
    strands: int = 0

    def __post_init__(self) -> None:
        check_known("hair.style", self.style, HAIR_STYLES)


@dataclass(frozen=True)
class FacialHair:
    """Beard, brows and lashes; density and length are factors around 1.

    Attributes:
        colour: natural colour of brows and beard; dye stays on the scalp.
    """

    beard: str
    beard_seed: int
    colour: HairColour
    beard_density: float = 1.0
    beard_length: float = 1.0
    shaving_shadow: float = 0.0
    brow_density: float = 1.0
    brow_length: float = 1.0
    lash_length: float = 1.0

    def __post_init__(self) -> None:
        check_known("facial_hair.beard", self.beard, BEARD_STYLES)
