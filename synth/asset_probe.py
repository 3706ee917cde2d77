"""Looks at an asset of a user in a Blender process of its own, before it gets into the store.

The process imports the file as a renderer would, checks it against the limits, and renders the
views asked for. It has a time limit, so a file that is made to hang does no harm.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from synth.camera import Camera
from synth.config import canonical_json, from_dict
from synth.worker_process import (
    job_directory,
    run_worker,
    worker_environment,
    worker_failure,
    write_json,
)

PROBE_COMMAND = (sys.executable, "-m", "synth.blender_scenes.user_probe")
JOB_NAME, FACTS_NAME, VIEWS_NAME = "probe.json", "facts.json", "views.npz"
TIMEOUT_S = 300.0


@dataclass(frozen=True)
class ProbeJob:
    """What to look at.

    Attributes:
        kind: of the asset.
        file: its main file.
        folder: nothing outside of it is read.
        objects: patterns of the objects to take.
        layout: of a skin.
        target_from_asset: rows of the similarity it is moved by; empty fits it into the unit
            sphere around the origin.
        cameras: as `Camera.to_json`; none renders nothing.
        samples: of Cycles.
        threads: CPU threads.
    """

    kind: str
    file: Path
    folder: Path
    objects: tuple[str, ...] = ()
    layout: str = ""
    target_from_asset: tuple[tuple[float, ...], ...] = ()
    cameras: tuple[dict[str, Any], ...] = ()
    samples: int = 4
    threads: int = 1


@dataclass(frozen=True)
class ProbeFacts:
    """What the file holds.

    Attributes:
        files: the other files it needs, absolute.
        vertices: in all meshes and strands.
        objects, materials: their names.
        target_from_asset: rows of the similarity it was moved by.
        low, high: corners of its bounding box after that.
        size: pixels of a texture or an environment map.
        melanin: of skin as dark as the middle of the first view (or the cheeks of a picture of
            skin), or None.
        notes: what the user may want to know.
    """

    files: tuple[Path, ...] = ()
    vertices: int = 0
    objects: tuple[str, ...] = ()
    materials: tuple[str, ...] = ()
    target_from_asset: tuple[tuple[float, ...], ...] = ()
    low: tuple[float, float, float] = (0.0, 0.0, 0.0)
    high: tuple[float, float, float] = (0.0, 0.0, 0.0)
    size: tuple[int, int] = (0, 0)
    melanin: float | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class ProbeView:
    """One view.

    Attributes:
        camera: in the frame that the asset was moved to.
        rgba: [H, W, 4] uint8, sRGB, straight alpha, lit from the camera.
        depth: [H, W] float32 along the camera's z, 0 where nothing is.
        albedo: [H, W, 3] float32 linear.
    """

    camera: Camera
    rgba: np.ndarray
    depth: np.ndarray
    albedo: np.ndarray

    def points_at(self, pixels: np.ndarray) -> np.ndarray:
        """Surface points [N, 3] at pixels [N, 2] (x, y); NaN where the view shows nothing."""
        column, row = np.floor(pixels).astype(int).T
        height, width = self.depth.shape
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        depth = self.depth[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
        depth = np.where(inside & (depth > 0), depth, np.nan)
        homogeneous = np.concatenate([pixels, np.ones((len(pixels), 1))], axis=1)
        in_camera = homogeneous @ np.linalg.inv(self.camera.K).T * depth[:, None]
        pose = self.camera.world_from_cam
        return in_camera @ pose[:3, :3].T + pose[:3, 3]


@dataclass(frozen=True, eq=False)
class Probe:
    """The result of a look."""

    facts: ProbeFacts
    views: tuple[ProbeView, ...] = field(default=())


def probe(job: ProbeJob, cameras: Sequence[Camera] = ()) -> Probe:
    """Import and render an asset in a process of its own.

    Args:
        job: what to look at; its `cameras` are replaced.
        cameras: the views to render.

    Raises:
        AssetError: the file cannot be used; says why.
        RenderCrashed, RenderTimeout: the process died or took too long.
    """
    data = {**_plain(job), "cameras": [camera.to_json() for camera in cameras]}
    with job_directory(job.file.name) as directory:
        write_json(directory / JOB_NAME, data)
        environment = worker_environment(directory, job.threads)
        code = run_worker(directory, PROBE_COMMAND, environment, TIMEOUT_S, job.file.name)
        facts_path = directory / FACTS_NAME
        if code != 0 or not facts_path.exists():
            raise worker_failure(directory, code, job.file.name)
        facts = from_dict(ProbeFacts, json.loads(facts_path.read_text()), FACTS_NAME)
        views: tuple[ProbeView, ...] = ()
        if cameras:
            with np.load(directory / VIEWS_NAME) as arrays:
                stacks = (arrays["rgba"], arrays["depth"], arrays["albedo"])
            views = tuple(map(ProbeView, cameras, *stacks))
        return Probe(facts, views)


def _plain(job: ProbeJob) -> dict[str, Any]:
    return json.loads(canonical_json(job))
