"""What a Blender process does between its first and its last breath, and how it renders a head."""

from __future__ import annotations

import faulthandler
import json
import os
import sys
import time
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from synth.asset_alignment import world_from_template
from synth.blender_scenes.start import import_blender
from synth.blender_scenes.worker_errors import describe_error
from synth.blender_scenes.worker_shard import RenderedHead, RenderHead, render_shard
from synth.config import from_dict
from synth.headmodel import HeadShape
from synth.landmarks import HeadLandmarks
from synth.launch import JOB_NAME, SPECS_NAME, RenderJob
from synth.spec import HeadSpec
from synth.worker_process import ERROR_NAME, write_json


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
        render_shard(specs, job, render_head, directory)
        return 0
    except Exception as error:
        traceback.print_exc()
        spec_id = getattr(error, "spec_id", None)
        write_json(directory / ERROR_NAME, describe_error(error, spec_id))
        return 1


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
