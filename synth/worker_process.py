"""A process of Blender as its parent sees it: job directory, environment, time limit, last words.

What the process is asked to do is the business of `synth.launch` (render a shard) and
`synth.asset_probe` (look at a file of a user).
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import synth.errors
from synth.config import atomic_write, canonical_json
from synth.errors import HeadloomError, RenderCrashed, RenderError, RenderTimeout
from synth.unfinished import scratch_directory

LOG_NAME, ERROR_NAME, PROGRESS_NAME = "worker.log", "error.json", "progress.json"
CAPTURED_PREFIX = "captured-"
"""Begins the name of the file in the job directory that holds what Blender prints in a render."""

OUT_OF_MEMORY = re.compile(
    r"out of [\w ]*memory|not enough memory|bad_alloc|alloc returns null"
    r"|(cannot|can't|could not|failed to|unable to) allocate"
    r"|(memory|texture) allocation (fail|error)",
    re.IGNORECASE,
)
"""What Python, Blender, Cycles and drivers print when there is no more memory, of CPU or GPU."""

_LOG_TAIL_CHARACTERS, _CAPTURED_CHARACTERS = 4000, 1000
_POLL_S = 0.5
_LAST_GASP_S = 60.0
"""A killed process that is still there after this time hangs in the kernel, in the driver of a GPU
or on a mount that does not answer: it ends when that lets it, and must not hold up its parent."""
_GPU_VARIABLES = (
    "CUDA_VISIBLE_DEVICES",  # CUDA, OptiX
    "HIP_VISIBLE_DEVICES",
    "ZE_AFFINITY_MASK",  # oneAPI
)
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_SENT_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Signals that a head cannot cause: someone, or the kernel in need of memory, ended the process."""


@dataclass(frozen=True)
class Progress:
    """`progress.json`: how far a process that renders several heads has come.

    Attributes:
        done: heads that it is through with.
        rendered: those of them that there are pictures of; others failed or were skipped.
        spec_id: the head in work.
    """

    done: int
    rendered: int
    spec_id: str

    def save(self, directory: Path) -> None:
        """Write it into the job directory."""
        write_json(directory / PROGRESS_NAME, self)

    @classmethod
    def load(cls, directory: Path) -> Progress | None:
        """The last state that was written, or None before the first."""
        try:
            return cls(**json.loads((directory / PROGRESS_NAME).read_text()))
        except FileNotFoundError:
            return None


def write_json(path: Path, value: Any) -> None:
    """Write a message to the other process in one step: it sees all of it or nothing."""
    with atomic_write(path) as file:
        file.write(canonical_json(value).encode())


@contextmanager
def job_directory(what: str) -> Iterator[Path]:
    """A `scratch_directory` for one worker.

    Args:
        what: names the work in messages.

    Raises:
        RenderCrashed: none can be made.
    """
    with ExitStack() as stack:
        with trouble_of_this_machine(what):
            directory = stack.enter_context(scratch_directory("render"))
        yield directory


