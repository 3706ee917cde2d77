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
from synth.blender_scenes.environment import environment_scale, white_balance
from synth.blender_scenes.head import new_mesh
from synth.blender_scenes.nodes import Shader
from synth.camera import orbit_position
from synth.errors import AssetError
from synth.spec import AreaLight, HeadSpec, Light, Sky

GROUND_BELOW_HEAD = 7.0
"""Scene units from the origin to the ground of a sky, about 1.4 m."""
GROUND_ALBEDO = (0.30, 0.28, 0.25)
_ANALYSED_WIDTH = 128
_IMPORTANCE_WIDTH = 512
"""Columns of the table by which Cycles aims rays at the bright parts of a map. Left to itself it
evaluates every texel, 1.5 s of CPU a head for maps of 1024; the noise is the same with 256."""


def add_lights(spec: HeadSpec, store: Path | None = None) -> None:
    """Build the light of the spec in the current scene.

    Args:
        store: where the user's assets lie, one of which may be the environment map.

    Raises:
        AssetError: the environment map is missing or not readable.
    """
    world = bpy.data.worlds.new("light")
    bpy.context.scene.world = world
    world.use_nodes = True
    world.cycles.sampling_method = "MANUAL"
    world.cycles.sample_map_resolution = _IMPORTANCE_WIDTH
    background = world.node_tree.nodes["Background"]
    light = spec.light
    strength = light.strength
    if light.hdri is not None:
        strength *= _add_environment(world, background, light, resolve(light.hdri, store))
    elif light.sky is not None:
        _add_sky(world, background, light.sky)
        _add_ground()
    else:
        background.inputs["Color"].default_value = (*light.ambient, 1.0)
    background.inputs["Strength"].default_value = strength
    for number, area in enumerate(light.areas):
        add_area(f"area_{number}", area)


def _add_environment(
    world: bpy.types.World, background: bpy.types.Node, light: Light, path: Path
) -> float:
    """Link the map to the background; returns the factor that normalises it."""
    image = _load_image(path)
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
    return environment_scale(pixels, light.rotation_deg)


def _add_sky(world: bpy.types.World, background: bpy.types.Node, sky: Sky) -> None:
    """Blender's physical sky; only the probe's exposure brings it to a level."""
    node = world.node_tree.nodes.new("ShaderNodeTexSky")
    node.sky_type = "NISHITA"
    node.sun_elevation = math.radians(sky.sun_elevation_deg)
    node.sun_rotation = math.radians(
        90.0 - sky.sun_azimuth_deg
    )  # Blender counts from +Y, clockwise
    node.sun_size = math.radians(sky.sun_size_deg)
    node.sun_intensity = sky.sun_strength
    node.sun_disc = sky.sun_strength > 0
    node.air_density = sky.air
    node.dust_density = sky.dust
    node.ozone_density = sky.ozone
    world.node_tree.links.new(node.outputs["Color"], background.inputs["Color"])


def _add_ground() -> None:
    """What a sky shines on: without it a face under the sun has a black chin.

    Cameras do not see it, so the film stays transparent below the head.
    """
    side, z = 60.0, -GROUND_BELOW_HEAD
    corners = np.array([[-side, -side, z], [side, -side, z], [side, side, z], [-side, side, z]])
    shader = Shader("ground")
    diffuse = shader.node("ShaderNodeBsdfDiffuse", {"Color": (*GROUND_ALBEDO, 1.0)})
    ground = new_mesh("ground", corners, np.array([[0, 1, 2, 3]]), shader.surface(diffuse))
    ground.visible_camera = False
    ground.visible_shadow = False


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


def add_area(name: str, area: AreaLight) -> bpy.types.Object:
    """A lamp of the spec that shines on the head."""
    lamp = bpy.data.lights.new(name, "AREA")
    lamp.shape = "RECTANGLE"
    lamp.size = area.size
    lamp.size_y = area.size * area.aspect
    lamp.energy = area.power_w
    lamp.color = area.colour
    lamp_object = bpy.data.objects.new(name, lamp)
    bpy.context.scene.collection.objects.link(lamp_object)
    position = orbit_position(area.azimuth_deg, area.elevation_deg, area.distance)
    aim = mathutils.Vector((-position).tolist()).to_track_quat("-Z", "Y")
    lamp_object.matrix_world = mathutils.Matrix.LocRotScale(
        mathutils.Vector(position.tolist()), aim, None
    )
    return lamp_object
