"""Which label of the segmentation every object of a head carries.

An object's label is its pass index. Skin and eyeballs carry several: point attributes in [0, 1]
tell where the others lie.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import bpy

from synth.blender_scenes.nodes import Shader, Socket
from synth.ground_truth import LABELS

CLEAR = 255
"""Pass index of what is looked through and has no label: corneas and tear lines."""

_PART_LABELS = {
    "skin": "skin",
    "eyes": "sclera",
    "mouth": "mouth",
    "hair": "hair",
    "brows": "brows",
    "lashes": "lashes",
    "beard": "beard",
    "clothes": "clothes",
    "glasses": "glasses_frame",
    "headwear": "headwear",
    "earrings": "earrings",
}
_CLEAR_OBJECTS = ("cornea", "tear")
_OBJECT_LABELS = {"teeth": "teeth", "tongue": "tongue", "lens": "glasses_lens"}
"""First word of an object's name -> its label, where that is not the label of its part."""

INNER_LABELS = {"skin": ("lips", "mouth"), "sclera": ("iris",)}
"""Labels that lie within another one, by its name. The point attribute `inner_attribute(label)`
tells where. They follow the outer label in `LABELS`, in this order."""


def inner_attribute(label: str) -> str:
    """Name of the point attribute that is 1 where `label` is."""
    return f"is_{label}"


def label_parts(parts: Mapping[str, Sequence[bpy.types.Object]]) -> None:
    """Give every object of a head its label as pass index.

    Args:
        parts: the objects by part, as `build.BuiltHead.objects`.
    """
    for part, objects in parts.items():
        for item in objects:
            word = item.name.split("_")[0]
            if word in _CLEAR_OBJECTS:
                item.pass_index = CLEAR
            else:
                item.pass_index = LABELS[_OBJECT_LABELS.get(word, _PART_LABELS[part])]


def labelled_objects(*names: str) -> list[bpy.types.Object]:
    """The objects of the scene with one of these labels, or with any when none is named."""
    numbers = {LABELS[name] for name in names} or set(LABELS.values()) - {0}
    return [item for item in bpy.context.scene.objects if item.pass_index in numbers]


def inner_weights(shader: Shader, label: str) -> dict[str, Socket]:
    """1 or 0 for each label that lies within `label`, as sockets of a material."""
    return {
        inner: shader.math("GREATER_THAN", shader.attribute(inner_attribute(inner), "Fac"), 0.5)
        for inner in INNER_LABELS.get(label, ())
    }
