"""The light of one picture."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from synth import sample_palettes as palettes
from synth.assets import HDRI_NAMES
from synth.sample_draw import Draw, Weights, check_weights, choose
from synth.spec import AreaLight, Light, Rgb

_FRONT_DEG = -90.0
_LIGHT_DISTANCE = 4.0


@dataclass(frozen=True)
class LightConfig:
    """Kinds of light.

    Attributes:
        kinds: an environment map with a weak fill; dimmed with a key light; a studio of three area
            lights; uniform.
        hdris: environment maps that may light a head (almost) alone.
        dim_hdris: environment maps under a key light; the low suns only here, as they leave faces
            black.
    """

    kinds: Weights = field(
        default_factory=lambda: {"hdri": 0.36, "hdri_area": 0.32, "studio": 0.26, "ambient": 0.06}
    )
    hdris: Weights = field(
        default_factory=lambda: {
            "city": 1.0,
            "courtyard": 1.0,
            "forest": 1.0,
            "interior": 1.0,
            "studio": 1.0,
        }
    )
    dim_hdris: Weights = field(
        default_factory=lambda: {
            "city": 1.0,
            "courtyard": 1.0,
            "forest": 1.0,
            "interior": 1.0,
            "studio": 1.0,
            "sunrise": 0.7,
            "sunset": 0.7,
            "night": 0.4,
        }
    )

    def __post_init__(self) -> None:
        check_weights("kinds", self.kinds, palettes.LIGHT_KINDS)
        check_weights("hdris", self.hdris, HDRI_NAMES)
        check_weights("dim_hdris", self.dim_hdris, HDRI_NAMES)


def sample_light(draw: Draw, settings: LightConfig) -> Light:
    """The light; soft sources in front of the face, so that it is seldom black."""
    kind = choose(draw("light.kind"), settings.kinds)
    rng = draw("light.values")
    if kind == "hdri":
        name = choose(draw("light.hdri"), settings.hdris)
        rotation, strength = rng.uniform(0, 360), rng.uniform(0.8, 1.2)
        # whatever the map has in front of the face, a large soft light gives it shape
        fill = _area(rng.uniform(-45, 45), rng.uniform(10, 40), 2.5, rng.uniform(60, 130))
        return Light(kind, f"bpy:{name}", float(rotation), float(strength), areas=(fill,))
    if kind == "hdri_area":
        name = choose(draw("light.hdri"), settings.dim_hdris)
        key = _area(
            rng.uniform(-60, 60), rng.uniform(10, 50), rng.uniform(0.8, 2.5),
            rng.uniform(150, 320), (1.0, rng.uniform(0.94, 1.0), rng.uniform(0.88, 1.0)),
        )  # fmt: skip
        return Light(kind, f"bpy:{name}", float(rng.uniform(0, 360)), 0.55, areas=(key,))
    if kind == "studio":
        return _studio(rng)
    return Light(kind, strength=float(rng.uniform(0.55, 0.75)))


def _studio(rng: np.random.Generator) -> Light:
    side = rng.choice((-1.0, 1.0))
    key = _area(
        side * rng.uniform(25, 60), rng.uniform(15, 45), rng.uniform(0.8, 2.0),
        rng.uniform(260, 360), (1.0, 0.97, 0.93),
    )  # fmt: skip
    fill = _area(
        -side * rng.uniform(40, 70), rng.uniform(0, 20), 3.0, rng.uniform(90, 160),
        (0.93, 0.96, 1.0),
    )  # fmt: skip
    rim = _area(side * rng.uniform(140, 170), rng.uniform(30, 50), 1.2, rng.uniform(80, 180))
    return Light("studio", strength=float(rng.uniform(0.05, 0.12)), areas=(key, fill, rim))


def _area(
    from_front_deg: float,
    elevation_deg: float,
    size: float,
    power_w: float,
    colour: Rgb = (1.0, 1.0, 1.0),
) -> AreaLight:
    azimuth = (_FRONT_DEG + from_front_deg + 180) % 360 - 180
    return AreaLight(
        azimuth_deg=float(azimuth),
        elevation_deg=float(elevation_deg),
        distance=_LIGHT_DISTANCE,
        size=float(size),
        power_w=float(power_w),
        colour=tuple(float(c) for c in colour),
    )
