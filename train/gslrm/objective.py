"""What the reconstructor is trained for: its Gaussians, rendered, against the target views."""

from __future__ import annotations

from dataclasses import fields

import torch
from torch import Tensor
from torch.nn.functional import smooth_l1_loss
from torch.utils.checkpoint import checkpoint

from train.gaussians import Gaussians
from train.gslrm.batch import GslrmBatch
from train.gslrm.config import GslrmConfig
from train.losses import mse, psnr
from train.perceptual import Lpips
from train.rasterize import RenderResult, render

DEPTH_SOFTENING = 0.05
"""Depth errors count squared below this and linearly above, in scene units: a strand of hair in
front of the face is one surface to the truth and two to a splat."""
_MIN_COVERAGE = 0.5
"""Rendered alpha from which a rendered depth means something."""


class Objective:
    """The loss of a batch of Gaussians.

    Args:
        config: weights, and whether rendering is deferred.

    Raises:
        CheckpointError: LPIPS is asked for and its weights are not installed.
    """

    def __init__(self, config: GslrmConfig):
        self.config = config.loss
        self._deferred = config.defer_rendering
        self._lpips = Lpips() if config.loss.perceptual_weight > 0 else None

    def __call__(
        self, gaussians: Gaussians, batch: GslrmBatch, generator: torch.Generator, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and its parts for the log.

        Args:
            gaussians: B sets.
            batch: with the targets, on the same device.
            generator: draws the views that LPIPS looks at.
            step: optimiser steps so far.
        """
        config = self.config
        result = self._render(gaussians, batch)
        images, coverage = (x.movedim(-1, -3) for x in (result.color, result.alpha))
        color_loss = mse(images, batch.target_images)
        alpha_loss = mse(coverage, batch.target_alpha)
        loss = color_loss + config.alpha_weight * alpha_loss
        parts = {
            "mse": color_loss,
            "alpha_mse": alpha_loss,
            "psnr_db": psnr(images.detach(), batch.target_images).mean(),
        }
        if config.depth_weight > 0:
            parts["depth"] = depth_loss(result.depth.movedim(-1, -3), coverage, batch.target_depth)
            loss = loss + config.depth_weight * parts["depth"]
        if config.opacity_weight > 0:
            parts["opacity"] = gaussians.opacities.mean()
            loss = loss + config.opacity_weight * parts["opacity"]
        if self._lpips is not None:
            parts["lpips"] = images.new_zeros(())
            if step >= config.perceptual_after:
                parts["lpips"] = self._perceptual(images, batch.target_images, generator)
                loss = loss + config.perceptual_weight * parts["lpips"]
        return loss, {name: value.detach() for name, value in parts.items()}

    def _render(self, gaussians: Gaussians, batch: GslrmBatch) -> RenderResult:
        height, width = batch.target_images.shape[-2:]
        with_depth = self.config.depth_weight > 0

        def draw(cam_from_world: Tensor, K: Tensor, *numbers: Tensor) -> tuple[Tensor, ...]:
            result = render(
                Gaussians(*numbers), cam_from_world, K, width, height,
                background=batch.background[:, None], mode="RGB+ED" if with_depth else "RGB",
            )  # fmt: skip
            pictures = (result.color, result.alpha, result.depth)
            return pictures if with_depth else pictures[:2]

        cameras = (batch.target_cam_from_world, batch.target_K)
        numbers = tuple(getattr(gaussians, field.name) for field in fields(Gaussians))
        if self._deferred:
            each = [
                checkpoint(draw, *(c[:, v : v + 1] for c in cameras), *numbers, use_reentrant=False)
                for v in range(batch.target_images.shape[1])
            ]
            pictures = tuple(torch.cat(parts, dim=1) for parts in zip(*each))
        else:
            pictures = draw(*cameras, *numbers)
        return RenderResult(*pictures, *([] if with_depth else [None]))

    def _perceptual(self, images: Tensor, targets: Tensor, generator: torch.Generator) -> Tensor:
        count = images.shape[1]
        wanted = min(self.config.perceptual_views or count, count)
        order = torch.randperm(count, generator=generator, device=generator.device)
        chosen = order[:wanted].to(images.device)
        lpips = self._lpips.to(images.device)
        return lpips(images[:, chosen].clamp(0, 1), targets[:, chosen]).mean()


def depth_loss(depth: Tensor, coverage: Tensor, target: Tensor) -> Tensor:
    """Distance of rendered depth from the truth, where both have a surface; a scalar.

    Args:
        depth: [..., 1, H, W] rendered, in scene units.
        coverage: [..., 1, H, W] rendered alpha.
        target: [..., 1, H, W] true, 0 where nothing is.
    """
    seen = (target > 0) & (coverage.detach() > _MIN_COVERAGE)
    errors = smooth_l1_loss(depth, target, beta=DEPTH_SOFTENING, reduction="none")
    return (errors * seen).sum() / seen.sum().clamp_min(1)
