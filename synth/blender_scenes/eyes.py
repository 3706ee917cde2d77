"""Eyes: a ball with iris and sclera, a cornea that carries the highlight, a tear line, a caruncle.

The iris lies below the cornea and light reaches it unrefracted (a transparent shell with Fresnel
reflection): no caustics, no noise, and eyes that are lit like everything else. Tear line and
caruncle sit on the rim of the lids (`eye_rim`) and so follow every expression.
"""

from __future__ import annotations

import math
from dataclasses import replace

import bpy
import numpy as np

from synth.blender_scenes.eye_bake import bake_eye, map_coordinates_of
from synth.blender_scenes.eye_rim import INNER_RINGS, EyeRim, eye_rims
from synth.blender_scenes.head import new_image, new_mesh
from synth.blender_scenes.lights import add_area
from synth.blender_scenes.nodes import Shader
from synth.blender_scenes.passes_labels import inner_attribute
from synth.color import srgb_from_linear
from synth.gaze import eye_rotation, lines_of_sight
from synth.headmodel import EyeFrame, HeadModel, HeadShape
from synth.spec import AreaLight, HeadSpec, Light, Rgb

_BALL_SCALE = 0.985
_CORNEA_SCALE = 0.992
_CORNEA_BULGE = 0.085
_CORNEA_IOR = 1.376
_CORNEA_REFLECTION = 0.5
"""Brow and lashes of a real eye hide most of what a bare cornea mirrors; with all of it the sky
bleaches brown irises to grey."""
_WET_ROUGHNESS = 0.12
"""Blurs a mirrored lamp by 2 degrees, a pixel of an iris. A sharper mirror finds the lamps
by chance alone: at 12 samples with 0.03 most catch lights were missing, or specks."""
_TEAR_IOR = 1.336
_TEAR_ON_LID_M, _TEAR_ON_BALL_M = 0.00055, 0.00060
"""Width of the tear line on the lid's margin and on the eyeball; a real one is 0.2-0.5 mm high."""
_TEAR_STEPS = 5
_LINING_REACH = 0.0002
"""How far the conjunctiva lies on the eyeball in metres, beside most of the gap it closes."""
_CARUNCLE_COLOUR = (0.44, 0.18, 0.15)
_CONJUNCTIVA_COLOUR = (0.43, 0.22, 0.19)
_FLESH_DARKENING = 0.45
"""On the darkest skin they are darker by this share."""
_MERIDIANS, _PARALLELS = 64, 96

CATCH_LIGHT = "catch_light"
_CATCH_LIGHT_GAIN, _LEAST_CATCH_LIGHT = 3.0, 1.8
"""How much brighter than the lamps of a spec their images in the corneas are, and how wide at least
(scene units): true ones are fainter than skin, or less than a pixel, and eyes look dead."""
_SKY_CATCH_LIGHT = AreaLight(-118.0, 17.0, 4.0, 1.1, 260.0)
"""Stands in the eyes alone under a uniform sky; watts at strength 1."""


def build_eyes(spec: HeadSpec, model: HeadModel, shape: HeadShape) -> list[bpy.types.Object]:
    """Both eyes, looking at the point that the gaze of the spec names.

    Returns:
        For each side "eye", "cornea", "tear", "caruncle" and "conjunctiva", with `_left` or
        `_right`.
    """
    iris_angle = math.asin(spec.eyes.iris_radius)
    directions, faces, polar = _polar_sphere(iris_angle)
    ball = _ball_points(directions, polar, iris_angle, spec.eyes.iris_radius)
    cornea = directions * (1 + _cornea_bulge(polar, iris_angle))[:, None]
    materials = _ball_material(spec), _wet_material("cornea", _CORNEA_IOR, _CORNEA_REFLECTION)
    tear_material = _wet_material("tear", _TEAR_IOR, 1.0)
    caruncle_material = _flesh_material("caruncle", _CARUNCLE_COLOUR, spec)
    lining_material = _flesh_material("conjunctiva", _CONJUNCTIVA_COLOUR, spec)
    sight = lines_of_sight(spec.gaze, shape.eyes)
    objects, mirrors = [], []
    for number, (side, eye) in enumerate(zip(("left", "right"), shape.eyes)):
        rotation = eye_rotation(sight[number], eye)

        def place(points, scale, rotation=rotation, eye: EyeFrame = eye):
            return shape.to_world(eye.center + points @ rotation.T * (eye.radius * scale))

        mirrored = directions * [1 if side == "left" else -1, 1, 1]
        objects.append(
            new_mesh(
                f"eye_{side}",
                place(ball, _BALL_SCALE),
                faces,
                materials[0],
                {
                    "eye_direction": directions,
                    # 1/2, where the label changes, on the edge of the iris
                    inner_attribute("iris"): np.clip(0.5 + 5 * (iris_angle - polar), 0, 1),
                },
                uv=map_coordinates_of(mirrored)[faces],
            )
        )
        shell = new_mesh(f"cornea_{side}", place(cornea, _CORNEA_SCALE), faces, materials[1])
        rim = eye_rims(model)[number]
        points, quads = _tear_line(rim, shape, eye)
        tear = new_mesh(f"tear_{side}", shape.to_world(points), quads, tear_material)
        points, quads = _caruncle(rim, shape, eye)
        corner = new_mesh(f"caruncle_{side}", shape.to_world(points), quads, caruncle_material)
        shell.visible_shadow = tear.visible_shadow = False
        points, quads = _conjunctiva(rim, shape, eye)
        lining = new_mesh(f"conjunctiva_{side}", shape.to_world(points), quads, lining_material)
        objects += [shell, tear, corner, lining]
        mirrors.append(shell)
    _add_catch_lights(spec.light, mirrors)
    return objects


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
    return directions, _wrapped_quads(_PARALLELS, _MERIDIANS), polar.ravel()


