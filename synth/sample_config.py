"""`DatasetConfig`: what a dataset consists of, and every probability of the sampler.

Weights are relative: they need not sum to 1. A mapping that a file or an override gives replaces
the default mapping as a whole, so `--set hair.female_styles={bob: 1}` gives every woman a bob.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from synth.asset_store import AssetStore
from synth.camera import FOV_DEG, RADIUS
from synth.ground_truth import check_passes
from synth.quality import QualityConfig
from synth.sample_accessories import AccessoriesConfig
from synth.sample_assets import AssetsConfig, expand_assets, expand_weights
from synth.sample_draw import Range, check_probability, check_range
from synth.sample_expression import ExpressionConfig
from synth.sample_hair import FacialHairConfig, HairConfig
from synth.sample_identity import IdentityConfig
from synth.sample_light import LightConfig
from synth.sample_makeup import MakeupConfig
from synth.sample_wear import WearConfig


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
        check_range("random_elevation_deg", self.random_elevation_deg, -89.0, 89.0)
        check_range("random_radius", self.random_radius, 1.5, 100.0)
        check_range("random_fov_deg", self.random_fov_deg, 1.0, 120.0)
        if self.random < 0 or any(ring.count < 1 for ring in self.rings):
            raise ValueError("random and the counts of rings cannot be negative")
        if not (self.canonical or self.rings or self.random):
            raise ValueError("no view at all: set canonical, rings or random")


@dataclass(frozen=True)
class FactorConfig:
    """How many pictures an identity gives: identity x look x expression x light.

    Heads are numbered with the light fastest and the identity slowest:
    `head = ((identity * looks + look) * expressions + expression) * lights + light`.
    200 identities x 50 heads are for example `{looks: 5, expressions: 5, lights: 2}`. Cameras and
    render noise belong to the head. Growing a factor renumbers heads but leaves every combination
    that was there before as it was.

    Attributes:
        looks: looks of one identity: hair style, beard, clothes, accessories, makeup.
        expressions: expressions of one look, each with its gaze and pose of the head.
        lights: lights on one expression.
        crossed: expression number n is the same under every look of the identity, and light number
            n the same on every look and expression (a full factorial design, for relighting or
            disentangling); otherwise each is drawn anew.
    """

    looks: int = 1
    expressions: int = 1
    lights: int = 1
    crossed: bool = False

    def __post_init__(self) -> None:
        for name in ("looks", "expressions", "lights"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name)} is not positive")

    @property
    def heads_per_identity(self) -> int:
        """Heads until the next identity."""
        return self.looks * self.expressions * self.lights


@dataclass(frozen=True)
class HabitsConfig:
    """What a person keeps: the probability that a further look has it as the first one.

    Attributes:
        hair: style, colour and length of the hair (it falls differently all the same).
        beard: its style and length.
        glasses: wearing them, and which.
        makeup: wearing it, and how.
    """

    hair: float = 0.5
    beard: float = 0.6
    glasses: float = 0.75
    makeup: float = 0.5

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):
            check_probability(item.name, getattr(self, item.name))


@dataclass(frozen=True)
class DatasetConfig:
    """A dataset: how many heads, how they are drawn and how they are rendered.

    Attributes:
        heads: number of heads; identities = ceil(heads / factors.heads_per_identity).
        seed: any integer.
        size: width and height of every view in pixels.
        samples: Cycles samples a pixel.
        denoise: OpenImageDenoise on colour.
        factors: how the heads of one identity are arranged.
        quality: limits beyond which a rendered head is rejected; null keeps all. They belong to the
            configuration as everything else does: a dataset is judged by one set of limits.
        habits: what the looks of one identity have in common beside it.
        heads_per_shard: heads in one tar file, the unit of work and of retries.
        passes: ground truth to store beside RGBA, of `synth.ground_truth.PASSES`.
    """

    heads: int = 1000
    seed: int = 0
    size: int = 512
    samples: int = 32
    denoise: bool = True
    heads_per_shard: int = 4
    passes: tuple[str, ...] = ()
    factors: FactorConfig = field(default_factory=FactorConfig)
    habits: HabitsConfig = field(default_factory=HabitsConfig)
    views: ViewsConfig = field(default_factory=ViewsConfig)
    identity: IdentityConfig = field(default_factory=IdentityConfig)
    expression: ExpressionConfig = field(default_factory=ExpressionConfig)
    hair: HairConfig = field(default_factory=HairConfig)
    facial_hair: FacialHairConfig = field(default_factory=FacialHairConfig)
    wear: WearConfig = field(default_factory=WearConfig)
    makeup: MakeupConfig = field(default_factory=MakeupConfig)
    accessories: AccessoriesConfig = field(default_factory=AccessoriesConfig)
    light: LightConfig = field(default_factory=LightConfig)
    assets: AssetsConfig = field(default_factory=AssetsConfig)
    quality: QualityConfig | None = field(default_factory=QualityConfig)

    def __post_init__(self) -> None:
        for name in ("heads", "size", "samples", "heads_per_shard"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name)} is not positive")
        check_passes("passes", self.passes)


def with_known_assets(config: DatasetConfig) -> DatasetConfig:
    """The configuration with what selects several assets (`studio:*`) replaced by their ids.

    A dataset is made from the result, so that a store that grows cannot change it unseen.

    Raises:
        AssetError: an asset is missing or of another kind, or nothing is selected.
    """
    store = AssetStore(config.assets.store)
    maps = {
        name: expand_weights(getattr(config.light, name), "hdri", store)
        for name in ("hdris", "dim_hdris")
    }
    return dataclasses.replace(
        config,
        light=dataclasses.replace(config.light, **maps),
        assets=expand_assets(config.assets),
    )
