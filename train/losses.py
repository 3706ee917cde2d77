"""Distances between pictures, as losses and as scores.

All take pictures [..., C, H, W] (or alpha [..., 1, H, W]) with values in [0, 1] and work on any
leading dimensions.
"""

from __future__ import annotations

import torch
from torch import Tensor

SSIM_WINDOW = 11
SSIM_SIGMA = 1.5


def mse(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean squared error over everything, a scalar."""
    _same_shape(prediction, target)
    return (prediction - target).square().mean()


def psnr(prediction: Tensor, target: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each picture in dB, peak 1.

    Args:
        prediction, target: [..., C, H, W].

    Returns:
        [...]; equal pictures score 100 dB.
    """
    _same_shape(prediction, target)
    error = (prediction - target).square().mean(dim=(-3, -2, -1))
    return -10.0 * torch.log10(error.clamp_min(1e-10))


def ssim(prediction: Tensor, target: Tensor) -> Tensor:
    """Structural similarity of each picture: Wang et al. 2004 with a Gaussian window.

    Window of 11 pixels with sigma 1.5, population statistics, borders where the window leaves the
    picture excluded: scikit-image's `structural_similarity` with `gaussian_weights=True`,
    `use_sample_covariance=False`. Computed in at least float32.

    Args:
        prediction, target: [..., C, H, W] in [0, 1], at least 11 pixels on a side.

    Returns:
        [...] at most 1.

    Raises:
        ValueError: the pictures are smaller than the window.
    """
    _same_shape(prediction, target)
    if min(prediction.shape[-2:]) < SSIM_WINDOW:
        raise ValueError(
            f"SSIM needs pictures of at least {SSIM_WINDOW} pixels, got {list(prediction.shape)}"
        )
    dtype = torch.promote_types(prediction.dtype, torch.float32)
    x, y = prediction.to(dtype), target.to(dtype)
    mean_x, mean_y = _window_mean(x), _window_mean(y)
    var_x = _window_mean(x * x) - mean_x.square()
    var_y = _window_mean(y * y) - mean_y.square()
    covariance = _window_mean(x * y) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x.square() + mean_y.square() + c1)
    structure = (2 * covariance + c2) / (var_x + var_y + c2)
    return (luminance * structure).mean(dim=(-3, -2, -1))


def _window_mean(picture: Tensor) -> Tensor:
    """Gaussian-weighted mean around every pixel that has a whole window: a separable blur."""
    offset = torch.arange(SSIM_WINDOW, dtype=picture.dtype, device=picture.device)
    weights = torch.exp(-0.5 * ((offset - SSIM_WINDOW // 2) / SSIM_SIGMA) ** 2)
    weights = weights / weights.sum()
    flat = picture.reshape(-1, 1, *picture.shape[-2:])
    flat = torch.nn.functional.conv2d(flat, weights.view(1, 1, 1, -1))
    flat = torch.nn.functional.conv2d(flat, weights.view(1, 1, -1, 1))
    return flat.reshape(*picture.shape[:-2], *flat.shape[-2:])


def alpha_iou(prediction: Tensor, target: Tensor, threshold: float = 0.5) -> Tensor:
    """Intersection over union of the silhouettes of each picture.

    Args:
        prediction, target: [..., 1, H, W] coverage in [0, 1].
        threshold: coverage from which a pixel belongs to the silhouette.

    Returns:
        [...] in [0, 1]; two empty pictures score 1.
    """
    _same_shape(prediction, target)
    a, b = prediction >= threshold, target >= threshold
    both = (a & b).sum(dim=(-3, -2, -1))
    either = (a | b).sum(dim=(-3, -2, -1))
    return torch.where(either > 0, both / either.clamp_min(1), torch.ones_like(both / 1.0))


def _same_shape(prediction: Tensor, target: Tensor) -> None:
    if prediction.shape != target.shape:  # broadcasting would hide a mistake
        raise ValueError(
            f"prediction {list(prediction.shape)} and target {list(target.shape)} differ in shape"
        )
