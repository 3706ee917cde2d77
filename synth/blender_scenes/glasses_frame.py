"""Meshes of a pair of glasses: acetate plates or metal wire, lenses, pads, hinges; numpy only."""

from __future__ import annotations

import numpy as np

from synth.blender_scenes.accessory_mesh import (
    MeshPart,
    ellipsoid,
    grid_faces,
    rounded_box,
    sweep,
    transform,
    unit,
)
from synth.blender_scenes.glasses import (
    PAD_HALF_THICKNESS_M,
    PLATE_HALF_DEPTH_M,
    GlassesFit,
    fit_glasses,
)
from synth.headmodel import HeadModel, HeadShape
from synth.spec import Glasses

_SIDES = (1.0, -1.0)
_SPHERE_RADIUS_M = 0.105
"""Of the lenses' front, an ordinary base curve."""


def glasses_parts(glasses: Glasses, model: HeadModel, shape: HeadShape) -> list[MeshPart]:
    """All meshes of a pair of glasses, in model space.

    Materials: "frame" (the front and temples), "metal" (hinges, wires and arms of pads), "pad",
    "lens" (its uv: x and y of the lens in [-1, 1]).
    """
    fit = fit_glasses(glasses, model, shape)
    metal = glasses.metal > 0.5
    parts = []
    for i, sign in enumerate(_SIDES):
        parts += _rim(i, sign, glasses, fit, metal)
        parts += _temple(i, sign, glasses, fit, metal)
        parts += _pad(i, sign, glasses, fit, metal)
        parts.append(_lens(i, fit))
    parts.append(_bridge(glasses, fit, metal))
    return [_turned(part, fit) for part in parts]


def _turned(part: MeshPart, fit: GlassesFit) -> MeshPart:
    vertices = transform(fit.model_from_head, part.vertices)
    return MeshPart(part.name, vertices, part.faces, part.material, part.uv, part.casts_shadow)


def _outwards(line: np.ndarray) -> np.ndarray:
    """[n, 3] directions away from the middle of a closed rim."""
    return unit(line - line.mean(axis=0))


def _rim(i: int, sign: float, glasses: Glasses, fit: GlassesFit, metal: bool) -> list[MeshPart]:
    line = fit.rims[i]
    half = glasses.rim_radius_m
    out = _outwards(line)
    height = (line[:, 2] - line[:, 2].mean()) / (np.ptp(line[:, 2]) / 2)
    if glasses.shape == "browline":
        return _browline_rim(i, line, out, height, glasses, metal)
    if metal:
        profile = rounded_box(half, 1.15 * half, 2.6)
    else:
        # Plates are broadest above and at the temple, as they are cut.
        outer = sign * (line[:, 0] - line[:, 0].mean()) / (np.ptp(line[:, 0]) / 2)
        width = half * (1.0 + 0.18 * height.clip(0) + 0.22 * (outer * (height > -0.2)).clip(0))
        profile = rounded_box(width, PLATE_HALF_DEPTH_M * (1 - 0.12 * (-height).clip(0)))
    vertices, faces = sweep(line + out * 0.6 * half, out, profile, closed=True)
    return [MeshPart(f"rim_{i}", vertices, faces, "frame")]


def _browline_rim(
    i: int, line: np.ndarray, out: np.ndarray, height: np.ndarray, glasses: Glasses, metal: bool
) -> list[MeshPart]:
    """A wire around the lens under a heavy upper bar."""
    wire = 0.00065
    vertices, faces = sweep(line + out * wire, out, rounded_box(wire, 1.2 * wire, 2.4), closed=True)
    parts = [MeshPart(f"rim_{i}", vertices, faces, "metal")]
    half = 0.0019 + 0.6 * glasses.rim_radius_m * (0.4 if metal else 1.0)
    upper = np.flatnonzero(height > 0.12)
    breaks = np.flatnonzero(np.diff(upper) > 1)
    if len(breaks):  # the curve starts in the middle of the upper part
        upper = np.r_[upper[breaks[0] + 1 :], upper[: breaks[0] + 1]]
    t = np.linspace(0, 1, len(upper))
    taper = 0.45 + 0.55 * np.minimum(1, 6 * np.minimum(t, 1 - t))
    profile = rounded_box(half * taper, PLATE_HALF_DEPTH_M * (0.8 + 0.35 * taper))
    bar, bar_out = line[upper], out[upper]
    vertices, faces = sweep(bar + bar_out * (0.75 * half * taper)[:, None], bar_out, profile)
    return [*parts, MeshPart(f"brow_{i}", vertices, faces, "frame")]


