"""Finding faces: 478 landmarks with mediapipe, whose models ship inside its wheel (no download)."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from synth.errors import DeviceError

# Indices into mediapipe's face mesh; left and right are the subject's.
RIGHT_EYE_OUTER, LEFT_EYE_OUTER = 33, 263
UPPER_LIP_TOP, CHIN, FOREHEAD_TOP = 0, 152, 10
RIGHT_SIDE, LEFT_SIDE = 234, 454
"""The face's edge in front of each ear."""

_NOISE = re.compile(
    rb"^(INFO: Created TensorFlow Lite|WARNING: All log messages before absl|[IW]\d{4} [\d:.]+ )"
)
_silence_lock = threading.RLock()


@dataclass(frozen=True, eq=False)
class Face:
    """One face in an image.

    Attributes:
        landmarks: [478, 3] float64, x and y in pixels of the image (first pixel centre at 0.5,
            0.5), z in pixels too, negative towards the camera and only relative to the face.
    """

    landmarks: np.ndarray

    @property
    def box(self) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1 around all landmarks, in pixels."""
        low, high = self.landmarks[:, :2].min(0), self.landmarks[:, :2].max(0)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])

    @property
    def area(self) -> float:
        """Area of `box` in square pixels."""
        x0, y0, x1, y1 = self.box
        return (x1 - x0) * (y1 - y0)


@contextmanager
def quiet_native_log() -> Iterator[None]:
    """Hold back what C++ code prints to stderr, dropping only mediapipe's known chatter.

    The file descriptor is redirected, because the lines come from C++ threads. Anything else that
    arrived meanwhile, from Python or native code, is passed on afterwards; exceptions are not
    touched.
    """
    with _silence_lock, tempfile.TemporaryFile() as captured:
        sys.stderr.flush()
        saved = os.dup(2)
        os.dup2(captured.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            captured.seek(0)
            kept = [line for line in captured.readlines() if not _NOISE.match(line)]
            if kept:
                os.write(2, b"".join(kept))
            os.close(saved)


def load_mediapipe() -> Any:
    """Import mediapipe, quietly.

    Raises:
        DeviceError: it is missing or cannot load on this machine; says what to install.
    """
    try:
        with quiet_native_log():
            import mediapipe

            return mediapipe.solutions
    except (ImportError, AttributeError, OSError) as error:
        raise DeviceError(
            f"mediapipe, which finds faces, does not load: {error}. "
            "Install it with: pip install 'mediapipe==0.10.21'"
        ) from error


@contextmanager
def quiet_protobuf() -> Iterator[None]:
    """Ignore protobuf's deprecation notice about the call that mediapipe 0.10 makes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"SymbolDatabase\.GetPrototype\(\)")
        yield


