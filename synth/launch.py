"""Renders one shard in a Blender process of its own: started, watched, judged, cleaned up.

The process is `synth.blender_scenes.worker`. It shares a job directory with its parent and puts the
shard in place by itself; the parent believes the shard on disk, not the exit code.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import synth.errors
from synth.config import atomic_write, canonical_json
from synth.errors import (
    DatasetMismatch,
    HeadloomError,
    RecordCorrupt,
    RenderCrashed,
    RenderError,
    RenderTimeout,
)
from synth.shardlayout import read_footer
from synth.spec import HeadSpec
from synth.unfinished import is_stale, remove_stale_temporaries, temporary_name

JOB_NAME, SPECS_NAME, LOG_NAME = "job.json", "specs.jsonl", "worker.log"
RESULT_NAME, ERROR_NAME = "result.json", "error.json"
WORKER_COMMAND = (sys.executable, "-m", "synth.blender_scenes.worker")
"""Starts a worker; the job directory and the parent's pid are appended."""

_LOG_TAIL_CHARACTERS = 4000
_GPU_VARIABLES = (
    "CUDA_VISIBLE_DEVICES",  # CUDA, OptiX
    "HIP_VISIBLE_DEVICES",
    "ZE_AFFINITY_MASK",  # oneAPI
)
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

Device = Literal["CPU", "OPTIX", "CUDA", "HIP", "ONEAPI", "METAL"]


@dataclass(frozen=True)
class RenderJob:
    """`job.json`: what the worker must know beside the specs.

    Attributes:
        out: the shard to write.
        threads: CPU threads of the process.
        dataset_id: id for the footer of the shard.
        device: Cycles device; a GPU is never replaced silently.
        asset_store: where the user's assets lie that specs name, or None.
        node: names the machine, for `meta.json`.
    """

    out: Path
    threads: int = 1
    dataset_id: str = ""
    device: Device = "CPU"
    asset_store: Path | None = None
    node: str = ""


@dataclass(frozen=True)
class ShardResult:
    """A committed shard.

    Attributes:
        path: the shard.
        spec_ids: its heads.
        wall_s: seconds from the start of the process to its end; 0 if the shard was there.
        head_s: seconds for each head, empty if the shard was there.
        peak_rss_bytes: largest resident memory of the process, or 0.
        node: the machine that `render_shard` was told it runs on.
    """

    path: Path
    spec_ids: tuple[str, ...]
    wall_s: float = 0.0
    head_s: tuple[float, ...] = ()
    peak_rss_bytes: int = 0
    node: str = ""

    @property
    def head_count(self) -> int:
        return len(self.spec_ids)


def render_shard(
    specs: Sequence[HeadSpec],
    out: str | Path,
    *,
    threads: int = 1,
    gpu_ids: Sequence[int | str] = (),
    device: Device = "CPU",
    timeout_s: float = 3600.0,
    dataset_id: str = "",
    asset_store: Path | None = None,
    node: str | None = None,
    command: Sequence[str] = WORKER_COMMAND,
) -> ShardResult:
    """Render heads into one shard.

    A shard that is already there with exactly these heads is left alone; one with some of them (a
    dataset that was extended) is replaced when the new one is complete.

    Args:
        specs: the heads, in the order of the shard.
        out: the shard file.
        threads: CPU threads of the process, at least 1.
        gpu_ids: the GPUs that the process may see; empty hides all.
        device: Cycles device.
        timeout_s: the process is killed after this many seconds.
        dataset_id: kept in the shard.
        asset_store: where the user's assets lie that the specs name.
        node: names this machine in `meta.json`; None for its host name.
        command: starts the worker process.

    Raises:
        RenderCrashed, RenderTimeout: worth a retry.
        RenderError, SpecError, AssetError, DeviceError: the worker says that this cannot work.
        DatasetMismatch, RecordCorrupt: another or a damaged shard is in the way.
    """
    out = Path(out).absolute()
    wanted = tuple(spec.spec_id for spec in specs)
    if not wanted:
        raise ValueError("a shard needs at least one head")
    if _is_committed(out, wanted):
        return ShardResult(out, wanted)
    out.parent.mkdir(parents=True, exist_ok=True)
    directory = make_job_directory()
    try:
        node = node or socket.gethostname()
        job = RenderJob(out, threads, dataset_id, device, asset_store, node)
        _write_job(directory, specs, job)
        started = time.perf_counter()
        environment = worker_environment(directory, threads, gpu_ids)
        exit_code = None
        try:
            exit_code = run_worker(directory, command, environment, timeout_s, out.name)
        finally:
            if exit_code != 0:
                remove_stale_temporaries(out.parent)
        wall_s = time.perf_counter() - started
        if not _is_committed(out, wanted):
            raise worker_failure(directory, exit_code, out.name)
        return _result(directory, out, wanted, wall_s, node)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _is_committed(out: Path, wanted: tuple[str, ...]) -> bool:
    """Whether the shard is in place; a foreign or damaged file in its place is an error."""
    try:
        present = read_footer(out).spec_ids
    except FileNotFoundError:
        return False
    if present == wanted:
        return True
    if set(present) < set(wanted):
        return False
    raise DatasetMismatch(
        f"{out} holds heads {', '.join(present)} and would be replaced by {', '.join(wanted)}; "
        "move it away or render into another directory"
    )


