"""Bakes a person's skin into an atlas: albedo, height and roughness, in numpy.

Baking costs a second per head; procedural shader nodes would cost it per view, and a baked albedo
is also exact ground truth. Every pattern lives in canonical space and so follows the face.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synth.blender_scenes import skin_tone
from synth.blender_scenes.skin_atlas import SkinAtlas
from synth.headmodel import HeadModel
from synth.headmodel_masks import smoothstep
from synth.rng import stream
from synth.spec import HeadSpec

_RED = np.array([0.90, 0.62, 0.58], np.float32)
_BROWN = np.array([0.80, 0.68, 0.60], np.float32)


@dataclass(frozen=True, eq=False)
class BakedSkin:
    """A person's skin.

    Attributes:
        albedo: [R, R, 3] float32 linear, row 0 is v = 0.
        height_m: [R, R] float32 metres above the smooth surface.
        roughness: [R, R] float32.
        vertex_albedo: [V, 3] the same without detail, for the faces outside the atlas.
        vertex_roughness: [V].
    """

    albedo: np.ndarray
    height_m: np.ndarray
    roughness: np.ndarray
    vertex_albedo: np.ndarray
    vertex_roughness: np.ndarray


def bake_skin(spec: HeadSpec, model: HeadModel, atlas: SkinAtlas) -> BakedSkin:
    """Bake the skin that `spec` describes."""
    vertex_albedo = skin_tone.vertex_colours(spec, model)
    vertex_roughness = skin_tone.vertex_roughness(spec, model)
    texels = _Texels(spec, model, atlas)
    colour = _mottle(atlas.sample(model, vertex_albedo), texels)
    _splat_all(colour, texels)
    height, colour = _add_relief(colour, texels)
    roughness = atlas.sample(model, vertex_roughness) + texels.detail * (
        0.06 * texels.fine + 0.05 * texels.medium + 0.08 * texels.pores
    )
    return BakedSkin(
        albedo=atlas.image(np.clip(colour, 0.003, 1.0)),
        height_m=atlas.image(height),
        roughness=atlas.image(np.clip(roughness, 0.2, 0.85), background=0.5),
        vertex_albedo=vertex_albedo,
        vertex_roughness=vertex_roughness,
    )


class _Texels:
    """What the steps of the bake share: positions, masks and the person's noise at the texels."""

    def __init__(self, spec: HeadSpec, model: HeadModel, atlas: SkinAtlas):
        self.spec, self.atlas, self.skin = spec, atlas, spec.skin
        self.x, self.y, self.z = atlas.canonical.T
        self.side = np.abs(self.x)
        masks = model.masks
        names = ("cheek", "nose", "forehead", "chin", "head", "lips", "mouth")
        values = np.stack([masks[n] for n in names] + [np.maximum(masks["beard_sd"], -0.1)], axis=1)
        sampled = atlas.sample(model, values)
        self.masks = {name: sampled[:, i] for i, name in enumerate((*names, "beard_sd"))}
        rng = self.stream("noise")
        medium = atlas.medium_noise[rng.integers(2)] * rng.choice((-1, 1))
        broad = skin_tone._Noise(model, self.skin.texture_seed)(60, "mottle")
        self.broad = atlas.sample(model, broad) / np.float32(0.7)
        self.medium, self.fine = medium.astype(np.float32), atlas.fine_noise
        # what is smaller than a texel would alias into a grid
        self.resolved = min(1.0, 0.00035 / atlas.texel_m)
        # detail fades out towards the torso, which has none
        self.detail = smoothstep(0.735, 0.765, self.z) * (1 - self.masks["mouth"])
        m = self.masks
        porous = 0.35 + m["nose"] + m["cheek"] + 0.5 * m["forehead"] + 0.3 * m["chin"]
        self.pores = (
            np.clip(1 - atlas.pore_distance / 0.00033, 0, 1)
            * np.clip(porous, 0, 1) * (1 - m["lips"]) * self.detail * self.resolved
        )  # fmt: skip

    def stream(self, name: str) -> np.random.Generator:
        return stream(self.skin.texture_seed, 0, f"skin.{name}")


