"""What the person in a spec wears: clothes, glasses, headwear, earrings."""

from __future__ import annotations

from dataclasses import dataclass

from synth.spec_person import Rgb, check_known

GARMENTS = (
    "tee", "v_neck", "tank_top", "sweater", "turtleneck", "shirt", "polo", "hoodie", "cardigan",
    "blazer",
)  # fmt: skip
SHORT_SLEEVED = ("tee", "v_neck", "polo", "shirt")
"""Garments that may have short sleeves."""
UNDER_GARMENTS = ("none", "tee", "shirt")
FABRICS = ("jersey", "poplin", "denim", "flannel", "fine_knit", "chunky_knit", "fleece", "wool")
PATTERNS = (
    "plain", "horizontal_stripes", "vertical_stripes", "plaid", "print", "graphic", "colour_block",
)  # fmt: skip
GLASSES_SHAPES = ("round", "oval", "rectangle", "browline")
HEADWEAR = ("beanie", "cap", "bucket_hat", "headscarf")
EARRINGS = ("stud", "hoop", "drop")


@dataclass(frozen=True)
class Clothes:
    """A garment, what it is made of, and how it is worn.

    Attributes:
        garment: one of `GARMENTS`.
        colour, second_colour: of the cloth and of its pattern.
        pattern: one of `PATTERNS`.
        pattern_scale: repeats of the pattern per metre.
        wrinkles: height of the folds relative to a typical one, 0 smooth.
        cloth_seed: decides where folds lie and what a print or graphic shows.
        fabric: one of `FABRICS`.
        fit: 0 tight ... 1 loose.
        opening: 0 closed ... 1 open: buttons of shirt and polo, depth of the front of v_neck,
            cardigan and blazer, width of a round neck.
        under: worn underneath, one of `UNDER_GARMENTS`; a cardigan or blazer needs something.
        under_colour: its colour.
        button_colour: of buttons and drawstrings.
        short_sleeves: whether the sleeves end above the elbow, for one of `SHORT_SLEEVED`.
    """

    garment: str
    colour: Rgb
    second_colour: Rgb
    pattern: str = "plain"
    pattern_scale: float = 40.0
    wrinkles: float = 1.0
    cloth_seed: int = 0
    fabric: str = "jersey"
    fit: float = 0.5
    opening: float = 0.5
    under: str = "none"
    under_colour: Rgb = (0.64, 0.635, 0.62)
    button_colour: Rgb = (0.5, 0.48, 0.44)
    short_sleeves: bool = False

    def __post_init__(self) -> None:
        check_known("clothes.garment", self.garment, GARMENTS)
        check_known("clothes.pattern", self.pattern, PATTERNS)
        check_known("clothes.fabric", self.fabric, FABRICS)
        check_known("clothes.under", self.under, UNDER_GARMENTS)
        if self.garment in ("cardigan", "blazer") and self.under == "none":
            raise ValueError(
                f"clothes.under 'none': a {self.garment} is worn over something; use one of "
                f"{', '.join(name for name in UNDER_GARMENTS if name != 'none')}"
            )
        if self.short_sleeves and self.garment not in SHORT_SLEEVED:
            raise ValueError(
                f"clothes.short_sleeves true: a {self.garment} has none; they are for "
                f"{', '.join(SHORT_SLEEVED)}"
            )
        for name in ("fit", "opening"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"clothes.{name} {getattr(self, name)} is not in [0, 1]")


@dataclass(frozen=True)
class Glasses:
    """A pair of glasses.

    Attributes:
        shape: of the lenses.
        colour: of the frame; of metal, its reflectance.
        rim_radius_m: half the width of the rim seen from the front.
        metal: 0 acetate plates, 1 wire.
        tint: 0 clear lenses ... 1 lenses that let `lens_colour` through.
        second_colour: the light blots of tortoiseshell, the tips of metal temples, the wire of a
            browline frame.
        tortoise: 0 one colour ... 1 as much of the second as of the first (acetate only).
        lens_colour: transmission of a lens at full tint.
        gradient: 0 an even tint ... 1 it fades to clear towards the lower edge.
    """

    shape: str
    colour: Rgb
    rim_radius_m: float
    metal: float = 0.0
    tint: float = 0.0
    second_colour: Rgb = (0.30, 0.17, 0.06)
    tortoise: float = 0.0
    lens_colour: Rgb = (0.10, 0.10, 0.10)
    gradient: float = 0.0

    def __post_init__(self) -> None:
        check_known("accessories.glasses.shape", self.shape, GLASSES_SHAPES)


@dataclass(frozen=True)
class Headwear:
    """A hat or a headscarf.

    Attributes:
        kind: one of `HEADWEAR`.
        colour, second_colour: of the cloth and of its pattern.
        pattern: one of `PATTERNS`; pattern_scale: repeats per metre.
        tilt_deg: how much further back than level it sits.
        turn_deg: about the head's axis, towards the subject's left; 180 is a cap worn backwards.
        looseness: 0 tight ... 1 slouching (beanie), deep (cap, bucket hat), loosely wrapped
            (headscarf).
        fit_seed: of its folds.
    """

    kind: str
    colour: Rgb
    second_colour: Rgb
    pattern: str = "plain"
    pattern_scale: float = 40.0
    tilt_deg: float = 0.0
    turn_deg: float = 0.0
    looseness: float = 0.4
    fit_seed: int = 0

    def __post_init__(self) -> None:
        check_known("accessories.headwear.kind", self.kind, HEADWEAR)
        check_known("accessories.headwear.pattern", self.pattern, PATTERNS)


@dataclass(frozen=True)
class Earrings:
    """A pair of earrings.

    Attributes:
        kind: one of `EARRINGS`.
        colour: of the metal, or of the pearl, stone or bead.
        size_m: diameter of a stud or hoop, length of a drop.
        metal: 1 all of metal, 0 with a pearl, stone or bead.
        metal_colour: of the mount of a stone.
    """

    kind: str
    colour: Rgb
    size_m: float
    metal: float = 1.0
    metal_colour: Rgb = (0.83, 0.62, 0.30)

    def __post_init__(self) -> None:
        check_known("accessories.earrings.kind", self.kind, EARRINGS)


@dataclass(frozen=True)
class Accessories:
    """What the head wears beside clothes."""

    glasses: Glasses | None = None
    headwear: Headwear | None = None
    earrings: Earrings | None = None
