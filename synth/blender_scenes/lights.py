"""Light that is fixed in the world: environment maps, uniform ambient and area lights.

Maps are normalised (see `environment`), so that `strength` means the same for all of them.
"""

from __future__ import annotations

import math
from pathlib import Path

import bpy
import mathutils
import numpy as np

from synth.assets import resolve
from synth.blender_scenes.environment import (
    environment_scale,
    face_irradiance,
    white_balance,
)
from synth.blender_scenes.exposure import area_face_level
from synth.camera import orbit_position
from synth.color import LUMINANCE
from synth.errors import AssetError
from synth.spec import AreaLight, HeadSpec, Light

_ANALYSED_WIDTH = 128


def add_lights(spec: HeadSpec) -> float:
    """Build the light of the spec in the current scene.

    Returns:
        Irradiance / pi that the light gives a face, before any exposure.

    Raises:
        AssetError: the environment map is missing or not readable.
    """
    world = bpy.data.worlds.new("light")
    bpy.context.scene.world = world
    world.use_nodes = True
    background = world.node_tree.nodes["Background"]
    light = spec.light
    if light.hdri is None:
        background.inputs["Color"].default_value = (*light.ambient, 1.0)
        strength, unit_level = light.strength, float(LUMINANCE @ light.ambient)
    else:
        scale, unit_level = _add_environment(world, background, light)
        strength = light.strength * scale
    background.inputs["Strength"].default_value = strength
    for number, area in enumerate(light.areas):
        _add_area(f"area_{number}", area)
    return strength * unit_level + area_face_level(light.areas)


def _add_environment(
    world: bpy.types.World, background: bpy.types.Node, light: Light
) -> tuple[float, float]:
    """Link the map to the background; returns the factor that normalises it, and the irradiance /
    pi on a face under the unscaled map."""
    image = _load_image(resolve(light.hdri))
    tree = world.node_tree
    coordinates = tree.nodes.new("ShaderNodeTexCoord")
    mapping = tree.nodes.new("ShaderNodeMapping")
    # The mapping turns the direction that looks the map up, which turns the map the other way.
    mapping.inputs["Rotation"].default_value[2] = -math.radians(light.rotation_deg)
    environment = tree.nodes.new("ShaderNodeTexEnvironment")
    environment.image = image
    tree.links.new(coordinates.outputs["Generated"], mapping.inputs["Vector"])
    tree.links.new(mapping.outputs["Vector"], environment.inputs["Vector"])
    pixels = _small_pixels(image)
    balance = tree.nodes.new("ShaderNodeVectorMath")
    balance.operation = "MULTIPLY"
    balance.inputs[1].default_value = white_balance(pixels, light.rotation_deg).tolist()
    tree.links.new(environment.outputs["Color"], balance.inputs[0])
    tree.links.new(balance.outputs[0], background.inputs["Color"])
    face_level = face_irradiance(pixels, light.rotation_deg) / math.pi
    return environment_scale(pixels, light.rotation_deg), face_level


def _load_image(path: Path) -> bpy.types.Image:
    try:
        image = bpy.data.images.load(str(path))
    except RuntimeError as error:
        raise AssetError(f"environment map {path}: {error}") from error
    if not image.size[0]:
        raise AssetError(f"environment map {path}: Blender reads no pixels from it")
    return image


def _small_pixels(image: bpy.types.Image) -> np.ndarray:
    """[h, w, 3] float32 linear, first row is straight up; box-filtered to a small width."""
    width, height = image.size
    pixels = np.empty(width * height * image.channels, np.float32)
    image.pixels.foreach_get(pixels)
    pixels = pixels.reshape(height, width, image.channels)[::-1, :, :3]
    step = max(1, width // _ANALYSED_WIDTH)
    rows, columns = height // step, width // step
    pixels = pixels[: rows * step, : columns * step]
    return pixels.reshape(rows, step, columns, step, 3).mean(axis=(1, 3))


def _add_area(name: str, area: AreaLight) -> None:
    lamp = bpy.data.lights.new(name, "AREA")
    lamp.shape = "SQUARE"
    lamp.size = area.size
    lamp.energy = area.power_w
    lamp.color = area.colour
    lamp_object = bpy.data.objects.new(name, lamp)
    bpy.context.scene.collection.objects.link(lamp_object)
    position = orbit_position(area.azimuth_deg, area.elevation_deg, area.distance)
    aim = mathutils.Vector((-position).tolist()).to_track_quat("-Z", "Y")
    lamp_object.matrix_world = mathutils.Matrix.LocRotScale(
        mathutils.Vector(position.tolist()), aim, None
    )
