"""Cloth on a body: offset, folded, then relaxed under gravity until it hangs.

The relaxation is position based dynamics (Mueller et al. 2007, "Position Based Dynamics") without
velocities: every step moves the cloth down a little, restores the length of its springs (Jacobi
iterations with averaged corrections), smooths its curvature and pushes it out of the body. numpy
and scipy only; lengths are metres in model space.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field

import numpy as np
from scipy.spatial import cKDTree

from synth.blender_scenes.clothes_folds import Folding, fold_heights
from synth.blender_scenes.clothes_mesh import ClothMesh
from synth.headmodel import HeadModel, HeadShape
from synth.headmodel_masks import smoothstep
from synth.subdivision import vertex_normals

_HANGING_ARM_DEG = 13.0
"""Angle of the upper arm to the vertical under a sleeve. Bare arms stay where the body has them."""
_RAISED_DEG = 30.0
"""Garments are cut for raised arms: lowering these is what folds the armpit."""
_BRIDGING_STEPS = 6
_OVER_RELAXATION = 1.2
_FRICTION = 0.3
_NEW_CONTACTS_EVERY = 20
_CONTACT_VERTICES = 4

_CREASES = Folding(armpit=2, drag=3, shoulder=1, chest=1, back=4, sleeve=6)
_CREASE_WIDTH = 0.55
"""Folds that the relaxation would smooth away, and their width as a part of the others'."""


@dataclass(frozen=True)
class Cloth:
    """How a cloth lies on the body; metres.

    Attributes:
        offset_m: distance from the skin before it settles.
        clearance_m: least distance from the skin.
        fold_m: height of the folds.
        crease_m: height of the small creases that are drawn on the cloth once it hangs.
        stretch: factor on its length where it is free; above 1 it is cut wider than the body.
        weight_m: how far one step of relaxation lets it fall.
        stiffness: 0 ... 0.2, how much of its curvature is smoothed in a step.
        steps: steps of relaxation.
        bridging: how often it is smoothed outwards over hollows first.
        pad_m: thickness of a shoulder pad.
        inward_m: how deep it may cut into shoulder and arm, if their skin is not rendered.
        folding: which folds.
    """

    offset_m: float
    clearance_m: float
    fold_m: float
    stretch: float = 1.02
    weight_m: float = 0.0005
    stiffness: float = 0.02
    steps: int = 60
    bridging: int = _BRIDGING_STEPS
    pad_m: float = 0.0
    inward_m: float = 0.010
    folding: Folding = field(default_factory=Folding)
    crease_m: float = 0.0


