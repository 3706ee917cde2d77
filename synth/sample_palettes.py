"""Tables of the sampler: colours, ancestries, expressions, spreads of the sculpted controls.

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
    "dark_brown": IrisColour((0.020, 0.009, 0.005), (0.060, 0.025, 0.012), (0.050, 0.020, 0.010)),
    "brown": IrisColour((0.045, 0.018, 0.007), (0.130, 0.055, 0.020), (0.110, 0.045, 0.015)),
    "hazel": IrisColour((0.110, 0.070, 0.025), (0.200, 0.150, 0.060), (0.160, 0.070, 0.020)),
    "green": IrisColour((0.070, 0.100, 0.050), (0.180, 0.220, 0.120), (0.200, 0.130, 0.050)),
    "blue": IrisColour((0.060, 0.120, 0.200), (0.220, 0.320, 0.420), (0.260, 0.280, 0.260)),
    "grey": IrisColour((0.130, 0.160, 0.180), (0.300, 0.340, 0.370), (0.250, 0.240, 0.200)),
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
    """

    shares: tuple[float, float, float]
    melanin: tuple[float, float]
    hair: dict[str, float]
    irises: dict[str, float]
    coily: float


ANCESTRIES = {
    "african": Ancestry(
        (0.86, 0.04, 0.10), (0.55, 0.92),
        {"black": 0.85, "dark_brown": 0.15},
        {"dark_brown": 0.75, "brown": 0.25},
        0.85,
    ),
    "east_asian": Ancestry(
        (0.04, 0.86, 0.10), (0.14, 0.42),
        {"black": 0.72, "dark_brown": 0.24, "brown": 0.04},
        {"dark_brown": 0.65, "brown": 0.35},
        0.02,
    ),
    "south_asian": Ancestry(
        (0.16, 0.24, 0.60), (0.38, 0.70),
        {"black": 0.75, "dark_brown": 0.22, "brown": 0.03},
        {"dark_brown": 0.55, "brown": 0.40, "hazel": 0.05},
        0.05,
    ),
    "middle_eastern": Ancestry(
        (0.10, 0.10, 0.80), (0.24, 0.46),
        {"black": 0.45, "dark_brown": 0.38, "brown": 0.15, "light_brown": 0.02},
        {"dark_brown": 0.30, "brown": 0.48, "hazel": 0.14, "green": 0.08},
        0.08,
    ),
    "european": Ancestry(
        (0.05, 0.05, 0.90), (0.04, 0.28),
        {"black": 0.07, "dark_brown": 0.24, "brown": 0.29, "light_brown": 0.18, "blond": 0.16,
         "ginger": 0.06},
        {"brown": 0.33, "hazel": 0.18, "green": 0.12, "blue": 0.27, "grey": 0.10},
        0.01,
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
    (0.34, 0.100, 0.090),
)  # fmt: skip
EYESHADOWS: tuple[Rgb, ...] = ((0.12, 0.07, 0.06), (0.18, 0.08, 0.09), (0.06, 0.06, 0.08))


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

EXPRESSION_FAMILIES = (
    "neutral", "smile", "grin", "serious", "surprise", "talk", "squint", "sad", "closed_eyes",
)  # fmt: skip
LIGHT_KINDS = ("hdri", "hdri_area", "studio", "window", "practicals", "sky", "ambient")

CONTROL_SIGMA = {
    "nose": 0.30, "mouth": 0.25, "chin": 0.28, "cheek": 0.28, "eye": 0.22, "forehead": 0.30,
    "head": 0.25, "ear": 0.35, "neck": 0.20, "eyebrows": 0.30, "torso": 0.15,
}  # fmt: skip
"""Spread of the sculpted controls by the part of the face; independent draws far above these make
caricatures."""

CONTROLS: dict[str, tuple[str, ...]] = {
    "nose": (
        "nose-nostrils-angle-up", "nose-flaring-incr", "nose-curve-convex", "nose-scale-depth-incr",
        "nose-scale-vert-incr", "nose-point-width-incr", "nose-scale-horiz-incr",
        "nose-width1-incr", "nose-width2-incr", "nose-width3-incr", "nose-trans-forward",
        "nose-trans-up", "nose-hump-incr", "nose-nostrils-width-incr", "nose-trans-out",
        "nose-greek-incr", "nose-point-up", "nose-septumangle-incr", "nose-base-up",
        "nose-compression-uncompress", "nose-volume-incr",
    ),
    "mouth": (
        "mouth-lowerlip-height-incr", "mouth-scale-horiz-incr", "mouth-cupidsbow-incr",
        "mouth-laugh-lines-out", "mouth-scale-depth-incr", "mouth-lowerlip-volume-incr",
        "mouth-angles-up", "mouth-lowerlip-width-incr", "mouth-trans-forward",
        "mouth-upperlip-width-incr", "mouth-scale-vert-incr", "mouth-dimples-out",
        "mouth-upperlip-height-incr", "mouth-upperlip-volume-incr", "mouth-cupidsbow-width-incr",
        "mouth-upperlip-middle-up", "mouth-trans-up", "mouth-trans-out",
        "mouth-lowerlip-middle-up", "mouth-philtrum-volume-incr",
    ),
    "chin": (
        "chin-jaw-drop-incr", "chin-height-incr", "chin-prominent-incr", "chin-bones-incr",
        "chin-width-incr", "chin-cleft-incr", "chin-prognathism-incr",
    ),
    "cheek": (
        "l-cheek-trans-up", "l-cheek-volume-incr", "l-cheek-inner-incr", "l-cheek-bones-incr",
    ),
    "eye": (
        "l-eye-corner1-up", "l-eye-height1-incr", "l-eye-height2-incr", "l-eye-height3-incr",
        "l-eye-scale-incr", "l-eye-push1-out", "l-eye-push2-out", "l-eye-eyefold-up",
        "l-eye-eyefold-angle-up", "l-eye-bag-incr", "l-eye-bag-out", "l-eye-bag-height-incr",
        "l-eye-trans-up", "l-eye-epicanthus-out", "l-eye-corner2-up", "l-eye-trans-out",
    ),
    "eyebrows": ("eyebrows-angle-up", "eyebrows-trans-up", "eyebrows-trans-forward"),
    "forehead": (
        "forehead-temple-incr", "forehead-trans-forward", "forehead-scale-vert-incr",
        "forehead-nubian-incr",
    ),
    "head": (
        "head-angle-out", "head-scale-vert-incr", "head-trans-forward", "head-trans-up",
        "head-fat-incr", "head-trans-out", "head-back-scale-depth-incr", "head-scale-depth-incr",
        "head-scale-horiz-incr",
    ),
    "ear": (
        "l-ear-lobe-incr", "l-ear-shape-round", "l-ear-trans-forward", "l-ear-rot-forward",
        "l-ear-trans-up", "l-ear-scale-vert-incr", "l-ear-flap-incr", "l-ear-shape-triangle",
        "l-ear-scale-incr", "l-ear-scale-depth-incr", "l-ear-wing-incr",
    ),
    "neck": (
        "neck-scale-depth-incr", "neck-trans-forward", "neck-trans-out",
        "neck-back-scale-depth-incr", "neck-scale-horiz-incr", "neck-scale-vert-incr",
        "neck-trans-up",
    ),
    "torso": ("measure-shoulder-dist-incr", "torso-scale-horiz-incr"),
}  # fmt: skip
"""Sculpted controls that are drawn; `l-` stands for both sides."""

CONTROL_FACTOR = {
    "nose-trans-out": 0.15, "mouth-trans-out": 0.15, "head-trans-out": 0.15,
    "neck-trans-out": 0.15, "head-angle-out": 0.15, "head-trans-forward": 0.15,
    "head-trans-up": 0.15,
    "nose-scale-depth-incr": 0.7, "nose-scale-vert-incr": 0.7, "nose-scale-horiz-incr": 0.7,
    "nose-volume-incr": 0.7, "head-scale-vert-incr": 0.7, "head-scale-depth-incr": 0.7,
    "head-scale-horiz-incr": 0.7, "head-back-scale-depth-incr": 0.7,
    "chin-jaw-drop-incr": 0.5, "mouth-scale-depth-incr": 0.5, "mouth-trans-forward": 0.5,
    "chin-cleft-incr": 0.5, "l-eye-scale-incr": 0.5,
    "l-eye-height1-incr": 0.6, "l-eye-height2-incr": 0.6, "l-eye-height3-incr": 0.6,
    "l-eye-eyefold-angle-up": 0.6,
}  # fmt: skip
"""Factors on the spread of single controls that soon look wrong."""

_OPEN_EYES = {"l-eye-height1-incr": 0.30, "l-eye-height2-incr": 0.32, "l-eye-height3-incr": 0.30}
"""The base mesh has its upper lids half over the iris; these lift them to a rested look."""

CONTROL_MEAN = {
    "female": {
        **_OPEN_EYES, "l-eye-scale-incr": 0.36, "l-eye-corner2-up": 0.10,
        "mouth-upperlip-volume-incr": 0.30, "mouth-lowerlip-volume-incr": 0.30,
        "mouth-upperlip-height-incr": 0.15, "mouth-lowerlip-height-incr": 0.15,
        "mouth-scale-horiz-incr": -0.08, "mouth-angles-up": 0.15,
        "nose-scale-horiz-incr": -0.22, "nose-scale-depth-incr": -0.15,
        "nose-scale-vert-incr": -0.22, "nose-volume-incr": -0.25, "nose-hump-incr": -0.20,
        "nose-point-width-incr": -0.15, "nose-point-up": 0.15, "nose-width1-incr": -0.2,
        "nose-width2-incr": -0.2, "nose-greek-incr": -0.15,
        "chin-jaw-drop-incr": -0.25, "chin-width-incr": -0.35, "chin-bones-incr": -0.35,
        "chin-height-incr": -0.20, "chin-prominent-incr": -0.10,
        "l-cheek-bones-incr": 0.15, "l-cheek-volume-incr": 0.15, "l-cheek-inner-incr": 0.10,
        "eyebrows-trans-forward": -0.35, "eyebrows-trans-up": 0.25, "eyebrows-angle-up": 0.15,
        "forehead-nubian-incr": 0.15, "forehead-trans-forward": -0.10,
        "forehead-scale-vert-incr": -0.25,
        "neck-scale-horiz-incr": -0.20, "neck-scale-depth-incr": -0.20,
        "measure-shoulder-dist-incr": -0.40, "torso-scale-horiz-incr": -0.30,
    },
    "male": {
        **_OPEN_EYES, "l-eye-scale-incr": 0.12,
        "measure-shoulder-dist-incr": -0.15, "torso-scale-horiz-incr": -0.15,
    },
}  # fmt: skip
FEMALE_FACTOR = {"nose": 0.6, "chin": 0.6, "forehead": 0.6, "mouth": 0.6, "head": 0.6}
"""Women's spread on these parts, relative to men's."""