@contextmanager
def trouble_of_this_machine(what: str) -> Iterator[None]:
    """A full /tmp or a process that cannot be started: worth a try on another machine, and not to
    be mistaken for trouble of the dataset's storage.

    Raises:
        RenderCrashed: for every OSError in the block.
    """
    try:
        yield
    except OSError as error:
        raise RenderCrashed(
            f"{what}: no worker can be started here: {error}; check that {tempfile.gettempdir()} "
            "can be written and has space left"
        ) from error


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
    on_progress: Callable[[Progress], None] = lambda _: None,
    memory_limit_bytes: int | None = None,
) -> int:
    """Exit code of the worker, which has ended (or was killed) when this returns or raises.

    Args:
        directory: its job directory, which also receives the log.
        command: starts it; the job directory and this process' pid are appended.
        environment: as from `worker_environment`.
        timeout_s: it is killed after this many seconds.
        what: names the work in messages.
        on_progress: told in this thread when the worker has come further, within half a second.
        memory_limit_bytes: it is killed when it has allocated more.

    Raises:
        RenderTimeout, RenderCrashed: it was killed.
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
    deadline = time.monotonic() + timeout_s
    last = None
    try:
        while (left_s := deadline - time.monotonic()) > 0:
            try:
                return process.wait(min(left_s, _POLL_S))
            except subprocess.TimeoutExpired:
                progress = Progress.load(directory)
            if progress is not None and progress != last:
                last = progress
                on_progress(progress)
            if memory_limit_bytes is not None:
                allocated = _allocated_bytes(process.pid)
                if allocated > memory_limit_bytes:
                    raise _too_large(directory, allocated, memory_limit_bytes, what)
    finally:
        if process.poll() is None:
            process.kill()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_LAST_GASP_S)
    raise _timeout(directory, timeout_s, what)


def _allocated_bytes(pid: int) -> int:
    """Private writable memory of a process, within a fifth of what is resident
    (docs/decisions.md); 0 if it has just ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return 0
    found = re.search(r"^VmData:\s*(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def _too_large(directory: Path, allocated: int, limit: int, what: str) -> RenderCrashed:
    """The kernel could enforce the limit (RLIMIT_DATA), but then Cycles gets no memory for a mesh,
    says nothing, and renders the picture without it."""
    progress = Progress.load(directory)
    where = f" in head {progress.spec_id}" if progress else ""
    error = RenderCrashed(
        f"{what}: out of memory{where}: Blender was killed at {allocated / 1e9:.2f} GB, "
        f"it may allocate {limit / 1e9:.2f} GB; more by memory_gb of its pool",
        spec_id=progress.spec_id if progress else None,
    )
    return _with_log(error, directory)


def _timeout(directory: Path, timeout_s: float, what: str) -> RenderTimeout:
    progress = Progress.load(directory)
    where = f" in head {progress.spec_id}, {progress.done} heads done" if progress else ""
    error = RenderTimeout(
        f"{what}: the Blender process was killed after {timeout_s:.0f} s{where}; "
        "raise the limit if the heads are that slow"
    )
    error.spec_id = progress and progress.spec_id
    return _with_log(error, directory)


def worker_failure(directory: Path, exit_code: int, what: str) -> HeadloomError:
    """The typed error of the worker, or a crash."""
    try:
        data = json.loads((directory / ERROR_NAME).read_text())
    except FileNotFoundError:
        return _crash(directory, exit_code, what)
    kind = getattr(synth.errors, data["type"], RenderError)
    error = kind(f"{what}: {data['message']}")
    error.spec_id = data["spec_id"]
    return _with_log(error, directory)


def _crash(directory: Path, exit_code: int, what: str) -> RenderCrashed:
    how = f"ended by signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"
    if OUT_OF_MEMORY.search(_log_tail(directory)):
        how += ", out of memory"
    elif -exit_code == signal.SIGKILL:
        how += ": someone, or the kernel for want of memory, killed it"
    progress = Progress.load(directory)
    where = f" in head {progress.spec_id}" if progress else ""
    error = RenderCrashed(
        f"{what}: the Blender process ended without a result{where} ({how})", exit_code=exit_code
    )
    # An exit code is Python's: it could not even write why, so the disk is to blame, not the head.
    if progress and exit_code < 0 and -exit_code not in _SENT_FROM_OUTSIDE:
        error.spec_id = progress.spec_id
    return _with_log(error, directory)


def _with_log(error: HeadloomError, directory: Path) -> HeadloomError:
    """Attach the end of the log; the attribute survives pickling."""
    error.log_tail = _log_tail(directory)
    return error


def _log_tail(directory: Path) -> str:
    """The end of the log, below what Blender printed last if it died in a render."""
    ends = [_end_of(path, _CAPTURED_CHARACTERS) for path in directory.glob(f"{CAPTURED_PREFIX}*")]
    if (directory / LOG_NAME).exists():
        ends.append(_end_of(directory / LOG_NAME, _LOG_TAIL_CHARACTERS))
    return "\n".join(ends)


def _end_of(path: Path, length: int) -> str:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - length))
        return file.read().decode("utf-8", "replace").strip()