def _mottle(colour: np.ndarray, texels: _Texels) -> np.ndarray:
    """Uneven colour on three scales, and darker pores."""
    amount = texels.skin.mottle * texels.detail
    layers = (
        (0.5 + 0.42 * texels.broad, 0.30, _RED),
        (0.5 + 0.46 * texels.medium, 0.26, _RED),
        (0.4 + 0.48 * texels.fine, 0.22, _BROWN),
    )
    for pattern, strength, tint in layers:
        share = np.clip(pattern, 0, 1) * (strength * amount)
        colour = colour * (1 - share[:, None] * (1 - tint))
    return colour * (1 - 0.18 * texels.pores * amount)[:, None]


# ---------------------------------------------------------------- freckles, moles, spots


def _splat_all(colour: np.ndarray, texels: _Texels) -> None:
    """Add freckles, moles and spots to `colour` [N, 3], in place."""
    skin, m = texels.skin, texels.masks
    freckly = np.clip(
        1.2 * m["cheek"] + 1.1 * m["nose"] + 0.45 * m["forehead"] + 0.12 * m["head"], 0, 1
    )
    everywhere = 0.7 * texels.detail
    sun = freckly * 0.4 + 0.3
    dark = 0.25 + 0.75 * (1 - skin.melanin)  # spots fade into dark skin
    layers = (
        ("freckles", 2600 * skin.freckles, (0.0004, 0.0012), (0.60, 0.42, 0.32), freckly, 0.75),
        ("moles", 4 + 50 * skin.moles, (0.0006, 0.0015), (0.34, 0.23, 0.18), everywhere, 0.85),
        ("spots", 110 * skin.spots, (0.0008, 0.0022), (0.95, 0.64, 0.60), freckly * 0.7 + 0.1,
         0.6 * dark),
        ("age", 150 * max(0.0, skin.wrinkles - 0.5), (0.0012, 0.0035), (0.80, 0.68, 0.60), sun,
         0.5 * dark),
    )  # fmt: skip
    for name, count, radii, tint, density, opacity in layers:
        if count >= 1:
            coverage = _splat(texels, name, int(count), radii, density)
            colour *= 1 - opacity * coverage[:, None] * (1 - np.array(tint, np.float32))


def _splat(
    texels: _Texels, name: str, count: int, radii: tuple[float, float], density: np.ndarray
) -> np.ndarray:
    """Coverage [N] of soft dots with radii in metres, placed with `density` [N] in [0, 1].

    Dots are compared with the texels of a small window of the image only, by their true distance on
    the head.
    """
    atlas, rng = texels.atlas, texels.stream(name)
    candidates = rng.choice(len(atlas.texels), min(3 * count, len(atlas.texels)), replace=False)
    chosen = candidates[rng.random(len(candidates)) < density[candidates]][:count]
    radius = radii[0] + (radii[1] - radii[0]) * rng.random(len(chosen)) ** 2.2
    # a dot below the size of a texel would vanish or alias: it grows, and fades in proportion
    shown = np.maximum(radius, 0.9 * atlas.texel_m)
    strength = (radius / shown) ** 2 * rng.uniform(0.55, 1.0, len(chosen))
    reach = int(np.ceil(2 * radii[1] / atlas.texel_m)) + 2
    offsets = np.arange(-reach, reach + 1)
    row, column = np.divmod(atlas.texels[chosen], atlas.size)
    rows = np.clip(row[:, None, None] + offsets[:, None], 0, atlas.size - 1)
    columns = np.clip(column[:, None, None] + offsets[None, :], 0, atlas.size - 1)
    number = np.full(atlas.size**2, -1, np.int64)
    number[atlas.texels] = np.arange(len(atlas.texels))
    near = number[(rows * atlas.size + columns).reshape(len(chosen), len(offsets) ** 2)]
    dot, window = np.nonzero(near >= 0)
    near = near[dot, window]
    distance = np.linalg.norm(atlas.canonical[near] - atlas.canonical[chosen[dot]], axis=1)
    ragged = distance / shown[dot] * (1 + 0.25 * texels.fine[near])
    coverage = np.zeros(len(atlas.texels), np.float32)
    np.maximum.at(coverage, near, smoothstep(1.35, 0.65, ragged) * strength[dot])
    return coverage


# ---------------------------------------------------------------- relief


