"""Patterns of cloth: stripes, checks, prints and chest graphics as pictures, from a seed.

Every picture mixes a garment's two colours (and tints of them); nothing is text or a logo.
"""

from __future__ import annotations

import colorsys

import numpy as np
from scipy.ndimage import gaussian_filter

from synth.rng import stream
from synth.spec import Clothes, Rgb

PATTERN_PIXELS = 256
PRINT_TILE_REPEATS = 6.0
"""A tile of a print holds about this many motifs along a side."""
GRAPHIC_SIDE_M = 0.30
GRAPHIC_BELOW_NECK_M = 0.0
"""Side of a chest graphic, and how far below the neckline its upper edge lies."""
_SUPERSAMPLE = 2


def pattern_picture(clothes: Clothes) -> np.ndarray:
    """[P, P, 3] linear RGB: one period of a pattern, a tile of a print, or a whole graphic.

    The first row is the lowest. A graphic ends in the cloth's own colour at its borders.
    """
    size = PATTERN_PIXELS * _SUPERSAMPLE
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    rng = stream(clothes.cloth_seed, 0, f"clothes.{clothes.pattern}")
    draw = _PATTERNS[clothes.pattern]
    colours = np.array([clothes.colour, clothes.second_colour, accent(clothes, rng)])
    shares = draw(x, y, rng)
    linear = colours[0] + shares[..., :1] * (colours[1] - colours[0])
    linear = linear + shares[..., 1:] * (colours[2] - linear)
    blocks = linear.reshape(PATTERN_PIXELS, _SUPERSAMPLE, PATTERN_PIXELS, _SUPERSAMPLE, 3)
    return blocks.mean(axis=(1, 3))


def accent(clothes: Clothes, rng: np.random.Generator) -> Rgb:
    """A third colour: near white, near black, or the second one turned in hue."""
    pick = rng.random()
    if pick < 0.35:
        return (0.62, 0.60, 0.55)
    if pick < 0.55:
        return (0.02, 0.02, 0.022)
    hue, saturation, value = colorsys.rgb_to_hsv(*clothes.second_colour)
    return colorsys.hsv_to_rgb((hue + rng.uniform(0.05, 0.2)) % 1, saturation, max(value, 0.2))


def _pair(second: np.ndarray, third: np.ndarray | float = 0.0) -> np.ndarray:
    """[..., 2] shares of the second and third colour in [0, 1]."""
    third = np.broadcast_to(third, second.shape)
    return np.clip(np.stack([second, third], axis=-1), 0, 1)


def _bar(x: np.ndarray, start: float, width: float) -> np.ndarray:
    """1 within a bar of a period of 1."""
    return (((x - start) % 1) < width).astype(float)


