"""Glasses as Blender objects; see `glasses` for their shape."""

from __future__ import annotations

import bpy
import numpy as np

from synth.blender_scenes.glasses import fit_glasses, lens_pane, tube
from synth.blender_scenes.head import new_mesh
from synth.blender_scenes.nodes import Shader
from synth.headmodel import HeadModel, HeadShape
from synth.spec import Glasses, HeadSpec


def build_accessories(spec: HeadSpec, model: HeadModel, shape: HeadShape) -> list[bpy.types.Object]:
    """Everything of `spec.accessories` as objects of the scene; an empty list for nothing."""
    glasses = spec.accessories.glasses
    if glasses is None:
        return []
    lines = fit_glasses(glasses, model, shape)
    scale = shape.units_per_metre
    frame = _frame_material(glasses)
    lens = _lens_material(glasses)
    radius = glasses.rim_radius_m
    tubes = [(f"rim_{i}", rim, lines.rim_radii, True) for i, rim in enumerate(lines.rims)]
    tubes.append(("bridge", lines.bridge, np.full(len(lines.bridge), 1.1 * radius), False))
    for i, temple in enumerate(lines.temples):
        taper = np.linspace(1.15, 0.9, len(temple))
        tubes.append((f"temple_{i}", temple, radius * taper, False))
    objects = []
    for name, points, radii, closed in tubes:
        vertices, faces = tube(shape.to_world(points), radii * scale, closed=closed)
        objects.append(new_mesh(name, vertices, faces, frame))
    for i, rim in enumerate(lines.rims):
        vertices, faces = lens_pane(shape.to_world(rim))
        pane = new_mesh(f"lens_{i}", vertices, faces, lens)
        pane.visible_shadow = False  # light reaches the eyes without caustics
        objects.append(pane)
    return objects


def _frame_material(glasses: Glasses) -> bpy.types.Material:
    shader = Shader("glasses_frame")
    return shader.surface(
        shader.principled(
            base_colour=glasses.colour,
            roughness=0.28,
            metallic=glasses.metal,
            specular_ior_level=0.5,
        )
    )


def _lens_material(glasses: Glasses) -> bpy.types.Material:
    """Fresnel reflection over a clear or tinted pane; without refraction there is no noise."""
    shader = Shader("glasses_lens")
    tint = 1 - 0.85 * glasses.tint
    pane = shader.node("ShaderNodeBsdfTransparent", {"Color": (tint, tint, 0.97 * tint)})
    reflection = shader.node("ShaderNodeBsdfAnisotropic", {"Roughness": 0.03})
    fresnel = shader.node("ShaderNodeFresnel", {"IOR": 1.35})
    amount = shader.math("MULTIPLY", fresnel, 0.5)
    return shader.surface(shader.mix_shader(amount, pane, reflection))
