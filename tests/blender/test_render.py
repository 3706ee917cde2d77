"""The path from Cycles to eight bits: colour, alpha, edges, light and errors."""

from __future__ import annotations

import numpy as np
import pytest

from synth.blender_scenes.exr import read_exr
from synth.color import srgb_from_linear
from synth.errors import RenderError

pytestmark = pytest.mark.blender


@pytest.fixture(scope="module")
def result(run_scene):
    return run_scene("render_scene.py")


def test_standard_view_is_the_srgb_curve(result):
    expected = srgb_from_linear(np.array([0.6, 0.2, 0.1])) * 255
    assert np.abs(np.array(result["standard"][:3]) - expected).max() <= 1
    assert result["standard"][3] == 255


def test_exposure_is_in_stops(result):
    expected = srgb_from_linear(np.array([0.6, 0.2, 0.1]) / 2) * 255
    assert np.abs(np.array(result["one_stop_darker"][:3]) - expected).max() <= 1


def test_the_view_transform_of_the_spec_is_applied(result):
    """Filmic keeps highlights that the plain sRGB curve burns."""
    assert result["bright_standard"][:3] == [255, 255, 255]
    assert 200 < max(result["bright"][:3]) < 245


def test_colour_and_alpha_keep_their_place(result):
    """Blender counts rows from below; a picture that is alike above and below would not tell."""
    red, green = result["corners"][0][0], result["corners"][1][1]
    assert red[0] > 100 > red[1] and red[3] == 255
    assert green[1] > 100 > green[0] and green[3] == 255
    assert [result["corners"][0][1], result["corners"][1][0]] == [[0, 0, 0, 0]] * 2


def test_an_error_that_cycles_only_prints_is_raised(result):
    """By its type: more memory may be there at the next try."""
    wanted = "RenderCrashed: view 'front': Blender reported: Error: out of memory"
    assert result["reported"] == wanted


def test_half_transparent_colour_is_straight(result):
    """Transforming premultiplied colour would make it darker."""
    assert result["half"][3] == pytest.approx(0.75 * 255, abs=6)  # a ray meets the sphere twice
    assert np.abs(np.subtract(result["half"][:3], result["opaque"][:3])).max() <= 2


def test_edges_keep_the_colour_of_what_they_belong_to(result):
    edges = result["edges"]
    assert edges["soft_pixels"] > 40
    assert edges["largest_difference"] <= 2
    assert edges["clear_pixels_are_black"]


def test_denoising_reaches_alpha(result):
    assert result["alpha_rmse"]["denoised"] < 0.75 * result["alpha_rmse"]["noisy"]


def test_environment_analysis_agrees_with_cycles(result):
    for case in result["map"]:
        difference = (case["rendered"] - case["computed"] + 180) % 360 - 180
        assert abs(difference) < 12, case


def test_errors_name_value_and_remedy(result):
    assert "spec.render.view_transform" in result["unknown_view"]
    assert "Filmik" in result["unknown_view"]


def test_a_missing_gpu_is_an_error_and_no_fallback(result):
    if result["missing_gpu"] == "no error":
        pytest.skip("this machine has an OptiX device")
    assert result["missing_gpu"].startswith("DeviceError")


def test_output_of_blender_is_captured(result):
    assert "from Python" in result["captured"]
    assert "Fra:1" in result["captured"]


def test_a_truncated_or_foreign_file_is_a_render_error(tmp_path):
    for content in (b"", b"\x76\x2f\x31\x01\x02\0\0\0channels\0chlist\0", b"P6 1 1 255 abc"):
        path = tmp_path / "broken.exr"
        path.write_bytes(content)
        with pytest.raises(RenderError, match=r"broken\.exr"):
            read_exr(path)
