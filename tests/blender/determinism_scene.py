"""Renders one small real head and writes digests of its pixels; run by test_determinism.py."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from pathlib import Path

from synth.blender_scenes import build, checks, render, session
from synth.sample import DatasetConfig, sample_head
from synth.spec import HeadSpec, OrbitCamera


def small_head() -> HeadSpec:
    spec = sample_head(DatasetConfig(size=48, samples=2), 3)
    hair = dataclasses.replace(spec.hair, strands=2000)
    cameras = (OrbitCamera("front", -90.0, 0.0), OrbitCamera("high", 30.0, 40.0))
    return dataclasses.replace(spec, hair=hair, cameras=cameras)


def main(out: Path, threads: int) -> None:
    spec = small_head()
    session.reset(spec, threads)
    built = build.build_head(spec)
    checks.before(spec, built)
    views = list(render.render_views(spec, built))
    result = {
        "spec_id": spec.spec_id,
        "pixels": [hashlib.sha256(view.rgba.tobytes()).hexdigest() for view in views],
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
