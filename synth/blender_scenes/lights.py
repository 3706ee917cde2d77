"""Light that is fixed in the world: environment maps, uniform ambient and area lights.

Environment maps differ by a factor of ten in brightness, and one that is lit from behind leaves
the face black. So that `strength` means the same for all of them, a map is scaled by what its light
does to a face: see `face_irradiance`.
"""

from __future__ import annotations

import math
from pathlib import Path

import bpy
import mathutils
import numpy as np

from synth.assets import resolve
from synth.camera import orbit_position
from synth.errors import AssetError
from synth.spec import AreaLight, HeadSpec, Light

FACE_AZIMUTHS_DEG = (-90.0, -130.0, -50.0)
"""Where the front, the right and the left of a face point; it is exposed for their mean."""
HDRI_LEVEL = 0.62
"""Irradiance / pi on the face of an environment map at strength 1, as under a grey sky of 0.62."""
HDRI_SCALE_LIMITS = (0.25, 4.0)
"""A map is never scaled beyond these: night stays darker than noon."""
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
_ANALYSED_WIDTH = 128


def add_lights(spec: HeadSpec) -> None:
    """Build the light of the spec in the current scene.

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
        background.inputs["Strength"].default_value = light.strength
    else:
        scale = _add_environment(world, background, light)
        background.inputs["Strength"].default_value = light.strength * scale
    for number, area in enumerate(light.areas):
        _add_area(f"area_{number}", area)


def _add_environment(world: bpy.types.World, background: bpy.types.Node, light: Light) -> float:
    """Link the map to the background; returns the factor that normalises it."""
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
    tree.links.new(environment.outputs["Color"], background.inputs["Color"])
    return environment_scale(_small_pixels(image), light.rotation_deg)


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


def environment_scale(pixels: np.ndarray, rotation_deg: float) -> float:
    """The factor that gives a face the irradiance `HDRI_LEVEL` * pi under this map.

    Args:
        pixels: [h, w, 3] float, equirectangular, linear; Blender's layout, first row straight up.
        rotation_deg: rotation of the map about +Z.
    """
    level = face_irradiance(pixels, rotation_deg) / math.pi
    return float(np.clip(HDRI_LEVEL / max(level, 1e-6), *HDRI_SCALE_LIMITS))


def face_irradiance(pixels: np.ndarray, rotation_deg: float) -> float:
    """Mean luminous irradiance of the front, right and left of a face that looks along -Y.

    Args:
        pixels: [h, w, 3] float, equirectangular, linear, first row straight up.
        rotation_deg: rotation of the map about +Z.

    Returns:
        Integral of luminance times cosine over the sphere, in the map's units times steradian.
    """
    height, width = pixels.shape[:2]
    elevation = np.pi * (0.5 - (np.arange(height) + 0.5) / height)
    # In Blender's layout the middle column lies towards +X, the first one towards -X.
    column = (np.arange(width) + 0.5) / width
    azimuth = np.radians(rotation_deg) + np.pi * (1 - 2 * column)
    azimuth, elevation = np.meshgrid(azimuth, elevation)
    direction = np.stack(
        [
            np.cos(azimuth) * np.cos(elevation),
            np.sin(azimuth) * np.cos(elevation),
            np.sin(elevation),
        ],
        axis=-1,
    )
    solid_angle = np.cos(elevation) * (np.pi / height) * (2 * np.pi / width)
    radiance = (pixels @ _LUMINANCE) * solid_angle
    normals = np.stack([orbit_position(a, 0.0, 1.0) for a in FACE_AZIMUTHS_DEG])
    cosine = np.maximum(direction @ normals.T, 0.0)
    return float((radiance[..., None] * cosine).sum(axis=(0, 1)).mean())


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
