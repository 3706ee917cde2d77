"""FaceLift's layout: `mvdiffusion/` for its diffusion model, `gslrm/` for its reconstructor.

    gslrm/<id>/images/cam_000.png ...     every chosen view
    gslrm/<id>/opencv_cameras.json        its cameras
    mvdiffusion/<id>/cam_000.png ... 005  the six canonical views in the model's order
    data_{gslrm,mvdiff}_{train,val}.txt   a folder a line

Its cameras are ours: OpenCV, +Z up, the face towards -Y, the same units.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from synth.camera import Camera
from synth.export_head import HeadExport, write_file

CAMERAS_NAME = "opencv_cameras.json"
LIST_NAMES = {"gslrm": "data_gslrm", "mvdiffusion": "data_mvdiff"}
"""Beginning of the names of the lists, by kind."""

CONVENTIONS = """\
FaceLift's layout. `cam_XXX.png` are numbered from 0.

- `gslrm/<id>/images/` holds the chosen views, `gslrm/<id>/opencv_cameras.json` their cameras:
  `w2c` is 4 x 4, row-major, world to OpenCV camera (x right, y down, z forward); `fx fy cx cy` are
  pixels, and the centre of the first pixel is (0.5, 0.5). `blender_camera_name` is the view's name.
- `mvdiffusion/<id>/` holds front, front_right, right, back, left, front_left, in this order; right
  and left are the subject's. The cameras stand at radius 2.7, level with the head, 50 degrees wide.
- `data_{gslrm,mvdiff}_{train,val,test}.txt` list the folders, relative to this one. FaceLift knows
  no test list; it holds what neither training nor validation should see. For absolute paths:
  `sed -i "s|^|$PWD/|" data_*.txt`
"""


def write_gslrm(head: HeadExport, folder: Path) -> None:
    """The folder of one head for the reconstructor.

    Raises:
        InputError: a camera with skewed pixels.
    """
    frames = []
    for number, camera in enumerate(head.cameras):
        file_path = f"images/cam_{number:03d}.png"
        write_file(folder / file_path, head.picture(number))
        frames.append(_frame(camera, head.pinhole(number), file_path))
    cameras = {"id": head.record.spec_id, "frames": frames}
    write_file(folder / CAMERAS_NAME, json.dumps(cameras, indent=1))


def _frame(camera: Camera, pinhole: Sequence[float], file_path: str) -> dict[str, Any]:
    return {
        "w": camera.width,
        "h": camera.height,
        **dict(zip(("fx", "fy", "cx", "cy"), pinhole)),
        "w2c": camera.cam_from_world.tolist(),
        "file_path": file_path,
        "blender_camera_name": camera.name,
        "blender_camera_location": camera.position.tolist(),
    }


def write_mvdiffusion(head: HeadExport, folder: Path) -> None:
    """The folder of one head for the diffusion model.

    Raises:
        InputError: the head lacks a canonical view.
    """
    six = head.canonical()
    for number in range(len(six.views)):
        write_file(folder / f"cam_{number:03d}.png", six.picture(number))
