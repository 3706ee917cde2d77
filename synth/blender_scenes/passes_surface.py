"""What lies at the centre of every pixel: one ray a pixel, no light, one material for everything.

The passes that Cycles writes beside a picture mix surfaces: normals are averaged over the pixel and
bent by textures, and where a lens or a cornea happens to reflect, depth is lost. A render of its
own with one sample in the middle of each pixel, and with every material replaced by one that only
tells labels, is exact and cheap beside the picture. It also shows the head without hair.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np

from synth.blender_scenes.frame import render_channels, render_to
from synth.blender_scenes.nodes import Shader
from synth.blender_scenes.passes_labels import CLEAR, INNER_LABELS, inner_weights, labelled_objects
from synth.camera import Camera
from synth.ground_truth import COVERING_LABELS, LABELS

_AOV = "headloom_surface"
_NOTHING = 1e9
"""Cycles writes 1e10 where no surface was hit."""


@dataclass(frozen=True, eq=False)
class Surface:
    """The first opaque surface behind the centre of every pixel of a view.

    Attributes:
        depth: [H, W] float32, along the camera's z in scene units, 0 where nothing is.
        normal: [H, W, 3] float32, world axes, unit, 0 where nothing is.
        label: [H, W] uint8, a number of `LABELS`; never a lens.
        behind_lens: [H, W] bool, whether a lens lies in front.
    """

    depth: np.ndarray
    normal: np.ndarray
    label: np.ndarray
    behind_lens: np.ndarray

    @property
    def seen(self) -> np.ndarray:
        """[H, W] uint8, the labels with the lenses on top."""
        return np.where(self.behind_lens, LABELS["glasses_lens"], self.label).astype(np.uint8)


class SurfaceRenderer:
    """Renders surfaces of the current scene; a context manager that owns the temporary file.

    It changes the scene for good (materials, sampling, passes), so it comes after the pictures.
    """

    def __enter__(self) -> SurfaceRenderer:
        self._directory = tempfile.TemporaryDirectory(prefix="surfaces-")
        scene, layer = bpy.context.scene, bpy.context.view_layer
        render_to(Path(self._directory.name) / "surface.exr")
        scene.render.use_compositing = False
        cycles = scene.cycles
        cycles.samples = 1
        cycles.use_denoising = False
        cycles.pixel_filter_type = "BOX"
        cycles.filter_width = 0.01
        cycles.max_bounces = 0
        for aov in list(layer.aovs):
            layer.aovs.remove(aov)
        layer.aovs.add().name = _AOV
        layer.use_pass_z = layer.use_pass_normal = True
        layer.material_override = _label_material()
        return self

    def __exit__(self, *exception: object) -> None:
        self._directory.cleanup()

    def uncover(self) -> None:
        """Take away hair, beard, headwear, glasses and earrings."""
        for item in labelled_objects(*COVERING_LABELS):
            item.hide_render = True

    def render(self, camera: Camera) -> Surface:
        """Render the surfaces of one view.

        Raises:
            RenderError: Cycles reported an error.
        """
        channels = render_channels(camera)
        depth = channels["Depth.Z"].astype(np.float32)
        found = depth < _NOTHING
        normal = np.stack([channels[f"Normal.{c}"] for c in "XYZ"], axis=-1)
        length = np.linalg.norm(normal, axis=-1, keepdims=True)
        return Surface(
            depth=np.where(found, depth, np.float32(0)),
            normal=np.where(found[..., None], normal / np.maximum(length, 1e-6), 0.0),
            label=channels[f"{_AOV}.R"].round().astype(np.uint8),
            behind_lens=channels[f"{_AOV}.G"] > 0.5,
        )


def _label_material() -> bpy.types.Material:
    """Black and opaque, or clear for lenses and corneas; tells label and lens to the AOV.

    An AOV adds up the surfaces that a ray meets up to the first one that is not clear.
    """
    shader = Shader("surface_labels")
    index = shader.node("ShaderNodeObjectInfo").outputs["Object Index"]
    label = index
    for outer in INNER_LABELS:
        for inner, weight in inner_weights(shader, outer).items():
            step = float(LABELS[inner] - LABELS[outer])
            label = shader.math("MULTIPLY_ADD", weight, step, label)
    is_lens = shader.math("COMPARE", index, float(LABELS["glasses_lens"]), 0.5)
    is_clear = shader.math("MAXIMUM", is_lens, shader.math("COMPARE", index, float(CLEAR), 0.5))
    opaque_label = shader.math("MULTIPLY", label, shader.math("SUBTRACT", 1.0, is_clear))
    told = shader.node("ShaderNodeCombineXYZ", {0: opaque_label, 1: is_lens, 2: 0.0})
    shader.node("ShaderNodeOutputAOV", {"Color": told}, aov_name=_AOV)
    black = shader.node("ShaderNodeBsdfDiffuse", {"Color": (0.0, 0.0, 0.0)})
    clear = shader.node("ShaderNodeBsdfTransparent")
    return shader.surface(shader.mix_shader(is_clear, black, clear))
