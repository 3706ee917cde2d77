"""Bakes a person's skin into an atlas: albedo, height, roughness and specular level, in numpy.

Baking costs a second per head; procedural shader nodes would cost it per view, and a baked albedo
is also exact ground truth: it is the diffuse colour alone, with no light, shadow or occlusion in
it. Every pattern lives in canonical space and so follows the face.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synth.blender_scenes import skin_marks, skin_paint, skin_tone
from synth.blender_scenes.skin_atlas import SkinAtlas
from synth.blender_scenes.skin_regions import SkinRegions
from synth.blender_scenes.skin_texels import Texels
from synth.blender_scenes.skin_tone import VEIN_ABSORPTION, SkinColour
from synth.blender_scenes.skin_wrinkles import Wrinkler, cavities
from synth.headmodel import HeadModel
from synth.spec import HeadSpec

_WRINKLE_DEPTH_M = 0.0008
"""Wrinkles as deep as this are as red and dull as they get."""


@dataclass(frozen=True, eq=False)
class BakedSkin:
    """A person's skin.

    Attributes:
        albedo: [H, W, 3] float32 linear, row 0 is v = 0.
        height_m: [H, W] float32 metres above the smooth surface.
        roughness: [H, W] float32.
        specular: [H, W] float32, Blender's specular level, 0.5 is that of the index of refraction.
        vertex_albedo: [V, 3] the same without detail, for the faces outside the atlas.
        vertex_roughness: [V].
        vertex_oil: [V] in [0, 1], how much of the skin a film of oil or water covers.
        vertex_subsurface: [V] in [0, 1], share of the light that travels below the surface.
    """

    albedo: np.ndarray
    height_m: np.ndarray
    roughness: np.ndarray
    specular: np.ndarray
    vertex_albedo: np.ndarray
    vertex_roughness: np.ndarray
    vertex_oil: np.ndarray
    vertex_subsurface: np.ndarray


def bake_skin(
    spec: HeadSpec, model: HeadModel, atlas: SkinAtlas, regions: SkinRegions
) -> BakedSkin:
    """Bake the skin that `spec` describes."""
    amounts = skin_tone.pigments(spec, regions)
    roughness = _vertex_roughness(spec, regions)
    layers = {
        "melanin": amounts.melanin,
        "blood": amounts.blood,
        "veins": amounts.veins,
        "roughness": roughness,
        "wobble": regions.person_noise("blots", spec.skin.texture_seed, "wrinkles"),
        **skin_paint.hair_layers(spec, model, regions),
    }
    if spec.skin.vitiligo > 0:
        noise = regions.person_noise("patches", spec.skin.texture_seed, "vitiligo")
        layers["vitiligo"] = noise
    texels = Texels(spec, atlas, regions, layers)
    texels["height"] = np.zeros_like(texels.x)
    skin_marks.add_marks(texels)
    furrows = _add_relief(texels)
    look_up = SkinColour(spec.skin.undertone)
    colour = look_up(texels["melanin"], texels["blood"])
    _tint_veins(colour, texels["veins"])
    skin_paint.paint(colour, texels)
    specular = _finish_gloss(texels, furrows)
    return BakedSkin(
        albedo=atlas.image(np.clip(colour, 0.003, 1.0)),
        height_m=atlas.image(texels["height"]),
        roughness=atlas.image(np.clip(texels["roughness"], 0.12, 0.9), background=0.5),
        specular=atlas.image(specular, background=0.4),
        vertex_albedo=_vertex_albedo(spec, amounts, look_up, layers["scalp"], model),
        vertex_roughness=roughness,
        vertex_oil=_vertex_oil(spec, regions),
        vertex_subsurface=1 - np.maximum(regions["nostril"], regions["mouth"]),
    )


def _vertex_albedo(
    spec: HeadSpec, amounts, look_up: SkinColour, scalp: np.ndarray, model: HeadModel
) -> np.ndarray:
    colour = look_up(amounts.melanin, amounts.blood)
    _tint_veins(colour, amounts.veins)
    # a strip of the back of the head lies outside the atlas
    hair = np.array(spec.hair.colour.albedo, np.float32) * 0.8 + 0.02
    colour = colour + (hair - colour) * scalp[:, None]
    inside = model.masks["mouth"][:, None]
    return colour * (1 - inside) + skin_paint.MOUTH_COLOUR * inside


def _tint_veins(colour: np.ndarray, veins: np.ndarray) -> None:
    where = np.flatnonzero(veins > 0.005)
    colour[where] *= np.exp(-veins[where, None] * VEIN_ABSORPTION.astype(np.float32))


def _vertex_roughness(spec: HeadSpec, regions: SkinRegions) -> np.ndarray:
    """Roughness [V]: oily skin shines on the T-zone, old skin is dry, a bald scalp is smooth."""
    skin, dry = spec.skin, min(spec.skin.wrinkles, 1.0)
    rough = 0.58 + 0.03 * dry - (0.04 + 0.10 * skin.oil) * regions["tzone"]
    rough = rough - 0.04 * regions["cheek"] * skin.oil - 0.03 * regions["ear"]
    rough = rough + 0.05 * skin.makeup.foundation * regions["face"]
    noise = regions.person_noise("patches", skin.texture_seed, "oil")
    return (rough + 0.025 * noise).astype(np.float32)


def _vertex_oil(spec: HeadSpec, regions: SkinRegions) -> np.ndarray:
    """The film [V] in [0, 1] on top of the skin: oil on forehead, nose and chin, water on lips.

    Its narrow highlights lie over the wide ones of the skin below, the two lobes that skin was
    measured to have (Weyrich et al. 2006).
    """
    skin = spec.skin
    noise = regions.person_noise("patches", skin.texture_seed, "film")
    oil = (0.20 + 0.65 * skin.oil) * (0.30 + 0.70 * regions["tzone"] + 0.20 * regions["cheek"])
    oil = oil * (1 + 0.20 * noise) * (1 - 0.5 * skin.makeup.foundation * regions["face"])
    lips = regions["lips"]
    film = oil * (1 - lips) + (0.40 + 0.60 * skin.makeup.lip_gloss) * lips
    return np.clip(film * (1 - regions["nostril"]), 0, 1).astype(np.float32)


def _add_relief(texels: Texels) -> np.ndarray:
    """Add pores, fine cells, wrinkles and lips to the height; returns how deep in a wrinkle [N]."""
    skin, lips, resolved = texels.skin, texels["lips"], texels.resolved
    age = min(skin.wrinkles, 1.2)
    fine_cells, coarse_cells = texels.atlas.creases
    small = -0.00014 * texels["pores"] - resolved * texels.bare * (
        0.000022 * fine_cells + 0.000012 * texels.fine
    )
    small -= texels.bare * (0.000012 + 0.00011 * max(0.0, age - 0.30)) * coarse_cells
    # fat and fibres below are uneven, too: it is this that breaks up highlights in a small picture
    uneven = 0.000040 * texels.medium + 0.000065 * texels.blots
    small += texels.bare * (1 - 0.35 * texels["tzone"]) * uneven  # or oily foreheads crumple
    wobble = 0.8 * texels.medium + 0.6 * texels["wobble"]
    wrinkles = Wrinkler(
        texels.atlas.canonical, wobble, texels.fine, age, skin.eye_bags,
        texels.spec.expression.actions, skin.texture_seed,
    ).height_m()  # fmt: skip
    wrinkles *= texels.bare
    texels["height"] += small * (1 - texels["waterline"]) + wrinkles
    furrows = cavities(wrinkles, _WRINKLE_DEPTH_M)
    # skin in a furrow is redder and keeps its pigment
    texels["blood"] += 0.30 * furrows
    texels["melanin"] += 0.05 * furrows
    where = texels.where("lips")
    x, z = texels.x[where], texels.z[where]
    course = x * (1 + 9 * np.abs(z - 0.822)) + 0.0004 * texels.medium[where]
    creases = 0.6 * np.sin(course * 2700 + 2 * texels.medium[where])
    creases += 0.4 * np.sin(course * 4600 + 1.3) + 0.3 * texels.fine[where]
    texels["height"][where] += lips[where] * resolved * 0.00007 * (1 + 0.6 * age) * creases
    return furrows


def _finish_gloss(texels: Texels, furrows: np.ndarray) -> np.ndarray:
    """Break up the roughness of the texels, in place; returns the specular level [N]."""
    rough, makeup = texels["roughness"], texels.skin.makeup
    rough += texels.bare * (
        0.015 * texels.medium + 0.025 * texels.fine * texels.resolved + 0.10 * texels["pores"]
    )
    rough += 0.10 * furrows
    lips = texels.where("lips")
    wet = 0.42 - 0.20 * makeup.lip_gloss + 0.03 * texels.fine[lips]
    rough[lips] += (wet - rough[lips]) * texels["lips"][lips]
    rough += (0.22 - rough) * np.clip(texels["waterline"] + 0.7 * texels["mouth"], 0, 1)
    rough += 0.10 * texels["beard"] * texels.spec.facial_hair.shaving_shadow
    hollow = np.clip(0.55 * furrows + 0.5 * texels["cavity"] + 0.35 * texels["pores"], 0, 0.9)
    hollow *= 1 - texels["waterline"]
    hollow = np.maximum(hollow, 0.9 * texels["nostril"])
    return 0.47 * (1 - hollow) + 0.10 * makeup.lip_gloss * texels["lips"]
