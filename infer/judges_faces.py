"""mediapipe as a judge: does it find the face, where the head is?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from infer.faces import Face, FaceFinder
from infer.judges_views import HeadViews, Side
from synth.camera import Camera
from synth.landmarks import MEDIAPIPE_INDEX

MAX_OFF_UNITS, MIN_FACE_UNITS, MAX_FACE_UNITS = 0.4, 0.35, 1.3
"""Scene units: how far from the nostrils a found face may be centred, and how high it may be."""


@dataclass(frozen=True)
class FaceSeen:
    """mediapipe on one view.

    Attributes:
        side: which of the judged views.
        view: its number.
        points: (x, y) in pixels of the points of `point_numbers`, in their order; None when no
            face was found, or none where the head is.
    """

    side: Side
    view: int
    points: tuple[tuple[float, float], ...] | None


@dataclass(frozen=True)
class FacesSeen:
    """mediapipe on the judged views of a head."""

    faces: tuple[FaceSeen, ...]


def point_numbers() -> tuple[int, ...]:
    """The points of mediapipe's mesh that are kept, in ascending order."""
    return tuple(sorted(MEDIAPIPE_INDEX.values()))


def is_where_the_head_is(face: Face, camera: Camera) -> bool:
    """Whether a face has the place and the size of the head, and is no blotch taken for one.

    A head is 1.13 scene units high and its nostrils are about at the origin; see
    `synth.headmodel`.
    """
    (nostrils,), (depth,) = camera.project(np.zeros((1, 3)))
    unit_px = camera.K[0, 0] / depth
    x0, y0, x1, y1 = face.box
    off = np.hypot((x0 + x1) / 2 - nostrils[0], (y0 + y1) / 2 - nostrils[1]) / unit_px
    return bool(off < MAX_OFF_UNITS and MIN_FACE_UNITS < (y1 - y0) / unit_px < MAX_FACE_UNITS)


def look_for_faces(views: HeadViews, finder: FaceFinder) -> FacesSeen:
    """Search each judged view once, as a whole: no tiles, no second try."""
    numbers = list(point_numbers())
    seen = []
    for side, view in views.judged.items():
        found = finder.find(views.rgb(side), search_tiles=False)
        points = None
        if found and is_where_the_head_is(found[0], views.cameras[view]):
            chosen = found[0].landmarks[numbers, :2]
            points = tuple((round(float(x), 2), round(float(y), 2)) for x, y in chosen)
        seen.append(FaceSeen(side, view, points))
    return FacesSeen(tuple(seen))
