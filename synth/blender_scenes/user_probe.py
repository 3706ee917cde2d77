"""The process that looks at a user's asset. Run by `synth.asset_probe` only.

    python -m synth.blender_scenes.user_probe JOB_DIRECTORY PARENT_PID

It leaves `facts.json` and `views.npz`, or `error.json`.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path

import numpy as np

from synth.asset_probe import FACTS_NAME, JOB_NAME, VIEWS_NAME, ProbeFacts, ProbeJob
from synth.blender_scenes import worker
from synth.camera import Camera
from synth.config import atomic_write, from_dict
from synth.errors import AssetError
from synth.worker_process import ERROR_NAME, write_json


def main(arguments: list[str]) -> None:
    """Do one job and end the process; never returns."""
    directory, parent_pid = Path(arguments[0]), int(arguments[1])
    worker.die_with_parent(parent_pid)

    from synth.blender_scenes import worker_errors

    code = 1
    try:
        code = _run(directory)
    finally:
        worker_errors.flush_output()
        os._exit(code)  # Blender's own shutdown may crash or hang


def _run(directory: Path) -> int:
    from synth.blender_scenes import worker_errors

    try:
        data = json.loads((directory / JOB_NAME).read_text())
        job = from_dict(ProbeJob, data, JOB_NAME)
        facts = _look_at_picture(job) if job.kind in ("skin", "hdri") else _look_at_mesh(
            job, directory
        )  # fmt: skip
        write_json(directory / FACTS_NAME, facts)
        return 0
    except Exception as error:
        traceback.print_exc()
        write_json(directory / ERROR_NAME, worker_errors.describe_error(error, None))
        return 1


def _look_at_picture(job: ProbeJob) -> ProbeFacts:
    import bpy

    bpy.ops.wm.read_factory_settings(use_empty=True)
    try:
        image = bpy.data.images.load(str(job.file))
    except RuntimeError as error:
        raise AssetError(f"{job.file.name}: {error}") from error
    width, height = image.size
    if not width:
        raise AssetError(f"{job.file.name}: Blender reads no pixels from it")
    pixels = np.empty(width * height * image.channels, np.float32)
    image.pixels.foreach_get(pixels)
    if not np.isfinite(pixels).all():
        raise AssetError(f"{job.file.name}: it holds pixels that are not finite")
    notes = []
    if job.kind == "hdri" and width != 2 * height:
        raise AssetError(
            f"{job.file.name}: {width} x {height} pixels; an environment map is equirectangular, "
            "twice as wide as high"
        )
    if job.kind == "skin" and width != height:
        notes.append(f"it is {width} x {height} pixels, not square; it is stretched")
    melanin = _skin_melanin(job) if job.kind == "skin" else None
    return ProbeFacts(size=(width, height), notes=tuple(notes), melanin=melanin)


def _skin_melanin(job: ProbeJob) -> float:
    from synth.blender_scenes.user_skin import picture_melanin, read_picture
    from synth.headmodel import HeadModel

    return round(picture_melanin(read_picture(job.file), job.layout, HeadModel.load()), 3)


def _look_at_mesh(job: ProbeJob, directory: Path) -> ProbeFacts:
    import bpy

    from synth.blender_scenes import user_images, user_views
    from synth.blender_scenes.user_import import import_asset
    from synth.blender_scenes.user_materials import allow_many_layers, complete_materials

    bpy.ops.wm.read_factory_settings(use_empty=True)
    matrix = np.array(job.target_from_asset) if job.target_from_asset else None
    imported = import_asset(job.file, job.folder, matrix, job.objects)
    if matrix is None:
        matrix = _into_unit_sphere(imported.vertices())
        bpy.ops.wm.read_factory_settings(use_empty=True)
        imported = import_asset(job.file, job.folder, matrix, job.objects)
    points = imported.vertices()
    if not np.isfinite(points).all():
        raise AssetError(f"{job.file.name}: it has vertices that are not finite")
    names = tuple(dict.fromkeys(m.name for o in imported.objects for m in o.data.materials if m))
    notes = (*imported.notes, *complete_materials(imported.objects))
    user_images.require_readable(job.file.name)
    melanin = None
    if job.cameras:
        allow_many_layers()
        cameras = [Camera.from_json(data) for data in job.cameras]
        arrays = user_views.render_views(cameras, job.samples, job.threads)
        with atomic_write(directory / VIEWS_NAME) as file:
            np.savez(file, **arrays)
        melanin = user_views.face_melanin(arrays["albedo"][0], arrays["depth"][0])
    return ProbeFacts(
        files=imported.files,
        vertices=len(points),
        objects=tuple(item.name.removeprefix("user_") for item in imported.objects),
        materials=names,
        target_from_asset=tuple(map(tuple, matrix.tolist())),
        low=tuple(points.min(axis=0).tolist()),
        high=tuple(points.max(axis=0).tolist()),
        melanin=melanin,
        notes=notes,
    )


def _into_unit_sphere(points: np.ndarray) -> np.ndarray:
    """[4, 4] that centres the bounding box and makes the farthest point a unit away."""
    centre = (points.min(axis=0) + points.max(axis=0)).astype(np.float64) / 2
    radius = float(np.linalg.norm(points - centre, axis=1).max())
    if not radius > 0 or not np.isfinite(radius):
        raise AssetError("the mesh has no extent")
    matrix = np.diag([1 / radius, 1 / radius, 1 / radius, 1.0])
    matrix[:3, 3] = -centre / radius
    return matrix


if __name__ == "__main__":
    main(sys.argv[1:])
