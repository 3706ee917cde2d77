"""Where teeth, gums and tongue are: pure numpy and scipy, metres in model space.

The base mesh has a crude strip for each row of teeth. On the head at rest it tells where the dental
arch runs; single crowns are set along it so that the upper incisors end a little below the line of
the lips and bite over the lower ones. The upper row belongs to the skull and never moves on it, the
lower one follows the jaw as a rigid body: an expression uncovers teeth, it does not carry them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from synth.headmodel import HeadModel, HeadShape
from synth.rng import stream
from synth.spec import Teeth
from synth.subdivision import catmull_clark

# Crowns from the middle outwards: width and height in millimetres (means of dental anatomy).
_UPPER_CROWNS = ((8.5, 10.4), (6.6, 9.0), (7.6, 9.9), (7.0, 8.5), (6.8, 7.8), (10.0, 7.4))
_LOWER_CROWNS = ((5.4, 8.8), (5.9, 8.9), (6.8, 9.8), (7.0, 8.6), (7.1, 8.0), (10.6, 7.4))
_USUAL_HEAD_M = 0.235
"""Chin to crown of the head that these crowns belong to."""
_CROWN_DEPTH_M = 0.0068
_BEHIND_LIPS_M = 0.0012
_BELOW_LIP_LINE_M = 0.0022
_OVERBITE_M, _OVERJET_M = 0.0012, 0.0024
_MOUTH_LINE_CANONICAL_Z = 0.8230
_LEAST_FLESH_M, _NEAR_SKIN_M = 0.0015, 0.005
_CHEEKS_FROM_M = 0.031
"""Canonical distance from the middle at which the corners of the mouth end."""
_FLESH_BEFORE_ROOTS_M = 0.0035
_LIP_THICKNESS_M = (0.0080, 0.0105)
"""Least and most that the upper lip covers the incisors, from its foremost point."""
_WIDEST_ARCH_M = 0.034
_MOLARS_M = 0.027
"""Distance of the first molars from the middle."""
_WIDEST_GUM_M = 0.026
_TONGUE_BACK_M, _TONGUE_DOWN_M = 0.0025, 0.0030
_TONGUE_FLATNESS = 0.80
_TONGUE_SINKS = 0.10
"""How much farther than the jaw the tongue goes down when the mouth opens."""


@dataclass(frozen=True, eq=False)
class Arch:
    """A dental arch of the head at rest, in the frame of the unturned head, metres.

    Attributes:
        middle_x: the plane of symmetry.
        front: coefficients (a, b, c) of y = a + b x^2 + c x^4 about `middle_x`.
        edge_z: height of the biting edge at the front.
        slope: rise of that edge per metre backwards.
        upwards: +1 upper row (its gums are above), -1 lower row.
        scale: size of the crowns relative to the usual ones.
        model_from_rest: [4, 4] motion of jaw and head that carries the arch.
    """

    middle_x: float
    front: np.ndarray
    edge_z: float
    slope: float
    upwards: float
    scale: float
    model_from_rest: np.ndarray

    @property
    def crowns_m(self) -> np.ndarray:
        """[6, 2] width and height of the crowns from the middle outwards, in metres."""
        crowns = _UPPER_CROWNS if self.upwards > 0 else _LOWER_CROWNS
        return np.array(crowns) / 1000 * self.scale

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

    def moved(self, points: np.ndarray) -> np.ndarray:
        """From the head at rest to the model: [N, 3] in and out."""
        return points @ self.model_from_rest[:3, :3].T + self.model_from_rest[:3, 3]


def fit_arches(
    model: HeadModel, rest: HeadShape, shape: HeadShape, teeth: Teeth
) -> tuple[Arch, Arch]:
    """The (upper, lower) arch of a head.

    Args:
        model: the static head model.
        rest: the same head without expression and turned by nothing.
        shape: the head with its expression and pose.
        teeth: the person's teeth.
    """
    scale = teeth.size * _head_height(model, rest) / _USUAL_HEAD_M
    head = shape.model_from_rest_head
    lip_line = _lip_line(model, rest)
    fitted = {row: _fit_strip(row, model, rest) for row in ("upper", "lower")}
    middle_x, front, slope = fitted["upper"]
    edge_z = lip_line - _BELOW_LIP_LINE_M * scale
    inner = _inner_lip_y(model, rest, middle_x, edge_z) + _BEHIND_LIPS_M
    lips = float(rest.vertices[model.masks["lips"] > 0.5, 1].min())
    low, high = (lips + depth * scale for depth in _LIP_THICKNESS_M)
    wanted = max(inner, _behind_flesh(model, rest, edge_z, 0.0105 * scale))
    front = _moved_front(front, float(np.clip(wanted, low, high)))
    upper = Arch(middle_x, front, edge_z, slope, 1.0, scale, head)
    _, lower_front, lower_slope = fitted["lower"]
    lower_edge = edge_z + _OVERBITE_M * scale
    bite = front[0] + _OVERJET_M * scale
    flesh = _behind_flesh(model, rest, lower_edge, -0.0088 * scale)
    lower_front = _moved_front(lower_front, float(np.clip(flesh, bite, bite + 0.0015)))
    jaw = head @ _jaw_motion(model, rest, _undone(shape.base_vertices, head))
    return upper, Arch(middle_x, lower_front, lower_edge, lower_slope, -1.0, scale, jaw)


def _head_height(model: HeadModel, rest: HeadShape) -> float:
    points = rest.vertices[[model.landmarks["crown"], model.landmarks["chin"]], 2]
    return float(points[0] - points[1])


def _fit_strip(row: str, model: HeadModel, rest: HeadShape) -> tuple[float, np.ndarray, float]:
    """Middle, front curve and slope of the outer side of the base mesh's strip of teeth."""
    vertices = np.unique(model.groups[f"helper-{row}-teeth"])
    canonical = model.canonical_base[vertices]
    outer = (canonical[:, 0] / 0.036) ** 2 + ((canonical[:, 1] + 0.10) / 0.05) ** 2 > 0.8
    points = rest.base_vertices[vertices[outer]]
    middle_x = float(points[:, 0].mean())
    x = points[:, 0] - middle_x
    system = np.stack([np.ones_like(x), x**2, x**4], axis=1)
    front = np.linalg.lstsq(system, points[:, 1], rcond=None)[0]
    # the strip rises or falls towards the molars; its three rows share the slope
    slope = float(np.polyfit(points[:, 1] - front[0], points[:, 2], 1)[0])
    return middle_x, front, slope


