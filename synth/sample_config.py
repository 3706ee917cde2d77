"""`DatasetConfig`: what a dataset consists of, and every probability of the sampler.

Weights are relative: they need not sum to 1. A mapping that a file or an override gives replaces
the default mapping as a whole, so `--set hair.female_styles={bob: 1}` gives every woman a bob.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field

from synth import sample_palettes as palettes
from synth.assets import HDRI_NAMES
from synth.camera import FOV_DEG, RADIUS
from synth.spec import BEARD_STYLES, GARMENTS, GLASSES_SHAPES, HAIR_STYLES, PATTERNS

Weights = dict[str, float]
Range = tuple[float, float]


def check_weights(name: str, weights: Weights, known: Iterable[str]) -> None:
    """Raise `ValueError` unless names are known, weights not negative and one is positive."""
    known = list(known)
    for key, weight in weights.items():
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            raise ValueError(f"{name}: {key!r} is not one of {', '.join(known)}{hint}")
        if weight < 0:
            raise ValueError(f"{name}.{key}: the weight {weight} is negative")
    if not sum(weights.values()) > 0:
        raise ValueError(f"{name}: no weight is positive")


def _check_range(name: str, limits: Range, low: float, high: float) -> None:
    if not low <= limits[0] <= limits[1] <= high:
        raise ValueError(f"{name}: {list(limits)} is not a range within [{low}, {high}]")


def _check_probability(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{name}: {value} is not a probability")


@dataclass(frozen=True)
class RingConfig:
    """Cameras at equal steps of azimuth on one elevation; the first stands in front of the face."""

    count: int
    elevation_deg: float = 20.0


@dataclass(frozen=True)
class ViewsConfig:
    """The cameras of every head: six canonical views first, then rings, then random ones.

    Attributes:
        canonical: the six views of the diffusion model (azimuth steps at elevation 0).
        rings: further rings.
        random: number of cameras drawn uniformly on the sphere between two elevations.
        random_elevation_deg: lowest and highest elevation of these.
        random_radius, random_fov_deg: their ranges; by default the rig of all other views.
        radius, fov_deg: distance from the origin in scene units and field of view.
    """

    canonical: bool = True
    rings: tuple[RingConfig, ...] = ()
    random: int = 26
    random_elevation_deg: Range = (-30.0, 60.0)
    random_radius: Range = (RADIUS, RADIUS)
    random_fov_deg: Range = (FOV_DEG, FOV_DEG)
    radius: float = RADIUS
    fov_deg: float = FOV_DEG

    def __post_init__(self) -> None:
        _check_range("random_elevation_deg", self.random_elevation_deg, -89.0, 89.0)
        _check_range("random_radius", self.random_radius, 1.5, 100.0)
        _check_range("random_fov_deg", self.random_fov_deg, 1.0, 120.0)
        if self.random < 0 or any(ring.count < 1 for ring in self.rings):
            raise ValueError("random and the counts of rings cannot be negative")
        if not (self.canonical or self.rings or self.random):
            raise ValueError("no view at all: set canonical, rings or random")


@dataclass(frozen=True)
class IdentityConfig:
    """Who there is. Adults only.

    Attributes:
        female: probability of a woman.
        ancestries: weights of the groups of `synth.sample_palettes.ANCESTRIES`, or "mixed".
        age_shape: parameters a, b of the Beta distribution of age between 20 and 85 years.
        shape_scale: factor on the spread of all sculpted controls; above 1.3 come caricatures.
        asymmetry: standard deviation of the difference between left and right.
    """

    female: float = 0.5
    ancestries: Weights = field(
        default_factory=lambda: {
            "african": 0.20,
            "east_asian": 0.18,
            "south_asian": 0.14,
            "middle_eastern": 0.10,
            "european": 0.22,
            "mixed": 0.16,
        }
    )
    age_shape: Range = (1.2, 2.4)
    shape_scale: float = 1.0
    asymmetry: float = 0.05

    def __post_init__(self) -> None:
        _check_probability("female", self.female)
        check_weights("ancestries", self.ancestries, (*palettes.ANCESTRIES, "mixed"))


@dataclass(frozen=True)
class ExpressionConfig:
    """Expression, gaze and the pose of the head on the neck.

    Attributes:
        families: weights of the families of expressions.
        averted_gaze: probability that the eyes do not look straight ahead.
        turned_head: probability that the head is turned on the neck.
        turn_sigma_deg: spread of yaw, pitch and roll when it is turned; cut at twice that.
    """

    families: Weights = field(
        default_factory=lambda: {
            "neutral": 0.40,
            "smile": 0.22,
            "grin": 0.13,
            "serious": 0.08,
            "surprise": 0.05,
            "talk": 0.07,
            "squint": 0.03,
            "sad": 0.02,
        }
    )
    averted_gaze: float = 0.4
    turned_head: float = 0.3
    turn_sigma_deg: tuple[float, float, float] = (6.0, 4.0, 3.0)

    def __post_init__(self) -> None:
        check_weights("families", self.families, palettes.EXPRESSION_FAMILIES)
        _check_probability("averted_gaze", self.averted_gaze)
        _check_probability("turned_head", self.turned_head)


@dataclass(frozen=True)
class HairConfig:
    """Hair styles by sex and texture, and colours by ancestry.

    Attributes:
        female_styles, male_styles: weights for straight to wavy hair.
        female_coily_styles, male_coily_styles: weights for tightly curled hair.
        balding: how much more often old men than young men are bald (0 never more often).
        dyed: probability that a woman's hair has one of the natural colours of other people.
        tinted: probability of a fancy dye.
        middle_parting: probability of a middle parting.
    """

    female_styles: Weights = field(
        default_factory=lambda: {
            "bob": 0.15,
            "long": 0.20,
            "wavy": 0.20,
            "long_curly": 0.10,
            "ponytail": 0.12,
            "bun": 0.10,
            "side_part": 0.05,
            "curly_short": 0.04,
            "crop": 0.03,
            "buzz": 0.01,
        }
    )
    male_styles: Weights = field(
        default_factory=lambda: {
            "buzz": 0.15,
            "crop": 0.26,
            "quiff": 0.18,
            "side_part": 0.20,
            "curly_short": 0.10,
            "bald": 0.06,
            "long": 0.03,
            "bob": 0.02,
        }
    )
    female_coily_styles: Weights = field(
        default_factory=lambda: {
            "afro": 0.30,
            "curly_short": 0.18,
            "long_curly": 0.22,
            "bun": 0.14,
            "long": 0.10,
            "buzz": 0.06,
        }
    )
    male_coily_styles: Weights = field(
        default_factory=lambda: {
            "buzz": 0.38,
            "afro": 0.16,
            "curly_short": 0.24,
            "crop": 0.10,
            "bald": 0.12,
        }
    )
    balding: float = 4.0
    dyed: float = 0.12
    tinted: float = 0.02
    middle_parting: float = 0.5

    def __post_init__(self) -> None:
        for name in ("female_styles", "male_styles", "female_coily_styles", "male_coily_styles"):
            check_weights(name, getattr(self, name), HAIR_STYLES)


@dataclass(frozen=True)
class FacialHairConfig:
    """Beards of men; women have none."""

    beards: Weights = field(
        default_factory=lambda: {
            "none": 0.44,
            "stubble": 0.22,
            "short": 0.14,
            "full": 0.09,
            "moustache": 0.05,
            "goatee": 0.06,
        }
    )

    def __post_init__(self) -> None:
        check_weights("beards", self.beards, BEARD_STYLES)


@dataclass(frozen=True)
class WearConfig:
    """Clothes, glasses and makeup.

    Attributes:
        glasses: probability of glasses; it doubles towards old age.
        tinted_glasses: probability that glasses are tinted.
        makeup: probability that a woman wears makeup at all.
        lipstick, eyeshadow: probabilities given makeup.
    """

    garments: Weights = field(
        default_factory=lambda: {
            "tee": 0.30,
            "v_neck": 0.12,
            "sweater": 0.18,
            "turtleneck": 0.10,
            "shirt": 0.18,
            "hoodie": 0.12,
        }
    )
    patterns: Weights = field(
        default_factory=lambda: {
            "plain": 0.62,
            "horizontal_stripes": 0.12,
            "vertical_stripes": 0.08,
            "plaid": 0.09,
            "print": 0.09,
        }
    )
    glasses: float = 0.14
    glasses_shapes: Weights = field(
        default_factory=lambda: {"round": 0.25, "oval": 0.2, "rectangle": 0.35, "browline": 0.2}
    )
    tinted_glasses: float = 0.08
    makeup: float = 0.55
    lipstick: float = 0.6
    eyeshadow: float = 0.4

    def __post_init__(self) -> None:
        check_weights("garments", self.garments, GARMENTS)
        check_weights("patterns", self.patterns, PATTERNS)
        check_weights("glasses_shapes", self.glasses_shapes, GLASSES_SHAPES)
        for name in ("glasses", "tinted_glasses", "makeup", "lipstick", "eyeshadow"):
            _check_probability(name, getattr(self, name))


@dataclass(frozen=True)
class LightConfig:
    """Kinds of light.

    Attributes:
        kinds: an environment map with a weak fill; dimmed with a key light; a studio of three area
            lights; uniform.
        hdris: environment maps that may light a head (almost) alone.
        dim_hdris: environment maps under a key light; the low suns only here, as they leave faces
            black.
    """

    kinds: Weights = field(
        default_factory=lambda: {"hdri": 0.36, "hdri_area": 0.32, "studio": 0.26, "ambient": 0.06}
    )
    hdris: Weights = field(
        default_factory=lambda: {
            "city": 1.0,
            "courtyard": 1.0,
            "forest": 1.0,
            "interior": 1.0,
            "studio": 1.0,
        }
    )
    dim_hdris: Weights = field(
        default_factory=lambda: {
            "city": 1.0,
            "courtyard": 1.0,
            "forest": 1.0,
            "interior": 1.0,
            "studio": 1.0,
            "sunrise": 0.7,
            "sunset": 0.7,
            "night": 0.4,
        }
    )

    def __post_init__(self) -> None:
        check_weights("kinds", self.kinds, palettes.LIGHT_KINDS)
        check_weights("hdris", self.hdris, HDRI_NAMES)
        check_weights("dim_hdris", self.dim_hdris, HDRI_NAMES)


@dataclass(frozen=True)
class DatasetConfig:
    """A dataset: how many heads, how they are drawn and how they are rendered.

    Attributes:
        heads: number of heads (looks); identities = ceil(heads / looks_per_identity).
        seed: any integer.
        size: width and height of every view in pixels.
        samples: Cycles samples a pixel.
        denoise: OpenImageDenoise on colour.
        looks_per_identity: how often one identity comes back with other hair, clothes, expression,
            light and cameras.
        heads_per_shard: heads in one tar file, the unit of work and of retries.
        passes: ground truth to store beside RGBA.
    """

    heads: int = 1000
    seed: int = 0
    size: int = 512
    samples: int = 32
    denoise: bool = True
    looks_per_identity: int = 1
    heads_per_shard: int = 4
    passes: tuple[str, ...] = ()
    views: ViewsConfig = ViewsConfig()
    identity: IdentityConfig = IdentityConfig()
    expression: ExpressionConfig = ExpressionConfig()
    hair: HairConfig = HairConfig()
    facial_hair: FacialHairConfig = FacialHairConfig()
    wear: WearConfig = WearConfig()
    light: LightConfig = LightConfig()

    def __post_init__(self) -> None:
        for name in ("heads", "size", "samples", "looks_per_identity", "heads_per_shard"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name)} is not positive")
