"""Tiles of knit, twill and printed patterns for headwear, as arrays; numpy only."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from synth.rng import stream
from synth.spec import Headwear

RIB_M = 0.0065
"""Width of a rib of knitting; a tile of `knit_relief` is one rib wide and half as tall."""
PRINT_TILE_REPEATS = 5.0
"""A print tile holds about this many motifs along a side."""
_PATTERN_PIXELS = 256


def knit_relief() -> np.ndarray:
    """[32, 64] height in [0, 1] of one stitch of rib knitting: a V on the crest, a purl between."""
    y, x = np.mgrid[:32, :64]
    across, along = (x + 0.5) / 64 - 0.5, (y + 0.5) / 32
    across = np.abs(np.mod(across + 0.5, 1.0) - 0.5)  # 0 on the crest
    s = across / 0.30
    leg = np.sqrt(np.clip(1 - (2 * s - 1) ** 2, 0, 1))
    phase = np.mod(along - 0.55 * s, 1.0)
    stitch = leg * (0.62 + 0.38 * np.sin(np.pi * phase) ** 0.7)
    purl = 0.22 * np.abs(np.sin(np.pi * along)) * np.clip((across - 0.27) / 0.1, 0, 1)
    return np.clip(np.where(s < 1, stitch, 0.0) + purl, 0, 1)


def twill_relief() -> np.ndarray:
    """[64, 64] height in [0, 1] of twill: eight diagonal cords."""
    y, x = np.mgrid[:64, :64] / 64
    cord = 0.5 + 0.5 * np.sin(2 * np.pi * (8 * x + 8 * y))
    grain = gaussian_filter(
        stream(0, 0, "headwear.twill").normal(size=cord.shape), 0.8, mode="wrap"
    )
    return np.clip(0.25 + 0.6 * cord + 0.25 * grain, 0, 1)


def pattern_amount(headwear: Headwear) -> np.ndarray:
    """[256, 256] share of the second colour over one period, or a tile of a print."""
    y, x = (np.mgrid[:_PATTERN_PIXELS, :_PATTERN_PIXELS] + 0.5) / _PATTERN_PIXELS
    if headwear.pattern == "horizontal_stripes":
        return _band(y)
    if headwear.pattern == "vertical_stripes":
        return _band(x)
    if headwear.pattern == "plaid":
        return 0.45 * _band(x) + 0.45 * _band(y) + 0.05 * (_band(4 * x) + _band(4 * y))
    return _flowers(headwear.fit_seed)


def _band(x: np.ndarray) -> np.ndarray:
    """1 in half of every period, with soft edges."""
    return np.clip(0.5 + 12 * np.sin(2 * np.pi * x) / np.pi, 0, 1)


def _flowers(seed: int) -> np.ndarray:
    """Scattered blossoms of five to seven petals and small leaves, on a tile that repeats."""
    rng = stream(seed, 0, "headwear.print")
    y, x = (np.mgrid[:_PATTERN_PIXELS, :_PATTERN_PIXELS] + 0.5) / _PATTERN_PIXELS
    amount = np.zeros_like(x)
    cells = round(PRINT_TILE_REPEATS)
    for row in range(cells):
        for column in range(cells):
            centre = (np.array([column, row]) + 0.5 + rng.uniform(-0.28, 0.28, 2)) / cells
            u, v = (np.mod(a - b + 0.5, 1) - 0.5 for a, b in zip((x, y), centre))
            distance, angle = np.hypot(u, v), np.arctan2(v, u) + rng.uniform(0, 6.28)
            size = rng.uniform(0.22, 0.46) / cells
            petals = size * (0.66 + 0.34 * np.abs(np.cos(0.5 * rng.integers(5, 8) * angle)))
            blossom = np.clip((petals - distance) / 0.008 + 0.5, 0, 1)
            heart = np.clip((0.24 * size - distance) / 0.006 + 0.5, 0, 1)
            amount = np.maximum(amount, blossom * (1 - 0.75 * heart) * rng.uniform(0.6, 1.0))
    return amount
