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
class BrowShape:
    """Where the hair of the brows grows on a person, relative to the canonical band.

    Attributes:
        thickness: factor on the height of the band, about 0.55 ... 1.7.
        lift_m: how much higher it lies, metres on the canonical head, within +-0.004.
        arch_m: how much higher its middle lies than its ends, within +-0.003.
        tail_m: how much higher its outer end lies, within +-0.004.
        gap_m: how much farther its inner end lies from the middle, within +-0.004.
    """

    thickness: float = 1.0
    lift_m: float = 0.0
    arch_m: float = 0.0
    tail_m: float = 0.0
    gap_m: float = 0.0


@dataclass(frozen=True)
class Teeth:
    """A person's teeth.

    Attributes:
        shade: 0 bleached ... 1 dark and yellow.
        size: factor on the crowns, about 0.92 ... 1.08.
        irregularity: how far teeth stand turned and out of line, [0, 1].
        gap_m: gap between the two upper incisors in metres, 0 ... 0.0015.
        seed: which tooth stands how.
    """

    shade: float = 0.35
    size: float = 1.0
    irregularity: float = 0.2
    gap_m: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class Identity:
    """Who it is: what stays the same over looks, expressions and lights.

    Attributes:
        identity_id: stable name of the identity; splits hash it.
        phenotype: anny's phenotype values in [0, 1]: gender (0 male, 1 female), age (2/3 young
            adult, 1 old), muscle, weight, height, proportions, african, asian, caucasian ...
        shape: local shape controls in [-1, 1], by anny's label; also forms of the head,
            asymmetries and lid folds by the labels of `synth.headmodel_shapes`.
        age_years: apparent age, for queries and labels.
        sex, ancestry: labels of what was sampled, for queries; the geometry reads `phenotype` only.
        shoulder_breadth: breadth over the deltoids in heights of the head (chin to crown), about
            1.75 ... 2.1; None leaves the body as the phenotype makes it.
        brows, teeth: their shape.
    """

    identity_id: str
    phenotype: dict[str, float]
    shape: dict[str, float]
    age_years: float
    sex: Literal["female", "male"]
    shoulder_breadth: float | None = None
    brows: BrowShape = BrowShape()
    teeth: Teeth = Teeth()
    ancestry: str = ""


@dataclass(frozen=True)
class Expression:
    """Facial actions in [0, 1] by their ARKit-style name, and the family they were drawn from."""

    name: str = "neutral"
    actions: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Gaze:
    """Where the eyes look, relative to the head.

    Attributes:
        yaw_deg, pitch_deg: direction of the fixated point from the middle between the eyes; to the
            subject's left and upwards are positive.
        distance_m: how far away that point is; both eyes turn to it, so near points cross them.
    """

    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    distance_m: float = 2.0


@dataclass(frozen=True)
class HeadPose:
    """Rotation of the head on the neck: yaw to the subject's left, pitch up, roll to its left."""

    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    roll_deg: float = 0.0


@dataclass(frozen=True)
class Makeup:
    """What lies on the skin; a colour is None where nothing is worn, amounts are in [0, 1].

    Attributes:
        lipstick: its colour at full cover; lipstick_opacity: how much of the lip it hides.
        lip_gloss: how wet the lips shine.
        foundation: how far the tone of the face is evened out.
        eyeshadow: colour on the upper lids; eyeshadow_opacity: its strongest cover.
        eyeliner: opacity of the black line along the lashes.
        blush: amount on the cheeks.
        mascara: how much longer, thicker and darker the lashes are.
    """

    lipstick: Rgb | None = None
    lipstick_opacity: float = 0.85
    eyeshadow: Rgb | None = None
    blush: float = 0.0
    lip_gloss: float = 0.0
    foundation: float = 0.0
    eyeshadow_opacity: float = 0.5
    eyeliner: float = 0.0
    mascara: float = 0.0


