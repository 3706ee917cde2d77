"""The light meter: a small, coarse render of the face, from which its exposure follows."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import bpy
import numpy as np

from synth.blender_scenes.exposure import Exposure, expose
from synth.blender_scenes.frame import render_channels, render_to
from synth.camera import orbit
from synth.color import LUMINANCE
from synth.quality import PROBE_SIDE
from synth.spec import HeadSpec

if TYPE_CHECKING:
    from synth.blender_scenes.build import BuiltHead

SAMPLES = 8
FOV_DEG = 17.0
"""The frame is 0.8 units wide at the head: chin to forehead and a little of the ears."""


def set_exposure(spec: HeadSpec, built: BuiltHead) -> Exposure:
    """Measure the face under the light of the current scene and expose the scene for it.

    Args:
        spec: the head; `session.reset` was called with it.
        built: the head in the current scene, with its lights.

    Raises:
        RenderInvalid: no skin is seen, or no light reaches it.
        RenderError: Cycles could not render, or reported an error.
    """
    exposure = expose(_skin_luminance(built), spec.skin.melanin)
    bpy.context.scene.view_settings.exposure += exposure.stops
    return exposure


def _skin_luminance(built: BuiltHead) -> np.ndarray:
    """[n] scene-linear luminance of the probe's pixels that show skin."""
    skin = {item.pass_index for item in built.objects["skin"]}
    camera = orbit(-90.0, 0.0, fov_deg=FOV_DEG, size=PROBE_SIDE, name="exposure probe")
    with tempfile.TemporaryDirectory(prefix="probe-") as directory, _coarse():
        render_to(Path(directory) / "probe.exr")
        channels = render_channels(camera)
    colour = np.stack([channels[f"Combined.{c}"] for c in "RGB"], axis=-1)
    index = channels["IndexOB.X"].round().astype(int)
    seen = np.isin(index, sorted(skin)) & (channels["Combined.A"] > 0.99)
    luminance = colour[seen].astype(np.float64) @ LUMINANCE
    return luminance[np.isfinite(luminance)]


@contextmanager
def _coarse() -> Iterator[None]:
    """The probe's sampling, taken back at the end."""
    scene, layer = bpy.context.scene, bpy.context.view_layer
    changes = (
        (scene.cycles, "samples", SAMPLES),
        (scene.cycles, "use_denoising", False),
        (layer, "use_pass_object_index", True),
    )
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in changes]
    try:
        for owner, name, value in changes:
            setattr(owner, name, value)
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)
