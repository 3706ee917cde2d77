"""Reducing pictures: every new pixel is the exact mean over its footprint."""

from __future__ import annotations

import numpy as np


def area_average(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Reduce a picture by area averaging.

    Args:
        image: [H, W, C] float; associated alpha if there is one.
        height, width: new size in pixels, at most H and W.

    Returns:
        [height, width, C] of the same dtype.

    Raises:
        ValueError: the picture would have to grow.
    """
    if height > image.shape[0] or width > image.shape[1]:
        raise ValueError(f"{image.shape[:2]} cannot be reduced to {(height, width)}")
    rows = _area_weights(image.shape[0], height).astype(image.dtype)
    columns = _area_weights(image.shape[1], width).astype(image.dtype)
    return np.einsum("yi,ijc,xj->yxc", rows, image, columns, optimize=True)


def _area_weights(source: int, target: int) -> np.ndarray:
    """[target, source]: the share of each source pixel in each target pixel; rows sum to 1."""
    edges = np.arange(target + 1) * (source / target)
    pixel = np.arange(source)
    overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return np.clip(overlap, 0.0, None) * (target / source)
