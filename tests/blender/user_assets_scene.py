"""Writes a bust in every format, some of them hostile, imports each and tells what came out."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import bpy
import mathutils
import numpy as np

from synth.blender_scenes import user_blend, user_images, user_skin
from synth.blender_scenes.log import captured_output
from synth.blender_scenes.skin_atlas import load_atlas
from synth.blender_scenes.user_import import import_asset, points_of
from synth.blender_scenes.user_materials import complete_materials
from synth.blender_scenes.user_parts import sort_into_parts
from synth.errors import AssetError
from synth.headmodel import HeadModel

SCALE = 3.7


def empty() -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)


def bust(folder: Path) -> np.ndarray:
    """A lopsided ball of two materials with a nose, turned, scaled and with a subdivision; returns
    the [4, 4] that takes the file back to the ball."""
    empty()
    bpy.ops.mesh.primitive_uv_sphere_add(segments=24, ring_count=16)
    item = bpy.context.object
    item.name = "Bust"
    for vertex in item.data.vertices:
        x, y, z = vertex.co
        vertex.co = (x * (1.3 if x > 0 else 1.0), y - 0.8 * max(0, -y) ** 9, z)
    skin, hair = material("Skin", folder / "skin.png"), material("Hair.001")
    item.data.materials.append(skin)
    item.data.materials.append(hair)
    for face in item.data.polygons:
        face.use_smooth = True
        face.material_index = int(face.center.z > 0.4)
    item.modifiers.new("s", "SUBSURF").render_levels = 2
    parent = bpy.data.objects.new("root", None)
    bpy.context.scene.collection.objects.link(parent)
    item.parent = parent
    parent.matrix_world = mathutils.Matrix.LocRotScale(
        (1, -2, 3), mathutils.Euler((0.4, 0.9, -1.7)), (SCALE,) * 3
    )
    bpy.data.objects.new("lamp", bpy.data.lights.new("lamp", "POINT"))
    bpy.context.scene.collection.objects.link(bpy.data.objects["lamp"])
    bpy.context.view_layer.update()
    return np.linalg.inv(np.array(parent.matrix_world))


def material(name: str, picture: Path | None = None) -> bpy.types.Material:
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    bsdf = made.node_tree.nodes["Principled BSDF"]
    bsdf.inputs["Subsurface Scale"].default_value = 0.1
    if picture is not None:
        image = bpy.data.images.new("skin", 8, 8)
        image.pixels.foreach_set([0.8, 0.5, 0.4, 1.0] * 64)
        image.filepath_raw, image.file_format = str(picture), "PNG"
        image.save()
        texture = made.node_tree.nodes.new("ShaderNodeTexImage")
        texture.image = image
        made.node_tree.links.new(texture.outputs[0], bsdf.inputs["Base Color"])
    return made


def export(folder: Path) -> None:
    for kind, options in {"glb": {}, "gltf": {"export_format": "GLTF_SEPARATE"}}.items():
        bpy.ops.export_scene.gltf(
            filepath=str(folder / f"bust.{kind}"), export_apply=True, **options
        )
    bpy.ops.export_scene.fbx(
        filepath=str(folder / "bust.fbx"), path_mode="COPY", embed_textures=True
    )
    bpy.ops.wm.obj_export(filepath=str(folder / "bust.obj"), path_mode="RELATIVE")
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "bust.blend"), compress=True)


def described(path: Path, folder: Path, matrix: np.ndarray | None, **options) -> dict:
    """What an import gave, or the message it was refused with."""
    empty()
    try:
        imported = import_asset(path, folder, matrix, **options)
        user_images.require_readable(path.name)
    except AssetError as error:
        return {"error": str(error)}
    points = imported.vertices()
    result = {
        "names": sorted(item.name for item in imported.objects),
        "left": sorted(item.name for item in bpy.data.objects),
        "low": points.min(axis=0).tolist(),
        "high": points.max(axis=0).tolist(),
        "vertices": len(points),
        "materials": sorted({m.name for o in imported.objects for m in o.data.materials if m}),
        "files": sorted(file.name for file in imported.files),
        "texts": len(bpy.data.texts),
        "drivers": sum(bool(o.animation_data) for o in bpy.data.objects),
    }
    if imported.meshes:
        mesh = imported.meshes[0].data
        result["volume"] = signed_volume(mesh)
        result["modifiers"] = len(imported.meshes[0].modifiers)
        nodes = mesh.materials[0].node_tree.nodes if len(mesh.materials) else ()
        result["subsurface"] = [
            n.inputs["Subsurface Scale"].default_value
            for n in nodes if n.bl_idname == "ShaderNodeBsdfPrincipled"
        ]  # fmt: skip
    return result


def signed_volume(mesh: bpy.types.Mesh) -> float:
    mesh.calc_loop_triangles()
    corners = np.array([t.vertices for t in mesh.loop_triangles])
    points = np.array([v.co for v in mesh.vertices])[corners]
    return float(
        np.einsum("ij,ij->i", points[:, 0], np.cross(points[:, 1], points[:, 2])).sum() / 6
    )


def hostile(folder: Path) -> dict:
    """A file that would write markers if anything of it ran, and proof that it would."""
    empty()
    marks = [folder / f"ran_{name}" for name in ("text", "handler", "driver", "space")]
    text, handler, driver, space = map(str, marks)
    mesh = bpy.data.meshes.new("m")
    mesh.from_pydata([(0, 0, 0), (1, 0, 0), (0, 1, 0)], [], [(0, 1, 2)])
    mesh.materials.append(material("m"))
    item = bpy.data.objects.new("head", mesh)
    bpy.context.scene.collection.objects.link(item)
    for channel, code in enumerate((f"open({driver!r}, 'w') and 0.0", "evil() + 0.0")):
        driven = item.driver_add("location", channel).driver
        driven.type, driven.expression = "SCRIPTED", code
    script = bpy.data.texts.new("evil.py")
    script.use_module = True
    script.write(
        "import bpy\n"
        f"open({text!r}, 'w')\n"
        "@bpy.app.handlers.persistent\n"
        f"def run(*_): open({handler!r}, 'w')\n"
        "bpy.app.handlers.depsgraph_update_post.append(run)\n"
        "bpy.app.handlers.load_post.append(run)\n"
        f"bpy.app.driver_namespace['evil'] = lambda: 0.0 if open({space!r}, 'w') else 0.0\n"
    )
    path = folder / "evil.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    with captured_output() as output:  # Blender complains about every script that it holds back
        result = described(path, folder, None)
        bpy.context.view_layer.update()
    result["held_back"] = "restricted access" in output.text or "disabled" in output.text
    result["ran"] = [mark.name for mark in marks if mark.exists()]
    bpy.ops.wm.open_mainfile(filepath=str(path), use_scripts=True, load_ui=False)
    bpy.context.view_layer.update()
    result["would_run"] = [mark.name for mark in marks if mark.exists()]
    return result


def elsewhere(folder: Path) -> dict:
    """Files that ask for files outside of their folder."""
    inner = folder / "inner"
    inner.mkdir()
    found = {}
    empty()
    material("linked").use_fake_user = True
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "library.blend"))
    for name, compress in (("linked", False), ("linked_compressed", True)):
        empty()
        with bpy.data.libraries.load(str(folder / "library.blend"), link=True) as (there, here):
            here.materials = there.materials
        bpy.ops.mesh.primitive_cube_add()
        bpy.context.object.data.materials.append(bpy.data.materials[0])
        path = inner / f"{name}.blend"
        bpy.ops.wm.save_as_mainfile(filepath=str(path), compress=compress)
        found[name] = described(path, inner, None)
    for kind in ("fbx", "blend"):
        empty()
        bpy.ops.mesh.primitive_cube_add()
        bpy.context.object.data.materials.append(material("m", folder / "outside.png"))
        path = inner / f"texture.{kind}"
        if kind == "fbx":
            bpy.ops.export_scene.fbx(filepath=str(path), path_mode="ABSOLUTE")
        else:
            bpy.ops.wm.save_as_mainfile(filepath=str(path), relative_remap=False)
        found[f"texture_{kind}"] = described(path, inner, None)
    return found


def strands(folder: Path) -> dict:
    """Hair curves of unequal length from a .blend and an Alembic file."""
    empty()
    curves = bpy.data.hair_curves.new("strands")
    curves.add_curves([3, 5])
    points = np.arange(24, dtype=np.float32)
    curves.attributes["position"].data.foreach_set("vector", points)
    radius = curves.attributes.new("radius", "FLOAT", "POINT")
    radius.data.foreach_set("value", np.full(8, 0.25, np.float32))
    item = bpy.data.objects.new("strands", curves)
    item.location = (0, 0, 100)
    bpy.context.scene.collection.objects.link(item)
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "hair.blend"))
    bpy.ops.wm.alembic_export(filepath=str(folder / "hair.abc"), as_background_job=False)
    found = {}
    for kind in ("blend", "abc"):
        empty()
        imported = import_asset(folder / f"hair.{kind}", folder, np.diag([2.0, 2.0, 2.0, 1.0]))
        made = imported.strands[0]
        values = np.empty(8, np.float32)
        made.data.attributes["radius"].data.foreach_get("value", values)
        found[kind] = {
            "lengths": [curve.points_length for curve in made.data.curves],
            "points": points_of(made).ravel().tolist(),
            "radius": values.tolist(),
        }
    return found


def parts(folder: Path, back: np.ndarray) -> dict:
    """The bust taken apart by its materials."""
    empty()
    imported = import_asset(folder / "bust.blend", folder, back)
    whole = imported.meshes[0]
    before = {tuple(np.round(v.co, 5)): np.array(v.normal) for v in whole.data.vertices}
    faces = len(whole.data.polygons)
    found = sort_into_parts(imported.objects, {"Hair*": "hair"}, "skin")
    worst = 0.0
    for pieces in found.values():
        mesh = pieces[0].data
        for loop, normal in zip(mesh.loops, mesh.corner_normals):
            old = before[tuple(np.round(mesh.vertices[loop.vertex_index].co, 5))]
            worst = max(worst, float(np.linalg.norm(old - np.array(normal.vector))))
    return {
        "names": {part: [o.name for o in pieces] for part, pieces in found.items()},
        "faces": {part: len(pieces[0].data.polygons) for part, pieces in found.items()},
        "all_faces": faces,
        "normals_moved": worst,
        "lowest_hair": float(points_of(found["hair"][0])[:, 2].min()),
    }


def materials() -> dict:
    """Surfaces whose files say too little."""
    empty()
    bpy.ops.mesh.primitive_cube_add()
    plain = bpy.context.object
    bpy.ops.mesh.primitive_cube_add()
    painted = bpy.context.object
    painted.data.color_attributes.new("Col", "BYTE_COLOR", "POINT")
    bpy.ops.mesh.primitive_cube_add()
    shining = bpy.context.object
    made = bpy.data.materials.new("scan")
    made.use_nodes = True
    tree = made.node_tree
    tree.nodes.clear()
    lamp = tree.nodes.new("ShaderNodeEmission")
    lamp.inputs["Color"].default_value = (0.2, 0.4, 0.6, 1)
    out = tree.nodes.new("ShaderNodeOutputMaterial")
    tree.links.new(lamp.outputs[0], out.inputs["Surface"])
    shining.data.materials.append(made)
    notes = complete_materials([plain, painted, shining])
    bsdf = out.inputs["Surface"].links[0].from_node
    return {
        "notes": notes,
        "kinds": [o.data.materials[0].node_tree.nodes[-1].bl_idname for o in (plain, painted)],
        "lit": [bsdf.bl_idname, list(bsdf.inputs["Base Color"].default_value)[:3]],
    }


def skin_layout() -> dict:
    """A picture whose colours are its own coordinates, looked up for every texel."""
    model = HeadModel.load()
    atlas = load_atlas(model, 512)
    ramp = (np.arange(1024) + 0.5) / 1024
    picture = np.stack([*np.meshgrid(ramp, ramp), np.zeros((1024, 1024))], axis=-1)
    uv = user_skin._texel_uv(model, atlas)
    shown = user_skin._in_window(uv)
    ours = user_skin._sample(picture, uv[shown], "headloom")[:, :2]
    theirs = user_skin._sample(picture, uv[shown], "makehuman")[:, :2]
    scale, offset = user_skin.MAKEHUMAN_SCALE, np.array(user_skin.MAKEHUMAN_OFFSET)
    # a texel lies among the corners of its face
    vertex_uv = user_skin._vertex_uv(model)
    at_corner = vertex_uv[atlas.corners[np.arange(len(uv)), atlas.weights.argmax(axis=1)]]
    return {
        "ours": float(np.abs(ours - uv[shown]).max()),
        "theirs": float(np.abs(theirs - (uv[shown] * scale + offset)).max()),
        "near_a_corner": float(np.median(np.abs(at_corner - uv))),
        "in_window": float(shown.mean()),
    }


def main(out: str) -> None:
    folder = Path(out).parent / "files"
    folder.mkdir()
    facts: dict = {}
    back = bust(folder)
    export(folder)
    for kind in ("glb", "gltf", "fbx", "obj", "blend"):
        facts[kind] = described(folder / f"bust.{kind}", folder, back)
    facts["mirrored"] = described(folder / "bust.blend", folder, np.diag([1.0, 1, 1, 1]))
    facts["chosen"] = described(folder / "bust.blend", folder, None, objects=("Nothing*",))
    facts["parts"] = parts(folder, back)
    facts["hostile"] = hostile(folder)
    facts["elsewhere"] = elsewhere(folder)
    facts["strands"] = strands(folder)
    facts["materials"] = materials()
    facts["skin"] = skin_layout()
    bust(folder)
    bpy.data.objects["Bust"].modifiers[0].render_levels = 9
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "bomb.blend"))
    facts["bomb"] = described(folder / "bomb.blend", folder, None)
    (folder / "broken.glb").write_bytes((folder / "bust.glb").read_bytes()[:3000])
    (folder / "broken.fbx").write_bytes(b"Kaydara FBX Binary  \x00 no")
    (folder / "broken.blend").write_bytes((folder / "hair.blend").read_bytes()[:5000])
    (folder / "empty.obj").write_text("# nothing\n")
    for name in ("broken.glb", "broken.fbx", "broken.blend", "empty.obj"):
        facts[name] = described(folder / name, folder, None)
    facts["auto_execution"] = bpy.context.preferences.filepaths.use_scripts_auto_execute
    facts["disarm"] = user_blend.disarm() is None
    Path(out).write_text(json.dumps(facts))


if __name__ == "__main__":
    main(sys.argv[1])
    sys.stdout.flush()
    os._exit(0)  # Blender's own shutdown may crash
