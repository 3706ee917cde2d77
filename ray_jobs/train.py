"""Trains a model with Ray Train: places the workers, restarts them, shows progress.

Everything else is `train.loop`, which knows no Ray. Whatever is killed (a worker, a node, the
driver), running the command again continues from the newest checkpoint.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray_jobs.cluster import ClusterInfo, connect
from synth.errors import ConfigError, HeadloomError, TrainCrashed
from synth.lock import exclusive
from synth.storage import Place, place

MAX_FAILURES = 2
"""How often a lost worker group is started again before the command fails."""
POLL_S = 0.5
RAY_STORAGE = ".ray"


@dataclass(frozen=True)
class TrainResult:
    """What a call of `train` did; prints as one line for a person.

    Attributes:
        run: the run directory.
        kind: the model.
        steps: steps of the finished run.
        resumed_from: step of the checkpoint it continued from, None for a fresh start.
        already_finished: nothing was left to do.
        seconds: wall time, with the start of the workers.
        metrics: the last record of `metrics.jsonl`.
    """

    run: Path
    kind: str
    steps: int
    resumed_from: int | None
    already_finished: bool
    seconds: float
    metrics: dict[str, Any]

    def __str__(self) -> str:
        loss = self.metrics.get("loss")
        shown = f", loss {loss:.4g}" if loss is not None else ""
        if self.already_finished:
            return f"{self.run}: {self.kind} is finished ({self.steps} steps{shown})"
        resumed = f", resumed at step {self.resumed_from}" if self.resumed_from else ""
        return (
            f"{self.run}: {self.kind}, {self.steps} steps in {self.seconds:.0f} s{resumed}{shown}"
        )


@dataclass(frozen=True)
class _Job:
    """All that a worker needs to know; travels through Ray."""

    kind: str
    config: Any
    data: Place
    run: Path
    working_directory: Path
    use_gpu: bool
    threads: int


def resolve_config(
    kind: str, source: str | Path | None = None, overrides: Sequence[str] = ()
) -> Any:
    """The configuration of a model; see `train.registry.resolve_config`."""
    from train import registry

    return registry.resolve_config(kind, source, overrides)


def train(
    kind: str,
    config_source: str | Path | None,
    overrides: Sequence[str],
    data: str | Place,
    out: str | Path,
    *,
    num_workers: int = 1,
    use_gpu: bool = False,
    address: str | None = None,
    cpus_per_worker: int | None = None,
    progress: bool = True,
) -> TrainResult:
    """Train a model, or continue; a finished run returns at once, without starting Ray.

    Args:
        kind: "vae", "diffusion" or "gslrm".
        config_source: preset name, YAML file, or None for the defaults.
        overrides: `a.b=value` each.
        data: dataset directory or URL; on a cluster, a place that all nodes see.
        out: run directory, likewise.
        num_workers: training processes; the batch of the configuration is divided among them.
        use_gpu: one GPU for each.
        address: of a running cluster; None starts one on this machine.
        cpus_per_worker: CPUs and threads of each; None divides those of a machine.
        progress: show a progress line on stderr.

    Raises:
        ConfigError: configuration, workers or resources do not fit.
        CheckpointError: `out` belongs to another model, configuration or dataset.
        InputError, RecordError: the data cannot be read, or another process trains into `out`.
        TrainCrashed: worker processes died and did not come back.
        ray.train.TrainingFailedError: any other failure of the workers: a bug.
    """
    from train.data import HeadDataset
    from train.loop import check_workers, find_resume
    from train.metrics_log import MetricsLog, last_record
    from train.registry import make_task

    started = time.monotonic()
    data, out = place(data).absolute(), Path(out).absolute()
    config = resolve_config(kind, config_source, overrides)
    check_workers(config.train, num_workers)
    task = make_task(kind, config)
    dataset = HeadDataset(data, config.train.split, config.image_size, task.passes)
    found = find_resume(task, dataset, out)
    resumed_from = found.state.step if found else None
    log_path = out / "metrics.jsonl"
    finished = resumed_from == config.train.steps
    if not finished:
        with exclusive(out), connect(address) as cluster:
            # Also cuts back what an earlier, killed run logged after its last checkpoint.
            MetricsLog(log_path, found.state.samples_seen if found else 0).close()
            threads = cpus_per_worker or _cpus_per_worker(cluster, num_workers)
            _check_resources(cluster, num_workers, threads, use_gpu)
            job = _Job(kind, config, data, out, Path.cwd(), use_gpu, threads)
            with _follow(log_path, kind, config.train.steps, resumed_from or 0, progress):
                _fit(job, num_workers)
    return TrainResult(
        run=out,
        kind=kind,
        steps=config.train.steps,
        resumed_from=resumed_from,
        already_finished=finished,
        seconds=time.monotonic() - started,
        metrics=last_record(log_path),
    )


def _cpus_per_worker(cluster: ClusterInfo, num_workers: int) -> int:
    """An even share of the smallest machine for the workers that land on it."""
    per_node = -(-num_workers // len(cluster.nodes))
    return max(1, int(min(node.cpus for node in cluster.nodes)) // per_node)


def _check_resources(cluster: ClusterInfo, num_workers: int, cpus: int, use_gpu: bool) -> None:
    """Refuse what Ray would wait for in vain.

    Raises:
        ConfigError: says what is wanted and what there is.
    """
    cluster.require(cpus=cpus, memory_bytes=0, gpus=float(use_gpu))
    gpus = sum(node.gpus for node in cluster.nodes)
    if num_workers * cpus > cluster.cpus or (use_gpu and num_workers > gpus):
        gpu_text = f" and {num_workers} GPUs" if use_gpu else ""
        raise ConfigError(
            f"{num_workers} workers need {num_workers * cpus} CPUs{gpu_text}; the cluster has "
            f"{cluster.cpus:g} CPUs and {gpus:g} GPUs. Use fewer --workers"
        )


def _fit(job: _Job, num_workers: int) -> None:
    """Run the workers to the end.

    Raises:
        HeadloomError: the error of a worker, as it was raised there.
        TrainCrashed: workers died, more than `MAX_FAILURES` times.
        ray.train.TrainingFailedError: any other failure, after `MAX_FAILURES` restarts.
    """
    from ray import train as ray_train
    from ray.train.torch import TorchConfig, TorchTrainer

    trainer = TorchTrainer(
        _work,
        train_loop_config={"job": job},
        torch_config=TorchConfig(backend="nccl" if job.use_gpu else "gloo"),
        scaling_config=ray_train.ScalingConfig(
            num_workers=num_workers,
            use_gpu=job.use_gpu,
            resources_per_worker={"CPU": job.threads, **({"GPU": 1} if job.use_gpu else {})},
        ),
        run_config=ray_train.RunConfig(
            name=f"{job.kind}-{time.time_ns()}",
            storage_path=str(job.run / RAY_STORAGE),
            failure_config=ray_train.FailureConfig(max_failures=MAX_FAILURES),
            logging_config=ray_train.LoggingConfig(log_level="ERROR"),
        ),
    )
    with _own_interrupt_handler():
        try:
            trainer.fit()
        except ray_train.TrainingFailedError as error:
            cause = _root_cause(error, job.run)
            if cause is None:
                raise
            raise cause from error
    shutil.rmtree(job.run / RAY_STORAGE)  # empty but for a marker: checkpoints are our own


@contextmanager
def _own_interrupt_handler() -> Iterator[None]:
    """Give Ctrl-C back afterwards: Ray Train takes it over and keeps it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _root_cause(error: Any, run: Path) -> HeadloomError | None:
    """The `HeadloomError` behind a failed training; None if a bug failed it."""
    from ray.exceptions import RayActorError

    failures = getattr(error, "worker_failures", {}).values() or [error.controller_failure]
    died = False
    for failure in failures:
        cause: BaseException | None = failure
        while cause is not None:
            if isinstance(cause, HeadloomError):
                return cause
            died = died or isinstance(cause, RayActorError)
            cause = getattr(cause, "cause", None) or cause.__cause__
    if not died:
        return None
    return TrainCrashed(
        f"{run}: a training process died and did not come back (out of memory? see dmesg); "
        "the same command resumes at the newest checkpoint, and a smaller train.micro_batch_size "
        "in another --out needs less memory"
    )