def _bridge(glasses: Glasses, fit: GlassesFit, metal: bool) -> MeshPart:
    line = fit.bridge
    up = np.array([0.0, 0.0, 1.0])
    bow = np.abs(np.linspace(-1, 1, len(line)))
    if metal or glasses.shape == "browline":
        half = max(glasses.rim_radius_m if metal else 0.0, 0.0008)
        vertices, faces = sweep(line, up, rounded_box(1.1 * half, 1.2 * half, 2.6))
        return MeshPart(
            "bridge", vertices, faces, "metal" if glasses.shape == "browline" else "frame"
        )
    tall = glasses.rim_radius_m * (1.15 + 0.9 * bow**2.5)
    line = np.concatenate([line[:1] + (line[0] - line[1]), line, line[-1:] + (line[-1] - line[-2])])
    tall = np.r_[tall[0], tall, tall[-1]]
    vertices, faces = sweep(line, up, rounded_box(tall, 0.95 * PLATE_HALF_DEPTH_M, 3.5))
    return MeshPart("bridge", vertices, faces, "frame")


def _temple(i: int, sign: float, glasses: Glasses, fit: GlassesFit, metal: bool) -> list[MeshPart]:
    """End piece, hinge and temple; the temple is a plate, or a wire with a plastic tip."""
    line, hinge = fit.temples[i], fit.hinges[i]
    side = np.array([sign, 0.0, 0.0])
    front = line[: hinge - 1]
    back = line[hinge - 1 :].copy()
    back[0] = back[0] * 0.85 + back[1] * 0.15  # the seam at the hinge
    # On the front the plate's thickness points forward, on the temple outwards.
    across = side * np.linspace(0, 1, len(front))[:, None] ** 3 + np.array([0, -1.0, 0])
    t = np.linspace(0, 1, len(back))
    if metal:
        half = glasses.rim_radius_m
        end = sweep(front, across, rounded_box(1.0 * half, 1.6 * half, 3.0))
        wire = sweep(back[:-14], side, rounded_box(0.9 * half, 1.15 * half, 2.6))
        swell = 1 - 0.5 * (1 - np.minimum(1, 5 * np.linspace(0, 1, 18)))
        tip = sweep(back[-18:], side, rounded_box(0.0011 * swell, 0.0018 * swell, 2.4))
        parts = [("end", end, "frame"), ("temple", wire, "frame"), ("tip", tip, "tip")]
    else:
        plate_height = 0.0012 + 0.55 * glasses.rim_radius_m
        tall = plate_height * (1.25 - 0.45 * np.minimum(1, 3.0 * t) + 0.15 * (t > 0.75))
        tall = np.convolve(np.pad(tall, 4, mode="edge"), np.ones(9) / 9, mode="valid")
        end = sweep(front, across, rounded_box(0.9 * PLATE_HALF_DEPTH_M, 1.35 * plate_height, 4.0))
        thin = np.interp(t, [0, 0.2, 1], [1.35, 1.15, 1.0]) * 0.0011
        plate = sweep(back, side, rounded_box(thin, tall, 4.0))
        parts = [("end", end, "frame"), ("temple", plate, "frame")]
    made = [MeshPart(f"{name}_{i}", *mesh, material) for name, mesh, material in parts]
    return [*made, *_hinge(i, sign, line, hinge, metal)]


