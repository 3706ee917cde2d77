"""Earrings on the lobes of any head, hanging straight down whatever the head does; numpy only."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from synth.blender_scenes.accessory_mesh import (
    MeshPart,
    anchored,
    ellipsoid,
    rounded_box,
    sweep,
    unit,
)
from synth.blender_scenes.hair_field import HeadSurface
from synth.headmodel import HeadModel, HeadShape
from synth.spec import Earrings

_PIERCED = np.array([0.0797, -0.0560, 0.8502])
"""Where a lobe is pierced, on its outer face: canonical metres, the subject's left."""
_HOLE_DEPTH_M = 0.0022
_CLEARANCE_M = 0.0012
_NEAR_LOBE_M = 0.0065
"""What hangs less deep than this is beside the lobe and may touch it."""
_SWINGS_DEG = (0, 4, 8, 12, 16, 20, 25, 30, 36, 44)
_TURNS_DEG = (0, 15, 30, 45, 60, 75, 90)


def earring_parts(
    earrings: Earrings, model: HeadModel, shape: HeadShape, surface: HeadSurface
) -> list[MeshPart]:
    """The meshes of a pair of earrings, materials "metal" and "gem".

    Hoops and drops hang in the direction of gravity, which is -z of model space in every pose of
    the head; where cheek, neck or collar is in the way they are turned and then swung outwards.

    Args:
        surface: the head with its clothes, for collisions.
    """
    parts = []
    for side, sign in (("left", 1.0), ("right", -1.0)):
        hole = anchored(_PIERCED[None] * [sign, 1.0, 1.0], model.canonical, shape.vertices)[0]
        nearest = cKDTree(shape.vertices).query(hole, k=8)[1]
        outwards = unit(shape.normals[nearest].mean(axis=0))
        # onto the skin of this ear
        hole = hole + outwards * ((shape.vertices[nearest] - hole) @ outwards).mean()
        make = {"stud": _stud, "hoop": _hoop, "drop": _drop}[earrings.kind]
        parts += make(earrings, side, hole, outwards, surface)
    return parts


def _axes(normal: np.ndarray) -> np.ndarray:
    """[3, 3] rows: level, upwards, along `normal`."""
    level = unit(np.cross([0.0, 0.0, 1.0], normal))
    return np.stack([level, np.cross(normal, level), normal])


def _stud(
    earrings: Earrings, side: str, hole: np.ndarray, outwards: np.ndarray, surface: HeadSurface
) -> list[MeshPart]:
    """A ball or disc of metal, a pearl, or a cut stone in a collar."""
    radius, axes = earrings.size_m / 2, _axes(outwards)
    if earrings.metal > 0.5:
        flat = 0.9 if earrings.size_m < 0.0045 else 0.45
        ball = ellipsoid(
            hole + outwards * 0.8 * flat * radius, axes, (radius, radius, flat * radius)
        )
        return [MeshPart(f"stud_{side}", *ball, "metal")]
    if min(earrings.colour) > 0.5:
        pearl = ellipsoid(hole + outwards * 0.85 * radius, axes, (radius,) * 3, 14, 20)
        return [MeshPart(f"stud_{side}", *pearl, "gem")]
    stone = ellipsoid(hole + outwards * 0.35 * radius, axes, (radius, radius, 0.7 * radius), 5, 8)
    return [
        MeshPart(f"stud_{side}", *stone, "gem", smooth=False),
        MeshPart(
            f"mount_{side}", *_ring(hole + outwards * 0.3 * radius, axes, radius, 0.0004), "metal"
        ),
    ]


def _ring(
    centre: np.ndarray, axes: np.ndarray, radius: float, wire: float
) -> tuple[np.ndarray, np.ndarray]:
    angle = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    spokes = np.cos(angle)[:, None] * axes[0] + np.sin(angle)[:, None] * axes[1]
    return sweep(centre + spokes * radius, spokes, rounded_box(wire, wire, 2.0), closed=True)


