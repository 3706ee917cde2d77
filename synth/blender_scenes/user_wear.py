"""A user's hair and garments on our heads."""

from __future__ import annotations

import bpy
import numpy as np
from scipy.spatial import cKDTree

from synth.asset_store import StoredAsset
from synth.blender_scenes.clothes import Clothing
from synth.blender_scenes.user_fit import fit_points
from synth.blender_scenes.user_images import require_readable
from synth.blender_scenes.user_import import (
    import_asset,
    move_points,
    points_of,
    scale_lengths,
)
from synth.blender_scenes.user_materials import allow_many_layers, complete_materials
from synth.blender_scenes.user_parts import sort_into_parts
from synth.errors import AssetError
from synth.headmodel import HeadModel, HeadShape

_UNDER_CLOTH_M = 0.03
"""Skin this far below cloth or nearer is not built."""
_CLEARANCE_M = 0.0015
_LOOK_UNDER_M = 0.03


def build_user_hair(
    asset: StoredAsset, model: HeadModel, shape: HeadShape
) -> dict[str, tuple[bpy.types.Object, ...]]:
    """A user's hair on the head, in its own materials; by part, "hair" unless its manifest says
    otherwise.

    Raises:
        AssetError: the file cannot be used.
    """
    return sort_into_parts(_fitted(asset, model, shape), asset.record.materials, "hair")


def build_user_garment(asset: StoredAsset, model: HeadModel, shape: HeadShape) -> Clothing:
    """A user's garment on the body, and what hair and skin must know about it.

    Raises:
        AssetError: the file cannot be used, or holds no surface.
    """
    objects = _fitted(asset, model, shape)
    meshes = [item for item in objects if item.type == "MESH"]
    if not meshes:
        raise AssetError(f"{asset.record.asset_id}: a garment needs a surface")
    to_model = np.concatenate([_to_model(points_of(item), shape) for item in meshes])
    normals = np.concatenate([_vertex_normals(item) for item in meshes])
    hems = np.concatenate([_border(item) for item in meshes])
    parts = sort_into_parts(objects, asset.record.materials, "clothes")
    return Clothing(
        objects=tuple(item for pieces in parts.values() for item in pieces),
        obstacles=((to_model, normals),),
        visible_skin=_visible_skin(to_model, normals, _to_model(hems, shape), model, shape),
    )


def _fitted(asset: StoredAsset, model: HeadModel, shape: HeadShape) -> tuple[bpy.types.Object, ...]:
    """The asset's objects in world coordinates."""
    record = asset.record
    imported = import_asset(asset.path, asset.folder / "files", record.matrix(), record.objects)
    for item in imported.objects:
        template = points_of(item).astype(np.float64)
        move_points(item, shape.to_world(fit_points(template, model, shape)))
        if item.type == "CURVES":
            radius = item.data.attributes["radius"]
            values = np.empty(len(template), np.float32)
            radius.data.foreach_get("value", values)
            radius.data.foreach_set("value", values * np.float32(shape.units_per_metre))
    for material in {m for item in imported.objects for m in item.data.materials if m}:
        scale_lengths(material, shape.units_per_metre)
    complete_materials(imported.objects)
    require_readable(record.asset_id)
    allow_many_layers()
    return imported.objects


def _to_model(points: np.ndarray, shape: HeadShape) -> np.ndarray:
    return (points - shape.world_from_model[:3, 3]) / shape.units_per_metre


def _vertex_normals(item: bpy.types.Object) -> np.ndarray:
    normals = np.empty(3 * len(item.data.vertices), np.float32)
    item.data.vertex_normals.foreach_get("vector", normals)
    return normals.reshape(-1, 3).astype(np.float64)


def _border(item: bpy.types.Object) -> np.ndarray:
    """[n, 3] vertices on the open edges of a mesh."""
    mesh = item.data
    edge_of_corner = np.empty(len(mesh.loops), np.int32)
    mesh.loops.foreach_get("edge_index", edge_of_corner)
    ends = np.empty(2 * len(mesh.edges), np.int32)
    mesh.edges.foreach_get("vertices", ends)
    faces = np.bincount(edge_of_corner, minlength=len(mesh.edges))
    return points_of(item)[np.unique(ends.reshape(-1, 2)[faces == 1])]


def _visible_skin(
    cloth: np.ndarray,
    normals: np.ndarray,
    hems: np.ndarray,
    model: HeadModel,
    shape: HeadShape,
) -> np.ndarray:
    """[F] bool, the quads of the model that the cloth [N, 3] does not cover.

    Near a hem [n, 3] the skin stays: one looks under the cloth there.
    """
    distance, nearest = cKDTree(cloth).query(shape.vertices, workers=1)
    outwards = np.einsum("ij,ij->i", cloth[nearest] - shape.vertices, shape.normals)
    same_side = np.einsum("ij,ij->i", normals[nearest], shape.normals) > 0.3
    # straight below the cloth: beside a hem the nearest cloth lies sideways
    below = (outwards > 0.7 * distance) & (outwards > _CLEARANCE_M) & (distance < _UNDER_CLOTH_M)
    hidden = below & same_side
    if len(hems):
        hidden &= cKDTree(hems).query(shape.vertices, workers=1)[0] > _LOOK_UNDER_M
    return ~hidden[model.faces].all(axis=1)
