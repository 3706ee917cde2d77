"""Builds bald heads and measures them; run by test_head.py in Blender."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import bpy
import numpy as np
from mathutils import Vector
from mathutils.bvhtree import BVHTree

from synth.blender_scenes import build, eyes, mouth, render, session, skin
from synth.headmodel import HeadModel
from synth.sample import DatasetConfig, sample_head
from synth.spec import Expression, Gaze, HeadPose, HeadSpec, Light

SIZE = 96


NARROW_JAW = {"chin-width-incr": -0.7, "chin-bones-incr": -0.7, "chin-jaw-drop-incr": -0.4}


def spec_with(melanin: float, **changes) -> HeadSpec:
    base = sample_head(DatasetConfig(size=SIZE, samples=4), 2)
    base = replace(
        base,
        skin=replace(base.skin, melanin=melanin),
        expression=Expression(),
        gaze=Gaze(),
        pose=HeadPose(),
        light=Light("ambient", strength=0.7),
        cameras=base.cameras[:1],
    )
    return replace(base, **changes)


def build_parts(spec: HeadSpec):
    session.reset(spec, threads=2)
    model = HeadModel.load()
    shape = model.shape(spec.identity, spec.expression, spec.pose)
    parts = {
        "skin": skin.build_head_skin(spec, model, shape),
        "eyes": eyes.build_eyes(spec, model, shape),
        "mouth": mouth.build_mouth(spec, model, shape),
    }
    return model, shape, parts


def points_of(item: bpy.types.Object) -> np.ndarray:
    values = np.empty(3 * len(item.data.vertices), np.float32)
    item.data.vertices.foreach_get("co", values)
    return values.reshape(-1, 3)


def escapes(model, shape, parts) -> int:
    """Points of teeth and gums that see the outside other than through the slit of the lips."""
    quads = model.faces[model.canonical[model.faces, 2].mean(axis=1) > 0.70]
    tree = BVHTree.FromPolygons(shape.to_world(shape.vertices).tolist(), quads.tolist())
    slit = shape.to_world(shape.vertices)[model.landmarks["mouth_left"], 2]
    count = 0
    for item in parts["mouth"]:
        if item.name.startswith("tongue"):
            continue
        for point in points_of(item)[::3]:
            if abs(point[2] - slit) < 0.05:  # 1 cm
                continue
            rays = ((0, -1, 0), (0.7, -0.7, 0), (-0.7, -0.7, 0))
            count += sum(tree.ray_cast(Vector(point), Vector(ray))[0] is None for ray in rays)
    return count


def picture(spec: HeadSpec) -> np.ndarray:
    build_parts(spec)
    build.add_lights(spec)
    with render.Renderer(spec.render) as renderer:
        linear, _ = renderer.render(spec.resolved_cameras()[0])
        return renderer.display(linear).astype(float)


def region(image: np.ndarray, spec: HeadSpec, landmark: str, radius: int) -> list[float]:
    model = HeadModel.load()
    shape = model.shape(spec.identity, spec.expression, spec.pose)
    point = shape.to_world(shape.vertices[model.landmarks[landmark]])[None]
    (x, y), _ = (values[0] for values in spec.resolved_cameras()[0].project(point))
    window = image[int(y) - radius : int(y) + radius + 1, int(x) - radius : int(x) + radius + 1]
    return window[..., :3].reshape(-1, 3).mean(axis=0).tolist()


def main(out: str) -> None:
    facts: dict = {}
    model, shape, parts = build_parts(spec_with(0.2))
    facts["objects"] = {part: [item.name for item in items] for part, items in parts.items()}
    facts["finite"] = all(
        np.isfinite(points_of(i)).all() for items in parts.values() for i in items
    )
    facts["materials"] = [m.name for m in parts["skin"][0].data.materials]
    facts["uv_layers"] = [layer.name for layer in parts["skin"][0].data.uv_layers]
    facts["escapes"] = escapes(model, shape, parts)
    identity = spec_with(0.2).identity
    narrow = replace(identity, shape={**identity.shape, **NARROW_JAW})
    facts["escapes_narrow"] = escapes(*build_parts(spec_with(0.2, identity=narrow)))
    model, shape, parts = build_parts(spec_with(0.2))
    keep = model.canonical[model.faces, 2].mean(axis=1) > 0.75
    cut = skin.build_head_skin(spec_with(0.2), model, shape, keep)
    facts["lowest_cut"] = float(points_of(cut[0])[:, 2].min())
    facts["lowest_whole"] = float(points_of(parts["skin"][0])[:, 2].min())
    for name, gaze in {"ahead": Gaze(), "left": Gaze(yaw_deg=10), "up": Gaze(pitch_deg=5)}.items():
        model, shape, parts = build_parts(spec_with(0.2, gaze=gaze))
        ball = points_of(parts["eyes"][0])  # the first ring of the sphere is the pupil
        facts[f"pupil_{name}"] = ball[:64].mean(axis=0).tolist()
    for name, melanin in {"light": 0.1, "dark": 0.85}.items():
        spec = spec_with(melanin)
        image = picture(spec)
        principled = bpy.data.materials["gums"].node_tree.nodes["Principled BSDF"]
        facts[f"{name}_gums"] = list(principled.inputs["Base Color"].default_value)[:3]
        facts[f"{name}_forehead"] = region(image, spec, "forehead", 3)
        facts[f"{name}_centre_alpha"] = float(image[SIZE // 2, SIZE // 2, 3])
        facts[f"{name}_corner_alpha"] = float(image[0, 0, 3])
    Path(out).write_text(json.dumps(facts))


if __name__ == "__main__":
    main(sys.argv[1])
    sys.stdout.flush()
    os._exit(0)  # Blender's own shutdown may crash
