"""Teeth, gums and tongue as Blender objects; seen when the mouth opens."""

from __future__ import annotations

import bpy
import numpy as np

from synth.blender_scenes import mouth_teeth as geometry
from synth.blender_scenes.head import new_mesh
from synth.blender_scenes.nodes import Shader
from synth.headmodel import HeadModel, HeadShape
from synth.spec import HeadSpec, Rgb

# Enamel from bleached to dark, at the edge and at the neck of a tooth (linear albedo).
_ENAMEL = ((0.76, 0.72, 0.64), (0.64, 0.55, 0.41))
_NECK = ((0.62, 0.54, 0.42), (0.46, 0.34, 0.22))
# Gums and tongue under light and under dark skin; melanin colours the gums most.
_GUMS = ((0.46, 0.155, 0.145), (0.17, 0.070, 0.068))
_TONGUE = ((0.42, 0.135, 0.125), (0.30, 0.095, 0.095))
_ENAMEL_RADIUS = (0.50, 0.46, 0.42)
_BACK_TEETH_DARKEN = 0.55
"""Albedo of the last tooth relative to the first: the cheeks take the light away."""


def build_mouth(spec: HeadSpec, model: HeadModel, shape: HeadShape) -> list[bpy.types.Object]:
    """Upper and lower teeth with their gums, and the tongue."""
    teeth = spec.identity.teeth
    rest = model.shape(spec.identity)
    arches = geometry.fit_arches(model, rest, shape, teeth)
    enamel = _enamel_material(teeth.shade)
    gum = _flesh_material("gums", _between(_GUMS, spec.skin.melanin), 0.28)
    objects = []
    for name, arch in zip(("upper", "lower"), arches):
        reach = geometry.hidden_reach(arch, model, shape)
        points, faces, from_edge = geometry.crowns(arch, reach, teeth)
        depth = np.clip((points[:, 1] - points[:, 1].min()) / 0.03, 0, 1)
        attributes = {"from_edge": from_edge, "light": 1 - (1 - _BACK_TEETH_DARKEN) * depth}
        objects.append(new_mesh(f"teeth_{name}", shape.to_world(points), faces, enamel, attributes))
        points, faces = geometry.gums(arch, model, shape)
        objects.append(new_mesh(f"gums_{name}", shape.to_world(points), faces, gum))
    points, faces = geometry.tongue(model, shape, arches[1])
    tongue = _flesh_material("tongue", _between(_TONGUE, spec.skin.melanin), 0.38)
    objects.append(new_mesh("tongue", shape.to_world(points), faces, tongue))
    return objects


def _between(ends: tuple[Rgb, Rgb], amount: float) -> Rgb:
    return tuple(float(a + (b - a) * amount) for a, b in zip(*ends))


def _enamel_material(shade: float) -> bpy.types.Material:
    shader = Shader("teeth")
    to_neck = shader.smoothstep(shader.attribute("from_edge", "Fac"), 0.5, 1.0)
    colour = shader.mix(to_neck, _between(_ENAMEL, shade), _between(_NECK, shade))
    colour = shader.mix(shader.attribute("light", "Fac"), (0.05, 0.03, 0.025), colour)
    return shader.surface(
        shader.principled(
            base_colour=colour,
            roughness=0.24,
            subsurface_weight=0.4,
            subsurface_scale=0.010,
            # red light would leave through Blender's default radius, and teeth in shade turn green
            subsurface_radius=_ENAMEL_RADIUS,
        )
    )


def _flesh_material(name: str, colour: Rgb, roughness: float) -> bpy.types.Material:
    shader = Shader(name)
    return shader.surface(
        shader.principled(
            base_colour=colour, roughness=roughness, subsurface_weight=0.3, subsurface_scale=0.010
        )
    )
