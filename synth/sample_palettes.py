"""Tables of the sampler: colours and ancestries (shapes of faces: `synth.sample_shapes`).

Colours are linear RGB albedos. The numbers were tuned by eye on rendered heads; none is measured on
people, and a group name stands for a region of the shape space, not for anybody's real statistics.
"""

from __future__ import annotations

from dataclasses import dataclass

from synth.spec import Rgb


@dataclass(frozen=True)
class HairPigment:
    """Principled Hair's melanin and redness, and how the strands look as a plain colour."""

    melanin: float
    redness: float
    albedo: Rgb


HAIR_COLOURS = {
    "black": HairPigment(0.97, 0.0, (0.008, 0.007, 0.006)),
    "dark_brown": HairPigment(0.93, 0.2, (0.020, 0.012, 0.008)),
    "brown": HairPigment(0.80, 0.45, (0.055, 0.030, 0.016)),
    "light_brown": HairPigment(0.60, 0.48, (0.12, 0.07, 0.04)),
    "blond": HairPigment(0.24, 0.45, (0.36, 0.25, 0.13)),
    "ginger": HairPigment(0.45, 1.0, (0.25, 0.09, 0.03)),
}
GREY_ALBEDO: Rgb = (0.42, 0.41, 0.40)
"""Plain colour of strands without pigment."""

TINTS: tuple[Rgb, ...] = (
    (0.55, 0.10, 0.12), (0.15, 0.25, 0.60), (0.45, 0.15, 0.50), (0.75, 0.30, 0.45),
    (0.12, 0.45, 0.40),
)  # fmt: skip


@dataclass(frozen=True)
class IrisColour:
    """Dark and light fibres, and the collarette around the pupil."""

    dark: Rgb
    light: Rgb
    inner: Rgb


IRISES = {
    "dark_brown": IrisColour((0.026, 0.012, 0.007), (0.070, 0.032, 0.016), (0.060, 0.026, 0.013)),
    "brown": IrisColour((0.044, 0.022, 0.011), (0.105, 0.055, 0.027), (0.088, 0.044, 0.021)),
    "hazel": IrisColour((0.085, 0.060, 0.026), (0.165, 0.125, 0.056), (0.150, 0.070, 0.024)),
    "green": IrisColour((0.065, 0.080, 0.048), (0.150, 0.170, 0.105), (0.170, 0.115, 0.050)),
    "blue": IrisColour((0.062, 0.090, 0.125), (0.185, 0.235, 0.285), (0.215, 0.220, 0.200)),
    "grey": IrisColour((0.095, 0.112, 0.124), (0.215, 0.240, 0.255), (0.200, 0.190, 0.160)),
}


@dataclass(frozen=True)
class Ancestry:
    """A region of the shape space with the colours that go with it.

    Attributes:
        shares: concentration of african, asian and caucasian in anny's shape space.
        melanin: range of skin melanin.
        hair: weights of natural hair colours.
        irises: weights of iris colours.
        coily: probability of tightly curled hair.
        tendencies: means along directions of `synth.sample_shapes`, in standard deviations.
    """

    shares: tuple[float, float, float]
    melanin: tuple[float, float]
    hair: dict[str, float]
    irises: dict[str, float]
    coily: float
    tendencies: dict[str, float]


