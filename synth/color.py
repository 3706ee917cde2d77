"""Colour: the sRGB transfer curve, 8-bit quantisation and alpha association.

Files are RGBA8, display-referred sRGB with straight alpha. This is the only module that touches
gamma.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

Background = Literal["white", "grey", "black"]
BACKGROUNDS: dict[Background, tuple[float, float, float]] = {
    "white": (1.0, 1.0, 1.0),
    "grey": (0.5, 0.5, 0.5),
    "black": (0.0, 0.0, 0.0),
}
"""Plain backgrounds by name, sRGB in [0, 1]."""

LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
"""Weights of linear R, G, B with the primaries of sRGB (IEC 61966-2-1)."""


def srgb_from_linear(linear: np.ndarray) -> np.ndarray:
    """Encode linear light with the sRGB curve (IEC 61966-2-1).

    Args:
        linear: any shape, float, values in [0, 1]; negative values are clipped to 0.
    """
    linear = np.maximum(np.asarray(linear), 0.0)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def linear_from_srgb(encoded: np.ndarray) -> np.ndarray:
    """Decode sRGB values in [0, 1] to linear light; the inverse of `srgb_from_linear`."""
    encoded = np.maximum(np.asarray(encoded), 0.0)
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def rgba8_from_float(image: np.ndarray) -> np.ndarray:
    """Quantise float values in [0, 1] to uint8, rounding to nearest; out of range is clipped."""
    return (np.clip(image, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)


def float_from_rgba8(image: np.ndarray) -> np.ndarray:
    """uint8 values to float32 in [0, 1]."""
    return image.astype(np.float32) / np.float32(255.0)


def premultiply(rgba: np.ndarray) -> np.ndarray:
    """Straight to associated alpha. rgba: [..., 4] float in [0, 1]."""
    return np.concatenate([rgba[..., :3] * rgba[..., 3:], rgba[..., 3:]], axis=-1)


def unpremultiply(rgba: np.ndarray) -> np.ndarray:
    """Associated to straight alpha; where alpha is 0 the colour becomes 0. rgba: [..., 4] float."""
    alpha = rgba[..., 3:]
    colour = np.divide(rgba[..., :3], alpha, out=np.zeros_like(rgba[..., :3]), where=alpha > 0)
    return np.concatenate([colour, alpha], axis=-1)


def over(rgba: np.ndarray, background: Background) -> np.ndarray:
    """Lay a picture over a plain background, mixed in sRGB as every image viewer does.

    Args:
        rgba: [H, W, 4] uint8, sRGB, straight alpha.

    Returns:
        [H, W, 3] float32 in [0, 1], sRGB.
    """
    image = float_from_rgba8(rgba)
    alpha = image[..., 3:]
    return image[..., :3] * alpha + np.float32(BACKGROUNDS[background]) * (1.0 - alpha)
