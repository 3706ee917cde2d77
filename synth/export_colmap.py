"""COLMAP's text model of a head: `images/`, `masks/`, `sparse/0/{cameras,images,points3D}.txt`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from synth.export_head import HeadExport, Points, write_file

CONVENTIONS = """\
One folder a head, `heads/<id>`, as COLMAP and most Gaussian splatting code read it.

- `sparse/0/cameras.txt`: PINHOLE `fx fy cx cy` in pixels; the first pixel's centre is (0.5, 0.5).
- `sparse/0/images.txt`: world to camera, quaternion w first (Hamilton) and translation; the camera
  is OpenCV's (x right, y down, z forward), the world Headloom's (+Z up, face towards -Y).
- `sparse/0/points3D.txt`: landmarks that at least two views see, with exact tracks; empty if the
  heads were rendered without. Their `ERROR` is 0: they are projections, not measurements.
- `masks/<picture>.png`: 255 where a picture shows anything of the head, for
  `colmap feature_extractor --ImageReader.mask_path masks`.
"""


def write_colmap(head: HeadExport, folder: Path) -> None:
    """The folder of one head.

    Raises:
        InputError: a camera with skewed pixels.
    """
    names = [f"view_{number:03d}.png" for number in range(len(head.views))]
    for number, name in enumerate(names):
        write_file(folder / "images" / name, head.picture(number))
        write_file(folder / "masks" / f"{name}.png", head.mask(number))
    points = head.points()
    if points is not None:
        points = _tracked(points)
    lenses = [_pinhole(head, number) for number in range(len(names))]
    known = list(dict.fromkeys(lenses))
    model = folder / "sparse" / "0"
    write_file(
        model / "cameras.txt",
        _text(
            "CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]",
            (f"{number} PINHOLE {lens}" for number, lens in enumerate(known, 1)),
        ),
    )
    camera_ids = [known.index(lens) + 1 for lens in lenses]
    write_file(model / "images.txt", _images(head, names, camera_ids, points))
    write_file(model / "points3D.txt", _points(points))


def _tracked(points: Points) -> Points:
    """The points that at least two views see, which is what makes a point of a model."""
    kept = points.seen.sum(axis=0) >= 2
    return Points(points.positions[kept], points.colours[kept], points.seen[:, kept])


def _pinhole(head: HeadExport, number: int) -> str:
    camera = head.cameras[number]
    return f"{camera.width} {camera.height} {_numbers(head.pinhole(number))}"


def _images(
    head: HeadExport, names: Sequence[str], camera_ids: Sequence[int], points: Points | None
) -> str:
    lines = []
    for number, camera in enumerate(head.cameras):
        quaternion, translation = camera.colmap_pose()
        pose = _numbers((*quaternion, *translation))
        lines.append(f"{number + 1} {pose} {camera_ids[number]} {names[number]}")
        seen = np.flatnonzero(points.seen[number]) if points is not None else ()
        pixels = camera.project(points.positions[seen])[0] if points is not None else ()
        lines.append(" ".join(f"{_numbers(pixel)} {i + 1}" for pixel, i in zip(pixels, seen)))
    return _text(
        "IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME; POINTS2D[] as (X, Y, POINT3D_ID)",
        lines,
    )


def _points(points: Points | None) -> str:
    lines = []
    if points is not None:
        place_in_image = np.cumsum(points.seen, axis=1) - 1
        for number, position in enumerate(points.positions):
            colour = " ".join(map(str, points.colours[number]))
            track = " ".join(
                f"{image + 1} {place_in_image[image, number]}"
                for image in np.flatnonzero(points.seen[:, number])
            )
            lines.append(f"{number + 1} {_numbers(position)} {colour} 0 {track}")
    return _text("POINT3D_ID, X, Y, Z, R, G, B, ERROR, TRACK[] as (IMAGE_ID, POINT2D_IDX)", lines)


def _numbers(values: Iterable[float]) -> str:
    """Floats as the shortest text that reads back the same."""
    return " ".join(repr(float(value)) for value in values)


def _text(comment: str, lines: Iterable[str]) -> str:
    return "\n".join([f"# {comment}", *lines]) + "\n"
