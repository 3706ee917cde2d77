"""Hair, brows, lashes and beard of a spec as Blender curves.

The strands are grown in numpy (`hair_groom`, `facial_hair`); only this module and `hair_material`
touch Blender.
"""

from __future__ import annotations

import bpy
import numpy as np

from synth.blender_scenes.facial_hair import beard_strands, brow_strands, lash_strands
from synth.blender_scenes.hair_field import HeadSurface
from synth.blender_scenes.hair_groom import groom
from synth.blender_scenes.hair_material import PIGMENT, hair_material
from synth.blender_scenes.hair_pigment import facial_colour
from synth.blender_scenes.hair_strands import StrandSet
from synth.blender_scenes.hair_styles import strand_scale
from synth.blender_scenes.head import new_curves
from synth.blender_scenes.headwear_fit import HairCover
from synth.headmodel import HeadModel, HeadShape
from synth.spec import HairColour, HeadSpec

LASH_COLOUR = HairColour(name="lash", melanin=0.97, redness=0.0, albedo=(0.008, 0.007, 0.006))


def build_hair(
    spec: HeadSpec, shape: HeadShape, surface: HeadSurface, cover: HairCover | None = None
) -> list[bpy.types.Object]:
    """Scalp hair.

    Args:
        shape, surface: of one head.
        cover: headwear that presses or hides the hair.
    """
    if cover is not None and cover.hides_all:
        return []
    material = hair_material(spec.hair.colour, "hair")
    if cover is None:
        parts = groom(spec.hair, surface, spec.render.size)
    else:
        head = surface.canonical_map
        behind = cover.rim_towards(head.direction_to_model(np.array([0.0, 1.0, 0.0])))
        back_z_m = float(head.canonical_z(behind))
        scalp, *tied = groom(spec.hair, surface, spec.render.size, back_z_m)
        # what is tied comes out below the hat; only what leads there is pressed
        parts = [part for part in (cover.press(scalp), *tied) if len(part)]
    return [_curves(f"hair_{i}", part, shape, material) for i, part in enumerate(parts)]


def build_brows(spec: HeadSpec, shape: HeadShape, surface: HeadSurface) -> list[bpy.types.Object]:
    """Eyebrows, a little darker than the hair."""
    brows = spec.identity.brows
    strands = brow_strands(spec.facial_hair, brows, surface, _small_radius(spec))
    material = hair_material(facial_colour(spec.facial_hair.colour), "brows")
    return [_curves("brows", strands, shape, material)]


def build_lashes(spec: HeadSpec, model: HeadModel, shape: HeadShape) -> list[bpy.types.Object]:
    """Eyelashes, dark for everyone."""
    strands = lash_strands(
        spec.facial_hair, shape.base_vertices, model.groups, shape.eyes, _small_radius(spec),
        spec.skin.makeup.mascara,
    )  # fmt: skip
    return [_curves("lashes", strands, shape, hair_material(LASH_COLOUR, "lashes"))]


def build_beard(spec: HeadSpec, shape: HeadShape, surface: HeadSurface) -> list[bpy.types.Object]:
    """The beard; an empty list for a shaven face."""
    strands = beard_strands(spec.facial_hair, surface, *strand_scale(spec.render.size))
    if strands is None:
        return []
    material = hair_material(facial_colour(spec.facial_hair.colour), "beard")
    return [_curves("beard", strands, shape, material)]


def _small_radius(spec: HeadSpec) -> float:
    """Brows and lashes keep their few strands at every size; only their width follows the pixel."""
    return strand_scale(spec.render.size)[1] ** 0.5


def _curves(
    name: str, strands: StrandSet, shape: HeadShape, material: bpy.types.Material
) -> bpy.types.Object:
    return new_curves(
        name,
        shape.to_world(strands.points),
        strands.radii * shape.units_per_metre,
        material,
        {PIGMENT: strands.pigment},
    )
