"""Arrays into Blender objects: meshes, hair curves and images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import bpy
import numpy as np

UV_LAYER = "UVMap"


def new_mesh(
    name: str,
    vertices: np.ndarray,
    faces: np.ndarray,
    material: bpy.types.Material | Sequence[bpy.types.Material] | None = None,
    point_attributes: Mapping[str, np.ndarray] | None = None,
    uv: np.ndarray | None = None,
    *,
    face_materials: np.ndarray | None = None,
    smooth: bool = True,
) -> bpy.types.Object:
    """A mesh object in the current scene.

    Args:
        name: name of object and mesh.
        vertices: [N, 3] float, world coordinates (scene units).
        faces: [F, K] int, K corners each, counter-clockwise from outside.
        material: one material, several (then see `face_materials`), or None.
        point_attributes: values per vertex by name: [N] float, [N, 3] vector or [N, 4] colour.
        uv: [F, K, 2] float texture coordinates per corner, stored as layer "UVMap".
        face_materials: [F] int, number of the material of each face.
        smooth: shade smoothly.
    """
    mesh = bpy.data.meshes.new(name)
    vertices = np.ascontiguousarray(vertices, np.float32)
    faces = np.ascontiguousarray(faces, np.int32)
    corners = faces.shape[1]
    mesh.vertices.add(len(vertices))
    mesh.vertices.foreach_set("co", vertices.ravel())
    mesh.loops.add(faces.size)
    mesh.loops.foreach_set("vertex_index", faces.ravel())
    mesh.polygons.add(len(faces))
    mesh.polygons.foreach_set("loop_start", np.arange(0, faces.size, corners, dtype=np.int32))
    mesh.polygons.foreach_set("use_smooth", np.full(len(faces), smooth))
    mesh.update(calc_edges=True)
    if uv is not None:
        layer = mesh.uv_layers.new(name=UV_LAYER)
        layer.data.foreach_set("uv", np.ascontiguousarray(uv, np.float32).ravel())
    for attribute, values in (point_attributes or {}).items():
        _add_attribute(mesh, attribute, np.ascontiguousarray(values, np.float32))
    _attach(mesh, material)
    if face_materials is not None:
        mesh.polygons.foreach_set("material_index", np.ascontiguousarray(face_materials, np.int32))
    mesh.update()
    return _link(name, mesh)


def new_curves(
    name: str,
    points: np.ndarray,
    radii: np.ndarray,
    material: bpy.types.Material | None = None,
    point_attributes: Mapping[str, np.ndarray] | None = None,
) -> bpy.types.Object:
    """A hair curves object in the current scene.

    Args:
        name: name of object and curves.
        points: [n, m, 3] float, n strands of m points in world coordinates, root first.
        radii: [n, m] float, radius at every point in scene units.
        material: its material.
        point_attributes: [n, m] float values by name.
    """
    strands, keys = points.shape[:2]
    curves = bpy.data.hair_curves.new(name)
    curves.add_curves([keys] * strands)
    curves.attributes["position"].data.foreach_set(
        "vector", np.ascontiguousarray(points, np.float32).ravel()
    )
    radius = curves.attributes.get("radius") or curves.attributes.new("radius", "FLOAT", "POINT")
    radius.data.foreach_set("value", np.ascontiguousarray(radii, np.float32).ravel())
    for attribute, values in (point_attributes or {}).items():
        created = curves.attributes.new(attribute, "FLOAT", "POINT")
        created.data.foreach_set("value", np.ascontiguousarray(values, np.float32).ravel())
    _attach(curves, material)
    return _link(name, curves)


def new_image(name: str, pixels: np.ndarray, *, colour: bool) -> bpy.types.Image:
    """An image datablock.

    Args:
        name: its name.
        pixels: [H, W, 4] float32, bottom row first as Blender stores it. A colour image holds sRGB
            encoded values and becomes 8 bits; a data image holds plain floats.
        colour: colour or data.
    """
    height, width = pixels.shape[:2]
    image = bpy.data.images.new(
        name, width, height, alpha=True, float_buffer=not colour, is_data=not colour
    )
    image.pixels.foreach_set(np.ascontiguousarray(pixels, np.float32).ravel())
    image.update()
    return image


def compact(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The vertices that `faces` [F, K] use (sorted, [N]) and the faces renumbered to them."""
    used, renumbered = np.unique(faces, return_inverse=True)
    return used, renumbered.reshape(faces.shape)


def _add_attribute(mesh: bpy.types.Mesh, name: str, values: np.ndarray) -> None:
    if values.ndim == 1:
        kind, field = "FLOAT", "value"
    elif values.shape[1] == 3:
        kind, field = "FLOAT_VECTOR", "vector"
    else:
        kind, field = "FLOAT_COLOR", "color"
    mesh.attributes.new(name, kind, "POINT").data.foreach_set(field, values.ravel())


def _attach(datablock, material) -> None:
    materials = [material] if isinstance(material, bpy.types.Material) else material or []
    for item in materials:
        datablock.materials.append(item)


def _link(name: str, datablock) -> bpy.types.Object:
    created = bpy.data.objects.new(name, datablock)
    bpy.context.scene.collection.objects.link(created)
    return created
