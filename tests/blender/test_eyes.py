"""Eyes in every light, the wet rim of the lids, the glow of an ear: measured in pictures."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from synth.blender_scenes.eye_bake import SIZE, bake_eye, map_coordinates_of
from synth.blender_scenes.eye_rim import INNER_RINGS, OUTER_RINGS, eye_rims
from synth.color import LUMINANCE
from synth.spec import Expression

LIGHTS = ("ambient", "studio", "window", "hdri", "sky")


@pytest.fixture(scope="module")
def facts(run_scene) -> dict:
    return run_scene("eye_scene.py")


@pytest.mark.blender
@pytest.mark.parametrize("light", LIGHTS)
def test_eyes_are_believable_in_every_light(facts, light):
    eye = facts["light"][light]
    assert eye["pupil"] < 0.8 * eye["iris"]
    assert 0.02 < eye["iris"] / eye["sclera"] < 0.35  # dark brown, neither a hole nor a lamp
    assert 0.30 < eye["sclera"] / eye["skin"] < 1.7
    assert eye["highlight"] > 6 * eye["iris"]  # a catch light; 1.4 to 1.6 without cornea


@pytest.mark.blender
@pytest.mark.parametrize("light", ["ambient", "studio"])
def test_a_blue_iris_is_lighter_than_a_brown_one_and_darker_than_the_sclera(facts, light):
    blue, brown = facts["blue"][light], facts["light"][light]
    assert 1.5 * brown["iris"] < blue["iris"] < 0.7 * blue["sclera"]


@pytest.mark.blender
def test_the_catch_light_of_a_uniform_sky_lights_nothing_else(facts):
    assert facts["catch_light_on_skin"] < 1e-5


@pytest.mark.blender
def test_every_lamp_is_mirrored_once_more_by_the_corneas_alone(facts):
    corneas = ["cornea_left", "cornea_right"]
    counts = {light: len(lamps) for light, lamps in facts["catch_lights"].items()}
    assert counts == {"ambient": 1, "studio": 1, "window": 1, "hdri": 1, "sky": 0}
    assert all(lamp == corneas for lamps in facts["catch_lights"].values() for lamp in lamps)


@pytest.mark.blender
def test_the_tear_line_lies_in_the_groove_between_lid_and_eyeball(facts):
    rim = facts["rim"]
    assert rim["tear_lowest"] > 0
    assert rim["tear_highest"] < 1.5
    assert 22 < rim["tear_width"] < 42  # from corner to corner of both lids
    assert facts["finite_when_closed"]


@pytest.mark.blender
def test_the_conjunctiva_closes_the_gap_from_below_the_eyeballs_surface_to_the_lid(facts):
    assert -0.3 < facts["rim"]["lining_lowest"] < 0
    assert facts["rim"]["lining_highest"] > 0.6


@pytest.mark.blender
def test_the_caruncle_fills_the_inner_corner(facts):
    assert 8 < facts["rim"]["caruncle_inwards"] < 15
    assert 0 < facts["rim"]["caruncle_from_ball"] < 3.5


@pytest.mark.blender
def test_light_shines_red_through_an_ear(facts):
    assert facts["ear"]["with"] > 1.15 * facts["ear"]["without"]


def test_rims_are_rings_on_both_eyes(model, spec):
    left, right = eye_rims(model)
    points = model.canonical[left.rings]
    assert points.shape[0] == INNER_RINGS + OUTER_RINGS + 1
    assert len(np.unique(left.rings)) == left.rings.size
    mirrored = model.canonical[right.rings] * [-1, 1, 1]
    assert np.abs(mirrored - points).max() < 1e-4
    edge = points[INNER_RINGS]
    assert np.argmin(edge[:, 0]) == 0
    assert np.argmax(edge[:, 0]) == left.outer_corner
    assert edge[left.upper, 2].mean() > edge[~left.upper, 2].mean() + 0.004


@pytest.mark.parametrize("actions", [{}, {"eyeSquintLeft": 0.8}, {"eyeWideLeft": 0.8}], ids=str)
def test_lids_meet_the_eyeball_on_its_surface(model, spec, actions):
    shape = model.shape(spec.identity, Expression("test", actions))
    eye = shape.eyes[0]
    contact = eye_rims(model)[0].contact(shape.vertices, eye, 0.985)
    distance = np.linalg.norm(contact - eye.center, axis=1) / eye.radius
    assert np.median(distance) == pytest.approx(0.985, abs=0.003)
    assert distance.max() < 1.12


# ---------------------------------------------------------------- the picture of the eyeball


def ring(eyes, image: np.ndarray, low: float, high: float) -> np.ndarray:
    """Mean colour of a ring around the pupil, radii relative to the iris."""
    axis = (np.arange(SIZE) + 0.5) / SIZE * 2 - 1
    polar = np.hypot(*np.meshgrid(axis, axis)) * np.radians(80)
    radius = np.sin(np.minimum(polar, np.pi / 2)) / eyes.iris_radius
    return image[(radius > low) & (radius < high)].mean(axis=0)


def changed(spec, **values):
    plain = {"veins": 0.0, "yellowing": 0.0, "arcus": 0.0, "limbal_ring": 0.5, "pupil": 0.36}
    eyes = dataclasses.replace(spec.eyes, **{**plain, **values})
    return eyes, bake_eye(eyes)


def test_pupil_iris_and_sclera_lie_where_the_geometry_has_them(spec):
    eyes, image = changed(spec)
    pupil, iris, sclera = (
        ring(eyes, image, *limits) @ LUMINANCE for limits in ((0, 0.3), (0.5, 0.8), (1.2, 1.5))
    )
    assert pupil < 0.01 < iris < sclera < 0.62
    wide = ring(*changed(spec, pupil=0.5), 0.38, 0.46) @ LUMINANCE
    assert wide < 0.3 * ring(eyes, image, 0.38, 0.46) @ LUMINANCE
    assert map_coordinates_of(np.array([[0, 0, 1.0]]))[0] == pytest.approx([0.5, 0.5])
    side = map_coordinates_of(np.array([[1.0, 0, 0]]))[0]
    assert side == pytest.approx([1.0, 0.5])  # the temple is on the right


def test_old_eyes_have_an_arcus_a_yellow_sclera_and_a_paler_ring(spec):
    eyes, young = changed(spec)
    old = changed(spec, arcus=1.0, yellowing=1.0)[1]
    assert ring(eyes, old, 0.88, 0.96).sum() > 1.3 * ring(eyes, young, 0.88, 0.96).sum()
    before, after = ring(eyes, young, 1.3, 1.6), ring(eyes, old, 1.3, 1.6)
    assert after[2] / after[0] < 0.9 * before[2] / before[0]
    dark = changed(spec, limbal_ring=1.0)[1]
    assert ring(eyes, dark, 0.92, 0.98).sum() < ring(eyes, young, 0.92, 0.98).sum()


def test_veins_are_fine_and_red_and_differ_by_seed(spec):
    eyes, clear = changed(spec)
    bloodshot = changed(spec, veins=1.0)[1]
    redder = (bloodshot[..., 0] / bloodshot[..., 1]) / (clear[..., 0] / clear[..., 1])
    assert 0.02 < (redder > 1.15).mean() < 0.45
    assert ring(eyes, bloodshot, 0.5, 0.8) == pytest.approx(ring(eyes, clear, 0.5, 0.8))
    other = changed(spec, pattern_seed=eyes.pattern_seed + 1)[1]
    assert np.abs(other - clear).mean() > 0.002
