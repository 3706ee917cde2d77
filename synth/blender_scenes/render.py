"""Pixels: all views of a head back to back, denoised, read back exactly, display-referred.

Order of operations, and why (docs/decisions.md has the numbers):

1. Cycles renders premultiplied scene-linear colour over nothing; OpenImageDenoise denoises it.
2. Cycles does not denoise alpha, and clean colour over noisy alpha is what makes specks around
   hair. The compositor therefore denoises alpha as a picture of its own.
3. The colour is divided by alpha *before* the view transform: a tone curve of a half covered pixel
   is not half the tone curve, so transforming premultiplied colour darkens every soft edge.
4. Blender applies the view transform of the spec to the opaque straight colour; alpha is put back
   untouched. Compositing on any background happens after that, in display space, in training.
"""

from __future__ import annotations

import dataclasses
import errno
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import bpy
import imageio.v3 as imageio
import numpy as np

from synth.blender_scenes.frame import render_channels, render_to
from synth.blender_scenes.passes import read_outputs
from synth.blender_scenes.passes_views import render_truth
from synth.blender_scenes.view import RenderedView
from synth.camera import Camera
from synth.color import rgba8_from_float, unpremultiply
from synth.errors import RenderError
from synth.ground_truth import encode
from synth.record_files import encode_png
from synth.spec import HeadSpec, RenderSettings

if TYPE_CHECKING:
    from synth.blender_scenes.build import BuiltHead

_INVISIBLE = 0.5 / 255
"""Alpha that becomes 0 in eight bits; the colour there is noise divided by nothing."""


def render_views(spec: HeadSpec, built: BuiltHead) -> list[RenderedView]:
    """Render every camera of the spec, then the passes that show surfaces.

    Only the camera moves, so Cycles keeps its scene. The scene is used up afterwards.

    Args:
        spec: the head; `session.reset` and `build.build_head` were called with it.
        built: the head in the current scene.

    Raises:
        RenderError: Cycles reported an error, or wrote values that are not finite.
        SpecError: a camera that cannot be rendered.
    """
    views = []
    with Renderer(spec.render) as renderer:
        for camera in spec.resolved_cameras():
            start = time.perf_counter()
            linear, averaged = renderer.render(camera)
            rgba = renderer.display(linear)
            files = {n: encode_png(encode(n, values, camera)) for n, values in averaged.items()}
            seconds = time.perf_counter() - start
            views.append(RenderedView(camera, rgba, files, seconds=seconds))
    truths = render_truth(spec, spec.resolved_cameras(), built.points)
    return [
        dataclasses.replace(view, passes={**view.passes, **truth.files}, landmarks=truth.landmarks)
        for view, truth in zip(views, truths)
    ]


class Renderer:
    """Renders the current scene; a context manager that owns the temporary files.

    Args:
        settings: the spec's render settings, as given to `session.reset`.
    """

    def __init__(self, settings: RenderSettings):
        self._settings = settings

    def __enter__(self) -> Renderer:
        # In a worker this lies in the job directory, which is removed even after a kill -9.
        self._directory = tempfile.TemporaryDirectory(prefix="views-")
        self._png = Path(self._directory.name) / "view.png"
        render_to(Path(self._directory.name) / "view.exr")
        bpy.context.scene.render.use_compositing = self._settings.denoise
        self._display_scene = _display_scene(bpy.context.scene)
        # One image serves all views: after the removal of one, Blender hands the whole scene to
        # Cycles again, 0.7 s a view with long hair.
        side = self._settings.size
        self._image = bpy.data.images.new("display", side, side, alpha=True, float_buffer=True)
        return self

    def __exit__(self, *exception: object) -> None:
        bpy.data.images.remove(self._image)
        self._directory.cleanup()

    def render(self, camera: Camera) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Render one view.

        Returns:
            [H, W, 4] float32 scene-linear premultiplied colour and alpha, and the passes.

        Raises:
            RenderError: Cycles reported an error, or wrote values that are not finite.
        """
        channels = render_channels(camera)
        combined = [channels[f"Combined.{c}"] for c in "RGBA"]
        if self._settings.denoise:
            combined[3] = channels["Composite.Combined.A"]
        linear = np.stack(combined, axis=-1).astype(np.float32)
        if not np.isfinite(linear).all():
            bad = int((~np.isfinite(linear)).any(-1).sum())
            raise RenderError(f"view {camera.name!r}: {bad} pixels are not finite")
        linear = np.maximum(linear, 0.0)  # the denoiser may undershoot
        linear[..., 3] = np.minimum(linear[..., 3], 1.0)
        return linear, read_outputs(self._settings.passes, channels)

    def display(self, linear: np.ndarray) -> np.ndarray:
        """Scene-linear premultiplied colour to what a file holds.

        Args:
            linear: [size, size, 4] float32 as from `render`.

        Returns:
            [size, size, 4] uint8, the spec's view transform applied to the straight colour.

        Raises:
            OSError: Blender could not write the picture.
        """
        straight = unpremultiply(np.where(linear[..., 3:] < _INVISIBLE, 0.0, linear))
        opaque = np.concatenate([straight[..., :3], np.ones_like(straight[..., :1])], axis=-1)
        # Blender's first row is the lowest.
        self._image.pixels.foreach_set(np.ascontiguousarray(opaque[::-1], np.float32).ravel())
        self._png.unlink(missing_ok=True)
        try:
            self._image.save_render(str(self._png), scene=self._display_scene)
            colour = imageio.imread(self._png)[..., :3]
        except (RuntimeError, OSError) as error:
            raise OSError(errno.EIO, f"Blender could not write a picture: {error}") from error
        alpha = rgba8_from_float(linear[..., 3:])
        return np.concatenate([np.where(alpha > 0, colour, 0), alpha], axis=-1).astype(np.uint8)


def _display_scene(scene: bpy.types.Scene) -> bpy.types.Scene:
    """A scene that only holds the view transform and a lossless eight-bit output."""
    display = bpy.data.scenes.new("headloom_display")
    for name in ("view_transform", "look", "exposure", "gamma"):
        setattr(display.view_settings, name, getattr(scene.view_settings, name))
    display.render.dither_intensity = 0.0
    image = display.render.image_settings
    image.file_format = "PNG"
    image.color_mode = "RGB"
    image.color_depth = "8"
    image.compression = 0
    return display
