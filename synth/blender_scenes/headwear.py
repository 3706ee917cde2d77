"""Headwear as Blender objects, and what it does to the hair; the meshes come from `headwear_*`."""

from __future__ import annotations

from dataclasses import dataclass

import bpy

from synth.blender_scenes.accessories import add_parts
from synth.blender_scenes.hair_field import HeadSurface
from synth.blender_scenes.headwear_fabric import headwear_materials
from synth.blender_scenes.headwear_fit import HairCover
from synth.blender_scenes.headwear_hats import hat
from synth.blender_scenes.headwear_scarf import headscarf, press_ears
from synth.headmodel import HeadModel, HeadShape
from synth.spec import HeadSpec


@dataclass(frozen=True, eq=False)
class Worn:
    """Headwear on a head.

    Attributes:
        objects: what was added to the scene; empty for none.
        cover: what happens to the hair; None when nothing is worn.
    """

    objects: tuple[bpy.types.Object, ...] = ()
    cover: HairCover | None = None


def pressed_shape(spec: HeadSpec, model: HeadModel, shape: HeadShape) -> HeadShape:
    """The head under its headwear: a headscarf lays the ears flat, nothing else changes it."""
    headwear = spec.accessories.headwear
    if headwear is None or headwear.kind != "headscarf":
        return shape
    return press_ears(model, shape)


def build_headwear(spec: HeadSpec, shape: HeadShape, surface: HeadSurface) -> Worn:
    """The hat or headscarf of `spec.accessories`.

    Args:
        surface: the head with its clothes, on which a headscarf falls.
    """
    headwear = spec.accessories.headwear
    if headwear is None:
        return Worn()
    if headwear.kind == "headscarf":
        parts, cover = headscarf(headwear, surface)
    else:
        parts, cover = hat(headwear, surface, spec.hair.style)
    materials = headwear_materials(
        headwear, {part.material for part in parts}, shape.units_per_metre
    )
    return Worn(tuple(add_parts(parts, materials, shape)), cover)
