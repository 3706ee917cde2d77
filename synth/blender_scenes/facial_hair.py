"""Brows, lashes and beards as strands. Pure numpy and scipy; lengths in metres."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree

from synth.blender_scenes.hair_field import HeadSurface, normalize, smooth_noise, smoothstep
from synth.blender_scenes.hair_pigment import colour_strands, facial_colour
from synth.blender_scenes.hair_roots import Roots, sample_roots
from synth.blender_scenes.hair_strands import StrandSet
from synth.hairline import beard_region
from synth.headmodel import EyeFrame
from synth.headmodel_masks import brow_band, brow_mask
from synth.rng import stream
from synth.spec import BrowShape, FacialHair


@dataclass(frozen=True)
class BeardStyle:
    """A beard; its outline stands in `synth.hairline.beard_region`.

    Attributes:
        strands: at density 1; length_m: of the longest part.
        moustache_m: length above the lip; it is trimmed at the lip all the same.
        cheek_length: length on the cheeks relative to the chin.
        clump: pull towards neighbours; curl_m: amplitude of each hair's own waves.
        lift: 0 lies on the skin, 1 stands off.
        fineness: factor on the radius of its hairs.
    """

    strands: int
    length_m: float
    moustache_m: float = 0.0
    cheek_length: float = 0.5
    clump: float = 0.0
    curl_m: float = 0.0
    lift: float = 0.5
    fineness: float = 0.8


BEARDS: dict[str, BeardStyle] = {
    "stubble": BeardStyle(
        16000, 0.0014, moustache_m=0.0013, cheek_length=0.85, lift=0.35, fineness=0.6
    ),
    "short": BeardStyle(
        17000, 0.0066, 0.0066, cheek_length=0.5, clump=0.35, curl_m=0.0010, lift=0.32
    ),
    "full": BeardStyle(19000, 0.023, 0.0110, cheek_length=0.30, clump=0.5, curl_m=0.0019, lift=0.4),
    "moustache": BeardStyle(3800, 0.0095, 0.0095, clump=0.35, curl_m=0.0006, lift=0.34),
    "goatee": BeardStyle(3800, 0.011, clump=0.4, curl_m=0.0012, lift=0.4),
    "circle": BeardStyle(7000, 0.0085, 0.0070, clump=0.4, curl_m=0.0011, lift=0.36),
}

_BROW_STRANDS = 1000
_BROW_CANDIDATES = 4
_BROW_SPILL = 1.5
"""Hairs grow, ever fewer, up to this many half heights from the middle of the brow."""
_BROW_LENGTH_M = (0.0055, 0.0095)
_BROW_RADIUS_M = 0.000064
_LASH_RADIUS_M = 0.000085
_BEARD_RADIUS_M = 0.00010
_UPPER_LIP_Z_M = 0.826
_SIDEBURN_M = 0.007
"""How much wider sideburns are than the beard's region: they join the hair of the scalp."""
_LIP_LINE_X = np.array([0.0, 0.010, 0.020, 0.026, 0.032])
_LIP_LINE_Z = np.array([0.8325, 0.8330, 0.8290, 0.8250, 0.8220])
"""Upper rim of the red of the lips."""


