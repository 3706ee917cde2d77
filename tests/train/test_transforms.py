"""Compositing, backgrounds and the choice of views."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from train import transforms


def picture(colour, alpha) -> torch.Tensor:
    return torch.tensor([*colour, alpha], dtype=torch.uint8).reshape(1, 4, 1, 1)


def test_composite_mixes_straight_alpha_in_display_space():
    rgba = picture((200, 100, 0), 51)  # alpha 0.2
    over_white = transforms.composite(rgba).flatten()
    expected = torch.tensor([200, 100, 0]) / 255 * 0.2 + 0.8
    assert torch.allclose(over_white, expected, atol=1e-6)
    assert over_white.dtype == torch.float32
    green = transforms.composite(rgba, (0.0, 1.0, 0.0)).flatten()
    assert green.tolist() == pytest.approx([0.2 * 200 / 255, 0.2 * 100 / 255 + 0.8, 0.0])


def test_opaque_pixels_are_exact_and_clear_ones_are_the_background():
    values = torch.arange(256, dtype=torch.uint8)
    opaque = torch.stack([values, values, values, torch.full_like(values, 255)])
    shown = transforms.composite(opaque.reshape(4, 16, 16), transforms.BLACK)
    assert torch.equal((shown * 255).round().to(torch.uint8)[0].flatten(), values)
    clear = opaque.clone()
    clear[3] = 0
    shown = transforms.composite(clear.reshape(4, 16, 16), transforms.GREY)
    assert torch.equal(shown, torch.full((3, 16, 16), 0.5))


def test_a_background_for_each_view():
    rgba = picture((0, 0, 0), 0).expand(2, 4, 3, 5)
    backgrounds = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    shown = transforms.composite(rgba, backgrounds)
    assert shown.shape == (2, 3, 3, 5)
    assert torch.equal(shown[:, :, 2, 4], backgrounds)


def test_alpha_is_the_coverage():
    shown = transforms.alpha(picture((9, 9, 9), 51))
    assert shown.shape == (1, 1, 1, 1) and shown.item() == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("rgba", "background", "message"),
    [
        (torch.zeros(2, 4, 3, 3), (1, 1, 1), "uint8 pictures"),
        (torch.zeros(2, 3, 3, 3, dtype=torch.uint8), (1, 1, 1), r"\(2, 3, 3, 3\)"),
        (torch.zeros(2, 4, 3, 3, dtype=torch.uint8), (1, 1), r"shape \(2,\).*\(2, 3\)"),
        (torch.zeros(2, 4, 3, 3, dtype=torch.uint8), torch.ones(3, 3), r"shape \(3, 3\)"),
    ],
)
def test_wrong_pictures_and_backgrounds_are_named(rgba, background, message):
    with pytest.raises(ValueError, match=message):
        transforms.composite(rgba, background)


def test_backgrounds_are_as_named_and_draw_alike():
    def draw(mode):
        rng = np.random.default_rng(5)
        return transforms.draw_background(mode, rng), rng.random()

    for mode, colour in (("white", 1.0), ("grey", 0.5), ("black", 0.0)):
        assert draw(mode)[0].tolist() == [colour] * 3
    states = {draw(mode)[1] for mode in ("white", "grey", "black", "random", "mixed")}
    assert len(states) == 1  # a changed mode shifts no later random number
    rng = np.random.default_rng(0)
    mixed = {tuple(transforms.draw_background("mixed", rng).tolist()) for _ in range(40)}
    assert {(1.0,) * 3, (0.5,) * 3, (0.0,) * 3} < mixed and len(mixed) > 8


def test_chosen_views_are_distinct_and_avoid_the_excluded():
    rng = np.random.default_rng(1)
    drawn = [transforms.choose_views(8, 4, rng, exclude=(0, 5)) for _ in range(50)]
    assert all(len(set(views)) == 4 for views in drawn)
    assert set().union(*drawn) == {1, 2, 3, 4, 6, 7}
    assert len({views[0] for views in drawn}) == 6  # the order is random, too
    with pytest.raises(ValueError, match="7 views wanted, but only 6 of 8 are left"):
        transforms.choose_views(8, 7, rng, exclude=(0, 5))
