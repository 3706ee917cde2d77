"""Meshes of beanie, cap and bucket hat on a head's own skull; numpy only."""

from __future__ import annotations

import numpy as np

from synth.blender_scenes.accessory_mesh import (
    MeshPart,
    ellipsoid,
    grid_faces,
    rounded_box,
    sweep,
    unit,
)
from synth.blender_scenes.hair_field import HeadSurface, smooth_noise, smoothstep
from synth.blender_scenes.headwear_fit import (
    HairCover,
    HatFrame,
    PolarGrid,
    grid_angles,
    hair_thickness,
    skull,
    superellipsoid,
    taut,
)
from synth.blender_scenes.headwear_knit import RIB_M
from synth.rng import stream
from synth.spec import Headwear

_CLOTH_M = 0.0012
_AROUND_M = 0.092
"""Metres of cloth per radian around the head, for texture coordinates."""
_CUFF_ARC_RAD = 0.56
_CUFF_THICKNESS_M = 0.0036
_BACK_OPENING = (0.44, 0.36)
"""Half width and height of a cap's opening above its strap, radians."""


def hat(
    headwear: Headwear, surface: HeadSurface, hair_style: str
) -> tuple[list[MeshPart], HairCover]:
    """A beanie, a cap or a bucket hat and how it presses hair.

    Args:
        headwear: kind, tilt, turn, looseness and the seed of its folds.
        surface: the head; hair_style: decides how much hair is under the hat.
    """
    return {"beanie": _beanie, "cap": _cap, "bucket_hat": _bucket_hat}[headwear.kind](
        headwear, surface, hair_style
    )


def _lining(head: PolarGrid, hair_style: str) -> np.ndarray:
    """[E, A] radius of the cloth's inner face: stretched over head and hair."""
    azimuth, elevation = grid_angles()
    return taut(head.values + hair_thickness(hair_style, azimuth, elevation), elevation)


def _cover(frame: HatFrame, head: PolarGrid, inside: PolarGrid, rim: np.ndarray) -> HairCover:
    return HairCover(frame=frame, head=head, inside=inside, rim=rim)


def _soft_max(a: np.ndarray, b: np.ndarray, width_m: float = 0.004) -> np.ndarray:
    """The larger of two lengths, with a rounded transition of `width_m`."""
    difference = a - b
    return 0.5 * (a + b + np.sqrt(difference**2 + width_m**2))


