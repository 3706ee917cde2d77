"""Layouts that heads are imported from: FaceLift's two and nerfstudio's `transforms.json`.

A layout finds the folders of the heads and reads the cameras and the file names of one; pictures
are decoded by `synth.import_heads`.
"""

from __future__ import annotations

import fnmatch
import itertools
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np

from synth.camera import Camera, camera_from_opengl, canonical_six, find_canonical, is_rigid
from synth.errors import InputError
from synth.export_facelift import CAMERAS_NAME, LIST_NAMES

TRANSFORMS_NAME = "transforms.json"
_PINHOLES = ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE")
_DISTORTIONS = ("k1", "k2", "k3", "k4", "p1", "p2")


@dataclass(frozen=True)
class SourceView:
    """One view of a head that is to be imported.

    Attributes:
        camera: exactly as it was written.
        picture: the file.
        mask: a file that tells what belongs to the head, or None.
    """

    camera: Camera
    picture: Path
    mask: Path | None = None


@dataclass(frozen=True)
class ImportLayout:
    """Something that heads can be imported from.

    Attributes:
        summary: for `--help`.
        marker: pattern of a file that every head's folder holds, whatever else it misses.
        read: the views of a head's folder.
        lists: beginning of the names of its lists of heads, one a split, if it has any.
        is_other: whether a folder with the marker belongs to another layout.
    """

    summary: str
    marker: str
    read: Callable[[Path], list[SourceView]]
    lists: str = ""
    is_other: Callable[[Path], bool] = lambda folder: False

    def folders(self, root: Path) -> list[Path]:
        """The folders of the heads in `root` and below it, also behind links, sorted.

        Raises:
            OSError: a folder cannot be read; its heads would be missing without a word.
        """
        found: list[Path] = []
        seen: set[str] = set()
        for folder, below, files in os.walk(root, onerror=_fail, followlinks=True):
            real = os.path.realpath(folder)
            if real in seen:  # links in a circle, or two to one folder
                below.clear()
                continue
            seen.add(real)
            # what a running export has not put in place yet begins with a dot
            below[:] = sorted(name for name in below if name[0] != ".")
            if fnmatch.filter(files, self.marker) and not self.is_other(Path(folder)):
                found.append(Path(folder))
        return sorted(found)


def _fail(error: OSError) -> None:
    raise error


def _read_gslrm(folder: Path) -> list[SourceView]:
    path = folder / CAMERAS_NAME
    views = []
    for number, frame in enumerate(_scene(path)["frames"]):
        where = f"{path}, frame {number}"
        w2c = _matrix(frame, "w2c", where)
        camera = Camera(
            name=str(frame.get("blender_camera_name", "")),
            cam_from_world=w2c,
            K=_intrinsics(frame, ("fx", "fy", "cx", "cy"), where),
            **_size(frame, where),
        )
        views.append(SourceView(camera, _file(folder, frame, "file_path", where)))
    return _named(views)


def _read_mvdiffusion(folder: Path) -> list[SourceView]:
    views = []
    for number, camera in enumerate(canonical_six()):
        picture = folder / f"cam_{number:03d}.png"
        if not picture.is_file():
            raise InputError(
                f"{folder} has no {picture.name}; its six views are cam_000 ... cam_005"
            )
        height, width = _picture_size(picture)
        views.append(SourceView(camera.resized(width, height), picture))
    return views


def _read_nerfstudio(folder: Path) -> list[SourceView]:
    """The world is that of the file, which nerfstudio keeps +Z up: `applied_transform` is not
    undone."""
    path = folder / TRANSFORMS_NAME
    scene = _scene(path)
    views = []
    for number, frame in enumerate(scene["frames"]):
        where = f"{path}, frame {number}"
        picture = _file(folder, frame, "file_path", where)
        values = _with_defaults({**scene, **frame}, picture, where)
        camera = camera_from_opengl(
            _matrix(frame, "transform_matrix", where),
            _intrinsics(values, ("fl_x", "fl_y", "cx", "cy"), where),
            name=str(frame.get("name", "")),
            **_size(values, where),
        )
        mask = _file(folder, frame, "mask_path", where) if "mask_path" in frame else None
        views.append(SourceView(camera, picture, mask))
    return _named(views)


LAYOUTS: dict[str, ImportLayout] = {
    "facelift-gslrm": ImportLayout(
        "FaceLift's reconstructor: pictures with opencv_cameras.json",
        CAMERAS_NAME,
        _read_gslrm,
        LIST_NAMES["gslrm"],
    ),
    "facelift-mvdiffusion": ImportLayout(
        "FaceLift's diffusion model: six views on its own rig",
        "cam_00[0-5].png",
        _read_mvdiffusion,
        LIST_NAMES["mvdiffusion"],
        is_other=lambda folder: any((at / CAMERAS_NAME).exists() for at in (folder, folder.parent)),
    ),
    "nerfstudio": ImportLayout(
        "transforms.json of nerfstudio and Instant-NGP", TRANSFORMS_NAME, _read_nerfstudio
    ),
}
"""What heads can be imported from, by the name that `--from` takes."""