def brow_strands(
    face: FacialHair, brows: BrowShape, surface: HeadSurface, radius_factor: float = 1.0
) -> StrandSet:
    """Brow hairs: upright at the inner end, turning sideways and down towards the tail."""
    rng = stream(face.beard_seed, 0, "facial_hair.brows")
    count = max(60, round(_BROW_STRANDS * face.brow_density * brows.thickness))
    spilt = replace(brows, thickness=_BROW_SPILL * brows.thickness)
    band = brow_mask(surface.canonical, spilt)
    roots = sample_roots(surface, band, band, _BROW_CANDIDATES * count, rng)
    share = _brow_density(roots.canonical, brows, rng)
    roots = roots.take(rng.choice(len(roots), count, replace=False, p=share / share.sum()))
    across = np.abs(roots.canonical[:, 0])
    sign = np.sign(roots.canonical[:, 0])
    u = np.clip((across - 0.012) / 0.042, 0, 1)
    middle, half_height = brow_band(across, brows)
    above = np.clip((roots.canonical[:, 2] - middle) / np.maximum(half_height, 1e-4), -1, 1)
    rise = 0.95 * (1 - u) ** 2.5 - 0.25 * u - 0.35 * above * (u > 0.15)
    wish = np.stack([sign * (0.35 + 0.65 * np.sqrt(u)), 0.25 * u, rise], -1)
    wish = surface.canonical_map.direction_to_model(wish)
    wish = wish + rng.normal(0, 0.20, wish.shape)
    along = normalize(wish - roots.normals * (wish * roots.normals).sum(-1, keepdims=True))
    length = rng.uniform(*_BROW_LENGTH_M, count) * face.brow_length * (1 - 0.35 * u)
    t = np.linspace(0, 1, 6)
    lift = 0.28 * t * (1 - 0.75 * t)
    points = (
        along[:, None] * t[None, :, None]
        + roots.normals[:, None] * lift[None, :, None]
        + np.array([0.0, 0.0, -0.15]) * (t**2)[None, :, None]
    )
    points = roots.positions[:, None] + points * length[:, None, None]
    radius = _BROW_RADIUS_M * radius_factor * rng.uniform(0.7, 1.2, count)
    strands = StrandSet.plain(points, radius[:, None] * (1 - 0.8 * t[None] ** 1.5))
    return _coloured(strands, face, roots.canonical, rng)


def _brow_density(canonical: np.ndarray, brows: BrowShape, rng: np.random.Generator) -> np.ndarray:
    """Relative density [n] above 0 at roots: soft rims, a thin inner end, patches; an even band
    looks drawn on. Decided hair by hair, as the mesh is too coarse for a brow."""
    across = np.abs(canonical[:, 0])
    middle, half_height = brow_band(across, brows)
    away = (canonical[:, 2] - middle) / np.maximum(half_height, 0.0008)
    inner_end = smoothstep(0.008, 0.022, across - brows.gap_m)
    patches = 1.0 + 0.35 * smooth_noise(canonical, 260, rng)
    return np.exp(-(away**2)) * (0.30 + 0.70 * inner_end) * np.clip(patches, 0.15, None) + 1e-6


def lash_strands(
    face: FacialHair,
    base_vertices: np.ndarray,
    groups: dict[str, np.ndarray],
    eyes: tuple[EyeFrame, EyeFrame],
    radius_factor: float = 1.0,
    mascara: float = 0.0,
) -> StrandSet:
    """Lashes along the helper strips of the base mesh.

    Args:
        base_vertices: [19158, 3] in base numbering; groups: its quads by name.
        eyes: the (left, right) eyeball.
        mascara: [0, 1], makes lashes longer and thicker.
    """
    rng = stream(face.beard_seed, 0, "facial_hair.lashes")
    length_factor = face.lash_length * (1 + 0.25 * mascara)
    radius_factor = radius_factor * (1 + 0.6 * mascara)
    body = np.unique(groups["body"])
    skin = base_vertices[body]
    tree = cKDTree(skin[np.isfinite(skin).all(1)])
    points, radii = [], []
    for side, eye in zip("lr", eyes):
        for strip, count, length, up in (("2", 150, 0.0085, 1.0), ("1", 70, 0.0032, -1.0)):
            vertices = base_vertices[np.unique(groups[f"helper-{side}-eyelashes-{strip}"])]
            local = (vertices - eye.center) @ eye.model_from_eye
            lashes = _lash_row(local, tree.query(vertices)[0], count, length * length_factor,
                               up, rng)  # fmt: skip
            points.append(lashes @ eye.model_from_eye.T + eye.center)
            t = np.linspace(0, 1, lashes.shape[1])
            radius = _LASH_RADIUS_M * radius_factor * rng.uniform(0.7, 1.1, count)
            radii.append(radius[:, None] * (1 - 0.85 * t[None]))
    return StrandSet.plain(np.concatenate(points), np.concatenate(radii))


