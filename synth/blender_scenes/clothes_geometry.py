"""From draped cloth to a garment: cut along its edges, divide into panels, run on out of frame.

numpy only. Lengths are metres in model space; `canonical` positions are those of the default adult
with raised arms, so one outline fits every body.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from synth.blender_scenes.clothes_folds import sleeve_chart
from synth.blender_scenes.clothes_mesh import ClothMesh, collar_line
from synth.blender_scenes.limbs import EXTENSION_M, boundary_loops, is_arm, ring_faces, rings_below
from synth.headmodel_masks import smoothstep
from synth.subdivision import vertex_normals

SHORT_SLEEVE_M = 0.155
"""Length of a short sleeve along the canonical arm, where `sleeve_chart` begins."""
_SLEEVE_X = 0.17
"""Beyond this canonical |x| lies what may be sleeve."""
_SHOULDER_X = 0.13
"""Beyond this canonical |x| a neckline does not reach."""
_FAR_M = 0.05
_ARM_RADIUS_M = 0.05
_MIDDLE_Y = -0.03
SLEEVES = ("set_in", "dropped", "raglan")
PANELS = ("cloth", "front", "sleeve")
"""Back, front and sleeves, by the names of their materials."""
_SIDE_SEAM_Y = -0.012
_SEAMS_APART_M = 0.010
"""A seam ends this far before it meets another; where both are drawn they make a blot."""


@dataclass(frozen=True)
class Neckline:
    """The upper edge of a garment in canonical space.

    Attributes:
        rise_m: how far above the base of the neck it lies at the front.
        back_rise_m: the same at the nape.
        v_depth_m: depth of a V at the front, 0 for a round neck.
        v_half_width_m: half width of the V at its top.
        v_curve: exponent of the sides of the V; above 1 they bulge towards the middle, below 1
            away from it.
        scoop_m: how much deeper than the base of the neck a round neck is at the front.
        scoop_half_width_m: where the scoop ends, at the sides of the neck.
    """

    rise_m: float = 0.0
    back_rise_m: float = 0.0
    v_depth_m: float = 0.0
    v_half_width_m: float = 0.075
    v_curve: float = 1.0
    scoop_m: float = 0.0
    scoop_half_width_m: float = 0.085

    def depth(self, canonical: np.ndarray) -> np.ndarray:
        """[V] metres below the edge, for canonical positions [V, 3]; covered where positive."""
        x, y, z = canonical.T
        side = np.abs(x)
        back = smoothstep(-0.07, 0.03, y)
        edge = collar_line(canonical) + self.rise_m * (1 - back) + self.back_rise_m * back
        if self.v_depth_m:
            notch = np.clip(1 - side / self.v_half_width_m, 0, 1) ** self.v_curve
            edge = edge - self.v_depth_m * notch * smoothstep(-0.01, -0.05, y)
        if self.scoop_m:
            # U-shaped: it rises ever more steeply towards the sides
            part = side / self.scoop_half_width_m
            drop = self.scoop_m * (0.45 + 0.55 * smoothstep(-0.02, -0.08, y))
            edge = edge - drop + (drop + 0.012) * part**4
            slope = 4 * (drop + 0.012) * part**3 / self.scoop_half_width_m
            return _covered_shoulders((edge - z) / np.sqrt(1 + slope**2), side)
        return _covered_shoulders(edge - z, side)


def _covered_shoulders(depth: np.ndarray, side: np.ndarray) -> np.ndarray:
    return np.where(side > _SHOULDER_X, np.maximum(depth, _FAR_M), depth)


def armhole_depth(canonical: np.ndarray) -> np.ndarray:
    """[V] metres inside the armhole edge of a sleeveless garment; covered where positive."""
    side, height = np.abs(canonical[:, 0]), canonical[:, 2]
    return 0.116 + 0.062 * smoothstep(0.69, 0.545, height) - side


def short_sleeve_depth(canonical: np.ndarray) -> np.ndarray:
    """[V] metres above the hem of a short sleeve; covered where positive."""
    along = np.where(
        canonical[:, 0] > 0, sleeve_chart(canonical, 1.0)[0], sleeve_chart(canonical, -1.0)[0]
    )
    return np.where(np.abs(canonical[:, 0]) > _SLEEVE_X, SHORT_SLEEVE_M - along, np.inf)


def sleeve_depth(canonical: np.ndarray, sleeve: str) -> np.ndarray:
    """[V] metres from the seam of a sleeve (one of `SLEEVES`), positive on the body panel."""
    side, height = np.abs(canonical[:, 0]), canonical[:, 2]
    if sleeve == "raglan":
        away = np.array([0.165, 0.105]) / np.hypot(0.165, 0.105)
        return -(side - 0.165) * away[0] - (height - 0.575) * away[1]
    if sleeve == "dropped":
        return 0.205 - 0.020 * smoothstep(0.62, 0.56, height) - side
    scye = np.exp(-(((height - 0.635) / 0.035) ** 2))  # the armhole is cut in above the armpit
    return 0.180 - 0.016 * scye - side


@dataclass(frozen=True, eq=False)
class Garment:
    """A garment's cloth in model space.

    Attributes:
        vertices: [N, 3] metres.
        normals: [N, 3] unit, outward.
        faces: [F, 4] int.
        coordinates: [F, 4, 2] metres along the cloth at the corners, across and up, for patterns.
        panel: [F] int, which of `PANELS` each face belongs to.
        seam_m: [N] distance to the nearest seam, at most 5 cm.
        neck_loop: [K] vertex numbers of the neckline in order around the neck.
        arm_openings: loops that bare arms come out of: armholes, or hems of short sleeves.
        fine: [n] numbers on the fine cloth mesh of the first n vertices; the rest runs on below.
    """

    vertices: np.ndarray
    normals: np.ndarray
    faces: np.ndarray
    coordinates: np.ndarray
    panel: np.ndarray
    seam_m: np.ndarray
    neck_loop: np.ndarray
    arm_openings: tuple[np.ndarray, ...]
    fine: np.ndarray


def cut_garment(
    mesh: ClothMesh, cloth: np.ndarray, neckline: Neckline, sleeve: str | None, *, short: bool
) -> Garment:
    """Cut draped cloth along its edges and find panels and seams.

    Args:
        mesh: what was draped.
        cloth: [N, 3] vertices of its fine mesh.
        neckline: the upper edge.
        sleeve: one of `SLEEVES`, or None for a garment without sleeves.
        short: whether the sleeves end above the elbow.
    """
    canonical, faces = mesh.fine_canonical, mesh.fine_quads
    depth = neckline.depth(canonical)
    fields = [depth]
    if not sleeve:
        fields.append(armhole_depth(canonical))
    elif short:
        fields.append(short_sleeve_depth(canonical))
    seam = sleeve_depth(canonical, sleeve) if sleeve else np.full(len(canonical), _FAR_M)
    side_seam = canonical[:, 1] - _SIDE_SEAM_Y  # over the shoulder, and down under the arm
    cloth, on_sleeve_seam = _snap_to_edge(cloth, faces, seam)
    cloth, on_side_seam = _snap_to_edge(cloth, faces, side_seam, seam > _SEAMS_APART_M)
    on_seam = on_sleeve_seam | (on_side_seam & (seam > 0))
    for field in fields:
        cloth, _ = _snap_to_edge(cloth, faces, field)
    covered = np.logical_and.reduce([(field[faces] > 0).all(axis=1) for field in fields])
    used, faces = np.unique(faces[covered], return_inverse=True)
    faces = faces.reshape(-1, 4)
    cloth, canonical, seam = cloth[used], canonical[used], seam[used]
    is_sleeve = ~(seam[faces] > 0).all(axis=1)
    is_front = ~is_sleeve & ~(side_seam[used][faces] > 0).all(axis=1)
    distance = np.minimum(np.abs(seam), np.where(seam > 0, np.abs(side_seam[used]), _FAR_M))
    seam_m = np.where(on_seam[used], 0.0, np.minimum(distance, _FAR_M))
    coordinates = _cloth_coordinates(cloth, canonical, faces, is_sleeve)
    loops = boundary_loops(faces)
    neck = max(loops, key=lambda loop: cloth[loop, 2].mean())
    others = [loop for loop in loops if loop is not neck and len(loop) >= 24]
    others.sort(key=lambda loop: -cloth[loop, 2].mean())
    bare = 2 if short or not sleeve else 0
    arm_openings, open_ends = tuple(others[:bare]), others[bare:]
    panel = np.where(is_sleeve, 2, np.where(is_front, 1, 0))
    cut = Garment(cloth, cloth, faces, coordinates, panel, seam_m, neck, arm_openings, used)
    return _run_on(cut, open_ends)


def _snap_to_edge(
    vertices: np.ndarray, faces: np.ndarray, depth: np.ndarray, movable: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Move the lowest covered vertices onto the edge itself, so that the cut is a clean curve.

    Args:
        vertices: [N, 3].
        faces: [F, 4].
        depth: [N] below the edge; the edge lies where it is 0.
        movable: [N] bool, which may be moved; None is all.

    Returns:
        The vertices, and which of them now lie on the edge [N] bool.
    """
    movable = np.ones(len(vertices), bool) if movable is None else movable
    snapped = vertices.copy()
    on_edge = np.zeros(len(vertices), bool)
    sides = np.concatenate([faces[:, [i, (i + 1) % 4]] for i in range(4)])
    diagonals = np.concatenate([faces[:, [0, 2]], faces[:, [1, 3]]])
    # A vertex that only a diagonal joins to the outside would stay behind as a tooth.
    for pairs in (sides, diagonals):
        pairs = np.concatenate([pairs, pairs[:, ::-1]])
        crossing = (depth[pairs[:, 0]] > 0) & (depth[pairs[:, 1]] <= 0) & movable[pairs[:, 0]]
        inside, outside = pairs[crossing & ~on_edge[pairs[:, 0]]].T
        t = (depth[inside] / (depth[inside] - depth[outside]))[:, None]
        moved = vertices[inside] * (1 - t) + vertices[outside] * t
        count = np.bincount(inside, minlength=len(vertices))
        found = count > 0
        for axis in range(3):
            total = np.bincount(inside, moved[:, axis], minlength=len(vertices))
            snapped[found, axis] = total[found] / count[found]
        on_edge |= found
    return snapped, on_edge