def _shell(
    frame: HatFrame, rows: int, columns: int, rim: np.ndarray, radius: PolarGrid
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Azimuth, elevation and radius [rows, columns] from the rim to the pole."""
    azimuth = np.arange(columns) * (2 * np.pi / columns)
    angle = np.arange(len(rim) + 1) * (2 * np.pi / len(rim))
    low = np.interp(azimuth, angle, np.r_[rim, rim[:1]])
    t = np.linspace(0.0, 1.0, rows)[:, None]
    elevation = low + t * (np.pi / 2 - 0.012 - low)
    azimuth = np.broadcast_to(azimuth, elevation.shape)
    return azimuth, elevation, radius.at(azimuth, elevation)


def _around(
    name: str,
    points: np.ndarray,
    azimuth: np.ndarray,
    material: str,
    around_m: float = _AROUND_M,
) -> MeshPart:
    """A part from rings of points [rows, columns, 3].

    Its uv: `around_m` metres per radian of azimuth, and upwards by arc length.
    """
    points = np.concatenate([points, points[:, :1]], axis=1)
    azimuth = np.concatenate([azimuth, azimuth[:, :1] + 2 * np.pi], axis=1)
    arc = np.linalg.norm(np.diff(points, axis=0), axis=-1).mean(axis=1)
    up = np.broadcast_to(np.r_[0.0, np.cumsum(arc)][:, None], azimuth.shape)
    uv = np.stack([azimuth * around_m, up], axis=-1).reshape(-1, 2)
    return MeshPart(name, points.reshape(-1, 3), grid_faces(*azimuth.shape), material, uv)


def _normals(points: np.ndarray) -> np.ndarray:
    """[rows, columns, 3] unit normals of rings of points, away from their middle."""
    down = np.gradient(points, axis=0)
    ahead = np.roll(points, -1, axis=1) - np.roll(points, 1, axis=1)
    normal = unit(np.cross(ahead, down))
    outside = ((points - points.mean(axis=(0, 1))) * normal).sum(axis=-1, keepdims=True)
    return normal * np.where(outside < 0, -1.0, 1.0)


# ---------------------------------------------------------------- beanie


def _beanie(
    headwear: Headwear, surface: HeadSurface, hair_style: str
) -> tuple[list[MeshPart], HairCover]:
    """Ribbed knit with a folded cuff; the loose end stands up or falls backwards."""
    loose = headwear.looseness
    pulled = 0.010 * (1 - loose)  # a tight one is pulled over the tops of the ears
    frame = HatFrame.create(surface, 0.951 - pulled, 0.872 - pulled, headwear.tilt_deg)
    head = skull(surface, frame, covers_ears_below_m=0.003)
    azimuth, elevation = grid_angles()
    lining = _lining(head, hair_style)
    rim_radius = np.array([np.interp(0.15, elevation[:, 0], column) for column in lining.T])
    height = lining[-1, 0] + 0.012 + 0.016 * loose
    dome = superellipsoid(rim_radius, height, 2.35, elevation)
    inside = PolarGrid(np.where(elevation > 0.2, _soft_max(lining, dome), lining))
    rim = np.zeros(azimuth.shape[1])
    ribs = round(2 * np.pi * _AROUND_M / RIB_M)
    body = _beanie_body(headwear, frame, inside, rim, ribs)
    cuff = _beanie_cuff(headwear, frame, inside, ribs)
    return [body, cuff], _cover(frame, head, inside, rim)


def _rib_wave(azimuth: np.ndarray, ribs: int) -> np.ndarray:
    return np.cos(ribs * azimuth)


def _beanie_body(
    headwear: Headwear, frame: HatFrame, inside: PolarGrid, rim: np.ndarray, ribs: int
) -> MeshPart:
    rng = stream(headwear.fit_seed, 0, "headwear.folds")
    loose = headwear.looseness
    azimuth, elevation, radius = _shell(frame, 58, 4 * ribs, rim + 0.30, inside)
    points = frame.points(azimuth, elevation, radius + _CLOTH_M)
    left, front, up = frame.axes
    # The loose end: up when tight, backwards and down when it slouches.
    high = smoothstep(0.55, 1.5, elevation)[..., None] ** 1.3
    sideways = rng.normal(0.0, 0.010) * loose
    slouch = loose**1.5
    points = points + high * (
        (0.020 + 0.012 * loose) * up - 0.060 * slouch * front + sideways * left
    )
    drop = (
        smoothstep(0.9, 1.55, elevation)[..., None]
        * smoothstep(0.3, -0.6, np.cos(azimuth))[..., None]
    )
    points = points - drop * 0.022 * slouch * up
    normal = _normals(points)
    flat = points.reshape(-1, 3)
    folds = smooth_noise(flat * np.array([1.0, 1.0, 2.0]), 11, rng) + 0.5 * smooth_noise(
        flat, 26, rng
    )
    folds = folds.reshape(azimuth.shape) * smoothstep(0.45, 0.9, elevation)
    # Towards the pole the knit is drawn together into pleats.
    pleats = np.cos(9 * azimuth + rng.uniform(0, 6.28)) * smoothstep(1.0, 1.4, elevation)
    gather = smoothstep(1.36, 1.56, elevation) ** 2
    fade = smoothstep(1.50, 1.25, elevation)
    move = (
        (0.0016 + 0.0030 * loose) * folds
        + 0.0014 * pleats * smoothstep(1.56, 1.45, elevation)
        - 0.005 * gather
        + 0.0007 * _rib_wave(azimuth, ribs) * (0.35 + 0.65 * fade)
    )
    return _around(
        "beanie", points + normal * move[..., None], azimuth, "knit", ribs * RIB_M / (2 * np.pi)
    )


def _cuff_profile() -> np.ndarray:
    """[rows, 3]: share of the cuff's height, offset in thicknesses, amplitude of the ribs."""
    heights = np.linspace(0.08, 0.93, 16)
    face = np.stack([heights, 1.05 + 0.12 * np.sin(np.pi * heights), np.ones(16)], axis=1)
    lip = [[0.30, 0.0, 0.0], [0.10, 0.0, 0.0], [0.02, 0.05, 0.2], [-0.02, 0.35, 0.5],
           [-0.015, 0.75, 0.8], [0.02, 1.0, 1.0]]  # fmt: skip
    fold = [[0.98, 1.0, 0.9], [1.01, 0.75, 0.6], [1.01, 0.35, 0.4], [0.97, 0.0, 0.0]]
    return np.concatenate([lip, face, fold])


def _beanie_cuff(headwear: Headwear, frame: HatFrame, inside: PolarGrid, ribs: int) -> MeshPart:
    """The folded edge: from its inner face around the lower lip, up and over the upper edge."""
    rng = stream(headwear.fit_seed, 0, "headwear.cuff")
    columns = 4 * ribs
    azimuth = np.arange(columns)[None] * (2 * np.pi / columns)
    thick = _CUFF_THICKNESS_M
    top = _CUFF_ARC_RAD + 0.03 * np.sin(azimuth + rng.uniform(0, 6.28))
    low = (
        0.008
        * smooth_noise(
            np.stack([np.cos(azimuth[0]), np.sin(azimuth[0]), 0 * azimuth[0]], 1), 0.35, rng
        )[None]
    )
    profile = _cuff_profile()
    elevation = low + profile[:, :1] * (top - low)
    base = inside.at(azimuth, np.maximum(elevation, 0.0))
    radius = (
        base + 0.0004 + thick * profile[:, 1:2] + 0.0010 * profile[:, 2:] * _rib_wave(azimuth, ribs)
    )
    azimuth = np.broadcast_to(azimuth, elevation.shape)
    points = frame.points(azimuth, elevation, radius)
    bulge = smooth_noise(points[5].reshape(-1, 3), 9, rng) * 0.0012
    points = points + _normals(points) * (bulge[None] * (profile[:, 1:2] > 0.5))[..., None]
    return _around("beanie_cuff", points, azimuth, "knit", ribs * RIB_M / (2 * np.pi))


# ---------------------------------------------------------------- cap


def _cap(
    headwear: Headwear, surface: HeadSurface, hair_style: str
) -> tuple[list[MeshPart], HairCover]:
    """Six panels, a button, a curved brim and a strap under the opening at the back."""
    backwards = np.cos(np.radians(headwear.turn_deg)) < 0
    heights = (0.944, 0.900) if backwards else (0.957, 0.884)
    frame = HatFrame.create(surface, *heights, headwear.tilt_deg, headwear.turn_deg)
    head = skull(surface, frame)
    azimuth, elevation = grid_angles()
    lining = _lining(head, hair_style)
    rim_radius = np.array([np.interp(0.1, elevation[:, 0], column) for column in lining.T])
    height = lining[-1, 0] + 0.006 + 0.014 * headwear.looseness
    dome = superellipsoid(rim_radius, height, 2.5, elevation)
    # The stiffened front panels stand up before they bend backwards.
    front = smoothstep(1.15, 0.25, np.abs(np.mod(azimuth + np.pi, 2 * np.pi) - np.pi))
    stand = 0.010 * front * smoothstep(0.15, 0.7, elevation) * smoothstep(1.5, 0.95, elevation)
    inside = PolarGrid(_soft_max(lining, dome) + stand)
    behind = np.mod(azimuth[0], 2 * np.pi) - np.pi
    arch = (1 - (behind / _BACK_OPENING[0]) ** 2).clip(0) ** 0.6
    rim = _BACK_OPENING[1] * arch
    parts = [
        _cap_crown(headwear, frame, inside, rim),
        _cap_button(frame, inside),
        _cap_brim(headwear, frame, inside),
        _cap_strap(frame, inside),
    ]
    return parts, _cover(frame, head, inside, rim)


def _cap_crown(headwear: Headwear, frame: HatFrame, inside: PolarGrid, rim: np.ndarray) -> MeshPart:
    rng = stream(headwear.fit_seed, 0, "headwear.folds")
    columns = 240
    azimuth, elevation, radius = _shell(frame, 40, columns, rim, inside)
    # A hem turned inwards gives the edge its thickness.
    azimuth = np.concatenate([azimuth[:3], azimuth])
    radius = np.concatenate([radius[[4, 1, 0]] - [[0.0014], [0.0012], [0.0004]], radius])
    elevation = np.concatenate([elevation[[4, 1, 0]] - [[0], [0], [0.004]], elevation])
    points = frame.points(azimuth, elevation, radius + _CLOTH_M)
    normal = _normals(points)
    seam = np.abs(np.mod(azimuth + np.pi / 6, np.pi / 3) - np.pi / 6) * radius * np.cos(elevation)
    groove = np.exp(-((seam / 0.0016) ** 2))
    ridge = np.exp(-(((seam - 0.0042) / 0.0018) ** 2))
    soft = smooth_noise(points.reshape(-1, 3), 14, rng).reshape(azimuth.shape)
    behind = smoothstep(0.2, -0.6, np.cos(azimuth))
    move = (
        -0.0009 * groove
        + 0.0003 * ridge
        + (0.0006 + 0.0016 * behind) * soft * smoothstep(0.1, 0.6, elevation)
    )
    move[:3] = 0.0
    return _around("cap", points + normal * move[..., None], azimuth, "cloth")


def _cap_button(frame: HatFrame, inside: PolarGrid) -> MeshPart:
    top = frame.centre + frame.axes[2] * (inside.values[-1, 0] + _CLOTH_M + 0.0008)
    return MeshPart("cap_button", *_with_uv(ellipsoid(top, frame.axes, (0.0075, 0.0075, 0.0034))))


def _with_uv(mesh: tuple[np.ndarray, np.ndarray], material: str = "cloth"):
    vertices, faces = mesh
    return vertices, faces, material, vertices[:, :2] - vertices[0, :2]


def _cap_brim(headwear: Headwear, frame: HatFrame, inside: PolarGrid) -> MeshPart:
    """A stiff sheet, arched from side to side; upper and lower face joined by a rounded edge."""
    half_angle, length, thick = 1.12, 0.070, 0.0028
    # The plane of the rim rises to the front; the brim itself points a little downwards.
    droop = 0.12 if np.cos(np.radians(headwear.turn_deg)) < 0 else 0.50
    across = np.linspace(-1, 1, 49)
    azimuth = half_angle * across
    left, front, up = frame.axes
    root = frame.points(azimuth, np.full_like(azimuth, 0.015), inside.at(azimuth, 0.015) + 0.0008)
    reach = length * (1 - np.abs(across) ** 2.2) ** 0.8
    x = (root - frame.centre) @ left
    rows = [
        (t, side)
        for side, ts in ((1.0, np.linspace(0, 1, 14)), (-1.0, np.linspace(1, 0, 14)))
        for t in ts
    ]
    points = []
    for t, side in rows:
        out = reach * t
        arch = -(0.022 + 0.012 * headwear.looseness) * (x / 0.07) ** 2 * (out / length) ** 0.8
        fall = -out * droop - 0.9 * out**2
        half = 0.5 * thick * np.sqrt(np.clip(1 - np.clip((t - 0.94) / 0.06, 0, 1) ** 2, 0.0, 1))
        lift = arch + fall + side * half
        points.append(
            root + front * out[:, None] + left * (0.05 * x * t)[:, None] + up * lift[:, None]
        )
    points = np.stack(points)
    distance = np.broadcast_to(np.array([t for t, _ in rows])[:, None] * length, points.shape[:2])
    uv = np.stack([np.broadcast_to(x, points.shape[:2]), distance], axis=-1).reshape(-1, 2)
    return MeshPart("cap_brim", points.reshape(-1, 3), grid_faces(*points.shape[:2]), "brim", uv)


def _cap_strap(frame: HatFrame, inside: PolarGrid) -> MeshPart:
    azimuth = np.pi + np.linspace(-1, 1, 31) * (_BACK_OPENING[0] + 0.10)
    elevation = np.full_like(azimuth, 0.085)
    line = frame.points(azimuth, elevation, inside.at(azimuth, elevation) + _CLOTH_M)
    vertices, faces = sweep(line, frame.axes[2], rounded_box(0.0085, 0.0010, 5.0))
    return MeshPart("cap_strap", vertices, faces, "cloth", vertices[:, ::2] - vertices[0, ::2])


# ---------------------------------------------------------------- bucket hat


def _bucket_hat(
    headwear: Headwear, surface: HeadSurface, hair_style: str
) -> tuple[list[MeshPart], HairCover]:
    """A boxy crown with a brim that slopes down all around."""
    frame = HatFrame.create(surface, 0.960, 0.893, headwear.tilt_deg, headwear.turn_deg)
    head = skull(surface, frame)
    azimuth, elevation = grid_angles()
    lining = _lining(head, hair_style)
    rim_radius = np.array([np.interp(0.1, elevation[:, 0], column) for column in lining.T]) + 0.001
    height = lining[-1, 0] + 0.004 + 0.014 * headwear.looseness
    dome = superellipsoid(rim_radius, height, 3.6, elevation)
    inside = PolarGrid(_soft_max(lining, dome))
    rim = np.zeros(azimuth.shape[1])
    parts = [_bucket_crown(headwear, frame, inside, rim), _bucket_brim(headwear, frame, inside)]
    return parts, _cover(frame, head, inside, rim)


def _bucket_crown(
    headwear: Headwear, frame: HatFrame, inside: PolarGrid, rim: np.ndarray
) -> MeshPart:
    rng = stream(headwear.fit_seed, 0, "headwear.folds")
    azimuth, elevation, radius = _shell(frame, 56, 168, rim, inside)
    points = frame.points(azimuth, elevation, radius + _CLOTH_M)
    normal = _normals(points)
    soft = smooth_noise(points.reshape(-1, 3), 13, rng).reshape(azimuth.shape)
    # The seam between wall and top, and the one above the brim.
    height = (points - frame.centre) @ frame.axes[2]
    edge = np.exp(-(((height - 0.86 * height.max()) / 0.0035) ** 2))
    band = np.exp(-(((height - 0.004) / 0.002) ** 2))
    move = 0.0016 * soft + 0.0009 * edge - 0.0006 * band
    return _around("bucket_hat", points + normal * move[..., None], azimuth, "cloth")


def _bucket_brim(headwear: Headwear, frame: HatFrame, inside: PolarGrid) -> MeshPart:
    rng = stream(headwear.fit_seed, 0, "headwear.brim")
    columns, length, thick = 168, 0.050 + 0.010 * headwear.looseness, 0.0022
    azimuth = np.arange(columns) * (2 * np.pi / columns)
    circle = np.stack([np.cos(azimuth), np.sin(azimuth), 0 * azimuth], axis=1)
    slope = (
        np.radians(32)
        + 0.20 * np.cos(azimuth)
        + 0.10 * smooth_noise(circle, 0.30, rng)
        + 0.035 * smooth_noise(circle, 0.9, rng)
    )
    root = inside.at(azimuth, np.full_like(azimuth, 0.0)) + _CLOTH_M - 0.0006
    out = frame.directions(azimuth, 0.0 * azimuth)
    up = frame.axes[2]
    rows = [
        (t, s)
        for s, ts in ((1.0, np.linspace(0, 1, 13)), (-1.0, np.linspace(1, 0, 13)))
        for t in ts
    ]
    points = []
    for t, side in rows:
        half = 0.5 * thick * np.sqrt(np.clip(1 - np.clip((t - 0.93) / 0.07, 0, 1) ** 2, 0.0, 1))
        along = length * t
        down = (
            along * np.sin(slope * (0.75 + 0.35 * t))
            - side * half * np.cos(slope)
            - 0.002 * (1 - t)
        )
        away = root + along * np.cos(slope * (0.75 + 0.35 * t)) + side * half * np.sin(slope)
        points.append(frame.centre + out * away[:, None] - up * down[:, None])
    points = np.stack(points)
    grid = np.broadcast_to(azimuth, points.shape[:2])
    part = _around("bucket_brim", points, grid, "brim")
    distance = np.array([t for t, _ in rows]) * length
    uv = part.uv.reshape(len(rows), columns + 1, 2).copy()
    uv[..., 1] = distance[:, None]
    return MeshPart(part.name, part.vertices, part.faces, part.material, uv.reshape(-1, 2))