def _add_relief(colour: np.ndarray, texels: _Texels) -> tuple[np.ndarray, np.ndarray]:
    """Height [N] in metres of pores, wrinkles and lips; grooves also darken the colour."""
    skin, lips = texels.skin, texels.masks["lips"]
    height = -0.00007 * texels.pores + texels.detail * (
        0.000022 * texels.resolved * texels.fine + 0.000022 * texels.medium
    )
    grooves = _wrinkles(texels)
    height = height + skin.wrinkles * 0.00075 * grooves
    darkening = 0.20 * skin.wrinkles * np.clip(grooves, -1, 0)
    colour = colour * (1 + darkening[:, None] * np.array([0.8, 1.0, 1.0], np.float32))
    creases = 0.6 * np.sin(texels.x * 2600 + 3 * np.sin(texels.z * 500 + texels.x * 300))
    creases = creases + 0.4 * np.sin(texels.x * 4300 + 1.3)
    height = height * (1 - lips) + lips * 0.00012 * creases
    colour = colour * (1 - 0.08 * lips * np.clip(-creases, 0, 1))[:, None]
    # single hairs of a shaved beard
    beard = smoothstep(0, 0.012, texels.masks["beard_sd"])
    stubble = beard * texels.spec.facial_hair.shaving_shadow
    speckle = np.clip(0.6 * texels.fine - 0.1, 0, 1)
    return height, colour * (1 - 0.55 * stubble * speckle)[:, None]


def _groove(distance: np.ndarray, width: float) -> np.ndarray:
    return -np.exp(-((distance / width) ** 2))


def _wrinkles(texels: _Texels) -> np.ndarray:
    """Depth pattern [N], 0 smooth to about -1, of wrinkles drawn in canonical space (metres)."""
    x, y, z, side = texels.x, texels.y, texels.z, texels.side
    rng = texels.stream("wrinkles")
    wobble = 0.0016 * texels.broad
    front = y < -0.07
    total = np.zeros_like(z)
    for line, height in enumerate((0.928, 0.938, 0.948, 0.957)):
        bend = height + rng.normal(0, 0.0015) - 2.2 * side**2 + 0.002 * np.sin(90 * x + line)
        fade = np.clip(1 - (side / 0.05) ** 4, 0, 1) * rng.uniform(0.3, 1)
        total += _groove(z - bend - 0.8 * wobble, 0.0011) * fade
    for sign in (1, -1):
        signed = x * sign
        total += _crows_feet(signed, z, wobble, rng)
        t = np.clip((0.858 - z) / 0.043, 0, 1)
        fold = signed - 0.020 - 0.017 * t**1.2 - 0.4 * wobble
        ends = smoothstep(0.860, 0.852, z) * smoothstep(0.812, 0.824, z)
        total += 1.6 * _groove(fold, 0.0016) * ends  # nasolabial
        arc = np.cos(np.clip((signed - 0.0312) / 0.018, -1, 1) * np.pi / 2)
        below = z - 0.8815 + 0.0045 * arc - 0.3 * wobble
        total += 0.7 * _groove(below, 0.0011) * smoothstep(0.019, 0.012, np.abs(signed - 0.0312))
        frown = smoothstep(0.905, 0.912, z) * smoothstep(0.930, 0.920, z)
        total += 0.6 * _groove(signed - 0.0055 - 0.3 * wobble, 0.0010) * frown
    for height in (0.765, 0.752):
        total += 0.64 * _groove(z - height - 1.2 * wobble - 0.25 * side, 0.0012) * (z < 0.775)
    return total * front * texels.detail


def _crows_feet(signed, z, wobble, rng) -> np.ndarray:
    dx, dz = signed - 0.047, z - 0.8945
    radius, angle = np.hypot(dx, dz), np.arctan2(dz, dx)
    fade = smoothstep(0.003, 0.008, radius) * smoothstep(0.026, 0.012, radius) * (dx > 0)
    rays = np.zeros_like(z)
    for direction in (-0.55, -0.2, 0.15, 0.5):
        offset = (angle - direction - rng.normal(0, 0.06) - 19 * wobble) * radius
        rays += 0.7 * _groove(offset, 0.0008)
    return rays * fade
