"""Teeth belong to the skull and to the jaw, and stand where a smile shows them. No Blender."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from synth.blender_scenes import mouth_teeth
from synth.headmodel import HeadModel
from synth.landmarks import SPARSE_NAMES, sparse_vertices
from synth.sample import DatasetConfig, sample_head
from synth.sample_expression import ExpressionConfig, draw_actions
from synth.spec import Expression, HeadPose, Identity, Teeth


def family(name: str, seed: int = 1) -> Expression:
    return Expression(name, draw_actions(name, np.random.default_rng(seed), ExpressionConfig()))


def arches(model: HeadModel, identity: Identity, expression=None, pose=None):
    shape = model.shape(identity, expression, pose or HeadPose())
    rest = model.shape(identity)
    return mouth_teeth.fit_arches(model, rest, shape, identity.teeth), rest, shape


@pytest.fixture(scope="module")
def people() -> list[Identity]:
    return [sample_head(DatasetConfig(), index).identity for index in (1, 3, 8, 11, 21)]


def edge(arch: mouth_teeth.Arch) -> np.ndarray:
    return arch.moved(arch.point(np.zeros(1)))[0]


def test_the_upper_row_does_not_move_with_the_lips_and_the_lower_follows_the_jaw(model, people):
    for identity in people[:2]:
        (upper, lower), *_ = arches(model, identity)
        (upper_laugh, lower_laugh), *_ = arches(model, identity, family("laugh"))
        np.testing.assert_allclose(edge(upper_laugh), edge(upper), atol=1e-9)
        assert edge(lower)[2] - edge(lower_laugh)[2] > 0.003
        rotation = lower_laugh.model_from_rest[:3, :3]
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)


def test_the_upper_teeth_bite_over_the_lower(model, people):
    for identity in people:
        (upper, lower), *_ = arches(model, identity)
        assert 0 < edge(lower)[2] - edge(upper)[2] < 0.003
        assert 0.001 < edge(lower)[1] - edge(upper)[1] < 0.006


def test_a_grin_shows_the_upper_teeth_and_a_closed_mouth_none(model, people):
    names = dict(zip(SPARSE_NAMES, sparse_vertices(model)))
    for identity in people:
        (upper, _), _, shape = arches(model, identity, family("grin"))
        lip = shape.vertices[names["lip_upper_inner"]]
        lower_lip = shape.vertices[names["lip_lower_inner"]]
        shown = lip[2] - max(edge(upper)[2], lower_lip[2])
        assert shown > 0.002, "the grin shows no teeth"
        assert edge(upper)[1] > lip[1] - 0.002, "teeth stand behind the lip"
        (upper, _), _, shape = arches(model, identity)
        lips = shape.vertices[[names["lip_upper_inner"], names["lip_lower_inner"]], 2]
        assert edge(upper)[2] < lips.mean() + 1e-4


def test_teeth_and_tongue_turn_with_the_head(model, people):
    pose = HeadPose(20, 10, -8)
    (upper, _), _, turned = arches(model, people[0], None, pose)
    (straight, _), *_ = arches(model, people[0])
    motion = turned.model_from_rest_head
    expected = motion[:3, :3] @ edge(straight) + motion[:3, 3]
    np.testing.assert_allclose(edge(upper), expected, atol=1e-6)


def test_the_tongue_lies_below_the_upper_teeth_when_the_jaw_is_open(model, people):
    (upper, lower), _, shape = arches(model, people[0], Expression("a", {"jawOpen": 0.4}))
    points, faces = mouth_teeth.tongue(model, shape, lower)
    assert faces.max() == len(points) - 1
    front = points[points[:, 1] < points[:, 1].min() + 0.012]
    assert front[:, 2].max() < edge(upper)[2] + 0.001
    assert front[:, 2].max() > edge(lower)[2] - 0.012


def test_crowns_follow_the_persons_teeth(model, people):
    (upper, _), *_ = arches(model, people[0])
    even = mouth_teeth.crowns(upper, 0.03, Teeth(irregularity=0.0))[0]
    crooked = mouth_teeth.crowns(upper, 0.03, Teeth(irregularity=1.0))[0]
    gapped = mouth_teeth.crowns(upper, 0.03, Teeth(irregularity=0.0, gap_m=0.002))[0]
    assert 0.0001 < np.abs(even - crooked).max() < 0.003
    inner = [np.abs(points[:, 0] - upper.middle_x).min() for points in (even, gapped)]
    assert inner[1] > inner[0] + 0.0006
    assert len(mouth_teeth.crowns(upper, 0.02, Teeth())[0]) < len(even)


@pytest.mark.parametrize(("seed", "index"), [(5, 2), (0, 20)])
def test_gums_stay_below_a_thin_chin(model, seed, index):
    """They came through the skin as a row of specks below the lower lip."""
    spec = sample_head(DatasetConfig(seed=seed), index)
    rest = model.shape(spec.identity)
    lower = mouth_teeth.fit_arches(model, rest, rest, spec.identity.teeth)[1]
    gums = mouth_teeth.gums(lower, model, rest)[0]
    skin = (model.masks["lips"] < 0.3) & (model.masks["mouth"] < 0.3)
    skin &= model.canonical[:, 1] < -0.10
    distance, nearest = cKDTree(rest.vertices[skin]).query(gums)
    out = ((gums - rest.vertices[skin][nearest]) * rest.normals[skin][nearest]).sum(axis=1)
    assert out[distance < 0.004].max() < -0.0003
