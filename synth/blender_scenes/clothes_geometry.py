"""A garment from the body: cut below a neckline, drape, wrinkle, and find its edges.

numpy and scipy only. Lengths are metres in model space; `canonical` positions are those of the
default adult, so one neckline fits every body.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse

from synth.headmodel_masks import smoothstep
from synth.subdivision import vertex_normals

_SHOULDER_X = 0.13
"""Beyond this canonical |x| the shoulder is always covered."""
_SLEEVE_CUT_X = 0.395
_HEM_CUT_Z = 0.15
_EXTRA_ARM_LOWERING_DEG = 11.0
"""The model's arms stand a little off the body; hanging sleeves look relaxed and less broad."""
_SMOOTHING_STEPS = 24
_EXTENSION_M = (0.05, 0.10, 0.16, 0.24, 0.36, 0.55, 0.85, 1.4, 2.4)
"""Rings below the cut of sleeves and hem: seen from 60 degrees above, the frame ends that far."""
_EDGE_RAMP_M = 0.03
_LOOSE_INWARD_M = 0.012
"""How deep the cloth of shoulder and sleeve may cut into the body, whose skin is not rendered."""


@dataclass(frozen=True)
class Neckline:
    """The upper edge of a garment in canonical space.

    Attributes:
        rise_m: how far above the base of the neck it lies at the front.
        back_rise_m: the same at the nape.
        v_depth_m: depth of a V at the front, 0 for a round neck.
        v_half_width_m: half width of the V at its top.
    """

    rise_m: float = 0.0
    back_rise_m: float = 0.0
    v_depth_m: float = 0.0
    v_half_width_m: float = 0.075

    def depth(self, canonical: np.ndarray) -> np.ndarray:
        """[V] metres below the edge, for canonical positions [V, 3]; covered where positive."""
        x, y, z = canonical.T
        side = np.abs(x)
        back = smoothstep(-0.07, 0.03, y)
        # The base of the neck is a tilted plane, low at the throat and high at the nape.
        edge = 0.735 + 0.42 * (y + 0.015) + self.rise_m * (1 - back) + self.back_rise_m * back
        if self.v_depth_m:
            notch = np.clip(1 - side / self.v_half_width_m, 0, 1)
            edge = edge - self.v_depth_m * notch * smoothstep(-0.01, -0.05, y)
        depth = edge - z
        depth = np.where(side > _SHOULDER_X, np.maximum(depth, _EDGE_RAMP_M), depth)
        depth = np.minimum(depth, np.where(side > 0.2, _SLEEVE_CUT_X - side, np.inf))
        return np.minimum(depth, np.where(z < 0.3, z - _HEM_CUT_Z, np.inf))


@dataclass(frozen=True, eq=False)
class Garment:
    """A draped garment surface in model space.

    Attributes:
        vertices: [N, 3] metres.
        normals: [N, 3] unit, outward.
        faces: [F, 4] int.
        coordinates: [N, 2] metres along the cloth, across and up, for patterns.
        neck_loop: [K] vertex numbers of the neckline in order around the neck.
    """

    vertices: np.ndarray
    normals: np.ndarray
    faces: np.ndarray
    coordinates: np.ndarray
    neck_loop: np.ndarray


def drape(
    vertices: np.ndarray,
    faces: np.ndarray,
    canonical: np.ndarray,
    depth: np.ndarray,
    *,
    offset_m: float,
    wrinkle_m: float,
    rng: np.random.Generator,
) -> Garment:
    """Cut the body along the neckline and turn it into cloth.

    Args:
        vertices: [V, 3] the body in model space.
        faces: [F, 4] its quads.
        canonical: [V, 3] canonical positions.
        depth: [V] from `Neckline.depth`.
        offset_m: distance of the cloth from the skin.
        wrinkle_m: height of the folds.
        rng: decides the folds.
    """
    snapped, on_edge = _snap_to_edge(vertices, faces, depth)
    covered = faces[(depth[faces] > 0).all(axis=1)]
    used, covered = np.unique(covered, return_inverse=True)
    covered = covered.reshape(-1, 4)
    canonical, depth = canonical[used], depth[used]
    body = _lower_arms(snapped[used], canonical)
    cloth = _bridge_hollows(body, covered, canonical, on_edge[used])
    covered_inside = smoothstep(0.0, _EDGE_RAMP_M, depth)
    normals = vertex_normals(cloth, covered)
    folds = _folds(cloth, canonical, rng) * wrinkle_m
    lift = offset_m * (0.35 + 0.65 * covered_inside) + folds * covered_inside
    cloth = cloth + normals * lift[:, None]
    coordinates = _cloth_coordinates(cloth, canonical)
    loops = boundary_loops(covered)
    neck = max(loops, key=lambda loop: cloth[loop, 2].mean())
    cloth, covered, coordinates = _extend_open_ends(
        cloth, covered, coordinates, [loop for loop in loops if loop is not neck]
    )
    return Garment(cloth, vertex_normals(cloth, covered), covered, coordinates, neck)


