"""Measures the render path on tiny scenes; run by test_render.py in Blender.

Every entry of the result is plain data, so that the assertions stand in the test.
"""

from __future__ import annotations

import contextlib
import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import bpy
import numpy as np

from synth.blender_scenes import environment, frame, lights, log, render, session
from synth.camera import orbit
from synth.errors import HeadloomError
from synth.spec import Light, RenderSettings

SIZE = 48


def reset(exposure_ev: float = 0.0, device: str = "CPU", **settings) -> RenderSettings:
    render_settings = RenderSettings(**{"size": SIZE, "samples": 4, "denoise": False, **settings})
    light = Light(kind="ambient", exposure_ev=exposure_ev)
    session.reset(SimpleNamespace(render=render_settings, light=light), threads=2, device=device)
    return render_settings


def emitting(colour: tuple[float, float, float], opacity: float = 1.0) -> bpy.types.Material:
    material = bpy.data.materials.new("emitting")
    material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    emission = tree.nodes.new("ShaderNodeEmission")
    emission.inputs["Color"].default_value = (*colour, 1.0)
    clear = tree.nodes.new("ShaderNodeBsdfTransparent")
    mix = tree.nodes.new("ShaderNodeMixShader")
    mix.inputs[0].default_value = opacity
    tree.links.new(clear.outputs[0], mix.inputs[1])
    tree.links.new(emission.outputs[0], mix.inputs[2])
    output = tree.nodes.new("ShaderNodeOutputMaterial")
    tree.links.new(mix.outputs[0], output.inputs[0])
    return material


def sphere(material: bpy.types.Material) -> None:
    bpy.ops.mesh.primitive_uv_sphere_add(radius=0.6, segments=64, ring_count=32)
    bpy.context.object.data.materials.append(material)


def picture(settings: RenderSettings, azimuth_deg: float = -90.0) -> np.ndarray:
    with render.Renderer(settings) as renderer:
        linear, _ = renderer.render(orbit(azimuth_deg, 0.0, size=SIZE))
        return renderer.display(linear)


