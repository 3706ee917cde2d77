"""Landmarks: the same places on every head, symmetric, on their part, told apart by name."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from synth import landmarks
from synth.camera import orbit
from synth.ground_truth import LABELS, PASSES, pixel_centres
from synth.headmodel import HeadModel
from synth.headmodel_masks import brow_mask
from synth.landmarks import CANONICAL, MEDIAPIPE_INDEX, SPARSE_NAMES, Visibility
from synth.landmarks_dense import DENSE_BASE_VERTICES
from synth.sample import DatasetConfig, sample_head
from synth.spec import BrowShape, Expression, Gaze, HeadPose

AHEAD, UPRIGHT = Gaze(), HeadPose()


@pytest.fixture(scope="module")
def model() -> HeadModel:
    return HeadModel.load()


@pytest.fixture(scope="module")
def spec():
    spec = sample_head(DatasetConfig(), 3)
    return dataclasses.replace(spec, expression=Expression(), pose=UPRIGHT, gaze=AHEAD)


@pytest.fixture(scope="module")
def located(model, spec):
    shape = model.shape(spec.identity, spec.expression, spec.pose)
    return landmarks.locate(spec, model, shape).named()


def test_every_point_lies_where_the_table_says(model):
    vertices = landmarks.sparse_vertices(model)
    distance = np.linalg.norm(model.canonical[vertices] - list(CANONICAL.values()), axis=1)
    assert distance.max() < 0.0012, list(CANONICAL)[distance.argmax()]
    assert len(set(vertices)) == len(vertices)


def test_names_are_unique_and_sides_come_in_pairs():
    assert len(set(SPARSE_NAMES)) == len(SPARSE_NAMES) == len(CANONICAL) + 2
    for name in SPARSE_NAMES:
        if "left" in name:
            assert name.replace("left", "right") in SPARSE_NAMES
    assert len(set(MEDIAPIPE_INDEX.values())) == len(MEDIAPIPE_INDEX) >= 60
    assert set(MEDIAPIPE_INDEX) <= set(SPARSE_NAMES)


def test_a_head_wears_them_in_order(located):
    """From crown to chin, and the subject's left is +x."""
    column = (
        "crown", "forehead", "glabella", "nose_bridge_1", "nose_bridge_4", "nose_tip", "subnasale",
        "lip_upper_top", "lip_upper_inner", "lip_lower_bottom", "chin",
    )  # fmt: skip
    heights = [located[name][2] for name in column]
    assert heights == sorted(heights, reverse=True)
    for name, point in located.items():
        if "left" in name:
            assert point[0] > located[name.replace("left", "right")][0]
    for side in ("left", "right"):
        assert located[f"eye_{side}_upper_3"][2] > located[f"iris_{side}"][2]
        assert located[f"iris_{side}"][2] > located[f"eye_{side}_lower_3"][2]


def test_a_blink_closes_the_lids_and_an_open_jaw_parts_the_lips(model, spec, located):
    def gap(names, actions):
        expression = Expression("test", actions)
        shape = model.shape(spec.identity, expression, spec.pose)
        points = landmarks.locate(spec, model, shape).named()
        return np.linalg.norm(points[names[0]] - points[names[1]])

    lids = ("eye_left_upper_3", "eye_left_lower_3")
    assert gap(lids, {"eyeBlinkLeft": 1.0}) < 0.25 * gap(lids, {})
    lips = ("lip_upper_inner", "lip_lower_inner")
    assert gap(lips, {"jawOpen": 1.0}) > 5 * gap(lips, {})


def test_the_irises_follow_gaze_and_head(model, spec):
    def iris(gaze=AHEAD, pose=UPRIGHT):
        changed = dataclasses.replace(spec, gaze=gaze, pose=pose)
        shape = model.shape(spec.identity, spec.expression, pose)
        return landmarks.locate(changed, model, shape).named()["iris_left"]

    assert (iris(Gaze(yaw_deg=10.0)) - iris())[0] > 0.005
    assert (iris(Gaze(pitch_deg=10.0)) - iris())[2] > 0.005
    assert (iris(pose=HeadPose(yaw_deg=20.0)) - iris())[0] > 0.05


def test_dense_points_are_spread_over_the_outer_surface(model, spec):
    vertices = landmarks.dense_vertices(model)
    assert len(set(vertices)) == landmarks.DENSE_COUNT >= 500
    points = model.canonical[vertices]
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    nearest = np.sort(distance, axis=1)[:, 1]
    assert nearest.min() > 0.001 and nearest.max() < 0.03
    assert model.masks["mouth"][vertices].max() < 0.1
    mirrored = np.linalg.norm(points[:, None] * [-1, 1, 1] - points[None], axis=2).min(axis=1)
    assert mirrored.max() < 0.0005


