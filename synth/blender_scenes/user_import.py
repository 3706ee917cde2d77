"""A user's mesh file into plain objects of the current scene: imported, disarmed, frozen, moved.

Whatever the file holds (modifiers, armatures, instances, parents), what remains are meshes and hair
curves in the frame asked for, with their materials; lights, cameras, animation and the rest go.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import bpy
import mathutils
import numpy as np

from synth.asset_files import referenced_files
from synth.blender_scenes import user_blend, user_images
from synth.blender_scenes.log import captured_output
from synth.errors import AssetError

MAX_VERTICES = 3_000_000
"""In all objects together, after modifiers."""
_SURFACES = ("MESH", "CURVE", "SURFACE", "META")


@dataclass(frozen=True, eq=False)
class Imported:
    """What a file became.

    Attributes:
        meshes: mesh objects, linked to the current scene, without modifiers and parents.
        strands: hair curve objects, likewise.
        files: the other files that it needs, absolute paths.
        notes: what a user may want to know, one sentence each.
    """

    meshes: tuple[bpy.types.Object, ...]
    strands: tuple[bpy.types.Object, ...]
    files: tuple[Path, ...]
    notes: tuple[str, ...]

    @property
    def objects(self) -> tuple[bpy.types.Object, ...]:
        return (*self.meshes, *self.strands)

    def vertices(self) -> np.ndarray:
        """[N, 3] float32 all vertices and points of strands."""
        parts = [points_of(item) for item in self.objects]
        return np.concatenate(parts) if parts else np.zeros((0, 3), np.float32)


def import_asset(
    path: Path,
    folder: Path,
    target_from_asset: np.ndarray | None = None,
    objects: Sequence[str] = (),
) -> Imported:
    """Import a file of a user into the current scene.

    Args:
        path: the file, which is not trusted.
        folder: no other file outside of it is read.
        target_from_asset: [4, 4] similarity that its coordinates are moved by; None keeps them.
        objects: patterns of names; empty takes all that would be rendered.

    Raises:
        AssetError: the file cannot be read, is too large, empty, or asks for files elsewhere.
    """
    files = referenced_files(path, folder)
    existing = set(bpy.data.objects)
    candidates = _read(path, existing)
    chosen = [
        item
        for item in candidates
        if not objects or any(fnmatch.fnmatchcase(item.name, pattern) for pattern in objects)
    ]
    if not chosen:
        names = ", ".join(sorted(item.name for item in candidates)) or "none"
        raise AssetError(f"{path.name}: no object to render matches; its objects: {names}")
    files = (*files, *user_images.require_inside(folder, path.name))
    for item in chosen:
        if item.name not in bpy.context.scene.objects:
            bpy.context.scene.collection.objects.link(item)
    matrix = np.eye(4) if target_from_asset is None else target_from_asset
    meshes, strands, notes = _freeze(path, set(chosen), mathutils.Matrix(matrix.tolist()))
    kept = {*existing, *meshes, *strands}
    _remove_others(kept)
    if not meshes and not strands:
        raise AssetError(f"{path.name}: its objects hold no surface and no hair curves")
    scale = float(np.cbrt(np.linalg.det(matrix[:3, :3])))
    for material in {m for item in (*meshes, *strands) for m in item.data.materials if m}:
        scale_lengths(material, scale)
    return Imported(tuple(meshes), tuple(strands), tuple(dict.fromkeys(files)), tuple(notes))


def points_of(item: bpy.types.Object) -> np.ndarray:
    """[N, 3] float32 vertices of a mesh, or points of hair curves, as stored."""
    if item.type == "MESH":
        values = np.empty(3 * len(item.data.vertices), np.float32)
        item.data.vertices.foreach_get("co", values)
    else:
        values = np.empty(3 * len(item.data.points), np.float32)
        item.data.attributes["position"].data.foreach_get("vector", values)
    return values.reshape(-1, 3)


def move_points(item: bpy.types.Object, points: np.ndarray) -> None:
    """Replace the points [N, 3] of a mesh or of hair curves."""
    flat = np.ascontiguousarray(points, np.float32).ravel()
    if item.type == "MESH":
        item.data.vertices.foreach_set("co", flat)
        item.data.update()
    else:
        item.data.attributes["position"].data.foreach_set("vector", flat)


def _read(path: Path, existing: set[bpy.types.Object]) -> list[bpy.types.Object]:
    """The objects that a file adds."""
    if path.suffix.lower() == ".blend":
        return user_blend.append_blend(path)
    importers: dict[str, Callable[[], object]] = {
        ".glb": lambda: bpy.ops.import_scene.gltf(filepath=str(path), loglevel=50),
        ".gltf": lambda: bpy.ops.import_scene.gltf(filepath=str(path), loglevel=50),
        # The importer written in C++: the add-on of the same name is slower and reads less.
        ".fbx": lambda: bpy.ops.wm.fbx_import(filepath=str(path), use_anim=False),
        ".obj": lambda: bpy.ops.wm.obj_import(filepath=str(path)),
        ".abc": lambda: bpy.ops.wm.alembic_import(filepath=str(path), as_background_job=False),
    }
    with captured_output() as output:
        try:
            importers[path.suffix.lower()]()
        except (RuntimeError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            # Blender's glTF importer is Python and fails in its own ways on a broken file
            raise AssetError(f"{path.name}: Blender cannot read it: {error}") from error
    user_blend.disarm()
    found = [item for item in bpy.data.objects if item not in existing]
    if not found:
        last = (output.text.strip().splitlines() or ["no reason given"])[-1]
        raise AssetError(f"{path.name}: Blender reads nothing from it ({last})")
    return found


def _freeze(
    path: Path, chosen: set[bpy.types.Object], target_from_asset: mathutils.Matrix
) -> tuple[list[bpy.types.Object], list[bpy.types.Object], list[str]]:
    """Evaluated copies of the chosen objects and their instances, moved to the target frame."""
    _limit_subdivision(path, chosen)
    notes = []
    if any(m.type == "PARTICLE_SYSTEM" for item in chosen for m in item.modifiers):
        notes.append("its hair particles are left out; convert them to hair curves in Blender")
    graph = bpy.context.evaluated_depsgraph_get()
    found = []
    for instance in graph.object_instances:
        evaluated = instance.object
        root = instance.parent.original if instance.is_instance else evaluated.original
        if root in chosen and (evaluated.type in _SURFACES or evaluated.type == "CURVES"):
            # an instance is gone after the next step of the iteration, its object is not
            found.append((evaluated.original, instance.matrix_world.copy()))
    meshes, strands, count = [], [], 0
    for original, world in found:
        evaluated = original.evaluated_get(graph)
        matrix = target_from_asset @ world
        if evaluated.type == "CURVES":
            frozen = _frozen_strands(evaluated, matrix)
            strands += [frozen] if frozen is not None else []
        else:
            frozen = _frozen_mesh(evaluated, matrix, graph)
            meshes += [frozen] if frozen is not None else []
        count += len(points_of(frozen)) if frozen is not None else 0
        if count > MAX_VERTICES:
            raise AssetError(
                f"{path.name}: more than {MAX_VERTICES:,} vertices; decimate it or lower its "
                "subdivision"
            )
    return meshes, strands, notes


def _limit_subdivision(path: Path, chosen: set[bpy.types.Object]) -> None:
    """Subdivide as for a render, unless that would be beyond the limit."""
    for item in chosen:
        for modifier in item.modifiers:
            if modifier.type in ("SUBSURF", "MULTIRES"):
                modifier.levels = modifier.render_levels
                faces = len(item.data.polygons) if item.type == "MESH" else 1
                if faces * 4**modifier.levels > MAX_VERTICES:
                    raise AssetError(
                        f"{path.name}: {item.name!r} has {faces} faces and {modifier.levels} "
                        f"levels of subdivision, which is more than {MAX_VERTICES:,} vertices"
                    )


def _frozen_mesh(
    evaluated: bpy.types.Object, matrix: mathutils.Matrix, graph: bpy.types.Depsgraph
) -> bpy.types.Object | None:
    mesh = bpy.data.meshes.new_from_object(
        evaluated, preserve_all_data_layers=True, depsgraph=graph
    )
    if not len(mesh.polygons):
        bpy.data.meshes.remove(mesh)
        return None
    for number, slot in enumerate(evaluated.material_slots):
        material = slot.material.original if slot.material else None
        if number < len(mesh.materials):
            mesh.materials[number] = material  # slots may belong to the object
        else:
            mesh.materials.append(material)
    mesh.transform(matrix)
    if matrix.determinant() < 0:
        mesh.flip_normals()
    return _linked(evaluated.original.name, mesh)


def _frozen_strands(
    evaluated: bpy.types.Object, matrix: mathutils.Matrix
) -> bpy.types.Object | None:
    source = evaluated.data
    if not len(source.points):
        return None
    lengths = np.array([curve.points_length for curve in source.curves], np.int32)
    curves = bpy.data.hair_curves.new(evaluated.original.name)
    curves.add_curves(lengths.tolist())
    positions = points_of(evaluated).astype(np.float64)
    transform = np.array(matrix)
    created = _linked(evaluated.original.name, curves)
    move_points(created, positions @ transform[:3, :3].T + transform[:3, 3])
    scale = abs(np.linalg.det(transform[:3, :3])) ** (1 / 3)
    radius = source.attributes.get("radius")
    values = np.full(len(positions), _DEFAULT_STRAND_RADIUS, np.float32)
    if radius is not None:
        radius.data.foreach_get("value", values)
    attribute = curves.attributes.get("radius") or curves.attributes.new("radius", "FLOAT", "POINT")
    attribute.data.foreach_set("value", (values * scale).astype(np.float32))
    for slot in evaluated.material_slots:
        curves.materials.append(slot.material.original if slot.material else None)
    return created


_DEFAULT_STRAND_RADIUS = 0.0001
"""Metres; for curves without a radius, which Blender would draw 5 mm thick."""


def _linked(name: str, data: bpy.types.ID) -> bpy.types.Object:
    created = bpy.data.objects.new(f"user_{name}", data)
    bpy.context.scene.collection.objects.link(created)
    return created


def _remove_others(kept: set[bpy.types.Object]) -> None:
    """Remove what the file brought beside the frozen objects: rigs, lamps, cameras, worlds."""
    scene = bpy.context.scene
    for item in [item for item in bpy.data.objects if item not in kept]:
        bpy.data.objects.remove(item)
    for other in [other for other in bpy.data.scenes if other != scene]:
        bpy.data.scenes.remove(other)
    bpy.data.batch_remove(list(bpy.data.cache_files))
    bpy.data.orphans_purge(do_local_ids=True, do_linked_ids=True, do_recursive=True)


def scale_lengths(material: bpy.types.Material, scale: float) -> None:
    """Lengths in a material grow with the object: light under the skin, bumps, displacement."""
    if material.node_tree is None:
        return
    for node in material.node_tree.nodes:
        for kind, name in _LENGTHS:
            socket = node.inputs.get(name) if node.bl_idname == kind else None
            if socket is not None and not socket.is_linked:
                socket.default_value *= scale


_LENGTHS = (
    ("ShaderNodeBsdfPrincipled", "Subsurface Scale"),
    ("ShaderNodeSubsurfaceScattering", "Scale"),
    ("ShaderNodeBump", "Distance"),
    ("ShaderNodeDisplacement", "Scale"),
)
