"""Ground truth that Cycles averages over each pixel together with the picture.

Every material of the head gets output nodes for its albedo and for the labels it carries, in one
place, after everything is built: a builder of a material need not think of ground truth. Cycles
adds up what a ray meets up to the first surface that is opaque, weighted like the picture.
"""

from __future__ import annotations

from collections.abc import Mapping

import bpy
import numpy as np

from synth.blender_scenes.hair import LASH_COLOUR
from synth.blender_scenes.nodes import Shader
from synth.blender_scenes.passes_albedo import material_albedo
from synth.blender_scenes.passes_labels import INNER_LABELS, inner_weights, labelled_objects
from synth.ground_truth import LABELS
from synth.spec import HairColour, HeadSpec

_ALBEDO = "albedo"
_OPAQUE = 0.98
"""Share of light that a surface must hold back to end the ray of these passes: not the pads and
lenses of glasses, unless they are those of dark sunglasses."""
_NAMES = {number: name for name, number in LABELS.items()}


def add_outputs(spec: HeadSpec) -> None:
    """Give the materials of the head the outputs that the passes of `spec` need.

    Args:
        spec: the head in the current scene, whose objects carry their labels.

    Raises:
        RenderError: a material whose albedo cannot be told.
    """
    wanted = spec.render.passes
    layer = bpy.context.view_layer
    layer.pass_alpha_threshold = _OPAQUE
    materials = _materials_by_label()
    if "coverage" in wanted:
        for name in sorted({_channel(n)[0] for n in _covered_labels(materials.values())}):
            layer.aovs.add().name = name
        for material, label in materials.items():
            _tell_coverage(Shader.of(material), label)
    if "albedo" in wanted:
        layer.aovs.add().name = _ALBEDO
        colours = _strand_colours(spec)
        for material, label in materials.items():
            shader = Shader.of(material)
            albedo = material_albedo(shader, colours.get(label))
            if albedo is not None and label != "glasses_lens":
                shader.node("ShaderNodeOutputAOV", {"Color": albedo}, aov_name=_ALBEDO)


def read_outputs(
    names: tuple[str, ...], channels: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The averaged passes of `names` as `ground_truth.PASSES` describes them.

    Args:
        channels: what `frame.render_channels` returned.
    """
    found = {}
    if "albedo" in names:
        hit = channels[f"{_ALBEDO}.A"]
        total = np.stack([channels[f"{_ALBEDO}.{c}"] for c in "RGB"], axis=-1)
        straight = total / np.maximum(hit, 1e-6)[..., None]
        alpha = np.clip(channels["Combined.A"], 0, 1)[..., None]
        found["albedo"] = np.concatenate([straight * (alpha > 0), alpha], axis=-1)
    if "coverage" in names:
        empty = np.zeros_like(channels["Combined.A"])
        planes = [channels.get(".".join(_channel(name)), empty) for name in LABELS if LABELS[name]]
        found["coverage"] = np.clip(np.stack(planes), 0, 1)
    return found


def _materials_by_label() -> dict[bpy.types.Material, str]:
    """The label of every material of the head; one that served several gets a copy for each."""
    labels: dict[bpy.types.Material, str] = {}
    copies: dict[tuple[bpy.types.Material, str], bpy.types.Material] = {}
    for item in labelled_objects():
        label = _NAMES[item.pass_index]
        for slot, material in enumerate(item.data.materials):
            if material is None or not material.use_nodes:
                continue
            if labels.setdefault(material, label) != label:
                if (material, label) not in copies:
                    copies[material, label] = material.copy()
                item.data.materials[slot] = copies[material, label]
                labels[copies[material, label]] = label
    return labels


def _covered_labels(labels) -> set[str]:
    inner = {name for label in labels for name in INNER_LABELS.get(label, ())}
    return {*labels, *inner}


def _channel(label: str) -> tuple[str, str]:
    """The output and the channel of it that hold the coverage of a label: three share one."""
    output, channel = divmod(LABELS[label] - 1, 3)
    return f"coverage_{output}", "RGB"[channel]


def _tell_coverage(shader: Shader, label: str) -> None:
    weights = dict(inner_weights(shader, label))
    rest = 1.0
    for weight in weights.values():
        rest = shader.math("SUBTRACT", rest, weight, clamp=True)
    weights[label] = rest
    outputs: dict[str, dict[int, object]] = {}
    for name, weight in weights.items():
        output, channel = _channel(name)
        outputs.setdefault(output, {0: 0.0, 1: 0.0, 2: 0.0})["RGB".index(channel)] = weight
    for output, channels in outputs.items():
        colour = shader.node("ShaderNodeCombineColor", channels)
        shader.node("ShaderNodeOutputAOV", {"Color": colour}, aov_name=output)


def _strand_colours(spec: HeadSpec) -> dict[str, HairColour]:
    face = spec.facial_hair.colour
    return {"hair": spec.hair.colour, "brows": face, "beard": face, "lashes": LASH_COLOUR}
