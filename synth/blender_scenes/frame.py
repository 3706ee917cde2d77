"""One call of Cycles: a camera in, the channels of its render file out."""

from __future__ import annotations

import errno
from pathlib import Path

import bpy
import numpy as np

from synth.blender_scenes import rig
from synth.blender_scenes.exr import read_exr
from synth.blender_scenes.log import captured_output, raise_reported
from synth.camera import Camera
from synth.errors import RenderError


def render_to(path: Path) -> None:
    """Make the current scene write uncompressed multilayer EXR files of 32 bits to `path`."""
    scene = bpy.context.scene
    scene.render.filepath = str(path)
    scene.render.use_file_extension = False
    image = scene.render.image_settings
    image.file_format = "OPEN_EXR_MULTILAYER"
    image.color_mode = "RGBA"
    image.color_depth = "32"
    image.exr_codec = "NONE"


def render_channels(camera: Camera) -> dict[str, np.ndarray]:
    """Render the current scene through `camera`; `render_to` was called.

    Returns:
        [H, W] float32 by name, for example "Combined.R", first row on top. Channels of the view
        layer are named without the layer, those of the compositor start with "Composite.".

    Raises:
        AssetError, RenderCrashed, RenderError: Cycles reported an error.
        OSError: Blender wrote no whole file; it raises nothing when the disk is full.
    """
    rig.place_camera(camera)
    where = f"view {camera.name!r}: "
    path = Path(bpy.context.scene.render.filepath)
    path.unlink(missing_ok=True)  # whatever happens, it is not taken for this view's
    try:
        with captured_output() as output:
            bpy.ops.render.render(write_still=True)
    except RuntimeError as error:
        # What was printed tells memory that ran out, worth a retry, from a fault of the scene.
        raise_reported(f"{output.text}\n{error}", where)
        raise RenderError(f"{where}Cycles: {error}") from error
    raise_reported(output.text, where)
    try:
        channels = read_exr(path)
    except (FileNotFoundError, RenderError) as error:
        raise OSError(errno.EIO, f"{where}Blender could not write the picture ({error})") from error
    prefix = f"{bpy.context.view_layer.name}."
    return {name.removeprefix(prefix): values for name, values in channels.items()}
