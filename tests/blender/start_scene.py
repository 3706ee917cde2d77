"""Renders a cube with one thread and looks at what the other threads did; run by test_start.py."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from synth.blender_scenes.start import import_blender

TASKS = Path("/proc/self/task")


def cpu_ticks(task: str) -> int:
    """Clock ticks of CPU time of a thread of this process."""
    fields = (TASKS / task / "stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def main(out: Path) -> None:
    allowed = os.sched_getaffinity(0)
    import_blender(1)
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
    idle = [task.name for task in TASKS.iterdir() if task.name != str(os.getpid())]
    before = sum(os.times()[:2])
    for _ in range(6):  # a thread starts to spin by chance, and then goes on
        bpy.ops.render.render()
    result = {
        "allowed_everywhere": all(
            os.sched_getaffinity(int(task.name)) == allowed for task in TASKS.iterdir()
        ),
        "rendering_s": sum(os.times()[:2]) - before,
        "idle_s": max(cpu_ticks(task) for task in idle) / os.sysconf("SC_CLK_TCK"),
    }
    out.write_text(json.dumps(result))


main(Path(sys.argv[1]))
