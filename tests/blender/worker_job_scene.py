"""Runs one worker's rendering in this process; run by test_worker_job.py.

Three heads that must be refused, each by another check, and then a cube, while the process' other
threads are watched.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

from synth.blender_scenes.worker_job import render_with_blender
from synth.errors import HeadloomError
from synth.launch import RenderJob
from synth.sample import DatasetConfig, sample_head
from synth.spec import HeadSpec, Light, OrbitCamera

TASKS = Path("/proc/self/task")


def refused_heads() -> dict[str, HeadSpec]:
    spec = sample_head(DatasetConfig(size=32, samples=1), 2)
    spec = replace(spec, hair=replace(spec.hair, style="bald"), cameras=spec.cameras[:1])
    return {
        "scene": replace(spec, cameras=(OrbitCamera("front", -90.0, 0.0, fov_deg=12.0),)),
        "light": replace(spec, light=Light("ambient", strength=0.0)),
        "views": replace(spec, cameras=(OrbitCamera("far", -90.0, 0.0, radius=30.0),)),
    }


def error_of(spec: HeadSpec, out: Path) -> str:
    try:
        render_with_blender(spec, RenderJob(out, threads=1))
    except HeadloomError as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


def cpu_ticks(task: str) -> int:
    """Clock ticks of CPU time of a thread of this process."""
    fields = (TASKS / task / "stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def watch_other_threads() -> dict:
    """CPU time of rendering, and of the busiest thread that was there before and is not the main
    one."""
    import bpy

    bpy.ops.wm.read_factory_settings()
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.render.threads_mode = "FIXED"
    scene.render.threads = 1
    scene.render.resolution_x = scene.render.resolution_y = 128
    scene.cycles.samples = 32
    scene.cycles.use_adaptive_sampling = False
    scene.cycles.use_denoising = True
    scene.render.use_persistent_data = True
    before = {task.name: cpu_ticks(task.name) for task in TASKS.iterdir()}
    start = sum(os.times()[:2])
    for _ in range(6):  # a thread starts to spin by chance, and then goes on
        bpy.ops.render.render()
    spent = [
        cpu_ticks(task) - ticks
        for task, ticks in before.items()
        if task != str(os.getpid()) and (TASKS / task).exists()
    ]
    return {
        "rendering_s": sum(os.times()[:2]) - start,
        "idle_s": max(spent) / os.sysconf("SC_CLK_TCK"),
    }


def main(out: Path) -> None:
    allowed = os.sched_getaffinity(0)
    result = {
        "refused": {name: error_of(spec, out) for name, spec in refused_heads().items()},
        "threads": watch_other_threads(),
        "allowed_everywhere": all(
            os.sched_getaffinity(int(task.name)) == allowed for task in TASKS.iterdir()
        ),
    }
    out.write_text(json.dumps(result))


main(Path(sys.argv[1]))
