"""Eyes: an inner ball with iris and sclera, and a cornea shell that carries the highlight.

The iris lies below the cornea and light reaches it unrefracted (a transparent shell with Fresnel
reflection): no caustics, no noise, and eyes that are lit like everything else.
"""

from __future__ import annotations

import math

import bpy
import numpy as np

from synth.blender_scenes.head import new_mesh
from synth.blender_scenes.nodes import Shader, Socket
from synth.headmodel import EyeFrame, HeadModel, HeadShape
from synth.spec import Eyes, Gaze, HeadSpec

_BALL_SCALE = 0.985
_CORNEA_SCALE = 0.992
_CORNEA_BULGE = 0.085
_CORNEA_IOR = 1.376
_CORNEA_REFLECTION = 0.4
"""Brow and lashes of a real eye hide most of what a bare cornea mirrors; with all of it the sky
bleaches brown irises to grey."""
_MERIDIANS, _PARALLELS = 64, 96


def build_eyes(spec: HeadSpec, model: HeadModel, shape: HeadShape) -> list[bpy.types.Object]:
    """Both eyes, turned by the gaze of the spec."""
    iris_angle = math.asin(spec.eyes.iris_radius)
    directions, faces, polar = _polar_sphere(iris_angle)
    ball = _ball_points(directions, polar, iris_angle, spec.eyes.iris_radius)
    cornea = directions * (1 + _cornea_bulge(polar, iris_angle))[:, None]
    eye_material, cornea_material = _eye_material(spec.eyes), _cornea_material()
    objects = []
    for side, eye in zip(("left", "right"), shape.eyes):
        rotation = eye.model_from_eye @ _gaze_rotation(spec.gaze)

        def place(points, scale, rotation=rotation, eye: EyeFrame = eye):
            return shape.to_world(eye.center + points @ rotation.T * (eye.radius * scale))

        objects.append(
            new_mesh(
                f"eye_{side}",
                place(ball, _BALL_SCALE),
                faces,
                eye_material,
                {"eye_direction": directions},
            )
        )
        shell = new_mesh(f"cornea_{side}", place(cornea, _CORNEA_SCALE), faces, cornea_material)
        shell.visible_shadow = False
        objects.append(shell)
    return objects


def _gaze_rotation(gaze: Gaze) -> np.ndarray:
    """[3, 3] in the eye's frame (x left, y up, z forward)."""
    yaw, pitch = math.radians(gaze.yaw_deg), math.radians(gaze.pitch_deg)
    about_y = np.array(
        [[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0], [-math.sin(yaw), 0, math.cos(yaw)]]
    )
    about_x = np.array(
        [[1, 0, 0], [0, math.cos(pitch), math.sin(pitch)], [0, -math.sin(pitch), math.cos(pitch)]]
    )
    return about_y @ about_x


