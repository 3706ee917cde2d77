"""Builds the first head of a dataset and saves it as a .blend with its cameras, for the peers.

    python tests/bench/peer_export.py CONFIG_JSON OUT THREADS

One process, run by `bench_peers.py`. The scene is the one that a worker renders, with all settings,
its exposure and packed textures, so that whoever opens it has nothing left to do but to render.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from synth.blender_scenes.start import import_blender
from synth.config import canonical_json, from_dict
from synth.sample import sample_head
from synth.sample_config import DatasetConfig
from synth.spec import HeadSpec


def main(config_json: str, out: str, threads: str) -> None:
    config = from_dict(DatasetConfig, json.loads(config_json))
    import_blender(int(threads))
    Path(out).mkdir()
    _export(sample_head(config, 0), Path(out), int(threads))
    sys.stdout.flush()
    os._exit(0)  # Blender may crash at interpreter shutdown


def _export(spec: HeadSpec, directory: Path, threads: int) -> None:
    import bpy

    from synth.blender_scenes import build, probe, rig, session

    session.reset(spec, threads)
    built = build.build_head(spec)
    probe.set_exposure(spec, built)
    scene = bpy.context.scene
    scene.render.use_compositing = spec.render.denoise  # as `render.Renderer` sets it
    cameras = []
    for camera in spec.resolved_cameras():
        lens = rig.place_camera(camera)
        cameras.append(
            {
                "world_from_camera": [list(row) for row in lens.matrix_world],
                "lens_mm": lens.data.lens,
                "shift": [lens.data.shift_x, lens.data.shift_y],
                "K": camera.K.tolist(),
                "size_px": [camera.width, camera.height],
            }
        )
    (directory / "cameras.json").write_text(json.dumps(cameras))
    (directory / "settings.json").write_text(json.dumps(_settings(scene)))
    (directory / "spec.json").write_text(canonical_json(spec))
    for image in bpy.data.images:
        image.pack()
    bpy.ops.wm.save_as_mainfile(filepath=str(directory / "head.blend"), compress=False)


def _settings(scene) -> dict[str, dict[str, object]]:
    """Settings of the scene that a peer loses who appends the objects to a scene of its own."""
    names = {
        "render": ["dither_intensity"],
        "cycles": [
            "seed", "max_bounces", "diffuse_bounces", "glossy_bounces", "transmission_bounces",
            "transparent_max_bounces", "caustics_reflective", "caustics_refractive",
            "sample_clamp_indirect", "blur_glossy",
        ],
        "cycles_curves": ["shape", "subdivisions"],
        "view_settings": ["view_transform", "look", "exposure", "gamma"],
    }  # fmt: skip
    return {
        owner: {name: getattr(getattr(scene, owner), name) for name in wanted}
        for owner, wanted in names.items()
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
