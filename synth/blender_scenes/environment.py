"""How bright an environment map makes a face; numpy only.

Environment maps differ by a factor of ten in brightness, and one that is lit from behind leaves the
face black. A map is therefore scaled by what its light does to a face.
"""

from __future__ import annotations

import math

import numpy as np

from synth.camera import orbit_position

FACE_AZIMUTHS_DEG = (-90.0, -130.0, -50.0)
"""Where the front, the right and the left of a face point; it is exposed for their mean."""
HDRI_LEVEL = 0.62
"""Irradiance / pi on the face of an environment map at strength 1, as under a grey sky of 0.62."""
HDRI_SCALE_LIMITS = (0.25, 4.0)
"""A map is never scaled beyond these: night stays darker than noon."""
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])


def environment_scale(pixels: np.ndarray, rotation_deg: float) -> float:
    """The factor that gives a face the irradiance `HDRI_LEVEL` * pi under this map.

    Args:
        pixels: [h, w, 3] float, equirectangular, linear; Blender's layout, first row straight up.
        rotation_deg: rotation of the map about +Z.
    """
    level = face_irradiance(pixels, rotation_deg) / math.pi
    return float(np.clip(HDRI_LEVEL / max(level, 1e-6), *HDRI_SCALE_LIMITS))


def face_irradiance(pixels: np.ndarray, rotation_deg: float) -> float:
    """Mean luminous irradiance of the front, right and left of a face that looks along -Y.

    Args:
        pixels: [h, w, 3] float, equirectangular, linear, first row straight up.
        rotation_deg: rotation of the map about +Z.

    Returns:
        Integral of luminance times cosine over the sphere, in the map's units times steradian.
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
    radiance = (pixels @ _LUMINANCE) * solid_angle
    normals = np.stack([orbit_position(a, 0.0, 1.0) for a in FACE_AZIMUTHS_DEG])
    cosine = np.maximum(direction @ normals.T, 0.0)
    return float((radiance[..., None] * cosine).sum(axis=(0, 1)).mean())
