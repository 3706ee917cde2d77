"""Clothes: a garment and its collar on the model's body, in Blender."""

from __future__ import annotations

from dataclasses import dataclass

import bpy
import numpy as np

from synth.blender_scenes.clothes_collar import COLLARS, Collar, sweep_collar
from synth.blender_scenes.clothes_fabric import fabric_material
from synth.blender_scenes.clothes_geometry import Garment, Neckline, drape
from synth.blender_scenes.head import new_mesh
from synth.headmodel import HeadModel, HeadShape
from synth.rng import stream
from synth.spec import HeadSpec

_SKIN_UNDER_EDGE_M = 0.012
"""Skin is kept this far below the neckline, so that no gap opens at the edge."""
_COLLIDER_Z = (0.60, 0.80)
"""Canonical heights of the skin that a collar must stay outside of."""


@dataclass(frozen=True)
class _Cut:
    neckline: Neckline
    offset_m: float
    wrinkle_m: float


_CUTS = {
    "tee": _Cut(Neckline(), 0.005, 0.0040),
    "v_neck": _Cut(Neckline(v_depth_m=0.085), 0.005, 0.0040),
    "sweater": _Cut(Neckline(0.004, 0.004), 0.011, 0.0055),
    "turtleneck": _Cut(Neckline(0.030, 0.042), 0.007, 0.0045),
    "shirt": _Cut(Neckline(0.004, 0.008, v_depth_m=0.075, v_half_width_m=0.045), 0.007, 0.0045),
    "hoodie": _Cut(Neckline(-0.004, 0.0, v_depth_m=0.02), 0.016, 0.0075),
}


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
    clothes = spec.clothes
    cut = _CUTS[clothes.garment]
    depth = cut.neckline.depth(model.canonical)
    garment = drape(
        shape.vertices,
        model.faces,
        model.canonical,
        depth,
        offset_m=cut.offset_m,
        wrinkle_m=cut.wrinkle_m * clothes.wrinkles,
        rng=stream(clothes.cloth_seed, 0, "clothes.folds"),
    )
    low, high = _COLLIDER_Z
    neck = (model.canonical[:, 2] > low) & (model.canonical[:, 2] < high)
    collar = sweep_collar(
        COLLARS[clothes.garment], garment, shape.vertices[neck], shape.normals[neck]
    )
    objects = (_garment_object(spec, shape, garment), _collar_object(spec, shape, collar))
    return Clothing(
        objects=objects,
        obstacles=((garment.vertices, garment.normals),),
        visible_skin=(depth[model.faces] < _SKIN_UNDER_EDGE_M).any(axis=1)
        & (model.canonical[model.faces, 2].mean(axis=1) > low)
        & (np.abs(model.canonical[model.faces, 0]).max(axis=1) < 0.13),
    )


def _garment_object(spec: HeadSpec, shape: HeadShape, garment: Garment) -> bpy.types.Object:
    material = fabric_material(spec.clothes, ribbed=False, units_per_metre=shape.units_per_metre)
    return new_mesh(
        "garment",
        shape.to_world(garment.vertices),
        garment.faces,
        material,
        uv=garment.coordinates[garment.faces],
    )


def _collar_object(spec: HeadSpec, shape: HeadShape, collar: Collar) -> bpy.types.Object:
    material = fabric_material(
        spec.clothes, ribbed=collar.ribbed, units_per_metre=shape.units_per_metre
    )
    return new_mesh(
        "collar",
        shape.to_world(collar.vertices),
        collar.faces,
        material,
        uv=collar.coordinates[collar.faces],
    )
