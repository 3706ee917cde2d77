"""Cameras of Headloom as Blender cameras, exact to the pixel."""

from __future__ import annotations

import bpy
import mathutils

from synth.camera import Camera
from synth.errors import SpecError

_SENSOR_WIDTH_MM = 36.0
_NAME = "headloom_camera"
_CLIP_START = 0.05
_CLIP_END = 100.0


def place_camera(camera: Camera) -> bpy.types.Object:
    """Make the scene's camera and resolution equal to `camera`.

    The object is made once and moved afterwards, so that persistent data stays valid.

    Args:
        camera: any pinhole camera without skew; the principal point may be off-centre and the
            pixels need not be square.

    Returns:
        The camera object.

    Raises:
        SpecError: the intrinsics have skew, which Blender cannot render.
    """
    if camera.K[0, 1] or camera.K[1, 0]:
        raise SpecError(f"camera {camera.name!r}: Blender cannot render skew, K = {camera.K}")
    scene = bpy.context.scene
    camera_object = bpy.data.objects.get(_NAME)
    if camera_object is None:
        camera_object = bpy.data.objects.new(_NAME, bpy.data.cameras.new(_NAME))
        scene.collection.objects.link(camera_object)
    if scene.camera != camera_object:
        # The assignment alone makes Blender hand the whole scene to Cycles again, 90 ms a view.
        scene.camera = camera_object
    _set_intrinsics(scene, camera_object.data, camera)
    camera_object.matrix_world = mathutils.Matrix(camera.blender_world_from_cam().tolist())
    return camera_object


def _set_intrinsics(scene: bpy.types.Scene, lens: bpy.types.Camera, camera: Camera) -> None:
    (fx, _, cx), (_, fy, cy) = camera.K[:2]
    pixel_aspect = fx / fy  # height of a pixel over its width
    scene.render.resolution_x = camera.width
    scene.render.resolution_y = camera.height
    # Both numbers must be at least 1 for Blender; only their ratio counts.
    scene.render.pixel_aspect_x = max(1.0, 1.0 / pixel_aspect)
    scene.render.pixel_aspect_y = max(1.0, pixel_aspect)
    lens.type = "PERSP"
    lens.sensor_fit = "HORIZONTAL"
    lens.sensor_width = _SENSOR_WIDTH_MM
    lens.lens = fx * _SENSOR_WIDTH_MM / camera.width
    # Blender shifts the film, in units of the width: positive moves the view right and up.
    lens.shift_x = (camera.width / 2 - cx) / camera.width
    lens.shift_y = (cy - camera.height / 2) * pixel_aspect / camera.width
    lens.clip_start = _CLIP_START
    lens.clip_end = _CLIP_END