@dataclass(frozen=True, eq=False)
class Collider:
    """The body under the cloth: [S, 3] vertices and normals, and a search tree over them."""

    vertices: np.ndarray
    normals: np.ndarray
    tree: cKDTree

    @classmethod
    def of(cls, vertices: np.ndarray, normals: np.ndarray) -> Collider:
        return cls(vertices, normals, cKDTree(vertices))

    def planes(self, points: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Smoothed anchor and unit normal [N, 3] of the surface nearest to each point."""
        distance, nearest = self.tree.query(points, k=count)
        weight = 1.0 / (distance + 1e-3)
        weight = (weight / weight.sum(axis=1, keepdims=True))[..., None]
        normal = (self.normals[nearest] * weight).sum(axis=1)
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
        return (self.vertices[nearest] * weight).sum(axis=1), normal


def body_under_cloth(model: HeadModel, shape: HeadShape, *, hang_arms: bool) -> np.ndarray:
    """[V, 3] the vertices of `shape` with relaxed arms, if sleeves cover them."""
    if not hang_arms:
        return shape.vertices
    excess = max(0.0, _arm_angle_deg(shape.vertices, model.canonical) - _HANGING_ARM_DEG)
    return turn_arms(shape.vertices, model.canonical, excess)


def with_hanging_arms(model: HeadModel, shape: HeadShape) -> HeadShape:
    """`shape` with relaxed arms, its normals too; doing it twice changes nothing more."""
    vertices = body_under_cloth(model, shape, hang_arms=True)
    return dataclasses.replace(
        shape, vertices=vertices, normals=vertex_normals(vertices, model.faces)
    )


def collider(model: HeadModel, vertices: np.ndarray) -> Collider:
    """What cloth on the body `vertices` must stay outside of."""
    side, height = np.abs(model.canonical[:, 0]), model.canonical[:, 2]
    part = (height > 0.34) & (height < 0.80) & (side < 0.40)
    normals = vertex_normals(vertices, model.faces)
    return Collider.of(vertices[part], normals[part])


def drape(
    mesh: ClothMesh,
    body: np.ndarray,
    obstacle: Collider,
    cloth: Cloth,
    edge: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Lay a cloth on a body.

    Args:
        mesh: the second skin.
        body: [V, 3] the body from `body_under_cloth`.
        obstacle: from `collider`.
        cloth: how it lies.
        edge: [n] 0 at an edge of the garment that hugs the skin, 1 away from it.
        rng: places the folds.

    Returns:
        [N, 3] vertices of the fine mesh, metres.
    """
    skin = body[mesh.body]
    free = 1.0 - mesh.pinned
    start = _bridge_hollows(mesh, skin, cloth)
    normals = vertex_normals(start, mesh.quads)
    lift = cloth.offset_m * (0.35 + 0.65 * edge) + cloth.pad_m * _shoulder_pad(mesh.canonical)
    lift += cloth.fold_m * fold_heights(mesh.canonical, cloth.folding, rng) * free * edge
    start = start + normals * lift[:, None]
    raised = turn_arms(start, mesh.canonical, -_RAISED_DEG)
    first, second = mesh.springs.T
    length = np.linalg.norm(raised[first] - raised[second], axis=1)
    held = np.maximum(mesh.pinned[first], mesh.pinned[second])
    length *= cloth.stretch * (1 - held) + held
    fine = mesh.subdivision.apply(_relax(mesh, start, length, obstacle, cloth))
    if not cloth.crease_m:
        return fine
    away_from_edge = mesh.subdivision.apply((free * edge)[:, None])[:, 0]
    creases = dataclasses.replace(_CREASES, width=_CREASE_WIDTH * cloth.folding.width)
    crease = cloth.crease_m * fold_heights(mesh.fine_canonical, creases, rng) * away_from_edge
    return fine + vertex_normals(fine, mesh.fine_quads) * crease[:, None]


def turn_arms(vertices: np.ndarray, canonical: np.ndarray, lower_deg: float) -> np.ndarray:
    """Lower (or raise) the arms about the shoulders; the angle fades out towards the chest."""
    turned = vertices.copy()
    weight = smoothstep(0.13, 0.26, np.abs(canonical[:, 0]))
    for sign in (1.0, -1.0):
        side = canonical[:, 0] * sign > 0.13
        joint = (np.abs(canonical[:, 0] * sign - 0.19) < 0.025) & (canonical[:, 2] > 0.6)
        centre = vertices[joint].mean(axis=0)
        angle = math.radians(lower_deg) * sign * weight[side]
        dx, dz = vertices[side, 0] - centre[0], vertices[side, 2] - centre[2]
        turned[side, 0] = centre[0] + dx * np.cos(angle) + dz * np.sin(angle)
        turned[side, 2] = centre[2] - dx * np.sin(angle) + dz * np.cos(angle)
    return turned


def _arm_angle_deg(vertices: np.ndarray, canonical: np.ndarray) -> float:
    """Mean angle of both upper arms to the vertical."""
    angles = []
    for sign in (1.0, -1.0):
        side = canonical[:, 0] * sign
        shoulder = vertices[(np.abs(side - 0.20) < 0.02) & (canonical[:, 2] > 0.58)].mean(axis=0)
        elbow = vertices[np.abs(side - 0.37) < 0.02].mean(axis=0)
        arm = elbow - shoulder
        angles.append(math.degrees(math.atan2(abs(arm[0]), -arm[2])))
    return sum(angles) / 2


def _shoulder_pad(canonical: np.ndarray) -> np.ndarray:
    side, height = np.abs(canonical[:, 0]), canonical[:, 2]
    return smoothstep(0.09, 0.16, side) * smoothstep(0.235, 0.20, side) * (height > 0.62)


def _bridge_hollows(mesh: ClothMesh, skin: np.ndarray, how: Cloth) -> np.ndarray:
    """Smooth outwards only: cloth spans what skin follows."""
    normals = vertex_normals(skin, mesh.quads)
    cloth = skin
    for _ in range(how.bridging):
        cloth = 0.35 * cloth + 0.65 * (mesh.average @ cloth)
    inward = np.minimum(((cloth - skin) * normals).sum(axis=1), 0.0)
    # Cloth over the upper arm hangs from the shoulder; it does not show the muscle under it.
    tolerance = how.inward_m * smoothstep(0.14, 0.20, np.abs(mesh.canonical[:, 0]))
    cloth = cloth - normals * np.minimum(inward + tolerance, 0.0)[:, None]
    held = mesh.pinned[:, None]
    return cloth * (1 - held) + skin * held


def _relax(
    mesh: ClothMesh, start: np.ndarray, length: np.ndarray, obstacle: Collider, cloth: Cloth
) -> np.ndarray:
    """[n, 3] where the cloth comes to rest. float32: it halves the time."""
    position = start.astype(np.float32)
    length = length.astype(np.float32)
    free = (1.0 - mesh.pinned).astype(np.float32)[:, None]
    fall = free * np.array([0.0, 0.0, -cloth.weight_m], np.float32)
    inside_arm = cloth.inward_m * smoothstep(0.14, 0.20, np.abs(mesh.canonical[:, 0]))
    clearance = (cloth.clearance_m - inside_arm).astype(np.float32)
    for step in range(cloth.steps):
        if step % _NEW_CONTACTS_EVERY == 0:
            anchor, normal = obstacle.planes(position, _CONTACT_VERTICES)
            anchor, normal = anchor.astype(np.float32), normal.astype(np.float32)
        before = position
        position = position + fall
        spring = mesh.difference @ position
        now = np.sqrt((spring * spring).sum(axis=1))
        spring *= (_OVER_RELAXATION * (1.0 - length / now))[:, None]
        position += free * (mesh.correction @ spring)
        bend = mesh.average @ position - position
        position -= free * (cloth.stiffness * (mesh.average @ bend - bend))
        lack = ((position - anchor) * normal).sum(axis=1) - clearance
        moved = position - before
        slide = moved - normal * (moved * normal).sum(axis=1, keepdims=True)
        touching = (lack < 0) * np.float32(_FRICTION)
        position -= normal * np.minimum(lack, 0.0)[:, None] + slide * touching[:, None]
    return position
