"""Teeth and tongue, from the helper meshes of the base mesh; seen when the mouth opens."""

from __future__ import annotations

import bpy
import numpy as np

from synth.blender_scenes.head import compact, new_mesh
from synth.blender_scenes.nodes import Shader
from synth.headmodel import HeadModel, HeadShape
from synth.spec import HeadSpec
from synth.subdivision import catmull_clark

# The helpers sit too high behind the lips: without these a smile shows only the tongue (metres).
_OFFSETS_M = {
    "helper-upper-teeth": (0.0, -0.0015, -0.0045),
    "helper-lower-teeth": (0.0, 0.0010, -0.0010),
    "helper-tongue": (0.0, 0.0070, -0.0040),
}
_TEETH_PER_RADIAN = 11.0
_ENAMEL, _GAP, _TONGUE = (0.66, 0.60, 0.50), (0.20, 0.11, 0.085), (0.40, 0.12, 0.11)


def build_mouth(spec: HeadSpec, model: HeadModel, shape: HeadShape) -> list[bpy.types.Object]:
    """Upper and lower teeth and the tongue."""
    enamel = _enamel_material()
    objects = []
    for name in ("helper-upper-teeth", "helper-lower-teeth"):
        points, faces = _smooth_group(name, model, shape, levels=2)
        local = _rest_head_points(points, shape)
        angle = np.arctan2(local[:, 0], local[:, 1].max() - local[:, 1] + 1e-6)
        between = np.abs(np.sin(angle * _TEETH_PER_RADIAN)) ** 0.35
        objects.append(
            new_mesh(
                name.removeprefix("helper-"),
                shape.to_world(points),
                faces,
                enamel,
                {"tooth": between},
            )
        )
    points, faces = _smooth_group("helper-tongue", model, shape, levels=1)
    objects.append(new_mesh("tongue", shape.to_world(points), faces, _tongue_material()))
    return objects


def _smooth_group(
    name: str, model: HeadModel, shape: HeadShape, levels: int
) -> tuple[np.ndarray, np.ndarray]:
    used, faces = compact(model.groups[name])
    offset = shape.model_from_rest_head[:3, :3] @ np.array(_OFFSETS_M[name])
    points = shape.base_vertices[used] + offset
    for _ in range(levels):
        matrix, faces = catmull_clark(faces, len(points))
        points = matrix.apply(points)
    return points, faces


def _rest_head_points(points: np.ndarray, shape: HeadShape) -> np.ndarray:
    """Undo the head pose, so that the teeth are counted along the row and not along the world."""
    motion = shape.model_from_rest_head
    return (points - motion[:3, 3]) @ motion[:3, :3]


def _enamel_material() -> bpy.types.Material:
    shader = Shader("teeth")
    colour = shader.mix(shader.attribute("tooth", "Fac"), _GAP, _ENAMEL)
    return shader.surface(
        shader.principled(
            base_colour=colour, roughness=0.25, subsurface_weight=0.3, subsurface_scale=0.01
        )
    )


def _tongue_material() -> bpy.types.Material:
    shader = Shader("tongue")
    return shader.surface(shader.principled(base_colour=_TONGUE, roughness=0.35))
