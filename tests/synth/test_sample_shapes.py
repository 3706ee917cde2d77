"""People: human proportions, diverse, of their sex and age, the same in all of their looks."""

from __future__ import annotations

import numpy as np
import pytest

from synth import sample_shapes as shapes
from synth.hairline import hairline_m
from synth.headmodel import HeadModel
from synth.headmodel_masks import brow_mask, neck_height
from synth.landmarks import SPARSE_NAMES, sparse_vertices
from synth.sample import DatasetConfig, sample_head
from synth.spec import BrowShape, Hair, HairColour, Identity

PEOPLE = 48


@pytest.fixture(scope="module")
def model() -> HeadModel:
    return HeadModel.load()


@pytest.fixture(scope="module")
def people() -> list[Identity]:
    return [sample_head(DatasetConfig(), index).identity for index in range(PEOPLE)]


# Means and deviations of men and women, relative to the breadth over the cheekbones. Most are of
# 3,997 US workers of all ancestries (Zhuang and Bradtmiller 2005, "Head-and-face anthropometric
# survey of U.S. respirator users"); ears, eyes, lips and chin are of Farkas 1994, "Anthropometry of
# the Head and Face", with wider deviations, as his tables part the ancestries that are mixed here.
# Quoted from memory.
PUBLISHED = {
    "chin to crown": ((1.62, 0.09), (1.615, 0.09)),
    "breadth of the skull": ((1.066, 0.05), (1.087, 0.05)),
    "length of the skull": ((1.375, 0.07), (1.388, 0.07)),
    "breadth of the jaw": ((0.84, 0.06), (0.815, 0.06)),
    "hairline to bridge": ((0.485, 0.055), (0.488, 0.055)),
    "bridge to chin": ((0.855, 0.055), (0.84, 0.055)),
    "nose to chin": ((0.50, 0.04), (0.475, 0.04)),
    "nose breadth": ((0.255, 0.03), (0.246, 0.03)),
    "nose projection": ((0.147, 0.02), (0.147, 0.02)),
    "between eyes": ((0.240, 0.024), (0.247, 0.024)),
    "over both eyes": ((0.66, 0.035), (0.675, 0.035)),
    "eye": ((0.220, 0.016), (0.230, 0.016)),
    "opening of the eye": ((0.075, 0.010), (0.080, 0.010)),
    "pupils": ((0.449, 0.022), (0.458, 0.022)),
    "mouth": ((0.365, 0.032), (0.360, 0.032)),
    "ear": ((0.45, 0.05), (0.445, 0.05)),
    "neck breadth": ((0.85, 0.06), (0.77, 0.06)),
}


@pytest.fixture(scope="module")
def ratios(model, people) -> dict[str, dict[str, np.ndarray]]:
    """Every measure of `PUBLISHED` by name and sex, over all people."""
    found: dict[str, dict[str, list[float]]] = {}
    for identity in people:
        for name, value in _measured(model, identity).items():
            found.setdefault(name, {"male": [], "female": []})[identity.sex].append(value)
    return {
        name: {sex: np.array(values) for sex, values in both.items()}
        for name, both in found.items()
    }


def _measured(model: HeadModel, identity: Identity) -> dict[str, float]:
    shape = model.shape(identity)
    points = shape.vertices
    at = dict(zip(SPARSE_NAMES, points[sparse_vertices(model)]))
    _, y, z = model.canonical.T

    def breadth(depth: tuple[float, float], height: tuple[float, float]) -> float:
        near = (y > depth[0]) & (y < depth[1]) & (z > height[0]) & (z < height[1])
        return float(np.ptp(points[near, 0]))

    def length(a: str, b: str) -> float:
        return float(np.linalg.norm(at[a] - at[b]))

    def both(a: str, b: str) -> float:
        return np.mean([length(a.format(side), b.format(side)) for side in ("left", "right")])

    neck = np.abs(neck_height(model.canonical) - 0.04) < 0.003
    lengths = {
        "chin to crown": at["crown"][2] - at["chin"][2],
        "breadth of the skull": breadth((-0.06, 0.0), (0.925, 0.97)),
        "length of the skull": points[z > 0.778, 1].max() - at["glabella"][1],
        "breadth of the jaw": breadth((-0.098, -0.072), (0.805, 0.825)),
        "hairline to bridge": float(np.linalg.norm(_trichion(model, points) - at["nose_bridge_1"])),
        "bridge to chin": length("nose_bridge_1", "chin"),
        "nose to chin": length("subnasale", "chin"),
        "nose breadth": length("nose_left_alar", "nose_right_alar"),
        "nose projection": at["subnasale"][1] - at["nose_tip"][1],
        "between eyes": length("eye_left_inner", "eye_right_inner"),
        "over both eyes": length("eye_left_outer", "eye_right_outer"),
        "eye": both("eye_{}_inner", "eye_{}_outer"),
        "opening of the eye": both("eye_{}_upper_3", "eye_{}_lower_3"),
        "pupils": float(np.linalg.norm(shape.eyes[0].center - shape.eyes[1].center)),
        "mouth": length("mouth_left", "mouth_right"),
        "ear": both("ear_{}_top", "ear_{}_lobe"),
        "neck breadth": float(np.ptp(points[neck, 0])),
    }
    cheekbones = breadth((-0.098, -0.078), (0.862, 0.900))
    return {name: value / cheekbones for name, value in lengths.items()}


