"""One Blender scene per head: factory reset, render settings, devices.

Everything that Cycles reads is set here from the spec, so that the same spec gives the same pixels
in any process and with any number of threads.
"""

from __future__ import annotations

import bpy

from synth.blender_scenes.device import use_device
from synth.errors import SpecError
from synth.launch import Device
from synth.spec import HeadSpec, RenderSettings

DENOISED_DATA = "RGB_ALBEDO_NORMAL"
"""Guides of OpenImageDenoise; they keep the hair and the lashes apart from the skin."""


def reset(spec: HeadSpec, threads: int, device: Device = "CPU") -> str:
    """Start from Blender's factory state with an empty scene that is ready to render `spec`.

    Every Python reference to data of an earlier head is dead afterwards.

    Args:
        spec: the head whose render settings and light exposure apply.
        threads: number of CPU threads for Cycles, at least 1; the pixels do not depend on it.
        device: "CPU", or a Cycles device type; a GPU must be there, it is never replaced silently.

    Returns:
        The names of the devices that Cycles will use.

    Raises:
        SpecError: a value of `spec.render` that Blender does not know.
        DeviceError: `device` is not available.
    """
    if threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.render.threads_mode = "FIXED"
    scene.render.threads = threads
    scene.render.use_persistent_data = True
    scene.render.use_compositing = False
    scene.render.use_sequencer = False
    scene.render.film_transparent = True
    scene.render.resolution_percentage = 100
    scene.render.dither_intensity = 0.0  # dither is noise in the data
    if spec.render.denoise:
        _denoise_alpha(scene)
    _set_sampling(scene, spec.render)
    _set_colour(scene, spec.render, spec.light.exposure_ev)
    return use_device(scene, bpy.context.preferences.addons["cycles"].preferences, device)


def _set_sampling(scene: bpy.types.Scene, settings: RenderSettings) -> None:
    """Cycles as measured in docs/decisions.md; adaptive sampling would break determinism."""
    cycles = scene.cycles
    cycles.samples = settings.samples
    cycles.seed = settings.noise_seed
    cycles.use_animated_seed = False
    cycles.use_adaptive_sampling = False
    cycles.use_denoising = settings.denoise
    if settings.denoise:
        cycles.denoiser = "OPENIMAGEDENOISE"
        cycles.denoising_input_passes = DENOISED_DATA
        cycles.denoising_prefilter = "FAST"
        cycles.denoising_use_gpu = False
    cycles.max_bounces = 8
    cycles.diffuse_bounces = 3
    cycles.glossy_bounces = 3
    cycles.transmission_bounces = 4
    cycles.transparent_max_bounces = 8
    cycles.caustics_reflective = False
    cycles.caustics_refractive = False
    cycles.sample_clamp_indirect = 5.0
    cycles.blur_glossy = 0.5
    scene.cycles_curves.shape = "RIBBONS"
    scene.cycles_curves.subdivisions = 2


def _set_colour(scene: bpy.types.Scene, settings: RenderSettings, exposure_ev: float) -> None:
    view = scene.view_settings
    scene.display_settings.display_device = "sRGB"
    for field, value in (("view_transform", settings.view_transform), ("look", settings.look)):
        try:
            setattr(view, field, value)
        except TypeError as error:  # an enum of Blender; its message lists the legal names
            raise SpecError(f"spec.render.{field}: {error}") from error
    view.exposure = exposure_ev
    view.gamma = 1.0
    view.use_curve_mapping = False


def _denoise_alpha(scene: bpy.types.Scene) -> None:
    """Nodes of the compositor that denoise alpha; colour stays what Cycles' own denoiser made.

    `render.Renderer` switches them on. They are made before the scene is: made later, they would
    have Blender hand all of it to Cycles again, 0.7 s for long hair.
    """
    scene.use_nodes = True
    tree = scene.node_tree
    tree.nodes.clear()
    layers = tree.nodes.new("CompositorNodeRLayers")
    grey = tree.nodes.new("CompositorNodeCombineColor")
    for channel in range(3):
        tree.links.new(layers.outputs["Alpha"], grey.inputs[channel])
    denoise = tree.nodes.new("CompositorNodeDenoise")
    denoise.use_hdr = False
    denoise.quality = "FAST"  # half the time of "HIGH", and as near to the truth
    tree.links.new(grey.outputs[0], denoise.inputs["Image"])
    clean = tree.nodes.new("CompositorNodeSeparateColor")
    tree.links.new(denoise.outputs[0], clean.inputs[0])
    join = tree.nodes.new("CompositorNodeSetAlpha")
    join.mode = "REPLACE_ALPHA"
    tree.links.new(layers.outputs["Image"], join.inputs["Image"])
    tree.links.new(clean.outputs[0], join.inputs["Alpha"])
    composite = tree.nodes.new("CompositorNodeComposite")
    tree.links.new(join.outputs[0], composite.inputs[0])
