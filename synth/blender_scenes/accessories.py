"""Glasses and earrings as Blender objects; their shapes are made in numpy, see `glasses`,
`glasses_frame` and `earrings`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import bpy

from synth.blender_scenes.accessory_materials import earring_materials, glasses_materials
from synth.blender_scenes.accessory_mesh import MeshPart
from synth.blender_scenes.earrings import earring_parts
from synth.blender_scenes.glasses_frame import glasses_parts
from synth.blender_scenes.hair_field import HeadSurface
from synth.blender_scenes.head import new_mesh
from synth.headmodel import HeadModel, HeadShape
from synth.spec import HeadSpec


def build_glasses(spec: HeadSpec, model: HeadModel, shape: HeadShape) -> list[bpy.types.Object]:
    """The glasses of `spec.accessories` as objects of the scene; an empty list for none."""
    glasses = spec.accessories.glasses
    if glasses is None:
        return []
    materials = glasses_materials(glasses, shape.units_per_metre)
    return add_parts(glasses_parts(glasses, model, shape), materials, shape)


def build_earrings(
    spec: HeadSpec, model: HeadModel, shape: HeadShape, surface: HeadSurface
) -> list[bpy.types.Object]:
    """The earrings of `spec.accessories`; an empty list for none."""
    earrings = spec.accessories.earrings
    if earrings is None:
        return []
    parts = earring_parts(earrings, model, shape, surface)
    return add_parts(parts, earring_materials(earrings), shape)


def add_parts(
    parts: Sequence[MeshPart], materials: Mapping[str, bpy.types.Material], shape: HeadShape
) -> list[bpy.types.Object]:
    """Meshes in model space as objects of the scene, with their materials by key."""
    objects = []
    for part in parts:
        uv = None if part.uv is None else part.uv[part.faces]
        item = new_mesh(
            part.name,
            shape.to_world(part.vertices),
            part.faces,
            materials[part.material],
            uv=uv,
            smooth=part.smooth,
        )
        item.visible_shadow = part.casts_shadow
        objects.append(item)
    return objects