def _stripes(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    kind = rng.integers(4)
    if kind == 0:
        return _pair(_bar(x, 0.0, 0.5))
    if kind == 1:  # thin lines on the ground
        return _pair(_bar(x, 0.0, rng.uniform(0.18, 0.32)))
    if kind == 2:  # broad with a line of the third colour
        return _pair(_bar(x, 0.0, 0.42), _bar(x, 0.62, 0.10))
    return _pair(np.maximum(_bar(x, 0.0, 0.28), _bar(x, 0.40, 0.08)))


def _horizontal(x, y, rng):
    return _stripes(y, rng)


def _vertical(x, y, rng):
    return _stripes(x, rng)


def _plaid(x, y, rng):
    kind = rng.integers(3)
    if kind == 0:  # gingham: the crossings are solid
        return _pair(0.5 * _bar(x, 0, 0.5) + 0.5 * _bar(y, 0, 0.5))
    twill = 0.5 + 0.5 * np.sign(np.sin(2 * np.pi * 40 * (x + y)))  # the threads that show
    if kind == 1:  # tartan
        across = np.maximum(0.8 * _bar(x, 0.05, 0.36), _bar(x, 0.60, 0.05))
        down = np.maximum(0.8 * _bar(y, 0.05, 0.36), _bar(y, 0.60, 0.05))
        second = twill * across + (1 - twill) * down
        return _pair(second, 0.8 * (twill * _bar(x, 0.8, 0.04) + (1 - twill) * _bar(y, 0.8, 0.04)))
    return _pair(np.maximum(_bar(x, 0, 0.05), _bar(y, 0, 0.05)))  # window panes


def _print(x, y, rng):
    kind = rng.integers(4)
    repeats = int(PRINT_TILE_REPEATS)
    if kind == 0:  # blotches
        size = len(x)
        fields = [
            gaussian_filter(rng.normal(size=x.shape), size / repeats / 5, mode="wrap")
            for _ in range(2)
        ]
        second, third = (np.clip(f / f.std() * 8 - 4, 0, 1) for f in fields)
        return _pair(second, third * 0.9)
    u, v = x * repeats, y * repeats
    row = np.floor(v)
    u = u + 0.5 * (row % 2)
    local_x, local_y = (u % 1) - 0.5, (v % 1) - 0.5
    if kind == 1:  # dots
        return _pair((np.hypot(local_x, local_y) < rng.uniform(0.14, 0.26)).astype(float))
    angle = np.arctan2(local_y, local_x) + 1.3 * row + np.floor(u)
    radius = np.hypot(local_x, local_y)
    petals = rng.integers(4, 7)
    flower = radius < 0.20 + 0.14 * np.cos(petals * angle)
    if kind == 2:
        return _pair(flower.astype(float), (radius < 0.09).astype(float))
    leaf = np.abs(local_x * np.cos(row + u // 1) + local_y * np.sin(row + u // 1))
    stem = np.abs(-local_x * np.sin(row + u // 1) + local_y * np.cos(row + u // 1))
    shape = (leaf / 0.40) ** 1.5 + (stem / 0.16) ** 1.5 < 1
    return _pair(shape.astype(float), (shape & (stem < 0.018)).astype(float))


def _graphic(x, y, rng):
    x, y = (x - 0.5) * 2, (y - 0.5) * 2
    radius, kind = np.hypot(x, y), rng.integers(6)
    disc = radius < 0.72
    if kind == 0:  # a low sun behind bars
        bars = ((y * 4.5) % 1 < 0.30 + 0.3 * np.clip(-y, 0, 1)) & (y < 0.1)
        return _pair((disc & ~bars).astype(float))
    if kind == 1:  # mountains in a disc
        ridge = 0.35 - np.abs(x - rng.uniform(-0.3, 0.3)) * rng.uniform(1.0, 1.5)
        front = 0.05 - np.abs(x - rng.uniform(-0.5, 0.5)) * 0.9
        return _pair((disc & (y > ridge)).astype(float), (disc & (y < ridge) & (y > front)) * 1.0)
    if kind == 2:  # waves
        wave = np.sin(5 * x + rng.uniform(0, 6) + 0.8 * np.sin(3 * y)) * 0.09
        band = ((y + wave) * 3.0) % 1
        inside = (np.abs(x) < 0.75) & (np.abs(y) < 0.6)
        return _pair((inside & (band < 0.45)) * 1.0, (inside & (band > 0.75)) * 1.0)
    if kind == 3:  # a flower or star
        petals = int(rng.integers(5, 10))
        angle = np.arctan2(y, x)
        edge = 0.50 + 0.20 * np.cos(petals * angle)
        return _pair((radius < edge) * 1.0, (radius < 0.22) * 1.0)
    if kind == 4:  # a quilt of quarter discs
        cells = 3
        u, v = (x / 1.4 + 0.5) * cells, (y / 1.4 + 0.5) * cells
        inside = (u > 0) & (u < cells) & (v > 0) & (v < cells)
        i, j = np.clip(u, 0, cells - 1e-6).astype(int), np.clip(v, 0, cells - 1e-6).astype(int)
        turn = rng.integers(0, 4, (cells, cells))[j, i]
        corner_x = np.where(turn % 2 == 0, u % 1, 1 - u % 1)
        corner_y = np.where(turn < 2, v % 1, 1 - v % 1)
        quarter = np.hypot(corner_x, corner_y) < 0.92
        coloured = rng.integers(0, 2, (cells, cells))[j, i]
        return _pair((inside & quarter) * 1.0, (inside & quarter & (coloured > 0)) * 1.0)
    rings = (radius * 6) % 1 < 0.5  # rings
    return _pair((disc & rings) * 1.0, ((radius < 0.16) & disc) * 1.0)


_PATTERNS = {
    "horizontal_stripes": _horizontal,
    "vertical_stripes": _vertical,
    "plaid": _plaid,
    "print": _print,
    "graphic": _graphic,
}
