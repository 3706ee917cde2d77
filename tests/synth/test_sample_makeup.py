"""Makeup and eyes as they are drawn: who wears it, for any tone, and what comes with age."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from synth.sample import DatasetConfig, sample_head
from synth.sample_config import FactorConfig
from synth.sample_identity import IdentityConfig
from synth.sample_makeup import MakeupConfig

HEADS = range(50)


def heads(**changes):
    return [sample_head(DatasetConfig(seed=11, **changes), index) for index in HEADS]


@pytest.fixture(scope="module")
def painted():
    """Everybody wears all of it."""
    certain = {field.name: 1.0 for field in dataclasses.fields(MakeupConfig)}
    return heads(makeup=MakeupConfig(**certain))


def test_nobody_wears_what_has_no_probability():
    bare = heads(makeup=MakeupConfig(female=0.0, male=0.0))
    assert all(head.skin.makeup.lipstick is None for head in bare)
    assert all(head.skin.makeup.foundation == 0 for head in bare)


def test_everybody_wears_what_is_certain_and_amounts_stay_in_range(painted):
    for head in painted:
        makeup = head.skin.makeup
        assert makeup.lipstick is not None
        assert makeup.eyeshadow is not None
        for name in ("foundation", "eyeliner", "mascara", "blush", "lip_gloss"):
            assert 0 < getattr(makeup, name) <= 1


def test_lipstick_is_darker_on_darker_skin(painted):
    melanin = np.array([head.skin.melanin for head in painted])
    colour = np.array([sum(head.skin.makeup.lipstick) for head in painted])
    assert np.corrcoef(melanin, colour)[0, 1] < -0.25


def test_by_default_it_is_women_who_wear_makeup():
    worn = {"female": 0, "male": 0}
    for head in heads():
        worn[head.identity.sex] += head.skin.makeup != type(head.skin.makeup)()
    assert worn["female"] > 8 * max(worn["male"], 1)


def test_a_probability_outside_0_and_1_is_refused():
    with pytest.raises(ValueError, match="mascara"):
        MakeupConfig(mascara=1.5)


def test_age_marks_skin_and_eyes():
    young = heads(identity=IdentityConfig(age_shape=(1.0, 60.0)))
    old = heads(identity=IdentityConfig(age_shape=(60.0, 1.0)))

    def mean(people, value):
        return np.mean([value(person) for person in people])

    for value, least in (
        (lambda p: p.skin.eye_bags, 0.3),
        (lambda p: p.skin.age_spots, 0.2),
        (lambda p: p.eyes.yellowing, 0.15),
        (lambda p: p.eyes.arcus, 0.2),
    ):
        assert mean(old, value) > mean(young, value) + least
    assert mean(young, lambda p: p.skin.acne) > mean(old, lambda p: p.skin.acne) == 0
    assert mean(young, lambda p: p.eyes.limbal_ring) > mean(old, lambda p: p.eyes.limbal_ring)
    assert all(0 <= p.eyes.yellowing <= 1 and p.eyes.veins <= 1 for p in young + old)


def test_rare_marks_are_rare_and_belong_to_the_person():
    people = [sample_head(DatasetConfig(seed=3), index).skin for index in range(250)]
    assert 0 < sum(skin.birthmark != "none" for skin in people) < 13
    assert sum(skin.vitiligo > 0 for skin in people) < 8
    assert 15 < sum(skin.scars > 0 for skin in people) < 65
    twice = DatasetConfig(seed=3, factors=FactorConfig(looks=2))
    for index in range(0, 20, 2):
        a, b = sample_head(twice, index), sample_head(twice, index + 1)
        assert dataclasses.replace(a.skin, makeup=b.skin.makeup) == b.skin
        assert a.eyes == b.eyes


def test_eyes_fixate_points_at_a_distance():
    distances = [head.gaze.distance_m for head in heads()]
    assert min(distances) >= 0.5
    assert max(distances) <= 6.0
    assert np.std(np.log(distances)) > 0.4