def _wrapped_quads(rows: int, columns: int) -> np.ndarray:
    """Quads [(rows - 1) * columns, 4] of a grid of points whose last column meets the first."""
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(columns), indexing="ij")
    after = (j + 1) % columns
    near, far = i * columns, (i + 1) * columns
    return np.stack([near + j, far + j, far + after, near + after], axis=-1).reshape(-1, 4)


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


def _tear_line(rim: EyeRim, shape: HeadShape, eye: EyeFrame) -> tuple[np.ndarray, np.ndarray]:
    """The meniscus in the groove between lid and eyeball: points [N, 3] in model space and quads.

    A hollow band (a quadratic Bezier curve across) from the lid's margin to the eyeball.
    """
    scale = _CORNEA_SCALE + 0.001
    on_lid = rim.contact(shape.vertices, eye, scale + _TEAR_ON_LID_M / eye.radius)
    groove = rim.contact(shape.vertices, eye, scale)
    outward = (groove - eye.center) / np.linalg.norm(groove - eye.center, axis=1, keepdims=True)
    middle = (groove - eye.center).mean(axis=0)
    inward = middle - outward * (outward @ middle)[:, None]
    inward /= np.linalg.norm(inward, axis=1, keepdims=True)
    on_ball = groove + inward * _TEAR_ON_BALL_M - eye.center
    on_ball = eye.center + on_ball * (
        eye.radius * scale / np.linalg.norm(on_ball, axis=1, keepdims=True)
    )
    lifted = groove + outward * 0.25 * _TEAR_ON_LID_M + inward * 0.25 * _TEAR_ON_BALL_M
    t = np.linspace(0, 1, _TEAR_STEPS)[:, None, None]
    points = (1 - t) ** 2 * on_lid + 2 * t * (1 - t) * lifted + t**2 * on_ball
    return points.reshape(-1, 3), _wrapped_quads(_TEAR_STEPS, len(groove))


def _conjunctiva(rim: EyeRim, shape: HeadShape, eye: EyeFrame) -> tuple[np.ndarray, np.ndarray]:
    """What joins lids and eyeball: points [N, 3] in model space and quads.

    In the corners the lids stand off the ball, and without it one looks into a dark gap.
    """
    on_lid = rim.contact(shape.vertices, eye, 1.03)
    outward = (on_lid - eye.center) / np.linalg.norm(on_lid - eye.center, axis=1, keepdims=True)
    middle = (on_lid - eye.center).mean(axis=0)
    inward = middle - outward * (outward @ middle)[:, None]
    inward /= np.linalg.norm(inward, axis=1, keepdims=True)
    gap = np.linalg.norm(on_lid - eye.center, axis=1, keepdims=True) - eye.radius * _BALL_SCALE
    below = on_lid - outward * gap + inward * (_LINING_REACH + 0.8 * gap) - eye.center
    on_ball = below * (
        eye.radius * (_BALL_SCALE - 0.004) / np.linalg.norm(below, axis=1, keepdims=True)
    )
    groove = on_lid - outward * 0.8 * gap
    t = np.linspace(0, 1, _TEAR_STEPS)[:, None, None]
    points = (1 - t) ** 2 * on_lid + 2 * t * (1 - t) * groove + t**2 * (eye.center + on_ball)
    return points.reshape(-1, 3), _wrapped_quads(_TEAR_STEPS, len(on_lid))


