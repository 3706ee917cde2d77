"""People: human proportions, diverse, of their sex and age, the same in all of their looks."""

from __future__ import annotations

import numpy as np
import pytest

from synth import sample_shapes as shapes
from synth.headmodel import HeadModel
from synth.headmodel_masks import brow_mask
from synth.landmarks import SPARSE_NAMES, sparse_vertices
from synth.sample import DatasetConfig, sample_head
from synth.spec import BrowShape, Identity

PEOPLE = 48


@pytest.fixture(scope="module")
def model() -> HeadModel:
    return HeadModel.load()


@pytest.fixture(scope="module")
def people() -> list[Identity]:
    return [sample_head(DatasetConfig(), index).identity for index in range(PEOPLE)]


@pytest.fixture(scope="module")
def ratios(model, people) -> dict[str, np.ndarray]:
    """Lengths relative to the breadth of the face, over all people."""
    x, y, z = model.canonical.T
    cheeks = (np.abs(x) > 0.060) & (z > 0.855) & (z < 0.89) & (y < -0.068)
    found: dict[str, list[float]] = {}
    for identity in people:
        vertices = model.shape(identity).vertices
        at = dict(zip(SPARSE_NAMES, vertices[sparse_vertices(model)]))
        breadth = np.ptp(vertices[cheeks, 0])
        for name, a, b in (
            ("nose breadth", "nose_left_alar", "nose_right_alar"),
            ("nose length", "nose_bridge_1", "subnasale"),
            ("mouth", "mouth_left", "mouth_right"),
            ("between eyes", "eye_left_inner", "eye_right_inner"),
            ("eye", "eye_left_inner", "eye_left_outer"),
            ("lower face", "subnasale", "chin"),
            ("ear", "ear_left_top", "ear_left_lobe"),
        ):
            found.setdefault(name, []).append(np.linalg.norm(at[a] - at[b]) / breadth)
        found.setdefault("height", []).append(np.ptp(vertices[z > 0.78, 2]) / breadth)
    return {name: np.array(values) for name, values in found.items()}


HUMAN = {
    # mean, and the most that anybody may differ from it (three deviations of anthropometry, of all
    # ancestries together; breadth is measured in front of the ears, 9 % above the cheekbones')
    "nose breadth": (0.240, 0.105), "nose length": (0.370, 0.090), "mouth": (0.317, 0.095),
    "between eyes": (0.225, 0.075), "eye": (0.205, 0.065), "lower face": (0.440, 0.120),
    "ear": (0.370, 0.16), "height": (1.53, 0.33),
}  # fmt: skip


def test_faces_have_human_proportions(ratios):
    for name, (mean, most) in HUMAN.items():
        assert ratios[name].mean() == pytest.approx(mean, rel=0.07), name
        assert np.abs(ratios[name] - mean).max() < most, name


def test_faces_differ_as_people_do(ratios):
    """Coefficients of variation of human faces are between 5 and 15 %."""
    for name, values in ratios.items():
        assert 0.04 < values.std() / values.mean() < 0.22, (name, values.std() / values.mean())


def test_controls_stay_within_their_limit_and_shape_scale_scales(people):
    values = np.array([value for person in people for value in person.shape.values()])
    assert np.abs(values).max() <= shapes.LIMIT
    config = DatasetConfig()
    same = DatasetConfig(identity=type(config.identity)(shape_scale=0.0, asymmetry=0.0))
    a, b = (sample_head(same, index).identity for index in (2, 4))
    assert a.sex == b.sex
    assert a.shape["nose-hump-incr"] == pytest.approx(b.shape["nose-hump-incr"], abs=0.35)
    assert a.shape != people[2].shape


def test_left_and_right_differ_a_little(people):
    difference = [
        person.shape[label] - person.shape["r" + label[1:]]
        for person in people
        for label in person.shape
        if label.startswith("l-")
    ]
    assert 0.03 < np.std(difference) < 0.2
    assert any(label.startswith("asym-") and value for label, value in people[0].shape.items())


def test_the_old_have_longer_ears_and_thinner_lips(model):
    def mean(label: str, low: float, high: float) -> float:
        every = (sample_head(DatasetConfig(), index).identity for index in range(120))
        chosen = [p.shape[label] for p in every if low <= p.age_years <= high and p.sex == "male"]
        assert len(chosen) >= 3
        return float(np.mean(chosen))

    for label, sign in (
        ("l-ear-lobe-incr", 1), ("mouth-upperlip-volume-incr", -1), ("head-age-incr", 1),
    ):  # fmt: skip
        assert sign * (mean(label, 65, 90) - mean(label, 20, 40)) > 0.1, label


def test_every_control_exists_in_the_model(model, people):
    known = set(model.local_labels)
    for person in people:
        assert set(person.shape) <= known


def test_brows_take_the_shape_of_the_spec(model):
    plain = brow_mask(model.canonical)
    np.testing.assert_array_equal(plain, model.masks["brow"])
    middle = model.canonical[:, 2]
    assert brow_mask(model.canonical, BrowShape(thickness=1.6)).sum() > 1.35 * plain.sum()
    lifted = brow_mask(model.canonical, BrowShape(lift_m=0.004))
    assert np.average(middle, weights=lifted) > np.average(middle, weights=plain) + 0.003
    inner = [
        np.abs(model.canonical[brow_mask(model.canonical, BrowShape(gap_m=gap)) > 0.2, 0]).min()
        for gap in (-0.003, 0.003)
    ]
    assert inner[1] > inner[0] + 0.004