class FaceFinder:
    """Finds the faces of still images; not thread-safe, one per process.

    Args:
        max_faces: how many faces of an image are reported at most.
        min_confidence: of the detector, in [0, 1].

    Raises:
        DeviceError: mediapipe does not load.
    """

    def __init__(self, *, max_faces: int = 8, min_confidence: float = 0.5) -> None:
        solutions = load_mediapipe()
        with quiet_native_log():
            self._mesh = solutions.face_mesh.FaceMesh(
                static_image_mode=True,
                max_num_faces=max_faces,
                refine_landmarks=True,
                min_detection_confidence=min_confidence,
            )
            self._far_detector = solutions.face_detection.FaceDetection(
                model_selection=1, min_detection_confidence=min_confidence
            )
            # The graphs start on threads that print while they warm up: let them do it in here.
            with quiet_protobuf():
                blank = np.zeros((64, 64, 3), np.uint8)
                self._mesh.process(blank)
                self._far_detector.process(blank)

    def find(self, rgb: np.ndarray, *, search_tiles: bool = True) -> list[Face]:
        """Find faces, the most prominent first.

        The mesh's own detector sees faces down to about a tenth of the picture; a second one, made
        for small faces, adds what that misses. Where both find nothing the second looks again in
        overlapping tiles. Each face is then measured once more in a close crop, which makes the
        landmarks independent of how small the face was.

        Args:
            rgb: [H, W, 3] uint8, sRGB.
            search_tiles: False looks at the picture as a whole only.

        Returns:
            Faces sorted by size, discounted by distance from the middle of the image.
        """
        faces = self._mesh_faces(rgb)
        for tiles in (1, 3, 7):  # per side, half overlapping: the whole, halves, quarters
            if tiles == 1 or (search_tiles and not faces):
                faces = self._add_small(faces, rgb, tiles)
        refined = []
        for face in faces:
            closer = self._mesh_in_box(rgb, face.box)
            refined.append(max(closer, key=lambda f: _overlap(f, face)) if closer else face)
        return sorted(refined, key=lambda face: -_prominence(face, rgb.shape))

    def _add_small(self, faces: list[Face], rgb: np.ndarray, tiles: int) -> list[Face]:
        """The faces given and those that the second detector sees beside them."""
        known = list(faces)
        for tile, left, top in _tiles(rgb, tiles):
            for box in self._far_boxes(tile):
                moved = (box[0] + left, box[1] + top, box[2] + left, box[3] + top)
                for face in self._mesh_in_box(rgb, moved):
                    if all(_overlap(face, other) < 0.3 * face.area for other in known):
                        known.append(face)
        return known

    def _mesh_faces(self, rgb: np.ndarray) -> list[Face]:
        with quiet_native_log(), quiet_protobuf():
            result = self._mesh.process(np.ascontiguousarray(rgb))
        height, width = rgb.shape[:2]
        scale = np.array([width, height, width], dtype=np.float64)
        return [
            Face(np.array([[p.x, p.y, p.z] for p in found.landmark]) * scale)
            for found in result.multi_face_landmarks or ()
        ]

    def _far_boxes(self, rgb: np.ndarray) -> list[tuple[float, float, float, float]]:
        with quiet_native_log(), quiet_protobuf():
            result = self._far_detector.process(np.ascontiguousarray(rgb))
        height, width = rgb.shape[:2]
        boxes = []
        for found in result.detections or ():
            box = found.location_data.relative_bounding_box
            x0, y0 = box.xmin * width, box.ymin * height
            boxes.append((x0, y0, x0 + box.width * width, y0 + box.height * height))
        return boxes

    def _mesh_in_box(self, rgb: np.ndarray, box: tuple[float, float, float, float]) -> list[Face]:
        x0, y0, x1, y1 = box
        reach = max(x1 - x0, y1 - y0)  # a square of twice the face
        centre_x, centre_y = (x0 + x1) / 2, (y0 + y1) / 2
        left, top = max(int(centre_x - reach), 0), max(int(centre_y - reach), 0)
        right = min(int(centre_x + reach) + 1, rgb.shape[1])
        bottom = min(int(centre_y + reach) + 1, rgb.shape[0])
        if right - left < 16 or bottom - top < 16:
            return []
        found = self._mesh_faces(rgb[top:bottom, left:right])
        return [Face(face.landmarks + np.array([left, top, 0.0])) for face in found]


def _tiles(rgb: np.ndarray, count: int) -> Iterator[tuple[np.ndarray, int, int]]:
    height, width = rgb.shape[:2]
    side_y, side_x = 2 * height // (count + 1), 2 * width // (count + 1)
    for row in range(count):
        for column in range(count):
            top, left = row * side_y // 2, column * side_x // 2
            yield rgb[top : top + side_y, left : left + side_x], left, top


def _prominence(face: Face, shape: tuple[int, ...]) -> float:
    height, width = shape[:2]
    x0, y0, x1, y1 = face.box
    offset = np.hypot((x0 + x1) / 2 - width / 2, (y0 + y1) / 2 - height / 2)
    return face.area * (1.0 - 0.5 * offset / np.hypot(width / 2, height / 2))


def _overlap(a: Face, b: Face) -> float:
    ax0, ay0, ax1, ay1 = a.box
    bx0, by0, bx1, by1 = b.box
    width, height = min(ax1, bx1) - max(ax0, bx0), min(ay1, by1) - max(ay0, by0)
    return max(width, 0.0) * max(height, 0.0)