def _caruncle(rim: EyeRim, shape: HeadShape, eye: EyeFrame) -> tuple[np.ndarray, np.ndarray]:
    """The pink lump in the inner corner: points [N, 3] in model space and quads."""
    contact = rim.contact(shape.vertices, eye, _BALL_SCALE)
    corner = contact[[-3, 0, 3]].mean(axis=0)
    edge = shape.vertices[rim.rings[INNER_RINGS, 0]]
    forward = (corner - eye.center) / np.linalg.norm(corner - eye.center)
    across = contact.mean(axis=0) - corner
    across -= forward * (across @ forward)
    across /= np.linalg.norm(across)
    up = np.cross(forward, across)
    polar, azimuth = np.meshgrid(
        np.linspace(0.05, math.pi - 0.05, 14), np.arange(20) * (math.pi / 10), indexing="ij"
    )
    unit = np.stack(
        [np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], axis=-1
    ).reshape(-1, 3)
    lumps = 1 + 0.10 * np.sin(4.0 * unit[:, 0] + 1.0) * np.sin(5.0 * unit[:, 1] + 2.0)
    radii = np.array([0.0021, 0.0013, 0.0012])
    center = corner + 0.10 * (edge - corner) - forward * 0.0003 + across * 0.0005
    frame = np.stack([across, up, forward])
    return center + (unit * lumps[:, None] * radii) @ frame, _wrapped_quads(14, 20)


def _ball_material(spec: HeadSpec) -> bpy.types.Material:
    shader = Shader("eye")
    albedo = bake_eye(spec.eyes)
    opaque = np.ones((*albedo.shape[:2], 1), np.float32)
    image = new_image(
        "eye_albedo", np.concatenate([srgb_from_linear(albedo), opaque], axis=2), colour=True
    )
    colour = shader.image(image, shader.uv()).outputs["Color"]
    # the cornea shell in front carries all of the reflection
    return shader.surface(
        shader.principled(base_colour=colour, roughness=0.5, specular_ior_level=0.0)
    )


def _wet_material(name: str, ior: float, reflection: float) -> bpy.types.Material:
    """A clear film: nothing but its reflection, `reflection` times Fresnel's."""
    shader = Shader(name)
    fresnel = shader.node("ShaderNodeFresnel", {"IOR": ior})
    is_shadow = shader.node("ShaderNodeLightPath").outputs["Is Shadow Ray"]
    lit = shader.math("SUBTRACT", 1.0, is_shadow)
    return shader.surface(
        shader.mix_shader(
            shader.math("MULTIPLY", shader.math("MULTIPLY", fresnel, reflection), lit),
            shader.node("ShaderNodeBsdfTransparent"),
            shader.node("ShaderNodeBsdfAnisotropic", {"Roughness": _WET_ROUGHNESS}),
        )
    )


def _flesh_material(name: str, colour: Rgb, spec: HeadSpec) -> bpy.types.Material:
    shader = Shader(name)
    colour = tuple(c * (1 - _FLESH_DARKENING * spec.skin.melanin) for c in colour)
    return shader.surface(
        shader.principled(base_colour=colour, roughness=0.25, specular_ior_level=0.5)
    )


def _add_catch_lights(light: Light, mirrors: list[bpy.types.Object]) -> None:
    """Lamps that only the corneas mirror: one for each of the light's own, or one in a bare sky.

    They light nothing: light linking lets them reach the corneas alone, and these only reflect.
    """
    lamps = [_brighter(area) for area in light.areas]
    if not (lamps or light.hdri or light.sky):
        lamps = [replace(_SKY_CATCH_LIGHT, power_w=_SKY_CATCH_LIGHT.power_w * light.strength)]
    receivers = bpy.data.collections.new(CATCH_LIGHT)
    for mirror in mirrors:
        receivers.objects.link(mirror)
    for number, lamp in enumerate(lamps):
        add_area(f"{CATCH_LIGHT}_{number}", lamp).light_linking.receiver_collection = receivers


def _brighter(area: AreaLight) -> AreaLight:
    wider = max(1.0, _LEAST_CATCH_LIGHT / area.size)
    power_w = area.power_w * _CATCH_LIGHT_GAIN * wider**2
    return replace(area, size=area.size * wider, power_w=power_w)
