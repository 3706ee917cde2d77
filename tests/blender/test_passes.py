"""Every pass of a rendered head against its geometry; the numbers come from passes_scene.py."""

from __future__ import annotations

import numpy as np
import pytest

from synth.landmarks import SPARSE_NAMES, Visibility

pytestmark = pytest.mark.blender


@pytest.fixture(scope="module")
def result(run_scene):
    return run_scene("passes_scene.py")


def test_passes_leave_the_picture_as_it_is(result):
    assert result["picture_is_the_same"]


def test_every_pass_has_the_documented_type(result):
    assert result["types"] == {
        "depth": ["float32", [160, 160]],
        "position": ["float32", [160, 160, 3]],
        "normal_world": ["float32", [160, 160, 3]],
        "normal_camera": ["float32", [160, 160, 3]],
        "segmentation": ["uint8", [160, 160]],
        "depth_under": ["float32", [160, 160]],
        "segmentation_under": ["uint8", [160, 160]],
        "albedo": ["float32", [160, 160, 4]],
        "coverage": ["float32", [16, 160, 160]],
    }


def test_depth_reprojects_onto_the_same_surface(result):
    measured = result["reprojection"]
    assert measured["pixels"] > 3000
    assert measured["visible"] > 0.9
    assert measured["within_a_pixel"] > 0.99
    assert measured["median_px"] < 0.03


def test_position_is_that_of_cycles(result):
    """Depth is stored in steps of 1/2048 units."""
    assert result["position"]["pixels"] > 5000
    assert result["position"]["p99"] < 3.5e-4


def test_normals_agree_with_depth_and_with_the_mesh(result):
    normals = result["normals"]
    assert normals["to_depth_deg"] < 1.5
    assert normals["to_mesh_deg"] < 2.0
    assert normals["camera_deg"] < 0.6
    assert normals["facing_the_camera"] == 1.0


def test_normals_of_hair_are_those_of_its_mass(result):
    """Ribbons turn to the camera and differ by 43 degrees (median) from pixel to pixel."""
    hair = result["strand_normals"]
    assert hair["pixels"] > 300
    assert hair["turn_deg"] < 8
    assert hair["facing"] == 1.0
    assert hair["outwards"] > 0.1


def test_every_part_has_its_label(result):
    assert result["unlabelled"] == []
    counts, under = result["masks"]["counts"], result["masks"]["counts_under"]
    behind_lenses = {"sclera", "iris", "lashes"}
    for name in set(counts) - behind_lenses:
        assert counts[name] > 0, name
    for name in ("sclera", "iris", "lashes", "lips", "teeth", "tongue", "mouth", "brows"):
        assert under[name] > 0, name
    assert result["masks"]["found_without_label"] == 0


def test_the_layer_below_has_no_hair_and_lies_behind(result):
    masks = result["masks"]
    assert masks["covering_under"] == 0
    assert masks["counts_under"]["skin"] > masks["counts"]["skin"] + 1000
    assert masks["nearer_under"] >= -2e-4


def test_lenses_are_told_and_looked_through(result):
    masks = result["masks"]
    assert masks["counts"]["glasses_lens"] > 200
    assert masks["lens_hides_depth"] == 0.0
    assert masks["lens_coverage"] > 0.9


def test_coverage_is_soft_and_adds_up(result):
    masks = result["masks"]
    assert masks["coverage_agrees"] > 0.98
    assert masks["coverage_sum"] < 0.01
    assert masks["soft_hair"] > 50


def test_albedo_is_the_colour_that_was_asked_for(result):
    albedo = result["albedo"]
    assert albedo["frame"] == pytest.approx(albedo["frame_wanted"], abs=0.005)
    assert albedo["tongue"] == pytest.approx([0.40, 0.12, 0.11], abs=0.06)
    assert min(albedo["teeth"]) > 0.35
    # strands differ; on average they have the colour of the spec, not the black of Cycles' pass
    ratio = np.divide(albedo["hair"], albedo["hair_wanted"])
    assert (ratio > 0.85).all() and (ratio < 1.2).all(), ratio


def test_landmarks_lie_on_their_parts(result):
    for view in result["landmarks"]:
        assert view["tested"] > 60
        assert view["on_their_part"] > 0.85


def test_visibility_agrees_with_rays_through_the_head(result):
    for view in result["landmarks"]:
        assert view["dense_agrees_with_rays"] > 0.96


def test_hair_covers_landmarks_and_lenses_do_not(result):
    front, turned = (view["states"] for view in result["landmarks"])
    assert set(front) == set(SPARSE_NAMES)
    assert front["nose_tip"] == front["iris_left"] == front["iris_right"] == Visibility.VISIBLE
    assert front["chin"] == Visibility.COVERED  # by the beard
    assert front["nape"] == Visibility.HIDDEN
    assert turned["eye_left_outer"] == Visibility.VISIBLE
    assert turned["ear_right_lobe"] == Visibility.HIDDEN
