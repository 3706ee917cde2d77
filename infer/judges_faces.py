"""mediapipe as a judge: does it find the face, and are its landmarks where the ground truth is?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from infer.faces import Face, FaceFinder
from infer.judges_views import HeadViews, Side
from synth.camera import Camera
from synth.headmodel import HeadModel
from synth.landmarks import MEDIAPIPE_INDEX, SPARSE_NAMES, locate
from synth.spec import HeadSpec

_GROUP_OF_WORD = {
    "brow": "brows", "eye": "lids", "iris": "irises", "nose": "nose", "subnasale": "nose",
    "lip": "mouth", "mouth": "mouth", "forehead": "forehead", "glabella": "forehead",
    "chin": "chin",
}  # fmt: skip
GROUPS = ("brows", "lids", "irises", "nose", "mouth", "forehead", "chin")
Offsets = dict[str, tuple[float, float]]
"""(right, down) by landmark, see `landmark_offsets`."""
MAX_OFF_UNITS, MIN_FACE_UNITS, MAX_FACE_UNITS = 0.4, 0.35, 1.3
"""Scene units: how far from the nostrils a found face may be centred, and how high it may be."""
VISIBLE = 0.15
"""Cosine between a surface's normal and the direction to the camera, from which on it is seen."""


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


def group_of(landmark: str) -> str:
    """The group of a landmark of `synth.landmarks` that mediapipe has too, one of `GROUPS`."""
    return _GROUP_OF_WORD[landmark.partition("_")[0]]


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


@dataclass(frozen=True, eq=False)
class TrueLandmarks:
    """Ground truth of one head, from its spec alone.

    Attributes:
        names: of the landmarks.
        points: [N, 3] float64, scene units.
        normals: [N, 3] float64, unit.
        eye_distance: between the centres of the eyeballs, scene units.
        eye_middle: [3], between them.
    """

    names: tuple[str, ...]
    points: np.ndarray
    normals: np.ndarray
    eye_distance: float
    eye_middle: np.ndarray


def true_landmarks(spec: HeadSpec, model: HeadModel) -> TrueLandmarks:
    """Where the landmarks are that mediapipe has too."""
    shape = model.shape(spec.identity, spec.expression, spec.pose)
    located = locate(spec, model, shape)
    rows = [SPARSE_NAMES.index(name) for name in MEDIAPIPE_INDEX]
    left, right = (shape.to_world(eye.center) for eye in shape.eyes)
    return TrueLandmarks(
        names=tuple(MEDIAPIPE_INDEX),
        points=located.sparse[rows],
        normals=located.sparse_normals[rows],
        eye_distance=float(np.linalg.norm(left - right)),
        eye_middle=(left + right) / 2,
    )


def landmark_offsets(truth: TrueLandmarks, camera: Camera, face: FaceSeen) -> Offsets:
    """What mediapipe says minus what is true, for each visible landmark of a found face.

    Args:
        truth: of the head.
        camera: of the view.
        face: with points.

    Returns:
        (right, down) by name, as a share of the eye distance: the distance between the eyeballs as
        it would appear at their depth if they stood side by side, so that a turned head does not
        shrink its own measure.
    """
    pixels, _ = camera.project(truth.points)
    towards = camera.position - truth.points
    cosine = (truth.normals * towards).sum(1) / np.linalg.norm(towards, axis=1)
    _, (depth,) = camera.project(truth.eye_middle[None])
    unit_px = truth.eye_distance * camera.K[0, 0] / depth
    place = {number: i for i, number in enumerate(point_numbers())}
    offsets = {}
    for name, pixel, facing in zip(truth.names, pixels, cosine):
        if facing >= VISIBLE:
            seen = np.array(face.points[place[MEDIAPIPE_INDEX[name]]])
            right, down = (seen - pixel) / unit_px
            offsets[name] = (float(right), float(down))
    return offsets


@dataclass(frozen=True)
class LandmarkErrors:
    """Agreement of one group of landmarks over many heads, in shares of the eye distance.

    Attributes:
        group: "all", one of `GROUPS`, or one landmark.
        count: how many were compared.
        median, percentile_95: of the length of the offset.
        right, down: mean offset in the picture, which a different idea of the same landmark gives.
    """

    group: str
    count: int
    median: float
    percentile_95: float
    right: float
    down: float

    @property
    def is_group(self) -> bool:
        """Whether this is more than a single landmark."""
        return self.group == "all" or self.group in GROUPS


def summarise(offsets: Sequence[Offsets]) -> list[LandmarkErrors]:
    """All landmarks together, then each group, then each landmark; empty ones are left out.

    Args:
        offsets: of each face, from `landmark_offsets`.
    """
    by_name: dict[str, list[tuple[float, float]]] = {}
    for face in offsets:
        for name, offset in face.items():
            by_name.setdefault(name, []).append(offset)
    groups = {"all": list(by_name)}
    for group in GROUPS:
        groups[group] = [name for name in by_name if group_of(name) == group]
    groups |= {name: [name] for name in by_name}
    rows = []
    for group, names in groups.items():
        values = np.array([offset for name in names for offset in by_name[name]]).reshape(-1, 2)
        if len(values):
            median, high = np.quantile(np.linalg.norm(values, axis=1), (0.5, 0.95))
            right, down = values.mean(axis=0)
            numbers = (round(float(v), 4) for v in (median, high, right, down))
            rows.append(LandmarkErrors(group, len(values), *numbers))
    return rows
