"""The autoencoder of the latent diffusion: a stock `AutoencoderKL` that knows its latents' scale.

Latent diffusion wants latents of unit variance. Stable Diffusion carries a constant for its own
autoencoder (0.18215); ours is trained here, so the mean and the variance of each latent channel are
measured while it trains and travel in its checkpoint as buffers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from synth.config import from_dict
from synth.errors import AssetError, CheckpointError, ConfigError
from train.checkpoint import load_into, load_weights
from train.diffusion.config import AutoencoderConfig, VaeConfig

LOG_VARIANCE_LIMITS = (-30.0, 20.0)
"""Where `AutoencoderKL` itself clamps the logarithm of the posterior's variance."""


def build_vae(config: AutoencoderConfig) -> AutoencoderKL:
    """A new (randomly initialised) or pretrained autoencoder.

    Raises:
        AssetError: `config.base` is set and holds no `vae`.
        ConfigError: its `vae` is not the one that `config` describes.
    """
    if config.base is not None:
        vae = from_pretrained(AutoencoderKL, config.base, "vae")
        found = replace(describe_vae(vae, config.base), statistics_decay=config.statistics_decay)
        if found != config:
            raise ConfigError(f"the vae of {config.base} is {found}, the configuration is {config}")
        return vae
    levels = len(config.block_out_channels)
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=config.block_out_channels,
        layers_per_block=config.layers_per_block,
        latent_channels=config.latent_channels,
        norm_num_groups=config.norm_groups,
        mid_block_add_attention=config.mid_attention,
    )


def from_pretrained(kind: type, base: str, subfolder: str) -> nn.Module:
    """Load one part of a diffusers pipeline from a local folder or from the hub, in float32.

    Raises:
        AssetError: there is no such part; names the base and the remedy.
    """
    try:
        return kind.from_pretrained(
            base, subfolder=subfolder, torch_dtype=torch.float32, low_cpu_mem_usage=False
        )
    except (OSError, ValueError) as error:
        raise AssetError(
            f"cannot load {subfolder!r} of the diffusers pipeline {base!r}: {error}. Give a local "
            "folder (or a hub id that exists) with the same parts, or base: null to train from "
            "scratch"
        ) from error


@dataclass(frozen=True)
class Reconstruction:
    """What the autoencoder makes of pictures.

    Attributes:
        images: [N, 3, H, W] decoded pictures, about [0, 1], not clamped.
        mean: [N, C, h, w] raw (not normalised) mean of the posterior.
        log_variance: [N, C, h, w] logarithm of its variance.
    """

    images: Tensor
    mean: Tensor
    log_variance: Tensor


