"""Run by test_accessories_scene.py in Blender: what is worn on two heads, as objects and pixels."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path

import bpy
import imageio.v3 as imageio
import numpy as np

from synth.blender_scenes import build, checks, render, session
from synth.blender_scenes.accessories import build_glasses
from synth.blender_scenes.passes_labels import label_parts
from synth.color import LUMINANCE, linear_from_srgb
from synth.ground_truth import LABELS
from synth.sample import DatasetConfig, sample_head
from synth.spec import (
    Accessories,
    Earrings,
    Expression,
    Glasses,
    HeadPose,
    HeadSpec,
    Headwear,
    Light,
    OrbitCamera,
)

SIZE = 96
CLEAR = Glasses("rectangle", (0.01, 0.01, 0.01), 0.0018)
LENSES = {
    "clear": CLEAR,
    "tinted": dataclasses.replace(CLEAR, tint=0.9),
    "gradient": dataclasses.replace(CLEAR, tint=0.9, gradient=0.9),
}
HOOPS = Earrings("hoop", (0.83, 0.62, 0.3), 0.04)


def head(accessories: Accessories, style: str, *views: str) -> HeadSpec:
    base = sample_head(DatasetConfig(size=SIZE, samples=8, passes=("segmentation",)), 3)
    cameras = {
        "front": OrbitCamera("front", -90.0, 0.0),
        "left": OrbitCamera("left", 0.0, 0.0),
        "face": OrbitCamera("face", -90.0, 0.0, fov_deg=20.0),
    }
    return dataclasses.replace(
        base,
        accessories=accessories,
        hair=dataclasses.replace(base.hair, style=style),
        expression=Expression(),
        pose=HeadPose(),
        light=Light("ambient", strength=0.8),
        cameras=tuple(cameras[name] for name in views),
    )


def built(spec: HeadSpec) -> build.BuiltHead:
    session.reset(spec, threads=2)
    made = build.build_head(spec)
    checks.before(spec, made)
    return made


def labels_of(view) -> np.ndarray:
    return imageio.imread(view.passes["segmentation"])


def seen(spec: HeadSpec, made: build.BuiltHead) -> dict[str, int]:
    """Pixels of every label, all views together."""
    views = render.render_views(spec, made)
    counts = np.bincount(np.concatenate([labels_of(v).ravel() for v in views]), minlength=17)
    return {name: int(counts[number]) for name, number in LABELS.items()}


def objects(made: build.BuiltHead) -> dict[str, list]:
    return {
        part: [[item.name, item.pass_index, bool(item.visible_shadow)] for item in items]
        for part, items in made.objects.items()
    }


def lens_luminance(spec: HeadSpec, made: build.BuiltHead) -> dict[str, list[float]]:
    """Mean linear luminance of the upper and the lower half of the lenses, for every kind."""
    pictures, lenses = {}, made.objects["glasses"]
    for name, glasses in LENSES.items():
        for item in lenses:
            bpy.data.objects.remove(item)
        worn = dataclasses.replace(spec, accessories=Accessories(glasses))
        lenses = build_glasses(worn, made.model, made.shape)
        with render.Renderer(spec.render) as renderer:
            linear, _ = renderer.render(spec.resolved_cameras()[0])
            rgb = renderer.display(linear)[..., :3] / 255.0
        pictures[name] = linear_from_srgb(rgb) @ LUMINANCE
    label_parts({"glasses": lenses})
    outline = labels_of(render.render_views(spec, made)[0]) == LABELS["glasses_lens"]
    rows = np.flatnonzero(outline.any(axis=1))
    upper = np.arange(SIZE)[:, None] <= (rows[0] + rows[-1]) // 2
    return {
        name: [float(luminance[outline & half].mean()) for half in (upper, ~upper)]
        for name, luminance in pictures.items()
    }


def main(out: str) -> None:
    facts: dict = {}
    beanie = Headwear("beanie", (0.3, 0.05, 0.05), (0.1, 0.1, 0.1), fit_seed=1)
    spec = head(Accessories(LENSES["tinted"], beanie, HOOPS), "crop", "front", "left")
    made = built(spec)
    facts["hat"] = {"objects": objects(made), "seen": seen(spec, made)}
    scarf = Headwear("headscarf", (0.1, 0.2, 0.4), (0.8, 0.8, 0.8), pattern="print", fit_seed=1)
    spec = head(Accessories(None, scarf, None), "long", "front", "left")
    made = built(spec)
    facts["scarf"] = {"objects": objects(made), "seen": seen(spec, made)}
    spec = head(Accessories(LENSES["tinted"]), "bald", "face")
    facts["lenses"] = lens_luminance(spec, built(spec))
    Path(out).write_text(json.dumps(facts))


if __name__ == "__main__":
    main(sys.argv[1])
    sys.stdout.flush()
    os._exit(0)  # Blender's own shutdown may crash
