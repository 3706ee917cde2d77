"""How a head is exposed, as a photographer does it: by the light on the face. numpy only.

The light of a spec says how a face is lit, not how bright the picture is: the same lamp in front of
a face or beside it differs by two stops. The exposure is therefore computed from the irradiance on
the face and the colour of the skin.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from synth.blender_scenes.environment import FACE_AZIMUTHS_DEG
from synth.blender_scenes.skin_tone import tone
from synth.camera import orbit_position
from synth.color import LUMINANCE
from synth.spec import AreaLight

FACE_LEVEL = 1.05
"""Irradiance / pi times exposure that a face of light skin gets: about 190 of 255 on screen."""
LIGHT_SKIN_LUMINANCE = 0.50
DARK_SKIN_GAIN = 0.18
"""Share of the difference to light skin, in stops, that the exposure takes back: 0.6 of 3.5."""
EXPOSURE_LIMITS_EV = (-2.0, 2.5)
FACE_DEPTH = 0.4
"""Distance of the face's surface from the origin, scene units."""


def area_face_level(areas: Sequence[AreaLight]) -> float:
    """Irradiance / pi of the area lights on a face: mean of its front, right and left."""
    levels = [area_level(area, azimuth) for area in areas for azimuth in FACE_AZIMUTHS_DEG]
    return sum(levels) / len(FACE_AZIMUTHS_DEG)


def area_level(area: AreaLight, azimuth_deg: float) -> float:
    """Irradiance / pi of an area light on the side of the head that faces `azimuth_deg`.

    A small Lambertian source of power P at distance d gives P cos / (pi d^2) (the cosine at the
    lamp is nearly 1, as it is aimed at the head).

    Args:
        area: `power_w` in Blender's watts, lengths in scene units.
        azimuth_deg: -90 is the front.
    """
    normal = orbit_position(azimuth_deg, 0.0, 1.0)
    lamp = orbit_position(area.azimuth_deg, area.elevation_deg, area.distance)
    ray = lamp - FACE_DEPTH * normal
    distance = float(np.linalg.norm(ray))
    cosine = max(0.0, float(ray @ normal) / distance)
    power = area.power_w * float(LUMINANCE @ area.colour)
    return power * cosine / (math.pi * distance) ** 2


def exposure_ev(face_level: float, melanin: float) -> float:
    """Stops that expose a face well; dark skin gets a little more and stays darker than light skin.

    Args:
        face_level: irradiance / pi on the face, > 0.
        melanin: that of the skin, [0, 1].

    Returns:
        Stops, within `EXPOSURE_LIMITS_EV`.
    """
    luminance = float(tone(np.array([melanin]))[0] @ LUMINANCE)
    light = math.log2(FACE_LEVEL / max(face_level, 1e-6))
    skin = DARK_SKIN_GAIN * math.log2(LIGHT_SKIN_LUMINANCE / luminance)
    return float(np.clip(light + skin, *EXPOSURE_LIMITS_EV))
