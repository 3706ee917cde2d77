"""What the sampler says about hair: styles by sex and texture, fields that fit the style."""

from dataclasses import replace

import numpy as np
import pytest

from synth.config import load_config
from synth.errors import ConfigError
from synth.hairline import growth_share, hairline_m, scalp_cover
from synth.headmodel import HeadModel
from synth.sample import DatasetConfig, sample_head
from synth.spec import BEARD_STYLES, HAIR_STYLES, Hair, HairColour

COLOUR = HairColour("brown", 0.72, 0.55, (0.055, 0.03, 0.016))


@pytest.fixture(scope="module")
def many():
    return [sample_head(DatasetConfig(seed=3), index) for index in range(260)]


def test_all_styles_and_beards_are_drawn(many):
    assert {spec.hair.style for spec in many} == set(HAIR_STYLES)
    assert {spec.facial_hair.beard for spec in many} == set(BEARD_STYLES)


def test_fields_fit_style_and_person(many):
    for spec in many:
        hair, female = spec.hair, spec.identity.sex == "female"
        assert 0.7 <= hair.volume <= 1.35 and 0.7 <= hair.curl <= 1.35
        assert hair.fringe == 0 or (female and 0.5 <= hair.fringe <= 1)
        assert hair.tucked == "none" or hair.style in ("bob", "long", "wavy", "braids")
        assert (hair.recession >= 0.3) if hair.style == "receding" else (hair.recession <= 0.35)
        assert hair.recession == 0 or not female
        if hair.colour.regrowth:
            assert hair.colour.melanin != hair.colour.regrowth_melanin
    assert {spec.hair.tucked for spec in many} == {"none", "left", "right", "both"}
    for name in ("regrowth", "light_tips"):
        assert 0 < sum(getattr(spec.hair.colour, name) > 0 for spec in many) < 60, name
    old = [s.hair.recession for s in many if s.hair.style == "crop" and s.identity.age_years > 50]
    young = [s.hair.recession for s in many if s.hair.style == "crop" and s.identity.age_years < 40]
    assert sum(old) / len(old) > sum(young) / len(young)


def test_the_hairline_belongs_to_the_person():
    config = load_config(
        DatasetConfig,
        None,
        ["identity.female=0", "factors.looks=4", "hair.male_styles={crop: 1}",
         "hair.male_coily_styles={buzz: 1}"],
    )  # fmt: skip
    for first in range(0, 16, 4):
        looks = [sample_head(config, index) for index in range(first, first + 4)]
        assert len({spec.hair.recession for spec in looks}) == 1
        assert len({spec.hair.groom_seed for spec in looks}) == 4


def test_probabilities_are_checked():
    with pytest.raises(ConfigError, match="tucked"):
        load_config(DatasetConfig, None, ["hair.tucked=1.5"])


def test_paint_under_the_hair_follows_the_hairline():
    model = HeadModel.load()
    canonical, sd = model.canonical, model.masks["scalp_sd"]
    full = Hair("receding", COLOUR, 1)
    bald = Hair("receding", COLOUR, 1, recession=0.8)
    assert (hairline_m(canonical, sd, bald) <= hairline_m(canonical, sd, full) + 1e-9).all()
    painted, less = (scalp_cover(canonical, sd, hair) for hair in (full, bald))
    assert painted.max() <= 1 and painted[sd < -0.005].max() < 0.02
    assert 0.3 * painted.sum() < less.sum() < 0.85 * painted.sum()
    assert growth_share(canonical, bald).min() < 0.3 and growth_share(canonical, full).min() == 1


def test_paint_leaves_the_parting_bare():
    beside, on_line = np.array([[0.03, -0.1, 1.0]]), np.array([[0.01, -0.1, 1.0]])
    bob = Hair("bob", COLOUR, 1, parting=0.01)
    deep = np.array([0.05])
    assert scalp_cover(on_line, deep, bob)[0] < 0.4 * scalp_cover(beside, deep, bob)[0]
    assert scalp_cover(on_line, deep, replace(bob, style="bun")) == scalp_cover(
        beside, deep, replace(bob, style="bun")
    )


def test_afros_stay_in_the_frame(many):
    """At the whole of the style's length, the hair of head 93 of seed 0 touched the frame's top."""
    lengths = [head.hair.length_scale for head in many if head.hair.style == "afro"]
    assert len(lengths) >= 3 and 0.85 <= min(lengths) <= max(lengths) <= 0.92
