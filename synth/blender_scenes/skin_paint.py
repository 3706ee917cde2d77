"""What covers the skin's own colour: lips, mouth, wet lids, hair under the hair, makeup."""

from __future__ import annotations

import numpy as np

from synth.blender_scenes.skin_regions import SkinRegions
from synth.blender_scenes.skin_texels import Texels
from synth.blender_scenes.skin_tone import SkinColour, tone
from synth.hairline import scalp_cover
from synth.headmodel import HeadModel
from synth.headmodel_masks import brow_mask, smoothstep
from synth.spec import HeadSpec

MOUTH_COLOUR = np.array([0.22, 0.055, 0.05], np.float32)
_NOSTRIL_COLOUR = np.array([0.055, 0.018, 0.014], np.float32)
"""Mucosa behind hairs; the cavity of the model is a few millimetres deep, a real one reaches on."""
_WET_LID = np.array([0.80, 0.60, 0.57], np.float32)
"""Tint of the lids' wet margin, whose blood shows."""
_SEAM_Z = 0.823
"""Canonical height of the line between the lips."""
_LINER = np.array([0.010, 0.008, 0.008], np.float32)
FOUNDATION_COVER = 0.55


def hair_layers(spec: HeadSpec, model: HeadModel, regions: SkinRegions) -> dict[str, np.ndarray]:
    """Cover [V] in [0, 1] of what lies under scalp hair, beard and brows."""
    masks, seed = model.masks, spec.skin.texture_seed
    patches = regions.person_noise("patches", seed, "beardline")
    # the edge of a shaved beard is soft, that of a worn one is hidden by its hair
    edge = 0.014 if spec.facial_hair.beard not in ("none", "stubble") else 0.026
    beard = smoothstep(-0.002, edge, masks["beard_sd"] + 0.0025 * patches)
    thick = 0.72 + 0.4 * regions["chin"] + 0.28 * regions["perioral"]  # thinner on the cheeks
    return {
        "scalp": scalp_cover(model.canonical, masks["scalp_sd"], spec.hair),
        "beard": np.clip(beard * thick, 0, 1) * (1 - regions["lips"]),
        "brow": brow_mask(model.canonical, spec.identity.brows),
    }


def paint(colour: np.ndarray, texels: Texels) -> None:
    """Paint everything onto the bare colour [N, 3] of the texels, in place."""
    _paint_lips(colour, texels)
    _paint_beard(colour, texels)
    _paint_makeup(colour, texels)
    _blend(colour, texels.where("waterline"), texels["waterline"] * 0.75, _WET_LID, tint=True)
    _blend(colour, texels.where("mouth"), texels["mouth"], MOUTH_COLOUR)
    _blend(colour, texels.where("nostril"), texels["nostril"], _NOSTRIL_COLOUR)
    hair = np.array(texels.spec.hair.colour.albedo, np.float32)
    _blend(colour, texels.where("scalp"), texels["scalp"], hair * 0.8 + 0.02)
    face_hair = np.array(texels.spec.facial_hair.colour.albedo, np.float32)
    brow = texels["brow"] * 0.26 * min(1.0, texels.spec.facial_hair.brow_density)
    _blend(colour, texels.where("brow"), brow, face_hair)


def _blend(colour, where, cover, other, *, tint: bool = False) -> None:
    """Mix `other`, a colour or (tint) a factor, into the texels `where` by `cover` [N]."""
    share = np.clip(cover[where], 0, 1)[:, None]
    base = colour[where]
    target = base * other if tint else other
    colour[where] = base + (target - base) * share


def lip_colour(melanin: float, redness: float, undertone: float) -> np.ndarray:
    """Linear albedo [3] of bare lips.

    Light lips are the tone of the skin with much blood. Dark lips keep the darkness of the skin and
    turn a little to purple.
    """
    light = np.array([0.86, 0.58 - 0.11 * redness, 0.58 - 0.08 * redness])
    dark = np.array([0.62, 0.47, 0.57])
    olive = np.array([1.0, 1.0, 1.0 - 0.06 * max(undertone, 0.0)])
    base = tone(np.array([melanin * 0.98 + 0.03]))[0]
    return base * (light * (1 - melanin) + dark * melanin) * olive


def _paint_lips(colour: np.ndarray, texels: Texels) -> None:
    skin, where = texels.skin, texels.where("lips")
    fine, medium = texels.fine[where], texels.medium[where]
    x, z = texels.x[where], texels.z[where]
    outline = texels["lips"][where] * _vermilion(x, z)
    cover = smoothstep(0.10, 1.00, outline + 0.07 * fine * texels.resolved)
    lower = smoothstep(_SEAM_Z + 0.0008, _SEAM_Z - 0.0008, z)
    from_seam = np.abs(z - _SEAM_Z) / np.where(lower > 0.5, 0.0125, 0.0095)
    melanin = skin.melanin
    base = lip_colour(melanin, skin.redness, skin.undertone).astype(np.float32)
    lips = np.broadcast_to(base, (len(where), 3)).copy()
    # the thin lower lip shows more blood; dark lips are pinkest in its middle
    middle = lower * np.exp(-((x / 0.016) ** 2)) * np.clip(1.1 - 0.7 * from_seam, 0, 1)
    lips *= 1 + lower[:, None] * np.array([0.08, 0.03, 0.04], np.float32)
    lips *= 1 + (melanin * middle)[:, None] * np.array([0.30, 0.14, 0.16], np.float32)
    # redder and darker towards the wet inside, lighter and paler on the rim
    inner = smoothstep(0.45, 0.05, from_seam)[:, None]
    lips *= 1 - inner * np.array([0.10, 0.26, 0.22], np.float32)
    rim = smoothstep(0.75, 1.0, from_seam)[:, None]
    lips *= 1 + rim * np.array([0.02, 0.10, 0.08], np.float32)
    lips *= 1 + (0.05 * medium + 0.05 * fine)[:, None] * np.array([0.6, 1.0, 1.0], np.float32)
    opacity = 0.84 - 0.18 * min(skin.wrinkles, 1.0) * rim[:, 0]
    share = (cover * opacity)[:, None]
    colour[where] = colour[where] * (1 - share) + lips * share
    if skin.makeup.lipstick is not None:
        crisp = smoothstep(0.40, 0.70, outline + 0.03 * fine)
        _blend_at(colour, where, crisp * skin.makeup.lipstick_opacity, skin.makeup.lipstick)