def display_of(colour: tuple[float, float, float], opacity: float, **settings) -> list:
    kept = reset(**settings)
    sphere(emitting(colour, opacity))
    return picture(kept)[SIZE // 2, SIZE // 2].tolist()


def edge_colours(colour: tuple[float, float, float]) -> dict:
    settings = reset(samples=64)
    sphere(emitting(colour))
    rgba = picture(settings).astype(int)
    soft = (rgba[..., 3] > 40) & (rgba[..., 3] < 215)
    inside = rgba[SIZE // 2, SIZE // 2, :3]
    return {
        "soft_pixels": int(soft.sum()),
        "largest_difference": int(np.abs(rgba[soft][:, :3] - inside).max()),
        "clear_pixels_are_black": bool((rgba[rgba[..., 3] == 0] == 0).all()),
    }


def fuzzy_alpha(denoise: bool, samples: int) -> np.ndarray:
    settings = reset(denoise=denoise, samples=samples)
    rng = np.random.default_rng(0)
    direction = rng.normal(size=(2500, 1, 3))
    direction /= np.linalg.norm(direction, axis=2, keepdims=True)
    points = direction * np.linspace(0.3, 0.8, 6)[None, :, None]
    curves = bpy.data.hair_curves.new("fuzz")
    curves.add_curves([6] * len(points))
    curves.attributes["position"].data.foreach_set("vector", points.astype("f4").ravel())
    radius = curves.attributes.new("radius", "FLOAT", "POINT")
    radius.data.foreach_set("value", np.full(points.shape[:2], 0.002, "f4").ravel())
    curves.materials.append(emitting((0.05, 0.03, 0.02)))
    bpy.context.scene.collection.objects.link(bpy.data.objects.new("fuzz", curves))
    with render.Renderer(settings) as renderer:
        return renderer.render(orbit(-90.0, 0.0, size=SIZE))[0][..., 3]


def alpha_errors() -> dict:
    reference = fuzzy_alpha(False, 512)
    return {
        name: float(np.sqrt(((fuzzy_alpha(denoise, 8) - reference) ** 2).mean()))
        for name, denoise in (("noisy", False), ("denoised", True))
    }


def brightest_azimuth(column: int, rotation_deg: float) -> dict:
    """Where a lamp in a map's column really shines from, and where `environment` thinks so."""
    settings = reset()
    pixels = np.zeros((16, 64, 3), np.float32)
    pixels[6:10, column] = 20.0
    image = bpy.data.images.new("map", 64, 16, float_buffer=True)
    rgba = np.concatenate([pixels, np.ones((16, 64, 1), np.float32)], axis=-1)
    image.pixels.foreach_set(rgba[::-1].ravel())
    image_path = Path(bpy.app.tempdir) / "map.exr"
    image.filepath_raw = str(image_path)
    image.file_format = "OPEN_EXR"
    image.save()
    lights.resolve = lambda *_: image_path
    lights.add_lights(SimpleNamespace(light=Light("hdri", "bpy:test", rotation_deg)))
    material = bpy.data.materials.new("white")
    material.use_nodes = True
    sphere(material)
    azimuths = np.arange(-180, 180, 20)
    with render.Renderer(settings) as renderer:
        seen = [
            renderer.render(orbit(a, 0.0, size=SIZE))[0][18:30, 18:30, :3].mean() for a in azimuths
        ]
    weights = np.maximum(np.array(seen) - np.median(seen), 0)
    angle = np.radians(azimuths)
    rendered = math.degrees(math.atan2(weights @ np.sin(angle), weights @ np.cos(angle)))
    fronts = [environment.face_irradiance(pixels, rotation_deg - 90 - a) for a in azimuths]
    weights = np.maximum(np.array(fronts) - np.median(fronts), 0)
    computed = math.degrees(math.atan2(weights @ np.sin(angle), weights @ np.cos(angle)))
    return {"rendered": rendered, "computed": computed}


def error_of(action) -> str:
    try:
        action()
    except HeadloomError as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


def captured_c_output() -> str:
    with log.captured_output() as output:
        print("from Python")
        bpy.ops.render.render(write_still=False)
    return output.text


def main(out: Path) -> None:
    red = (0.6, 0.2, 0.1)
    result = {
        "opaque": display_of(red, 1.0),
        "half": display_of(red, 0.5, samples=256),
        "standard": display_of(red, 1.0, view_transform="Standard", look="None"),
        "bright": display_of((1.5, 1.5, 1.5), 1.0),
        "bright_standard": display_of((1.5, 1.5, 1.5), 1.0, view_transform="Standard", look="None"),
        "one_stop_darker": display_of(red, 1.0, exposure_ev=-1.0, view_transform="Standard",
                                      look="None"),
        "edges": edge_colours(red),
        "alpha_rmse": alpha_errors(),
        "map": [brightest_azimuth(12, 0.0), brightest_azimuth(40, 70.0)],
        "unknown_view": error_of(lambda: reset(view_transform="Filmik")),
        "missing_gpu": error_of(lambda: reset(device="OPTIX")),
    }  # fmt: skip
    settings = reset()
    sphere(emitting(red))
    bpy.context.scene.camera = None
    with render.Renderer(settings) as renderer:
        renderer.render(orbit(-90.0, 0.0, size=SIZE))
        result["captured"] = captured_c_output()
        corners = np.zeros((SIZE, SIZE, 4), np.float32)
        corners[0, 0] = (1, 0, 0, 1)  # red on the upper left
        corners[-1, -2] = (0, 1, 0, 1)  # green on the lower right
        result["corners"] = renderer.display(corners)[[0, -1]][:, [0, -2]].tolist()
        view = orbit(-90.0, 0.0, size=SIZE, name="front")
        print_instead = "ok\nError: out of memory\n"
        frame.captured_output = lambda: contextlib.nullcontext(log.CapturedOutput(print_instead))
        result["reported"] = error_of(lambda: frame.render_channels(view))
    out.write_text(json.dumps(result))


main(Path(sys.argv[1]))
