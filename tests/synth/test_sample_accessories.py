"""What heads wear: probabilities, exclusions, configuration errors."""

from __future__ import annotations

from collections import Counter

import pytest

from synth.config import load_config
from synth.errors import ConfigError
from synth.sample import DatasetConfig, sample_head
from synth.spec import HEADWEAR, HeadSpec
from synth.spec_wear import SHORT_SLEEVED


def heads(count: int, *overrides: str) -> list[HeadSpec]:
    config = load_config(DatasetConfig, None, ["views={random: 0}", *overrides])
    return [sample_head(config, index) for index in range(count)]


@pytest.fixture(scope="module")
def many() -> list[HeadSpec]:
    return heads(500)


def test_everything_is_worn_by_some_and_by_no_more_than_configured(many):
    women = [spec for spec in many if spec.identity.sex == "female"]
    men = [spec for spec in many if spec.identity.sex == "male"]
    kinds = Counter(s.accessories.headwear.kind for s in many if s.accessories.headwear)
    assert set(kinds) == set(HEADWEAR)
    for group, most in ((women, 0.16), (men, 0.15)):
        share = sum(s.accessories.headwear is not None for s in group) / len(group)
        assert 0.06 < share < most + 0.05
    ringed = sum(s.accessories.earrings is not None for s in women) / len(women)
    assert 0.25 < ringed < 0.5
    assert 0 < sum(s.accessories.earrings is not None for s in men) < 0.15 * len(men)
    glasses = [s.accessories.glasses for s in many if s.accessories.glasses]
    assert 0.12 < len(glasses) / len(many) < 0.32
    assert {g.metal for g in glasses} == {0.0, 1.0}
    assert any(g.tortoise > 0 for g in glasses)
    assert 0 < sum(g.tint > 0 for g in glasses) < 0.3 * len(glasses)


def test_short_sleeves_are_for_tees_and_shirts(many):
    short = Counter(s.clothes.garment for s in many if s.clothes.short_sleeves)
    assert set(short) == set(SHORT_SLEEVED)
    tees = sum(s.clothes.garment == "tee" for s in many)
    assert 0.6 * tees < short["tee"] < tees


def test_what_does_not_go_together_is_not_drawn(many):
    for spec in many:
        worn = spec.accessories
        if worn.headwear is None:
            continue
        if worn.headwear.kind == "headscarf":
            assert worn.earrings is None
            assert spec.identity.sex == "female"
    both = [s for s in many if s.accessories.glasses and s.accessories.headwear]
    assert both  # a cap with glasses is fine


def test_a_headscarf_suits_every_hair_style():
    scarves = heads(
        60, "identity.female=1", "accessories.female_headwear=1",
        "accessories.female_headwear_kinds={headscarf: 1}",
    )  # fmt: skip
    assert {s.accessories.headwear.kind for s in scarves} == {"headscarf"}
    assert len({s.hair.style for s in scarves}) > 4
    assert {s.accessories.earrings for s in scarves} == {None}


def test_men_wear_small_studs_and_hoops():
    ringed = heads(40, "identity.female=0", "accessories.male_earrings=1")
    assert {s.accessories.earrings.kind for s in ringed} == {"stud", "hoop"}
    assert max(s.accessories.earrings.size_m for s in ringed) < 0.021


def test_probabilities_of_zero_and_one_are_kept():
    bare = heads(
        30, "accessories.glasses=0", "accessories.female_headwear=0", "accessories.male_headwear=0",
        "accessories.female_earrings=0", "accessories.male_earrings=0",
    )  # fmt: skip
    for spec in bare:
        worn = spec.accessories
        assert (worn.glasses, worn.headwear, worn.earrings) == (None, None, None)
    sunglasses = heads(10, "accessories.glasses=1", "accessories.tinted_glasses=1")
    assert min(s.accessories.glasses.tint for s in sunglasses) > 0.4


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("accessories.glasses=1.2", "not a probability"),
        ("accessories.female_headwear_kinds={beany: 1}", "beanie"),
        ("accessories.earring_kinds={stud: 0}", "no weight is positive"),
        ("accessories.headwear_patterns={stripes: 1}", "headwear_patterns"),
    ],
)
def test_impossible_configurations_are_named(override, message):
    with pytest.raises(ConfigError, match=message):
        load_config(DatasetConfig, None, [override])
