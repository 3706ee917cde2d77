"""A beanie: ribbed knit with a folded cuff and a loose end; numpy only."""

from __future__ import annotations

import numpy as np

from synth.blender_scenes.accessory_mesh import MeshPart
from synth.blender_scenes.hair_field import HeadSurface, smooth_noise, smoothstep
from synth.blender_scenes.headwear_fit import HairCover, HatFrame, skull
from synth.blender_scenes.headwear_form import AROUND_M, CLOTH_M, HatFit, around, normals, shell
from synth.blender_scenes.headwear_knit import RIB_M
from synth.rng import stream
from synth.spec import Headwear

_CUFF_ARC_RAD = 0.56
_CUFF_THICKNESS_M = 0.0036


def beanie(
    headwear: Headwear, surface: HeadSurface, hair_style: str
) -> tuple[list[MeshPart], HairCover]:
    """Ribbed knit with a folded cuff; the loose end stands up or falls backwards."""
    loose = headwear.looseness
    pulled = 0.010 * (1 - loose)  # a tight one is pulled over the tops of the ears
    frame = HatFrame.create(surface, 0.951 - pulled, 0.872 - pulled, headwear.tilt_deg)
    head = skull(surface, frame, covers_ears_below_m=0.003)
    fit = HatFit.of(
        frame, head, hair_style, rise_m=0.012 + 0.016 * loose, exponent=2.35, tight_below_rad=0.2
    )
    ribs = round(2 * np.pi * AROUND_M / RIB_M)
    return [_beanie_body(headwear, fit, ribs), _beanie_cuff(headwear, fit, ribs)], fit.cover()


def _rib_wave(azimuth: np.ndarray, ribs: int) -> np.ndarray:
    return np.cos(ribs * azimuth)


def _beanie_body(headwear: Headwear, fit: HatFit, ribs: int) -> MeshPart:
    rng = stream(headwear.fit_seed, 0, "headwear.folds")
    loose = headwear.looseness
    azimuth, elevation, radius = shell(fit, 58, 4 * ribs, 0.30)
    points = fit.frame.points(azimuth, elevation, radius + CLOTH_M)
    left, front, up = fit.frame.axes
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
    normal = normals(points)
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
    points = fit.over_hair(points + normal * move[..., None])
    return around("beanie", points, azimuth, "knit", ribs * RIB_M / (2 * np.pi))


def _cuff_profile() -> np.ndarray:
    """[rows, 3]: share of the cuff's height, offset in thicknesses, amplitude of the ribs."""
    heights = np.linspace(0.08, 0.93, 16)
    face = np.stack([heights, 1.05 + 0.12 * np.sin(np.pi * heights), np.ones(16)], axis=1)
    lip = [[0.30, 0.0, 0.0], [0.10, 0.0, 0.0], [0.02, 0.05, 0.2], [-0.02, 0.35, 0.5],
           [-0.015, 0.75, 0.8], [0.02, 1.0, 1.0]]  # fmt: skip
    fold = [[0.98, 1.0, 0.9], [1.01, 0.75, 0.6], [1.01, 0.35, 0.4], [0.97, 0.0, 0.0]]
    return np.concatenate([lip, face, fold])


def _beanie_cuff(headwear: Headwear, fit: HatFit, ribs: int) -> MeshPart:
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
    base = fit.form.at(azimuth, np.maximum(elevation, 0.0))
    radius = (
        base + 0.0004 + thick * profile[:, 1:2] + 0.0010 * profile[:, 2:] * _rib_wave(azimuth, ribs)
    )
    azimuth = np.broadcast_to(azimuth, elevation.shape)
    points = fit.frame.points(azimuth, elevation, radius)
    bulge = smooth_noise(points[5].reshape(-1, 3), 9, rng) * 0.0012
    points = points + normals(points) * (bulge[None] * (profile[:, 1:2] > 0.5))[..., None]
    return around("beanie_cuff", points, azimuth, "knit", ribs * RIB_M / (2 * np.pi))
