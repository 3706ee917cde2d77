"""Clothes: the garment, its collar and trim, and what is worn underneath, as Blender objects."""

from __future__ import annotations

from dataclasses import dataclass

import bpy
import numpy as np
from scipy.spatial import cKDTree

from synth.blender_scenes.clothes_drape import with_hanging_arms
from synth.blender_scenes.clothes_dress import Dressed, dress
from synth.blender_scenes.clothes_fabric import SEAM_ATTRIBUTE, Materials
from synth.blender_scenes.clothes_geometry import PANELS, Garment
from synth.blender_scenes.clothes_sheet import Part
from synth.blender_scenes.head import compact, new_mesh
from synth.headmodel import HeadModel, HeadShape
from synth.spec import HeadSpec
from synth.subdivision import vertex_normals

_LIES_UNDER_HAIR = ("hood", "collar", "lapel", "band", "under_collar")
_OUTSIDE = 0.3
"""Least cosine between the normals of a part's outer side and of the garment below it."""


@dataclass(frozen=True, eq=False)
class Clothing:
    """A dressed body.

    Attributes:
        objects: what was added to the scene, all of it clothes.
        obstacles: (vertices, outward normals), each [N, 3] in model space metres, for hair.
        visible_skin: [F] bool, the quads of the model that the clothes do not hide.
    """

    objects: tuple[bpy.types.Object, ...]
    obstacles: tuple[tuple[np.ndarray, np.ndarray], ...]
    visible_skin: np.ndarray


def hung_shape(spec: HeadSpec, model: HeadModel, shape: HeadShape) -> HeadShape:
    """The body in its clothes: arms that come out of short sleeves hang as these do."""
    return with_hanging_arms(model, shape) if spec.clothes.short_sleeves else shape


def build_clothes(spec: HeadSpec, model: HeadModel, shape: HeadShape) -> Clothing:
    """Dress the body of `shape` in the clothes of the spec.

    Args:
        spec: its `clothes` decide.
        model: topology and canonical positions.
        shape: the evaluated head.
    """
    dressed = dress(spec.clothes, model, shape)
    garment = dressed.garment
    materials = Materials(spec.clothes, shape.units_per_metre, _neck_coordinates(garment))
    used, faces = compact(garment.faces)
    cloth = new_mesh(
        "garment",
        shape.to_world(garment.vertices[used]),
        faces,
        [materials.of(name) for name in PANELS],
        {SEAM_ATTRIBUTE: garment.seam_m[used]},
        uv=garment.coordinates,
        face_materials=garment.panel,
    )
    objects = [cloth]
    objects += [_add(part, shape, materials.of(part.role)) for part in dressed.parts]
    return Clothing(
        objects=tuple(objects),
        obstacles=obstacles(dressed),
        visible_skin=dressed.visible_skin,
    )


def obstacles(dressed: Dressed) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Outer surfaces of clothes that hair lies on: (vertices, unit normals), [N, 3] metres each."""
    garment = dressed.garment
    surface = cKDTree(garment.vertices)
    surfaces = [(garment.vertices, garment.normals)]
    for part in dressed.parts:
        if part.name not in _LIES_UNDER_HAIR:
            continue
        normals = vertex_normals(part.vertices, part.faces)
        below = garment.normals[surface.query(part.vertices)[1]]
        outside = (normals * below).sum(axis=1) > _OUTSIDE
        surfaces.append((part.vertices[outside], normals[outside]))
    return tuple(surfaces)


def _neck_coordinates(garment: Garment) -> np.ndarray:
    """[2] cloth coordinates of the lowest point of the neckline in front."""
    front = np.flatnonzero(
        np.isin(garment.faces, garment.neck_loop) & (garment.panel == 1)[:, None]
    )
    coordinates = garment.coordinates.reshape(-1, 2)[front]
    return np.array([0.0, coordinates[:, 1].min()])


def _add(part: Part, shape: HeadShape, material: bpy.types.Material) -> bpy.types.Object:
    used, faces = compact(part.faces)
    seam = np.full(len(part.vertices), 0.05) if part.seam_m is None else part.seam_m
    return new_mesh(
        part.name,
        shape.to_world(part.vertices[used]),
        faces,
        material,
        {SEAM_ATTRIBUTE: seam[used]},
        uv=part.coordinates,
    )
