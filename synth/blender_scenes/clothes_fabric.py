"""Materials of clothes: fabric with its weave, seams and pattern; buttons."""

from __future__ import annotations

import dataclasses

import bpy
import numpy as np

from synth.blender_scenes.clothes_pattern import (
    GRAPHIC_BELOW_NECK_M,
    GRAPHIC_SIDE_M,
    PRINT_TILE_REPEATS,
    pattern_picture,
)
from synth.blender_scenes.clothes_weave import (
    FABRICS,
    RIBS,
    SEAM_REACH_M,
    Fabric,
    seam_profile,
    weave_tile,
)
from synth.blender_scenes.head import new_image
from synth.blender_scenes.nodes import Shader, Socket
from synth.color import srgb_from_linear
from synth.spec import Clothes

SEAM_ATTRIBUTE = "seam_m"
_COARSE = ("chunky_knit", "fleece")
_SEAM_RELIEF_M = 0.0018
_WEAR_TILE_M, _WEAR = 0.43, 0.06
"""Side of the clouds in which a worn and washed colour varies, and how much all fabrics have."""


class Materials:
    """The materials of one outfit by role, each made when it is first asked for.

    Args:
        clothes: the outfit.
        units_per_metre: scene units per metre, for the depth of the relief.
        neck_m: (across, up) of the lowest point of the neckline in cloth coordinates, from which a
            chest graphic hangs.
    """

    def __init__(self, clothes: Clothes, units_per_metre: float, neck_m: np.ndarray):
        self._clothes, self._scale, self._neck = clothes, units_per_metre, neck_m
        self._made: dict[str, bpy.types.Material] = {}

    def of(self, role: str) -> bpy.types.Material:
        """The material of a role: one of `clothes_sheet.ROLES`, or "sleeve" or "front"."""
        if role not in self._made:
            self._made[role] = self._make(role)
        return self._made[role]

    def _make(self, role: str) -> bpy.types.Material:
        clothes = self._clothes
        fabric = FABRICS[clothes.fabric]
        if role == "button":
            shader = Shader("button")
            return shader.surface(
                shader.principled(base_colour=(*clothes.button_colour, 1.0), roughness=0.3)
            )
        if role == "rib":
            fabric = RIBS["coarse" if clothes.fabric in _COARSE else "fine"]
        if role == "under":
            fabric = FABRICS["poplin" if clothes.under == "shirt" else "jersey"]
            clothes = dataclasses.replace(clothes, colour=clothes.under_colour)
        trimmed = clothes.pattern == "colour_block"
        if role == "cord":
            light = clothes.button_colour
            clothes = dataclasses.replace(clothes, colour=light if trimmed else clothes.colour)
        if trimmed and role in ("sleeve", "rib"):
            clothes = dataclasses.replace(clothes, colour=clothes.second_colour)
        graphic = clothes.pattern == "graphic"
        patterned = role in (("front",) if graphic else ("cloth", "sleeve", "front"))
        if not patterned or trimmed:
            clothes = dataclasses.replace(clothes, pattern="plain")
        return self._cloth(clothes, fabric, f"cloth_{role}")

    def _cloth(self, clothes: Clothes, fabric: Fabric, name: str) -> bpy.types.Material:
        shader = Shader(name)
        uv = shader.uv()
        tile = weave_tile(fabric.weave)
        weave = _data_image(f"weave_{fabric.weave}", tile)
        height, fibres = _channels(
            shader.image(weave, _scaled(shader, uv, 1 / fabric.tile_m), extension="REPEAT"), shader
        )
        seam_height, seam_shade = _seam(shader)
        colour = self._colour(shader, uv, clothes)
        colour = shader.mix(fabric.shading, colour, height, "MULTIPLY")
        colour = shader.mix(fabric.heather, colour, fibres, "OVERLAY")
        wear = shader.image(weave, _scaled(shader, uv, 1 / _WEAR_TILE_M), extension="REPEAT")
        colour = shader.mix(
            _WEAR + 0.5 * fabric.heather, colour, _channels(wear, shader)[1], "OVERLAY"
        )
        colour = shader.mix(1.0, colour, seam_shade, "MULTIPLY")
        bump = _bump(shader, seam_height, _SEAM_RELIEF_M * self._scale)
        bump = _bump(shader, height, fabric.relief_m * self._scale, bump)
        return shader.surface(
            shader.principled(
                base_colour=colour,
                roughness=fabric.roughness,
                normal=bump,
                sheen_weight=fabric.sheen,
                sheen_roughness=0.5,
                sheen_tint=(*(0.5 + 0.5 * c for c in clothes.colour), 1.0),
                specular_ior_level=0.25,
            )
        )

    def _colour(self, shader: Shader, uv: Socket, clothes: Clothes) -> Socket | tuple:
        if clothes.pattern == "plain":
            return (*clothes.colour, 1.0)
        picture = srgb_from_linear(pattern_picture(clothes))
        image = new_image(f"pattern_{clothes.pattern}", _opaque(picture), colour=True)
        if clothes.pattern == "graphic":
            middle = self._neck - [0.0, GRAPHIC_BELOW_NECK_M + GRAPHIC_SIDE_M / 2]
            offset = 0.5 - middle / GRAPHIC_SIDE_M
            placed = shader.node(
                "ShaderNodeVectorMath",
                {0: uv, 1: (1 / GRAPHIC_SIDE_M,) * 2 + (0.0,), 2: (*offset, 0.0)},
                operation="MULTIPLY_ADD",
            ).outputs[0]
            return shader.image(image, placed).outputs["Color"]
        tiles = clothes.pattern_scale
        if clothes.pattern == "print":
            tiles /= PRINT_TILE_REPEATS
        return shader.image(image, _scaled(shader, uv, tiles), extension="REPEAT").outputs["Color"]


def _seam(shader: Shader) -> tuple[Socket, Socket]:
    """Relief and shade of the seams, from the distance to them that the mesh carries."""
    distance = shader.attribute(SEAM_ATTRIBUTE, "Fac")
    across = shader.math("MULTIPLY_ADD", distance, 0.5 / SEAM_REACH_M, 0.5)
    place = shader.node("ShaderNodeCombineXYZ", {0: across, 1: 0.5, 2: 0.0})
    profile = np.repeat(seam_profile()[None], 2, axis=0)
    return _channels(shader.image(_data_image("seam", profile), place), shader)


def _channels(picture: bpy.types.Node, shader: Shader) -> tuple[Socket, Socket]:
    first, second, _ = shader.separate(picture.outputs["Color"])
    return first, second


def _bump(
    shader: Shader, height: Socket, distance: float, normal: bpy.types.Node | None = None
) -> bpy.types.Node:
    inputs = {"Height": height, "Strength": 0.8, "Distance": distance}
    if normal is not None:
        inputs["Normal"] = normal
    return shader.node("ShaderNodeBump", inputs)


def _scaled(shader: Shader, vector: Socket, factor: float) -> Socket:
    node = shader.node(
        "ShaderNodeVectorMath", {0: vector, 1: (factor, factor, 1.0)}, operation="MULTIPLY"
    )
    return node.outputs[0]


def _data_image(name: str, channels: np.ndarray) -> bpy.types.Image:
    """An image of two plain float channels [H, W, 2]."""
    rest = np.zeros((*channels.shape[:2], 2), np.float32)
    rest[..., 1] = 1.0
    return new_image(name, np.concatenate([channels, rest], axis=-1), colour=False)


def _opaque(rgb: np.ndarray) -> np.ndarray:
    return np.concatenate([rgb, np.ones_like(rgb[..., :1])], axis=-1).astype(np.float32)
