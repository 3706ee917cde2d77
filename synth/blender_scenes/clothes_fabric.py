"""Fabric: weave and pattern as small tiled pictures, and the material made of them.

Pictures cost the renderer less than procedural nodes, and their grain has the size of real yarn.
"""

from __future__ import annotations

import bpy
import numpy as np
from scipy.ndimage import gaussian_filter

from synth.blender_scenes.head import new_image
from synth.blender_scenes.nodes import Shader
from synth.color import srgb_from_linear
from synth.rng import stream
from synth.spec import Clothes

KNITTED = ("sweater", "turtleneck", "hoodie")
_WEAVE_PIXELS = 128
_PATTERN_PIXELS = 256
_WEAVE_TILES_PER_M = {"woven": 60.0, "knitted": 22.0, "ribbed": 28.0}
_PRINT_TILE_REPEATS = 6.0
"""A print tile holds about this many motifs along a side."""


def fabric_material(
    clothes: Clothes, *, ribbed: bool, units_per_metre: float
) -> bpy.types.Material:
    """The material of a garment, or of its ribbed collar.

    It reads the layer "UVMap", in metres along the cloth.

    Args:
        clothes: colours and pattern.
        ribbed: knitted rib in the plain main colour.
        units_per_metre: scene units per metre, for the depth of the weave.
    """
    weave = "ribbed" if ribbed else "knitted" if clothes.garment in KNITTED else "woven"
    shader = Shader(f"cloth_{weave}")
    cloth_uv = shader.uv()
    relief = shader.image(
        _weave_image(weave),
        _scaled(shader, cloth_uv, _WEAVE_TILES_PER_M[weave]),
        extension="REPEAT",
    ).outputs["Color"]
    colour = (*clothes.colour, 1.0)
    if clothes.pattern != "plain" and not ribbed:
        tiles = clothes.pattern_scale
        if clothes.pattern == "print":
            tiles /= _PRINT_TILE_REPEATS
        colour = shader.image(
            _pattern_image(clothes), _scaled(shader, cloth_uv, tiles), extension="REPEAT"
        ).outputs["Color"]
    colour = shader.mix(0.45, colour, relief, "MULTIPLY")
    bump = shader.node(
        "ShaderNodeBump",
        {"Height": relief, "Strength": 0.5, "Distance": 0.0012 * units_per_metre},
    )
    return shader.surface(
        shader.principled(
            base_colour=colour,
            roughness=0.85,
            normal=bump,
            sheen_weight=0.15,
            sheen_roughness=0.5,
            specular_ior_level=0.25,
        )
    )


def _scaled(shader: Shader, vector: bpy.types.NodeSocket, factor: float) -> bpy.types.NodeSocket:
    node = shader.node(
        "ShaderNodeVectorMath", {0: vector, 1: (factor, factor, 1.0)}, operation="MULTIPLY"
    )
    return node.outputs[0]


def _weave_image(weave: str) -> bpy.types.Image:
    """A tile of relief in [0.5, 1]; 1 is the top of the yarn."""
    y, x = np.mgrid[:_WEAVE_PIXELS, :_WEAVE_PIXELS] / _WEAVE_PIXELS
    if weave == "ribbed":
        height = 0.5 + 0.5 * np.sin(2 * np.pi * 9 * x)
    elif weave == "knitted":
        chevron = 0.5 * np.abs(((y * 6) % 1) * 2 - 1)
        height = np.abs(np.sin(np.pi * (4 * x + chevron))) ** 0.7
        height = height * (0.6 + 0.4 * np.abs(np.sin(np.pi * 6 * y)))
    else:
        over = (np.floor(16 * x) + np.floor(16 * y)) % 2 > 0
        height = np.where(over, np.sin(np.pi * 16 * x) ** 2, np.sin(np.pi * 16 * y) ** 2)
    grain = stream(0, 0, f"weave.{weave}").normal(size=height.shape)
    height = 0.5 + 0.5 * np.clip(height + 0.1 * grain, 0, 1)
    grey = np.repeat(height[..., None], 3, axis=-1)
    return new_image(f"weave_{weave}", _opaque(grey), colour=False)


def _pattern_image(clothes: Clothes) -> bpy.types.Image:
    """One period of the pattern (or a tile of the print), sRGB encoded."""
    y, x = (np.mgrid[:_PATTERN_PIXELS, :_PATTERN_PIXELS] + 0.5) / _PATTERN_PIXELS
    if clothes.pattern == "horizontal_stripes":
        second = _band(y)
    elif clothes.pattern == "vertical_stripes":
        second = _band(x)
    elif clothes.pattern == "plaid":
        second = 0.45 * _band(x) + 0.45 * _band(y) + 0.1 * (_band(4 * x) + _band(4 * y)) / 2
    else:
        blobs = stream(clothes.cloth_seed, 0, "clothes.print").normal(size=x.shape)
        blobs = gaussian_filter(blobs, _PATTERN_PIXELS / _PRINT_TILE_REPEATS / 4, mode="wrap")
        second = np.clip(blobs / blobs.std() * 6 - 3, 0, 1)
    first, other = np.array(clothes.colour), np.array(clothes.second_colour)
    linear = first + (other - first) * second[..., None]
    return new_image(f"pattern_{clothes.pattern}", _opaque(srgb_from_linear(linear)), colour=True)


def _band(x: np.ndarray) -> np.ndarray:
    """1 in half of every period, with soft edges."""
    return np.clip(0.5 + 12 * np.sin(2 * np.pi * x) / np.pi, 0, 1)


def _opaque(rgb: np.ndarray) -> np.ndarray:
    return np.concatenate([rgb, np.ones_like(rgb[..., :1])], axis=-1).astype(np.float32)
