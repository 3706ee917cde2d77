"""Brows, lashes and beards as strands. Pure numpy and scipy; lengths in metres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from synth.blender_scenes.hair_field import HeadSurface, normalize, smooth_noise, smoothstep
from synth.blender_scenes.hair_pigment import colour_strands, facial_colour
from synth.blender_scenes.hair_roots import sample_roots
from synth.blender_scenes.hair_strands import StrandSet
from synth.headmodel import EyeFrame
from synth.headmodel_masks import BROW_HALF_HEIGHT, BROW_X, BROW_Z
from synth.rng import stream
from synth.spec import FacialHair


@dataclass(frozen=True)
class BeardStyle:
    """A beard.

    Attributes:
        strands: at density 1; length_m: of the longest part.
        lip_length: length above the lip relative to the chin.
        region: which part of the beard's region grows.
        clump: pull towards neighbours; curl_m: amplitude of each hair's own waves.
    """

    strands: int
    length_m: float
    lip_length: float = 0.9
    region: str = "all"
    clump: float = 0.0
    curl_m: float = 0.0


BEARDS: dict[str, BeardStyle] = {
    "stubble": BeardStyle(9000, 0.0024),
    "short": BeardStyle(12000, 0.009, clump=0.35, curl_m=0.0006),
    "full": BeardStyle(15000, 0.027, lip_length=0.55, clump=0.32, curl_m=0.0012),
    "moustache": BeardStyle(2600, 0.0085, lip_length=1.0, region="lip", clump=0.3, curl_m=0.0004),
    "goatee": BeardStyle(5500, 0.015, lip_length=0.75, region="chin", clump=0.3, curl_m=0.0008),
}

_BROW_STRANDS = 900
_BROW_LENGTH_M = (0.0055, 0.0095)
_BROW_RADIUS_M = 0.000075
_LASH_RADIUS_M = 0.000085
_BEARD_RADIUS_M = 0.00011
_UPPER_LIP_Z_M = 0.826


def brow_strands(face: FacialHair, surface: HeadSurface, radius_factor: float = 1.0) -> StrandSet:
    """Brow hairs: upright at the inner end, turning sideways and down towards the tail."""
    rng = stream(face.beard_seed, 0, "facial_hair.brows")
    count = max(60, round(_BROW_STRANDS * face.brow_density))
    # thin towards the rim and at the inner end, as an even band looks drawn on
    inner_end = smoothstep(0.010, 0.019, np.abs(surface.canonical[:, 0]))
    density = surface.brow**1.6 * (0.4 + 0.6 * inner_end)
    roots = sample_roots(surface, density, surface.brow, count, rng)
    across = np.abs(roots.canonical[:, 0])
    sign = np.sign(roots.canonical[:, 0])
    u = np.clip((across - 0.012) / 0.042, 0, 1)
    above = roots.canonical[:, 2] - np.interp(across, BROW_X, BROW_Z)
    above = np.clip(above / np.interp(across, BROW_X, BROW_HALF_HEIGHT), -1, 1)
    rise = 0.95 * (1 - u) ** 2.5 - 0.25 * u - 0.35 * above * (u > 0.15)
    wish = np.stack([sign * (0.35 + 0.65 * np.sqrt(u)), 0.25 * u, rise], -1)
    wish = surface.canonical_map.direction_to_model(wish)
    along = wish - roots.normals * (wish * roots.normals).sum(-1, keepdims=True)
    along = normalize(along + rng.normal(0, 0.14, along.shape))
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


def lash_strands(
    face: FacialHair,
    base_vertices: np.ndarray,
    groups: dict[str, np.ndarray],
    eyes: tuple[EyeFrame, EyeFrame],
    radius_factor: float = 1.0,
) -> StrandSet:
    """Lashes along the helper strips of the base mesh.

    Args:
        base_vertices: [19158, 3] in base numbering; groups: its quads by name.
        eyes: the (left, right) eyeball.
    """
    rng = stream(face.beard_seed, 0, "facial_hair.lashes")
    body = np.unique(groups["body"])
    skin = base_vertices[body]
    tree = cKDTree(skin[np.isfinite(skin).all(1)])
    points, radii = [], []
    for side, eye in zip("lr", eyes):
        for strip, count, length, up in (("2", 150, 0.0085, 1.0), ("1", 70, 0.0032, -1.0)):
            vertices = base_vertices[np.unique(groups[f"helper-{side}-eyelashes-{strip}"])]
            local = (vertices - eye.center) @ eye.model_from_eye
            lashes = _lash_row(local, tree.query(vertices)[0], count, length * face.lash_length,
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
    density = _beard_density(style, surface, stream(face.beard_seed, 0, "facial_hair.edge"))
    count = max(200, round(style.strands * face.beard_density * count_factor))
    roots = sample_roots(surface, density, surface.beard_sd, count, rng)
    canonical = roots.canonical
    lip = (canonical[:, 2] > _UPPER_LIP_Z_M) & (canonical[:, 1] < -0.12)
    # Towards the sides, without a step in the middle that would part the beard.
    outwards = np.clip(canonical[:, 0] / 0.015, -1, 1)
    zeros = np.zeros(count)
    down = np.stack([-0.10 * outwards, zeros - 0.25, zeros - 1.0], -1)
    aside = np.stack([0.85 * outwards, zeros - 0.05, zeros - 0.75], -1)
    fall = surface.canonical_map.direction_to_model(np.where(lip[:, None], aside, down))
    lift = np.where(lip, 0.28, 0.55)[:, None]
    first = normalize(lift * roots.normals + 0.75 * fall + rng.normal(0, 0.15, (count, 3)))
    low = 0.45 + 0.55 * smoothstep(0.87, 0.82, canonical[:, 2])
    edge = 0.4 + 0.6 * smoothstep(0.0, 0.012, roots.edge_m)
    length = style.length_m * face.beard_length * low * edge
    length = length * np.where(lip, style.lip_length, 1.0) * np.exp(rng.normal(0, 0.20, count))
    t = np.linspace(0, 1, 9)
    shape = first[:, None] * t[None, :, None] + fall[:, None] * (0.55 * t**2)[None, :, None]
    points = roots.positions[:, None] + shape * length[:, None, None]
    points = _ruffle_beard(points, style, rng)
    points[:, 1:] = surface.field.push_out(points[:, 1:], 0.0003)
    radius = _BEARD_RADIUS_M * radius_factor * rng.uniform(0.8, 1.2, count)
    strands = StrandSet.plain(points, radius[:, None] * (1 - 0.6 * t[None] ** 2))
    return _coloured(strands, face, canonical, rng)


def _beard_density(style: BeardStyle, surface: HeadSurface, rng: np.random.Generator) -> np.ndarray:
    canonical = surface.canonical
    across = np.abs(canonical[:, 0])
    noise = smooth_noise(canonical, 45, rng) + 0.7 * smooth_noise(canonical, 140, rng)
    density = smoothstep(0.0, 0.012, surface.beard_sd + 0.0016 * noise)
    if style.region == "lip":
        density = density * smoothstep(0.035, 0.027, across) * (canonical[:, 1] < -0.13)
        density = density * smoothstep(0.823, 0.829, canonical[:, 2])
    elif style.region == "chin":
        density = density * smoothstep(0.034, 0.026, across) * (canonical[:, 1] < -0.10)
    else:
        density = density * (0.55 + 0.45 * smoothstep(0.85, 0.83, canonical[:, 2]))
    philtrum = np.exp(-((across / 0.004) ** 2)) * (canonical[:, 2] > _UPPER_LIP_Z_M)
    return density * (1 - 0.75 * philtrum)


def _ruffle_beard(points: np.ndarray, style: BeardStyle, rng: np.random.Generator) -> np.ndarray:
    count, keys = points.shape[:2]
    t = np.linspace(0, 1, keys)
    if style.curl_m > 0:
        phase = rng.uniform(0, 2 * np.pi, (count, 1, 3))
        rate = np.array([7.0, 6.0, 8.0])
        wave = np.sin(phase + t[None, :, None] * rate)
        points = points + style.curl_m * t[None, :, None] * (wave - wave[:, :1])
    if style.clump > 0:
        leaders = rng.choice(count, max(1, count // 14), replace=False)
        leader = leaders[cKDTree(points[leaders, 0]).query(points[:, 0])[1]]
        points = points + (points[leader] - points) * (style.clump * t**1.3)[None, :, None]
    return points


def _coloured(
    strands: StrandSet, face: FacialHair, canonical_roots: np.ndarray, rng: np.random.Generator
) -> StrandSet:
    colour = facial_colour(face.colour)
    return colour_strands(strands, colour, canonical_roots, np.zeros(len(strands)), rng)
