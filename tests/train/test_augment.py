"""Input views that disagree: bent pictures and moved cameras."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from synth.camera import canonical_six, stack
from synth.rng import stream
from train.gslrm.augment import augment_inputs, distort, orbit
from train.gslrm.config import AugmentConfig


def cameras(count: int = 6) -> torch.Tensor:
    return torch.from_numpy(stack(canonical_six(16))[0]).float()[:count]


def centres(cam_from_world: torch.Tensor) -> torch.Tensor:
    return -torch.einsum("vji,vj->vi", cam_from_world[:, :3, :3], cam_from_world[:, :3, 3])


def ramp(size: int = 64) -> torch.Tensor:
    """A picture whose red is the column and whose green is the row, in pixel centres / size."""
    axis = (torch.arange(size) + 0.5) / size
    return torch.stack(
        [axis.expand(size, -1), axis[:, None].expand(-1, size), torch.zeros(size, size)]
    )[None]


def test_no_stretch_changes_nothing():
    images = torch.rand(2, 3, 24, 40)
    torch.testing.assert_close(distort(images, torch.zeros(2, 2, 8)), images, atol=1e-6, rtol=0)


def test_a_wide_strip_comes_from_a_wide_part_of_the_picture():
    """Two strips, the left one three times the width of the right one: the middle of the new
    picture shows what was at three quarters; rows are untouched."""
    stretch = torch.tensor([[[0.5, -0.5], [0.0, 0.0]]])
    bent = distort(ramp(), stretch)[0]
    expected = torch.tensor([np.interp(x, [0, 0.5, 1], [0, 0.75, 1]) for x in (0.25, 0.5, 0.875)])
    columns = [round(x * 64 - 0.5) for x in (0.25, 0.5, 0.875)]
    torch.testing.assert_close(bent[0, 10, columns], expected.float(), atol=0.015, rtol=0)
    torch.testing.assert_close(bent[1], ramp()[0, 1], atol=1e-5, rtol=0)


def test_strong_bends_never_fold():
    stretch = torch.from_numpy(stream(0, 0, "test").uniform(-0.9, 0.9, (3, 2, 8))).float()
    bent = distort(ramp().expand(3, -1, -1, -1), stretch)
    for channel, axis in ((0, -1), (1, -2)):
        steps = bent[:, channel].diff(dim=axis)
        assert (steps >= 0).all() and steps.sum(axis).min() > 0.95


def test_moved_cameras_keep_their_distance_and_look_at_the_origin():
    before = cameras()
    angles = torch.tensor([[0.1, 0.0], [0.0, 0.1], [-0.2, 0.07], [0, 0], [0.05, -0.05], [1.0, 0.4]])
    after = orbit(before, angles)
    rotation = after[:, :3, :3]
    torch.testing.assert_close(
        rotation @ rotation.mT, torch.eye(3).expand(6, -1, -1), atol=1e-6, rtol=0
    )
    torch.testing.assert_close(after[:, :3, 3], before[:, :3, 3], atol=1e-6, rtol=0)
    a, b = centres(before), centres(after)
    cosine = (a * b).sum(-1) / 2.7**2
    # at elevation 0 turning and lifting are the sides of a spherical right triangle
    torch.testing.assert_close(cosine, angles.cos().prod(-1), atol=1e-5, rtol=0)
    torch.testing.assert_close(b[0, 2], a[0, 2])
    assert abs(b[1, 2] - a[1, 2]) == pytest.approx(2.7 * math.sin(0.1), abs=1e-5)


def test_the_first_view_stays_and_the_others_change():
    images, poses = torch.rand(4, 3, 16, 16), cameras(4)
    config = AugmentConfig(distortion_probability=1.0, jitter_probability=1.0, jitter_deg=4.0)
    bent, moved = augment_inputs(images, poses, config, stream(0, 0, "test"))
    assert torch.equal(bent[0], images[0]) and torch.equal(moved[0], poses[0])
    assert all((bent[i] - images[i]).abs().max() > 0.05 for i in (1, 2, 3))
    angle = ((centres(moved) * centres(poses)).sum(-1) / 2.7**2).clamp_max(1).acos()
    assert (angle[1:] > 1e-3).all() and (angle < math.radians(4.0) * math.sqrt(2)).all()
    again = augment_inputs(images, poses, config, stream(0, 0, "test"))
    assert torch.equal(again[0], bent) and torch.equal(again[1], moved)


def test_probabilities_are_shares_of_heads_and_take_the_same_draws():
    images, poses = torch.rand(2, 3, 8, 8), cameras(2)
    config = AugmentConfig(distortion_probability=0.3, jitter_probability=0.0)
    changed = 0
    for index in range(200):
        off, on = stream(0, index, "test"), stream(0, index, "test")
        bent, moved = augment_inputs(images, poses, config, on)
        augment_inputs(images, poses, AugmentConfig(), off)
        assert off.random() == on.random()
        assert torch.equal(moved, poses)
        changed += not torch.equal(bent, images)
    assert 40 < changed < 80


@pytest.mark.parametrize(
    "wrong",
    [{"distortion_strength": 1.0}, {"jitter_probability": 1.5}, {"jitter_deg": -1.0}],
)
def test_values_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=f"augment: {next(iter(wrong))}"):
        AugmentConfig(**wrong)