def _hinge(i: int, sign: float, line: np.ndarray, hinge: int, metal: bool) -> list[MeshPart]:
    """The knuckle inside the corner and, on acetate, two pins that show in front."""
    knuckle = line[hinge - 1] + np.array([-sign * 0.0016, 0.0014, 0.0])
    up = np.linspace(-1, 1, 7)[:, None] * np.array([0, 0, 0.0016]) + knuckle
    radius = 0.0009 if metal else 0.0012
    parts = [
        MeshPart(f"hinge_{i}", *sweep(up, [1.0, 0, 0], rounded_box(radius, radius, 2.0)), "metal")
    ]
    if not metal:
        axes = np.array([[1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]])
        for k, shift in enumerate((-0.0009, 0.0009)):
            centre = line[3] + np.array([0.0, -0.9 * PLATE_HALF_DEPTH_M, shift * 1.3])
            pin = ellipsoid(centre, axes, (0.0006, 0.0006, 0.00025), 6, 10)
            parts.append(MeshPart(f"pin_{i}_{k}", *pin, "metal"))
    return parts


def _pad(i: int, sign: float, glasses: Glasses, fit: GlassesFit, metal: bool) -> list[MeshPart]:
    """A silicone pad on a bent arm, or a block of the frame's own acetate."""
    centre, normal, long_axis = fit.pads[i]
    axes = np.stack([np.cross(long_axis, normal), long_axis, normal])
    size = fit.size
    line = fit.rims[i]
    if metal or glasses.shape == "browline":
        half = (0.0031 * size, 0.0056 * size, PAD_HALF_THICKNESS_M)
        parts = [MeshPart(f"pad_{i}", *ellipsoid(centre, axes, half), "pad")]
        root = line[np.argmin(np.linalg.norm(line - centre, axis=1))]
        behind = root + np.array([-sign * 0.001, 0.004, 0.002])
        top = centre + normal * 0.0018
        keys = np.stack([root, behind, top, centre])
        t = np.linspace(0, 1, 14)[:, None]
        arm = (1 - t) ** 3 * keys[0] + 3 * t * (1 - t) ** 2 * keys[1]
        arm = arm + 3 * t**2 * (1 - t) * keys[2] + t**3 * keys[3]
        wire = sweep(arm, [0, 0, 1.0], rounded_box(0.00042, 0.00042, 2.0))
        return [*parts, MeshPart(f"arm_{i}", *wire, "metal")]
    # A fin between the rim's inner edge and the nose, thick where it leaves the rim.
    order = np.argsort(np.linalg.norm(line - centre, axis=1))[:15]
    span = np.sort((order - order[0] + len(line) // 2) % len(line)) + order[0] - len(line) // 2
    edge = line[span % len(line)] - _outwards(line)[span % len(line)] * -0.5 * glasses.rim_radius_m
    along = np.linspace(-1, 1, len(span))[:, None]
    rise = np.sign((edge[-1] - edge[0]) @ long_axis)
    foot = centre + along * rise * 0.0058 * size * long_axis - normal * 0.4 * PAD_HALF_THICKNESS_M
    fade = (1 - along**2) ** 0.5
    foot = edge + (foot - edge) * fade
    middle = 0.5 * (edge + foot)
    depth = 0.5 * np.linalg.norm(foot - edge, axis=1)
    width = np.interp(np.abs(along[:, 0]), [0, 0.8, 1], [0.0017, 0.0014, 0.0005])
    block = sweep(middle, foot - edge, rounded_box(depth + 0.0004, width, 3.0))
    return [MeshPart(f"pad_{i}", *block, "frame")]


def _lens(i: int, fit: GlassesFit) -> MeshPart:
    """A domed pane in the rim's groove: rings towards its middle."""
    line = fit.rims[i]
    centre = line.mean(axis=0)
    spread = line - centre
    steps = (1.02, 0.85, 0.65, 0.45, 0.25, 0.02)
    rings, uv = [], []
    square = (spread**2).sum(axis=1, keepdims=True)
    half = np.abs(spread).max(axis=0)[[0, 2]]
    for step in steps:
        dome = (1 - step * step) * square / (2 * _SPHERE_RADIUS_M)
        rings.append(centre + spread * step + fit.forward * dome)
        uv.append(spread[:, [0, 2]] * step / half)
    faces = grid_faces(len(steps), len(line), close_columns=True)
    return MeshPart(f"lens_{i}", np.concatenate(rings), faces, "lens", np.concatenate(uv), False)
