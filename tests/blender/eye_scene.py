"""Renders close-ups of eyes and ears in many lights and measures them; run by test_eyes.py."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import bpy
import numpy as np

from synth import camera as cameras
from synth.blender_scenes import eyes, lights, render, session, skin
from synth.color import LUMINANCE
from synth.gaze import lines_of_sight
from synth.headmodel import HeadModel
from synth.sample import DatasetConfig, sample_head
from synth.sample_palettes import IRISES
from synth.spec import AreaLight, Expression, Gaze, HeadPose, HeadSpec, Light, Sky

SIZE = 96
WIDE = Expression("wide", {"eyeWideLeft": 0.9, "eyeWideRight": 0.9})
"""No lid over the iris, whoever it is."""
KEY = AreaLight(-130.0, 25.0, 4.0, 1.2, 220.0)
LIGHTS = {
    "ambient": Light("ambient", strength=0.65),
    "studio": Light("studio", strength=0.08, areas=(KEY,)),
    "window": Light(
        "window", strength=0.1, areas=(AreaLight(-45.0, 15.0, 4.0, 2.2, 260.0, aspect=1.6),)
    ),
    "hdri": Light("hdri", "bpy:city", 40.0, 1.0, areas=(AreaLight(-75.0, 25.0, 4.0, 2.5, 90.0),)),
    "sky": Light("sky", sky=Sky(-110.0, 35.0, sun_size_deg=2.0)),
}
RIM = Light("studio", strength=0.02, areas=(AreaLight(80.0, 5.0, 4.0, 1.0, 500.0),))


def spec_with(iris: str = "dark_brown", light: Light = LIGHTS["ambient"], **changes) -> HeadSpec:
    base = sample_head(DatasetConfig(size=SIZE, samples=12), 2)
    colour, shade = IRISES[iris], 0.7  # the middle of what is sampled
    dark, light_fibres, inner = (
        tuple(shade * c for c in rgb) for rgb in (colour.dark, colour.light, colour.inner)
    )
    own = replace(
        base.eyes, iris_name=iris, iris_dark=dark, iris_light=light_fibres, iris_inner=inner,
        pupil=0.36, yellowing=0.1, arcus=0.0,
    )  # fmt: skip
    plain = replace(
        base, skin=replace(base.skin, melanin=0.15), eyes=own, expression=WIDE,
        gaze=Gaze(), pose=HeadPose(), light=light, cameras=base.cameras[:1],
    )  # fmt: skip
    return replace(plain, **changes)


class Scene:
    """A bald head in the current scene."""

    def __init__(self, spec: HeadSpec):
        session.reset(spec, threads=2)
        self.spec, self.model = spec, HeadModel.load()
        self.shape = self.model.shape(spec.identity, spec.expression, spec.pose)
        self.skin = skin.build_head_skin(spec, self.model, self.shape)
        self.eyes = {e.name: e for e in eyes.build_eyes(spec, self.model, self.shape)}
        lights.add_lights(spec)

    def closeup(self, target: np.ndarray, fov_deg: float) -> tuple[np.ndarray, cameras.Camera]:
        """Linear picture [SIZE, SIZE, 3] from the front, `target` (world) in its middle."""
        camera = cameras.orbit(-90, 0, radius=2.7, fov_deg=fov_deg, size=SIZE, name="closeup")
        (place,), _ = camera.project(target[None])
        K = camera.K.copy()
        K[:2, 2] += SIZE / 2 - place
        camera = replace(camera, K=K)
        with render.Renderer(self.spec.render) as renderer:
            linear, _ = renderer.render(camera)
        return linear[..., :3].astype(float), camera

    def points(self, name: str) -> np.ndarray:
        """Vertices [N, 3] of a part of the eyes in model space, metres."""
        mesh = self.eyes[name].data
        values = np.empty(3 * len(mesh.vertices), np.float32)
        mesh.vertices.foreach_get("co", values)
        world = values.reshape(-1, 3).astype(float)
        return (world - self.shape.world_from_model[:3, 3]) / self.shape.units_per_metre


def measure_eye(scene: Scene) -> dict[str, float]:
    """Luminances of the left eye: pupil, iris, sclera, highlight; and of the cheek below."""
    eye, spec = scene.shape.eyes[0], scene.spec
    line = lines_of_sight(spec.gaze, scene.shape.eyes)[0]
    iris = eye.center + line * eye.radius
    picture, camera = scene.closeup(scene.shape.to_world(iris), 5.0)
    shown = picture @ LUMINANCE
    rows, columns = np.mgrid[:SIZE, :SIZE] + 0.5
    (middle,), _ = camera.project(scene.shape.to_world(iris)[None])
    edge = iris + np.array([eye.radius * spec.eyes.iris_radius, 0, 0])
    (side,), _ = camera.project(scene.shape.to_world(edge)[None])
    unit = abs(side[0] - middle[0])
    x, y = (columns - middle[0]) / unit, (rows - middle[1]) / unit
    radius = np.hypot(x, y)
    lower = (y > -0.15) & (y < 0.7)
    (cheek,), _ = camera.project(
        scene.shape.to_world(iris - np.array([0, 0, 2.6 * eye.radius * spec.eyes.iris_radius]))[
            None
        ]
    )
    below = np.hypot(columns - cheek[0], rows - cheek[1]) < 4
    return {
        "pupil": float(np.median(shown[radius < 0.25])),
        "iris": float(np.median(shown[(radius > 0.5) & (radius < 0.8) & lower])),
        "sclera": float(np.median(shown[(radius > 1.2) & (radius < 1.5) & (abs(y) < 0.35)])),
        "highlight": float(np.quantile(shown[radius < 0.65], 0.99)),
        "skin": float(np.median(shown[below])),
    }


def catch_lights() -> list[bpy.types.Object]:
    return [o for o in bpy.data.objects if o.name.startswith(eyes.CATCH_LIGHT)]


def receivers(lamp: bpy.types.Object) -> list[str]:
    return sorted(o.name for o in lamp.light_linking.receiver_collection.objects)


def measure_rim(scene: Scene) -> dict[str, float]:
    """Where tear line and caruncle lie, in millimetres from the left eyeball and its lids."""
    eye = scene.shape.eyes[0]
    tear, caruncle = scene.points("tear_left"), scene.points("caruncle_left")
    above = np.linalg.norm(tear - eye.center, axis=1) - 0.985 * eye.radius
    lining = np.linalg.norm(scene.points("conjunctiva_left") - eye.center, axis=1)
    corner = scene.shape.eyes[0].center - scene.shape.eyes[1].center
    inwards = -(caruncle.mean(axis=0) - eye.center) @ corner / np.linalg.norm(corner)
    return {
        "tear_lowest": 1000 * float(above.min()),
        "tear_highest": 1000 * float(above.max()),
        "tear_width": 1000 * float(np.linalg.norm(np.ptp(tear, axis=0))),
        "lining_lowest": 1000 * float(lining.min() - 0.985 * eye.radius),
        "lining_highest": 1000 * float(lining.max() - 0.985 * eye.radius),
        "caruncle_inwards": 1000 * float(inwards),
        "caruncle_from_ball": 1000
        * float(np.linalg.norm(caruncle - eye.center, axis=1).max() - eye.radius),
    }


def ear_redness(subsurface: bool) -> float:
    """Red over green of the left ear's rim against the light."""
    scene = Scene(spec_with(light=RIM))
    if not subsurface:
        for material in scene.skin[0].data.materials:
            for node in material.node_tree.nodes:
                if node.type == "BSDF_PRINCIPLED":
                    weight = node.inputs["Subsurface Weight"]
                    material.node_tree.links.remove(weight.links[0])
                    weight.default_value = 0.0
    ear = np.argmin(np.linalg.norm(scene.model.canonical - [0.086, -0.040, 0.885], axis=1))
    picture, _ = scene.closeup(scene.shape.to_world(scene.shape.vertices[ear]), 5.0)
    seen = picture.sum(axis=2) > 0.02
    middle = np.hypot(*(np.mgrid[:SIZE, :SIZE] - SIZE / 2)) < 16
    glow = picture[seen & middle]
    # highlights on the edge itself are white: take the reddest half
    ratio = glow[:, 0] / np.maximum(glow[:, 1], 1e-4)
    return float(np.quantile(ratio, 0.75))


