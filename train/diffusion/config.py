"""Configuration of the autoencoder and of the multi-view diffusion model.

The architecture (`AutoencoderConfig`, `MultiViewConfig`) stands apart from how it is trained
(`VaeConfig`, `DiffusionConfig`), so that a loaded model needs nothing of the latter.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from synth.camera import CANONICAL_VIEWS
from train.task import TrainConfig
from train.transforms import Background

PRESETS = Path(__file__).parent.parent / "configs"

AttentionMode = Literal["dense", "sparse", "row"]
VIEW_NAMES = tuple(name for name, _ in CANONICAL_VIEWS)


def _require(condition: bool, message: str) -> None:
    """Raise `ValueError(message)` unless the condition holds; `load_config` adds the YAML path."""
    if not condition:
        raise ValueError(message)


@dataclass(frozen=True)
class AutoencoderConfig:
    """Architecture of the `diffusers.AutoencoderKL`; each level after the first halves the size."""

    base: str | None = None
    """None: from scratch. Otherwise a local folder or hub id of a diffusers pipeline, whose `vae`
    gives weights and latent scale; the fields below must describe it."""
    block_out_channels: tuple[int, ...] = (32, 64, 96, 96)
    layers_per_block: int = 1
    latent_channels: int = 4
    norm_groups: int = 8
    mid_attention: bool = True
    statistics_decay: float = 0.98
    """Memory of the running latent statistics: 0.98 averages about the last 50 batches."""

    def __post_init__(self) -> None:
        _require(
            len(self.block_out_channels) >= 1
            and all(c > 0 and c % self.norm_groups == 0 for c in self.block_out_channels),
            f"autoencoder: block_out_channels {self.block_out_channels} must be positive multiples "
            f"of norm_groups {self.norm_groups}",
        )
        _require(
            0.0 <= self.statistics_decay < 1.0,
            f"autoencoder: statistics_decay {self.statistics_decay} must be in [0, 1)",
        )

    @property
    def downsampling(self) -> int:
        """Pixels per latent along one side."""
        return 2 ** (len(self.block_out_channels) - 1)


@dataclass(frozen=True)
class VaeConfig:
    """Training of the autoencoder: `headloom train vae`."""

    model: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    image_size: int = 128
    views_per_head: int = 2
    """Views of a head in one batch, drawn without repetition."""
    backgrounds: tuple[Background, ...] = ("white", "black", "grey")
    l1_weight: float = 1.0
    mse_weight: float = 1.0
    edge_weight: float = 1.0
    """Weight of the L1 distance between image gradients; it keeps contours from dissolving."""
    kl_weight: float = 1e-6
    """Weight of the KL divergence, in nats summed over a latent and divided by its pixels."""
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        _require(len(self.backgrounds) > 0, "vae: backgrounds is empty")
        _require(self.views_per_head >= 1, f"vae: views_per_head {self.views_per_head} is below 1")
        _require(
            self.model.base is not None or self.image_size % self.model.downsampling == 0,
            f"vae: image_size {self.image_size} is not divisible by {self.model.downsampling}, "
            "the downsampling of its model",
        )


@dataclass(frozen=True)
class UNetConfig:
    """Architecture of the stock `diffusers.UNet2DConditionModel`."""

    block_out_channels: tuple[int, ...] = (64, 128, 192)
    attention_levels: tuple[bool, ...] = (True, True, True)
    """Which levels, from the finest to the coarsest, hold transformer blocks."""
    layers_per_block: int = 1
    heads: tuple[int, ...] = (2, 4, 6)
    """Attention heads per level (diffusers calls this `attention_head_dim` for SD 2)."""
    cross_attention_dim: int = 128
    norm_groups: int = 16
    gradient_checkpointing: bool = False

    def __post_init__(self) -> None:
        levels = len(self.block_out_channels)
        _require(
            len(self.attention_levels) == levels and len(self.heads) == levels,
            f"unet: block_out_channels has {levels} levels, attention_levels "
            f"{len(self.attention_levels)} and heads {len(self.heads)}; they must agree",
        )
        for channels, heads in zip(self.block_out_channels, self.heads):
            _require(
                channels % heads == 0 and channels % self.norm_groups == 0,
                f"unet: {channels} channels are not divisible by {heads} heads and "
                f"{self.norm_groups} norm_groups",
            )


@dataclass(frozen=True)
class ImageEncoderConfig:
    """What turns the input photo into one vector, the class embedding of the UNet."""

    kind: Literal["conv", "clip"] = "conv"
    width: int = 256
    """Length of the embedding (conv), or of CLIP's projection."""
    channels: tuple[int, ...] = (32, 64, 128, 128)
    """Channels of the convolutions (conv); each halves the size."""
    folder: str | None = None
    """Folder of a diffusers pipeline or of a CLIP vision model with projection (clip)."""

    def __post_init__(self) -> None:
        _require(
            self.kind != "clip" or self.folder is not None,
            "image_encoder: kind clip needs `folder`, a local folder with an `image_encoder`",
        )

    @property
    def class_width(self) -> int:
        """Length of the class embedding: unCLIP appends the embedding of its noise level."""
        return 2 * self.width if self.kind == "clip" else self.width


