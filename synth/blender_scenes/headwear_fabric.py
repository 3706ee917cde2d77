"""Materials of headwear: rib knit, twill, the stitched brim, the cloth of a headscarf."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from functools import partial

import bpy
import numpy as np

from synth.blender_scenes.head import new_image
from synth.blender_scenes.headwear_knit import (
    PRINT_TILE_REPEATS,
    RIB_M,
    knit_relief,
    pattern_amount,
    twill_relief,
)
from synth.blender_scenes.nodes import Shader, Socket
from synth.color import srgb_from_linear
from synth.spec import Headwear

_TWILL_TILES_PER_M = 90.0
_STITCH_ROWS_M = 0.0075
_SCARF_TILES_PER_M = 160.0


def headwear_materials(
    headwear: Headwear, keys: Iterable[str], units_per_metre: float
) -> dict[str, bpy.types.Material]:
    """The materials of a hat's or headscarf's parts by the keys that the parts name."""
    cap = dataclasses.replace(headwear, pattern="plain", colour=headwear.second_colour)
    makers = {
        "knit": partial(_knit, headwear),
        "scarf": partial(_scarf, headwear),
        "underscarf": partial(_scarf, cap),
        "cloth": partial(_twill, headwear, stitched=False),
        "brim": partial(_twill, headwear, stitched=True),
    }
    return {key: makers[key](units_per_metre=units_per_metre) for key in sorted(keys)}


def _knit(headwear: Headwear, units_per_metre: float) -> bpy.types.Material:
    shader = Shader("headwear_knit")
    uv = shader.uv()
    relief = shader.image(
        _grey("knit", knit_relief()), _scaled(shader, uv, 1 / RIB_M, 2 / RIB_M), extension="REPEAT"
    ).outputs["Color"]
    # Light is lost between the stitches.
    shade = shader.mix(relief, (0.42, 0.40, 0.40), (1.0, 1.0, 1.0))
    colour = shader.mix(1.0, _colour(shader, headwear, uv), shade, "MULTIPLY")
    return _cloth(shader, colour, relief, 0.0016 * units_per_metre, roughness=0.92, sheen=0.35)


def _twill(headwear: Headwear, units_per_metre: float, *, stitched: bool) -> bpy.types.Material:
    shader = Shader("headwear_brim" if stitched else "headwear_cloth")
    uv = shader.uv()
    relief = shader.image(
        _grey("twill", twill_relief()),
        _scaled(shader, uv, _TWILL_TILES_PER_M, _TWILL_TILES_PER_M),
        extension="REPEAT",
    ).outputs["Color"]
    colour = shader.mix(0.30, _colour(shader, headwear, uv), relief, "MULTIPLY")
    depth = 0.0006
    if stitched:
        _, outwards, _ = shader.separate(uv)
        line = shader.math("PINGPONG", outwards, 0.5 * _STITCH_ROWS_M)
        raised = shader.smoothstep(line, 0.0002, 0.0009)
        colour = shader.mix(raised, shader.mix(1.0, colour, (0.72, 0.72, 0.72), "MULTIPLY"), colour)
        relief = shader.math("MULTIPLY_ADD", raised, 0.8, shader.math("MULTIPLY", relief, 0.3))
        depth = 0.0009
    return _cloth(shader, colour, relief, depth * units_per_metre, roughness=0.85, sheen=0.12)


def _scarf(headwear: Headwear, units_per_metre: float) -> bpy.types.Material:
    shader = Shader("headwear_scarf")
    uv = shader.uv()
    relief = shader.image(
        _grey("weave", twill_relief()),
        _scaled(shader, uv, _SCARF_TILES_PER_M, _SCARF_TILES_PER_M),
        extension="REPEAT",
    ).outputs["Color"]
    colour = shader.mix(0.12, _colour(shader, headwear, uv), relief, "MULTIPLY")
    return _cloth(shader, colour, relief, 0.0003 * units_per_metre, roughness=0.75, sheen=0.10)


def _cloth(
    shader: Shader, colour: Socket, relief: Socket, depth: float, *, roughness: float, sheen: float
) -> bpy.types.Material:
    bump = shader.node("ShaderNodeBump", {"Height": relief, "Strength": 0.6, "Distance": depth})
    return shader.surface(
        shader.principled(
            base_colour=colour,
            roughness=roughness,
            normal=bump,
            sheen_weight=sheen,
            sheen_roughness=0.45,
            specular_ior_level=0.2,
        )
    )


def _colour(shader: Shader, headwear: Headwear, uv: Socket) -> Socket | tuple[float, ...]:
    """The plain colour, or the pattern's picture over the cloth."""
    if headwear.pattern == "plain":
        return (*headwear.colour, 1.0)
    tiles = headwear.pattern_scale
    if headwear.pattern == "print":
        tiles /= PRINT_TILE_REPEATS
    first, second = np.array(headwear.colour), np.array(headwear.second_colour)
    linear = first + (second - first) * pattern_amount(headwear)[..., None]
    image = new_image("headwear_pattern", _opaque(srgb_from_linear(linear)), colour=True)
    return shader.image(image, _scaled(shader, uv, tiles, tiles), extension="REPEAT").outputs[
        "Color"
    ]


def _scaled(shader: Shader, vector: Socket, u: float, v: float) -> Socket:
    return shader.node(
        "ShaderNodeVectorMath", {0: vector, 1: (u, v, 1.0)}, operation="MULTIPLY"
    ).outputs[0]


def _grey(name: str, height: np.ndarray) -> bpy.types.Image:
    return new_image(
        f"headwear_{name}", _opaque(np.repeat(height[..., None], 3, axis=-1)), colour=False
    )


def _opaque(rgb: np.ndarray) -> np.ndarray:
    return np.concatenate([rgb, np.ones_like(rgb[..., :1])], axis=-1).astype(np.float32)
