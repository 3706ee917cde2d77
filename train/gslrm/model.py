"""GS-LRM: posed pictures in, one 3D Gaussian per pixel out, in a single transformer.

Zhang et al. 2024, arXiv 2404.19702, section 3, with the ray and depth parametrisation of FaceLift
(arXiv 2412.17812) as the default. No biases and no positional embedding: a token knows where it
is from its rays, so one set of weights takes any number of views, in any order, of any size.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.checkpoint import checkpoint

from train.gaussians import Gaussians, sh0_from_rgb
from train.gslrm.config import GslrmModelConfig
from train.rays import Rays, camera_rays, closest_approach, ray_features

PIXEL_NUMBERS = 9
"""RGB in [-1, 1] and six ray numbers."""
GAUSSIAN_NUMBERS = 14
"""What the network says of a Gaussian: 3 position, 3 SH-0, 3 log-scale, 4 quaternion, 1 opacity."""
INIT_STD = 0.02


class RawGaussians(NamedTuple):
    """The 14 numbers of each Gaussian, split; leading dimensions [..., N]."""

    position: Tensor
    sh0: Tensor
    log_scale: Tensor
    quat: Tensor
    opacity: Tensor


def split_numbers(numbers: Tensor) -> RawGaussians:
    """Split [..., 14] into position 3, SH-0 3, log-scale 3, quaternion 4 (w first), opacity 1."""
    position, sh0, log_scale, quat, opacity = numbers.split((3, 3, 3, 4, 1), dim=-1)
    return RawGaussians(position, sh0, log_scale, quat, opacity.squeeze(-1))


class Attention(nn.Module):
    """Multi-head self-attention without biases; heads are consecutive channels."""

    def __init__(self, config: GslrmModelConfig):
        super().__init__()
        self.head_width = config.head_width
        self.to_qkv = nn.Linear(config.width, 3 * config.width, bias=False)
        self.to_out = nn.Linear(config.width, config.width, bias=False)
        self.qk_norm = config.qk_norm
        if config.qk_norm:
            self.norm_q = nn.RMSNorm(config.head_width)
            self.norm_k = nn.RMSNorm(config.head_width)

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, L, D] -> [B, L, D]."""
        heads = self.to_qkv(tokens).unflatten(-1, (3, -1, self.head_width))
        query, key, value = heads.permute(2, 0, 3, 1, 4)  # each [B, heads, L, head_width]
        if self.qk_norm:  # in float32, also under autocast
            query = self.norm_q(query.float()).to(value)
            key = self.norm_k(key.float()).to(value)
        mixed = scaled_dot_product_attention(query, key, value)
        return self.to_out(mixed.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Pre-norm transformer block: attention, then an MLP with exact GELU."""

    def __init__(self, config: GslrmModelConfig):
        super().__init__()
        hidden = config.mlp_ratio * config.width
        self.norm1 = nn.LayerNorm(config.width, bias=False)
        self.attention = Attention(config)
        self.norm2 = nn.LayerNorm(config.width, bias=False)
        self.mlp = nn.Sequential(
            nn.Linear(config.width, hidden, bias=False),
            nn.GELU(),
            nn.Linear(hidden, config.width, bias=False),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, L, D] -> [B, L, D]."""
        tokens = tokens + self.attention(self.norm1(tokens))
        return tokens + self.mlp(self.norm2(tokens))


class GSLRM(nn.Module):
    """The reconstructor.

    Args:
        config: sizes and options.
    """

    def __init__(self, config: GslrmModelConfig):
        super().__init__()
        self.config = config
        patch_pixels = config.patch_size**2
        self.embed = nn.Linear(PIXEL_NUMBERS * patch_pixels, config.width, bias=False)
        self.free_tokens = nn.Parameter(torch.empty(config.free_tokens, config.width))
        self.input_norm = nn.LayerNorm(config.width, bias=False)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.free_norm = nn.LayerNorm(config.width, bias=False)
        self.free_head = nn.Linear(config.width, GAUSSIAN_NUMBERS, bias=False)
        self.pixel_norm = nn.LayerNorm(config.width, bias=False)
        self.pixel_head = nn.Linear(config.width, GAUSSIAN_NUMBERS * patch_pixels, bias=False)
        self._initialise()

    def _initialise(self) -> None:
        """N(0, 0.02) for every matrix (GS-LRM, appendix)."""
        for parameter in self.parameters():
            if parameter.ndim >= 2:
                nn.init.normal_(parameter, std=INIT_STD)

    def forward(self, images: Tensor, cam_from_world: Tensor, K: Tensor) -> Gaussians:
        """Reconstruct heads.

        Args:
            images: [B, V, 3, H, W] float in [0, 1], sRGB; H and W are multiples of the patch size.
            cam_from_world: [B, V, 4, 4] float, OpenCV cameras in world coordinates.
            K: [B, V, 3, 3] float intrinsics in pixels of `images`.

        Returns:
            B sets of `free_tokens` + V H W Gaussians, float32: the free ones, then view by view,
            patch by patch in row order, and the pixels of a patch in row order.

        Raises:
            ValueError: a shape does not fit; names the argument.
        """
        self._validate(images, cam_from_world, K)
        height, width = images.shape[-2:]
        # The pixel ends of the network run in float32 also under autocast: bf16 has 8 bits, too
        # few for a ray direction or a depth. They are a fraction of a percent of the arithmetic.
        with torch.autocast(images.device.type, enabled=False):
            images = images.float()
            rays = camera_rays(cam_from_world.float(), K.float(), height, width)
            tokens = self._embed(images, rays)
        tokens = self.input_norm(tokens)
        for block in self.blocks:
            if self.config.checkpoint_activations and self.training and torch.is_grad_enabled():
                tokens = checkpoint(block, tokens, use_reentrant=False)
            else:
                tokens = block(tokens)
        with torch.autocast(images.device.type, enabled=False):
            return self._decode(tokens.float(), images, rays, K.float())

    def _validate(self, images: Tensor, cam_from_world: Tensor, K: Tensor) -> None:
        if images.ndim != 5 or images.shape[2] != 3:
            raise ValueError(f"images must be [B, V, 3, H, W], got {list(images.shape)}")
        patch = self.config.patch_size
        if images.shape[-2] % patch or images.shape[-1] % patch or 0 in images.shape:
            raise ValueError(
                f"images must hold a view and measure multiples of {patch} pixels, got "
                f"{list(images.shape)}"
            )
        lead = images.shape[:2]
        for name, tensor, shape in (
            ("cam_from_world", cam_from_world, (*lead, 4, 4)),
            ("K", K, (*lead, 3, 3)),
        ):
            if tuple(tensor.shape) != shape:
                raise ValueError(
                    f"{name} must be {list(shape)} to fit images, got {list(tensor.shape)}"
                )

    def patchify(self, pixels: Tensor) -> Tensor:
        """[B, V, H, W, C] -> [B, V (H/p) (W/p), p p, C]: patches and their pixels in row order."""
        patch = self.config.patch_size
        batch, views, height, width, channels = pixels.shape
        grid = pixels.reshape(batch, views, height // patch, patch, width // patch, patch, channels)
        return grid.permute(0, 1, 2, 4, 3, 5, 6).reshape(batch, -1, patch * patch, channels)

    def _embed(self, images: Tensor, rays: Rays) -> Tensor:
        """Tokens [B, L, D], the free ones first."""
        colors = 2 * images.permute(0, 1, 3, 4, 2) - 1
        pixels = torch.cat([colors, ray_features(rays, self.config.rays)], dim=-1)
        tokens = self.embed(self.patchify(pixels).flatten(2))
        free = self.free_tokens.expand(len(tokens), -1, -1)
        return torch.cat([free, tokens], dim=1)

    def _decode(self, tokens: Tensor, images: Tensor, rays: Rays, K: Tensor) -> Gaussians:
        """Gaussians from the last tokens [B, L, D], float32."""
        free, pixel = tokens.tensor_split([self.config.free_tokens], dim=1)
        free = split_numbers(self.free_head(self.free_norm(free)))
        numbers = self.pixel_head(self.pixel_norm(pixel)).unflatten(-1, (-1, GAUSSIAN_NUMBERS))
        pixel = split_numbers(numbers.flatten(1, 2))

        approach = closest_approach(rays)  # [B, V, H, W]
        per_pixel = torch.cat([rays.directions, approach[..., None]], dim=-1)
        directions, approach = self.patchify(per_pixel).flatten(1, 2).split((3, 1), dim=-1)
        origins = rays.origins[:, :, None, None].expand_as(rays.directions)
        origins = self.patchify(origins).flatten(1, 2)
        logit = pixel.position.mean(dim=-1, keepdim=True)
        distance = (2 * logit.sigmoid() - 1) * self.config.depth_range + approach
        means = torch.cat([free.position, origins + distance * directions], dim=1)

        sh0 = pixel.sh0
        if self.config.color_residual:
            colors = self.patchify(images.permute(0, 1, 3, 4, 2)).flatten(1, 2)
            sh0 = sh0 + sh0_from_rgb(colors)
        pixel_unit, free_unit = self._log_scale_units(rays, K)
        log_scales = torch.cat(
            [
                self._bound_scale(free.log_scale + free_unit),
                self._bound_scale(pixel.log_scale + pixel_unit),
            ],
            dim=1,
        )
        return Gaussians(
            means=means,
            quats=torch.cat([free.quat, pixel.quat], dim=1),
            log_scales=log_scales,
            logit_opacities=torch.cat([free.opacity, pixel.opacity], 1) + self.config.opacity_bias,
            sh=torch.cat([free.sh0, sh0], dim=1)[:, :, None, :],
        )

    def _log_scale_units(self, rays: Rays, K: Tensor) -> tuple[Tensor, Tensor]:
        """Offsets of the raw log-scales: of pixels [B, V H W, 1] and of free ones [B, 1, 1].

        The size of an input pixel is taken at the distance of the camera from the origin, one for
        each view; free Gaussians use the mean over the views.
        """
        views, (height, width) = rays.origins.shape[1], rays.directions.shape[2:4]
        per_view = torch.zeros_like(rays.origins[..., 0])  # [B, V]
        if self.config.scale_unit == "input_pixel":
            focal = (K[..., 0, 0] * K[..., 1, 1]).sqrt()
            per_view = (rays.origins.norm(dim=-1).clamp_min(1e-6) / focal).log()
        per_view = per_view + self.config.scale_bias
        pixel = per_view[..., None].expand(-1, views, height * width).flatten(1)
        return pixel[..., None], per_view.mean(dim=1)[:, None, None]

    def _bound_scale(self, log_scale: Tensor) -> Tensor:
        """Bound the logarithm of the scale from above, see `GslrmModelConfig.scale_bound`."""
        low, high = self.config.scale_min, self.config.scale_max
        if self.config.scale_bound == "clamp":
            return log_scale.clamp_max(math.log(high))
        # s = low + (high - low) sigmoid(x), with x such that small scales keep their exponential
        # meaning: s ~ exp(log_scale) well below the maximum.
        share = (log_scale - math.log(high - low)).sigmoid()
        return (low + (high - low) * share).log()