@dataclass(frozen=True)
class Skin:
    """Skin appearance. All amounts in [0, 1] unless said otherwise.

    Attributes:
        melanin: 0 very light ... 1 very dark.
        redness: blood in cheeks, nose and ears.
        dark_circles: pigment and veins under the eyes.
        oil: shine of forehead, nose and chin.
        mottle: unevenness of the tone, about 1.
        freckles, spots, moles: densities.
        wrinkles: depth factor of wrinkles and folds, about the age, up to 1.2; an expression
            deepens the ones that it folds.
        bump: factor on the height of pores and of the skin's relief, about 1.
        texture_seed: seed of the noise (mottling, freckles, moles), a plain value of the spec.
        undertone: -1 rosy ... 1 olive or golden.
        pores: size of the pores on nose and cheeks.
        eye_bags: swelling under the eyes.
        age_spots: density of lentigines.
        acne: density of inflamed spots.
        vitiligo: share of the face without melanin.
        birthmark: its kind; one at most.
        scars: number of old scars.
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
    undertone: float = 0.0
    pores: float = 0.4
    eye_bags: float = 0.2
    age_spots: float = 0.0
    acne: float = 0.0
    vitiligo: float = 0.0
    birthmark: Literal["none", "cafe_au_lait", "port_wine"] = "none"
    scars: int = 0


@dataclass(frozen=True)
class Eyes:
    """Eye appearance.

    Attributes:
        iris_name: label of the palette.
        iris_dark, iris_light, iris_inner: the two fibre colours and the collarette.
        iris_radius: radius of the iris relative to that of the eyeball.
        pupil: pupil radius relative to the iris.
        veins: amount of veins in the sclera, [0, 1].
        limbal_ring: darkness of the rim of the iris, [0, 1].
        yellowing: of the sclera, [0, 1].
        arcus: the pale ring at the edge of old irises (arcus senilis), [0, 1].
        pattern_seed: seed of fibres and veins.
    """

    iris_name: str
    iris_dark: Rgb
    iris_light: Rgb
    iris_inner: Rgb
    iris_radius: float
    pupil: float
    veins: float
    limbal_ring: float = 0.8
    yellowing: float = 0.1
    arcus: float = 0.0
    pattern_seed: int = 0


@dataclass(frozen=True)
class HairColour:
    """Colour of the strands after Chiang et al. (2016).

    Attributes:
        name: label of the palette.
        melanin, redness: inputs of the Principled Hair shader, [0, 1].
        albedo: the resulting look as a colour, for under-painting and ground truth.
        grey: fraction of strands without pigment; temples and sideburns lead.
        tint: dye multiplied onto the strands, or None.
        regrowth: share of the strand, from the root, that grew since it was dyed, [0, 1].
        regrowth_melanin: melanin of that natural part.
        light_tips: how far bleach or sun took the pigment out of the ends, [0, 1].
    """

    name: str
    melanin: float
    redness: float
    albedo: Rgb
    grey: float = 0.0
    tint: Rgb | None = None
    regrowth: float = 0.0
    regrowth_melanin: float = 0.93
    light_tips: float = 0.0


@dataclass(frozen=True)
class Hair:
    """Scalp hair.

    Attributes:
        style: one of `HAIR_STYLES`.
        groom_seed: seed of roots, clumps and flyaways.
        length_scale: factor on the lengths of the style, about 0.8 ... 1.2.
        parting: sideways position of the parting in metres, + is the subject's left.
        strands: number of strands, or 0 for the style's own number.
        volume: factor on the height of the hair above the skin, about 0.7 ... 1.4.
        curl: factor on the turns of curls and, where hair is straight, on its slight waves.
        fringe: bangs, 0 none, 0.5 to the middle of the forehead, 1 to the brows.
        tucked: ears behind which long hair is tucked; the ears then show.
        recession: how far the hairline has gone back, 0 not at all ... 1 far, with a thin crown.
    """

    style: str
    colour: HairColour
    groom_seed: int
    length_scale: float = 1.0
    parting: float = 0.0
    strands: int = 0
    volume: float = 1.0
    curl: float = 1.0
    fringe: float = 0.0
    tucked: Literal["none", "left", "right", "both"] = "none"
    recession: float = 0.0

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
