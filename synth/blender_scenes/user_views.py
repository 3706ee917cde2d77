"""Quick pictures of a user's asset: lit from the camera, with depth and albedo, for finding its
face and for a preview."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import bpy
import mathutils
import numpy as np

from synth.blender_scenes.frame import render_channels, render_to
from synth.blender_scenes.skin_tone import melanin_of
from synth.camera import Camera
from synth.color import LUMINANCE, rgba8_from_float, srgb_from_linear, unpremultiply

_AMBIENT = 0.35
_LAMP_W_PER_UNIT2 = 32.0
_LAMP_SIZE = 0.5
_LAMP_OFFSET = (-0.45, -0.55, 0.0)
"""Position of the lamp in camera coordinates (right, down, forward), in distances from the origin:
up and to the left, so that a face without texture has shapes."""
_SHOWN_LUMINANCE = 0.30
_NOTHING = 1e9
_FACE_RADIUS, _MIN_FACE_PIXELS, _BLACK = 0.08, 20, 0.01


def render_views(cameras: Sequence[Camera], samples: int, threads: int) -> dict[str, np.ndarray]:
    """Render the objects of the current scene, which must lie around the origin.

    Returns:
        rgba [V, H, W, 4] uint8 sRGB, depth [V, H, W] float32 and albedo [V, H, W, 3] float32.
    """
    scene = bpy.context.scene
    lamp = _prepare(scene, samples, threads)
    stacks: dict[str, list[np.ndarray]] = {"rgba": [], "depth": [], "albedo": []}
    with tempfile.TemporaryDirectory(prefix="views-") as directory:
        render_to(Path(directory) / "view.exr")
        for camera in cameras:
            _place_lamp(lamp, camera)
            channels = render_channels(camera)
            stacks["rgba"].append(_picture(channels))
            depth = channels["Depth.Z"].astype(np.float32)
            stacks["depth"].append(np.where(depth < _NOTHING, depth, np.float32(0)))
            albedo = np.stack([channels[f"DiffCol.{c}"] for c in "RGB"], axis=-1)
            stacks["albedo"].append(albedo.astype(np.float32))
    return {name: np.stack(values) for name, values in stacks.items()}


def _prepare(scene: bpy.types.Scene, samples: int, threads: int) -> bpy.types.Object:
    """Cycles, coarse, over nothing; returns the lamp."""
    scene.render.engine = "CYCLES"
    scene.render.threads_mode = "FIXED"
    scene.render.threads = threads
    scene.render.use_persistent_data = True
    scene.render.film_transparent = True
    scene.render.resolution_percentage = 100
    cycles = scene.cycles
    cycles.device = "CPU"
    cycles.samples = samples
    cycles.use_adaptive_sampling = False
    cycles.use_denoising = False
    cycles.max_bounces = 2
    bpy.context.view_layer.use_pass_z = True
    bpy.context.view_layer.use_pass_diffuse_color = True
    world = bpy.data.worlds.new("probe")
    scene.world = world
    world.use_nodes = True
    world.node_tree.nodes["Background"].inputs["Color"].default_value = (*[_AMBIENT] * 3, 1.0)
    light = bpy.data.lights.new("probe", "AREA")
    lamp = bpy.data.objects.new("probe", light)
    scene.collection.objects.link(lamp)
    return lamp


def _place_lamp(lamp: bpy.types.Object, camera: Camera) -> None:
    distance = float(np.linalg.norm(camera.position))
    offset = camera.world_from_cam[:3, :3] @ (np.array(_LAMP_OFFSET) * distance)
    position = mathutils.Vector((camera.position + offset).tolist())
    lamp.data.energy = _LAMP_W_PER_UNIT2 * position.length_squared
    lamp.data.size = _LAMP_SIZE * distance
    lamp.matrix_world = mathutils.Matrix.LocRotScale(
        position, (-position).to_track_quat("-Z", "Y"), None
    )


def _picture(channels: dict[str, np.ndarray]) -> np.ndarray:
    """[H, W, 4] uint8 from scene-linear colour, exposed for what is seen."""
    linear = np.stack([channels[f"Combined.{c}"] for c in "RGBA"], axis=-1).astype(np.float32)
    linear = unpremultiply(np.nan_to_num(np.maximum(linear, 0.0)))
    alpha = np.clip(linear[..., 3:], 0, 1)
    covered = alpha[..., 0] > 0.5
    luminance = linear[..., :3] @ LUMINANCE
    mean = float(luminance[covered].mean()) if covered.any() else 1.0
    shown = srgb_from_linear(np.clip(linear[..., :3] * (_SHOWN_LUMINANCE / max(mean, 1e-4)), 0, 1))
    return np.concatenate([rgba8_from_float(shown), rgba8_from_float(alpha)], axis=-1)


def face_melanin(albedo: np.ndarray, depth: np.ndarray) -> float | None:
    """Melanin of skin as dark as what lies in the middle of a picture, or None if that is nothing.

    Args:
        albedo: [H, W, 3] linear.
        depth: [H, W], 0 where nothing is.
    """
    height, width = depth.shape
    y, x = np.mgrid[:height, :width] + 0.5
    middle = np.hypot(x - width / 2, y - height / 2) < _FACE_RADIUS * width
    shown = albedo[middle & (depth > 0)]
    shown = shown[shown.max(axis=1) > _BLACK] if len(shown) else shown
    if len(shown) < _MIN_FACE_PIXELS:
        return None
    return round(melanin_of(np.median(shown, axis=0)), 3)
