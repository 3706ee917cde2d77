"""Noise schedule, v-prediction and loss weight: the arithmetic shared by training and sampling.

Notation: abar_t is the cumulative product of 1 - beta, x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) e,
SNR_t = abar_t / (1 - abar_t).

The SNR at which a picture dissolves depends on how often it is repeated. Averaging n equal (or
strongly correlated) values divides the noise power by n, so more pixels, or more views of one head,
need more noise to hide the same content (simple diffusion, arXiv 2301.11093; MV-Adapter and CAT3D
shift log SNR by -log of the number of views). `snr_divisor` does that for every timestep. Stable
Diffusion's scaled-linear betas were chosen for one view of 64 x 64 latents; relative to that six
views of 64 x 64 call for a divisor of 6, but six views of 16 x 16 only for 6 (16 / 64)^2 = 0.4, and
of 32 x 32 for 1.5. Hence 1 in the small presets and 6 at SD size.
"""

from __future__ import annotations

import numpy as np
import torch
from diffusers import DDIMScheduler
from torch import Tensor

from train.diffusion.config import ScheduleConfig


def cumulative_alphas(config: ScheduleConfig) -> Tensor:
    """abar_t of every timestep, float64 [timesteps], falling; the last is 0 with zero terminal SNR.

    scaled_linear betas (linear in sqrt(beta)), then the SNR division, then the rescaling of
    Lin et al. 2023 (arXiv 2305.08891, algorithm 1).
    """
    root_betas = torch.linspace(
        config.beta_start**0.5, config.beta_end**0.5, config.timesteps, dtype=torch.float64
    )
    abar = torch.cumprod(1.0 - root_betas**2, dim=0)
    snr = abar / (1.0 - abar) / config.snr_divisor
    abar = snr / (1.0 + snr)
    if config.zero_terminal_snr:
        root = abar.sqrt()
        root = (root - root[-1]) * root[0] / (root[0] - root[-1])
        abar = root**2
    return abar


class _SteadyDdim(DDIMScheduler):
    """DDIM whose first step cannot give NaN.

    From pure noise with eta 1, DDIM (arXiv 2010.02502, equation 12) takes the square root of
    1 - abar_prev - sigma^2, which is exactly 0 there and, rounded, sometimes -6e-8.
    """

    def _get_variance(self, timestep: int, prev_timestep: int) -> Tensor:
        return super()._get_variance(timestep, prev_timestep) * (1.0 - 1e-6)


def build_sampler(config: ScheduleConfig, steps: int) -> tuple[DDIMScheduler, Tensor]:
    """A DDIM scheduler that passes through `steps` noise levels of the training.

    The levels are "trailing": they start at the last timestep, which a terminal SNR of zero
    requires (Lin et al. 2023, section 3.3). The scheduler is built over just these levels, because
    `DDIMScheduler` counts back by the integer part of timesteps / steps and, where that leaves a
    remainder (7 steps of 1000, say), ends with noise in the picture. x_0 is not clipped: latents
    have no bounds.

    Args:
        steps: 1 to `config.timesteps`.

    Returns:
        The scheduler, whose timesteps run from steps - 1 to 0, and, in the same order, the
        timesteps of the training, int64 [steps], which the model is told.
    """
    spacing = config.timesteps / steps
    levels = np.round(np.arange(steps, 0, -1) * spacing).astype(np.int64) - 1  # falling
    abar = cumulative_alphas(config).numpy()[levels[::-1]]
    betas = 1.0 - abar / np.concatenate([[1.0], abar[:-1]])
    scheduler = _SteadyDdim(
        num_train_timesteps=steps,
        trained_betas=betas,
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
    )
    scheduler.set_timesteps(steps)
    return scheduler, torch.from_numpy(levels)


class DiffusionSchedule:
    """Adds noise, makes targets and weights losses at given timesteps, on any device."""

    def __init__(self, config: ScheduleConfig):
        self.config = config
        self.cumulative_alphas = cumulative_alphas(config)
        self._signal = self.cumulative_alphas.sqrt().float()
        self._noise = (1.0 - self.cumulative_alphas).sqrt().float()
        self._weight = _loss_weights(self.cumulative_alphas, config).float()

    def _at(self, table: Tensor, timesteps: Tensor, like: Tensor) -> Tensor:
        """Values of the timesteps [B], shaped to multiply `like` [B, ...]."""
        values = table.to(like.device)[timesteps].to(like.dtype)
        return values.view(-1, *[1] * (like.ndim - 1))

    def add_noise(self, clean: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """x_t = sqrt(abar) x_0 + sqrt(1 - abar) e; `clean`, `noise` [B, ...], `timesteps` [B]."""
        signal = self._at(self._signal, timesteps, clean)
        return signal * clean + self._at(self._noise, timesteps, clean) * noise

    def velocity(self, clean: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """v = sqrt(abar) e - sqrt(1 - abar) x_0 (Salimans and Ho, arXiv 2202.00512, section 4)."""
        signal = self._at(self._signal, timesteps, clean)
        return signal * noise - self._at(self._noise, timesteps, clean) * clean

    def clean_from_velocity(self, noisy: Tensor, velocity: Tensor, timesteps: Tensor) -> Tensor:
        """x_0 = sqrt(abar) x_t - sqrt(1 - abar) v."""
        signal = self._at(self._signal, timesteps, noisy)
        return signal * noisy - self._at(self._noise, timesteps, noisy) * velocity

    def loss_weight(self, timesteps: Tensor) -> Tensor:
        """Weight [B] of the squared error of v at the timesteps [B]."""
        return self._weight.to(timesteps.device)[timesteps]


def _loss_weights(abar: Tensor, config: ScheduleConfig) -> Tensor:
    """Weight of |v - v'|^2 per timestep.

    - `min_snr`: min(SNR, gamma) / (SNR + 1) (arXiv 2303.09556, section 3.4). It vanishes with the
      SNR, so pure noise, where the layout of all views is decided, is hardly trained.
    - `min_snr_plus_one`: min(SNR + 1, gamma) / (SNR + 1), the same clamp on the weight that v has
      by itself: 1 at high noise, falling only where the picture is almost clean.
    - `uniform`: 1.
    """
    snr = abar / (1.0 - abar)
    if config.loss_weight == "uniform":
        return torch.ones_like(snr)
    if config.loss_weight == "min_snr":
        return snr.clamp(max=config.snr_gamma) / (snr + 1.0)
    return (snr + 1.0).clamp(max=config.snr_gamma) / (snr + 1.0)
