"""What the datasheet counts: drawn beside configured, people who are alike, a fair part of much."""

from __future__ import annotations

import collections
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from infer import datasheet_data
from infer.datasheet_data import HeadPlace, collect_facts, judged_places
from infer.datasheet_diversity import diversity_section
from infer.datasheet_people import ALMOST_ONE, People
from infer.datasheet_weights import ATTRIBUTES, Comparison, DrawCounter, text_of
from synth.dataset import Dataset
from synth.errors import SchemaMismatch
from synth.record import ShardWriter
from synth.sample import DatasetConfig, FactorConfig, ViewsConfig, sample_head
from synth.sample_light import LightConfig
from synth.spec import UserParts

HEADS = 150
SHARD = Path("shard-000000.tar")


@pytest.fixture(scope="module")
def specs() -> list[dict]:
    config = DatasetConfig(views=ViewsConfig(random=0))
    return [sample_head(config, index).to_json_dict() for index in range(HEADS)]


def compared(config: DatasetConfig, specs: list[dict]) -> dict[str, Comparison]:
    counter = DrawCounter(config)
    for index, spec in enumerate(specs):
        counter.add(index, spec)
    return {comparison.field: comparison for comparison in counter.comparisons()}


def test_heads_drawn_by_a_configuration_fit_it(specs):
    found = compared(DatasetConfig(), specs)
    assert {"identity.sex", "expression.name", "light.kind", "accessories.headwear.kind",
            "facial_hair.beard", "clothes.garment", "light.hdri"} <= set(found)  # fmt: skip
    for field, comparison in found.items():
        assert comparison.p_value is None or comparison.p_value > 1e-4, field
        assert sum(comparison.expected.values()) == pytest.approx(comparison.draws)
    sexes = collections.Counter(spec["identity"]["sex"] for spec in specs)
    assert found["identity.sex"].drawn == sexes
    assert found["facial_hair.beard"].draws == sexes["male"]
    maps = [spec["light"]["hdri"] for spec in specs if spec["light"]["hdri"]]
    assert found["light.hdri"].draws == len(maps)
    assert "user_parts.head" not in found  # could have come out in one way only


def test_heads_of_another_configuration_do_not_fit(specs):
    studio = DatasetConfig(light=LightConfig(kinds={"studio": 0.9, "hdri": 0.1}))
    light = compared(studio, specs)["light.kind"]
    assert light.p_value == 0.0  # kinds without any weight came up
    few_maps = LightConfig(kinds={**LightConfig().kinds, "hdri": 0.02})
    light = compared(DatasetConfig(light=few_maps), specs)["light.kind"]
    assert light.p_value < 1e-4
    value, off = light.farthest
    assert value == "hdri" and off > 4


@pytest.mark.parametrize(("crossed", "expressions", "lights"), [(False, 4, 8), (True, 2, 2)])
def test_what_heads_share_is_one_draw(crossed, expressions, lights):
    """One identity, two looks, two expressions, two lights."""
    factors = FactorConfig(looks=2, expressions=2, lights=2, crossed=crossed)
    config = DatasetConfig(factors=factors, views=ViewsConfig(random=0))
    counter = DrawCounter(config)
    for index in range(16):
        counter.add(index, sample_head(config, index).to_json_dict())
    draws = {c.field: c.draws for c in counter.comparisons()}
    assert draws["identity.sex"] == 2
    assert draws["clothes.garment"] == 4
    assert draws["expression.name"] == 2 * expressions
    assert draws["light.kind"] == 2 * lights


def test_whole_heads_of_a_user_count_as_such_only(specs):
    assets = dataclasses.replace(DatasetConfig().assets, heads={"ours": 0.5, "own:anna": 0.5})
    anna = {**specs[0], "user_parts": {"head": "own:anna"}}
    found = compared(DatasetConfig(assets=assets), [anna, *specs[1:9]])
    assert found["user_parts.head"].drawn == {"own:anna": 1, "none": 8}
    assert found["user_parts.head"].expected == {"none": 4.5, "own:anna": 4.5}
    assert found["clothes.garment"].draws == 8
    assert found["light.kind"].draws == 9


def test_the_test_is_that_of_pearson():
    fair = Comparison("", "", "look", 100, {"a": 60, "b": 40}, {"a": 50.0, "b": 50.0})
    assert fair.p_value == pytest.approx(0.0455, abs=1e-4)  # chi-square 4, one degree of freedom
    assert fair.farthest[1] == pytest.approx(2.0)
    assert fair.error("a") == pytest.approx(5.0)
    few = Comparison("", "", "look", 3, {"a": 3}, {"a": 1.5, "b": 1.5})
    assert few.p_value is None


def test_fields_that_a_spec_lacks_are_none(specs):
    bare = {key: value for key, value in specs[0].items() if key != "user_parts"}
    assert text_of(bare, "user_parts.head") == "none"
    assert all(isinstance(text_of(bare, a.field), str) for a in ATTRIBUTES)


