"""The contract between the training loop and what it trains.

A `Task` knows a model, how a batch is made and what the loss is; `train.loop` knows everything else
(clock, optimiser, EMA, checkpoints, resume, logs). Neither knows Ray.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from train.data import HeadDataset

FREE = {"free": True}
"""Field metadata: the value does not change the trained weights, so a resumed run may change it."""


@dataclass(frozen=True)
class TrainConfig:
    """How a model is trained; the field `train` of every model's configuration.

    Attributes:
        steps: optimiser steps of the whole run; the cosine ends there.
        batch_size: heads per optimiser step, over all workers and micro-batches.
        micro_batch_size: heads per forward pass; None divides the batch evenly among the workers.
            Randomness is keyed by micro-batch, so with a fixed value here a run gives the same
            result on any number of workers (up to the rounding of sums).
        learning_rate: peak learning rate of AdamW.
        final_learning_rate: learning rate at the end of the cosine, as a fraction of the peak.
        warmup_steps: linear warm-up from 0.
        betas, epsilon, weight_decay: AdamW; the decay acts on matrices only, not on norms, biases
            and other one-dimensional parameters.
        grad_clip: the gradient is scaled down to this global norm.
        skip_norm: a step whose global gradient norm exceeds this is skipped on all workers, as is
            one whose norm is not finite; None skips the latter only.
        ema_decay: decay of the weight average per step; ramps up as (1 + step) / (10 + step).
        precision: "fp32", or "bf16" for autocast on CUDA or on a CPU.
        compile: wrap the model in `torch.compile`.
        seed: seed of initialisation, order, views, backgrounds and noise.
        split: "train", "val", "test" or "all": the heads that are trained on.
        initialise_from: run, checkpoint or export whose (EMA) weights the first step starts from.
        checkpoint_every, log_every: in steps.
        keep_checkpoints: how many of the last checkpoints stay on the disk.
        preview: write a preview picture with every checkpoint.
        loader_threads, prefetch_batches: threads that load, and batches loaded ahead.
    """

    steps: int = 1000
    batch_size: int = 1
    micro_batch_size: int | None = None
    learning_rate: float = 4e-4
    final_learning_rate: float = 0.0
    warmup_steps: int = 50
    betas: tuple[float, float] = (0.9, 0.95)
    epsilon: float = 1e-8
    weight_decay: float = 0.05
    grad_clip: float = 1.0
    skip_norm: float | None = None
    ema_decay: float = 0.999
    precision: Literal["fp32", "bf16"] = "fp32"
    seed: int = 0
    split: Literal["train", "val", "test", "all"] = "train"
    initialise_from: Path | None = None
    compile: bool = field(default=False, metadata=FREE)
    checkpoint_every: int = field(default=500, metadata=FREE)
    log_every: int = field(default=10, metadata=FREE)
    keep_checkpoints: int = field(default=2, metadata=FREE)
    preview: bool = field(default=True, metadata=FREE)
    loader_threads: int = field(default=1, metadata=FREE)
    prefetch_batches: int = field(default=2, metadata=FREE)

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "checkpoint_every", "log_every", "keep_checkpoints",
                     "loader_threads", "prefetch_batches"):  # fmt: skip
            if getattr(self, name) < 1:
                raise ValueError(f"train.{name} must be at least 1, got {getattr(self, name)}")
        if self.micro_batch_size is not None and (
            self.micro_batch_size < 1 or self.batch_size % self.micro_batch_size
        ):
            raise ValueError(
                f"train.micro_batch_size {self.micro_batch_size} does not divide "
                f"train.batch_size {self.batch_size}"
            )
        for name in ("learning_rate", "grad_clip", "epsilon"):
            if getattr(self, name) <= 0:
                raise ValueError(f"train.{name} must be positive, got {getattr(self, name)}")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"train.ema_decay must lie in [0, 1), got {self.ema_decay}")
        if self.warmup_steps < 0:
            raise ValueError(f"train.warmup_steps must not be negative, got {self.warmup_steps}")


class Batch(Protocol):
    """A frozen dataclass of tensors, made on the CPU."""

    def to(self, device: torch.device) -> Self:
        """The same batch on another device."""
        ...


class TaskConfig(Protocol):
    """A model's configuration: a frozen dataclass with (at least) these two fields."""

    @property
    def train(self) -> TrainConfig: ...

    @property
    def image_size(self) -> int:
        """Side in pixels that the dataset's pictures are reduced to before the task sees them."""
        ...


class Task(Protocol):
    """What the loop trains.

    A task must be deterministic: everything random comes from the generators it is handed (or from
    torch's global generator, which the loop seeds before `build_model` and before every `loss`),
    and nothing is remembered from one batch to the next. That makes resume exact.

    Attributes:
        name: "vae", "diffusion" or "gslrm"; stored in checkpoints as their kind.
        passes: ground truth that `load_batch` wants of the dataset, see `HeadDataset`.
        config: the model's frozen configuration, a `TaskConfig`.
    """

    name: str
    passes: tuple[str, ...]
    config: Any  # a TaskConfig; Any, since a Protocol's attribute is invariant

    def build_model(self) -> nn.Module:
        """The module that is trained, saved and averaged, on the CPU, freshly initialised.

        Frozen networks (a finished VAE under the diffusion model, VGG under a loss) are not part of
        it: the task holds them itself and moves them to the device of the batch.
        """
        ...

    def load_batch(
        self, dataset: HeadDataset, indices: Sequence[int], rng: np.random.Generator
    ) -> Batch:
        """Load a batch on the CPU: choose views and backgrounds, composite, augment.

        Called from a background thread; `dataset.load(index, views)` decodes chosen views only.
        """
        ...

    def loss(
        self, model: nn.Module, batch: Batch, generator: torch.Generator, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one batch, averaged over it, and scalars worth logging (same keys always).

        Args:
            model: the module of `build_model`, possibly compiled or wrapped for distributed
                training: call it as `model(...)` only, never `model.part(...)`.
            batch: on the device of the model.
            generator: for noise and timesteps, on the device of the model.
            step: optimiser steps before this one.
        """
        ...

    def preview(self, model: nn.Module, dataset: HeadDataset) -> np.ndarray | None:
        """A picture of what the model does: uint8 [H, W, 3], or None.

        Args:
            model: the plain module of `build_model` with averaged weights, in eval mode.
            dataset: held-out heads if there are any, else the training heads; never empty.
        """
        ...