@dataclass(frozen=True)
class MultiViewConfig:
    """Architecture of the multi-view UNet with its conditions."""

    base: str | None = None
    """None: from scratch. Otherwise a local folder or hub id of a diffusers pipeline, whose `unet`
    gives the weights; `unet` below must describe it."""
    unet: UNetConfig = field(default_factory=UNetConfig)
    image_encoder: ImageEncoderConfig = field(default_factory=ImageEncoderConfig)
    attention: AttentionMode = "dense"
    views: tuple[str, ...] = VIEW_NAMES
    """Names of the views, in the order of the output; the first one looks at the face."""
    latent_channels: int = 4
    latent_size: int = 16
    view_tokens: int = 4
    """Length of the text-like sequence that tells the UNet which view it paints."""
    view_embeddings: str | None = None
    """File (.safetensors, one tensor [views, view_tokens, cross_attention_dim]) of fixed
    embeddings. None: learned when training from scratch, made from the base's text encoder
    otherwise."""

    def __post_init__(self) -> None:
        _require(len(self.views) >= 1, "multi-view model: views is empty")
        _require(
            len(set(self.views)) == len(self.views), f"multi-view model: views repeat {self.views}"
        )
        factor = 2 ** (len(self.unet.block_out_channels) - 1)
        _require(
            self.latent_size % factor == 0,
            f"multi-view model: latent_size {self.latent_size} is not divisible by {factor}, the "
            "downsampling of its UNet",
        )


@dataclass(frozen=True)
class ScheduleConfig:
    """Noise schedule and loss weight; see `train.diffusion.schedule`."""

    timesteps: int = 1000
    beta_start: float = 0.00085
    beta_end: float = 0.012
    zero_terminal_snr: bool = True
    """Rescale so that the last timestep is pure noise (Lin et al. 2023, algorithm 1)."""
    snr_divisor: float = 1.0
    """The signal-to-noise ratio of every timestep is divided by this."""
    loss_weight: Literal["min_snr", "min_snr_plus_one", "uniform"] = "min_snr_plus_one"
    snr_gamma: float = 5.0

    def __post_init__(self) -> None:
        _require(self.timesteps >= 2, f"schedule: timesteps {self.timesteps} is below 2")
        _require(
            0 < self.beta_start < self.beta_end < 1,
            f"schedule: expected 0 < beta_start < beta_end < 1, got {self.beta_start} and "
            f"{self.beta_end}",
        )
        _require(
            self.snr_divisor > 0 and self.snr_gamma > 0,
            f"schedule: snr_divisor {self.snr_divisor} and snr_gamma {self.snr_gamma} must be "
            "positive",
        )
        _require(
            not (self.zero_terminal_snr and self.loss_weight == "min_snr"),
            "schedule: loss_weight min_snr is zero at a terminal SNR of zero, so the first step of "
            "sampling would never be trained; take min_snr_plus_one, or zero_terminal_snr: false",
        )


@dataclass(frozen=True)
class DropConfig:
    """Probability of training a head without a condition, for classifier-free guidance."""

    latent: float = 0.05
    embedding: float = 0.05
    both: float = 0.05

    def __post_init__(self) -> None:
        values = (self.latent, self.embedding, self.both)
        _require(
            min(values) >= 0 and sum(values) <= 1,
            f"drop: probabilities {values} must not be negative and sum up to at most 1",
        )


@dataclass(frozen=True)
class SamplingConfig:
    """Defaults of `MultiViewPipeline`; an argument of a call goes before them."""

    steps: int = 50
    eta: float = 1.0
    """0 is deterministic DDIM, 1 adds the noise of DDPM."""
    guidance: float = 3.0
    """Scale of classifier-free guidance; 1 is none, and costs half as much."""
    guidance_rescale: float = 0.0
    """Pulls the contrast that guidance adds back by this share (Lin et al. 2023, section 3.4)."""

    def __post_init__(self) -> None:
        _require(
            self.steps >= 1 and 0 <= self.eta <= 1 and 0 <= self.guidance_rescale <= 1,
            f"sampling: steps {self.steps} must be at least 1, eta {self.eta} and "
            f"guidance_rescale {self.guidance_rescale} in [0, 1]",
        )


@dataclass(frozen=True)
class DiffusionConfig:
    """Training of the multi-view model: `headloom train diffusion`."""

    vae: str | None = None
    """Checkpoint of the trained autoencoder, or folder of a diffusers pipeline with a `vae`."""
    model: MultiViewConfig = field(default_factory=MultiViewConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    drop: DropConfig = field(default_factory=DropConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    image_size: int = 128
    backgrounds: tuple[Background, ...] = ("white", "black", "grey")
    """One is drawn per head, for its input and its targets alike."""
    reconstruct_input: bool = True
    """Output view 0 is the input photo itself, the trick of FaceLift; otherwise the true front
    view, which differs only when the input is rotated."""
    input_rotation_deg: float = 0.0
    """Standard deviation of the in-plane rotation of the input photo."""
    preview_steps: int = 10
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        _require(len(self.backgrounds) > 0, "diffusion: backgrounds is empty")
        _require(
            self.image_size % self.model.latent_size == 0,
            f"diffusion: image_size {self.image_size} is not a multiple of latent_size "
            f"{self.model.latent_size}",
        )
        _require(
            self.input_rotation_deg >= 0,
            f"diffusion: input_rotation_deg {self.input_rotation_deg} is negative",
        )
