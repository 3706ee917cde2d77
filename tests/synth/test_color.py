"""The sRGB curve and the 8-bit conversion."""

from __future__ import annotations

import numpy as np

from synth import color


def test_known_points_of_the_curve():
    assert np.allclose(color.srgb_from_linear(np.array([0, 0.0031308, 0.214041, 1.0])),
                       [0, 0.04045, 0.5, 1.0], atol=2e-5)  # fmt: skip


def test_the_curve_inverts():
    x = np.linspace(0, 1, 1001)
    assert np.allclose(color.linear_from_srgb(color.srgb_from_linear(x)), x, atol=1e-7)


def test_eight_bits_round_to_nearest_and_invert():
    every = np.arange(256, dtype=np.uint8)
    assert np.array_equal(color.rgba8_from_float(color.float_from_rgba8(every)), every)
    assert color.rgba8_from_float(np.array([-1.0, 0.5, 2.0])).tolist() == [0, 128, 255]


def test_alpha_association_inverts_and_keeps_empty_pixels_black():
    rgba = np.array([[0.2, 0.4, 0.6, 0.5], [0.3, 0.3, 0.3, 0.0]])
    back = color.unpremultiply(color.premultiply(rgba))
    assert np.allclose(back[0], rgba[0]) and np.allclose(back[1], 0)
