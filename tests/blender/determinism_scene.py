"""Renders one small real head and writes digests of its pixels; run by test_determinism.py."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from pathlib import Path

import bpy

from synth.blender_scenes import build, checks, frame, probe, render, session
from synth.sample import DatasetConfig, sample_head
from synth.spec import HeadSpec, OrbitCamera


def small_head() -> HeadSpec:
    """One head with all that is drawn at random inside a builder, however odd together."""
    config = DatasetConfig(size=48, samples=2, passes=("albedo", "coverage"))
    spec = sample_head(config, 3)
    worn = (sample_head(config, index).accessories for index in range(1000))
    return dataclasses.replace(
        spec,
        hair=dataclasses.replace(spec.hair, style="ponytail", strands=2000),
        facial_hair=dataclasses.replace(spec.facial_hair, beard="full", beard_density=1.0),
        clothes=dataclasses.replace(spec.clothes, pattern="print"),
        accessories=next(accessories for accessories in worn if accessories.glasses is not None),
        cameras=(OrbitCamera("front", -90.0, 0.0), OrbitCamera("high", 30.0, 40.0)),
    )


def main(out: Path, threads: int) -> None:
    spec = small_head()
    session.reset(spec, threads)
    scene = bpy.context.scene
    settings = {
        "noise_seed": scene.cycles.seed,
        "animated_seed": scene.cycles.use_animated_seed,
        "adaptive": scene.cycles.use_adaptive_sampling,
        "threads": [scene.render.threads_mode, scene.render.threads],
        "dither": scene.render.dither_intensity,
    }
    built = build.build_head(spec)
    checks.before(spec, built)
    logs: list[str] = []
    frame.raise_reported = lambda log, where: logs.append(log)
    probe.set_exposure(spec, built)
    views = render.render_views(spec, built)
    result = {
        "spec_id": spec.spec_id,
        "wanted_noise_seed": spec.render.noise_seed,
        "settings": settings,
        "pixels": [hashlib.sha256(view.rgba.tobytes()).hexdigest() for view in views],
        "objects_handed_over": [log.count("Synchronizing object") for log in logs],
        "shapes": [view.rgba.shape for view in views],
        "meta": checks.after(spec, views),
        "parts": {part: len(objects) for part, objects in built.objects.items()},
        "pass_index": {
            part: sorted({item.pass_index for item in objects})
            for part, objects in built.objects.items()
        },
    }
    out.write_text(json.dumps(result))


main(Path(sys.argv[1]), int(sys.argv[2]))
