"""What a Blender process does between its first and its last breath: one shard, head by head."""

from __future__ import annotations

import ctypes
import faulthandler
import json
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from synth.asset_alignment import world_from_template
from synth.blender_scenes.log import raise_reported
from synth.blender_scenes.start import import_blender
from synth.config import from_dict
from synth.errors import DeviceError, HeadloomError, RenderCrashed, RenderError
from synth.headmodel import HeadShape
from synth.landmarks import HeadLandmarks
from synth.launch import JOB_NAME, RESULT_NAME, SPECS_NAME, RenderJob
from synth.record import ShardWriter
from synth.spec import HeadSpec
from synth.worker_process import ERROR_NAME, LOG_NAME, Progress, write_json


@dataclass(frozen=True, eq=False)
class RenderedHead:
    """What a renderer returns for one head.

    Attributes:
        rgba: per view [H, W, 4] uint8, sRGB, straight alpha.
        passes: per name one encoded file (or array) per view.
        files: per name and extension the bytes of a file of the whole head.
        meta: plain data for `meta.json`.
        timings_s: seconds of wall time by stage.
    """

    rgba: Sequence[np.ndarray]
    passes: Mapping[str, Sequence[bytes | np.ndarray]] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)
    timings_s: Mapping[str, float] = field(default_factory=dict)


RenderHead = Callable[[HeadSpec, RenderJob], RenderedHead]


def run(job_directory: str | Path, render_head: RenderHead) -> int:
    """Render the job; returns the exit code. Errors are left in `error.json`."""
    directory = Path(job_directory)
    # Blender's output is diverted while it renders; a crash then must still reach the log.
    crash_log = os.fdopen(os.dup(sys.stderr.fileno()), "wb")
    faulthandler.enable(crash_log)
    try:
        job = from_dict(RenderJob, json.loads((directory / JOB_NAME).read_text()), JOB_NAME)
        lines = (directory / SPECS_NAME).read_text().splitlines()
        specs = [HeadSpec.from_json_dict(json.loads(line)) for line in lines]
        with ShardWriter(job.out, dataset_id=job.dataset_id) as writer:
            heads = _render_all(specs, job, render_head, writer)
            result = {
                "heads": heads,
                "cpu_s": round(time.process_time(), 3),
                "peak_rss_bytes": _peak_rss_bytes(),
            }
            write_json(directory / RESULT_NAME, result)
        return 0
    except Exception as error:
        traceback.print_exc()
        spec_id = getattr(error, "spec_id", None)
        write_json(directory / ERROR_NAME, describe_error(error, spec_id))
        return 1


def _render_all(
    specs: Sequence[HeadSpec], job: RenderJob, render_head: RenderHead, writer: ShardWriter
) -> list[dict[str, Any]]:
    """Render head after head; one that cannot be rendered is noted as absent.

    Raises:
        Exception: the machine's fault, or the first error if no head that was tried succeeded.
    """
    log = LogScanner(job.out.parent / LOG_NAME)
    heads: list[dict[str, Any]] = []
    errors: list[Exception] = []
    for done, spec in enumerate(specs):
        Progress(done, spec.spec_id).save(job.out.parent)
        if spec.spec_id in job.skip:
            writer.add_absent(spec, "failed", job.skip[spec.spec_id])
            continue
        try:
            heads.append(_render_patiently(spec, job, render_head, writer, log))
        except Exception as error:
            error.spec_id = spec.spec_id
            if is_of_the_machine(error):
                raise
            errors.append(error)
            told = describe_error(error, spec.spec_id)
            writer.add_absent(spec, "failed", f"{told['type']}: {told['message']}")
    if errors and not heads:
        raise errors[0]
    return heads


def _render_patiently(
    spec: HeadSpec, job: RenderJob, render_head: RenderHead, writer: ShardWriter, log: LogScanner
) -> dict[str, Any]:
    """Render a head; once more if the first try failed for a reason that may have been chance.

    A picture that fails a check, a spec or an asset that will not do are no chance.
    """
    tries_left = 2
    while True:
        try:
            return _render_one(spec, job, render_head, writer, log)
        except Exception as error:
            traceback.print_exc()
            log.raise_out_of_memory(error)
            tries_left -= 1
            by_chance = type(error) is RenderError or not isinstance(error, HeadloomError)
            if is_of_the_machine(error) or not by_chance or not tries_left:
                raise


def _render_one(
    spec: HeadSpec, job: RenderJob, render_head: RenderHead, writer: ShardWriter, log: LogScanner
) -> dict[str, Any]:
    started = time.perf_counter()
    head = render_head(spec, job)
    log.raise_errors()
    rendered = time.perf_counter()
    timings = {**head.timings_s, "head_s": round(rendered - started, 4)}
    meta = {
        **head.meta,
        "timings_s": timings,
        "device": job.device,
        "node": job.node,
        "threads": job.threads,
        "versions": _versions(),
    }
    writer.add_head(spec, spec.resolved_cameras(), head.rgba, head.passes, meta, head.files)
    write_s = round(time.perf_counter() - rendered, 4)
    print(f"head {spec.spec_id}: {len(head.rgba)} views, {timings} s", flush=True)
    return {"spec_id": spec.spec_id, "timings_s": {**timings, "write_s": write_s}}


