"""Area averaging, against means taken by hand."""

from __future__ import annotations

import numpy as np
import pytest

from synth.resample import area_average


def test_whole_blocks_become_their_mean():
    image = np.random.default_rng(0).random((6, 8, 3))
    expected = image.reshape(3, 2, 2, 4, 3).mean((1, 3))
    assert np.allclose(area_average(image, 3, 2), expected)


def test_a_pixel_that_is_cut_counts_for_its_share():
    image = np.array([0.0, 1.0, 0.0]).reshape(3, 1, 1)
    assert np.allclose(area_average(image, 2, 1).ravel(), [1 / 3, 1 / 3])


def test_the_mean_and_the_dtype_stay():
    image = np.random.default_rng(1).random((13, 7, 4)).astype(np.float32)
    reduced = area_average(image, 5, 3)
    assert reduced.dtype == np.float32
    assert np.allclose(reduced.mean((0, 1)), image.mean((0, 1)), atol=1e-6)


def test_growing_is_refused():
    with pytest.raises(ValueError, match="cannot be reduced"):
        area_average(np.zeros((4, 4, 1)), 5, 4)