def _snap_to_edge(
    vertices: np.ndarray, faces: np.ndarray, depth: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Move the lowest covered vertices onto the edge itself, so that the cut is a clean curve."""
    edges = np.concatenate([faces[:, [i, (i + 1) % 4]] for i in range(4)])
    edges = np.concatenate([edges, edges[:, ::-1]])
    edges = edges[(depth[edges[:, 0]] > 0) & (depth[edges[:, 1]] <= 0)]
    inside, outside = edges.T
    t = (depth[inside] / (depth[inside] - depth[outside]))[:, None]
    total = np.zeros_like(vertices)
    count = np.zeros(len(vertices))
    np.add.at(total, inside, vertices[inside] * (1 - t) + vertices[outside] * t)
    np.add.at(count, inside, 1)
    on_edge = count > 0
    snapped = vertices.copy()
    snapped[on_edge] = total[on_edge] / count[on_edge, None]
    return snapped, on_edge


def _lower_arms(vertices: np.ndarray, canonical: np.ndarray) -> np.ndarray:
    lowered = vertices.copy()
    weight = smoothstep(0.14, 0.27, np.abs(canonical[:, 0]))
    for sign in (1.0, -1.0):
        side = canonical[:, 0] * sign > 0.14
        joint = (np.abs(canonical[:, 0] * sign - 0.19) < 0.02) & (canonical[:, 2] > 0.6)
        centre = vertices[joint].mean(axis=0)
        angle = math.radians(_EXTRA_ARM_LOWERING_DEG) * sign * weight[side]
        dx, dz = vertices[side, 0] - centre[0], vertices[side, 2] - centre[2]
        lowered[side, 0] = centre[0] + dx * np.cos(angle) + dz * np.sin(angle)
        lowered[side, 2] = centre[2] - dx * np.sin(angle) + dz * np.cos(angle)
    return lowered


def _bridge_hollows(
    body: np.ndarray, faces: np.ndarray, canonical: np.ndarray, pinned: np.ndarray
) -> np.ndarray:
    """Smooth the surface outwards only: cloth spans what skin follows."""
    average = neighbour_average(faces, len(body))
    normals = vertex_normals(body, faces)
    cloth = body.copy()
    for _ in range(_SMOOTHING_STEPS):
        moved = 0.35 * cloth + 0.65 * (average @ cloth)
        cloth = np.where(pinned[:, None], cloth, moved)
    inward = np.minimum(((cloth - body) * normals).sum(axis=1), 0.0)
    # Cloth over the upper arm hangs from the shoulder; it does not show the muscle under it.
    tolerance = _LOOSE_INWARD_M * smoothstep(0.14, 0.20, np.abs(canonical[:, 0]))
    cloth = cloth - normals * np.minimum(inward + tolerance, 0.0)[:, None]
    for _ in range(4):
        moved = 0.5 * cloth + 0.5 * (average @ cloth)
        cloth = np.where(pinned[:, None], cloth, moved)
    return cloth


def neighbour_average(faces: np.ndarray, count: int) -> sparse.csr_matrix:
    """[count, count] matrix that averages the values of the vertices joined by an edge."""
    a = faces.ravel()
    b = np.roll(faces, -1, axis=1).ravel()
    ones = np.ones(2 * len(a))
    matrix = sparse.coo_matrix((ones, (np.r_[a, b], np.r_[b, a])), (count, count)).tocsr()
    matrix.data[:] = 1.0  # an inner edge was counted twice
    degree = np.maximum(np.asarray(matrix.sum(axis=1)).ravel(), 1.0)
    return sparse.diags(1.0 / degree) @ matrix


def waves(points: np.ndarray, frequency_per_m: float, rng: np.random.Generator) -> np.ndarray:
    """[N] smooth noise of unit variance with about `frequency_per_m` bumps a metre."""
    vectors = rng.normal(size=(16, 3)) * frequency_per_m * 2.6
    phases = rng.uniform(0, 2 * np.pi, 16)
    return np.cos(points @ vectors.T + phases).sum(axis=1) * math.sqrt(2 / 16)


def _folds(cloth: np.ndarray, canonical: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """[N] about [-1, 2]: broad undulation, and ridges that hang from shoulder and armpit."""
    side = np.abs(canonical[:, 0])
    warped = cloth + 0.012 * waves(cloth, 7.0, rng)[:, None]
    # Ridges run along the pull: down the body, across the sleeve, and out of the armpit.
    hanging = np.exp(-((waves(warped * [1.0, 1.0, 0.35], 5.0, rng) / 0.45) ** 2))
    across = np.exp(-((waves(warped * [0.5, 0.5, 1.0], 9.0, rng) / 0.5) ** 2))
    slanted = warped[:, :1] * np.sign(canonical[:, :1]) + warped[:, 2:]
    pulled = np.exp(
        -((waves(np.concatenate([slanted, 0.4 * warped[:, 1:]], axis=1), 8.0, rng) / 0.4) ** 2)
    )
    sleeve = smoothstep(0.17, 0.24, side)
    armpit = np.exp(-(((side - 0.13) / 0.05) ** 2) - ((canonical[:, 2] - 0.60) / 0.07) ** 2)
    loose = smoothstep(0.72, 0.60, canonical[:, 2])  # tight over the shoulders
    ridges = hanging * (1 - sleeve) * (0.35 + 0.85 * loose) + across * sleeve * 1.2
    return 0.6 * waves(cloth, 4.0, rng) * loose + ridges + 1.3 * pulled * armpit


def _cloth_coordinates(cloth: np.ndarray, canonical: np.ndarray) -> np.ndarray:
    """[N, 2] metres: across and up on the torso, around and along on the sleeves."""
    x, y, z = cloth.T
    middle_y = -0.04
    # A panel of cloth goes over the shoulder: its length continues where z stops rising.
    torso = np.stack([x, z - 0.8 * np.abs(y - middle_y)], axis=1)
    along = np.abs(canonical[:, 0]) - 0.19
    sleeve = np.stack([y, 0.62 - along], axis=1)
    return np.where((along > 0)[:, None], sleeve, torso)


def boundary_loops(faces: np.ndarray) -> list[np.ndarray]:
    """The closed border curves of a quad mesh, each as vertex numbers in order."""
    directed = np.concatenate([faces[:, [i, (i + 1) % 4]] for i in range(4)])
    keys = {(int(a), int(b)) for a, b in directed}
    following = {a: b for a, b in keys if (b, a) not in keys}
    loops = []
    while following:
        start, current = following.popitem()
        loop = [start]
        while current != start and current in following:
            loop.append(current)
            current = following.pop(current)
        if current == start:
            loops.append(np.array(loop))
    return loops


def _extend_open_ends(
    vertices: np.ndarray, faces: np.ndarray, coordinates: np.ndarray, loops: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Let sleeves and hem run on out of every frame, so that no view shows a stump."""
    for loop in loops:
        if len(loop) < 24:
            continue
        centre = vertices[loop].mean(axis=0)
        is_sleeve = abs(centre[0]) > 0.15
        direction = np.array([0.25 * np.sign(centre[0]), -0.04, -1.0]) if is_sleeve else -_Z
        direction = direction / np.linalg.norm(direction)
        previous = loop
        flat = (vertices[loop] - centre) @ direction
        for step, reach_m in enumerate(_EXTENSION_M):
            even = np.outer(flat * min(step + 1, 3) / 3, direction)  # the cut is not quite plane
            ring = vertices[loop] + direction * reach_m - even
            new = len(vertices) + np.arange(len(loop))
            vertices = np.concatenate([vertices, ring])
            shift = np.array([0.0, -reach_m])
            coordinates = np.concatenate([coordinates, coordinates[loop] + shift])
            quads = [previous, new, np.roll(new, -1), np.roll(previous, -1)]
            faces = np.concatenate([faces, np.stack(quads, axis=1)])
            previous = new
    return vertices, faces, coordinates


_Z = np.array([0.0, 0.0, 1.0])
