"""A material that Cycles cannot run, which it prints and does not raise; run by test_worker_job.py.

Every colour of a long chain is used once more at its end, so all must be kept at a time: more than
the 255 numbers of Cycles' stack.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import bpy

from synth.blender_scenes import frame
from synth.camera import canonical_six
from synth.errors import HeadloomError

COLOURS = 120


def add_plane() -> None:
    bpy.ops.mesh.primitive_plane_add()
    material = bpy.data.materials.new("endless")
    material.use_nodes = True
    tree = material.node_tree
    colour = tree.nodes.new("ShaderNodeTexCoord").outputs["Object"]
    chain = []
    for _ in range(COLOURS):
        node = tree.nodes.new("ShaderNodeTexNoise")
        tree.links.new(colour, node.inputs["Vector"])
        colour = node.outputs["Color"]
        chain.append(colour)
    for kept in reversed(chain[:-1]):
        node = tree.nodes.new("ShaderNodeMixRGB")
        tree.links.new(colour, node.inputs["Color1"])
        tree.links.new(kept, node.inputs["Color2"])
        colour = node.outputs["Color"]
    tree.links.new(colour, tree.nodes["Principled BSDF"].inputs["Base Color"])
    bpy.context.object.data.materials.append(material)


def main(out: Path) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.samples = 1
    scene.render.threads_mode, scene.render.threads = "FIXED", 1
    add_plane()
    with tempfile.TemporaryDirectory() as folder:
        frame.render_to(Path(folder, "view.exr"))
        try:
            frame.render_channels(canonical_six(16)[0])
            result = "no error"
        except HeadloomError as error:
            result = f"{type(error).__name__}: {error}"
    out.write_text(json.dumps(result))


main(Path(sys.argv[1]))
