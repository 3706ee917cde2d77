"""Blender's picture of a point lies where `synth.camera` projects it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.blender

_SCENE = Path(__file__).with_name("marker_scene.py")


@pytest.fixture(scope="module")
def markers(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    out = tmp_path_factory.mktemp("markers") / "markers.json"
    done = subprocess.run(
        [sys.executable, str(_SCENE), str(out)], capture_output=True, text=True, check=False
    )
    assert out.exists(), done.stdout[-2000:] + done.stderr[-2000:]
    return json.loads(out.read_text())


def test_every_camera_was_rendered(markers: list[dict]) -> None:
    assert {m["camera"] for m in markers} == {
        "front", "front_right", "back", "high", "low", "wide", "off_centre", "tall_pixels",
        "rolled",
    }  # fmt: skip
    assert len(markers) == 9 * 5


def test_markers_lie_where_the_camera_projects_them(markers: list[dict]) -> None:
    for marker in markers:
        error = np.hypot(*np.subtract(marker["found_px"], marker["expected_px"]))
        assert error < 0.1, marker


def test_depth_is_the_distance_along_the_camera_axis(markers: list[dict]) -> None:
    for marker in markers:
        # The ray meets the front of the marker, a sphere of radius 0.02.
        assert abs(marker["found_depth"] - (marker["expected_depth"] - 0.02)) < 5e-3, marker


def test_a_flip_would_be_seen(markers: list[dict]) -> None:
    """In every view some marker must move far under each mirror, or the test is blind."""
    for camera in {m["camera"] for m in markers}:
        views = [m for m in markers if m["camera"] == camera]
        assert max(abs(2 * m["expected_px"][0] - m["width"]) for m in views) > 10
        assert max(abs(2 * m["expected_px"][1] - m["height"]) for m in views) > 10
