"""`Predictor`: a prepared photo through both models, six views and then Gaussians."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from infer.config import LiftConfig, PruneConfig
from infer.preprocess import PreparedPhoto
from infer.weights import WeightSet
from synth.camera import CANONICAL_VIEWS, Camera, canonical_six, stack
from synth.color import rgba8_from_float
from synth.config import from_dict
from synth.errors import CheckpointError, InputError
from train import checkpoint
from train.device import resolve_device
from train.diffusion.pipeline import MultiViewPipeline
from train.gaussians import Gaussians
from train.gslrm.config import GslrmConfig
from train.gslrm.model import GSLRM

Progress = Callable[[str, int, int], None]
"""Told what is being done, how many steps of it are done, and out of how many."""


def no_progress(stage: str, done: int, total: int) -> None:
    """A `Progress` that tells nobody."""


@dataclass(frozen=True, eq=False)
class Lifted:
    """A head lifted from one photo.

    Attributes:
        views: [6, H, W, 3] uint8, sRGB, on white: what the diffusion model painted, in the order
            of `synth.camera.CANONICAL_VIEWS`.
        gaussians: the N that are left after pruning, in world coordinates, on the CPU.
        predicted_count: how many there were before.
        cameras: of the six views.
        timings: seconds by stage.
    """

    views: np.ndarray
    gaussians: Gaussians
    predicted_count: int
    cameras: tuple[Camera, ...]
    timings: dict[str, float]


class Predictor:
    """Both models on a device, ready to lift.

    Args:
        weights: where the models come from.
        config: seed, steps, guidance, pruning and device.

    Raises:
        CheckpointError: weights are damaged, or the models do not fit together.
        DeviceError: the device is not there.
    """

    def __init__(self, weights: WeightSet, config: LiftConfig) -> None:
        self.config = config
        self.device = resolve_device(config.device)
        self.pipeline = MultiViewPipeline.load(
            weights.diffusion.path, weights.vae.path, str(self.device)
        )
        self.pipeline.model.eval()
        self.pipeline.autoencoder.eval()
        reconstructor, gslrm = load_reconstructor(weights.gslrm.path)
        self.reconstructor = reconstructor.to(self.device).eval()
        self.reconstructor_size = gslrm.image_size
        names = tuple(name for name, _ in CANONICAL_VIEWS)
        if tuple(self.pipeline.model.config.views) != names:
            raise CheckpointError(
                f"{weights.diffusion.path} paints the views {self.pipeline.model.config.views}; "
                f"lifting needs the canonical six, {names}"
            )

    @property
    def size(self) -> int:
        """Side in pixels of the photos that the diffusion model takes."""
        return self.pipeline.image_size

    def lift(self, photo: PreparedPhoto, progress: Progress = no_progress) -> Lifted:
        """Lift one photo; the result depends on nothing but the photo, weights and configuration.

        Args:
            photo: prepared at `size`.
            progress: told of every step of the diffusion model.

        Raises:
            InputError: the photo has another size.
        """
        if photo.size != self.size:
            raise InputError(
                f"{photo.photo_name}: prepared at {photo.size} px, the models want {self.size}"
            )
        image = torch.from_numpy(photo.on_white()).permute(2, 0, 1).float() / 255.0
        start = time.perf_counter()
        with torch.inference_mode():
            views = self.pipeline(
                image, seed=self.config.seed, steps=self.config.steps,
                guidance=self.config.guidance,
                progress=lambda done, total: progress("six views", done, total),
            )  # fmt: skip
            self._wait()
            painted = time.perf_counter()
            gaussians = self.reconstruct(self._with_photo(views, image))
            self._wait()
        kept = prune(gaussians, self.config.prune)
        finished = time.perf_counter()
        return Lifted(
            views=rgba8_from_float(views.permute(0, 2, 3, 1).float().cpu().numpy()),
            gaussians=kept.to("cpu"),
            predicted_count=gaussians.count,
            cameras=canonical_six(self.size),
            timings={"views_s": painted - start, "gaussians_s": finished - painted},
        )

    def reconstruct(self, views: Tensor) -> Gaussians:
        """The reconstructor on the canonical six views, at the size it was trained at.

        Args:
            views: [6, 3, H, W] float in [0, 1], sRGB, on white.

        Returns:
            All N predicted Gaussians, unpruned, float32 on the device.
        """
        wanted = (self.reconstructor_size, self.reconstructor_size)
        if views.shape[-2:] != wanted:
            views = interpolate(views, wanted, mode="bicubic", antialias=True).clamp(0, 1)
        cam_from_world, K = stack(canonical_six(views.shape[-1]))
        batch = self.reconstructor(
            views[None].to(self.device, torch.float32),
            torch.from_numpy(cam_from_world)[None].to(self.device, torch.float32),
            torch.from_numpy(K)[None].to(self.device, torch.float32),
        )
        return batch[0].to(torch.float32)

    def _with_photo(self, views: Tensor, image: Tensor) -> Tensor:
        if not self.config.front_from_photo:
            return views
        return torch.cat([image[None].to(views), views[1:]])

    def _wait(self) -> None:
        if self.device.type == "cuda":  # not run here
            torch.cuda.synchronize(self.device)


def load_reconstructor(source: str | Path) -> tuple[GSLRM, GslrmConfig]:
    """The reconstructor of a run, checkpoint or export, with the configuration it was trained by.

    Raises:
        CheckpointError: there are no weights, or they do not fit their configuration.
    """
    weights, data, _ = checkpoint.load_weights(source)
    config = from_dict(GslrmConfig, data, where=str(source))
    model = GSLRM(config.model)
    checkpoint.load_into(model, weights, source)
    return model, config


def prune(gaussians: Gaussians, config: PruneConfig) -> Gaussians:
    """Drop what a viewer would not show or should not: faint, foggy and far Gaussians.

    Args:
        gaussians: N of them, no batch.
        config: the limits.

    Returns:
        Those that pass all limits, in their order; at least one (the most opaque), so that a file
        is never empty.
    """
    keep = gaussians.opacities > config.min_opacity
    keep &= gaussians.scales.amax(dim=-1) <= config.max_scale
    keep &= gaussians.means.abs().amax(dim=-1) <= config.half_extent
    keep &= torch.isfinite(gaussians.means).all(dim=-1)
    if not bool(keep.any()):
        keep[int(gaussians.logit_opacities.argmax())] = True
    if config.max_gaussians is not None and int(keep.sum()) > config.max_gaussians:
        logits = gaussians.logit_opacities.masked_fill(~keep, -torch.inf)
        keep = torch.zeros_like(keep)
        keep[logits.topk(config.max_gaussians).indices] = True
    return gaussians[keep]