def _lash_row(
    strip: np.ndarray,
    skin_distance: np.ndarray,
    count: int,
    length_m: float,
    up: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """One row of lashes [count, 6, 3] in the eye's frame (left, up, forward)."""
    root = strip[skin_distance < np.quantile(skin_distance, 0.34)]
    tip = strip[skin_distance > np.quantile(skin_distance, 0.66)]
    root, tip = root[np.argsort(root[:, 0])], tip[np.argsort(tip[:, 0])]
    fraction = np.sort(rng.uniform(0, 1, count))

    def along(row: np.ndarray) -> np.ndarray:
        x = row[0, 0] + fraction * (row[-1, 0] - row[0, 0])
        return np.stack([x, *(np.interp(x, row[:, 0], row[:, k]) for k in (1, 2))], -1)

    start = along(root)
    out = normalize(normalize(along(tip) - start) + rng.normal(0, 0.045, (count, 3)))
    middle = 0.6 + 0.4 * np.sin(np.pi * np.clip(fraction, 0.05, 0.95))
    length = length_m * rng.uniform(0.7, 1.1, count) * middle
    t = np.linspace(0, 1, 6)
    bend = np.array([0.0, up, 0.0]) * (0.38 * t**2)[None, :, None]
    shape = out[:, None] * t[None, :, None] + bend
    # The root sits in the lid, not on it.
    return (start - 0.0006 * out)[:, None] + shape * length[:, None, None]


def beard_strands(
    face: FacialHair, surface: HeadSurface, count_factor: float = 1.0, radius_factor: float = 1.0
) -> StrandSet | None:
    """The beard, or None for a shaven face."""
    if face.beard == "none":
        return None
    style = BEARDS[face.beard]
    rng = stream(face.beard_seed, 0, "facial_hair.beard")
    edge, density = _beard_density(face, surface, stream(face.beard_seed, 0, "facial_hair.edge"))
    count = max(200, round(style.strands * face.beard_density * count_factor))
    roots = sample_roots(surface, density, edge, count, rng)
    first, fall, length = _beard_growth(style, face, surface, roots, rng)
    t = np.linspace(0, 1, 9)
    shape = first[:, None] * t[None, :, None] + fall[:, None] * (0.55 * t**2)[None, :, None]
    points = roots.positions[:, None] + shape * length[:, None, None]
    points = _ruffle_beard(points, style, rng)
    points[:, 1:] = surface.field.push_out(points[:, 1:], 0.0003)
    # hairs at the rim are finer as well as shorter and fewer
    fine = style.fineness * (0.6 + 0.4 * smoothstep(0.0, 0.012, roots.edge_m))
    radius = _BEARD_RADIUS_M * radius_factor * rng.uniform(0.8, 1.2, count) * fine
    strands = StrandSet.plain(points, radius[:, None] * (1 - 0.6 * t[None] ** 2))
    return _coloured(strands, face, roots.canonical, rng)


def _beard_growth(
    style: BeardStyle,
    face: FacialHair,
    surface: HeadSurface,
    roots: Roots,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First direction [n, 3], direction of the fall [n, 3] and length [n] of beard hairs."""
    count, canonical = len(roots), roots.canonical
    x, y, z = canonical.T
    lip = smoothstep(0.824, 0.829, z) * smoothstep(-0.118, -0.126, y) * (np.abs(x) < 0.042)
    # Towards the sides, without a step in the middle that would part the beard.
    outwards = np.clip(x / 0.015, -1, 1)
    zeros = np.zeros(count)
    front = smoothstep(-0.10, -0.13, y)
    # the sides of a beard fall in towards the chin, or it hangs like a bib
    inwards = 0.10 + 0.35 * smoothstep(0.015, 0.050, np.abs(x))
    down = np.stack([-inwards * outwards, -0.10 - 0.25 * front, zeros - 1.0], -1)
    # a moustache lies to the side at its middle and turns down at the corners of the mouth
    droop = 0.50 + 0.25 * np.clip(np.abs(x) / 0.030, 0, 1)
    aside = np.stack([0.95 * outwards, zeros - 0.10, -droop], -1)
    wish = down * (1 - lip)[:, None] + aside * lip[:, None]
    fall = surface.canonical_map.direction_to_model(wish)
    lift = (style.lift * (1 - 0.45 * lip))[:, None]
    stray = rng.normal(0, 0.20, (count, 3)) * (1 - 0.5 * lip)[:, None]
    first = normalize(lift * roots.normals + 0.75 * fall + stray)
    low = style.cheek_length + (1 - style.cheek_length) * smoothstep(0.850, 0.795, z)
    low = low * (0.5 + 0.5 * smoothstep(-0.070, -0.105, y))  # trimmed towards ear and jaw
    low = low * (0.60 + 0.40 * smoothstep(0.045, 0.012, np.abs(x)))
    sideburn = smoothstep(0.842, 0.856, z)
    edge = 0.12 + 0.88 * smoothstep(0.0, 1.0, roots.edge_m / (0.020 - 0.014 * sideburn))
    # a moustache is thick beside the nose and runs out at the corners of the mouth
    moustache = style.moustache_m * (1.0 - 0.65 * smoothstep(0.014, 0.032, np.abs(x)))
    length = style.length_m * low * edge * (1 - lip) + moustache * lip
    length = length * face.beard_length * np.exp(rng.normal(0, 0.28, count))
    # trimmed where it would hang over the mouth
    room = 0.0015 + np.clip(z - np.interp(np.abs(x), _LIP_LINE_X, _LIP_LINE_Z), 0, None)
    room = room / np.maximum(-normalize(aside)[:, 2], 0.3) * rng.uniform(0.65, 1.0, count)
    over_mouth = (lip > 0.5) & (np.abs(x) < 0.026)
    length = np.where(over_mouth, np.minimum(length, room), length)
    return first, fall, length


def _beard_density(
    face: FacialHair, surface: HeadSurface, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Distance [V] inside the rim in metres, and relative density [V], 1 on the chin."""
    canonical = surface.canonical
    across, (_, y, z) = np.abs(canonical[:, 0]), canonical.T
    noise = smooth_noise(canonical, 45, rng) + 0.7 * smooth_noise(canonical, 140, rng)
    # some shave their cheeks lower than others
    shaved = rng.uniform(0.0, 0.006) * smoothstep(0.815, 0.835, z)
    edge = surface.beard_sd - shaved + 0.0022 * noise
    temple = smoothstep(0.842, 0.856, z) * smoothstep(-0.068, -0.076, y)
    edge = edge + _SIDEBURN_M * temple
    # a wide border on cheek and neck, a narrow one on the small parts: lip and sideburns
    narrow = smoothstep(-0.100, -0.088, y) * smoothstep(0.835, 0.85, z)
    narrow = np.maximum(narrow, smoothstep(-0.120, -0.130, y))
    density = smoothstep(0.0, 1.0, (edge + 0.001) / (0.018 - 0.013 * narrow))
    density = density * beard_region(canonical, surface.beard_sd, face.beard)
    # cheeks are thinner than the chin, and the space under the nose thinner than its sides
    density = density * (0.45 + 0.55 * smoothstep(0.850, 0.815, z) + 0.35 * temple)
    lip = smoothstep(0.828, 0.834, z) * (y < -0.128)
    density = density * (1 + 0.6 * lip * smoothstep(0.032, 0.016, across))
    philtrum = np.exp(-((across / 0.0035) ** 2)) * (z > _UPPER_LIP_Z_M)
    bare = np.exp(-(((across - 0.014) / 0.005) ** 2)) * (np.abs(z - 0.804) < 0.008)
    return edge, density * (1 - 0.6 * philtrum) * (1 - 0.6 * bare * (y < -0.13))


def _ruffle_beard(points: np.ndarray, style: BeardStyle, rng: np.random.Generator) -> np.ndarray:
    count, keys = points.shape[:2]
    t = np.linspace(0, 1, keys)
    if style.curl_m > 0:
        phase = rng.uniform(0, 2 * np.pi, (count, 1, 3))
        rate = np.array([7.0, 6.0, 8.0])
        wave = np.sin(phase + t[None, :, None] * rate)
        points = points + style.curl_m * t[None, :, None] * (wave - wave[:, :1])
    if style.clump > 0:
        leaders = rng.choice(count, max(1, count // 18), replace=False)
        leader = leaders[cKDTree(points[leaders, 0]).query(points[:, 0])[1]]
        points = points + (points[leader] - points) * (style.clump * t**1.3)[None, :, None]
    return points


def _coloured(
    strands: StrandSet, face: FacialHair, canonical_roots: np.ndarray, rng: np.random.Generator
) -> StrandSet:
    colour = facial_colour(face.colour)
    return colour_strands(strands, colour, canonical_roots, np.zeros(len(strands)), rng)