_HAIR = Hair("crop", HairColour("brown", 0.7, 0.1, (0.1, 0.1, 0.1)), groom_seed=0)


def _trichion(model: HeadModel, points: np.ndarray) -> np.ndarray:
    """[3] where the hairline of hair that has not receded crosses the middle of the forehead."""
    x, y, z = model.canonical.T
    middle = np.flatnonzero((np.abs(x) < 0.004) & (y < -0.09) & (z > 0.94))
    inside_m = hairline_m(model.canonical[middle], model.masks["scalp_sd"][middle], _HAIR)
    return points[middle[np.abs(inside_m).argmin()]]


@pytest.mark.parametrize("name", PUBLISHED)
def test_faces_have_human_proportions(ratios, name):
    """The average of either sex is human, and nobody is farther out than one in a thousand is."""
    for sex, (mean, deviation) in zip(("male", "female"), PUBLISHED[name]):
        from_mean = (ratios[name][sex] - mean) / deviation
        assert abs(from_mean.mean()) < 1.25, (sex, from_mean.mean())
        assert np.abs(from_mean).max() < 4.2, (sex, np.abs(from_mean).max())


@pytest.mark.parametrize("name", PUBLISHED)
def test_faces_differ_as_people_do(ratios, name):
    for sex, (_, deviation) in zip(("male", "female"), PUBLISHED[name]):
        assert 0.3 < ratios[name][sex].std() / deviation < 1.6, sex


def test_lids_frame_the_iris(model, people):
    """A rested upper lid covers the rim of the iris, the lower one touches it: no staring eyes."""
    upper, lower = [], []
    for identity in people:
        shape = model.shape(identity)
        at = dict(zip(SPARSE_NAMES, shape.vertices[sparse_vertices(model)]))
        iris = 0.36 * shape.eyes[0].radius
        for side, eye in zip(("left", "right"), shape.eyes):
            upper.append((at[f"eye_{side}_upper_3"][2] - eye.center[2]) / iris)
            lower.append((eye.center[2] - at[f"eye_{side}_lower_3"][2]) / iris)
    assert 0.55 < np.median(upper) < 0.85, np.median(upper)
    assert 0.85 < np.median(lower) < 1.05, np.median(lower)
    assert np.quantile(lower, 0.95) < 1.25


def test_nostrils_are_deep(model):
    """The cavity goes up more than 7 mm from its rim; the base mesh has a dimple of 2 mm."""
    deep = model.shape(people_like({"nose-nostrils-depth-incr": 1.0})).vertices
    flat = model.shape(people_like({})).vertices
    x, y, z = model.canonical.T
    nostril = (np.abs(np.abs(x) - 0.0098) < 0.006) & (z > 0.845) & (z < 0.8535)
    nostril &= (y > -0.166) & (y < -0.156)
    rise = (deep - flat)[nostril, 2]
    assert rise.max() > 0.007 and rise.min() == pytest.approx(0, abs=1e-4)
    assert np.abs(deep - flat)[np.abs(x) > 0.025].max() < 1e-9


def people_like(shape: dict[str, float]) -> Identity:
    return Identity("x", {"gender": 0.5, "age": 0.68}, shape, 30.0, "female")


def test_everybody_has_brows_and_teeth_of_their_own(people):
    assert len({person.brows for person in people}) == len(people)
    assert len({person.teeth for person in people}) == len(people)


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
