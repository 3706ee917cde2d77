"""How bright an environment map makes a face; numpy only.

Environment maps differ by a factor of ten in brightness, and one that is lit from behind leaves the
face black. A map is therefore scaled by what its light does to a face.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from synth.camera import orbit_position
from synth.color import LUMINANCE

FACE_AZIMUTHS_DEG = (-90.0, -130.0, -50.0)
"""Where the front, the right and the left of a face point; it is exposed for their mean."""
HDRI_LEVEL = 0.62
"""Irradiance / pi on the face of an environment map at strength 1, as under a grey sky of 0.62."""
HDRI_SCALE_LIMITS = (0.25, 4.0)
"""A map is never scaled beyond these: night stays darker than noon."""
BACKLIGHT_LIMIT = 2.0
"""Irradiance of the brightest side relative to that of the face, above which the map counts as
back-lit and is scaled by that side instead; brighter rims make hair glow."""
WHITE_BALANCE = 0.7
"""Share of the colour cast on the face, in stops, that a camera's white balance takes away."""
_AROUND_DEG = tuple(float(a) for a in range(-180, 180, 45))


def environment_scale(pixels: np.ndarray, rotation_deg: float) -> float:
    """The factor that gives a face the irradiance `HDRI_LEVEL` * pi under this map.

    Under a back-lit map the face gets less: its other lights and the exposure make up for it.

    Args:
        pixels: [h, w, 3] float, equirectangular, linear; Blender's layout, first row straight up.
        rotation_deg: rotation of the map about +Z.
    """
    face = face_irradiance(pixels, rotation_deg)
    brightest = float((irradiances(pixels, rotation_deg, _AROUND_DEG) @ LUMINANCE).max())
    level = max(face, brightest / BACKLIGHT_LIMIT) / math.pi
    return float(np.clip(HDRI_LEVEL / max(level, 1e-6), *HDRI_SCALE_LIMITS))


def face_irradiance(pixels: np.ndarray, rotation_deg: float) -> float:
    """Mean luminous irradiance of the front, right and left of a face that looks along -Y.

    Args:
        pixels: [h, w, 3] float, equirectangular, linear, first row straight up.
        rotation_deg: rotation of the map about +Z.

    Returns:
        Integral of luminance times cosine over the sphere, in the map's units times steradian.
    """
    return float(irradiances(pixels, rotation_deg, FACE_AZIMUTHS_DEG).mean(axis=0) @ LUMINANCE)


def white_balance(pixels: np.ndarray, rotation_deg: float) -> np.ndarray:
    """Factors [3] on R, G, B that take most of a map's colour cast off the face.

    They leave the luminance of the light on the face as it was.
    """
    light = np.maximum(irradiances(pixels, rotation_deg, FACE_AZIMUTHS_DEG).mean(axis=0), 1e-6)
    factors = (light @ LUMINANCE / light) ** WHITE_BALANCE
    return factors * (light @ LUMINANCE) / (light * factors @ LUMINANCE)


def irradiances(
    pixels: np.ndarray, rotation_deg: float, azimuths_deg: Sequence[float]
) -> np.ndarray:
    """Irradiance [N, 3] in R, G, B of upright surfaces that face `azimuths_deg` [N].

    Args:
        pixels: [h, w, 3] float, equirectangular, linear, first row straight up.
        rotation_deg: rotation of the map about +Z.
    """
    height, width = pixels.shape[:2]
    elevation = np.pi * (0.5 - (np.arange(height) + 0.5) / height)
    # In Blender's layout the middle column lies towards +X, the first one towards -X.
    column = (np.arange(width) + 0.5) / width
    azimuth = np.radians(rotation_deg) + np.pi * (1 - 2 * column)
    azimuth, elevation = np.meshgrid(azimuth, elevation)
    direction = np.stack(
        [
            np.cos(azimuth) * np.cos(elevation),
            np.sin(azimuth) * np.cos(elevation),
            np.sin(elevation),
        ],
        axis=-1,
    )
    solid_angle = np.cos(elevation) * (np.pi / height) * (2 * np.pi / width)
    radiance = pixels * solid_angle[..., None]
    normals = np.stack([orbit_position(a, 0.0, 1.0) for a in azimuths_deg])
    cosine = np.maximum(direction @ normals.T, 0.0)
    return np.einsum("hwc,hwn->nc", radiance, cosine)
