"""The heads of one shard, one after the other: rendered, judged, written, or noted as absent."""

from __future__ import annotations

import re
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from synth.blender_scenes.worker_errors import LogScanner, describe_error, is_of_the_machine
from synth.camera import Camera
from synth.errors import HeadloomError, RenderError
from synth.launch import REJECTS_NAME, RESULT_NAME, RenderJob
from synth.quality import QualityControl, measure
from synth.record import ShardWriter
from synth.spec import HeadSpec
from synth.worker_process import LOG_NAME, Progress, write_json


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


def render_shard(
    specs: Sequence[HeadSpec], job: RenderJob, render_head: RenderHead, directory: Path
) -> None:
    """Render the heads of a shard and commit it, with `result.json` beside it.

    Args:
        specs: the heads.
        job: how they are rendered, and where to.
        render_head: renders one head.
        directory: the job directory.

    Raises:
        Exception: the machine's fault, or the first error if the shard would be left without a
            head. Its attribute `spec_id` names the head that was in work.
    """
    with ExitStack() as stack:
        path = directory / job.out
        writer = stack.enter_context(ShardWriter(path, dataset_id=job.dataset_id))
        run = _ShardRun(job, render_head, directory, writer, stack)
        for done, spec in enumerate(specs):
            Progress(done, len(run.results), spec.spec_id).save(directory)
            run.settle(spec)
        if run.errors and not run.results and not job.kept:
            raise run.errors[0]
        result = {
            "heads": run.results,
            "cpu_s": round(time.process_time(), 3),
            "peak_rss_bytes": _peak_rss_bytes(),
        }
        write_json(directory / RESULT_NAME, result)


class _ShardRun:
    """The state of a shard between two heads.

    Attributes:
        results: of every head that was rendered, for `result.json`.
        errors: of every head that could not be rendered.
    """

    def __init__(
        self,
        job: RenderJob,
        render_head: RenderHead,
        directory: Path,
        writer: ShardWriter,
        stack: ExitStack,
    ):
        self.results: list[dict[str, Any]] = []
        self.errors: list[Exception] = []
        self._job = job
        self._render_head = render_head
        self._directory = directory
        self._log = LogScanner(directory / LOG_NAME)
        self._writer = writer
        self._rejects: ShardWriter | None = None
        self._stack = stack
        self._control = job.quality and QualityControl(job.quality, _known(job.kept))

    def settle(self, spec: HeadSpec) -> None:
        """Add a head to the shard, or note there why it is absent."""
        if spec.spec_id in self._job.skip:
            self._writer.add_absent(spec, "failed", self._job.skip[spec.spec_id])
            return
        try:
            self.results.append(self._render_patiently(spec))
        except Exception as error:
            error.spec_id = spec.spec_id
            if is_of_the_machine(error):
                raise
            self.errors.append(error)
            told = describe_error(error, spec.spec_id)
            self._writer.add_absent(spec, "failed", f"{told['type']}: {told['message']}")

    def _render_patiently(self, spec: HeadSpec) -> dict[str, Any]:
        """Render a head; once more if the first try failed for a reason that may have been chance.

        A picture that fails a check, a spec or an asset that will not do are no chance.
        """
        tries_left = 2
        while True:
            try:
                return self._render(spec)
            except Exception as error:
                traceback.print_exc()
                self._log.raise_machine_error(error)
                tries_left -= 1
                by_chance = type(error) is RenderError or not isinstance(error, HeadloomError)
                if is_of_the_machine(error) or not by_chance or not tries_left:
                    raise

    def _render(self, spec: HeadSpec) -> dict[str, Any]:
        started = time.perf_counter()
        head = self._render_head(spec, self._job)
        self._log.raise_errors()
        rendered = time.perf_counter()
        timings = {**head.timings_s, "head_s": round(rendered - started, 4)}
        cameras = spec.resolved_cameras()
        quality = measure(cameras, head.rgba, head.meta)
        meta = {
            **head.meta,
            "quality": quality,
            "timings_s": timings,
            "device": self._job.device,
            "node": self._job.node,
            "threads": self._job.threads,
            "versions": _versions(),
        }
        reason = self._control and self._control.judge(spec.spec_id, quality)
        if reason:
            self._reject(spec, cameras, head, {**meta, "rejected": reason})
        else:
            self._writer.add_head(spec, cameras, head.rgba, head.passes, meta, head.files)
        write_s = round(time.perf_counter() - rendered, 4)
        verdict = f", rejected: {reason}" if reason else ""
        print(f"head {spec.spec_id}: {len(head.rgba)} views, {timings} s{verdict}", flush=True)
        return {"spec_id": spec.spec_id, "timings_s": {**timings, "write_s": write_s}}

    def _reject(
        self, spec: HeadSpec, cameras: Sequence[Camera], head: RenderedHead, meta: dict[str, Any]
    ) -> None:
        if self._rejects is None:
            path = self._directory / REJECTS_NAME
            writer = ShardWriter(path, dataset_id=self._job.dataset_id)
            self._rejects = self._stack.enter_context(writer)
        self._rejects.add_head(spec, cameras, head.rgba, head.passes, meta, head.files)
        self._writer.add_absent(spec, "rejected", meta["rejected"])


def _known(kept: Mapping[str, str]) -> dict[str, str]:
    return {spec_id: fingerprint for spec_id, fingerprint in kept.items() if fingerprint}


def _peak_rss_bytes() -> int:
    """Largest resident memory of this program; `ru_maxrss` would start at that of the parent."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)[1]) * 1024


def _versions() -> dict[str, str]:
    return {name: metadata.version(name) for name in ("headloom", "bpy", "numpy")}
