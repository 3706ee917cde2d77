"""Where mediapipe finds the landmarks of rendered front views: the constants of infer/framing.py.

headloom render --out heads --heads 12 --size 320 --set views.random=0
python tests/bench/measure_framing.py heads/shards/*.tar
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from infer import faces
from infer.faces import FaceFinder
from synth.record import ShardReader

MEASURED = (
    "FACE_CENTRE_X", "EYE_Y", "CHIN_Y", "EYE_DISTANCE", "EYE_TO_LIP", "FACE_HEIGHT", "FACE_WIDTH",
)  # fmt: skip


def measures(landmarks: np.ndarray) -> tuple[float, ...]:
    """The seven numbers of one face; landmarks [478, 3] over the side of the image."""

    def length(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.linalg.norm(a - b))

    right_eye, left_eye = landmarks[faces.RIGHT_EYE_OUTER], landmarks[faces.LEFT_EYE_OUTER]
    right, left = landmarks[faces.RIGHT_SIDE], landmarks[faces.LEFT_SIDE]
    eyes, chin = (right_eye + left_eye) / 2, landmarks[faces.CHIN]
    return (
        (right[0] + left[0]) / 2,
        eyes[1],
        chin[1],
        length(right_eye, left_eye),
        length(eyes, landmarks[faces.UPPER_LIP_TOP]),
        length(landmarks[faces.FOREHEAD_TOP], chin),
        length(right, left),
    )


def front_views(shards: list[Path]) -> Iterator[np.ndarray]:
    """Front views on white, 640 px."""
    for shard in shards:
        for head in ShardReader(shard).heads():
            rgba = head.rgba(0).astype(np.float64) / 255.0
            white = rgba[..., :3] * rgba[..., 3:] + 1 - rgba[..., 3:]
            picture = Image.fromarray((white * 255 + 0.5).astype(np.uint8))
            yield np.asarray(picture.resize((640, 640), Image.Resampling.BICUBIC))


def main() -> None:
    """Print mean and standard deviation of every constant."""
    finder = FaceFinder()
    found = [(finder.find(view) or [None])[0] for view in front_views([*map(Path, sys.argv[1:])])]
    rows = np.array([measures(face.landmarks / 640) for face in found if face is not None])
    print(f"{len(rows)} of {len(found)} front views have a face")
    for name, mean, deviation in zip(MEASURED, rows.mean(0), rows.std(0)):
        print(f"{name} = {mean:.4f}  # {deviation:.4f} between people")


if __name__ == "__main__":
    main()
