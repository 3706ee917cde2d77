"""The light of one picture."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from synth import sample_palettes as palettes
from synth.assets import HDRI_NAMES
from synth.sample_assets import check_asset_weights
from synth.sample_draw import Draw, Weights, check_probability, check_weights, choose, happens
from synth.spec import AreaLight, Light, Rgb, Sky

_FRONT_DEG = -90.0
_LIGHT_DISTANCE = 4.0


@dataclass(frozen=True)
class LightConfig:
    """Kinds of light.

    Attributes:
        kinds: "hdri", an environment map with a weak fill; "hdri_area", dimmed with a key light;
            "studio", key, fill and rim light; "window", one tall light from the side in a dim room;
            "practicals", coloured lamps around a neutral key; "sky", sun and sky; "ambient",
            uniform.
        side_lit: probability that a studio or a window leaves half of the face in shadow.
        hdris: environment maps that may light a head (almost) alone: names of the bundled ones, or
            a user's (`studio:loft`, `studio:*`, see `AssetsConfig`).
        dim_hdris: environment maps under a key light; the low suns only here, as they leave faces
            black.
    """

    kinds: Weights = field(
        default_factory=lambda: {
            "hdri": 0.27,
            "hdri_area": 0.25,
            "studio": 0.20,
            "window": 0.09,
            "practicals": 0.07,
            "sky": 0.10,
            "ambient": 0.02,
        }
    )
    side_lit: float = 0.15
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
        check_probability("side_lit", self.side_lit)
        check_weights("kinds", self.kinds, palettes.LIGHT_KINDS)
        check_asset_weights("hdris", self.hdris, HDRI_NAMES)
        check_asset_weights("dim_hdris", self.dim_hdris, HDRI_NAMES)


def sample_light(draw: Draw, settings: LightConfig) -> Light:
    """The light; soft sources in front of the face, so that it is seldom black."""
    kind = choose(draw("light.kind"), settings.kinds)
    rng = draw("light.values")
    if kind == "hdri":
        name = choose(draw("light.hdri"), settings.hdris)
        rotation, strength = rng.uniform(0, 360), rng.uniform(0.6, 1.0)
        # whatever the map has in front of the face, a soft light from one side gives it shape
        fill = _area(rng.uniform(-60, 60), rng.uniform(15, 45), 1.8, rng.uniform(90, 190))
        return Light(kind, _asset_id(name), float(rotation), float(strength), areas=(fill,))
    if kind == "hdri_area":
        name = choose(draw("light.hdri"), settings.dim_hdris)
        key = _area(
            rng.uniform(-60, 60), rng.uniform(12, 50), rng.uniform(0.8, 2.2),
            rng.uniform(150, 320), (1.0, rng.uniform(0.94, 1.0), rng.uniform(0.88, 1.0)),
        )  # fmt: skip
        return Light(kind, _asset_id(name), float(rng.uniform(0, 360)), 0.45, areas=(key,))
    if kind == "studio":
        return _studio(rng, happens(rng, settings.side_lit))
    if kind == "window":
        return _window(rng, happens(rng, settings.side_lit))
    if kind == "practicals":
        return _practicals(rng)
    if kind == "sky":
        return _sky(rng)
    return Light(kind, strength=float(rng.uniform(0.55, 0.75)))


def _asset_id(name: str) -> str:
    """The asset of an environment map: bundled ones go by their bare name."""
    return name if ":" in name else f"bpy:{name}"


def _studio(rng: np.random.Generator, side_lit: bool) -> Light:
    """Softboxes: a warm key, a cool fill from the other side, a rim light from behind."""
    side = rng.choice((-1.0, 1.0))
    key = _area(
        side * (rng.uniform(65, 95) if side_lit else rng.uniform(25, 60)), rng.uniform(15, 45),
        rng.uniform(0.8, 2.0), rng.uniform(260, 360), (1.0, 0.97, 0.93), rng.uniform(0.6, 2.5),
    )  # fmt: skip
    fill_power = rng.uniform(12, 35) if side_lit else rng.uniform(90, 160)
    fill = _area(
        -side * rng.uniform(40, 70), rng.uniform(0, 20), 3.0, fill_power, (0.93, 0.96, 1.0)
    )
    rim = _area(side * rng.uniform(140, 170), rng.uniform(30, 50), 1.2, rng.uniform(80, 180))
    ambient = rng.uniform(0.02, 0.05) if side_lit else rng.uniform(0.05, 0.12)
    return Light("studio", strength=float(ambient), areas=(key, fill, rim))


def _window(rng: np.random.Generator, side_lit: bool) -> Light:
    """Daylight through a tall window; the room's walls give the rest back, a little warmer."""
    side = rng.choice((-1.0, 1.0))
    angle = rng.uniform(75, 100) if side_lit else rng.uniform(25, 70)
    window = _area(
        side * angle, rng.uniform(8, 28), rng.uniform(1.2, 2.2), rng.uniform(200, 320),
        (rng.uniform(0.88, 0.97), rng.uniform(0.95, 0.99), 1.0), rng.uniform(1.2, 2.0),
    )  # fmt: skip
    wall = _area(
        -side * rng.uniform(50, 110), rng.uniform(-10, 20), 4.0,
        rng.uniform(25, 45) if side_lit else rng.uniform(75, 150), (1.0, 0.93, 0.84),
    )  # fmt: skip
    room = (1.0, float(rng.uniform(0.90, 0.97)), float(rng.uniform(0.80, 0.92)))
    strength = rng.uniform(0.05, 0.08) if side_lit else rng.uniform(0.10, 0.20)
    return Light("window", strength=float(strength), ambient=room, areas=(window, wall))


