"""Renders where files may not grow (as on a full disk), and with a Blender that writes nothing and
says nothing; run by test_worker_job.py."""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from types import SimpleNamespace

import bpy
import numpy as np

from synth.blender_scenes import frame, render, session
from synth.camera import canonical_six
from synth.spec import Light, RenderSettings

SIZE = 64


def error_of(action) -> str:
    try:
        action()
    except Exception as error:
        return f"{type(error).__name__} {getattr(error, 'errno', None)}: {error}"
    return "no error"


def main(out: Path) -> None:
    settings = RenderSettings(size=SIZE, samples=1, denoise=False)
    session.reset(SimpleNamespace(render=settings, light=Light(kind="ambient")), threads=1)
    bpy.ops.mesh.primitive_cube_add()
    camera = canonical_six(SIZE)[0]
    with render.Renderer(settings) as renderer:
        linear, _ = renderer.render(camera)
        renderer.display(linear)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, resource.RLIM_INFINITY))
        result = {
            "render": error_of(lambda: renderer.render(camera)),
            "display": error_of(lambda: renderer.display(np.ones_like(linear))),
        }
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        renderer.render(camera)
        renderer.display(linear)
        silent = SimpleNamespace(render=lambda **_: {"FINISHED"})
        frame.bpy = SimpleNamespace(context=bpy.context, ops=SimpleNamespace(render=silent))
        result["silent render"] = error_of(lambda: renderer.render(camera))
        image = renderer._image
        renderer._image = SimpleNamespace(pixels=image.pixels, save_render=lambda *_, **__: None)
        result["silent display"] = error_of(lambda: renderer.display(linear))
        renderer._image = image
    out.write_text(json.dumps(result))


main(Path(sys.argv[1]))