class Autoencoder(nn.Module):
    """`AutoencoderKL` between pictures in [0, 1] and latents of zero mean and unit variance.

    While it trains, every forward pass updates exponential averages of the mean and the variance of
    the posterior's mean, per channel. They are buffers: part of the checkpoint, restored on resume,
    and the only place where the latent scale lives. A pretrained base keeps its own factors, since
    the UNet that goes with it was trained on them.

    Args:
        config: architecture; must describe the base if there is one.
        vae: the network, when it is already at hand.

    Raises:
        ConfigError: the base differs from the description.
    """

    def __init__(self, config: AutoencoderConfig, vae: AutoencoderKL | None = None):
        super().__init__()
        self.config = config
        self.vae = build_vae(config) if vae is None else vae
        channels = config.latent_channels
        self.register_buffer("latent_mean", torch.zeros(channels))
        self.register_buffer("latent_variance", torch.zeros(channels))
        self.register_buffer("latent_weight", torch.zeros(()))
        if config.base is not None:
            self.latent_mean.fill_(self.vae.config.shift_factor or 0.0)
            self.latent_variance.fill_(self.vae.config.scaling_factor**-2)
            self.latent_weight.fill_(1.0)

    def latent_statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the raw latents per channel, [C] each.

        Raises:
            CheckpointError: nothing was measured yet.
        """
        if not bool(self.latent_weight > 0):
            raise CheckpointError(
                "the autoencoder has no latent statistics: it was never trained; run "
                "`headloom train vae`, or call measure_latent_statistics"
            )
        return self.latent_mean, self.latent_variance.clamp(min=1e-12).sqrt()

    def encode(self, images: Tensor) -> Tensor:
        """Normalised latents: the posterior's mean, shifted and scaled channel by channel.

        Args:
            images: [N, 3, H, W] in [0, 1], sRGB; H and W divisible by the downsampling.

        Returns:
            [N, C, h, w] with about zero mean and unit variance.
        """
        mean, std = self.latent_statistics()
        raw = self.vae.encode(images * 2.0 - 1.0).latent_dist.mean
        return (raw - mean.view(-1, 1, 1)) / std.view(-1, 1, 1)

    def decode(self, latents: Tensor) -> Tensor:
        """Pictures [N, 3, H, W], about [0, 1], from normalised latents [N, C, h, w]."""
        mean, std = self.latent_statistics()
        raw = latents * std.view(-1, 1, 1) + mean.view(-1, 1, 1)
        return self.vae.decode(raw).sample * 0.5 + 0.5

    def forward(self, images: Tensor, generator: torch.Generator | None = None) -> Reconstruction:
        """Encode and decode; in training mode with a sampled latent and an update of the moments.

        Args:
            images: [N, 3, H, W] in [0, 1], sRGB.
            generator: draws the latent; None takes the posterior's mean.
        """
        moments = self.vae.encode(images * 2.0 - 1.0).latent_dist
        mean = moments.mean
        log_variance = moments.logvar.clamp(*LOG_VARIANCE_LIMITS)
        latent = mean
        if generator is not None:
            noise = torch.randn(mean.shape, generator=generator, device=generator.device)
            latent = mean + torch.exp(0.5 * log_variance) * noise.to(mean)
        if self.training and self.config.base is None:
            self._update_statistics(mean.detach().float())
        decoded = self.vae.decode(latent).sample * 0.5 + 0.5
        return Reconstruction(decoded, mean, log_variance)

    @torch.no_grad()
    def _update_statistics(self, raw: Tensor) -> None:
        """Mix the moments of one batch [N, C, h, w] into the running ones.

        After n batches the weights decay^i sum up to 1 - decay^n, so the newest gets the share
        (1 - decay) / (1 - decay^n) and the zeros at the start get none (as the bias correction of
        Adam, arXiv 1412.6980, section 3). The variance of a mixture contains the distance between
        the means.
        """
        newest = 1.0 - self.config.statistics_decay
        self.latent_weight.lerp_(torch.ones_like(self.latent_weight), newest)
        share = newest / self.latent_weight
        mean = raw.mean(dim=(0, 2, 3))
        variance = raw.var(dim=(0, 2, 3), correction=0)
        offset = mean - self.latent_mean
        self.latent_variance.mul_(1.0 - share)
        self.latent_variance.add_(share * variance + share * (1.0 - share) * offset**2)
        self.latent_mean.add_(share * offset)


@torch.no_grad()
def measure_latent_statistics(autoencoder: Autoencoder, batches: Iterable[Tensor]) -> None:
    """Replace the running statistics by exact ones over a set of pictures.

    Args:
        autoencoder: its buffers are set.
        batches: pictures, [N, 3, H, W] in [0, 1] each; each pixel of a latent counts once.

    Raises:
        ValueError: `batches` is empty.
    """
    count = 0
    first = torch.zeros(autoencoder.config.latent_channels, dtype=torch.float64)
    second = torch.zeros_like(first)
    for images in batches:
        raw = autoencoder.vae.encode(images * 2.0 - 1.0).latent_dist.mean.double().cpu()
        first += raw.sum(dim=(0, 2, 3))
        second += raw.square().sum(dim=(0, 2, 3))
        count += raw.shape[0] * raw.shape[2] * raw.shape[3]
    if count == 0:
        raise ValueError("measure_latent_statistics got no pictures")
    mean = first / count
    autoencoder.latent_mean.copy_(mean)
    autoencoder.latent_variance.copy_(second / count - mean**2)
    autoencoder.latent_weight.fill_(1.0)


def load_autoencoder(source: str | Path) -> Autoencoder:
    """A trained autoencoder, frozen and in eval mode, on the CPU.

    Args:
        source: run, checkpoint or export of `headloom train vae`, or the local folder of a
            diffusers pipeline that holds a `vae`.

    Raises:
        CheckpointError: neither, or the weights are damaged or of another kind of model.
    """
    source = Path(source)
    if (source / "vae" / "config.json").is_file():
        vae = from_pretrained(AutoencoderKL, str(source), "vae")
        autoencoder = Autoencoder(describe_vae(vae, str(source)), vae)
    else:
        weights, data, kind = load_weights(source)
        if kind != "vae":
            raise CheckpointError(f"{source} holds a {kind} model, not an autoencoder (vae)")
        config = from_dict(VaeConfig, data, f"configuration in {source}").model
        autoencoder = Autoencoder(replace(config, base=None))
        load_into(autoencoder, weights, source)
    return autoencoder.eval().requires_grad_(False)


def describe_vae(vae: AutoencoderKL, base: str) -> AutoencoderConfig:
    """The configuration that describes a pretrained `AutoencoderKL`."""
    return AutoencoderConfig(
        base=base,
        block_out_channels=tuple(vae.config.block_out_channels),
        layers_per_block=vae.config.layers_per_block,
        latent_channels=vae.config.latent_channels,
        norm_groups=vae.config.norm_num_groups,
        mid_attention=vae.config.mid_block_add_attention,
    )


def weights_digest(module: nn.Module) -> Tensor:
    """SHA-256 of parameters and buffers, uint8 [32]: tells trained autoencoders apart.

    Taken from float16 roundings, so that a checkpoint and its half-precision export agree.
    """
    sha = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        sha.update(f"{name} {tuple(tensor.shape)}\n".encode())
        sha.update(tensor.detach().cpu().half().contiguous().numpy().tobytes())
    return torch.tensor(list(sha.digest()), dtype=torch.uint8)
