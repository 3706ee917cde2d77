"""Roots: drawn by density, spread evenly, never on an empty region."""

import dataclasses

import numpy as np
import pytest
from scipy.spatial import cKDTree

from synth.blender_scenes import hair_roots
from synth.blender_scenes.hair_field import HeadSurface
from synth.errors import SpecError
from synth.spec import Identity

PERSON = Identity("roots-test", {"gender": 0.9, "age": 0.7, "asian": 1.0}, {}, 30.0, "female")


@pytest.fixture(scope="module")
def surface(model) -> HeadSurface:
    shape = model.shape(PERSON)
    return HeadSurface.create(model, shape)


def test_root_density_follows_the_density(surface):
    left = surface.canonical[:, 0] > 0
    density = np.where(left, 1.0, 0.25) * (surface.scalp_sd > 0.005)
    roots = hair_roots.sample_roots(
        surface, density, surface.scalp_sd, 8000, np.random.default_rng(0)
    )
    share = (roots.canonical[:, 0] > 0).mean()
    assert share == pytest.approx(0.8, abs=0.02)
    np.testing.assert_allclose(np.linalg.norm(roots.normals, axis=1), 1, atol=1e-6)


def test_even_subset_is_more_even_than_chance(surface):
    rng = np.random.default_rng(0)
    density = (surface.scalp_sd > 0.005).astype(float)
    roots = hair_roots.sample_roots(surface, density, surface.scalp_sd, 4000, rng)

    def smallest_gap(subset) -> float:
        return float(np.quantile(cKDTree(subset).query(subset, k=2)[0][:, 1], 0.1))

    even = hair_roots.even_subset(roots, 400, rng)
    assert 360 <= len(even) <= 400
    assert smallest_gap(even.positions) > 2 * smallest_gap(roots.positions[:400])


def test_an_empty_region_is_an_error(surface):
    nothing = np.zeros(len(surface.vertices))
    with pytest.raises(SpecError, match="empty"):
        hair_roots.sample_roots(surface, nothing, nothing, 10, np.random.default_rng(0))


def test_a_missing_mask_is_named(model):
    shape = model.shape(PERSON)
    masks = {k: v for k, v in model.masks.items() if k != "beard_sd"}
    with pytest.raises(SpecError, match="beard_sd"):
        HeadSurface.create(dataclasses.replace(model, masks=masks), shape)