ANCESTRIES = {
    "african": Ancestry(
        (0.86, 0.04, 0.10), (0.55, 0.92),
        {"black": 0.85, "dark_brown": 0.15},
        {"dark_brown": 0.75, "brown": 0.25},
        0.85,
        {"lip_fullness": 0.2, "nose_breadth": -0.1},
    ),
    "east_asian": Ancestry(
        (0.04, 0.86, 0.10), (0.14, 0.42),
        {"black": 0.72, "dark_brown": 0.24, "brown": 0.04},
        {"dark_brown": 0.65, "brown": 0.35},
        0.02,
        {"nose_bridge": -0.3, "lid_hood": 0.5, "eye_tilt": 0.3, "brow_ridge": -0.4},
    ),
    "south_asian": Ancestry(
        (0.16, 0.24, 0.60), (0.38, 0.70),
        {"black": 0.75, "dark_brown": 0.22, "brown": 0.03},
        {"dark_brown": 0.55, "brown": 0.40, "hazel": 0.05},
        0.05,
        {"nose_size": 0.2, "lip_fullness": 0.3, "eye_size": 0.4, "lid_hood": -0.3},
    ),
    "middle_eastern": Ancestry(
        (0.10, 0.10, 0.80), (0.24, 0.46),
        {"black": 0.45, "dark_brown": 0.38, "brown": 0.15, "light_brown": 0.02},
        {"dark_brown": 0.30, "brown": 0.48, "hazel": 0.14, "green": 0.08},
        0.08,
        {"nose_bridge": 0.6, "nose_size": 0.4, "brow_ridge": 0.2},
    ),
    "european": Ancestry(
        (0.05, 0.05, 0.90), (0.04, 0.28),
        {"black": 0.07, "dark_brown": 0.24, "brown": 0.29, "light_brown": 0.18, "blond": 0.16,
         "ginger": 0.06},
        {"brown": 0.33, "hazel": 0.18, "green": 0.12, "blue": 0.27, "grey": 0.10},
        0.01,
        {"lip_fullness": -0.3, "nose_breadth": -0.3},
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Cloth:
    """A colour of clothes and how often it is worn."""

    colour: Rgb
    weight: float


CLOTHS = (
    Cloth((0.016, 0.016, 0.018), 1.6),  # black
    Cloth((0.060, 0.062, 0.068), 1.2),  # charcoal
    Cloth((0.250, 0.255, 0.265), 1.0),  # heather grey
    Cloth((0.640, 0.635, 0.620), 1.4),  # white
    Cloth((0.600, 0.520, 0.400), 1.0),  # cream
    Cloth((0.018, 0.028, 0.075), 1.6),  # navy
    Cloth((0.065, 0.115, 0.230), 1.2),  # denim
    Cloth((0.270, 0.420, 0.620), 0.8),  # sky blue
    Cloth((0.370, 0.235, 0.120), 0.7),  # camel
    Cloth((0.110, 0.045, 0.022), 0.6),  # chocolate
    Cloth((0.130, 0.010, 0.022), 0.8),  # burgundy
    Cloth((0.360, 0.022, 0.026), 0.6),  # red
    Cloth((0.260, 0.075, 0.033), 0.5),  # rust
    Cloth((0.400, 0.215, 0.040), 0.5),  # mustard
    Cloth((0.020, 0.065, 0.035), 0.7),  # bottle green
    Cloth((0.110, 0.125, 0.055), 0.6),  # olive
    Cloth((0.270, 0.350, 0.240), 0.5),  # sage
    Cloth((0.600, 0.290, 0.280), 0.6),  # blush
    Cloth((0.360, 0.280, 0.500), 0.4),  # lavender
    Cloth((0.014, 0.110, 0.130), 0.4),  # petrol
)

LIPSTICKS: tuple[Rgb, ...] = (
    (0.40, 0.030, 0.040), (0.42, 0.130, 0.120), (0.28, 0.030, 0.070), (0.50, 0.200, 0.170),
    (0.34, 0.100, 0.090), (0.45, 0.220, 0.190), (0.40, 0.160, 0.150), (0.20, 0.030, 0.055),
    (0.48, 0.140, 0.170), (0.30, 0.085, 0.060),
)  # fmt: skip
EYESHADOWS: tuple[Rgb, ...] = (
    (0.12, 0.07, 0.06), (0.18, 0.08, 0.09), (0.06, 0.06, 0.08), (0.20, 0.13, 0.09),
    (0.32, 0.23, 0.17), (0.16, 0.07, 0.14), (0.03, 0.03, 0.035), (0.09, 0.13, 0.17),
)  # fmt: skip


@dataclass(frozen=True)
class Frame:
    """A frame of glasses: colours, material and how often it is worn."""

    colour: Rgb
    second_colour: Rgb
    metal: bool
    weight: float
    tortoise: float = 0.0


METALS: tuple[Rgb, ...] = (
    (0.83, 0.62, 0.30), (0.76, 0.75, 0.73), (0.80, 0.53, 0.42), (0.80, 0.56, 0.20),
)  # fmt: skip
"""Reflectance of gold, silver, rose gold and dark gold."""
GEMS: tuple[Rgb, ...] = (
    (0.80, 0.77, 0.71), (0.80, 0.77, 0.71), (0.02, 0.12, 0.06), (0.25, 0.01, 0.02),
    (0.01, 0.02, 0.16), (0.02, 0.02, 0.02), (0.10, 0.42, 0.45), (0.45, 0.20, 0.30),
)  # fmt: skip
"""Pearl, emerald, ruby, sapphire, onyx, turquoise and rose quartz."""
FRAMES = (
    Frame((0.012, 0.012, 0.012), (0.76, 0.75, 0.73), False, 2.4),  # black
    Frame((0.035, 0.014, 0.006), (0.36, 0.17, 0.045), False, 1.8, tortoise=0.7),
    Frame((0.055, 0.028, 0.014), (0.83, 0.62, 0.30), False, 0.8),  # brown
    Frame((0.020, 0.035, 0.100), (0.76, 0.75, 0.73), False, 0.6),  # blue
    Frame((0.140, 0.018, 0.024), (0.83, 0.62, 0.30), False, 0.4),  # burgundy
    Frame((0.480, 0.400, 0.310), (0.83, 0.62, 0.30), False, 0.4),  # champagne
    Frame((0.012, 0.012, 0.012), (0.76, 0.75, 0.73), True, 0.9),  # black wire
    Frame((0.760, 0.750, 0.730), (0.02, 0.02, 0.02), True, 1.1),  # silver
    Frame((0.830, 0.620, 0.300), (0.10, 0.04, 0.015), True, 1.3),  # gold
    Frame((0.230, 0.225, 0.220), (0.02, 0.02, 0.02), True, 0.8),  # gunmetal
)
LENS_COLOURS: tuple[Rgb, ...] = (
    (0.075, 0.078, 0.080), (0.075, 0.078, 0.080), (0.110, 0.060, 0.032), (0.055, 0.075, 0.055),
    (0.050, 0.070, 0.110),
)  # fmt: skip
"""What lenses at full tint let through: grey, brown, green and blue."""

LIGHT_KINDS = ("hdri", "hdri_area", "studio", "window", "practicals", "sky", "ambient")