def make_job_directory() -> Path:
    """A directory on local disk for one worker; those of killed parents are removed on the way."""
    parent = Path(tempfile.gettempdir())
    for path in parent.glob(".headloom-render.*.tmp"):
        if is_stale(path):
            shutil.rmtree(path, ignore_errors=True)
    directory = parent / temporary_name("headloom-render")
    directory.mkdir(mode=0o700)
    return directory


def _write_job(directory: Path, specs: Sequence[HeadSpec], job: RenderJob) -> None:
    with atomic_write(directory / JOB_NAME) as file:
        file.write(canonical_json(job).encode())
    with atomic_write(directory / SPECS_NAME) as file:
        for spec in specs:
            file.write(canonical_json(spec).encode() + b"\n")


def worker_environment(
    directory: Path, threads: int, gpu_ids: Sequence[int | str] = ()
) -> dict[str, str]:
    """The worker sees the GPUs it was given and no others, and its libraries know its threads.

    Temporary files (Blender makes a directory at every start and a killed one leaves it) go to the
    job directory, which the parent removes.
    """
    visible = ",".join(str(gpu) for gpu in gpu_ids)
    return {
        **os.environ,
        **dict.fromkeys(_GPU_VARIABLES, visible),
        **dict.fromkeys(_THREAD_VARIABLES, str(threads)),
        "TMPDIR": str(directory),
        "PYTHONUNBUFFERED": "1",
    }


def run_worker(
    directory: Path,
    command: Sequence[str],
    environment: dict[str, str],
    timeout_s: float,
    what: str,
) -> int:
    """Exit code of the worker, which has ended when this returns or raises.

    Args:
        directory: its job directory, which also receives the log.
        command: starts it; the job directory and this process' pid are appended.
        environment: as from `worker_environment`.
        timeout_s: it is killed after this many seconds.
        what: names the work in messages.

    Raises:
        RenderTimeout: it was killed.
    """
    # Appending: Blender, Cycles and Python write through several handles.
    with (directory / LOG_NAME).open("ab") as log:
        process = subprocess.Popen(
            [*command, str(directory), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
        )
    try:
        return process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        error = RenderTimeout(
            f"{what}: the Blender process was killed after {timeout_s:.0f} s; "
            "raise the limit if the heads are that slow"
        )
        raise _with_log(error, directory) from None
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def worker_failure(directory: Path, exit_code: int, what: str) -> HeadloomError:
    """The typed error of the worker, or a crash."""
    try:
        error = json.loads((directory / ERROR_NAME).read_text())
    except FileNotFoundError:
        how = f"ended by signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"
        return RenderCrashed(
            f"{what}: the Blender process ended without a result ({how})",
            exit_code=exit_code,
            log_tail=_log_tail(directory),
        )
    message = f"{what}: {error['message']}"
    kind = getattr(synth.errors, error["type"], RenderError)
    if issubclass(kind, RenderCrashed):
        return RenderCrashed(message, exit_code=exit_code, log_tail=_log_tail(directory))
    return _with_log(kind(message), directory)


def _with_log(error: HeadloomError, directory: Path) -> HeadloomError:
    """Attach the end of the log; the attribute survives pickling."""
    error.log_tail = _log_tail(directory)
    return error


def _log_tail(directory: Path) -> str:
    try:
        with (directory / LOG_NAME).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _LOG_TAIL_CHARACTERS))
            return file.read().decode("utf-8", "replace").strip()
    except FileNotFoundError:
        return ""


def _result(
    directory: Path, out: Path, spec_ids: tuple[str, ...], wall_s: float, node: str
) -> ShardResult:
    """The result file is written before the shard is committed, so it is there."""
    try:
        data = json.loads((directory / RESULT_NAME).read_text())
    except (FileNotFoundError, ValueError) as error:
        raise RecordCorrupt(f"{out} was committed, but {RESULT_NAME} is unreadable") from error
    return ShardResult(
        path=out,
        spec_ids=spec_ids,
        wall_s=wall_s,
        head_s=tuple(head["timings_s"]["head_s"] for head in data["heads"]),
        peak_rss_bytes=data["peak_rss_bytes"],
        node=node,
    )
