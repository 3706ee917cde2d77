"""Teeth, gums and tongue; seen when the mouth opens.

The base mesh has a crude strip for each row of teeth. It tells where the dental arch runs and how
the jaw moves it; single teeth are then set along the arch.
"""

from __future__ import annotations

from dataclasses import dataclass

import bpy
import numpy as np
from scipy.spatial import cKDTree

from synth.blender_scenes.head import compact, new_mesh
from synth.blender_scenes.nodes import Shader
from synth.headmodel import HeadModel, HeadShape
from synth.spec import HeadSpec
from synth.subdivision import catmull_clark

# Crowns from the middle outwards: width and height in metres (mean values of dental anatomy).
_UPPER_CROWNS = ((8.4, 10.2), (6.6, 9.0), (7.6, 9.8), (7.0, 8.4), (6.7, 7.8), (9.6, 7.2))
_LOWER_CROWNS = ((5.4, 8.6), (5.9, 8.8), (6.8, 9.6), (7.0, 8.4), (7.1, 7.8), (10.0, 7.2))
_CROWN_DEPTH_M = 0.006
_BEHIND_LIPS_M = 0.0012
_OVERBITE_M = 0.0018
_SHOWN_BELOW_LIP_M = 0.0028
_MOUTH_LINE_CANONICAL_Z = 0.8275
_LEAST_FLESH_M = 0.0015
_WIDEST_GUM_M = 0.026
_TONGUE_OFFSET_M = (0.0, 0.0020, -0.0030)
_ENAMEL, _NECK = (0.72, 0.655, 0.54), (0.52, 0.40, 0.28)
_GUM, _TONGUE = (0.40, 0.13, 0.12), (0.40, 0.12, 0.11)


@dataclass(frozen=True, eq=False)
class _Arch:
    """A dental arch in the frame of the unturned head, metres.

    Attributes:
        middle_x: the plane of symmetry.
        front: coefficients (a, b, c) of y = a + b x^2 + c x^4 about `middle_x`.
        edge_z: height of the biting edge at the front.
        slope: rise of that edge per metre backwards.
        upwards: +1 upper row (its gums are above), -1 lower row.
    """

    middle_x: float
    front: np.ndarray
    edge_z: float
    slope: float
    upwards: float

    def point(self, x: np.ndarray) -> np.ndarray:
        """Points [N, 3] of the biting edge at `x` [N] beside the middle."""
        y = self.front[0] + self.front[1] * x**2 + self.front[2] * x**4
        z = self.edge_z + self.slope * (y - self.front[0])
        return np.stack([x + self.middle_x, y, z], axis=-1)

    def outward(self, x: np.ndarray) -> np.ndarray:
        """Unit normals [N, 3] that point to the lips."""
        rise = 2 * self.front[1] * x + 4 * self.front[2] * x**3
        normal = np.stack([rise, -np.ones_like(x), np.zeros_like(x)], axis=-1)
        return normal / np.linalg.norm(normal, axis=-1, keepdims=True)


def build_mouth(spec: HeadSpec, model: HeadModel, shape: HeadShape) -> list[bpy.types.Object]:
    """Upper and lower teeth with their gums, and the tongue."""
    upper = _fit_arch("upper", model, shape)
    lower = _fit_arch("lower", model, shape, behind=upper.front[0] + _OVERBITE_M)
    enamel, gum = _enamel_material(), _flesh_material("gums", _GUM, 0.3)
    objects = []
    for name, arch, crowns in (("upper", upper, _UPPER_CROWNS), ("lower", lower, _LOWER_CROWNS)):
        reach = _hidden_reach(arch, crowns[0][1] / 1000, model, shape)
        points, faces, from_edge = _crowns(arch, crowns, reach)
        placed = shape.to_world(_turned(points, shape))
        attributes = {"from_edge": from_edge}
        objects.append(new_mesh(f"teeth_{name}", placed, faces, enamel, attributes))
        points, faces = _gums(arch, crowns[0][1] / 1000, reach)
        placed = shape.to_world(_turned(points, shape))
        objects.append(new_mesh(f"gums_{name}", placed, faces, gum))
    points, faces = _tongue(model, shape)
    tongue = _flesh_material("tongue", _TONGUE, 0.35)
    objects.append(new_mesh("tongue", shape.to_world(points), faces, tongue))
    return objects


