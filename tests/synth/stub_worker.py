"""A worker without Blender: the real protocol around a renderer that paints patterned discs.

    python stub_worker.py BEHAVIOUR_JSON JOB_DIRECTORY PARENT_PID

The behaviour lists heads by index: `{"sleep_s": 0.1, "crash": [3], "invalid": [5], "hang": [7],
"print": {"2": "text"}, "once": "directory"}`. With `once`, anything but `crash_always` happens the
first time only. Heads in `twin` look alike, those in `burnt` are white. `wait_for` names a file
without which no head is finished, `allocate` fills the memory, `abort` ends as a render in C++ does
that gets none, and `assets` checks the user's assets of a head as its builders would. `exit_code`
ends the process with that code whatever happened, `forget` leaves the last head out. `env` puts the
environment into the meta data; `device_error_on` names a machine without the device until there is
a file `device_back`; `mute` keeps `error.json` from the parent; `no_death_signal` leaves the worker
without protection. Any other key is a token that makes the process easy to find.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

behaviour = json.loads(sys.argv[1])


def applies(what: str, index: int) -> bool:
    if index not in behaviour.get(what, ()):
        return False
    if "once" not in behaviour:
        return True
    marker = Path(behaviour["once"]) / f"{what}-{index}"
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def paint(spec, job):
    import numpy as np

    from synth.assets import check, is_users
    from synth.blender_scenes.log import captured_output
    from synth.blender_scenes.worker_shard import RenderedHead
    from synth.errors import AssetError, DeviceError, RenderInvalid

    time.sleep(behaviour.get("sleep_s", 0.0))
    broken = behaviour.get("device_error_on", "nowhere") in job.node
    if broken and not Path(behaviour.get("device_back", "/nowhere")).exists():
        raise DeviceError("no OPTIX device for Cycles")
    if applies("crash", spec.index) or spec.index in behaviour.get("crash_always", ()):
        print("about to crash", flush=True)
        os.kill(os.getpid(), signal.SIGSEGV)
    if applies("kill", spec.index):
        os.kill(os.getpid(), signal.SIGKILL)
    if applies("hang", spec.index):
        time.sleep(600)
    if applies("allocate", spec.index):
        memory = np.empty(5 * 2**30, np.uint8)
        time.sleep(2.0)  # who watches sees it before the machine feels it
        memory.fill(1)
    while "wait_for" in behaviour and not Path(behaviour["wait_for"]).exists():
        time.sleep(0.02)
    for ref in spec.assets if "assets" in behaviour else ():
        if is_users(ref.asset_id):
            check(ref, job.asset_store)
    if str(spec.index) in behaviour.get("print", {}):
        os.write(2, (behaviour["print"][str(spec.index)] + "\n").encode())
    if applies("invalid", spec.index):
        raise RenderInvalid(f"head {spec.spec_id} is black")
    if applies("asset", spec.index):
        raise AssetError("no such asset: studio.exr")
    if applies("bug", spec.index):
        raise KeyError("hair")
    if applies("disk_full", spec.index):
        raise OSError(28, "No space left on device")
    if applies("lost_file", spec.index):
        Path("/nowhere/hair.npz").read_bytes()
    if applies("abort", spec.index):
        with captured_output():
            os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'\n")
            os.kill(os.getpid(), signal.SIGABRT)
    seed = 0 if applies("twin", spec.index) else int(spec.spec_id, 16)
    tiles = np.random.default_rng(seed).integers(90, 190, (8, 8, 3))
    tiles[:] = 255 if applies("burnt", spec.index) else tiles
    views = []
    for number, _ in enumerate(spec.cameras):
        size = spec.render.size
        y, x = np.mgrid[:size, :size] / size
        rgba = np.zeros((size, size, 4), np.uint8)
        inside = (x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.16
        colour = tiles[(8 * y).astype(int), (8 * x).astype(int)] + number % 60
        rgba[inside, :3] = colour.clip(0, 255)[inside]
        rgba[inside, 3] = 255
        views.append(rgba)
    return RenderedHead(views, meta={"environment": dict(os.environ)} if "env" in behaviour else {})


if __name__ == "__main__":
    from synth.blender_scenes import worker

    if behaviour.get("mute"):
        from synth.blender_scenes import worker_job

        worker_job.ERROR_NAME = "nowhere.json"
    if behaviour.get("forget"):
        from synth.blender_scenes import worker_job

        render_shard = worker_job.render_shard
        worker_job.render_shard = lambda specs, *rest: render_shard(specs[:-1], *rest)
    if behaviour.get("no_death_signal"):
        worker.die_with_parent = lambda parent_pid: None
    if "exit_code" in behaviour:
        end = os._exit
        os._exit = lambda code: end(behaviour["exit_code"])
    worker.main(sys.argv[2:], render_head=paint)
