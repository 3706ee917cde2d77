"""Skies, windows and the light meter, measured on rendered pixels."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.blender


@pytest.fixture(scope="module")
def result(run_scene):
    return run_scene("lights_scene.py")


@pytest.mark.parametrize(("azimuth", "lit", "dark"), [("-90.0", "front", "back"),
                                                      ("0.0", "left", "right")])  # fmt: skip
def test_the_sun_stands_where_the_spec_says(result, azimuth, lit, dark):
    seen = result["sky"][azimuth]
    assert seen[lit] > 4 * seen[dark]


def test_a_sky_without_sun_is_soft(result):
    seen = result["clouded"]
    assert seen["left"] < 3 * seen["right"]
    assert seen["left"] < 0.2 * result["sky"]["0.0"]["left"]


def test_the_ground_is_not_seen(result):
    """A ball of radius 0.4 at 2.7 covers 8 % of the frame; a ground would cover half."""
    assert 0.07 < result["clouded"]["coverage"] < 0.09


def test_a_window_is_taller_than_wide(result):
    assert result["rectangle"] == [0.5, 2.0]
    assert result["window"]["front"] > 20 * max(result["window"]["back"], 1e-6)


def test_four_times_the_light_is_two_stops_less(result):
    assert result["four"]["stops"] == pytest.approx(result["one"]["stops"] - 2, abs=0.02)
    assert result["four"]["skin_luminance"] == pytest.approx(
        4 * result["one"]["skin_luminance"], rel=0.01
    )


def test_the_probe_sets_the_exposure_repeats_itself_and_leaves_no_trace(result):
    assert result["one"] == result["again"]
    assert result["one"]["applied"] == pytest.approx(result["one"]["stops"], abs=1e-4)
    assert result["four"]["applied"] == pytest.approx(result["four"]["stops"], abs=1e-4)
    assert result["one"]["samples_kept"]
    assert result["one"]["skin_pixels"] > 200


def test_a_face_without_light_is_refused(result):
    assert result["unlit"]["error"].startswith("RenderInvalid")
    assert "not lit" in result["unlit"]["error"]


def test_cycles_does_not_evaluate_every_texel_of_a_map(result):
    """That took 1.5 s of CPU a head, and sixteen times as much under a map of 4096 columns."""
    method, columns = result["importance"]
    assert method == "MANUAL"
    assert columns <= 512
