"""Renders small emissive spheres through several cameras; run by test_marker.py in Blender."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import bpy
import numpy as np

from synth.blender_scenes import render, session
from synth.blender_scenes.passes_surface import SurfaceRenderer
from synth.camera import Camera, canonical_six, look_at, orbit
from synth.spec import Light, RenderSettings

RADIUS = 0.02
POINTS = np.array(
    [[0.43, -0.31, 0.38], [-0.37, 0.22, 0.29], [0.19, 0.41, -0.33], [-0.24, -0.45, -0.21],
     [0.07, -0.12, 0.11]]
)  # fmt: skip


def cameras() -> list[Camera]:
    six = canonical_six(192)
    plain = look_at((1.1, -2.2, 0.9), width=192, height=192)
    off_centre = plain.K.copy()
    off_centre[:2, 2] += (17.0, -11.0)
    tall = plain.K.copy()
    tall[1, 1] *= 0.7
    roll = np.eye(4)
    roll[:2, :2] = [[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]]
    return [
        six[0],
        six[1],
        six[3],
        orbit(-37.0, 48.0, size=192, name="high"),
        orbit(101.0, -23.0, size=192, name="low", fov_deg=41.0),
        look_at((-0.8, -2.5, 0.4), width=240, height=144, fov_deg=60.0, name="wide"),
        dataclasses.replace(plain, K=off_centre, name="off_centre"),
        dataclasses.replace(plain, K=tall, name="tall_pixels"),
        dataclasses.replace(plain, cam_from_world=roll @ plain.cam_from_world, name="rolled"),
    ]


def add_markers() -> list[bpy.types.Object]:
    material = bpy.data.materials.new("marker")
    material.use_nodes = True
    material.node_tree.nodes.clear()
    emission = material.node_tree.nodes.new("ShaderNodeEmission")
    output = material.node_tree.nodes.new("ShaderNodeOutputMaterial")
    material.node_tree.links.new(emission.outputs[0], output.inputs[0])
    objects = []
    for point in POINTS:
        bpy.ops.mesh.primitive_uv_sphere_add(
            radius=RADIUS, location=point.tolist(), segments=48, ring_count=24
        )
        bpy.context.object.data.materials.append(material)
        objects.append(bpy.context.object)
    return objects


def sphere_image_centre(camera: Camera, point: np.ndarray) -> np.ndarray:
    """Where the centroid of the sphere's image lies: its outline projects to an ellipse.

    The centroid of a projected sphere is not the projection of its centre; the expectation samples
    the outline, so that the test is exact also far from the optical axis.
    """
    centre = camera.cam_from_world[:3, :3] @ point + camera.cam_from_world[:3, 3]
    distance = np.linalg.norm(centre)
    axis = centre / distance
    across = np.cross(axis, [0.0, 1.0, 0.0])
    across /= np.linalg.norm(across)
    angle = np.linspace(0, 2 * np.pi, 720, endpoint=False)[:, None]
    circle = np.cos(angle) * across + np.sin(angle) * np.cross(axis, across)
    sine = RADIUS / distance
    rim = axis * np.sqrt(1 - sine**2) + circle * sine
    image = rim @ camera.K.T
    image = image[:, :2] / image[:, 2:]
    x, y = image.T
    x2, y2 = np.roll(x, -1), np.roll(y, -1)
    cross = x * y2 - x2 * y
    return np.array([((x + x2) * cross).sum(), ((y + y2) * cross).sum()]) / (3 * cross.sum())


def measure(camera: Camera, index: int, alpha: np.ndarray, depth_pass: np.ndarray) -> dict:
    y, x = np.mgrid[: camera.height, : camera.width] + 0.5
    found = np.array([(alpha * x).sum(), (alpha * y).sum()]) / alpha.sum()
    _, depth = camera.project(POINTS[index : index + 1])
    return {
        "camera": camera.name,
        "width": camera.width,
        "height": camera.height,
        "found_px": found.tolist(),
        "expected_px": sphere_image_centre(camera, POINTS[index]).tolist(),
        "found_depth": float(depth_pass[depth_pass > 0].min()),
        "expected_depth": float(depth[0]),
    }


def main(out: Path) -> None:
    settings = RenderSettings(size=192, samples=64, denoise=False)
    session.reset(SimpleNamespace(render=settings, light=Light(kind="ambient")), threads=2)
    objects = add_markers()
    alphas, depths = [], []
    with render.Renderer(settings) as renderer:
        for camera in each_marker_alone(objects):
            alphas.append(renderer.render(camera)[0][..., 3])
    with SurfaceRenderer() as renderer:  # after the pictures, it changes the scene
        for camera in each_marker_alone(objects):
            depths.append(renderer.render(camera).depth)
    views = [(index, camera) for index in range(len(objects)) for camera in cameras()]
    results = [measure(c, i, *v) for (i, c), *v in zip(views, alphas, depths, strict=True)]
    out.write_text(json.dumps(results))


def each_marker_alone(objects: list[bpy.types.Object]) -> Iterator[Camera]:
    """Every camera for every marker, with the others hidden meanwhile."""
    for marker in objects:
        for other in objects:
            other.hide_render = other is not marker
        yield from cameras()


main(Path(sys.argv[1]))