@contextmanager
def _follow(path: Path, kind: str, steps: int, done: int, enabled: bool) -> Iterator[None]:
    """Show the progress that the main worker writes to `metrics.jsonl`."""
    from train.metrics_log import last_record
    from train.progress import StepProgress

    line, stop = StepProgress(kind, steps, done, enabled=enabled), threading.Event()

    def show() -> None:
        record = last_record(path)
        if record and record["step"] >= done:
            line.update(record["step"], record["loss"])

    def watch() -> None:
        while not stop.wait(POLL_S):
            show()

    watcher = threading.Thread(target=watch, name="train-progress", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()
        show()
        line.close()


def _work(settings: dict[str, _Job]) -> None:
    """What every worker runs: the loop, as one of several."""
    import torch
    from ray import train as ray_train
    from ray.train.torch import get_device, prepare_model

    from train.data import HeadDataset
    from train.device import Distributed
    from train.loop import train as run_loop
    from train.registry import make_task

    class RayDistributed(Distributed):
        def wrap(self, model: torch.nn.Module) -> torch.nn.Module:
            return prepare_model(model, move_to_device=False)

    job = settings["job"]
    os.chdir(job.working_directory)  # relative paths in a configuration mean the user's directory
    torch.set_num_threads(job.threads)
    context = ray_train.get_context()
    distributed = RayDistributed(
        rank=context.get_world_rank(),
        world_size=context.get_world_size(),
        device=get_device() if job.use_gpu else torch.device("cpu"),
    )
    task = make_task(job.kind, job.config)
    dataset = HeadDataset(job.data, job.config.train.split, job.config.image_size, task.passes)
    run_loop(
        task,
        dataset,
        job.run,
        held_out=_held_out(job),
        distributed=distributed,
        progress=False,  # the driver shows it
    )


def _held_out(job: _Job) -> Any:
    """The validation heads for previews, or None: a small dataset may have none."""
    from synth.errors import InputError
    from train.data import HeadDataset

    if job.config.train.split != "train":
        return None
    try:
        return HeadDataset(job.data, "val", job.config.image_size)
    except InputError:
        return None
