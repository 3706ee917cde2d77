"""Colour within one head of hair: greying, regrown roots, light ends."""

from dataclasses import replace

import numpy as np
import pytest

from synth.blender_scenes.hair_pigment import (
    colour_strands,
    facial_colour,
    greying,
    pigment_amount,
)
from synth.blender_scenes.hair_strands import StrandSet
from synth.sample_palettes import GREY_ALBEDO
from synth.spec import HairColour

BROWN = HairColour("brown", 0.72, 0.55, (0.055, 0.03, 0.016))
TEMPLE, CROWN = np.array([0.07, -0.085, 0.915]), np.array([0.0, 0.0, 1.0])


def _pigment(colour: HairColour, roots: np.ndarray | None = None) -> np.ndarray:
    roots = np.tile(CROWN, (4000, 1)) if roots is None else roots
    strands = StrandSet.plain(np.zeros((len(roots), 11, 3)), np.ones((len(roots), 11)))
    shade = np.zeros(len(roots))
    return colour_strands(strands, colour, roots, shade, np.random.default_rng(0)).pigment


def test_plain_hair_has_the_pigment_of_the_spec():
    pigment = _pigment(BROWN)
    assert np.exp(np.log(pigment).mean()) == pytest.approx(1.0, abs=0.02)
    assert 0.05 < np.log(pigment).std() < 0.25
    assert pigment_amount(0.0) == 0.0 and pigment_amount(0.9) == pytest.approx(2.3026, abs=1e-3)


@pytest.mark.parametrize("albedo", [0.007, 0.03, 0.25])
def test_strands_have_the_colour_of_the_spec_in_the_mean(albedo):
    """Chiang et al. (2016), eq. 9: a strand of p times the pigment has the albedo c ** sqrt(p)."""
    colour = replace(BROWN, albedo=(albedo,) * 3)
    rng = np.random.default_rng(0)
    strands = StrandSet.plain(np.zeros((9000, 2, 3)), np.ones((9000, 2)))
    shade = rng.normal(0.0, 0.35, 9000)
    roots = np.tile(CROWN, (9000, 1))
    pigment = colour_strands(strands, colour, roots, shade, rng).pigment
    assert (albedo ** np.sqrt(pigment)).mean() == pytest.approx(albedo, rel=0.06)


def test_grey_strands_are_as_light_as_the_palette_says():
    colour = replace(BROWN, melanin=0.8, grey=0.99)
    white = _pigment(colour).min()
    assert np.mean(np.array(BROWN.albedo) ** np.sqrt(white)) == pytest.approx(
        np.mean(GREY_ALBEDO), abs=0.04
    )


def test_temples_grey_first():
    roots = np.concatenate([np.tile(TEMPLE, (2000, 1)), np.tile(CROWN, (2000, 1))])
    pigment = _pigment(replace(BROWN, grey=0.3), roots)
    grey = pigment[:, 0] < 0.2
    assert grey[:2000].mean() > 2.5 * grey[2000:].mean() > 0
    spread = np.random.default_rng(1).uniform([-0.08, -0.14, 0.83], [0.08, 0.05, 1.01], (9000, 3))
    for amount in (0.1, 0.5, 0.9):
        assert greying(spread, amount).mean() == pytest.approx(amount, abs=0.13)
    assert (greying(spread, 0.0) == 0).all()


def test_roots_grow_out_and_ends_are_light():
    dyed = replace(BROWN, melanin=0.24, regrowth=0.25, regrowth_melanin=0.93)
    pigment = _pigment(dyed).mean(axis=0)
    assert pigment[0] == pytest.approx(pigment_amount(0.93) / pigment_amount(0.24), rel=0.1)
    assert pigment[6:].max() == pytest.approx(1.0, abs=0.1)
    light = _pigment(replace(BROWN, light_tips=0.8)).mean(axis=0)
    assert light[0] == pytest.approx(1.0, abs=0.05) and light[-1] < 0.3
    assert (np.diff(light) < 0.02).all()


def test_facial_hair_is_a_little_darker():
    assert facial_colour(BROWN).melanin == pytest.approx(0.9 * 0.72 + 0.12)
    assert facial_colour(replace(BROWN, melanin=1.0)).melanin == 1.0