def _practicals(rng: np.random.Generator) -> Light:
    """One or two coloured lamps beside and behind the head; a neutral key keeps the skin human."""
    side = rng.choice((-1.0, 1.0))
    key = _area(
        side * rng.uniform(0, 45), rng.uniform(5, 40), rng.uniform(1.0, 2.5), rng.uniform(140, 240),
        (1.0, rng.uniform(0.93, 1.0), rng.uniform(0.86, 1.0)),
    )  # fmt: skip
    lamps = [
        _area(
            sign * rng.uniform(70, 150), rng.uniform(-15, 35), rng.uniform(0.4, 1.2),
            rng.uniform(80, 210), _saturated(rng), rng.uniform(1.0, 4.0),
        )
        for sign in (-side, side)[: rng.integers(1, 3)]
    ]  # fmt: skip
    ambient = tuple(float(c) for c in rng.uniform(0.6, 1.0, 3))
    strength = float(rng.uniform(0.04, 0.12))
    return Light("practicals", strength=strength, ambient=ambient, areas=(key, *lamps))


def _sky(rng: np.random.Generator) -> Light:
    """A sun before or beside the face, hazy or clear; from behind, a face would be blue shade."""
    haze = rng.uniform(0, 1)
    sky = Sky(
        sun_azimuth_deg=_wrapped(_FRONT_DEG + rng.uniform(-95, 95)),
        sun_elevation_deg=float(rng.uniform(24, 65)),
        sun_strength=float(0.85 - 0.65 * haze),
        sun_size_deg=float(0.545 + 6.0 * haze**2),
        air=float(rng.uniform(0.7, 1.6)),
        dust=float(rng.uniform(0.3, 1.0) + 1.2 * haze),
        ozone=float(rng.uniform(0.5, 2.0)),
    )
    return Light("sky", sky=sky)


def _saturated(rng: np.random.Generator) -> Rgb:
    """A lamp colour of any hue, saturation 0.3 to 0.7 (HSV with value 1)."""
    hue, saturation = rng.uniform(0, 1), rng.uniform(0.3, 0.7)
    ramp = np.clip(np.abs((hue + np.array([0, 2 / 3, 1 / 3])) % 1 * 6 - 3) - 1, 0, 1)
    return tuple(float(c) for c in 1 - saturation * (1 - ramp))


def _wrapped(azimuth_deg: float) -> float:
    return float((azimuth_deg + 180) % 360 - 180)


def _area(
    from_front_deg: float,
    elevation_deg: float,
    size: float,
    power_w: float,
    colour: Rgb = (1.0, 1.0, 1.0),
    aspect: float = 1.0,
) -> AreaLight:
    return AreaLight(
        azimuth_deg=_wrapped(_FRONT_DEG + from_front_deg),
        elevation_deg=float(elevation_deg),
        distance=_LIGHT_DISTANCE,
        size=float(size),
        power_w=float(power_w),
        colour=tuple(float(c) for c in colour),
        aspect=float(aspect),
    )
