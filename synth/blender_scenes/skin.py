"""The skin object and its two materials: the baked atlas on the head, vertex colours below."""

from __future__ import annotations

import math
from collections.abc import Callable

import bpy
import numpy as np

from synth.blender_scenes.head import compact, new_image, new_mesh
from synth.blender_scenes.limbs import run_arms_on
from synth.blender_scenes.nodes import Shader
from synth.blender_scenes.passes_labels import inner_attribute
from synth.blender_scenes.skin_atlas import SkinAtlas, atlas_size, load_atlas
from synth.blender_scenes.skin_bake import BakedSkin, bake_skin
from synth.blender_scenes.skin_regions import load_regions
from synth.color import srgb_from_linear
from synth.headmodel import HeadModel, HeadShape
from synth.spec import HeadSpec

LOWEST_CANONICAL_Z = 0.45
"""Skin below the chest is never in the frame, that of bare arms is."""
ARM_CANONICAL_X = 0.20

_HEAD_RADIUS = 0.55
"""From the origin to the nose, in scene units."""

_BUMP_UNIT_M = 0.001
"""The relief image holds millimetres."""
_SUBSURFACE_SCALE_M = 0.0036
_SUBSURFACE_RADIUS = (1.0, 0.34, 0.17)
_IOR = 1.42
_FILM_IOR, _FILM_ROUGHNESS = 1.45, 0.30


def build_head_skin(
    spec: HeadSpec,
    model: HeadModel,
    shape: HeadShape,
    visible_faces: np.ndarray | None = None,
    *,
    repaint: Callable[[BakedSkin, SkinAtlas], BakedSkin] | None = None,
) -> list[bpy.types.Object]:
    """Head, neck and upper torso.

    Args:
        visible_faces: [F] bool, the faces to build; None builds all above the chest. Clothes pass a
            mask without what they cover, so that skin never pokes through cloth.
        repaint: changes the baked skin, for a user's own pictures.
    """
    atlas = load_atlas(model, atlas_size(finest_pixel_m(spec, shape)))
    baked = bake_skin(spec, model, atlas, load_regions(model))
    if repaint is not None:
        baked = repaint(baked, atlas)
    middle = model.canonical[model.faces].mean(axis=1)
    keep = (middle[:, 2] > LOWEST_CANONICAL_Z) | (np.abs(middle[:, 0]) > ARM_CANONICAL_X)
    if visible_faces is not None:
        keep &= visible_faces
    used, faces = compact(model.faces[keep])
    points, faces, used = run_arms_on(shape.vertices[used], faces, used)
    added = len(faces) - np.count_nonzero(keep)
    colours = np.concatenate([baked.vertex_albedo, np.ones((len(baked.vertex_albedo), 1))], axis=1)
    created = new_mesh(
        "skin",
        shape.to_world(points),
        faces,
        [
            _atlas_material(spec, baked, shape.units_per_metre),
            _vertex_material(spec, shape.units_per_metre),
        ],
        {
            "skin_colour": colours[used],
            "skin_roughness": baked.vertex_roughness[used],
            "skin_oil": baked.vertex_oil[used],
            "skin_subsurface": baked.vertex_subsurface[used],
            inner_attribute("lips"): model.masks["lips"][used],
            inner_attribute("mouth"): model.masks["mouth"][used],
        },
        uv=np.concatenate([atlas.uv[keep], np.zeros((added, 4, 2))]),
        face_materials=np.r_[np.where(atlas.covered[keep], 0, 1), np.ones(added, int)],
    )
    return [created]


def finest_pixel_m(spec: HeadSpec, shape: HeadShape) -> float:
    """Width on the face, in metres, of a pixel of the camera that comes closest."""
    widths = [
        2 * (camera.radius - _HEAD_RADIUS) * math.tan(math.radians(camera.fov_deg) / 2)
        for camera in spec.cameras
    ]
    return min(widths) / spec.render.size / shape.units_per_metre


def _atlas_material(spec: HeadSpec, baked: BakedSkin, units_per_metre: float) -> bpy.types.Material:
    shader = Shader("skin_head")
    ones = np.ones((*baked.roughness.shape, 1), np.float32)
    colour = new_image(
        "skin_albedo", np.concatenate([srgb_from_linear(baked.albedo), ones], axis=2), colour=True
    )
    height = baked.height_m / _BUMP_UNIT_M
    channels = np.stack([height, baked.roughness, baked.specular, ones[..., 0]], axis=2)
    relief = new_image("skin_relief", channels, colour=False)
    uv = shader.uv()
    relief_channels = shader.separate(shader.image(relief, uv).outputs["Color"])
    bump = shader.node(
        "ShaderNodeBump",
        {
            "Height": relief_channels[0],
            "Strength": spec.skin.bump,
            "Distance": _BUMP_UNIT_M * units_per_metre,
        },
    )
    bsdf = _skin_bsdf(
        shader,
        spec,
        shader.image(colour, uv).outputs["Color"],
        relief_channels[1],
        relief_channels[2],
        units_per_metre,
    )
    shader.set(bsdf, "Normal", bump)
    shader.set(bsdf, "Coat Normal", bump)
    return shader.surface(bsdf)


def _vertex_material(spec: HeadSpec, units_per_metre: float) -> bpy.types.Material:
    shader = Shader("skin_body")
    bsdf = _skin_bsdf(
        shader,
        spec,
        shader.attribute("skin_colour"),
        shader.attribute("skin_roughness", "Fac"),
        0.42,
        units_per_metre,
    )
    return shader.surface(bsdf)


def _skin_bsdf(shader: Shader, spec: HeadSpec, colour, roughness, specular, units_per_metre: float):
    # light travels less far in dark skin
    scale = _SUBSURFACE_SCALE_M * units_per_metre * (1 - 0.5 * spec.skin.melanin)
    bsdf = shader.principled(
        base_colour=colour,
        roughness=roughness,
        subsurface_weight=shader.attribute("skin_subsurface", "Fac"),
        subsurface_radius=_SUBSURFACE_RADIUS,
        subsurface_scale=scale,
        specular_ior_level=specular,
        ior=_IOR,
        coat_weight=shader.attribute("skin_oil", "Fac"),
        coat_roughness=_FILM_ROUGHNESS,
        coat_ior=_FILM_IOR,
    )
    bsdf.subsurface_method = "BURLEY"
    return bsdf
