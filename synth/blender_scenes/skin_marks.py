"""Marks on the skin: freckles, moles, age spots, acne, birthmarks, scars, vitiligo.

Each is an amount of pigment or blood, and some have a relief.
"""

from __future__ import annotations

import numpy as np

from synth.blender_scenes.skin_texels import Texels
from synth.blender_scenes.skin_tone import melanin_contrast
from synth.headmodel_masks import smoothstep


def add_marks(texels: Texels) -> None:
    """Add all marks of the person to the fields melanin, blood, height and roughness, in place."""
    _add_unevenness(texels)
    _add_dots(texels)
    _add_acne(texels)
    _add_birthmark(texels)
    _add_scars(texels)
    _add_vitiligo(texels)


def _add_unevenness(texels: Texels) -> None:
    """Blots of 1 to 5 mm with a mean of zero, and darker pores."""
    skin, bare = texels.skin, texels.bare
    amount = skin.mottle * bare
    worn = 1 + 0.8 * max(0.0, skin.wrinkles - 0.3)
    ruddy = 0.6 + 0.9 * texels["cheek"] + 0.5 * texels["porous"]
    texels["blood"] += amount * ruddy * (0.065 * texels.blots + 0.060 * texels.fine)
    spread = 0.75 * melanin_contrast(skin.melanin) * worn
    texels["melanin"] += amount * spread * (0.022 * texels.medium + 0.022 * texels.fine)
    pores = texels.atlas.pores * texels["porous"] * bare * (0.3 + skin.pores) * texels.resolved
    texels["pores"] = pores
    texels["melanin"] += 0.06 * melanin_contrast(skin.melanin) * pores
    texels["blood"] += 0.09 * pores


def _add_dots(texels: Texels) -> None:
    skin = texels.skin
    freckly, sunned = texels["freckly"] * texels.bare, texels["sunned"] * texels.bare
    anywhere = 0.6 * texels.bare
    light = 1 - skin.melanin
    pale = melanin_contrast(skin.melanin)
    layers = (
        # name, count, radii, density, melanin, blood, height
        ("freckles", 3200 * skin.freckles, (0.0004, 0.0014), freckly, 0.27 * light, 0.06, 0.0),
        ("freckles_faint", 900 * skin.freckles, (0.0010, 0.0024), freckly, 0.09 * light, 0.0, 0.0),
        ("moles", 12 + 110 * skin.moles, (0.0005, 0.0015), anywhere, 0.42 * pale, 0.0, 0.00010),
        ("mole_raised", 10 * skin.moles, (0.0014, 0.0023), anywhere, 0.30 * pale, 0.15, 0.00070),
        ("spots", 200 * skin.spots, (0.0007, 0.0020), 0.3 * anywhere + 0.7 * freckly,
         0.0, 0.32, 0.0),
        ("age_spots", 130 * skin.age_spots, (0.0014, 0.0042), sunned, 0.13 * light + 0.03, 0.0,
         0.0),
    )  # fmt: skip
    for name, count, radii, density, melanin, blood, height in layers:
        if count < 1:
            continue
        where, cover = texels.dots(name, count, radii, density)
        texels["melanin"][where] += melanin * cover
        texels["blood"][where] += blood * cover
        texels["height"][where] += height * cover


def _add_acne(texels: Texels) -> None:
    if texels.skin.acne <= 0:
        return
    amount = texels.skin.acne
    prone = np.clip(0.8 * texels["cheek"] + 0.8 * texels["tzone"] + 0.5 * texels["jaw"], 0, 1)
    prone = prone * texels.bare * texels["face"]
    where, cover = texels.dots("acne_halo", 40 * amount, (0.0022, 0.0048), prone)
    texels["blood"][where] += 0.38 * cover
    where, cover = texels.dots("acne", 46 * amount, (0.0008, 0.0019), prone)
    texels["blood"][where] += 0.50 * cover
    texels["height"][where] += 0.00045 * cover
    where, cover = texels.dots("acne_marks", 30 * amount, (0.0010, 0.0022), prone)
    texels["melanin"][where] += 0.10 * cover
    texels["height"][where] -= 0.00020 * cover


def _add_birthmark(texels: Texels) -> None:
    kind = texels.skin.birthmark
    if kind == "none":
        return
    rng = texels.stream("birthmark")
    places = np.flatnonzero(texels["face"] * texels.bare > 0.6)
    center = texels.atlas.canonical[rng.choice(places)]
    radius = rng.uniform(0.008, 0.030 if kind == "port_wine" else 0.016)
    stretch = rng.uniform(0.7, 1.4, 3)
    distance = np.linalg.norm((texels.atlas.canonical - center) / stretch, axis=1) / radius
    cover = smoothstep(1.12, 0.92, distance + 0.22 * texels.medium + 0.05 * texels.fine)
    cover *= texels.bare
    if kind == "port_wine":
        texels["blood"] += 0.85 * cover
    else:
        texels["melanin"] += 0.14 * cover


def _add_scars(texels: Texels) -> None:
    """Pale, smooth lines a little below the skin around them."""
    rng = texels.stream("scars")
    places = np.flatnonzero(texels["face"] * texels.bare > 0.6)
    for _ in range(texels.skin.scars):
        center = texels.atlas.canonical[rng.choice(places)]
        length = rng.uniform(0.006, 0.022)
        direction = rng.normal(size=3) * [1.0, 0.3, 1.0]
        direction /= np.linalg.norm(direction)
        offset = texels.atlas.canonical - center
        near = np.flatnonzero(np.abs(offset).max(axis=1) < length)
        along = offset[near] @ direction
        across = np.linalg.norm(offset[near] - along[:, None] * direction, axis=1)
        width = rng.uniform(0.0004, 0.0009) * np.sqrt(np.clip(1 - (2 * along / length) ** 2, 0, 1))
        bent = across + 0.0001 * texels.medium[near] + 3.0 * along**2
        cover = smoothstep(1.6, 0.7, bent / np.maximum(width, 1e-5)) * texels.bare[near]
        texels["melanin"][near] *= 1 - 0.35 * cover
        texels["blood"][near] += (0.10 - 0.15 * rng.random()) * cover
        texels["height"][near] -= 0.00013 * cover
        texels["roughness"][near] -= 0.10 * cover


def _add_vitiligo(texels: Texels) -> None:
    amount = texels.skin.vitiligo
    if amount <= 0:
        return
    # patches with sharp borders, first around eyes and mouth
    first = np.clip(1 - np.minimum(texels["upper_lid"], texels["lower_lid"]) / 0.016, 0, 1)
    first = np.maximum(first, np.exp(-(((texels.z - 0.822) / 0.018) ** 2)) * (texels.y < -0.135))
    pattern = texels["vitiligo"] + 0.10 * texels.medium + 1.1 * first
    cover = smoothstep(1.45, 1.60, pattern + 2.2 * amount) * texels.atlas.detail
    texels["melanin"] *= 1 - 0.94 * cover