FACELIFT = "facelift"
"""Stands for whichever of FaceLift's two layouts is there."""


def layout_in(name: str, source: Path) -> str:
    """The layout that a name means for a folder: a key of `LAYOUTS`, if the name is `FACELIFT`.

    A folder with both (FaceLift keeps them side by side) is the reconstructor's, which has cameras.

    Raises:
        OSError: a folder cannot be read.
    """
    if name != FACELIFT:
        return name
    with_cameras = LAYOUTS["facelift-gslrm"].folders(source)
    return "facelift-gslrm" if with_cameras else "facelift-mvdiffusion"


def _scene(path: Path) -> Mapping[str, Any]:
    """A file of cameras with at least one frame."""
    try:
        scene = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    frames = scene.get("frames") if isinstance(scene, dict) else None
    if not isinstance(frames, list) or not frames:
        raise InputError(f"{path} lists no frames")
    if not all(isinstance(frame, dict) for frame in frames):
        raise InputError(f"{path}: a frame is not an object with keys")
    return scene


def _named(views: Sequence[SourceView]) -> list[SourceView]:
    """The views under distinct names: the canonical ones by pose, the others as in the source."""
    known = {position: name for name, position in find_canonical(v.camera for v in views).items()}
    taken = set(known.values())
    named = []
    for number, view in enumerate(views):
        name = known.get(number, view.camera.name)
        if number not in known and (not name or name in taken):
            free = (f"view_{i:03d}" for i in itertools.count(number))
            name = next(one for one in free if one not in taken)
        taken.add(name)
        named.append(replace(view, camera=replace(view.camera, name=name)))
    return named


def _matrix(frame: Mapping[str, Any], key: str, where: str) -> np.ndarray:
    """[4, 4] float64; a 3 x 4 matrix gets its last row."""
    try:
        matrix = np.array(frame.get(key), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: {key} is no matrix: {error}") from error
    if matrix.shape == (3, 4):
        matrix = np.concatenate([matrix, [[0.0, 0.0, 0.0, 1.0]]])
    if matrix.shape != (4, 4) or not is_rigid(matrix):
        raise InputError(
            f"{where}: {key} {matrix.tolist()} is not a rotation and a translation in 4 x 4"
        )
    return matrix


def _with_defaults(values: Mapping[str, Any], picture: Path, where: str) -> dict[str, Any]:
    """The values of a frame, with what Instant-NGP and NeRF leave to be computed.

    Raises:
        InputError: the camera is no pinhole.
    """
    model = values.get("camera_model", "OPENCV")
    bent = [key for key in _DISTORTIONS if values.get(key)]
    if model not in _PINHOLES or bent:
        raise InputError(
            f"{where}: camera_model {model}{', distorted by ' + ', '.join(bent) if bent else ''}; "
            "undistort the pictures first, a head's camera is a pinhole"
        )
    full = dict(values)
    if "w" not in full or "h" not in full:
        full["h"], full["w"] = _picture_size(picture)
    if "fl_x" not in full and "camera_angle_x" in full:
        angle = _number(full, "camera_angle_x", where)
        full["fl_x"] = full["w"] / 2 / math.tan(angle / 2)
    full.setdefault("fl_y", full.get("fl_x"))
    full.setdefault("cx", full["w"] / 2)
    full.setdefault("cy", full["h"] / 2)
    return full


def _picture_size(path: Path) -> tuple[int, int]:
    """Height and width in pixels, without decoding."""
    try:
        height, width = iio.improps(path, plugin="pillow").shape[:2]
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: no picture: {error}") from error
    return height, width


def _intrinsics(values: Mapping[str, Any], keys: Sequence[str], where: str) -> np.ndarray:
    """[3, 3] from focal lengths and principal point in pixels."""
    fx, fy, cx, cy = (_number(values, key, where) for key in keys)
    return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])


def _size(values: Mapping[str, Any], where: str) -> dict[str, int]:
    return {
        "width": int(_number(values, "w", where)),
        "height": int(_number(values, "h", where)),
    }


def _number(values: Mapping[str, Any], key: str, where: str) -> float:
    if values.get(key) is None:
        raise InputError(f"{where}: no {key}")
    value = values[key]
    if not isinstance(value, int | float) or not np.isfinite(value):
        raise InputError(f"{where}: {key} is {value!r}, expected a number")
    return float(value)


def _file(folder: Path, frame: Mapping[str, Any], key: str, where: str) -> Path:
    """A file that a frame names: relative to its folder (NeRF leaves `.png` away), or, if it was
    moved, in `images/`."""
    name = frame.get(key)
    if not isinstance(name, str) or not name:
        raise InputError(f"{where}: no {key}")
    for path in (folder / name, folder / f"{name}.png", folder / "images" / Path(name).name):
        if path.is_file():
            return path
    raise InputError(f"{where}: {folder / name} is not there")
