"""Input views that do not quite agree, as those of a multi-view generator do not.

A reconstructor trained on perfect renders believes every pixel and every camera. Tang et al. 2024
(LGM, arXiv 2402.05054, section 3.4) bend the pictures on a grid and move the cameras a little; the
first view stays as it is, and so do all targets.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from train.gslrm.config import AugmentConfig


def augment_inputs(
    images: Tensor, cam_from_world: Tensor, config: AugmentConfig, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Bend the pictures and move the cameras of one head, each with its probability.

    Args:
        images: [V, 3, H, W] in [0, 1].
        cam_from_world: [V, 4, 4] OpenCV cameras.
        config: probabilities and strengths.
        rng: takes the same draws whatever the probabilities are.

    Returns:
        Both, with the first view unchanged.
    """
    bend, move = rng.random(2)
    noise = rng.uniform(-1, 1, (len(images), 2, config.distortion_cells))
    turns = rng.uniform(-1, 1, (len(images), 2)) * math.radians(config.jitter_deg)
    if bend < config.distortion_probability:
        bent = distort(images[1:], torch.from_numpy(noise[1:]).float() * config.distortion_strength)
        images = torch.cat([images[:1], bent])
    if move < config.jitter_probability:
        moved = orbit(cam_from_world[1:], torch.from_numpy(turns[1:]).float())
        cam_from_world = torch.cat([cam_from_world[:1], moved])
    return images, cam_from_world


def distort(images: Tensor, stretch: Tensor) -> Tensor:
    """Stretch and squeeze the columns and rows of pictures piecewise; the border stays in place.

    Args:
        images: [V, 3, H, W].
        stretch: [V, 2, cells] in (-1, 1): by how much each strip of columns (0) and of rows (1)
            is wider than its share.
    """
    height, width = images.shape[-2:]
    columns, rows = (
        _warped_axis(stretch[:, axis], size) for axis, size in ((0, width), (1, height))
    )
    grid = torch.stack(
        [
            columns[:, None, :].expand(-1, height, -1),
            rows[:, :, None].expand(-1, -1, width),
        ],
        dim=-1,
    )
    return grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _warped_axis(stretch: Tensor, size: int) -> Tensor:
    """[V, size] where in [-1, 1] each pixel centre comes from; rising, and the ends fixed."""
    steps = 1 + stretch
    knots = torch.nn.functional.pad(steps.cumsum(-1) / steps.sum(-1, keepdim=True), (1, 0))
    centres = (torch.arange(size) + 0.5) / size * stretch.shape[-1]
    cell = centres.long().clamp_max(stretch.shape[-1] - 1)
    share = centres - cell
    return 2 * torch.lerp(knots[:, cell], knots[:, cell + 1], share.expand(len(knots), -1)) - 1


def orbit(cam_from_world: Tensor, angles: Tensor) -> Tensor:
    """Move cameras around the origin; distance and the point they look at stay.

    Args:
        cam_from_world: [V, 4, 4].
        angles: [V, 2] radians about the world's +Z and about the camera's x axis.
    """
    turn, lift = angles.unbind(-1)
    world = torch.eye(4).repeat(len(angles), 1, 1)
    world[:, 0, 0] = world[:, 1, 1] = turn.cos()
    world[:, 0, 1], world[:, 1, 0] = -turn.sin(), turn.sin()
    moved = cam_from_world @ world
    # about the camera's x axis through the origin of the world: turn there, come back
    axis = torch.eye(4).repeat(len(angles), 1, 1)
    axis[:, 1, 1] = axis[:, 2, 2] = lift.cos()
    axis[:, 1, 2], axis[:, 2, 1] = -lift.sin(), lift.sin()
    there, back = (torch.eye(4).repeat(len(angles), 1, 1) for _ in range(2))
    there[:, :3, 3], back[:, :3, 3] = -moved[:, :3, 3], moved[:, :3, 3]
    return back @ axis @ there @ moved
