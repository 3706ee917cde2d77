"""A hood that lies on the shoulders behind the neck."""

from __future__ import annotations

import numpy as np

from synth.blender_scenes.clothes_collar import Band, sweep_band
from synth.blender_scenes.clothes_drape import Collider
from synth.blender_scenes.clothes_sheet import Frames, Part

_HOOD_BACK = np.array(
    [[-0.010, 0.002], [0.006, 0.003], [0.026, 0.008], [0.038, 0.021], [0.033, 0.038],
     [0.010, 0.049], [-0.026, 0.052], [-0.062, 0.044], [-0.090, 0.028], [-0.098, 0.010]]
)  # fmt: skip
_HOOD_FRONT = np.array(
    [[-0.006, 0.001], [0.002, 0.002], [0.009, 0.003], [0.013, 0.006], [0.013, 0.010],
     [0.009, 0.013], [0.002, 0.014], [-0.006, 0.013], [-0.013, 0.010], [-0.018, 0.005]]
)  # fmt: skip


def hood(frames: Frames, skin: Collider, cloth: Collider, rng: np.random.Generator) -> Part:
    """The hood of a hoodie along its neckline."""
    return sweep_band(
        "hood", Band(_HOOD_BACK, _HOOD_FRONT, 0.006, 0.003, "cloth"), frames, skin, cloth
    )
