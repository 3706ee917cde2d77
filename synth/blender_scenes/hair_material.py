"""The Principled Hair material (Chiang et al. 2016) of a spec's hair colour."""

from __future__ import annotations

import bpy

from synth.blender_scenes.nodes import Shader
from synth.spec import HairColour

_ROUGHNESS = 0.30
_RADIAL_ROUGHNESS = 0.42
_IOR = 1.5
SCALP_VARIATION = 0.40
FACE_VARIATION = 0.20
"""Difference in pigment between strands; sparse hairs of the face show it far more."""
_GREY_MELANIN = 0.06
_GREY_REDNESS = 0.3


def hair_material(
    colour: HairColour,
    name: str,
    *,
    melanin: float | None = None,
    variation: float = SCALP_VARIATION,
) -> bpy.types.Material:
    """Strand material by melanin; a fraction `colour.grey` of the strands has lost its pigment.

    Args:
        colour: the spec's colour.
        name: name of the material.
        melanin: used instead of `colour.melanin` (brows are a little darker than hair).
        variation: difference in pigment from strand to strand, [0, 1].
    """
    shader = Shader(name)
    pigmented = _fibre(
        shader,
        colour.melanin if melanin is None else melanin,
        colour.redness,
        colour.tint,
        variation,
    )
    if colour.grey <= 0:
        return shader.surface(pigmented)
    white = _fibre(shader, _GREY_MELANIN, _GREY_REDNESS, None, variation)
    random = shader.node("ShaderNodeHairInfo").outputs["Random"]
    is_grey = shader.math("LESS_THAN", random, colour.grey)
    return shader.surface(shader.mix_shader(is_grey, pigmented, white))


def _fibre(
    shader: Shader,
    melanin: float,
    redness: float,
    tint: tuple[float, float, float] | None,
    variation: float,
) -> bpy.types.Node:
    fibre = shader.node(
        "ShaderNodeBsdfHairPrincipled",
        {
            "Roughness": _ROUGHNESS,
            "Radial Roughness": _RADIAL_ROUGHNESS,
            "IOR": _IOR,
        },
        model="CHIANG",
        parametrization="MELANIN",
    )
    shader.set(fibre, "Melanin", melanin)
    shader.set(fibre, "Melanin Redness", redness)
    shader.set(fibre, "Random Color", variation)
    shader.set(fibre, "Random Roughness", 0.15)
    if tint is not None:
        shader.set(fibre, "Tint", tint)
    return fibre