def main(out: str) -> None:
    facts: dict = {"light": {}, "blue": {}, "catch_lights": {}}
    for name, light in LIGHTS.items():
        scene = Scene(spec_with(light=light))
        facts["light"][name] = measure_eye(scene)
        facts["catch_lights"][name] = [receivers(lamp) for lamp in catch_lights()]
        if name == "ambient":
            facts["rim"] = measure_rim(scene)
            forehead = np.argmin(np.linalg.norm(scene.model.canonical - [0, -0.15, 0.945], axis=1))
            target = scene.shape.to_world(scene.shape.vertices[forehead])
            with_light, _ = scene.closeup(target, 4.0)
            bpy.data.objects.remove(catch_lights()[0])
            without, _ = scene.closeup(target, 4.0)
            facts["catch_light_on_skin"] = float(np.abs(with_light - without).max())
    for name in ("ambient", "studio"):
        facts["blue"][name] = measure_eye(Scene(spec_with("blue", LIGHTS[name])))
    blink = Expression("blink", {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0})
    closed = Scene(spec_with(expression=blink))
    facts["finite_when_closed"] = all(
        bool(np.isfinite(closed.points(name)).all()) for name in closed.eyes
    )
    facts["ear"] = {"with": ear_redness(True), "without": ear_redness(False)}
    Path(out).write_text(json.dumps(facts))


if __name__ == "__main__":
    main(sys.argv[1])
    sys.stdout.flush()
    os._exit(0)  # Blender's own shutdown may crash
