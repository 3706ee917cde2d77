"""`MultiViewDiffusion`: a stock UNet that paints all views of a head at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from synth.config import from_dict
from synth.errors import CheckpointError, ConfigError
from train.checkpoint import load_into, load_weights
from train.diffusion.attention import set_multi_view_attention
from train.diffusion.conditioning import build_image_encoder, build_view_embeddings
from train.diffusion.config import DiffusionConfig, MultiViewConfig
from train.diffusion.vae import from_pretrained


def build_unet(config: MultiViewConfig) -> UNet2DConditionModel:
    """The stock UNet with twice the latent channels as input: noisy latent, then input photo.

    From a pretrained base the weights of the additional channels are zero, so that it starts as
    exactly the network it was.

    Raises:
        AssetError: the base cannot be loaded.
        ConfigError: the base differs from `config`; names the values.
    """
    channels = 2 * config.latent_channels
    if config.base is None:
        return UNet2DConditionModel(**_unet_arguments(config, channels))
    unet = from_pretrained(UNet2DConditionModel, config.base, "unet")
    wanted = {
        "block_out_channels": config.unet.block_out_channels,
        "layers_per_block": config.unet.layers_per_block,
        "attention_head_dim": config.unet.heads,
        "norm_num_groups": config.unet.norm_groups,
        "cross_attention_dim": config.unet.cross_attention_dim,
        "projection_class_embeddings_input_dim": config.image_encoder.class_width,
        "out_channels": config.latent_channels,
    }
    for name, value in wanted.items():
        found = unet.config[name]
        found = tuple(found) if isinstance(found, list) else found
        if found != value:
            raise ConfigError(
                f"the UNet of {config.base} has {name} {found}, the configuration says {value}; "
                "describe the base in model.unet"
            )
    if unet.config.in_channels != channels:
        widen_conv_in(unet, channels)
    return unet


def _unet_arguments(config: MultiViewConfig, in_channels: int) -> dict:
    unet = config.unet
    down = ["CrossAttnDownBlock2D" if a else "DownBlock2D" for a in unet.attention_levels]
    up = ["CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(unet.attention_levels)]
    return {
        "sample_size": config.latent_size,
        "in_channels": in_channels,
        "out_channels": config.latent_channels,
        "down_block_types": tuple(down),
        "up_block_types": tuple(up),
        "mid_block_type": "UNetMidBlock2DCrossAttn",
        "block_out_channels": unet.block_out_channels,
        "layers_per_block": unet.layers_per_block,
        "attention_head_dim": unet.heads,  # diffusers' historical misnomer: a number of heads
        "cross_attention_dim": unet.cross_attention_dim,
        "norm_num_groups": unet.norm_groups,
        "use_linear_projection": True,
        "class_embed_type": "projection",
        "projection_class_embeddings_input_dim": config.image_encoder.class_width,
    }


@torch.no_grad()
def widen_conv_in(unet: UNet2DConditionModel, in_channels: int) -> None:
    """Give a UNet more input channels, whose weights are zero: its output does not change.

    Raises:
        ConfigError: it already has more than `in_channels`.
    """
    old = unet.conv_in
    if in_channels < old.in_channels:
        raise ConfigError(f"cannot widen conv_in from {old.in_channels} to {in_channels} channels")
    new = nn.Conv2d(in_channels, old.out_channels, old.kernel_size, padding=old.padding)
    new.weight.zero_()
    new.weight[:, : old.in_channels] = old.weight
    new.bias.copy_(old.bias)
    unet.conv_in = new.to(old.weight)
    unet.register_to_config(in_channels=in_channels)


@dataclass(frozen=True)
class PhotoCondition:
    """What the UNet knows of the input photo.

    Attributes:
        latents: [B, C, h, w] normalised latent of the photo.
        embedding: [B, E] vector of the image encoder.
    """

    latents: Tensor
    embedding: Tensor

    def dropped(self, keep_latents: Tensor, keep_embedding: Tensor) -> PhotoCondition:
        """Zero the conditions where the masks [B] are False; zero means "no condition"."""
        return replace(
            self,
            latents=self.latents * keep_latents.to(self.latents).view(-1, 1, 1, 1),
            embedding=self.embedding * keep_embedding.to(self.embedding).view(-1, 1),
        )


class MultiViewDiffusion(nn.Module):
    """Predicts the velocity of all views of a head from their noisy latents and one photo.

    `unet` holds exactly the weights of a stock `UNet2DConditionModel`; `view_embeddings`
    [V, tokens, D] tell it which view is which; `image_encoder` makes the class embedding.
    """

    def __init__(self, config: MultiViewConfig):
        super().__init__()
        self.config = config
        self.unet = build_unet(config)
        set_multi_view_attention(self.unet, self.view_count, config.attention)
        if config.unet.gradient_checkpointing:
            self.unet.enable_gradient_checkpointing()
        self.view_embeddings = build_view_embeddings(config)
        self.image_encoder = build_image_encoder(config.image_encoder)
        # Digest of the autoencoder whose latents this model speaks; zeros before training.
        self.register_buffer("vae_digest", torch.zeros(32, dtype=torch.uint8))

    @property
    def view_count(self) -> int:
        """Number V of views painted together."""
        return len(self.config.views)

    def embed_photo(self, images: Tensor) -> Tensor:
        """Vector of the photos: [B, 3, H, W] in [0, 1] to [B, E]."""
        return self.image_encoder(images)

    def velocity(self, noisy: Tensor, timesteps: Tensor, condition: PhotoCondition) -> Tensor:
        """Predict v of every view.

        Args:
            noisy: [B, V, C, h, w] noisy latents.
            timesteps: [B] int64, shared by the views of a head.
            condition: of B photos.

        Returns:
            [B, V, C, h, w].

        Raises:
            ConfigError: another number of views than configured.
        """
        batch, views = noisy.shape[:2]
        if views != self.view_count:
            raise ConfigError(
                f"the model paints {self.view_count} views ({', '.join(self.config.views)}), got "
                f"{views}"
            )
        photo = condition.latents.unsqueeze(1).expand_as(noisy)
        velocity = self.unet(
            torch.cat([noisy, photo], dim=2).flatten(0, 1),
            timesteps.repeat_interleave(views),
            encoder_hidden_states=self.view_embeddings.repeat(batch, 1, 1).to(noisy.dtype),
            class_labels=condition.embedding.repeat_interleave(views, dim=0).to(noisy.dtype),
        ).sample
        return velocity.unflatten(0, (batch, views))

    def forward(
        self,
        noisy: Tensor,
        timesteps: Tensor,
        photo_latents: Tensor,
        photos: Tensor,
        keep_latents: Tensor,
        keep_embedding: Tensor,
    ) -> Tensor:
        """Training pass: embed the photos, drop conditions, predict v.

        Args:
            noisy: [B, V, C, h, w] noisy latents.
            timesteps: [B] int64.
            photo_latents: [B, C, h, w] latents of the photos.
            photos: [B, 3, H, W] in [0, 1].
            keep_latents, keep_embedding: [B] bool.

        Returns:
            [B, V, C, h, w] velocity.
        """
        condition = PhotoCondition(photo_latents, self.embed_photo(photos))
        return self.velocity(noisy, timesteps, condition.dropped(keep_latents, keep_embedding))


def load_multi_view(source: str | Path) -> tuple[MultiViewDiffusion, DiffusionConfig]:
    """A trained multi-view model, frozen and in eval mode on the CPU, and its configuration.

    Args:
        source: run, checkpoint or export of `headloom train diffusion`. The pretrained base it may
            have started from is not needed; a frozen CLIP encoder still is.

    Raises:
        CheckpointError: no such checkpoint, or the weights are damaged or of another kind of model.
    """
    weights, data, kind = load_weights(source)
    if kind != "diffusion":
        raise CheckpointError(f"{source} holds a {kind} model, not a multi-view diffusion")
    config = from_dict(DiffusionConfig, data, f"configuration in {source}")
    model = MultiViewDiffusion(replace(config.model, base=None, view_embeddings=None))
    load_into(model, weights, source)
    return model.eval().requires_grad_(False), config
