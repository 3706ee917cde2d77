"""A cap: six panels, a button, a curved brim and a strap under the opening at the back; numpy."""

from __future__ import annotations

import dataclasses

import numpy as np

from synth.blender_scenes.accessory_mesh import MeshPart, ellipsoid, grid_faces, rounded_box, sweep
from synth.blender_scenes.hair_field import HeadSurface, smooth_noise, smoothstep
from synth.blender_scenes.headwear_fit import HairCover, HatFrame, PolarGrid, grid_angles, skull
from synth.blender_scenes.headwear_form import CLOTH_M, HatFit, around, brim_section, normals, shell
from synth.rng import stream
from synth.spec import Headwear

_BACK_OPENING = (0.44, 0.36)
"""Half width and height of the opening above the strap, radians."""


def cap(
    headwear: Headwear, surface: HeadSurface, hair_style: str
) -> tuple[list[MeshPart], HairCover]:
    """Six panels, a button, a curved brim and a strap under the opening at the back."""
    backwards = np.cos(np.radians(headwear.turn_deg)) < 0
    heights = (0.944, 0.900) if backwards else (0.957, 0.884)
    frame = HatFrame.create(surface, *heights, headwear.tilt_deg, headwear.turn_deg)
    head = skull(surface, frame)
    rise_m = 0.006 + 0.014 * headwear.looseness
    fit = HatFit.of(frame, head, hair_style, rise_m=rise_m, exponent=2.5)
    azimuth, elevation = grid_angles()
    # The stiffened front panels stand up before they bend backwards.
    front = smoothstep(1.15, 0.25, np.abs(np.mod(azimuth + np.pi, 2 * np.pi) - np.pi))
    stand = 0.010 * front * smoothstep(0.15, 0.7, elevation) * smoothstep(1.5, 0.95, elevation)
    behind = np.mod(azimuth[0], 2 * np.pi) - np.pi
    arch = (1 - (behind / _BACK_OPENING[0]) ** 2).clip(0) ** 0.6
    fit = dataclasses.replace(
        fit, form=PolarGrid(fit.form.values + stand), rim=_BACK_OPENING[1] * arch
    )
    parts = [
        _cap_crown(headwear, fit), _cap_button(fit), _cap_brim(headwear, fit), _cap_strap(fit)
    ]  # fmt: skip
    return parts, fit.cover()


def _cap_crown(headwear: Headwear, fit: HatFit) -> MeshPart:
    rng = stream(headwear.fit_seed, 0, "headwear.folds")
    columns = 240
    azimuth, elevation, radius = shell(fit, 40, columns)
    # A hem turned inwards gives the edge its thickness.
    azimuth = np.concatenate([azimuth[:3], azimuth])
    radius = np.concatenate([radius[[4, 1, 0]] - [[0.0014], [0.0012], [0.0004]], radius])
    elevation = np.concatenate([elevation[[4, 1, 0]] - [[0], [0], [0.004]], elevation])
    points = fit.frame.points(azimuth, elevation, radius + CLOTH_M)
    normal = normals(points)
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
    points = fit.over_hair(points + normal * move[..., None])
    return around("cap", points, azimuth, "cloth")


def _cap_button(fit: HatFit) -> MeshPart:
    top = fit.frame.centre + fit.frame.axes[2] * (fit.form.values[-1, 0] + CLOTH_M + 0.0008)
    return MeshPart(
        "cap_button", *_with_uv(ellipsoid(top, fit.frame.axes, (0.0075, 0.0075, 0.0034)))
    )


def _with_uv(mesh: tuple[np.ndarray, np.ndarray]):
    vertices, faces = mesh
    return vertices, faces, "cloth", vertices[:, :2] - vertices[0, :2]


def _cap_brim(headwear: Headwear, fit: HatFit) -> MeshPart:
    """A stiff sheet, arched from side to side; upper and lower face joined by a rounded edge."""
    half_angle, length, thick = 1.12, 0.070, 0.0028
    # The plane of the rim rises to the front; the brim itself points a little downwards.
    droop = 0.12 if np.cos(np.radians(headwear.turn_deg)) < 0 else 0.50
    across = np.linspace(-1, 1, 49)
    azimuth = half_angle * across
    left, front, up = fit.frame.axes
    root = fit.frame.points(
        azimuth, np.full_like(azimuth, 0.015), fit.form.at(azimuth, 0.015) + 0.0008
    )
    reach = length * (1 - np.abs(across) ** 2.2) ** 0.8
    x = (root - fit.frame.centre) @ left
    along, lift = brim_section(14, thick, rounded_from=0.94)
    points = []
    for t, above in zip(along, lift):
        out = reach * t
        arch = -(0.022 + 0.012 * headwear.looseness) * (x / 0.07) ** 2 * (out / length) ** 0.8
        fall = -out * droop - 0.9 * out**2
        height = arch + fall + above
        points.append(
            root + front * out[:, None] + left * (0.05 * x * t)[:, None] + up * height[:, None]
        )
    points = np.stack(points)
    distance = np.broadcast_to(length * along[:, None], points.shape[:2])
    uv = np.stack([np.broadcast_to(x, points.shape[:2]), distance], axis=-1).reshape(-1, 2)
    return MeshPart("cap_brim", points.reshape(-1, 3), grid_faces(*points.shape[:2]), "brim", uv)


def _cap_strap(fit: HatFit) -> MeshPart:
    azimuth = np.pi + np.linspace(-1, 1, 31) * (_BACK_OPENING[0] + 0.10)
    elevation = np.full_like(azimuth, 0.085)
    line = fit.frame.points(azimuth, elevation, fit.form.at(azimuth, elevation) + CLOTH_M)
    vertices, faces = sweep(line, fit.frame.axes[2], rounded_box(0.0085, 0.0010, 5.0))
    return MeshPart("cap_strap", vertices, faces, "cloth", vertices[:, ::2] - vertices[0, ::2])
