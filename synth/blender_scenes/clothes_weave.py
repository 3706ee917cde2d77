"""Fabrics: how yarn looks close up, as small tiles of relief and shade.

Pictures cost the renderer less than procedural nodes, and their grain has the size of real yarn.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from synth.rng import stream

TILE_PIXELS = 128
_SEAM_PIXELS = 96
SEAM_REACH_M = 0.012
"""How far from a seam its relief reaches."""


@dataclass(frozen=True)
class Fabric:
    """What a cloth is made of.

    Attributes:
        weave: a tile of `weave_tile`.
        tile_m: side of the tile on the cloth.
        relief_m: height of its relief.
        shading: how much the hollows between the yarns darken it, 0 ... 1.
        heather: how much the colour of the fibres varies.
        roughness: of the surface.
        sheen: weight of the light scattered by fibres that stand off.
    """

    weave: str
    tile_m: float
    relief_m: float
    shading: float
    heather: float
    roughness: float
    sheen: float


FABRICS = {
    "jersey": Fabric("knit", 0.012, 0.0005, 0.30, 0.08, 0.85, 0.10),
    "poplin": Fabric("plain", 0.014, 0.0003, 0.25, 0.05, 0.70, 0.05),
    "denim": Fabric("twill", 0.036, 0.0006, 0.50, 0.28, 0.80, 0.05),
    "flannel": Fabric("felt", 0.070, 0.0006, 0.15, 0.18, 0.90, 0.25),
    "fine_knit": Fabric("knit", 0.024, 0.0010, 0.50, 0.15, 0.88, 0.20),
    "chunky_knit": Fabric("cable", 0.056, 0.0030, 0.65, 0.15, 0.90, 0.25),
    "fleece": Fabric("felt", 0.090, 0.0006, 0.10, 0.10, 0.92, 0.30),
    "wool": Fabric("herringbone", 0.036, 0.0005, 0.35, 0.24, 0.88, 0.20),
}
"""Every fabric of `synth.spec.FABRICS`."""
RIBS = {"fine": Fabric("rib", 0.020, 0.0009, 0.50, 0.08, 0.86, 0.15),
        "coarse": Fabric("rib", 0.036, 0.0022, 0.60, 0.12, 0.90, 0.25)}  # fmt: skip
"""Knitted bands; seven ribs fill a tile."""


@functools.lru_cache(maxsize=16)
def weave_tile(weave: str) -> np.ndarray:
    """[P, P, 2] float32 in [0, 1]: relief (1 is the top of the yarn) and shade of the fibres.

    Both repeat at the borders.
    """
    y, x = (np.mgrid[:TILE_PIXELS, :TILE_PIXELS] + 0.5) / TILE_PIXELS
    rng = stream(0, 0, f"weave.{weave}")
    fibre = gaussian_filter(rng.normal(size=x.shape), 0.8, mode="wrap")
    fibre = fibre / fibre.std()
    cloud = gaussian_filter(rng.normal(size=x.shape), 5.0, mode="wrap")
    cloud = cloud / cloud.std()
    if weave == "rib":
        height = np.abs(np.cos(np.pi * 7 * x)) ** 0.8
    elif weave == "knit":
        height = _knit(x, y, 10, 12)
    elif weave == "cable":
        # broad purl and knit ribs of three wales each
        height = _knit(x, y, 8, 9) * (
            0.35 + 0.65 * np.clip(1.3 * np.cos(4 * np.pi * x) + 0.5, 0, 1)
        )
    elif weave == "twill":
        height = 0.5 + 0.5 * np.cos(2 * np.pi * (20 * x + 20 * y))
    elif weave == "herringbone":
        zigzag = np.abs(((2 * x) % 1) * 2 - 1)
        height = 0.5 + 0.5 * np.cos(2 * np.pi * (6 * zigzag + 14 * y))
    elif weave == "felt":
        height = 0.5 + 0.22 * cloud + 0.1 * fibre
    else:
        over = (np.floor(16 * x) + np.floor(16 * y)) % 2 > 0
        height = np.where(over, np.sin(np.pi * 16 * x) ** 2, np.sin(np.pi * 16 * y) ** 2)
    height = np.clip(height + 0.08 * fibre, 0, 1)
    shade = np.clip(0.5 + 0.16 * fibre + 0.10 * cloud, 0, 1)
    return np.stack([height, shade], axis=-1).astype(np.float32)


def _knit(x: np.ndarray, y: np.ndarray, wales: int, courses: int) -> np.ndarray:
    """Columns of V-shaped stitches."""
    chevron = 0.5 * np.abs(((y * courses) % 1) * 2 - 1)
    height = np.abs(np.sin(np.pi * (wales * x + chevron))) ** 0.7
    return height * (0.65 + 0.35 * np.abs(np.sin(np.pi * courses * y)))


def seam_profile() -> np.ndarray:
    """[P, 2] float32 in [0, 1]: relief and shade across a seam, from -SEAM_REACH_M to +.

    The groove lies in the middle; the allowance below makes a soft ridge on either side, and a line
    of stitches presses it down 5 mm away.
    """
    distance_mm = np.linspace(-1, 1, _SEAM_PIXELS) * SEAM_REACH_M * 1000
    away = np.abs(distance_mm)
    groove = np.exp(-((away / 0.7) ** 2))
    stitch = np.exp(-(((away - 5.0) / 0.6) ** 2))
    ridge = np.exp(-(((away - 2.6) / 2.2) ** 2))
    height = 0.5 + 0.45 * ridge - 0.9 * groove - 0.35 * stitch
    shade = 1 - 0.45 * groove - 0.18 * stitch
    return np.clip(np.stack([height, shade], axis=-1), 0, 1).astype(np.float32)
