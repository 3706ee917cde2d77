"""Skin, eyes and mouth as Blender objects, and how they come out in a picture."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.blender


@pytest.fixture(scope="module")
def facts(tmp_path_factory) -> dict:
    out = tmp_path_factory.mktemp("head") / "facts.json"
    script = Path(__file__).with_name("head_scene.py")
    done = subprocess.run(
        [sys.executable, str(script), str(out)], capture_output=True, text=True, check=False
    )
    assert out.exists(), done.stdout[-2000:] + done.stderr[-2000:]
    return json.loads(out.read_text())


def test_parts_are_objects_with_materials_and_uv(facts):
    assert facts["objects"]["skin"] == ["skin"]
    assert facts["objects"]["eyes"] == [
        f"{part}_{side}"
        for side in ("left", "right")
        for part in ("eye", "cornea", "tear", "caruncle", "conjunctiva")
    ]
    assert len(facts["objects"]["mouth"]) == 5
    assert facts["materials"] == ["skin_head", "skin_body"]
    assert facts["uv_layers"] == ["UVMap"]
    assert facts["finite"]


def test_covered_faces_are_left_out(facts):
    assert facts["lowest_cut"] > facts["lowest_whole"] + 0.5


def test_no_tooth_pokes_through_the_skin(facts):
    assert facts["escapes"] == 0
    assert facts["escapes_narrow"] == 0


def test_eyes_follow_the_gaze_to_the_subjects_left_and_up(facts):
    ahead, left, up = (np.array(facts[f"pupil_{name}"]) for name in ("ahead", "left", "up"))
    assert left[0] > ahead[0] + 0.008
    assert up[2] > ahead[2] + 0.004


def test_melanin_darkens_and_light_skin_is_redder_than_blue(facts):
    light, dark = np.array(facts["light_forehead"]), np.array(facts["dark_forehead"])
    assert light.mean() > dark.mean() + 50
    for colour in (light, dark):
        assert colour[0] > colour[1] > colour[2]
    assert dark.mean() > 15
    assert facts["light_centre_alpha"] == 255
    assert facts["light_corner_alpha"] == 0


def test_gums_fit_the_skin(facts):
    light, dark = np.array(facts["light_gums"]), np.array(facts["dark_gums"])
    assert light[0] > 2 * light[1], "pink"
    assert dark.mean() < 0.65 * light.mean(), "melanin colours gums as well"
