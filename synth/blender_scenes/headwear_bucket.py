"""A bucket hat: a boxy crown with a brim that slopes down all around; numpy only."""

from __future__ import annotations

import numpy as np

from synth.blender_scenes.accessory_mesh import MeshPart
from synth.blender_scenes.hair_field import HeadSurface, smooth_noise
from synth.blender_scenes.headwear_fit import HairCover, HatFrame, skull
from synth.blender_scenes.headwear_form import CLOTH_M, HatFit, around, brim_section, normals, shell
from synth.rng import stream
from synth.spec import Headwear


def bucket_hat(
    headwear: Headwear, surface: HeadSurface, hair_style: str
) -> tuple[list[MeshPart], HairCover]:
    """A boxy crown with a brim that slopes down all around."""
    frame = HatFrame.create(surface, 0.960, 0.893, headwear.tilt_deg, headwear.turn_deg)
    head = skull(surface, frame)
    rise_m = 0.004 + 0.014 * headwear.looseness
    fit = HatFit.of(frame, head, hair_style, rise_m=rise_m, exponent=3.6)
    return [_bucket_crown(headwear, fit), _bucket_brim(headwear, fit)], fit.cover()


def _bucket_crown(headwear: Headwear, fit: HatFit) -> MeshPart:
    rng = stream(headwear.fit_seed, 0, "headwear.folds")
    azimuth, elevation, radius = shell(fit, 56, 168)
    points = fit.frame.points(azimuth, elevation, radius + CLOTH_M)
    normal = normals(points)
    soft = smooth_noise(points.reshape(-1, 3), 13, rng).reshape(azimuth.shape)
    # The seam between wall and top, and the one above the brim.
    height = (points - fit.frame.centre) @ fit.frame.axes[2]
    edge = np.exp(-(((height - 0.86 * height.max()) / 0.0035) ** 2))
    band = np.exp(-(((height - 0.004) / 0.002) ** 2))
    move = 0.0016 * soft + 0.0009 * edge - 0.0006 * band
    points = fit.over_hair(points + normal * move[..., None])
    return around("bucket_hat", points, azimuth, "cloth")


def _bucket_brim(headwear: Headwear, fit: HatFit) -> MeshPart:
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
    root = fit.form.at(azimuth, np.full_like(azimuth, 0.0)) + CLOTH_M - 0.0006
    out = fit.frame.directions(azimuth, 0.0 * azimuth)
    up = fit.frame.axes[2]
    reach, lift = brim_section(13, thick, rounded_from=0.93)
    points = []
    for t, above in zip(reach, lift):
        along, tilt = length * t, slope * (0.75 + 0.35 * t)
        down = along * np.sin(tilt) - above * np.cos(slope) - 0.002 * (1 - t)
        away = root + along * np.cos(tilt) + above * np.sin(slope)
        points.append(fit.frame.centre + out * away[:, None] - up * down[:, None])
    points = np.stack(points)
    grid = np.broadcast_to(azimuth, points.shape[:2])
    part = around("bucket_brim", points, grid, "brim")
    uv = part.uv.reshape(len(reach), columns + 1, 2).copy()
    uv[..., 1] = length * reach[:, None]
    return MeshPart(part.name, part.vertices, part.faces, part.material, uv.reshape(-1, 2))
