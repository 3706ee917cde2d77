"""Which part of a head a user's surfaces are: by the names of their materials.

Masks and ground truth know objects, not materials. An object whose materials are of several classes
is therefore taken apart, without changing how it is shaded.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping

import bmesh
import bpy
import numpy as np

PARTS: dict[str, tuple[str, str]] = {
    "skin": ("skin", "skin"),
    "eyes": ("eyes", "eyes"),
    "cornea": ("eyes", "cornea"),
    "mouth": ("mouth", "mouth"),
    "teeth": ("mouth", "teeth"),
    "tongue": ("mouth", "tongue"),
    "hair": ("hair", "hair"),
    "brows": ("brows", "brows"),
    "lashes": ("lashes", "lashes"),
    "beard": ("beard", "beard"),
    "clothes": ("clothes", "garment"),
    "glasses": ("glasses", "frame"),
    "lenses": ("glasses", "lens"),
    "headwear": ("headwear", "hat"),
    "earrings": ("earrings", "earring"),
}
"""Class of a material -> part of `BuiltHead.objects`, and the first word of the objects' names, by
which the segmentation knows them."""

_KEPT_NORMAL = "headloom_normal"


def sort_into_parts(
    objects: Iterable[bpy.types.Object], materials: Mapping[str, str], default: str
) -> dict[str, tuple[bpy.types.Object, ...]]:
    """The objects by part of the head, taken apart where they hold several.

    Args:
        objects: meshes and hair curves.
        materials: class by pattern of material names, the first match counts.
        default: class of everything else.
    """
    found: dict[str, list[bpy.types.Object]] = {}
    for item in objects:
        for kind, piece in _pieces(item, materials, default):
            part, word = PARTS[kind]
            piece.name = f"{word}_{piece.name}"
            found.setdefault(part, []).append(piece)
    return {part: tuple(pieces) for part, pieces in found.items()}


def _pieces(
    item: bpy.types.Object, materials: Mapping[str, str], default: str
) -> list[tuple[str, bpy.types.Object]]:
    classes = [_class_of(m, materials, default) for m in item.data.materials] or [default]
    if item.type != "MESH" or len(set(classes)) == 1:
        return [(classes[0], item)]
    slots = np.empty(len(item.data.polygons), np.int32)
    item.data.polygons.foreach_get("material_index", slots)
    of_face = np.array(classes)[np.clip(slots, 0, len(classes) - 1)]
    _keep_normals(item.data)
    pieces = [(str(kind), _copy_of_faces(item, of_face == kind)) for kind in dict.fromkeys(of_face)]
    mesh = item.data
    bpy.data.objects.remove(item)
    bpy.data.meshes.remove(mesh)
    return pieces


def _class_of(
    material: bpy.types.Material | None, materials: Mapping[str, str], default: str
) -> str:
    name = material.name if material is not None else ""
    for pattern, kind in materials.items():
        if fnmatch.fnmatchcase(name, pattern):
            return kind
    return default


def _keep_normals(mesh: bpy.types.Mesh) -> None:
    """Note the shading normal of every corner: at a cut a smooth edge would become the border of
    an open mesh and be shaded otherwise."""
    normals = np.empty(3 * len(mesh.loops), np.float32)
    mesh.corner_normals.foreach_get("vector", normals)
    attribute = mesh.attributes.new(_KEPT_NORMAL, "FLOAT_VECTOR", "CORNER")
    attribute.data.foreach_set("vector", normals)


def _copy_of_faces(item: bpy.types.Object, faces: np.ndarray) -> bpy.types.Object:
    """A new object with the chosen faces [F] bool of another one."""
    mesh = item.data.copy()
    cut = bmesh.new()
    cut.from_mesh(mesh)
    cut.faces.ensure_lookup_table()
    unwanted = [cut.faces[i] for i in np.flatnonzero(~faces)]
    bmesh.ops.delete(cut, geom=unwanted, context="FACES")
    cut.to_mesh(mesh)
    cut.free()
    attribute = mesh.attributes[_KEPT_NORMAL]
    normals = np.empty(3 * len(mesh.loops), np.float32)
    attribute.data.foreach_get("vector", normals)
    mesh.attributes.remove(attribute)
    mesh.normals_split_custom_set(normals.reshape(-1, 3).tolist())
    created = bpy.data.objects.new(item.name, mesh)
    bpy.context.scene.collection.objects.link(created)
    return created
