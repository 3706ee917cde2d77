"""`transforms.json` of nerfstudio and Instant-NGP, and the `transforms_*.json` of NeRF.

The camera is OpenGL's (x right, y up, looks along -z), `transform_matrix` maps it to the world, and
the world is ours: nothing is rotated, moved or scaled.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from synth.errors import InputError
from synth.export_head import HeadExport, Points, write_file
from synth.record_files import encode_png

DEPTH_UNIT = 1 / 1000
"""Scene units of one step of a depth picture: the default of nerfstudio's
`depth_unit_scale_factor`."""
_HELD_OUT_EVERY = 8
"""Every eighth view is for validation and test, as usual with NeRF."""

NERFSTUDIO_CONVENTIONS = """\
One folder a head with `transforms.json`, for Instant-NGP and nerfstudio
(`ns-train splatfacto --data heads/<id>`).

- `transform_matrix`: 4 x 4, row-major, camera to world; the camera is OpenGL's (x right, y up, z
  backwards). `applied_transform` is the identity: the world is Headloom's (+Z up, face towards -Y).
- `fl_x fl_y cx cy` are pixels, and the centre of the first pixel is (0.5, 0.5). They stand at the
  top where all views share them, else at each frame. There is no distortion.
- `depth/`: uint16, 1/1000 scene unit a step (nerfstudio's default), along the camera's z axis, 0
  where there is nothing. Present if the heads were rendered with the pass.
- Pictures keep their alpha, which both programs read. With `--background` they are RGB, and
  `masks/` (white where there is anything of the head) are listed beside them: nerfstudio learns
  nothing where they are black.
- `points.ply`: landmarks as a first guess for splats. Present if the heads were rendered with them.
- nerfstudio rotates, centres and scales cameras unless told
  `nerfstudio-data --orientation-method none --center-method none --auto-scale-poses False`.
"""

NERF_CONVENTIONS = """\
One folder a head, `heads/<id>`, as a synthetic scene of NeRF: `transforms_train.json`, and every
eighth view in `transforms_val.json` and `transforms_test.json`, which are equal.

- `transform_matrix`: 4 x 4, row-major, camera to world; the camera is Blender's and OpenGL's (x
  right, y up, z backwards); the world is Headloom's (+Z up, face towards -Y).
- `camera_angle_x`: full horizontal field of view in radians, the principal point is the middle.
- `file_path` comes without `.png`; pictures are RGBA, straight alpha.
"""


def write_nerfstudio(head: HeadExport, folder: Path) -> None:
    """The folder of one head for nerfstudio and Instant-NGP.

    Raises:
        InputError: a camera with skewed pixels.
    """
    lenses = [_lens(head, number) for number in range(len(head.views))]
    shared = lenses[0] if all(lens == lenses[0] for lens in lenses) else {}
    frames = []
    for number, camera in enumerate(head.cameras):
        frame = {"file_path": f"images/view_{number:03d}.png", "name": camera.name}
        write_file(folder / frame["file_path"], head.picture(number))
        if head.background is not None:
            frame["mask_path"] = f"masks/view_{number:03d}.png"
            write_file(folder / frame["mask_path"], head.mask(number))
        if head.has("depth"):
            frame["depth_file_path"] = f"depth/view_{number:03d}.png"
            depth = head.record.pass_image("depth", head.views[number])
            steps = np.round(depth / DEPTH_UNIT).astype(np.uint16)
            write_file(folder / frame["depth_file_path"], encode_png(steps))
        matrix = {"transform_matrix": camera.blender_world_from_cam().tolist()}
        frames.append({**frame, **({} if shared else lenses[number]), **matrix})
    scene: dict[str, Any] = {
        "camera_model": "OPENCV",
        **shared,
        "applied_transform": np.eye(4)[:3].tolist(),
        "aabb_scale": 2,  # Instant-NGP: the head fits into its unit cube, sleeves do not
    }
    points = head.points()
    if points is not None:
        scene["ply_file_path"] = "points.ply"
        write_file(folder / "points.ply", _ply(points))
    write_file(folder / "transforms.json", json.dumps({**scene, "frames": frames}, indent=1))


def _lens(head: HeadExport, number: int) -> dict[str, Any]:
    """Intrinsics by nerfstudio's names."""
    camera = head.cameras[number]
    lens = dict(zip(("fl_x", "fl_y", "cx", "cy"), head.pinhole(number)))
    return {**lens, "w": camera.width, "h": camera.height}


def _ply(points: Points) -> str:
    """A PLY of coloured points as text."""
    header = ["ply", "format ascii 1.0", f"element vertex {len(points.positions)}"]
    header += [f"property float {axis}" for axis in "xyz"]
    header += [f"property uchar {colour}" for colour in ("red", "green", "blue")]
    rows = [
        f"{x:.7g} {y:.7g} {z:.7g} {r} {g} {b}"
        for (x, y, z), (r, g, b) in zip(points.positions, points.colours)
    ]
    return "\n".join([*header, "end_header", *rows]) + "\n"


def write_nerf(head: HeadExport, folder: Path) -> None:
    """The folder of one head as a synthetic scene of NeRF.

    Raises:
        InputError: views of several focal lengths, a principal point beside the middle, or a
            single view.
    """
    angle = _camera_angle_x(head)
    frames = []
    for number, camera in enumerate(head.cameras):
        stem = f"images/view_{number:03d}"
        write_file(folder / f"{stem}.png", head.picture(number))
        matrix = camera.blender_world_from_cam().tolist()
        frames.append({"file_path": f"./{stem}", "transform_matrix": matrix})
    if len(frames) < 2:
        raise InputError(
            f"head {head.record.spec_id} in {head.record.shard}: NeRF's layout holds views out for "
            "validation, so it takes at least two"
        )
    held_out = frames[_HELD_OUT_EVERY - 1 :: _HELD_OUT_EVERY] or frames[-1:]
    train = [frame for frame in frames if frame not in held_out]
    for name, chosen in (("train", train), ("val", held_out), ("test", held_out)):
        scene = {"camera_angle_x": angle, "frames": chosen}
        write_file(folder / f"transforms_{name}.json", json.dumps(scene, indent=1))


def _camera_angle_x(head: HeadExport) -> float:
    """The field of view that all views share, in radians."""
    first = head.cameras[0]
    focal = first.K[0, 0]
    wanted = [[focal, 0, first.width / 2], [0, focal, first.height / 2], [0, 0, 1]]
    odd = [camera.name for camera in head.cameras if not _close(camera.K, wanted)]
    if odd:
        raise InputError(
            f"head {head.record.spec_id} in {head.record.shard}: NeRF's layout has one focal "
            f"length and no principal point for all views, and {', '.join(odd)} differ from "
            f"{first.name!r}; choose views that share them with --views, or export to nerfstudio"
        )
    return math.radians(first.fov_x_deg)


def _close(K: np.ndarray, wanted: Sequence[Sequence[float]]) -> bool:
    return bool(np.abs(K - wanted).max() <= 1e-6 * K[0, 0])
