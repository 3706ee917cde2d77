"""Configuration of the reconstructor: architecture, views, loss and training.

The architecture (`GslrmModelConfig`) stands apart from how it is trained (`GslrmConfig`), so that a
loaded model needs nothing of the latter.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from train.rays import RayFeatures
from train.task import TrainConfig
from train.transforms import Background

ScaleUnit = Literal["world", "input_pixel"]
ScaleBound = Literal["clamp", "sigmoid"]


def _require(condition: bool, message: str) -> None:
    """Raise `ValueError(message)` unless the condition holds; `load_config` adds the YAML path."""
    if not condition:
        raise ValueError(message)


@dataclass(frozen=True)
class GslrmModelConfig:
    """Architecture of the reconstructor; the defaults are the paper's where it speaks.

    Attributes:
        width: channels of a token (the paper: 1024).
        layers: transformer blocks (24).
        head_width: channels of an attention head (64).
        mlp_ratio: hidden channels of the MLP over `width` (4).
        patch_size: side of a patch in pixels (8).
        free_tokens: learned tokens in front of the pictures, each giving a Gaussian without a ray.
        rays: six ray numbers per pixel; FaceLift's "closest_point" or the paper's "pluecker".
        qk_norm: RMS-normalise queries and keys of each head (LVSM); steadier at high rates.
        depth_range: largest distance of a Gaussian from its ray's closest approach to the origin,
            in scene units.
        scale_unit: "world": the bias below is a logarithm in scene units. "input_pixel": it is
            relative to the size of an input pixel at the ray's closest approach, so that fresh
            splats cover about one pixel at any resolution.
        scale_bias: added to the predicted logarithm of the scale.
        scale_bound: "clamp": the logarithm is cut at `scale_max` (the paper). "sigmoid": the scale
            runs from `scale_min` to `scale_max` along a sigmoid and keeps a gradient (GRM).
        scale_min, scale_max: in scene units; the minimum acts on "sigmoid" only.
        opacity_bias: added to the predicted logit.
        color_residual: predicted colours add to the colour of the input pixel.
        checkpoint_activations: recompute blocks in the backward pass to save memory.
    """

    width: int = 384
    layers: int = 12
    head_width: int = 64
    mlp_ratio: int = 4
    patch_size: int = 8
    free_tokens: int = 2
    rays: RayFeatures = "closest_point"
    qk_norm: bool = False
    depth_range: float = 1.8
    scale_unit: ScaleUnit = "world"
    scale_bias: float = -2.3
    scale_bound: ScaleBound = "clamp"
    scale_min: float = 0.0005
    scale_max: float = 0.30119421191220214  # exp(-1.2)
    opacity_bias: float = -2.0
    color_residual: bool = False
    checkpoint_activations: bool = False

    def __post_init__(self) -> None:
        for name in ("width", "layers", "head_width", "mlp_ratio", "patch_size"):
            _require(getattr(self, name) >= 1, f"model: {name} must be at least 1, got "
                     f"{getattr(self, name)}")  # fmt: skip
        _require(
            self.width % self.head_width == 0,
            f"model: head_width {self.head_width} does not divide width {self.width}",
        )
        _require(
            self.free_tokens >= 0, f"model: free_tokens must not be negative: {self.free_tokens}"
        )
        _require(self.depth_range > 0, f"model: depth_range must be positive: {self.depth_range}")
        _require(
            0 < self.scale_min < self.scale_max,
            f"model: 0 < scale_min < scale_max does not hold for {self.scale_min} and "
            f"{self.scale_max}",
        )


@dataclass(frozen=True)
class ViewsConfig:
    """Which views of a head are inputs and which are rendered and compared.

    Attributes:
        canonical_probability: share of batches whose inputs are the six canonical views; the others
            take random views. A model that has only seen the canonical six falls apart on others.
        random_inputs: smallest and largest number of random input views; drawn per batch, and
            reduced where a head would have fewer than `target_others` views left.
        target_inputs: how many of the inputs are also targets.
        target_others: how many further views are targets, as far as the head has them.
    """

    canonical_probability: float = 0.5
    random_inputs: tuple[int, int] = (4, 8)
    target_inputs: int = 2
    target_others: int = 4

    def __post_init__(self) -> None:
        low, high = self.random_inputs
        _require(1 <= low <= high, f"views: random_inputs {low}, {high} is not a range from 1")
        _require(
            0 <= self.canonical_probability <= 1,
            f"views: canonical_probability {self.canonical_probability} is not in [0, 1]",
        )
        _require(
            min(self.target_inputs, self.target_others) >= 0
            and self.target_inputs + self.target_others >= 1,
            f"views: target_inputs {self.target_inputs} and target_others {self.target_others} "
            "must not be negative, nor both 0",
        )


@dataclass(frozen=True)
class GslrmConfig:
    """Training of the reconstructor: `headloom train gslrm`.

    Attributes:
        model: the architecture.
        image_size: side in pixels of input and target pictures.
        views: choice of views.
        backgrounds: one of these is drawn for each head, for inputs and targets alike.
        alpha_weight: weight of the mean squared error of alpha (GRM); the colour's is 1.
        train: optimiser and schedule.
    """

    model: GslrmModelConfig = field(default_factory=GslrmModelConfig)
    image_size: int = 128
    views: ViewsConfig = field(default_factory=ViewsConfig)
    backgrounds: tuple[Background, ...] = ("white", "random")
    alpha_weight: float = 0.2
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        _require(
            self.image_size >= 1 and self.image_size % self.model.patch_size == 0,
            f"image_size {self.image_size} is not a multiple of model.patch_size "
            f"{self.model.patch_size}",
        )
        _require(len(self.backgrounds) > 0, "backgrounds must name at least one background")
        _require(self.alpha_weight >= 0, f"alpha_weight must not be negative: {self.alpha_weight}")