def _cloth_coordinates(
    cloth: np.ndarray, canonical: np.ndarray, faces: np.ndarray, is_sleeve: np.ndarray
) -> np.ndarray:
    """[F, 4, 2] metres: across and up on the body, around and along on the sleeves."""
    x, y, z = cloth.T
    # A panel goes over the shoulder: its length goes on where z stops rising.
    body = np.stack([x, z - 0.4 * np.abs(y - _MIDDLE_Y)], axis=1)
    coordinates = body[faces]
    for sign in (1.0, -1.0):
        part = is_sleeve & (canonical[faces, 0].mean(axis=1) * sign > 0)
        along, around, _ = sleeve_chart(canonical, sign)
        turn = around[faces[part]]
        turn = turn + 2 * np.pi * ((turn[:, :1] - turn) > np.pi)  # across the cut of the angle
        turn = turn - 2 * np.pi * ((turn - turn[:, :1]) > np.pi)
        coordinates[part] = np.stack([turn * _ARM_RADIUS_M, 0.62 - along[faces[part]]], axis=-1)
    return coordinates


def _run_on(garment: Garment, loops: list[np.ndarray]) -> Garment:
    """Let sleeves and hem run on out of every frame."""
    vertices, faces, coordinates = garment.vertices, garment.faces, garment.coordinates
    panel, seam = garment.panel, garment.seam_m
    drop = np.array([0.0, *EXTENSION_M])
    for loop in loops:
        points = vertices[loop]
        around = np.linalg.norm(np.diff(points, axis=0, append=points[:1]), axis=1)
        around = np.r_[0.0, np.cumsum(around)]
        quads = ring_faces(loop, len(vertices))
        low, high = np.repeat(-drop[1:], len(loop)), np.repeat(-drop[:-1], len(loop))
        left, right = (np.tile(part, len(EXTENSION_M)) for part in (around[:-1], around[1:]))
        corners = [(left, high), (left, low), (right, low), (right, high)]
        added = np.stack([np.stack(corner, axis=-1) for corner in corners], axis=1)
        start = coordinates[:, :, 1].min()
        faces = np.concatenate([faces, quads])
        coordinates = np.concatenate([coordinates, added + np.array([0.0, start])])
        vertices = np.concatenate([vertices, rings_below(points).reshape(-1, 3)])
        seam = np.concatenate([seam, np.full(len(loop) * len(EXTENSION_M), _FAR_M)])
        panel = np.concatenate([panel, np.full(len(quads), 2 if is_arm(points) else 0)])
    return dataclasses.replace(
        garment, vertices=vertices, normals=vertex_normals(vertices, faces), faces=faces,
        coordinates=coordinates, panel=panel, seam_m=seam,
    )  # fmt: skip
