"""A BlenderProc script that renders an exported head, as its documentation and its makers advise.

    python tests/bench/peer_blenderproc.py SCENE OUT TIMES_JSON VIEWS THREADS SAMPLES

Run by `bench_peers.py` with the interpreter of BlenderProc's own environment. BlenderProc 2.8.0,
the last one on PyPI, runs inside the Blender 4.2 that `blenderproc run` downloads; using an
installed `bpy` instead came to its repository after that release. What that mode does is done here
by hand: its modules are imported without the step that installs packages into Blender. The time of
`blenderproc run` itself is therefore not counted. One process a scene is what its makers recommend
(issues 127, 566 and 1194 of DLR-RM/BlenderProc). PNG files are all that it writes here, no HDF5.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path

os.environ["OUTSIDE_OF_THE_INTERNAL_BLENDER_PYTHON_ENVIRONMENT_BUT_IN_RUN_SCRIPT"] = "1"

import numpy as np
from blenderproc.python.utility.SetupUtility import SetupUtility


def main(scene: str, out: str, times: str, views: str, threads: str, samples: str) -> None:
    SetupUtility.setup_utility_paths(str(Path(out) / "temporary"))
    import bpy
    from blenderproc.api import camera, loader, renderer
    from blenderproc.python.utility.Initializer import _Initializer, clean_up
    from cycles_clock import CyclesClock

    directory = Path(scene)
    clock = CyclesClock()
    # `init()` without its choice of a language: the bpy wheel has none but its own.
    clean_up(clean_up_camera=True)
    bpy.context.scene.render.engine = "CYCLES"
    renderer.set_render_devices()
    _Initializer.set_default_parameters()
    loader.load_blend(
        str(directory / "head.blend"),
        obj_types=["mesh", "curves", "light"],
        data_blocks=["objects", "worlds"],
    )
    bpy.context.scene.world = bpy.data.worlds["light"]
    renderer.set_cpu_threads(int(threads))
    renderer.set_max_amount_of_samples(int(samples))
    renderer.set_noise_threshold(0)  # adaptive sampling off, as for the others
    renderer.toggle_light_tree(True)
    renderer.set_output_format("PNG", color_depth=8, enable_transparency=True)
    settings = json.loads((directory / "settings.json").read_text())
    for owner, values in settings.items():
        for name, value in values.items():
            setattr(_owners(bpy.context.scene)[owner], name, value)
    cameras = json.loads((directory / "cameras.json").read_text())
    for view in map(int, views.split(",")):
        intrinsics = np.array(cameras[view]["K"])
        intrinsics[:2, 2] -= 0.5  # its first pixel has its centre at (0, 0)
        camera.set_intrinsics_from_K_matrix(intrinsics, *cameras[view]["size_px"], 0.05, 100.0)
        camera.add_camera_pose(np.array(cameras[view]["world_from_camera"]))
    renderer.render(output_dir=out, file_prefix="", return_data=False, verbose=True)
    for number, view in enumerate(map(int, views.split(","))):
        Path(out, f"{number:04d}.png").rename(Path(out, f"{view:03d}.png"))
    clock.write(Path(times))


def _owners(scene) -> dict[str, object]:
    return {
        "render": scene.render,
        "cycles": scene.cycles,
        "cycles_curves": scene.cycles_curves,
        "view_settings": scene.view_settings,
    }


if __name__ == "__main__":
    code = 1
    try:
        main(*sys.argv[1:])
        code = 0
    except Exception:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)  # Blender may crash or hang at interpreter shutdown
