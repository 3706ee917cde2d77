"""The one training loop, for every model, without Ray.

The clock is `samples_seen`. Which heads a step holds, its noise, the learning rate and the decay of
the weight average follow from the seed and that number alone, so a run that is killed and started
again ends with the same bits as one left in peace (as in EDM2, Karras et al. 2024, arXiv
2312.02696). The contract with a model is `train.task`, offered here too: a task needs one import.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import torch
from torch import Tensor, nn

from synth.config import atomic_write, save_yaml, to_dict
from synth.errors import ConfigError
from synth.rng import derive_seed, stream
from train import checkpoint as checkpoints
from train.checkpoint import Checkpoint, TrainState
from train.curves import draw_curves
from train.data import HeadDataset
from train.device import Distributed, autocast
from train.ema import Ema, ema_decay
from train.loader import Prefetch, SampleOrder
from train.metrics_log import MetricsLog, last_record, read_metrics
from train.optimizer import learning_rate, make_optimizer
from train.progress import StepProgress
from train.task import FREE, Batch, Task, TaskConfig, TrainConfig

__all__ = ["Batch", "Task", "TaskConfig", "TrainConfig", "TrainSummary", "find_resume", "train"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainSummary:
    """What a call of `train` did.

    Attributes:
        run: the run directory.
        step, samples_seen: where the run stands, which is its end.
        resumed_from: step of the checkpoint it continued from, None for a fresh start.
        already_finished: nothing was left to do.
        seconds: wall time of this call.
        metrics: the last record of `metrics.jsonl`.
    """

    run: Path
    step: int
    samples_seen: int
    resumed_from: int | None
    already_finished: bool
    seconds: float
    metrics: dict[str, Any]


def free_fields() -> frozenset[str]:
    """Dotted names of the settings that a resumed run may change."""
    fields = dataclasses.fields(TrainConfig)
    return frozenset(f"train.{f.name}" for f in fields if f.metadata == FREE)


def find_resume(task: Task, dataset: HeadDataset, run: str | Path) -> Checkpoint | None:
    """The checkpoint that a call of `train` would continue from.

    Raises:
        CheckpointError: the run belongs to another model, configuration or dataset.
    """
    found = checkpoints.latest(run)
    if found is not None:
        wanted = _state(task, dataset, 0)
        checkpoints.check_same_run(found.state, wanted, run, free_fields())
    return found


def train(
    task: Task,
    dataset: HeadDataset,
    run: str | Path,
    *,
    held_out: HeadDataset | None = None,
    distributed: Distributed | None = None,
    progress: bool = True,
) -> TrainSummary:
    """Train until `task.config.train.steps`, from the newest checkpoint if there is one.

    Leaves in `run`: `config.yaml`, `metrics.jsonl`, `curves.png`, `previews/` and `checkpoints/`.

    Args:
        task: the model, its batches and its loss.
        dataset: the heads to train on, at the size of `task.config.image_size`.
        run: the run directory, on a disk that all processes see.
        held_out: heads for previews; None takes the training heads.
        distributed: this process among others; None is the only one, on the CPU.
        progress: show a progress line on stderr (main process).

    Raises:
        CheckpointError: `run` belongs to another model, configuration or dataset.
        ConfigError: the batch cannot be divided among the processes.
    """
    distributed = distributed or Distributed()
    run = Path(run)
    started = time.perf_counter()
    found = find_resume(task, dataset, run)
    trainer = _Trainer(task, dataset, run, held_out or dataset, distributed)
    resumed_from = found.state.step if found else None
    if found is not None and found.state.step >= task.config.train.steps:
        log.info("%s is finished: %d steps; nothing to do", run, found.state.step)
        done = found.state
        metrics = last_record(run / "metrics.jsonl")
        return TrainSummary(run, done.step, done.samples_seen, resumed_from, True, 0.0, metrics)
    trainer.start(found)
    trainer.fit(progress and distributed.is_main)
    return TrainSummary(
        run=run,
        step=trainer.step,
        samples_seen=trainer.samples_seen,
        resumed_from=resumed_from,
        already_finished=False,
        seconds=time.perf_counter() - started,
        metrics=last_record(run / "metrics.jsonl") if distributed.is_main else {},
    )


def _state(task: Task, dataset: HeadDataset, samples_seen: int) -> TrainState:
    return TrainState(
        kind=task.name,
        samples_seen=samples_seen,
        step=samples_seen // task.config.train.batch_size,
        config=to_dict(task.config),
        dataset={"id": dataset.dataset_id, "heads": len(dataset)},
    )


class _Trainer:
    """The state of one process while it trains: models, optimiser, clock and logs."""

    def __init__(
        self,
        task: Task,
        dataset: HeadDataset,
        run: Path,
        held_out: HeadDataset,
        distributed: Distributed,
    ):
        self.task, self.dataset, self.run = task, dataset, run
        self.held_out, self.distributed = held_out, distributed
        self.config: TrainConfig = task.config.train
        self.samples_seen = 0
        self._micro = _micro_batch_size(self.config, distributed.world_size)
        self._order = SampleOrder(len(dataset), self.config.seed)
        self._window = _Window(distributed)

    @property
    def step(self) -> int:
        """Optimiser steps so far."""
        return self.samples_seen // self.config.batch_size

    def start(self, found: Checkpoint | None) -> None:
        """Make model, average and optimiser, fresh or from a checkpoint."""
        torch.manual_seed(derive_seed(self.config.seed, 0, "train.init"))
        self.model = self.task.build_model()
        if found is None and self.config.initialise_from is not None:
            weights, _, _ = checkpoints.load_weights(self.config.initialise_from)
            checkpoints.load_into(self.model, weights, self.config.initialise_from)
        self.model.to(self.distributed.device).train()
        self.ema = Ema(self.model)
        self.optimizer = make_optimizer(self.model, self.config)
        if found is not None:
            checkpoints.restore(found, self.model, self.ema.model, self.optimizer)
            self.samples_seen = found.state.samples_seen
            log.info("resuming %s at step %d", self.run, self.step)
        # Order matters: compile the wrapped module, keep the plain one for state and average.
        self._callable = self.distributed.wrap(self.model)
        if self.config.compile:  # not run here on CUDA
            self._callable = torch.compile(self._callable)
        if self.distributed.is_main:
            self.run.mkdir(parents=True, exist_ok=True)
            checkpoints.remove_leftovers(self.run)
            save_yaml(self.task.config, self.run / "config.yaml")

    def fit(self, show_progress: bool) -> None:
        """Run the remaining steps."""
        main = self.distributed.is_main
        metrics = MetricsLog(self.run / "metrics.jsonl", self.samples_seen) if main else None
        batches = Prefetch(
            self._load, self._work(), self.config.loader_threads, self.config.prefetch_batches
        )
        line = StepProgress(self.task.name, self.config.steps, self.step, enabled=show_progress)
        try:
            while self.step < self.config.steps:
                self._step(batches)
                line.update(self.step, self._report(metrics))
        finally:
            line.close()
            batches.close()
            if metrics is not None:
                metrics.close()

    def _work(self) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Every micro-batch of this process to the end of the run: first sample, and its heads.

        A step's micro-batches are dealt out in turn: process r of n takes r, r + n, r + 2n ...
        """
        stride = self._micro * self.distributed.world_size
        first = self._micro * self.distributed.rank
        end = self.config.steps * self.config.batch_size
        for start in range(self.samples_seen, end, self.config.batch_size):
            for position in range(start + first, start + self.config.batch_size, stride):
                yield position, self._order.indices(position, self._micro)

    def _load(self, work: tuple[int, tuple[int, ...]]) -> tuple[int, Batch]:
        """Called in the loader's threads."""
        position, indices = work
        rng = stream(self.config.seed, position, "train.batch")
        return position, self.task.load_batch(self.dataset, indices, rng)

    def _step(self, batches: Prefetch[Any, tuple[int, Batch]]) -> None:
        """One optimiser step: all micro-batches of this process, then the update."""
        began = time.perf_counter()
        rounds = self.config.batch_size // (self._micro * self.distributed.world_size)
        self.optimizer.zero_grad(set_to_none=True)
        waited = 0.0
        for i in range(rounds):
            before = time.perf_counter()
            position, batch = batches.next()
            waited += time.perf_counter() - before
            if i + 1 < rounds:
                with self.distributed.without_sync(self._callable):
                    self._backward(position, batch, 1 / rounds)
            else:
                self._backward(position, batch, 1 / rounds)
        norm, skipped = self._update()
        self.samples_seen += self.config.batch_size
        self._window.end_step(norm, skipped, time.perf_counter() - began, waited)

    def _backward(self, position: int, batch: Batch, share: float) -> None:
        device = self.distributed.device
        torch.manual_seed(derive_seed(self.config.seed, position, "train.step"))
        generator = torch.Generator(device)
        generator.manual_seed(derive_seed(self.config.seed, position, "train.noise"))
        with autocast(device, self.config.precision):
            loss, metrics = self.task.loss(self._callable, batch.to(device), generator, self.step)
        (loss * share).backward()
        self._window.add({"loss": loss, **metrics}, share)

    def _update(self) -> tuple[float, bool]:
        """Clip and apply the gradient; a bad one is dropped by all processes alike."""
        rate = learning_rate(self.config, self.samples_seen)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        norm = float(nn.utils.clip_grad_norm_(parameters, self.config.grad_clip))
        limit = self.config.skip_norm
        bad = not math.isfinite(norm) or (limit is not None and norm > limit)
        skipped = self.distributed.any(bad)
        if not skipped:
            self.optimizer.step()
            self.ema.update(self.model, ema_decay(self.config.ema_decay, self.step))
        return norm, skipped

    def _report(self, metrics: MetricsLog | None) -> float | None:
        """Log and checkpoint where they are due, and return the loss if it was logged.

        A record is the mean since the last one. Since every checkpoint ends a record, a resumed run
        writes the same records as one that was never killed.
        """
        last = self.step == self.config.steps
        loss = None
        saving = last or self.step % self.config.checkpoint_every == 0
        if saving or self.step % self.config.log_every == 0:
            means = self._window.close()
            record = {
                "step": self.step,
                "samples_seen": self.samples_seen,
                "learning_rate": self.optimizer.param_groups[0]["lr"],
                **means,
            }
            loss = means["loss"]
            if metrics is not None:
                metrics.append(record)
        if saving and self.distributed.is_main:
            self._save()
        return loss

    def _save(self) -> None:
        """Pictures first, the checkpoint last: a step that has one has everything."""
        title = f"{self.task.name}: {self.step} of {self.config.steps} steps"
        draw_curves(read_metrics(self.run / "metrics.jsonl"), self.run / "curves.png", title)
        if self.config.preview:
            picture = self.task.preview(self.ema.model, self.held_out)
            if picture is not None:
                with atomic_write(self.run / "previews" / f"{self.step:08d}.png") as file:
                    file.write(iio.imwrite("<bytes>", picture, extension=".png"))
        checkpoints.save(
            self.run,
            _state(self.task, self.dataset, self.samples_seen),
            self.model,
            self.ema.model,
            self.optimizer,
            keep=self.config.keep_checkpoints,
        )