def _vermilion(x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """[n] in [0, 1]: the red of the lips, with Cupid's bow and thin ends, within their geometry."""
    side = np.abs(x)
    bow = 0.0010 * np.exp(-(((side - 0.0052) / 0.0032) ** 2)) - 0.0006 * np.exp(
        -((x / 0.0026) ** 2)
    )
    top = 0.8322 + bow - 9.5 * np.maximum(side - 0.006, 0) ** 2 - 0.06 * side
    bottom = 0.8112 + 13.0 * np.maximum(side - 0.008, 0) ** 2
    return smoothstep(0.0006, -0.0006, z - top) * smoothstep(-0.0008, 0.0008, z - bottom)


def _blend_at(colour, where, share, other) -> None:
    share = np.clip(share, 0, 1)[:, None]
    colour[where] += (np.asarray(other, np.float32) - colour[where]) * share


def _paint_beard(colour: np.ndarray, texels: Texels) -> None:
    """The shadow of hairs below the skin, and their cut ends as specks where texels show them."""
    hair = texels.spec.facial_hair
    if hair.shaving_shadow <= 0:
        return
    where = texels.where("beard")
    own = np.array(hair.colour.albedo, np.float32)
    # hair seen through skin: dark and bluish
    light = 0.035 * (1 - 0.8 * texels.skin.melanin)
    shadow = own * 0.5 + light * np.array([0.75, 0.92, 1.0], np.float32)
    cover = texels["beard"][where] * hair.shaving_shadow
    uneven = 1 + 0.12 * texels.medium[where]
    _blend_at(colour, where, 0.75 * cover * uneven, shadow)
    specks = texels.atlas.pores[where] * texels.resolved
    _blend_at(colour, where, 0.9 * np.sqrt(cover) * specks, own * 0.7 + 0.01)


def _paint_makeup(colour: np.ndarray, texels: Texels) -> None:
    makeup, skin = texels.skin.makeup, texels.skin
    if makeup.foundation > 0:
        where = texels.where("face")
        even = SkinColour(skin.undertone)(
            np.array([skin.melanin + 0.005]), np.array([0.34 + 0.10 * skin.redness])
        )[0]
        kept = 1 - texels["lips"] - texels["mouth"]
        _blend(colour, where, texels["face"] * kept * FOUNDATION_COVER * makeup.foundation, even)
    if makeup.blush > 0:
        x, z = np.abs(texels.x), texels.z
        # on the apple of the cheek, drawn out to the temple
        along = np.clip((x - 0.040) / 0.020, 0, 1)
        spot = np.exp(-(((x - 0.048) / 0.015) ** 2) - ((z - 0.866 - 0.012 * along) / 0.0105) ** 2)
        texels["blush"] = spot * (texels.y < -0.06)
        tint = np.array([1.0, 0.56, 0.58], np.float32)
        _blend(colour, texels.where("blush"), texels["blush"] * makeup.blush, tint, tint=True)
    _paint_eyes(colour, texels)


def _paint_eyes(colour: np.ndarray, texels: Texels) -> None:
    makeup = texels.skin.makeup
    if makeup.eyeshadow is None and makeup.eyeliner <= 0:
        return
    near = np.flatnonzero(
        (np.abs(texels.z - 0.897) < 0.022) & (texels.y < -0.10) & (np.abs(texels.x) > 0.010)
    )
    upper, lower = texels["upper_lid"][near], texels["lower_lid"][near]
    side, fine = np.abs(texels.x[near]), texels.fine[near]
    if makeup.eyeshadow is not None:
        above = upper / (0.0085 + 0.003 * smoothstep(0.030, 0.045, side))
        cover = smoothstep(1.15, 0.35, above) * smoothstep(-0.0003, 0.0003, upper)
        cover = np.maximum(cover, 0.35 * smoothstep(0.0022, 0.0004, lower) * (lower > 0))
        share = cover * makeup.eyeshadow_opacity * (1 + 0.05 * fine) * texels["lid_middle"][near]
        _blend_at(colour, near, share, makeup.eyeshadow)
    if makeup.eyeliner > 0:
        wide = 0.0007 + 0.0009 * smoothstep(0.022, 0.046, side)
        line = smoothstep(1.25, 0.75, np.abs(upper - 0.0004) / wide)
        below = 0.55 * smoothstep(1.3, 0.6, np.abs(lower - 0.0003) / 0.0006)
        below = below * smoothstep(0.026, 0.036, side)
        _blend_at(colour, near, np.maximum(line, below) * makeup.eyeliner, _LINER)
