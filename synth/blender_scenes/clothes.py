"""Clothes: a garment and its collar on the model's body, as Blender objects."""

from __future__ import annotations

from dataclasses import dataclass

import bpy
import numpy as np

from synth.blender_scenes.clothes_cuts import dress
from synth.blender_scenes.clothes_fabric import fabric_material
from synth.blender_scenes.head import new_mesh
from synth.headmodel import HeadModel, HeadShape
from synth.spec import HeadSpec


@dataclass(frozen=True, eq=False)
class Clothing:
    """A dressed body.

    Attributes:
        objects: what was added to the scene.
        obstacles: (vertices, outward normals), each [N, 3] in model space metres, for hair.
        visible_skin: [F] bool, the quads of the model that the garment does not hide.
    """

    objects: tuple[bpy.types.Object, ...]
    obstacles: tuple[tuple[np.ndarray, np.ndarray], ...]
    visible_skin: np.ndarray


def build_clothes(spec: HeadSpec, model: HeadModel, shape: HeadShape) -> Clothing:
    """Dress the body of `shape` in the garment of the spec.

    Args:
        spec: its `clothes` decide.
        model: topology and canonical positions.
        shape: the evaluated head.
    """
    dressed = dress(spec.clothes, model, shape)
    objects = []
    parts = [("garment", dressed.garment, False)]
    parts += [(f"collar_{i}", c, c.ribbed) for i, c in enumerate(dressed.collars)]
    for name, part, ribbed in parts:
        material = fabric_material(
            spec.clothes, ribbed=ribbed, units_per_metre=shape.units_per_metre
        )
        vertices = shape.to_world(part.vertices)
        uv = part.coordinates[part.faces]
        objects.append(new_mesh(name, vertices, part.faces, material, uv=uv))
    return Clothing(
        objects=tuple(objects),
        obstacles=((dressed.garment.vertices, dressed.garment.normals),),
        visible_skin=dressed.visible_skin,
    )
