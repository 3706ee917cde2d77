"""Materials of glasses and earrings: acetate, metal, silicone, lenses, gems."""

from __future__ import annotations

import bpy

from synth.blender_scenes.nodes import Shader, Socket
from synth.spec import Earrings, Glasses, Rgb

_LENS_REFLECTANCE = 0.045
"""At normal incidence, both faces of a coated lens together."""
_TINTED_REFLECTANCE = 0.075
_TORTOISE_PER_M = 210.0


def glasses_materials(glasses: Glasses, units_per_metre: float) -> dict[str, bpy.types.Material]:
    """The materials of `glasses_frame`'s parts by their key."""
    metal = glasses.metal > 0.5
    frame = (
        metal_material("glasses_frame", glasses.colour)
        if metal
        else _acetate(glasses, units_per_metre)
    )
    fittings = glasses.colour if metal else (0.55, 0.52, 0.48)
    if glasses.shape == "browline":
        fittings = glasses.second_colour
    return {
        "frame": frame,
        "metal": metal_material("glasses_metal", fittings),
        "tip": plastic_material("glasses_tip", glasses.second_colour),
        "pad": _silicone(),
        "lens": _lens(glasses),
    }


def earring_materials(earrings: Earrings) -> dict[str, bpy.types.Material]:
    """The materials of earrings by their key: "metal" and "gem"."""
    metal = earrings.colour if earrings.metal > 0.5 else earrings.metal_colour
    return {"metal": metal_material("earring_metal", metal, 0.16), "gem": _gem(earrings.colour)}


def _gem(colour: Rgb) -> bpy.types.Material:
    """Pearl where the colour is pale, otherwise polished stone; opaque, so that it has no noise."""
    shader = Shader("earring_gem")
    pearl = min(colour) > 0.5
    return shader.surface(
        shader.principled(
            base_colour=colour,
            roughness=0.22 if pearl else 0.05,
            specular_ior_level=0.6 if pearl else 0.9,
            coat_weight=0.7,
            coat_roughness=0.12 if pearl else 0.02,
            sheen_weight=0.3 if pearl else 0.0,
        )
    )


def metal_material(name: str, colour: Rgb, roughness: float = 0.24) -> bpy.types.Material:
    """Polished metal; `colour` is its reflectance."""
    shader = Shader(name)
    return shader.surface(shader.principled(base_colour=colour, roughness=roughness, metallic=1.0))


def plastic_material(name: str, colour: Rgb) -> bpy.types.Material:
    """Polished plastic in one colour."""
    shader = Shader(name)
    return shader.surface(
        shader.principled(base_colour=colour, roughness=0.26, specular_ior_level=0.5)
    )


def _acetate(glasses: Glasses, units_per_metre: float) -> bpy.types.Material:
    """Cellulose acetate: one colour, or the two of tortoiseshell in soft blots."""
    shader = Shader("glasses_frame")
    colour: Rgb | Socket = glasses.colour
    if glasses.tortoise > 0:
        place = shader.node("ShaderNodeTexCoord").outputs["Object"]
        blots = shader.noise(
            place, _TORTOISE_PER_M / units_per_metre, detail=2.0, distortion=0.6
        ).outputs[0]
        # at 1 about half of the blots are light
        middle = 0.36 + 0.15 * glasses.tortoise
        dark = shader.smoothstep(blots, middle - 0.06, middle + 0.06)
        colour = shader.mix(dark, glasses.second_colour, glasses.colour)
    return shader.surface(
        shader.principled(
            base_colour=colour, roughness=0.22, specular_ior_level=0.5, coat_weight=0.25
        )
    )


def _silicone() -> bpy.types.Material:
    shader = Shader("glasses_pad")
    clear = shader.node("ShaderNodeBsdfTransparent", {"Color": (0.95, 0.95, 0.95)})
    body = shader.principled(base_colour=(0.75, 0.74, 0.70), roughness=0.25)
    return shader.surface(shader.mix_shader(0.45, clear, body))


def _lens(glasses: Glasses) -> bpy.types.Material:
    """Schlick reflection over a clear or tinted pane; without refraction there is no noise.

    Blender's own Fresnel node takes the back of a pane for the inside of a solid and mirrors
    everything there; the facing angle is the same from both sides.
    """
    shader = Shader("glasses_lens")
    transmitted: Rgb | Socket = (1.0, 1.0, 1.0)
    if glasses.tint > 0:
        _, height, _ = shader.separate(shader.uv())
        top = shader.smoothstep(height, -0.75, 0.55)
        strength = shader.math(
            "MULTIPLY",
            glasses.tint,
            shader.math("MULTIPLY_ADD", top, glasses.gradient, 1 - glasses.gradient),
        )
        transmitted = shader.mix(strength, (1.0, 1.0, 1.0, 1.0), (*glasses.lens_colour, 1.0))
    pane = shader.node("ShaderNodeBsdfTransparent", {"Color": transmitted})
    reflection = shader.node(
        "ShaderNodeBsdfAnisotropic", {"Color": (0.86, 1.0, 0.93), "Roughness": 0.02}
    )
    base = _LENS_REFLECTANCE + (_TINTED_REFLECTANCE - _LENS_REFLECTANCE) * glasses.tint
    facing = shader.node("ShaderNodeLayerWeight", {"Blend": 0.5}).outputs["Facing"]
    grazing = shader.math("POWER", facing, 5.0)
    amount = shader.math("MULTIPLY_ADD", grazing, 0.6 - base, base)
    return shader.surface(shader.mix_shader(amount, pane, reflection))
