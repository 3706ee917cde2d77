"""Parts that need no Blender: environment maps and exposure."""

from __future__ import annotations

import numpy as np
import pytest

from synth.blender_scenes import environment, exposure
from synth.color import LUMINANCE
from synth.errors import RenderInvalid


def test_a_uniform_map_gives_pi_times_its_radiance():
    pixels = np.full((32, 64, 3), 0.7)
    assert environment.face_irradiance(pixels, 33.0) == pytest.approx(np.pi * 0.7, rel=0.01)
    scale = environment.environment_scale(pixels, 0.0)
    assert scale == pytest.approx(environment.HDRI_LEVEL / 0.7, rel=0.01)


def test_a_lamp_behind_the_head_does_not_light_the_face():
    """The middle column lies towards +X; the front is at azimuth -90."""
    pixels = np.zeros((32, 64, 3))
    pixels[12:20, 32] = 10.0
    front = environment.face_irradiance(pixels, -90.0)
    behind = environment.face_irradiance(pixels, 90.0)
    assert front > 20 * max(behind, 1e-9)


def test_a_dark_or_bright_map_is_scaled_within_limits():
    low, high = environment.HDRI_SCALE_LIMITS
    assert environment.environment_scale(np.zeros((8, 16, 3)), 0.0) == high
    assert environment.environment_scale(np.full((8, 16, 3), 1e3), 0.0) == low


def test_a_backlit_map_is_not_scaled_up_until_the_hair_glows():
    pixels = np.full((32, 64, 3), 0.1)
    pixels[12:20, 32] = 30.0
    scale = environment.environment_scale(pixels, 90.0)  # the lamp stands behind the head
    behind = environment.irradiances(pixels, 90.0, (90.0,))[0] @ LUMINANCE * scale / np.pi
    assert behind <= environment.BACKLIGHT_LIMIT * environment.HDRI_LEVEL * 1.001


def test_white_balance_takes_most_of_a_colour_cast_and_keeps_the_brightness():
    light = np.array([0.9, 0.5, 0.2])
    balanced = light * environment.white_balance(np.broadcast_to(light, (16, 32, 3)), 20.0)
    assert balanced @ LUMINANCE == pytest.approx(light @ LUMINANCE)
    assert 1.2 < balanced[0] / balanced[2] < 2.3  # of 4.5


def test_exposure_brings_light_skin_to_its_level_and_leaves_dark_skin_darker():
    for melanin in np.linspace(0, 1, 5):
        level = exposure.skin_target(melanin)
        for light in (0.02, 1.0, 30.0):
            stops = exposure.expose(np.full(100, level * light), melanin).stops
            assert light * 2.0**stops == pytest.approx(1, rel=0.01)
    shown = np.array([exposure.skin_target(m) for m in np.linspace(0, 1, 9)])
    assert (np.diff(np.log2(shown)) < -0.1).all()
    true = exposure.tone(np.linspace(0, 1, 9)) @ LUMINANCE
    taken_back = np.log2(true[0] / true[-1]) - np.log2(shown[0] / shown[-1])
    assert 0.5 < taken_back < 0.8


def test_a_hard_light_does_not_burn_the_side_it_falls_on():
    half_lit = np.concatenate([np.full(90, 0.001), np.full(10, 1.0)])
    exposed = exposure.expose(half_lit, 0.2)
    assert exposed.bright_luminance * 2.0**exposed.stops == pytest.approx(
        exposure.BRIGHT_LIMIT, rel=0.01
    )


@pytest.mark.parametrize(
    ("luminance", "message"), [(np.full(3, 0.5), "3 pixels of skin"), (np.zeros(90), "not lit")]
)
def test_a_face_that_cannot_be_measured_is_an_error(luminance, message):
    with pytest.raises(RenderInvalid, match=message):
        exposure.expose(luminance, 0.5)
