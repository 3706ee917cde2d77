"""Randomly initialised models of the real classes, saved as the checkpoints of real runs.

Loaded by path from conftest.py and from tests/ray_jobs (tests are not a package).
"""

from __future__ import annotations

from pathlib import Path

import torch

from synth.config import to_dict
from train import checkpoint
from train.diffusion.config import (
    AutoencoderConfig,
    DiffusionConfig,
    ImageEncoderConfig,
    MultiViewConfig,
    SamplingConfig,
    UNetConfig,
    VaeConfig,
)
from train.diffusion.model import MultiViewDiffusion
from train.diffusion.vae import Autoencoder, measure_latent_statistics, weights_digest
from train.gslrm.config import GslrmConfig, GslrmModelConfig
from train.gslrm.model import GSLRM

SIZE = 32
VAE = VaeConfig(
    model=AutoencoderConfig(block_out_channels=(8, 8, 8), norm_groups=4, mid_attention=False),
    image_size=SIZE,
)
DIFFUSION = DiffusionConfig(
    model=MultiViewConfig(
        unet=UNetConfig(
            block_out_channels=(16, 16),
            attention_levels=(True, True),
            heads=(2, 2),
            cross_attention_dim=16,
            norm_groups=8,
        ),
        image_encoder=ImageEncoderConfig(width=16, channels=(8, 8)),
        latent_size=SIZE // 4,
    ),
    sampling=SamplingConfig(steps=2),
    image_size=SIZE,
)
GSLRM_CONFIG = GslrmConfig(
    model=GslrmModelConfig(width=32, layers=1, head_width=16, qk_norm=True, color_residual=True,
                           depth_range=1.2, scale_unit="input_pixel", scale_bias=0.0,
                           opacity_bias=0.0),
    image_size=SIZE,
)  # fmt: skip


def write_tiny_weights(root: Path, seed: int = 0) -> Path:
    """Runs `root/vae`, `root/diffusion` and `root/gslrm`, fit for `weights.fallback`."""
    torch.manual_seed(seed)
    autoencoder = Autoencoder(VAE.model)
    measure_latent_statistics(autoencoder, [torch.rand(4, 3, SIZE, SIZE)])
    diffusion = MultiViewDiffusion(DIFFUSION.model)
    diffusion.vae_digest.copy_(weights_digest(autoencoder))
    _save(root / "vae", "vae", VAE, autoencoder)
    _save(root / "diffusion", "diffusion", DIFFUSION, diffusion)
    _save(root / "gslrm", "gslrm", GSLRM_CONFIG, GSLRM(GSLRM_CONFIG.model))
    return root


def _save(run: Path, kind: str, config: object, model: torch.nn.Module) -> None:
    state = checkpoint.TrainState(
        kind, samples_seen=7, step=7, config=to_dict(config), dataset={"id": "none", "heads": 0}
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    checkpoint.save(run, state, model, model, optimizer, keep=1)