def _lip_line(model: HeadModel, rest: HeadShape) -> float:
    """Height at which the lips of the head at rest meet, in the middle of the mouth."""
    x, _, z = model.canonical.T
    lips = (model.masks["lips"] > 0.5) & (np.abs(x) < 0.004)
    upper = rest.vertices[lips & (z > _MOUTH_LINE_CANONICAL_Z), 2].min()
    lower = rest.vertices[lips & (z <= _MOUTH_LINE_CANONICAL_Z), 2].max()
    return float((upper + lower) / 2)


def _moved_front(front: np.ndarray, y: float) -> np.ndarray:
    """The curve of an arch whose incisors stand at `y` and whose molars stay where they are."""
    return front + (y - front[0]) * np.array([1.0, -1 / _MOLARS_M**2, 0.0])


def _inner_lip_y(model: HeadModel, rest: HeadShape, middle_x: float, edge_z: float) -> float:
    """Where the inner side of the upper lip lies in front of the biting edge."""
    cavity = rest.vertices[model.masks["mouth"] > 0.5]
    above = cavity[:, 2] - edge_z
    near = (np.abs(cavity[:, 0] - middle_x) < 0.005) & (above > 0.001) & (above < 0.006)
    if not near.any():
        return float(cavity[:, 1].min())
    return float(cavity[near, 1].min())


def _behind_flesh(model: HeadModel, rest: HeadShape, edge_z: float, crown_m: float) -> float:
    """The foremost place of roots whose crowns reach from `edge_z` to `edge_z + crown_m`."""
    x, _, z = model.canonical.T
    skin = (model.masks["lips"] < 0.3) & (model.masks["mouth"] < 0.3)
    skin &= (np.abs(x) < 0.004) & (z > 0.79) & (z < 0.841)  # below the nostrils
    points = rest.vertices[skin]
    share = (points[:, 2] - edge_z) / crown_m
    near = (share > 0.4) & (share < 1.4)
    return float(points[near, 1].max() + _FLESH_BEFORE_ROOTS_M) if near.any() else -np.inf


def _jaw_motion(model: HeadModel, rest: HeadShape, base_vertices: np.ndarray) -> np.ndarray:
    """[4, 4] rigid motion of the lower strip of teeth, by the method of Kabsch (1976)."""
    vertices = np.unique(model.groups["helper-lower-teeth"])
    before, after = rest.base_vertices[vertices], base_vertices[vertices]
    a, b = before - before.mean(axis=0), after - after.mean(axis=0)
    u, _, vt = np.linalg.svd(a.T @ b)
    flip = np.diag([1.0, 1.0, np.sign(np.linalg.det(vt.T @ u.T))])
    motion = np.eye(4)
    motion[:3, :3] = vt.T @ flip @ u.T
    motion[:3, 3] = after.mean(axis=0) - motion[:3, :3] @ before.mean(axis=0)
    return motion


