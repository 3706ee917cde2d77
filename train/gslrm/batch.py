"""What one step of the reconstructor sees: which views of which heads, on which background."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from synth.camera import CANONICAL_VIEWS
from synth.errors import ConfigError
from train.data import HeadDataset, HeadItem
from train.gslrm.augment import augment_inputs
from train.gslrm.config import GslrmConfig, ViewsConfig
from train.transforms import alpha, choose_views, composite, draw_background

CANONICAL_NAMES = tuple(name for name, _ in CANONICAL_VIEWS)


@dataclass(frozen=True)
class GslrmBatch:
    """Input and target views of B heads, on a background of their own each.

    Attributes:
        images: [B, V, 3, H, W] float32 in [0, 1], sRGB; input views.
        cam_from_world: [B, V, 4, 4] float32; K: [B, V, 3, 3] float32, pixels.
        target_images: [B, T, 3, H, W] float32 in [0, 1], sRGB.
        target_alpha: [B, T, 1, H, W] float32 in [0, 1].
        target_cam_from_world: [B, T, 4, 4] float32; target_K: [B, T, 3, 3] float32, pixels.
        background: [B, 3] float32 in [0, 1], sRGB.
        target_depth: [B, T, 1, H, W] float32, camera z in scene units, 0 where nothing is; None if
            the loss does not ask for it.
    """

    images: Tensor
    cam_from_world: Tensor
    K: Tensor
    target_images: Tensor
    target_alpha: Tensor
    target_cam_from_world: Tensor
    target_K: Tensor
    background: Tensor
    target_depth: Tensor | None = None

    def to(self, device: torch.device) -> GslrmBatch:
        """The same batch on another device."""
        return self.map(lambda tensor: tensor.to(device))

    def map(self, function: Callable[[Tensor], Tensor]) -> GslrmBatch:
        """Apply a function to every tensor that is there."""
        values = (getattr(self, field.name) for field in fields(self))
        return GslrmBatch(*(None if value is None else function(value) for value in values))


class ViewChoice(NamedTuple):
    """Positions of the views of one head."""

    inputs: tuple[int, ...]
    targets: tuple[int, ...]


def load_batch(
    config: GslrmConfig, dataset: HeadDataset, indices: Sequence[int], rng: np.random.Generator
) -> GslrmBatch:
    """Views and backgrounds at random; the number of views is the same for the whole batch.

    Raises:
        ConfigError: the pictures are not of `image_size`.
        RecordError: a head lacks one of the canonical views.
        ValueError: a head has too few views for the choice.
    """
    heads = [
        _load_head(config, dataset, index, choice, rng)
        for index, choice in zip(indices, _choose_views(config.views, dataset, indices, rng))
    ]
    values = ([getattr(head, field.name) for head in heads] for field in fields(GslrmBatch))
    return GslrmBatch(*(None if parts[0] is None else torch.stack(parts) for parts in values))


def _load_head(
    config: GslrmConfig,
    dataset: HeadDataset,
    index: int,
    choice: ViewChoice,
    rng: np.random.Generator,
) -> GslrmBatch:
    """One head, without the dimension of the batch."""
    # every view is decoded once, though it may be input and target
    views = tuple(dict.fromkeys(choice.inputs + choice.targets))
    item = dataset.load(index, views)
    _check_size(item, config.image_size)
    mode = config.backgrounds[int(rng.integers(len(config.backgrounds)))]
    background = draw_background(mode, rng)
    shown = [views.index(view) for view in choice.inputs]
    targets = [views.index(view) for view in choice.targets]
    images = composite(item.rgba, background)
    inputs, cam_from_world = augment_inputs(
        images[shown], item.cam_from_world[shown], config.augment, rng
    )
    depth = item.passes["depth"][targets][:, None] if "depth" in item.passes else None
    return GslrmBatch(
        images=inputs,
        cam_from_world=cam_from_world,
        K=item.K[shown],
        target_images=images[targets],
        target_alpha=alpha(item.rgba[targets]),
        target_cam_from_world=item.cam_from_world[targets],
        target_K=item.K[targets],
        background=background,
        target_depth=depth,
    )


def _choose_views(
    config: ViewsConfig, dataset: HeadDataset, indices: Sequence[int], rng: np.random.Generator
) -> list[ViewChoice]:
    """Input and target views of every head of a batch, equally many for each."""
    counts = [len(dataset.info(index).view_names) for index in indices]
    canonical = bool(rng.random() < config.canonical_probability)
    low, high = config.random_inputs
    input_count = int(rng.integers(low, high + 1))
    if canonical:
        input_count = len(CANONICAL_NAMES)
    else:
        input_count = min(input_count, max(1, min(counts) - config.target_others))
    others = min(config.target_others, min(counts) - input_count)
    # heads with few views get more of their inputs as targets instead
    seen = min(config.target_inputs + config.target_others - others, input_count)
    choices = []
    for index, count in zip(indices, counts):
        if canonical:
            inputs = dataset.views_named(index, CANONICAL_NAMES)
        else:
            inputs = choose_views(count, input_count, rng)
        targets = tuple(int(view) for view in rng.permutation(inputs)[:seen])
        targets += choose_views(count, others, rng, exclude=inputs)
        choices.append(ViewChoice(tuple(inputs), targets))
    return choices


def _check_size(item: HeadItem, size: int) -> None:
    found = tuple(item.rgba.shape[-2:])
    if found != (size, size):
        raise ConfigError(
            f"gslrm: head {item.spec_id} has pictures of {found[1]} x {found[0]} px, but "
            f"image_size is {size}; open the dataset with size={size}"
        )
