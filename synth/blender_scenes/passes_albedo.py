"""The colour of a material without light, found in its own shader tree.

Cycles' diffuse colour pass knows neither hair nor metal: their shaders have no diffuse part. Here
the tree is walked from the output to the colours it starts from, so that albedo is exactly what the
builder of the material put in, pattern and texture included.
"""

from __future__ import annotations

import math

import bpy

from synth.blender_scenes.nodes import Shader, Socket
from synth.errors import RenderError
from synth.sample_palettes import GREY_ALBEDO
from synth.spec import HairColour

Colour = Socket | tuple[float, float, float]

_COLOUR_INPUTS = {
    "ShaderNodeBsdfPrincipled": "Base Color",
    "ShaderNodeBsdfDiffuse": "Color",
    "ShaderNodeBsdfTranslucent": "Color",
    "ShaderNodeSubsurfaceScattering": "Color",
    "ShaderNodeBsdfSheen": "Color",
    "ShaderNodeBsdfMetallic": "Base Color",
    "ShaderNodeBsdfAnisotropic": "Color",
    "ShaderNodeBsdfGlass": "Color",
    "ShaderNodeBsdfRefraction": "Color",
}
_CLEAR = ("ShaderNodeBsdfTransparent", "ShaderNodeHoldout")
_DARKEST = 0.004
_BLACK = ("ShaderNodeEmission", "ShaderNodeBackground")


def material_albedo(shader: Shader, strands: HairColour | None) -> Colour | None:
    """Linear albedo of a material as a socket or constant; None for a clear one.

    Args:
        shader: the material, to which nodes are added.
        strands: for hair, the colour that its albedo is given for.

    Raises:
        RenderError: a shader node whose colour is not known; names material and node.
    """
    link = _surface_link(shader)
    return None if link is None else _albedo(shader, link.from_node, strands)


def _surface_link(shader: Shader) -> bpy.types.NodeLink | None:
    for node in shader.tree.nodes:
        if node.bl_idname == "ShaderNodeOutputMaterial" and node.is_active_output:
            links = node.inputs["Surface"].links
            return links[0] if links else None
    return None


def _albedo(shader: Shader, node: bpy.types.Node, strands: HairColour | None) -> Colour | None:
    kind = node.bl_idname
    if kind == "NodeReroute":
        return _albedo(shader, node.inputs[0].links[0].from_node, strands)
    if kind in _CLEAR:
        return None
    if kind in _BLACK:
        return (0.0, 0.0, 0.0)
    if kind in _COLOUR_INPUTS:
        return _value(node.inputs[_COLOUR_INPUTS[kind]])
    if kind == "ShaderNodeBsdfHairPrincipled" and strands is not None:
        return _strand_albedo(shader, node, strands)
    if kind in ("ShaderNodeMixShader", "ShaderNodeAddShader"):
        sockets = node.inputs[-2:]
        found = [_albedo(shader, s.links[0].from_node, strands) for s in sockets if s.links]
        colours = [colour for colour in found if colour is not None]
        if len(colours) < 2:
            return colours[0] if colours else None
        if kind == "ShaderNodeAddShader":
            return shader.mix(1.0, *colours, "ADD")
        return shader.mix(_value(node.inputs[0]), *colours)
    raise RenderError(
        f"pass albedo: material {shader.material.name!r} uses {kind}, whose colour is not known; "
        "use a Principled BSDF, or leave albedo out of the passes"
    )


def _value(socket: bpy.types.NodeSocket) -> Socket | tuple[float, float, float] | float:
    if socket.links:
        return socket.links[0].from_socket
    value = socket.default_value
    return value if isinstance(value, float) else tuple(value)[:3]


def _strand_albedo(shader: Shader, fibre: bpy.types.Node, strands: HairColour) -> Socket:
    """The colour of the spec's pigmented hair, made lighter or darker by the strand's own pigment.

    Chiang et al. (2016), eq. 9, give the colour of a mass of fibres as exp(-k sqrt(sigma)), with an
    absorption sigma proportional to -ln(1 - melanin). A strand with p times the pigment of the
    colour c therefore has the colour c ** sqrt(p).
    """
    melanin = _value(fibre.inputs["Melanin"])
    left = shader.math("MAXIMUM", shader.math("SUBTRACT", 1.0, melanin), 1e-4)
    of_spec = math.log(max(1.0 - strands.melanin, 1e-4))
    pigment = shader.math("DIVIDE", shader.math("LOGARITHM", left, math.e), min(of_spec, -1e-3))
    power = shader.math("SQRT", shader.math("MAXIMUM", pigment, 0.0))
    channels = [shader.math("POWER", c, power) for c in pigmented_albedo(strands)]
    return shader.node("ShaderNodeCombineColor", dict(enumerate(channels))).outputs[0]


def pigmented_albedo(colour: HairColour) -> tuple[float, ...]:
    """The albedo of the strands that are not grey; `colour.albedo` is the mean of all."""
    grey = min(colour.grey, 0.99)
    return tuple(
        max((mean - grey * white) / (1 - grey), _DARKEST)
        for mean, white in zip(colour.albedo, GREY_ALBEDO)
    )