def render_with_blender(spec: HeadSpec, job: RenderJob) -> RenderedHead:
    """Build one head in an empty scene, check it, render all its views, check them."""
    clock = _Stopwatch()
    import_blender(job.threads)
    from synth.blender_scenes import build, checks, probe, render, session

    clock.lap("import_s")
    device_name = session.reset(spec, job.threads, job.device)
    clock.lap("reset_s")
    built = build.build_head(spec, job.asset_store)
    clock.lap("build_s")
    checks.before(spec, built)
    clock.lap("check_s")
    exposure = probe.set_exposure(spec, built)
    clock.lap("probe_s")
    views = render.render_views(spec, built)
    clock.lap("render_s")
    meta = {
        **checks.after(spec, views),
        "device_name": device_name,
        "exposure": asdict(exposure),
        "head": _pose(built.shape),
    }
    passes = {name: [view.passes[name] for view in views] for name in views[0].passes}
    files = {}
    if views[0].landmarks is not None:
        seen = np.stack([view.landmarks for view in views])
        files["landmarks.npz"] = HeadLandmarks.of(built.points, seen).to_bytes()
    parts = {f"build.{name}_s": seconds for name, seconds in built.timings_s.items()}
    timings = {**clock.laps, **parts}
    return RenderedHead([view.rgba for view in views], passes, files, meta, timings)


def _pose(shape: HeadShape | None) -> dict[str, Any]:
    """Where the head stands, as plain data; docs/dataset_format.md.

    A user's head lies as an average adult would: it has no shape here to say more.
    """
    if shape is None:
        matrix = world_from_template()
        rows = matrix.tolist()
        scale = float(matrix[0, 0])
        return {"units_per_metre": scale, "world_from_model": rows, "world_from_head": rows}
    world_from_head = shape.world_from_model @ shape.model_from_rest_head
    return {
        "units_per_metre": shape.units_per_metre,
        "world_from_model": shape.world_from_model.tolist(),
        "world_from_head": world_from_head.tolist(),
    }


class _Stopwatch:
    """Seconds between laps, by name."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = round(now - self._last, 4)
        self._last = now


# ------------------------------------------------------------------------------------------ errors


class LogScanner:
    """Finds errors that Blender and Cycles print but do not raise.

    Args:
        path: the file that stdout and stderr of this process go to.
    """

    def __init__(self, path: Path):
        self._path = path
        self._offset = 0

    def raise_errors(self) -> None:
        """Look at what was printed since the last call.

        Raises:
            AssetError, RenderCrashed, RenderError: the first line that reports an error.
        """
        raise_reported(self._new_text())

    def raise_out_of_memory(self, cause: Exception) -> None:
        """After an error of a head, ask whether the machine was the reason.

        What was printed up to now will not be looked at again: it belongs to that head.

        Args:
            cause: the error.

        Raises:
            RenderCrashed: something that was printed speaks of memory.
        """
        try:
            raise_reported(self._new_text())
        except RenderCrashed as error:
            raise error from cause
        except HeadloomError:
            pass  # the cause says it better

    def _new_text(self) -> str:
        flush_output()
        with self._path.open("rb") as file:
            file.seek(self._offset)
            text = file.read()
            self._offset = file.tell()
        return text.decode("utf-8", "replace")


def is_of_the_machine(error: Exception) -> bool:
    """Whether an error says nothing about the head that was rendered when it came: memory, disk,
    device. It ends the shard; any other costs only the head."""
    retryable = isinstance(error, HeadloomError) and error.retryable
    return retryable or isinstance(error, MemoryError | OSError | DeviceError)


def describe_error(error: Exception, spec_id: str | None) -> dict[str, Any]:
    """`error.json`: the type if it is one of ours, whether a retry may help, and the message.

    An error that is not ours is either the machine's (memory, disk: worth a retry) or a bug, which
    repeats itself. The disk is not the head's doing, so none is blamed for it.
    """
    where = f"head {spec_id}: " if spec_id else ""
    if isinstance(error, HeadloomError):
        kind, message = type(error).__name__, str(error)
    elif isinstance(error, MemoryError | OSError):
        kind, message = "RenderCrashed", f"{type(error).__name__}: {error}"
    else:
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(last.filename).name}:{last.lineno}"
        kind, message = "RenderError", f"{type(error).__name__} at {place}: {error}"
    if spec_id and spec_id in message:
        where = ""
    blamed = None if isinstance(error, OSError) else spec_id
    return {"type": kind, "message": f"{where}{message}", "spec_id": blamed}


def flush_output() -> None:
    """Flush what Python and C hold back, so that the log is complete up to now."""
    sys.stdout.flush()
    sys.stderr.flush()
    ctypes.CDLL(None).fflush(None)


def _peak_rss_bytes() -> int:
    """Largest resident memory of this program; `ru_maxrss` would start at that of the parent."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)[1]) * 1024


def _versions() -> dict[str, str]:
    return {name: metadata.version(name) for name in ("headloom", "bpy", "numpy")}