def _polar_sphere(iris_angle: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit sphere around +z, dense at the iris: directions [N, 3], quads and polar angles [N]."""
    front = np.linspace(1e-3, 1.6 * iris_angle, _PARALLELS // 2, endpoint=False)
    rest = np.linspace(1.6 * iris_angle, math.pi - 1e-3, _PARALLELS // 2)
    polar, azimuth = np.meshgrid(
        np.concatenate([front, rest]),
        np.linspace(0, 2 * math.pi, _MERIDIANS, endpoint=False),
        indexing="ij",
    )
    directions = np.stack(
        [np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], axis=-1
    ).reshape(-1, 3)
    i, j = np.meshgrid(np.arange(_PARALLELS - 1), np.arange(_MERIDIANS), indexing="ij")
    after = (j + 1) % _MERIDIANS
    rows = (i * _MERIDIANS, (i + 1) * _MERIDIANS)
    quads = np.stack([rows[0] + j, rows[1] + j, rows[1] + after, rows[0] + after], axis=-1)
    return directions, quads.reshape(-1, 4), polar.ravel()


def _ball_points(directions, polar, iris_angle: float, iris_radius: float) -> np.ndarray:
    """The ball with the iris pressed in to a shallow bowl."""
    points = directions.copy()
    iris = polar < 1.02 * iris_angle
    from_axis = np.linalg.norm(points[iris, :2], axis=1) / iris_radius
    points[iris, 2] = math.cos(iris_angle) - 0.03 - 0.05 * (1 - from_axis)
    return points


def _cornea_bulge(polar: np.ndarray, iris_angle: float) -> np.ndarray:
    inside = np.exp(-((polar / (1.05 * iris_angle)) ** 4))
    return inside * _CORNEA_BULGE * np.cos(np.clip(polar / iris_angle, 0, 1) * math.pi / 2) ** 0.8


def _eye_material(eyes: Eyes) -> bpy.types.Material:
    shader = Shader("eye")
    direction = shader.attribute("eye_direction", "Vector")
    x, y, _ = shader.separate(direction)
    from_axis = shader.math(
        "SQRT", shader.math("ADD", shader.math("MULTIPLY", x, x), shader.math("MULTIPLY", y, y))
    )
    colour = shader.mix(
        shader.smoothstep(shader.math("DIVIDE", from_axis, eyes.iris_radius), 0.94, 1.07),
        _iris_colour(shader, eyes, x, y, from_axis),
        _sclera_colour(shader, eyes, direction, from_axis),
    )
    # the cornea shell in front carries all of the reflection
    return shader.surface(
        shader.principled(base_colour=colour, roughness=0.5, specular_ior_level=0.0)
    )


def _iris_colour(shader: Shader, eyes: Eyes, x: Socket, y: Socket, from_axis: Socket) -> Socket:
    """Radial fibres in two colours, a collarette, a dark limbal ring and the pupil."""
    radius = shader.math("DIVIDE", from_axis, eyes.iris_radius)
    angle = shader.math("ARCTAN2", y, x)
    around = shader.node(
        "ShaderNodeCombineXYZ",
        {
            0: shader.math("MULTIPLY", shader.math("COSINE", angle), 3.0),
            1: shader.math("MULTIPLY", shader.math("SINE", angle), 3.0),
            2: shader.math("MULTIPLY", radius, 0.9),
        },
    )
    fibres = shader.noise(around, 5.0, detail=4, roughness=0.7, distortion=0.3).outputs[0]
    colour = shader.mix(shader.smoothstep(fibres, 0.3, 0.72), eyes.iris_dark, eyes.iris_light)
    ragged = shader.math(
        "ADD",
        radius,
        shader.math("MULTIPLY", shader.math("SUBTRACT", fibres, 0.5), 0.35),
    )
    inner = shader.math("SUBTRACT", 1.0, shader.smoothstep(ragged, 0.38, 0.70))
    colour = shader.mix(shader.math("MULTIPLY", inner, 0.75), colour, eyes.iris_inner)
    limbus = shader.math("MULTIPLY", shader.smoothstep(radius, 0.78, 1.0), 0.88)
    colour = shader.mix(limbus, colour, (0.012, 0.010, 0.010))
    pupil = shader.smoothstep(radius, eyes.pupil - 0.03, eyes.pupil + 0.03)
    return shader.mix(pupil, (0.002, 0.002, 0.002), colour)


def _sclera_colour(shader: Shader, eyes: Eyes, direction: Socket, from_axis: Socket) -> Socket:
    """A dull white with veins, redder towards the corners; pure white would glow."""
    clouds = shader.noise(direction, 3.5, detail=4, roughness=0.6).outputs[0]
    colour = shader.mix(
        shader.smoothstep(clouds, 0.35, 0.75), (0.58, 0.54, 0.505), (0.50, 0.43, 0.39)
    )
    warped = shader.node(
        "ShaderNodeVectorMath",
        {0: direction, 1: shader.noise(direction, 6.0, detail=2).outputs["Color"]},
        operation="ADD",
    )
    cells = shader.node(
        "ShaderNodeTexVoronoi", {"Vector": warped, "Scale": 5.0}, feature="DISTANCE_TO_EDGE"
    )
    edge = shader.math("SUBTRACT", 1.0, shader.smoothstep(cells.outputs["Distance"], 0.0, 0.035))
    vein = shader.math("MULTIPLY", edge, shader.smoothstep(from_axis, 0.5, 0.9))
    colour = shader.mix(shader.math("MULTIPLY", vein, eyes.veins), colour, (0.45, 0.08, 0.06))
    corner = shader.math("MULTIPLY", shader.smoothstep(from_axis, 0.55, 1.0), 0.55)
    return shader.mix(corner, colour, (0.50, 0.27, 0.22))


def _cornea_material() -> bpy.types.Material:
    shader = Shader("cornea")
    fresnel = shader.node("ShaderNodeFresnel", {"IOR": _CORNEA_IOR})
    is_shadow = shader.node("ShaderNodeLightPath").outputs["Is Shadow Ray"]
    lit = shader.math("SUBTRACT", 1.0, is_shadow)
    return shader.surface(
        shader.mix_shader(
            shader.math("MULTIPLY", shader.math("MULTIPLY", fresnel, _CORNEA_REFLECTION), lit),
            shader.node("ShaderNodeBsdfTransparent"),
            shader.node("ShaderNodeBsdfAnisotropic", {"Roughness": 0.04}),
        )
    )