def _fit_arch(row: str, model: HeadModel, shape: HeadShape, behind: float = -np.inf) -> _Arch:
    """Fit the arch to the outer side of the base mesh's teeth and move it up to the lips."""
    vertices = np.unique(model.groups[f"helper-{row}-teeth"])
    canonical = model.canonical_base[vertices]
    outer = (canonical[:, 0] / 0.036) ** 2 + ((canonical[:, 1] + 0.10) / 0.05) ** 2 > 0.8
    points = _unturned(shape.base_vertices[vertices[outer]], shape)
    middle_x = float(points[:, 0].mean())
    x = points[:, 0] - middle_x
    system = np.stack([np.ones_like(x), x**2, x**4], axis=1)
    front = np.linalg.lstsq(system, points[:, 1], rcond=None)[0]
    upwards = 1.0 if row == "upper" else -1.0
    at_front = np.abs(x) < 0.014
    edge_z = (points[at_front, 2] * upwards).min() * upwards
    if row == "upper":
        # parted lips show the edge of the upper teeth
        below = _upper_lip_edge(model, shape) - _SHOWN_BELOW_LIP_M
        edge_z -= np.clip(edge_z - below, 0, 0.0045)
    lips = _inner_lip_y(model, shape, middle_x, edge_z, upwards)
    wanted = max(lips + _BEHIND_LIPS_M, behind)
    front[0] += np.clip(wanted - front[0], -0.006, 0.003)
    depth = points[:, 1] - front[0]
    # the helper strip rises or falls towards the molars; its three rows share the slope
    slope = float(np.polyfit(depth, points[:, 2], 1)[0])
    return _Arch(middle_x, front, float(edge_z), slope, upwards)


def _upper_lip_edge(model: HeadModel, shape: HeadShape) -> float:
    """Height of the lower edge of the upper lip, in the middle of the mouth."""
    x, _, z = model.canonical.T
    lip = (model.masks["lips"] > 0.5) & (np.abs(x) < 0.004) & (z > _MOUTH_LINE_CANONICAL_Z)
    return float(_unturned(shape.vertices[lip], shape)[:, 2].min())


def _inner_lip_y(
    model: HeadModel, shape: HeadShape, middle_x: float, edge_z: float, upwards: float
) -> float:
    """Position of the inner side of the lip in front of the teeth."""
    cavity = _unturned(shape.vertices[model.masks["mouth"] > 0.5], shape)
    above = (cavity[:, 2] - edge_z) * upwards
    near = (np.abs(cavity[:, 0] - middle_x) < 0.005) & (above > 0.004) & (above < 0.010)
    if not near.any():
        return float(cavity[:, 1].min())
    return float(cavity[near, 1].min())


def _hidden_reach(arch: _Arch, crown_height: float, model: HeadModel, shape: HeadShape) -> float:
    """How far from the middle the arch, with its gums, stays below the skin, in metres.

    The jaw of a narrow face cuts across the arch of the base mesh; molars that would come out of
    the cheek are left away, as no expression shows them.
    """
    z = model.canonical[:, 2]
    outer = (model.masks["lips"] < 0.3) & (model.masks["mouth"] < 0.3) & (z > 0.76) & (z < 0.88)
    skin, normals = shape.vertices[outer], shape.normals[outer]
    x = np.linspace(0.010, 0.034, 49)
    both = np.concatenate([x, -x])
    tree = cKDTree(skin)
    covered = np.ones(len(both), bool)
    for rise in (0.0, 0.5, 1.0, 1.5):
        points = arch.point(both)
        points[:, 2] += arch.upwards * rise * crown_height
        points = _turned(points, shape)
        nearest = tree.query(points)[1]
        depth = ((skin[nearest] - points) * normals[nearest]).sum(axis=1)
        covered &= depth > _LEAST_FLESH_M
    covered = covered[: len(x)] & covered[len(x) :]
    return float(x[-1] if covered.all() else x[np.argmin(covered)])


