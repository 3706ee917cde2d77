"""Which garment is cut how, and the cloth and collar it becomes on a body; numpy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synth.blender_scenes.clothes_collar import COLLARS, Collar, sweep_collar
from synth.blender_scenes.clothes_geometry import Garment, Neckline, drape
from synth.headmodel import HeadModel, HeadShape
from synth.rng import stream
from synth.spec import Clothes

_SKIN_UNDER_EDGE_M = 0.012
"""Skin is kept this far below the neckline, so that no gap opens at the edge."""
_COLLIDER_Z = (0.60, 0.80)
"""Canonical heights of the skin that a collar must stay outside of."""
_SHOULDER_X = 0.13
"""Beyond this canonical |x| all skin is covered by every garment."""


@dataclass(frozen=True)
class Cut:
    """How a garment differs from the skin: its edge, its looseness and its folds, metres."""

    neckline: Neckline
    offset_m: float
    wrinkle_m: float


CUTS = {
    "tee": Cut(Neckline(), 0.005, 0.0040),
    "v_neck": Cut(Neckline(v_depth_m=0.085), 0.005, 0.0040),
    "sweater": Cut(Neckline(0.004, 0.004), 0.011, 0.0055),
    "turtleneck": Cut(Neckline(0.030, 0.042), 0.007, 0.0045),
    "shirt": Cut(Neckline(0.004, 0.008, v_depth_m=0.075, v_half_width_m=0.045), 0.007, 0.0045),
    "hoodie": Cut(Neckline(-0.004, 0.0, v_depth_m=0.02), 0.016, 0.0075),
}


@dataclass(frozen=True, eq=False)
class Dressed:
    """A garment on a body, in model space.

    Attributes:
        garment: the cloth.
        collars: what is swept along its neckline, the collar proper last.
        visible_skin: [F] bool, the quads of the model that the garment does not hide.
    """

    garment: Garment
    collars: tuple[Collar, ...]
    visible_skin: np.ndarray


def dress(clothes: Clothes, model: HeadModel, shape: HeadShape) -> Dressed:
    """Cut, drape and collar the garment of `clothes` for the body of `shape`."""
    cut = CUTS[clothes.garment]
    depth = cut.neckline.depth(model.canonical)
    garment = drape(
        shape.vertices,
        model.faces,
        model.canonical,
        depth,
        offset_m=cut.offset_m,
        wrinkle_m=cut.wrinkle_m * clothes.wrinkles,
        rng=stream(clothes.cloth_seed, 0, "clothes.folds"),
    )
    low, high = _COLLIDER_Z
    neck = (model.canonical[:, 2] > low) & (model.canonical[:, 2] < high)
    collars = tuple(
        sweep_collar(style, garment, shape.vertices[neck], shape.normals[neck])
        for style in COLLARS[clothes.garment]
    )
    visible = (
        (depth[model.faces] < _SKIN_UNDER_EDGE_M).any(axis=1)
        & (model.canonical[model.faces, 2].mean(axis=1) > low)
        & (np.abs(model.canonical[model.faces, 0]).max(axis=1) < _SHOULDER_X)
    )
    return Dressed(garment, collars, visible)
