"""Measures light and exposure on a small scene; run by test_lights.py in Blender."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import bpy

from synth.blender_scenes import build, lights, probe, render, session
from synth.camera import orbit
from synth.color import LUMINANCE
from synth.errors import HeadloomError
from synth.sample import DatasetConfig, sample_head
from synth.spec import Accessories, AreaLight, HeadSpec, Light, RenderSettings, Sky

SETTINGS = RenderSettings(size=48, samples=8, denoise=False)
SIDES = {"front": -90.0, "left": 0.0, "back": 90.0, "right": 180.0}


def white_ball(light: Light) -> dict[str, float]:
    """Luminance of a white ball under a light, seen from four sides, and the covered share."""
    session.reset(SimpleNamespace(render=SETTINGS, light=light), threads=1)
    lights.add_lights(SimpleNamespace(light=light))
    bpy.ops.mesh.primitive_uv_sphere_add(radius=0.4, segments=32, ring_count=16)
    white = bpy.data.materials.new("white")
    white.use_nodes = True
    bpy.context.object.data.materials.append(white)
    seen = {}
    with render.Renderer(SETTINGS) as renderer:
        for side, azimuth in SIDES.items():
            linear = renderer.render(orbit(azimuth, 0.0, size=48))[0]
            seen[side] = float((linear[20:28, 20:28, :3] @ LUMINANCE).mean())
            seen["coverage"] = float(linear[..., 3].mean())
    return seen


def exposed(spec: HeadSpec, **light) -> dict:
    spec = dataclasses.replace(spec, light=dataclasses.replace(spec.light, **light))
    session.reset(spec, 1)
    built = build.build_head(spec)
    base = bpy.context.scene.view_settings.exposure
    samples = bpy.context.scene.cycles.samples
    try:
        measured = dataclasses.asdict(probe.set_exposure(spec, built))
    except HeadloomError as error:
        return {"error": f"{type(error).__name__}: {error}"}
    return {
        **measured,
        "applied": bpy.context.scene.view_settings.exposure - base,
        "samples_kept": bpy.context.scene.cycles.samples == samples,
    }


def main(out: Path) -> None:
    tall = AreaLight(-90.0, 0.0, 4.0, 0.5, 100.0, aspect=4.0)
    lamp = AreaLight(-30.0, 20.0, 4.0, 1.0, 200.0)
    spec = sample_head(DatasetConfig(size=32, samples=2), 2)
    spec = dataclasses.replace(spec, accessories=Accessories())
    plain = {"kind": "studio", "hdri": None, "sky": None, "strength": 0.1}
    result = {
        "sky": {a: white_ball(Light("sky", sky=Sky(a, 20.0))) for a in (-90.0, 0.0)},
        "clouded": white_ball(Light("sky", sky=Sky(0.0, 20.0, sun_strength=0.0))),
        "window": white_ball(Light("window", strength=0.0, areas=(tall,))),
        "one": exposed(spec, **plain, areas=(lamp,)),
        "again": exposed(spec, **plain, areas=(lamp,)),
        "four": exposed(
            spec,
            **{**plain, "strength": 0.4},
            areas=(dataclasses.replace(lamp, power_w=800.0),),
            exposure_ev=0.7,
        ),
        "unlit": exposed(spec, **{**plain, "strength": 0.0}, areas=()),
    }
    lights.add_lights(SimpleNamespace(light=Light("hdri", "bpy:city")))
    world = bpy.context.scene.world.cycles
    result["importance"] = [world.sampling_method, world.sample_map_resolution]
    lights.add_area("tall", tall)
    lamp_data = bpy.data.objects["tall"].data
    result["rectangle"] = [lamp_data.size, lamp_data.size_y]
    out.write_text(json.dumps(result))


main(Path(sys.argv[1]))