def _crowns(
    arch: _Arch, crowns: tuple[tuple[float, float], ...], reach: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Superellipsoids along the arch: points, quads and height above the edge (0 ... 1).

    Teeth that end beyond `reach` from the middle are left away.
    """
    unit, quads = _superellipsoid()
    points, faces, from_edge = [], [], []
    fine_x = np.linspace(0, 0.034, 400)
    length = np.concatenate(
        [[0], np.cumsum(np.linalg.norm(np.diff(arch.point(fine_x), axis=0), axis=1))]
    )
    travelled = 0.0
    for width_mm, height_mm in crowns:
        width, height = width_mm / 1000, height_mm / 1000
        x = np.interp(travelled + width / 2, length, fine_x)
        travelled += width
        if np.interp(travelled, length, fine_x) > reach and points:
            break
        for side in (1.0, -1.0):
            position = np.array([side * x])
            edge, outward = arch.point(position)[0], arch.outward(position)[0]
            along = np.cross([0, 0, 1.0], outward)
            rise = (unit[:, 2] + 1) / 2  # 0 at the edge, 1 at the gum
            narrow = 1 - 0.16 * rise
            centre = edge - outward * _CROWN_DEPTH_M / 2
            placed = (
                centre
                + along * (unit[:, :1] * narrow[:, None] * width * 0.485)
                + outward * (unit[:, 1:2] * (_CROWN_DEPTH_M / 2) * (0.55 + 0.45 * rise[:, None]))
                + np.array([0, 0, arch.upwards]) * (rise[:, None] * height)
            )
            faces.append(quads + len(unit) * len(points))
            points.append(placed)
            from_edge.append(rise)
    return np.concatenate(points), np.concatenate(faces), np.concatenate(from_edge)


def _superellipsoid(rows: int = 12, columns: int = 18) -> tuple[np.ndarray, np.ndarray]:
    """A rounded box of half size 1: points [N, 3] and quads."""
    polar = np.linspace(-np.pi / 2, np.pi / 2, rows)
    azimuth = np.linspace(0, 2 * np.pi, columns, endpoint=False)
    polar, azimuth = (grid.ravel() for grid in np.meshgrid(polar, azimuth, indexing="ij"))

    def power(value: np.ndarray, exponent: float) -> np.ndarray:
        return np.sign(value) * np.abs(value) ** exponent

    ring = power(np.cos(polar), 0.45)
    points = np.stack(
        [ring * power(np.cos(azimuth), 0.6), ring * power(np.sin(azimuth), 0.6),
         power(np.sin(polar), 0.55)], axis=1,
    )  # fmt: skip
    return points, _grid_quads(rows, columns)


def _grid_quads(rows: int, columns: int) -> np.ndarray:
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(columns), indexing="ij")
    after = (j + 1) % columns
    corners = (
        i * columns + j, i * columns + after, (i + 1) * columns + after, (i + 1) * columns + j,
    )  # fmt: skip
    return np.stack(corners, axis=-1).reshape(-1, 4)


def _gums(arch: _Arch, crown_height: float, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """A tube along the arch at the necks of the teeth."""
    end = min(_WIDEST_GUM_M, reach)
    x = np.linspace(-end, end, 40)
    centre = arch.point(x) - arch.outward(x) * 0.0055
    centre[:, 2] += arch.upwards * (crown_height + 0.0018)
    angle = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    tube = (
        centre[:, None]
        + arch.outward(x)[:, None] * (0.0040 * np.cos(angle))[None, :, None]
        + np.array([0, 0, 1.0]) * (0.0042 * np.sin(angle))[None, :, None]
    )
    return tube.reshape(-1, 3), _grid_quads(len(x), len(angle))


def _tongue(model: HeadModel, shape: HeadShape) -> tuple[np.ndarray, np.ndarray]:
    used, faces = compact(model.groups["helper-tongue"])
    offset = shape.model_from_rest_head[:3, :3] @ np.array(_TONGUE_OFFSET_M)
    matrix, faces = catmull_clark(faces, len(used))
    return matrix.apply(shape.base_vertices[used] + offset), faces


def _unturned(points: np.ndarray, shape: HeadShape) -> np.ndarray:
    """Undo the pose of the head."""
    motion = shape.model_from_rest_head
    return (points - motion[:3, 3]) @ motion[:3, :3]


def _turned(points: np.ndarray, shape: HeadShape) -> np.ndarray:
    motion = shape.model_from_rest_head
    return points @ motion[:3, :3].T + motion[:3, 3]


def _enamel_material() -> bpy.types.Material:
    shader = Shader("teeth")
    to_neck = shader.smoothstep(shader.attribute("from_edge", "Fac"), 0.55, 1.0)
    colour = shader.mix(to_neck, _ENAMEL, _NECK)
    return shader.surface(
        shader.principled(
            base_colour=colour, roughness=0.22, subsurface_weight=0.4, subsurface_scale=0.012
        )
    )


def _flesh_material(name: str, colour, roughness: float) -> bpy.types.Material:
    shader = Shader(name)
    return shader.surface(shader.principled(base_colour=colour, roughness=roughness))
