"""What the training loop needs to know of the reconstructor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from synth.camera import CANONICAL_VIEWS
from synth.errors import ConfigError
from train.data import HeadDataset, HeadItem
from train.gslrm.config import GslrmConfig
from train.gslrm.model import GSLRM
from train.losses import mse, psnr
from train.rasterize import render
from train.transforms import WHITE, alpha, choose_views, composite, draw_background

CANONICAL_NAMES = tuple(name for name, _ in CANONICAL_VIEWS)
PREVIEW_HEADS = 2
PREVIEW_VIEWS = 6


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
    """

    images: Tensor
    cam_from_world: Tensor
    K: Tensor
    target_images: Tensor
    target_alpha: Tensor
    target_cam_from_world: Tensor
    target_K: Tensor
    background: Tensor

    def to(self, device: torch.device) -> GslrmBatch:
        """The same batch on another device."""
        return GslrmBatch(*(getattr(self, field.name).to(device) for field in fields(self)))


class ViewChoice(NamedTuple):
    """Positions of the views of one head."""

    inputs: tuple[int, ...]
    targets: tuple[int, ...]


class GslrmTask:
    """Trains `GSLRM` to render the views it was not shown, and some that it was."""

    name = "gslrm"

    def __init__(self, config: GslrmConfig):
        self.config = config

    def build_model(self) -> GSLRM:
        """A new reconstructor."""
        return GSLRM(self.config.model)

    def load_batch(
        self, dataset: HeadDataset, indices: Sequence[int], rng: np.random.Generator
    ) -> GslrmBatch:
        """Views and backgrounds at random; the number of views is the same for the whole batch.

        Raises:
            ConfigError: the pictures are not of `image_size`.
            RecordError: a head lacks one of the canonical views.
            ValueError: a head has too few views for the choice.
        """
        parts = []
        for index, choice in zip(indices, self._choose_views(dataset, indices, rng)):
            # every view is decoded once, though it may be input and target
            views = tuple(dict.fromkeys(choice.inputs + choice.targets))
            item = dataset.load(index, views)
            self._check_size(item)
            mode = self.config.backgrounds[int(rng.integers(len(self.config.backgrounds)))]
            background = draw_background(mode, rng)
            inputs = [views.index(view) for view in choice.inputs]
            targets = [views.index(view) for view in choice.targets]
            images = composite(item.rgba, background)
            parts.append(
                GslrmBatch(
                    images=images[inputs],
                    cam_from_world=item.cam_from_world[inputs],
                    K=item.K[inputs],
                    target_images=images[targets],
                    target_alpha=alpha(item.rgba[targets]),
                    target_cam_from_world=item.cam_from_world[targets],
                    target_K=item.K[targets],
                    background=background,
                )
            )
        stacked = (torch.stack([getattr(p, f.name) for p in parts]) for f in fields(GslrmBatch))
        return GslrmBatch(*stacked)

    def _choose_views(
        self, dataset: HeadDataset, indices: Sequence[int], rng: np.random.Generator
    ) -> list[ViewChoice]:
        """Input and target views of every head of a batch, equally many for each."""
        config = self.config.views
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

    def _check_size(self, item: HeadItem) -> None:
        size, found = self.config.image_size, tuple(item.rgba.shape[-2:])
        if found != (size, size):
            raise ConfigError(
                f"gslrm: head {item.spec_id} has pictures of {found[1]} x {found[0]} px, but "
                f"image_size is {size}; open the dataset with size={size}"
            )

    def loss(
        self, model: nn.Module, batch: GslrmBatch, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Squared error of colour and alpha on the target views (GS-LRM, section 3.3)."""
        gaussians = model(batch.images, batch.cam_from_world, batch.K)
        height, width = batch.target_images.shape[-2:]
        result = render(
            gaussians,
            batch.target_cam_from_world,
            batch.target_K,
            width,
            height,
            background=batch.background[:, None],
        )
        images, coverage = (x.movedim(-1, -3) for x in (result.color, result.alpha))
        color_loss = mse(images, batch.target_images)
        alpha_loss = mse(coverage, batch.target_alpha)
        loss = color_loss + self.config.alpha_weight * alpha_loss
        score = psnr(images.detach(), batch.target_images).mean()
        return loss, {
            "mse": color_loss.detach(),
            "alpha_mse": alpha_loss.detach(),
            "psnr_db": score,
        }

    @torch.no_grad()
    def preview(self, model: GSLRM, dataset: HeadDataset) -> np.ndarray | None:
        """Views that were not inputs: a row of truth above a row of reconstruction, per head."""
        device = model.free_tokens.device
        rows = []
        for index in range(min(PREVIEW_HEADS, len(dataset))):
            item = dataset.load(index)
            inputs = list(dataset.views_named(index, CANONICAL_NAMES))
            others = [v for v in range(len(item.view_names)) if v not in inputs]
            chosen = np.linspace(0, len(others) - 1, PREVIEW_VIEWS).round().astype(int)
            shown = [others[i] for i in chosen] if others else inputs
            images = composite(item.rgba, WHITE).to(device)
            cam_from_world, K = item.cam_from_world.to(device), item.K.to(device)
            gaussians = model(images[None, inputs], cam_from_world[None, inputs], K[None, inputs])
            height, width = images.shape[-2:]
            white = torch.ones(3, device=device)
            result = render(
                gaussians[0], cam_from_world[shown], K[shown], width, height, background=white
            )
            rows += [images[shown].movedim(1, -1), result.color]
        picture = torch.cat([torch.cat(tuple(row), dim=1) for row in rows], dim=0)
        return (picture.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
