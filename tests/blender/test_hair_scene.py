"""Hair arrives in Blender as curves with the numbers of the spec."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from synth.blender_scenes.hair_style_table import STYLES
from synth.blender_scenes.hair_styles import strand_scale
from synth.sample import sample_head
from synth.sample_config import DatasetConfig

pytestmark = pytest.mark.blender

_SCENE = Path(__file__).with_name("hair_scene.py")


@pytest.fixture(scope="module")
def spec():
    head = sample_head(DatasetConfig(size=128), 0)
    colour = replace(head.hair.colour, melanin=0.6, grey=0.3, tint=None)
    natural = replace(colour, melanin=0.4)
    return replace(
        head,
        hair=replace(head.hair, style="ponytail", colour=colour, strands=0),
        facial_hair=replace(head.facial_hair, beard="short", beard_density=1.0, colour=natural),
    )


@pytest.fixture(scope="module")
def report(spec, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hair")
    (folder / "spec.json").write_text(json.dumps(spec.to_json_dict()))
    done = subprocess.run(
        [sys.executable, str(_SCENE), str(folder / "spec.json"), str(folder / "report.json")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (folder / "report.json").exists(), done.stdout[-2000:] + done.stderr[-2000:]
    return json.loads((folder / "report.json").read_text())


def test_every_part_is_in_the_scene(report, spec):
    assert {name: len(objects) for name, objects in report.items()} == {
        "hair": 3, "brows": 1, "lashes": 1, "beard": 1,
    }  # fmt: skip
    assert all(item["in_scene"] for objects in report.values() for item in objects)
    count = round(STYLES["ponytail"].strands * strand_scale(spec.render.size)[0])
    assert report["hair"][0]["strands"] == count


def test_hair_is_in_scene_units_around_the_head(report):
    scalp, beard = report["hair"][0], report["beard"][0]
    assert 0.3 < scalp["high"][2] < 0.9 and -0.65 < scalp["low"][0] < scalp["high"][0] < 0.65
    assert beard["high"][2] < scalp["high"][2] and beard["low"][2] > -1.0
    # about 0.15 mm at 4.9 units a metre, thickened for 128 pixels
    assert 0.0005 < scalp["radius"] < 0.004
    assert report["lashes"][0]["radius"] < scalp["radius"]


def test_material_follows_the_colour(report):
    """Scalp hair has the worn colour, brows and beard their own; one fibre, pigment per point."""
    scalp = report["hair"][0]
    assert scalp["model"] == "CHIANG" and scalp["fibres"] == 1
    assert scalp["left"] == pytest.approx(1 - 0.6, abs=1e-5)
    assert report["brows"][0]["left"] == pytest.approx(1 - (0.9 * 0.4 + 0.12), abs=1e-5)
    low, high = scalp["pigment"]
    assert low < 0.13, "grey strands have hardly any pigment"
    assert 1.0 < high < 6.0
    assert report["lashes"][0]["pigment"] == [1.0, 1.0]