# ------------------------------------------------------------------------------------- people


def test_a_copy_of_a_person_stands_out():
    rng = np.random.default_rng(0)
    people = People()
    labels = [f"c{i}" for i in range(60)]
    for number in range(40):
        people.add(f"p{number}", dict(zip(labels, rng.normal(size=60))))
    closest, usual = people.nearest(2)
    assert 1.0 < closest[0].distance <= usual < 1.4
    (columns, values) = people._shapes[7]
    people.add("copy", {labels[c]: v + 0.01 for c, v in zip(columns, values)} | {"new": 0.0})
    closest, _ = people.nearest(2)
    assert {closest[0].first, closest[0].second} == {"p7", "copy"}
    assert closest[0].distance < ALMOST_ONE < closest[1].distance
    assert People().nearest(3) == ([], None)


# ------------------------------------------------------------------------------ large datasets


def test_judges_look_at_a_fair_part_of_much():
    places = [HeadPlace(f"h{i}", i, f"p{i // 10}", SHARD) for i in range(1000)]
    assert judged_places(places, 1000) == places
    chosen = judged_places(places, 40)
    looks = collections.Counter(place.identity_id for place in chosen)
    assert list(looks.values()) == [4] * 10
    assert [int(name[1:]) for name in looks] == list(range(0, 100, 10))
    alone = [HeadPlace(f"h{i}", i, f"p{i}", SHARD) for i in range(1000)]
    assert [place.index for place in judged_places(alone, 10)] == list(range(0, 1000, 100))


def test_what_does_not_apply_to_a_users_head_is_not_counted(tmp_path):
    config = DatasetConfig(heads=2, size=8, samples=1, views=ViewsConfig(random=0))
    dataset = Dataset.create(tmp_path / "heads", config)
    (plan,) = dataset.plan()
    ours, own = plan.specs(config)
    own = dataclasses.replace(own, user_parts=UserParts(head="own:anna"))
    with ShardWriter(plan.path, dataset_id=dataset.dataset_id) as writer:
        for spec in (ours, own):
            cameras = spec.resolved_cameras()
            writer.add_head(spec, cameras, [np.zeros((8, 8, 4), np.uint8)] * len(cameras))
    facts = collect_facts(dataset)
    assert (facts.heads, facts.ours, len(facts.people)) == (2, 1, 1)
    assert facts.counts("hair.style") == {ours.hair.style: 1}
    assert facts.values("identity.age_years").tolist() == [ours.identity.age_years]
    assert set(facts.colours["hair"]) == {ours.hair.colour.name}
    assert sum(facts.counts("light.kind").values()) == 2
    assert facts.counts("user_parts.head") == {"none": 1, "own:anna": 1}
    assert "Of the other 1, whole heads of a user's own" in diversity_section(facts)


def test_specs_of_another_version_are_refused(tmp_path, monkeypatch):
    config = DatasetConfig(heads=1, size=8, samples=1, views=ViewsConfig(random=0))
    dataset = Dataset.create(tmp_path / "heads", config)
    (plan,) = dataset.plan()
    with ShardWriter(plan.path, dataset_id=dataset.dataset_id) as writer:
        (spec,) = plan.specs(config)
        cameras = spec.resolved_cameras()
        writer.add_head(spec, cameras, [np.zeros((8, 8, 4), np.uint8)] * len(cameras))
    monkeypatch.setattr("synth.spec.SCHEMA", 3)
    with pytest.raises(SchemaMismatch, match="schema 2, this version reads 3"):
        collect_facts(dataset)


def test_numbers_are_kept_of_some_and_words_of_all(tmp_path, monkeypatch):
    config = DatasetConfig(heads=9, size=8, samples=1, heads_per_shard=9,
                           views=ViewsConfig(random=0))  # fmt: skip
    dataset = Dataset.create(tmp_path / "heads", config)
    (plan,) = dataset.plan()
    drawn = plan.specs(config)
    with ShardWriter(plan.path, dataset_id=dataset.dataset_id) as writer:
        for spec in drawn:
            cameras = spec.resolved_cameras()
            picture = np.full((8, 8, 4), 255, np.uint8)
            meta = {"timings_s": {"head_s": float(spec.index)}}
            writer.add_head(spec, cameras, [picture] * len(cameras), meta=meta)
    whole = collect_facts(dataset)
    monkeypatch.setattr(datasheet_data, "MAX_MEASURED", 3)
    part = collect_facts(dataset)
    assert (whole.measured, part.measured) == (9, 3)
    assert part.values("identity.age_years").tolist() == [
        drawn[i].identity.age_years for i in (0, 3, 6)
    ]
    assert list(part.timings_s["head_s"]) == [0.0, 3.0, 6.0]
    assert part.words == whole.words and part.bytes_by_kind == whole.bytes_by_kind
    assert len(part.places) == len(part.people) == 9
