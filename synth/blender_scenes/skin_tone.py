"""The colour of skin from what is in it: melanin, blood and veins.

Everything that varies over a face is an amount of one of these, so a freckle on dark skin, a flush
on light skin and a bruise under an eye all come out of one function. Colours are diffuse albedos
without any light in them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synth.blender_scenes.skin_regions import SkinRegions
from synth.color import LUMINANCE
from synth.spec import HeadSpec

TONE = np.array(
    [[0.71, 0.500, 0.390], [0.605, 0.396, 0.286], [0.50, 0.306, 0.205], [0.372, 0.212, 0.133],
     [0.235, 0.126, 0.080], [0.134, 0.069, 0.045], [0.072, 0.039, 0.027]]
)  # fmt: skip
"""Linear albedo of bloodless skin for melanin 0 ... 1 in equal steps, tuned by eye."""

BLOOD_ABSORPTION = np.array([0.03, 0.55, 0.47])
"""Of a unit of blood: oxygenated haemoglobin takes green and blue and leaves red."""
VEIN_ABSORPTION = np.array([0.42, 0.50, 0.34])
"""Of a unit of venous blood under thin skin, which looks purple."""
MELANIN_OVER_BLOOD = 0.5
"""Melanin lies over the blood: this share of it is hidden in the darkest skin."""
_OLIVE, _ROSY = np.array([0.985, 1.0, 0.90]), np.array([1.01, 0.975, 1.0])

_TABLE_MELANIN, _TABLE_BLOOD = 384, 96
_MOST_MELANIN, _MOST_BLOOD = 1.15, 2.0


def tone(melanin: np.ndarray) -> np.ndarray:
    """Linear albedo [N, 3] of bloodless skin with `melanin` [N] in [0, 1]."""
    position = np.clip(melanin, 0, 1) * (len(TONE) - 1)
    steps = np.arange(len(TONE))
    return np.stack([np.interp(position, steps, TONE[:, c]) for c in range(3)], axis=-1)


def melanin_of(albedo: np.ndarray) -> float:
    """Melanin in [0, 1] of skin whose linear albedo [3] is as bright."""
    melanin = np.linspace(0, 1, 201)
    luminance = tone(melanin) @ LUMINANCE  # falls with melanin
    return float(np.interp(-float(albedo @ LUMINANCE), -luminance, melanin))


class SkinColour:
    """Looks colours up for one person; the table makes millions of texels cheap.

    Args:
        undertone: -1 rosy ... 1 olive.
    """

    def __init__(self, undertone: float = 0.0):
        melanin = np.linspace(0, _MOST_MELANIN, _TABLE_MELANIN)
        blood = np.linspace(0, _MOST_BLOOD, _TABLE_BLOOD)
        dark = tone(melanin) * np.clip(1 - 0.35 * (melanin - 1), 0, 1)[:, None]
        shown = blood * (1 - MELANIN_OVER_BLOOD * np.clip(melanin, 0, 1))[:, None]
        tint = 1 + abs(undertone) * ((_OLIVE if undertone > 0 else _ROSY) - 1)
        colour = dark[:, None] * np.exp(-shown[..., None] * BLOOD_ABSORPTION) * tint
        self._table = np.clip(colour, 0.004, 1.0).astype(np.float32).reshape(-1, 3)

    def __call__(self, melanin: np.ndarray, blood: np.ndarray) -> np.ndarray:
        """Linear albedo [N, 3] float32 for amounts [N]; melanin in [0, 1], blood in [0, 2]."""
        row = (melanin * ((_TABLE_MELANIN - 1) / _MOST_MELANIN) + 0.5).astype(np.int32)
        column = (blood * ((_TABLE_BLOOD - 1) / _MOST_BLOOD) + 0.5).astype(np.int32)
        row = np.clip(row, 0, _TABLE_MELANIN - 1)
        column = np.clip(column, 0, _TABLE_BLOOD - 1)
        return self._table[row * _TABLE_BLOOD + column]


def melanin_contrast(melanin: float) -> float:
    """Factor on variations of melanin that makes them look alike on light and dark skin."""
    return 1 - 0.68 * melanin


@dataclass(frozen=True, eq=False)
class Pigments:
    """Amounts per fine vertex, [V] float32.

    Attributes:
        melanin: in [0, 1]; blood: in [0, 2], 0.3 is usual; veins: venous blood in [0, 1].
    """

    melanin: np.ndarray
    blood: np.ndarray
    veins: np.ndarray


def pigments(spec: HeadSpec, regions: SkinRegions) -> Pigments:
    """How much of what lies where in the bare skin of a person, without what is small."""
    skin = spec.skin

    def noise(scale: str, name: str) -> np.ndarray:
        return regions.person_noise(scale, skin.texture_seed, name)

    circles = skin.dark_circles
    # the darker the skin, the more the same amount of melanin changes its colour
    contrast = melanin_contrast(skin.melanin)
    melanin = skin.melanin + skin.mottle * contrast * (
        0.022 * noise("broad", "melanin") + 0.018 * noise("patches", "melanin")
        + 0.011 * noise("blots", "melanin")
    ) + (0.35 + 0.25 * skin.melanin) * (
        0.035 * regions["forehead"] + 0.02 * regions["perioral"] + 0.030 * regions["socket"]
        + 0.06 * circles * regions["under_eye"] + 0.05 * regions["concha"]
        + 0.02 * regions["cavity"] - 0.03 * regions["cheek"]
    )  # fmt: skip
    blood = 0.26 + 0.16 * skin.redness + skin.mottle * (
        0.05 * noise("broad", "blood") + 0.055 * noise("patches", "blood")
        + 0.045 * noise("blots", "blood")
    )  # fmt: skip
    flush = regions["flush"] * (1 + 0.25 * noise("patches", "flush"))
    blood = blood + (0.18 + 0.75 * skin.redness) * flush
    blood = blood + (
        0.30 * regions["ear"] + 0.55 * regions["concha"] + 0.45 * regions["nostril"]
        + 0.24 * _near(regions["upper_lid"], 0.009) + 0.20 * _near(regions["lower_lid"], 0.004)
        + 0.06 * regions["socket"] + 0.05 * regions["cavity"] - 0.10 * regions["sallow"]
    )  # fmt: skip
    veins = 0.10 * regions["socket"] + (0.14 + 0.50 * circles) * regions["under_eye"]
    return Pigments(
        melanin=np.clip(melanin, 0.0, 1.0).astype(np.float32),
        blood=np.clip(blood, 0.02, 1.8).astype(np.float32),
        veins=veins.astype(np.float32),
    )


def _near(distance: np.ndarray, reach: float) -> np.ndarray:
    return np.clip(1 - np.maximum(distance, 0) / reach, 0, 1)
