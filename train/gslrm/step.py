"""What the training loop needs to know of the reconstructor."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from train.data import HeadDataset
from train.gslrm.batch import CANONICAL_NAMES, GslrmBatch, load_batch
from train.gslrm.config import GslrmConfig
from train.gslrm.model import GSLRM
from train.gslrm.objective import Objective
from train.rasterize import render
from train.transforms import WHITE, composite

PREVIEW_HEADS = 2
PREVIEW_VIEWS = 6


class GslrmTask:
    """Trains `GSLRM` to render the views it was not shown, and some that it was."""

    name = "gslrm"

    def __init__(self, config: GslrmConfig):
        self.config = config

    @property
    def passes(self) -> tuple[str, ...]:
        """The ground truth that the loss compares with."""
        return ("depth",) if self.config.loss.depth_weight > 0 else ()

    @cached_property
    def _objective(self) -> Objective:
        return Objective(self.config)

    def build_model(self) -> GSLRM:
        """A new reconstructor."""
        return GSLRM(self.config.model)

    def load_batch(
        self, dataset: HeadDataset, indices: Sequence[int], rng: np.random.Generator
    ) -> GslrmBatch:
        """Views and backgrounds at random, see `train.gslrm.batch.load_batch`."""
        return load_batch(self.config, dataset, indices, rng)

    def loss(
        self, model: nn.Module, batch: GslrmBatch, generator: torch.Generator, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The Gaussians of the input views against the targets, see `Objective`."""
        gaussians = model(batch.images, batch.cam_from_world, batch.K)
        return self._objective(gaussians, batch, generator, step)

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
