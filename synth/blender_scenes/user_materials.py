"""Materials of a user's surfaces, where the file says less than a renderer needs."""

from __future__ import annotations

from collections.abc import Iterable

import bpy

from synth.blender_scenes.nodes import Shader

PLAIN_ALBEDO = (0.5, 0.5, 0.5)
_ROUGHNESS = 0.5
_LIT_BY_ITSELF = ("ShaderNodeEmission", "ShaderNodeBackground")
TRANSPARENT_BOUNCES = 48
"""Hair cards lie in many layers; where the bounces end they turn black."""


def complete_materials(objects: Iterable[bpy.types.Object]) -> list[str]:
    """Give every surface a material that answers to light; returns what was done, in sentences.

    A surface without material takes its vertex colours, or plain grey. A scan whose colours shine
    by themselves ("unlit") is lit like everything else, with those colours as albedo.
    """
    notes: dict[str, None] = {}
    done: set[bpy.types.Material] = set()
    for item in objects:
        slots = item.data.materials
        if not len(slots):
            slots.append(None)
        for number, material in enumerate(slots):
            if material is None or not material.use_nodes or material.node_tree is None:
                slots[number], note = _substitute(item, material)
                notes[note] = None
            elif material not in done:
                done.add(material)
                if _light_up(material):
                    notes[f"material {material.name!r} is unlit; it is lit like any other here"] = (
                        None
                    )
    return list(notes)


def _substitute(
    item: bpy.types.Object, material: bpy.types.Material | None
) -> tuple[bpy.types.Material, str]:
    """A material for a slot that has none, or one without nodes."""
    name = item.name.removeprefix("user_")
    shader = Shader("user_plain" if material is None else material.name)
    colours = item.data.color_attributes if item.type == "MESH" else ()
    if material is not None:
        colour, note = material.diffuse_color[:3], f"material {material.name!r} has no nodes"
    elif len(colours):
        colour, note = shader.attribute(colours[0].name), f"{name!r} is shown in its vertex colours"
    else:
        colour, note = PLAIN_ALBEDO, f"{name!r} has no material and is shown in plain grey"
    return shader.surface(shader.principled(base_colour=colour, roughness=_ROUGHNESS)), note


def _light_up(material: bpy.types.Material) -> bool:
    """Replace a material that only emits by one that reflects the same colour."""
    tree = material.node_tree
    if any(node.bl_idname.startswith("ShaderNodeBsdf") and "Transparent" not in node.bl_idname
           for node in tree.nodes):  # fmt: skip
        return False
    lamp = next((node for node in tree.nodes if node.bl_idname in _LIT_BY_ITSELF), None)
    output = tree.get_output_node("CYCLES")
    if lamp is None or output is None:
        return False
    bsdf = tree.nodes.new("ShaderNodeBsdfPrincipled")
    bsdf.inputs["Roughness"].default_value = _ROUGHNESS
    source = lamp.inputs["Color"]
    if source.is_linked:
        tree.links.new(source.links[0].from_socket, bsdf.inputs["Base Color"])
    else:
        bsdf.inputs["Base Color"].default_value = source.default_value
    for link in list(lamp.outputs[0].links):
        tree.links.new(bsdf.outputs[0], link.to_socket)
    return True


def allow_many_layers() -> None:
    """Let light pass through more transparent layers than our own hair has."""
    cycles = bpy.context.scene.cycles
    cycles.transparent_max_bounces = max(cycles.transparent_max_bounces, TRANSPARENT_BOUNCES)
