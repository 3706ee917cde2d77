"""The neck that bends, and shoulders of human breadth."""

from __future__ import annotations

import numpy as np
import pytest

from synth.headmodel import CHIN_TO_CROWN_UNITS, HeadModel
from synth.headmodel_masks import neck_height
from synth.headmodel_neck import neck_relief
from synth.headmodel_pose import head_rotation
from synth.sample import DatasetConfig, sample_head
from synth.spec import HeadPose, Identity

EXTREMES = [
    HeadPose(25, 0, 0), HeadPose(-25, 15, 15), HeadPose(25, -15, 15), HeadPose(0, 15, -15),
    HeadPose(0, -15, 0),
]  # fmt: skip


@pytest.fixture(scope="module")
def model() -> HeadModel:
    return HeadModel.load()


def person(breadth: float | None = None) -> Identity:
    phenotype = {"gender": 0.2, "age": 0.7}
    return Identity("test", phenotype, {}, 40.0, "male", shoulder_breadth=breadth)


@pytest.mark.parametrize("pose", EXTREMES)
def test_the_neck_bends_without_a_fold_or_a_wrung_waist(model, pose):
    rest = model.shape(person()).vertices
    turned = model.shape(person(), None, pose).vertices
    height = neck_height(model.canonical)
    neck = (height[model.faces] > -0.02).all(axis=1) & (height[model.faces] < 0.10).all(axis=1)
    neck &= model.canonical[model.faces, 2].max(axis=1) < 0.82
    quads = model.faces[neck]
    for corner in range(4):
        a, b = quads[:, corner], quads[:, (corner + 1) % 4]
        ratio = np.linalg.norm(turned[a] - turned[b], axis=1)
        ratio /= np.linalg.norm(rest[a] - rest[b], axis=1)
        assert np.percentile(ratio, 1) > 0.45
        assert np.percentile(ratio, 99) < 1.9
    ring = (np.abs(height - 0.037) < 0.006) & (model.canonical[:, 2] < 0.82)
    spread = [np.sqrt(np.linalg.eigvalsh(np.cov(v[ring].T))[-2]) for v in (rest, turned)]
    assert spread[1] > 0.85 * spread[0], "the neck is wrung like a wet cloth"


def test_the_turn_is_spread_over_the_neck(model):
    pose = HeadPose(yaw_deg=25)
    rest, turned = model.shape(person()), model.shape(person(), None, pose)
    height = neck_height(model.canonical)
    angles = []
    for low, high in ((0.005, 0.02), (0.03, 0.045), (0.08, 0.12)):
        band = (height > low) & (height < high) & (np.abs(model.canonical[:, 0]) < 0.09)
        band &= model.canonical[:, 2] < 0.85
        a, b = (v.vertices[band, :2] - v.vertices[band, :2].mean(axis=0) for v in (rest, turned))
        cross = (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum()
        angles.append(np.degrees(np.arctan2(cross, (a * b).sum())))
    assert angles[2] == pytest.approx(25, abs=0.5)
    assert 1 < angles[0] < 9
    # the upper joints turn more: five equal ones would be at 12.2 degrees here
    assert 9 < angles[1] < 11.5


def test_the_whole_turn_is_the_pose_and_eyes_follow(model):
    pose = HeadPose(-20, 12, 9)
    rest, turned = model.shape(person()), model.shape(person(), None, pose)
    np.testing.assert_allclose(turned.model_from_rest_head[:3, :3], head_rotation(pose), atol=1e-9)
    for before, after in zip(rest.eyes, turned.eyes):
        motion = turned.model_from_rest_head
        expected = motion[:3, :3] @ before.center + motion[:3, 3]
        np.testing.assert_allclose(after.center, expected, atol=1e-9)


def breadth_of(model: HeadModel, identity: Identity) -> float:
    shape = model.shape(identity)
    x, _, z = model.canonical.T
    caps = shape.vertices[(np.abs(x) > 0.14) & (z > 0.60) & (z < 0.74), 0]
    return (caps.max() - caps.min()) * shape.units_per_metre / CHIN_TO_CROWN_UNITS


def test_shoulders_have_the_breadth_of_the_spec(model):
    for wanted in (1.78, 2.05):
        assert breadth_of(model, person(wanted)) == pytest.approx(wanted, rel=0.03)
    natural, narrow = model.shape(person()), model.shape(person(1.78))
    neck = (neck_height(model.canonical) > 0.03) & (model.canonical[:, 2] < 0.86)
    assert np.abs(natural.vertices - narrow.vertices)[neck].max() < 2e-4


def test_sampled_people_have_human_shoulders_that_slope(model):
    for index in range(0, 24, 3):
        identity = sample_head(DatasetConfig(), index).identity
        low, high = (1.73, 1.95) if identity.sex == "female" else (1.87, 2.14)
        assert low < breadth_of(model, identity) < high
        shape = model.shape(identity)
        x, _, z = model.canonical.T
        heights = []
        for near, far in ((0.065, 0.075), (0.11, 0.12), (0.155, 0.165)):
            top = (np.abs(x) > near) & (np.abs(x) < far) & (z > 0.6) & (z < 0.8)
            heights.append(shape.vertices[top, 2].max())
        assert heights[0] > heights[1] > heights[2], "from the neck down to the deltoid"


def test_a_turn_draws_the_opposite_muscle_of_the_neck_tight(model):
    turned = neck_relief(model.masks, person(), HeadPose(yaw_deg=20.0))  # to the subject's left
    rest = neck_relief(model.masks, person(), HeadPose())
    pulled = turned - rest
    x = model.canonical[:, 0]
    assert pulled[x < 0].max() > 0.0015
    assert np.abs(pulled[x > 0.02]).max() < 1e-4
    height = model.canonical[np.abs(rest) > 2e-4, 2]
    assert height.min() > 0.68 and height.max() < 0.84
    fat = Identity("fat", {"weight": 1.0}, {}, 40.0, "female")
    assert np.abs(neck_relief(model.masks, fat, HeadPose())).max() < 0.8 * np.abs(rest).max()
