"""The script that everybody writes first: open a .blend, place the camera, render, next view.

    python tests/bench/peer_plain.py SCENE OUT TIMES_JSON VIEWS THREADS [--rebuild]

Run by `bench_peers.py`, for one view or for all; THREADS 0 is Blender's default, all cores. It
knows nothing of Headloom, except with `--rebuild`: then it builds the head with Headloom's builder
instead of opening the file.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def main(scene: str, out: str, times: str, views: str, threads: str, *rebuild: str) -> None:
    import bpy
    from cycles_clock import CyclesClock
    from mathutils import Matrix

    directory = Path(scene)
    clock = CyclesClock()
    if rebuild:
        build_head(directory / "spec.json", threads=int(threads))
    else:
        bpy.ops.wm.open_mainfile(filepath=str(directory / "head.blend"))
    settings = bpy.context.scene.render
    settings.use_persistent_data = False  # Blender's default
    settings.threads_mode = "FIXED" if int(threads) else "AUTO"
    settings.threads = int(threads) or settings.threads
    settings.image_settings.file_format = "PNG"
    settings.image_settings.color_mode = "RGBA"
    settings.image_settings.color_depth = "8"
    cameras = json.loads((directory / "cameras.json").read_text())
    for view in map(int, views.split(",")):
        camera = bpy.context.scene.camera
        camera.matrix_world = Matrix(cameras[view]["world_from_camera"])
        camera.data.lens = cameras[view]["lens_mm"]
        camera.data.shift_x, camera.data.shift_y = cameras[view]["shift"]
        settings.resolution_x, settings.resolution_y = cameras[view]["size_px"]
        settings.filepath = str(Path(out) / f"{view:03d}.png")
        bpy.ops.render.render(write_still=True)
    clock.write(Path(times))
    os._exit(0)  # Blender may crash at interpreter shutdown


def build_head(spec_path: Path, threads: int) -> None:
    """The same scene, made instead of opened."""
    import bpy

    from synth.blender_scenes import build, probe, session
    from synth.spec import HeadSpec

    spec = HeadSpec.from_json_dict(json.loads(spec_path.read_text()))
    session.reset(spec, threads)
    probe.set_exposure(spec, build.build_head(spec))
    bpy.context.scene.render.use_compositing = spec.render.denoise


if __name__ == "__main__":
    main(*sys.argv[1:])
