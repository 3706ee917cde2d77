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
class AugmentConfig:
    """Input views that disagree a little, see `train.gslrm.augment`.

    Attributes:
        distortion_probability: share of heads whose input pictures are bent.
        distortion_strength: by how much a strip of a picture grows or shrinks at most, in [0, 1).
        distortion_cells: strips across a picture.
        jitter_probability: share of heads whose input cameras are moved.
        jitter_deg: by how much at most, around the origin, in degrees.
    """

    distortion_probability: float = 0.0
    distortion_strength: float = 0.5
    distortion_cells: int = 8
    jitter_probability: float = 0.0
    jitter_deg: float = 5.0

    def __post_init__(self) -> None:
        for name in ("distortion_probability", "jitter_probability"):
            value = getattr(self, name)
            _require(0 <= value <= 1, f"augment: {name} {value} is not in [0, 1]")
        _require(
            0 <= self.distortion_strength < 1,
            f"augment: distortion_strength {self.distortion_strength} is not in [0, 1)",
        )
        _require(self.distortion_cells >= 1, "augment: distortion_cells must be at least 1")
        _require(0 <= self.jitter_deg <= 45, f"augment: jitter_deg {self.jitter_deg} is not 0..45")


@dataclass(frozen=True)
class LossConfig:
    """What the rendered targets are compared by; the squared error of colour has weight 1.

    Attributes:
        alpha_weight: of the mean squared error of alpha (GRM, arXiv 2403.14621).
        depth_weight: of the distance between rendered and true depth, where there is a surface, in
            scene units; the dataset must have the pass `depth`.
        opacity_weight: of the mean opacity, so that Gaussians that nobody needs fade and can be
            pruned (Long-LRM, arXiv 2410.12781).
        perceptual_weight: of LPIPS with VGG-16.
        perceptual_after: optimiser steps before it begins; from the start it keeps a reconstructor
            from finding its depths.
        perceptual_views: how many of a head's targets it looks at, drawn anew for every step; VGG
            costs more than a small reconstructor. None is all.
    """

    alpha_weight: float = 0.2
    depth_weight: float = 0.0
    opacity_weight: float = 0.0
    perceptual_weight: float = 0.0
    perceptual_after: int = 0
    perceptual_views: int | None = None

    def __post_init__(self) -> None:
        for name in ("alpha_weight", "depth_weight", "opacity_weight", "perceptual_weight",
                     "perceptual_after"):  # fmt: skip
            value = getattr(self, name)
            _require(value >= 0, f"loss: {name} must not be negative: {value}")
        _require(
            self.perceptual_views is None or self.perceptual_views >= 1,
            f"loss: perceptual_views must be at least 1 or null: {self.perceptual_views}",
        )


@dataclass(frozen=True)
class GslrmConfig:
    """Training of the reconstructor: `headloom train gslrm`.

    Attributes:
        model: the architecture.
        image_size: side in pixels of input and target pictures.
        views: choice of views.
        backgrounds: one of these is drawn for each head, for inputs and targets alike.
        augment: input views that disagree a little.
        loss: what the targets are compared by.
        defer_rendering: render each target anew in the backward pass, one at a time, and keep none
            of them in between (deferred back-propagation: Zhang et al. 2022, arXiv 2206.06360);
            memory for time, the gradients are the same.
        train: optimiser and schedule.
    """

    model: GslrmModelConfig = field(default_factory=GslrmModelConfig)
    image_size: int = 128
    views: ViewsConfig = field(default_factory=ViewsConfig)
    backgrounds: tuple[Background, ...] = ("white", "random")
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    defer_rendering: bool = False
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        _require(
            self.image_size >= 1 and self.image_size % self.model.patch_size == 0,
            f"image_size {self.image_size} is not a multiple of model.patch_size "
            f"{self.model.patch_size}",
        )
        _require(len(self.backgrounds) > 0, "backgrounds must name at least one background")