def _undone(points: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """Undo a rigid motion."""
    return (points - motion[:3, 3]) @ motion[:3, :3]


def hidden_reach(arch: Arch, model: HeadModel, shape: HeadShape) -> float:
    """How far from the middle the arch, with its gums, stays below the skin, in metres.

    The jaw of a narrow face cuts across the arch of the base mesh; molars that would come out of
    the cheek are left away, as no expression shows them. The front teeth, nearer to the middle
    than `_WIDEST_GUM_M`, are never left away: lips and chin cover their roots (`_behind_flesh`).
    """
    z = model.canonical[:, 2]
    cheeks = np.abs(model.canonical[:, 0]) > _CHEEKS_FROM_M
    outer = (model.masks["lips"] < 0.3) & (model.masks["mouth"] < 0.3) & cheeks
    outer &= (z > 0.76) & (z < 0.88)
    skin, normals = shape.vertices[outer], shape.normals[outer]
    x = np.linspace(_WIDEST_GUM_M, _WIDEST_ARCH_M, 33)
    both = np.concatenate([x, -x])
    tree = cKDTree(skin)
    covered = np.ones(len(both), bool)
    for rise in (0.0, 0.45, 0.9, 1.35):
        points = arch.point(both)
        points[:, 2] += arch.upwards * rise * arch.crowns_m[0, 1]
        points = arch.moved(points)
        nearest = tree.query(points)[1]
        depth = ((skin[nearest] - points) * normals[nearest]).sum(axis=1)
        covered &= depth > _LEAST_FLESH_M
    covered = covered[: len(x)] & covered[len(x) :]
    return float(x[-1] if covered.all() else x[np.argmin(covered)])


def crowns(arch: Arch, reach: float, teeth: Teeth) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Superellipsoids along the arch: points, quads and height above the edge (0 ... 1).

    Teeth that end beyond `reach` from the middle are left away.
    """
    unit, quads = _superellipsoid()
    rise = (unit[:, 2] + 1) / 2  # 0 at the edge, 1 at the gum
    rng = stream(teeth.seed, int(arch.upwards > 0), "teeth")
    points, faces, from_edge = [], [], []
    fine_x = np.linspace(0, _WIDEST_ARCH_M, 400)
    length = np.concatenate(
        [[0], np.cumsum(np.linalg.norm(np.diff(arch.point(fine_x), axis=0), axis=1))]
    )
    travelled = teeth.gap_m / 2 if arch.upwards > 0 else 0.0
    for number, (width, height) in enumerate(arch.crowns_m):
        x = np.interp(travelled + width / 2, length, fine_x)
        travelled += width
        if np.interp(travelled, length, fine_x) > reach and points:
            break
        # canines are pointed, incisors straight at their edge
        pointed = 0.0013 if number == 2 else 0.0002 if number < 2 else 0.0007
        for side in (1.0, -1.0):
            turn, forward, longer = rng.normal(0, 1, 3) * teeth.irregularity
            position = np.array([side * x])
            edge, outward = arch.point(position)[0], arch.outward(position)[0]
            along = np.cross([0, 0, 1.0], outward)
            angle = 0.10 * turn
            along, outward = (
                along * np.cos(angle) + outward * np.sin(angle),
                outward * np.cos(angle) - along * np.sin(angle),
            )
            centre = edge + outward * (0.0005 * forward - _CROWN_DEPTH_M / 2)
            narrow = 1 - 0.20 * rise**1.5
            up = rise * height * (1 + 0.03 * longer) + pointed * unit[:, 0] ** 2 * (1 - rise)
            # the visible face of an incisor is rounded and leans inwards to its edge
            depth = (_CROWN_DEPTH_M / 2) * (0.50 + 0.50 * rise**0.7)
            placed = (
                centre
                + along * (unit[:, :1] * narrow[:, None] * width * 0.492)
                + outward * (unit[:, 1:2] * depth[:, None])
                + np.array([0, 0, arch.upwards]) * up[:, None]
            )
            faces.append(quads + len(unit) * len(points))
            points.append(placed)
            from_edge.append(rise)
    return arch.moved(np.concatenate(points)), np.concatenate(faces), np.concatenate(from_edge)


def _superellipsoid() -> tuple[np.ndarray, np.ndarray]:
    """A rounded box of half size 1: points [N, 3] and quads."""
    rows, columns = 12, 18
    polar = np.linspace(-np.pi / 2, np.pi / 2, rows)
    azimuth = np.linspace(0, 2 * np.pi, columns, endpoint=False)
    polar, azimuth = (grid.ravel() for grid in np.meshgrid(polar, azimuth, indexing="ij"))

    def power(value: np.ndarray, exponent: float) -> np.ndarray:
        return np.sign(value) * np.abs(value) ** exponent

    ring = power(np.cos(polar), 0.38)
    points = np.stack(
        [ring * power(np.cos(azimuth), 0.5), ring * power(np.sin(azimuth), 0.6),
         power(np.sin(polar), 0.5)], axis=1,
    )  # fmt: skip
    return points, _grid_quads(rows, columns)


def _grid_quads(rows: int, columns: int) -> np.ndarray:
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(columns), indexing="ij")
    after = (j + 1) % columns
    corners = (
        i * columns + j, i * columns + after, (i + 1) * columns + after, (i + 1) * columns + j,
    )  # fmt: skip
    return np.stack(corners, axis=-1).reshape(-1, 4)


def gums(arch: Arch, model: HeadModel, shape: HeadShape) -> tuple[np.ndarray, np.ndarray]:
    """A tube along the arch at the necks of the teeth, which dips between them.

    Where lip or chin are too thin for it, it is flattened to stay below the skin: it showed as a
    row of dark specks there.
    """
    x = np.linspace(-_WIDEST_GUM_M, _WIDEST_GUM_M, 96)
    width, height = arch.crowns_m[:, 0], arch.crowns_m[:, 1]
    # distance along the arch to the nearest gap, where the gum reaches down as a papilla
    ends = np.concatenate([[0.0], np.cumsum(width)])
    papilla = np.exp(-((np.abs(np.abs(x)[:, None] - ends * 0.97).min(axis=1) / 0.0012) ** 2))
    centre = arch.point(x) - arch.outward(x) * 0.0052
    neck = np.interp(np.abs(x), ends[:-1] + width / 2, height)
    centre[:, 2] += arch.upwards * (neck + 0.0026 - 0.0022 * papilla)
    angle = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    tube = (
        centre[:, None]
        + arch.outward(x)[:, None] * (0.0046 * np.cos(angle))[None, :, None]
        + np.array([0, 0, 1.0]) * (0.0046 * np.sin(angle))[None, :, None]
    )
    points = _below_skin(arch.moved(tube.reshape(-1, 3)), model, shape)
    return points, _grid_quads(len(x), len(angle))


def _below_skin(points: np.ndarray, model: HeadModel, shape: HeadShape) -> np.ndarray:
    """Points [N, 3] around the mouth, pushed in where they come too near to the outer skin."""
    z = model.canonical[:, 2]
    outer = (model.masks["lips"] < 0.3) & (model.masks["mouth"] < 0.3)
    outer &= (z > 0.77) & (z < 0.85) & (model.canonical[:, 1] < -0.11)
    skin, normals = shape.vertices[outer], shape.normals[outer]
    distance, nearest = cKDTree(skin).query(points)
    depth = ((skin[nearest] - points) * normals[nearest]).sum(axis=1)
    push = np.where(distance < _NEAR_SKIN_M, np.maximum(_LEAST_FLESH_M - depth, 0), 0)
    return points - normals[nearest] * push[:, None]


def tongue(model: HeadModel, shape: HeadShape, jaw: Arch) -> tuple[np.ndarray, np.ndarray]:
    """The tongue: it lies flat in the lower arch and sinks with the jaw."""
    used, faces = np.unique(model.groups["helper-tongue"], return_inverse=True)
    faces = faces.reshape(-1, 4)
    head = shape.model_from_rest_head
    points = _undone(shape.base_vertices[used], head)
    drop = _undone(jaw.moved(jaw.point(np.zeros(1))), head)[0] - jaw.point(np.zeros(1))[0]
    floor = points[:, 2].min()
    points[:, 2] = floor + (points[:, 2] - floor) * _TONGUE_FLATNESS
    points[:, 1] += _TONGUE_BACK_M
    points[:, 2] += _TONGUE_SINKS * min(0.0, drop[2]) - _TONGUE_DOWN_M
    matrix, faces = catmull_clark(faces, len(used))
    return matrix.apply(points @ head[:3, :3].T + head[:3, 3]), faces
