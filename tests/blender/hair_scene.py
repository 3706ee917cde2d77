"""Run by test_hair_scene.py in its own process: build the hair of one head and report it."""

import json
import sys
from pathlib import Path

import bpy
import numpy as np

from synth.blender_scenes import hair, session
from synth.blender_scenes.hair_field import HeadSurface
from synth.headmodel import HeadModel
from synth.spec import HeadSpec


def main(spec_file: str, out_file: str) -> None:
    spec = HeadSpec.from_json_dict(json.loads(Path(spec_file).read_text()))
    session.reset(spec, threads=1)
    model = HeadModel.load()
    shape = model.shape(spec.identity, spec.expression, spec.pose)
    surface = HeadSurface.create(model, shape)
    parts = {
        "hair": hair.build_hair(spec, shape, surface),
        "brows": hair.build_brows(spec, shape, surface),
        "lashes": hair.build_lashes(spec, model, shape),
        "beard": hair.build_beard(spec, shape, surface),
    }
    report = {name: [_describe(item) for item in objects] for name, objects in parts.items()}
    Path(out_file).write_text(json.dumps(report))


def _describe(item: bpy.types.Object) -> dict:
    curves = item.data
    position = np.empty(3 * len(curves.points), np.float32)
    curves.attributes["position"].data.foreach_get("vector", position)
    radius = np.empty(len(curves.points), np.float32)
    curves.attributes["radius"].data.foreach_get("value", radius)
    position = position.reshape(-1, 3)
    nodes = [node.bl_idname for node in item.active_material.node_tree.nodes]
    pigment = np.empty(len(curves.points), np.float32)
    curves.attributes["pigment"].data.foreach_get("value", pigment)
    tree = item.active_material.node_tree
    power = next(node for node in tree.nodes if getattr(node, "operation", "") == "POWER")
    fibre = item.active_material.node_tree.nodes[nodes.index("ShaderNodeBsdfHairPrincipled")]
    return {
        "strands": len(curves.curves),
        "low": position.min(0).tolist(),
        "high": position.max(0).tolist(),
        "radius": float(radius.mean()),
        "fibres": nodes.count("ShaderNodeBsdfHairPrincipled"),
        "model": fibre.model,
        "left": power.inputs[0].default_value,
        "pigment": [float(pigment.min()), float(pigment.max())],
        "in_scene": item.name in bpy.context.scene.collection.objects,
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
