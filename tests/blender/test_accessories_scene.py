"""Glasses, headwear and earrings in a Blender scene: objects, labels and pixels."""

from __future__ import annotations

import pytest

from synth.ground_truth import LABELS

pytestmark = pytest.mark.blender


@pytest.fixture(scope="module")
def facts(run_scene):
    return run_scene("accessories_scene.py")


def test_each_kind_is_in_the_scene_with_its_label_and_is_seen(facts):
    hat = facts["hat"]
    for part, label in (("headwear", "headwear"), ("earrings", "earrings")):
        assert {number for _, number, _ in hat["objects"][part]} == {LABELS[label]}
    glasses = {name.split("_")[0]: number for name, number, _ in hat["objects"]["glasses"]}
    assert glasses["lens"] == LABELS["glasses_lens"]
    assert glasses["rim"] == glasses["temple"] == LABELS["glasses_frame"]
    for label in ("headwear", "earrings", "glasses_frame", "glasses_lens", "hair", "skin"):
        assert hat["seen"][label] > 3, label
    assert hat["seen"]["headwear"] > 500


def test_light_passes_lenses_and_nothing_else(facts):
    shadows = {name: shadow for name, _, shadow in facts["hat"]["objects"]["glasses"]}
    assert not shadows["lens_0"]
    assert shadows["rim_0"]
    assert all(shadow for _, _, shadow in facts["hat"]["objects"]["headwear"])


def test_no_scalp_hair_and_no_ear_is_seen_under_a_headscarf(facts):
    scarf = facts["scarf"]
    assert scarf["objects"]["hair"] == []
    assert scarf["seen"]["hair"] == 0
    assert scarf["seen"]["headwear"] > 1500
    assert scarf["seen"]["skin"] > 150  # the face


def test_tinted_lenses_are_darker_and_the_eyes_stay_visible(facts):
    clear, tinted, gradient = (facts["lenses"][n] for n in ("clear", "tinted", "gradient"))
    for half in (0, 1):
        assert 0.06 * clear[half] < tinted[half] < 0.6 * clear[half]
    even, faded = tinted[1] / tinted[0], gradient[1] / gradient[0]
    assert faded > 1.5 * even  # clear towards the lower edge
    assert gradient[0] < 0.6 * clear[0]