def test_landmarks_of_the_brows_follow_the_brows_of_the_person(model):
    """Every one lies within the band that the person's hairs grow on, or on its edge."""
    names = list(CANONICAL)
    high = BrowShape(thickness=0.6, lift_m=0.004, arch_m=0.003, tail_m=0.002, gap_m=0.003)
    for brows in (BrowShape(), high, BrowShape(thickness=1.6, lift_m=-0.003)):
        vertices = landmarks.sparse_vertices(model, brows)
        band = brow_mask(model.canonical, brows)
        grown = model.canonical[band > 0.05]
        for name, vertex in zip(names, vertices):
            if name.startswith("brow_"):
                gap = np.linalg.norm(grown - model.canonical[vertex], axis=1).min()
                assert gap < 0.0012, (name, brows)
    plain, lifted = (
        model.canonical[landmarks.sparse_vertices(model, b)] for b in (BrowShape(), high)
    )
    moved = np.linalg.norm(lifted - plain, axis=1)
    assert {n for n, d in zip(names, moved) if d > 0} == {n for n in names if n.startswith("brow_")}


def test_visibility_of_points_on_a_wall():
    """A wall at y = 0, seen from in front of it, with a patch of hair in front of its left half."""
    camera = orbit(-90.0, 0.0, size=64)
    depth = np.full((64, 64), 2.7, np.float32)
    cover = np.zeros((64, 64), np.float32)
    cover[:, 32:] = 2.6
    near = [[-0.5, 0, 0], [0.5, 0, 0], [-0.5, 0.1, 0], [0.5, 0.1, 0], [-0.5, 0, 0], [9, 0, 0]]
    points = np.array([*near, [np.nan] * 3], float)
    normals = np.tile([0.0, -1.0, 0.0], (len(points), 1))
    normals[4] *= -1
    seen = landmarks.visibility(points, normals, camera, depth, cover)
    assert [Visibility(value).name for value in seen] == [
        "VISIBLE", "COVERED", "HIDDEN", "HIDDEN", "HIDDEN", "OUTSIDE", "OUTSIDE",
    ]  # fmt: skip
    alone = landmarks.visibility(points, normals, camera, np.zeros_like(depth), cover)
    assert alone[:4].tolist() == [1, 2, 1, 2]


def test_a_slanted_surface_does_not_hide_its_own_points():
    """A wall seen at 70 degrees: within a pixel its depth changes more than a lash is thick."""
    camera = orbit(-20.0, 0.0, size=24)
    grid = np.stack(np.meshgrid(np.linspace(-0.6, 0.6, 41), np.linspace(-0.6, 0.6, 41)), -1)
    points = np.insert(grid.reshape(-1, 2), 1, 0.0, axis=1)
    normals = np.tile([0.0, -1.0, 0.0], (len(points), 1))
    pixels = pixel_centres(camera).reshape(-1, 2)
    rays = camera.unproject(pixels, np.ones(len(pixels))) - camera.position
    depth = (-camera.position[1] / rays[:, 1]).reshape(24, 24).astype(np.float32)
    nothing = np.zeros_like(depth)
    seen = landmarks.visibility(points, normals, camera, depth, nothing)
    assert (seen == Visibility.VISIBLE).all()
    behind = landmarks.visibility(points + np.array([0, 0.4, 0]), normals, camera, depth, nothing)
    assert (behind == Visibility.HIDDEN).mean() > 0.95


def test_the_documentation_lists_every_landmark_label_and_pass():
    text = (Path(__file__).parents[2] / "docs" / "dataset_format.md").read_text()
    for name in SPARSE_NAMES:
        entry = f"`{name.replace('left', 'L').replace('right', 'L')}`"
        assert entry in text, name
        side = name.replace("left", "{}").replace("right", "{}")
        pair = [MEDIAPIPE_INDEX.get(side.format(s)) for s in ("left", "right")]
        if pair[0] is not None:
            told = f"{entry} {pair[0]}" + (f"/{pair[1]}" if "{}" in side else "")
            assert told in text, told
    assert f"S = {len(SPARSE_NAMES)} named and D = {len(DENSE_BASE_VERTICES)} dense" in text
    for name, entry in PASSES.items():
        for fact in (name, entry.summary, entry.array, entry.file):
            assert fact in text or name == "landmarks", (name, fact)
    for name, number in LABELS.items():
        assert f"| {number} | {name} |" in text
