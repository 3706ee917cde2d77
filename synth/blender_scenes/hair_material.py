"""The Principled Hair material (Chiang et al. 2016) of a spec's hair colour."""

from __future__ import annotations

import bpy

from synth.blender_scenes.nodes import Shader
from synth.spec import HairColour

_ROUGHNESS = 0.25
_RADIAL_ROUGHNESS = 0.42
_IOR = 1.55
PIGMENT = "pigment"
"""Attribute of the curves' points: factor on the amount of pigment (`hair_pigment`)."""


def hair_material(colour: HairColour, name: str) -> bpy.types.Material:
    """Strand material by melanin, multiplied by the `PIGMENT` of each point.

    Args:
        colour: the spec's colour.
        name: name of the material.
    """
    shader = Shader(name)
    # The shader turns melanin m into -ln(1 - m), so a factor on that is a power of (1 - m).
    left = shader.math("POWER", max(1.0 - colour.melanin, 1e-4), shader.attribute(PIGMENT, "Fac"))
    fibre = shader.node(
        "ShaderNodeBsdfHairPrincipled",
        {
            "Melanin": shader.math("SUBTRACT", 1.0, left),
            "Melanin Redness": colour.redness,
            "Roughness": _ROUGHNESS,
            "Radial Roughness": _RADIAL_ROUGHNESS,
            "IOR": _IOR,
            "Random Roughness": 0.3,
        },
        model="CHIANG",
        parametrization="MELANIN",
    )
    if colour.tint is not None:
        shader.set(fibre, "Tint", colour.tint)
    return shader.surface(fibre)