def check_workers(config: TrainConfig, world_size: int) -> None:
    """Check that the batch can be divided among the workers.

    Raises:
        ConfigError: it cannot; says which batch could.
    """
    _micro_batch_size(config, world_size)


def _micro_batch_size(config: TrainConfig, world_size: int) -> int:
    size = config.micro_batch_size or max(1, config.batch_size // world_size)
    if config.batch_size % (size * world_size):
        raise ConfigError(
            f"train.batch_size {config.batch_size} cannot be divided among {world_size} workers "
            f"in micro-batches of {size}; choose a multiple of {size * world_size}"
        )
    return size


class _Window:
    """Means of the logged quantities since the last record; tensors stay where they are."""

    def __init__(self, distributed: Distributed):
        self._distributed = distributed
        self._reset()

    def _reset(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._steps, self._skipped = 0, 0
        self._norm, self._seconds, self._waited = 0.0, 0.0, 0.0

    def add(self, values: dict[str, Tensor], share: float) -> None:
        """Add the scalars of one micro-batch, which is `share` of a step."""
        for name, value in values.items():
            scalar = value.detach().float() * share
            self._sums[name] = self._sums[name] + scalar if name in self._sums else scalar

    def end_step(self, norm: float, skipped: bool, seconds: float, waited: float) -> None:
        """Count a step."""
        self._steps += 1
        self._skipped += skipped
        self._norm += norm
        self._seconds += seconds
        self._waited += waited

    def close(self) -> dict[str, Any]:
        """The means over steps and processes since the last call; starts anew."""
        names = sorted(self._sums)
        totals = torch.stack([self._sums[name].reshape(()) for name in names])
        values = (self._distributed.mean(totals) / self._steps).tolist()
        record: dict[str, Any] = dict(zip(names, values))
        record["gradient_norm"] = self._norm / self._steps
        record["skipped"] = self._skipped
        record["seconds"] = round(self._seconds / self._steps, 6)
        record["wait_fraction"] = round(self._waited / max(self._seconds, 1e-9), 4)
        self._reset()
        return record
