"""What the person in a spec wears: clothes, glasses, headwear, earrings."""

from __future__ import annotations

from dataclasses import dataclass

from synth.spec_person import Rgb, check_known

GARMENTS = (
    "tee", "v_neck", "tank_top", "sweater", "turtleneck", "shirt", "polo", "hoodie", "cardigan",
    "blazer",
)  # fmt: skip
PATTERNS = ("plain", "horizontal_stripes", "vertical_stripes", "plaid", "print")
GLASSES_SHAPES = ("round", "oval", "rectangle", "browline")
HEADWEAR = ("beanie", "cap", "bucket_hat", "headscarf")
EARRINGS = ("stud", "hoop", "drop")


@dataclass(frozen=True)
class Clothes:
    """A garment, its two colours and its pattern (`pattern_scale` in repeats per metre)."""

    garment: str
    colour: Rgb
    second_colour: Rgb
    pattern: str = "plain"
    pattern_scale: float = 200.0
    wrinkles: float = 1.0
    cloth_seed: int = 0

    def __post_init__(self) -> None:
        check_known("clothes.garment", self.garment, GARMENTS)
        check_known("clothes.pattern", self.pattern, PATTERNS)


@dataclass(frozen=True)
class Glasses:
    """Glasses; the rim radius is in metres, metal 0 plastic ... 1 metal, tint 0 clear ... 1."""

    shape: str
    colour: Rgb
    rim_radius_m: float
    metal: float = 0.0
    tint: float = 0.0

    def __post_init__(self) -> None:
        check_known("accessories.glasses.shape", self.shape, GLASSES_SHAPES)


@dataclass(frozen=True)
class Headwear:
    """A hat or a headscarf; `fit_seed` decides its folds, `tilt_deg` is positive backwards."""

    kind: str
    colour: Rgb
    second_colour: Rgb
    pattern: str = "plain"
    pattern_scale: float = 40.0
    tilt_deg: float = 0.0
    fit_seed: int = 0

    def __post_init__(self) -> None:
        check_known("accessories.headwear.kind", self.kind, HEADWEAR)
        check_known("accessories.headwear.pattern", self.pattern, PATTERNS)


@dataclass(frozen=True)
class Earrings:
    """A pair of earrings; `size_m` is the diameter of a stud or hoop and the length of a drop."""

    kind: str
    colour: Rgb
    size_m: float
    metal: float = 1.0

    def __post_init__(self) -> None:
        check_known("accessories.earrings.kind", self.kind, EARRINGS)


@dataclass(frozen=True)
class Accessories:
    """What the head wears beside clothes."""

    glasses: Glasses | None = None
    headwear: Headwear | None = None
    earrings: Earrings | None = None