def _hoop(
    earrings: Earrings, side: str, hole: np.ndarray, outwards: np.ndarray, surface: HeadSurface
) -> list[MeshPart]:
    """A ring through the lobe; it hangs in a vertical plane, turned until it clears the head."""
    radius = earrings.size_m / 2
    wire = 0.0006 + 0.022 * radius
    through = hole - outwards * _HOLE_DEPTH_M
    level = unit(outwards * [1.0, 1.0, 0.0])
    backwards = unit(np.array([0.0, 1.0, 0.0]) - level * level[1])
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)

    def ring(turn_deg: float, swing_deg: float) -> np.ndarray:
        turn, swing = np.radians(turn_deg), np.radians(swing_deg)
        across = level * np.cos(turn) + backwards * np.sin(turn)
        away = unit(level - across * (level @ across)) if turn_deg else np.zeros(3)
        down = np.array([0.0, 0.0, -1.0]) * np.cos(swing) + away * np.sin(swing)
        centre = through + down * radius
        return centre - radius * (np.cos(angle)[:, None] * down + np.sin(angle)[:, None] * across)

    line = _first_clear(ring, through[2] - _NEAR_LOBE_M, wire, surface)
    spokes = unit(line - line.mean(axis=0))
    mesh = sweep(line, spokes, rounded_box(wire, wire, 2.0), closed=True)
    return [MeshPart(f"hoop_{side}", *mesh, "metal")]


def _drop(
    earrings: Earrings, side: str, hole: np.ndarray, outwards: np.ndarray, surface: HeadSurface
) -> list[MeshPart]:
    """A pendant on a hook: a bead or stone, or a leaf of metal, under a fine chain."""
    length = earrings.size_m
    pendant = min(0.013, 0.42 * length)
    start = hole + outwards * 0.0016
    level = unit(outwards * [1.0, 1.0, 0.0])
    t = np.linspace(0, 1, 24)

    def line(turn_deg: float, swing_deg: float) -> np.ndarray:
        swing = np.radians(swing_deg)
        down = np.array([0.0, 0.0, -1.0]) * np.cos(swing) + level * np.sin(swing)
        return start + t[:, None] * length * down

    hanging = _first_clear(line, start[2] - 0.6 * length, 0.25 * pendant, surface)
    down = unit(hanging[-1] - hanging[0])
    ahead = unit(np.cross(down, level))
    axes = np.stack([ahead, np.cross(down, ahead), down])
    end = hanging[-1] - down * pendant / 2
    hook_angle = np.linspace(-0.3, np.pi, 12)
    hook = start - outwards * 0.0018 + np.sin(hook_angle)[:, None] * [0, 0, 0.0022]
    hook = hook - np.cos(hook_angle)[:, None] * outwards * 0.0022
    chain = np.stack([start, end - down * pendant / 2])
    chain = chain[0] + np.linspace(0, 1, 14)[:, None] * (chain[1] - chain[0])
    parts = [
        MeshPart(f"hook_{side}", *sweep(hook, ahead, rounded_box(0.0004, 0.0004, 2.0)), "metal"),
        MeshPart(
            f"chain_{side}", *sweep(chain, ahead, rounded_box(0.00038, 0.00038, 2.0)), "metal"
        ),
    ]
    if earrings.metal > 0.5:
        leaf = ellipsoid(end, axes, (0.30 * pendant, 0.0008, 0.5 * pendant), 14, 20)
        return [*parts, MeshPart(f"drop_{side}", *leaf, "metal")]
    smooth = min(earrings.colour) > 0.5
    rows, columns = (14, 20) if smooth else (6, 8)
    bead = ellipsoid(end, axes, (0.34 * pendant, 0.34 * pendant, 0.5 * pendant), rows, columns)
    cap = ellipsoid(end - down * 0.46 * pendant, axes, (0.0011, 0.0011, 0.0009), 8, 10)
    return [
        *parts,
        MeshPart(f"drop_{side}", *bead, "gem", smooth=smooth),
        MeshPart(f"cap_{side}", *cap, "metal"),
    ]


def _first_clear(make, below_m: float, radius_m: float, surface: HeadSurface) -> np.ndarray:
    """The first of `make(turn_deg, swing_deg)` that touches nothing, else the one that clears best.

    Only points under the height `below_m` count: the lobe itself, and a fine chain, may touch.
    Turning costs nothing, so every turn is tried before the earring swings out.
    """
    best, best_room = None, -np.inf
    for swing in _SWINGS_DEG:
        for turn in _TURNS_DEG:
            line = make(turn, swing)
            low = line[line[:, 2] < below_m]
            if not len(low):
                return line
            room = surface.field.distance(low).min() - radius_m - _CLEARANCE_M
            if room >= 0:
                return line
            if room > best_room:
                best, best_room = line, room
    assert best is not None
    return best
