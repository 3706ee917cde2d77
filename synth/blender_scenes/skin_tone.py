"""Skin colour per vertex: melanin, blood, lips, brows, scalp and beard under-painting, makeup."""

from __future__ import annotations

import numpy as np

from synth.blender_scenes.skin_atlas import lattice_noise
from synth.hairline import scalp_cover
from synth.headmodel import HeadModel
from synth.headmodel_masks import smoothstep
from synth.spec import HeadSpec

TONE = np.array(
    [[0.72, 0.510, 0.415], [0.61, 0.405, 0.308], [0.50, 0.312, 0.220], [0.372, 0.216, 0.142],
     [0.235, 0.128, 0.085], [0.134, 0.070, 0.047], [0.072, 0.039, 0.028]]
)  # fmt: skip
"""Linear albedo of bloodless skin for melanin 0 ... 1 in equal steps, tuned by eye."""

_MOUTH_COLOUR = np.array([0.22, 0.055, 0.05])


def tone(melanin: np.ndarray) -> np.ndarray:
    """Linear albedo [N, 3] of bloodless skin with `melanin` [N] in [0, 1]."""
    position = np.clip(melanin, 0, 1) * (len(TONE) - 1)
    steps = np.arange(len(TONE))
    return np.stack([np.interp(position, steps, TONE[:, c]) for c in range(3)], axis=-1)


def vertex_colours(spec: HeadSpec, model: HeadModel) -> np.ndarray:
    """Linear albedo [V, 3] float64 of every vertex of the fine mesh."""
    skin, masks = spec.skin, model.masks
    noise = _Noise(model, skin.texture_seed)
    melanin = skin.melanin + (
        0.025 * noise(40, "melanin") + 0.012 * noise(150, "melanin_fine")
        + 0.03 * masks["forehead"] + 0.02 * masks["nose"] + 0.03 * (1 - masks["head"])
        + 0.06 * skin.dark_circles * (masks["under_eye"] + 0.4 * masks["socket"])
        + 0.02 * masks["socket"] - 0.03 * masks["under_eye"] * (1 - skin.dark_circles)
    )  # fmt: skip
    blood = (
        0.22 + 0.14 * skin.redness + 0.08 * noise(60, "blood") + 0.05 * noise(200, "blood_fine")
        + (0.15 + skin.redness)
        * (0.55 * masks["cheek"] + 0.65 * masks["nose"] + 0.15 * masks["chin"]
           + 0.1 * masks["forehead"])
        + 0.5 * masks["ear"] + 0.25 * masks["eyelids"] + 0.12 * masks["socket"]
    )  # fmt: skip
    # melanin lies over the blood and hides it
    blood = np.clip(blood * (1 - 0.55 * skin.melanin), 0, 1.2)[:, None]
    colour = tone(melanin) * (1 - blood * [0.02, 0.42, 0.38])
    colour = _paint_lips(colour, spec, model)
    colour = _mix(colour, _MOUTH_COLOUR, masks["mouth"])
    colour = _paint_under_hair(colour, spec, model, noise)
    return np.clip(_paint_makeup(colour, spec, model), 0.004, 1.0)


class _Noise:
    """Noise of the person on the vertices, about unit deviation."""

    def __init__(self, model: HeadModel, seed: int):
        self._points, self._seed = model.canonical, seed

    def __call__(self, frequency: float, name: str) -> np.ndarray:
        return 0.7 * lattice_noise(self._points, frequency, self._seed, f"skin.{name}", 3)


def _mix(colour: np.ndarray, other: np.ndarray, amount: np.ndarray) -> np.ndarray:
    amount = np.clip(amount, 0, 1)[:, None]
    return colour * (1 - amount) + np.asarray(other) * amount


def _paint_lips(colour: np.ndarray, spec: HeadSpec, model: HeadModel) -> np.ndarray:
    skin = spec.skin
    m = skin.melanin
    # Light lips are the tone of the skin with much blood. Dark lips keep the darkness of the skin
    # and turn a little to purple; the lower lip is lighter, as it is thinner.
    light, dark = np.array([0.84, 0.44, 0.45]), np.array([0.60, 0.46, 0.58])
    lips = tone(np.array([m * 0.98 + 0.03]))[0] * (light * (1 - m) + dark * m)
    lower = smoothstep(0.8300, 0.8255, model.canonical[:, 2])
    lower_tint = 1 + lower[:, None] * (
        np.array([0.08, 0.02, 0.03]) + m * np.array([0.16, 0.08, 0.08])
    )
    colour = _mix(colour, lips * lower_tint, model.masks["lips"] * 0.80)
    if skin.makeup.lipstick is not None:
        lipstick = np.array(skin.makeup.lipstick)
        colour = _mix(colour, lipstick, model.masks["lips"] * skin.makeup.lipstick_opacity)
    return colour


def _paint_under_hair(
    colour: np.ndarray, spec: HeadSpec, model: HeadModel, noise: _Noise
) -> np.ndarray:
    masks = model.masks
    hair = np.array(spec.hair.colour.albedo)
    face_hair = np.array(spec.facial_hair.colour.albedo)
    edge = masks["scalp_sd"] + 0.003 * noise(120, "hairline")
    scalp = scalp_cover(model.canonical, edge, spec.hair)
    colour = _mix(colour, hair * 0.8 + 0.02, scalp)
    # the edge of a shaved beard is soft, that of a worn one is hidden by its hair
    edge = 0.012 if spec.facial_hair.beard not in ("none", "stubble") else 0.024
    beard = smoothstep(0, edge, masks["beard_sd"] + 0.002 * noise(120, "beardline"))
    shadow = face_hair * 0.5 + 0.03 * np.array([0.8, 0.9, 1.0])
    colour = _mix(colour, shadow, beard * spec.facial_hair.shaving_shadow)
    return _mix(colour, face_hair, masks["brow"] * 0.28 * min(1.0, spec.facial_hair.brow_density))


def _paint_makeup(colour: np.ndarray, spec: HeadSpec, model: HeadModel) -> np.ndarray:
    makeup = spec.skin.makeup
    x, y, z = model.canonical.T
    if makeup.eyeshadow is not None:
        lid = model.masks["eyelids"] * smoothstep(0.893, 0.899, z)
        colour = _mix(colour, np.array(makeup.eyeshadow), lid * 0.5)
    if makeup.blush > 0:
        spot = np.exp(-(((np.abs(x) - 0.052) / 0.016) ** 2 + ((z - 0.868) / 0.012) ** 2))
        amount = spot * (y < -0.07) * makeup.blush
        colour = _mix(colour, colour * [1.0, 0.55, 0.55], amount)
    return colour


def vertex_roughness(spec: HeadSpec, model: HeadModel) -> np.ndarray:
    """Roughness [V] of every vertex: shinier on the T-zone, lips and lids."""
    masks = model.masks
    rough = 0.53 - 0.12 * masks["tzone"] * spec.skin.oil - 0.12 * masks["lips"]
    rough = rough - 0.05 * masks["eyelids"] - 0.15 * masks["mouth"]
    return np.clip(rough, 0.2, 0.8)
