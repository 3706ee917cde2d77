"""Where mediapipe sees landmarks, against where they are: two opinions about the same places.

Part of every difference is definition: the same name means not quite the same point to mediapipe.
Such a part is the same on all heads and shows as the mean offset.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from infer.judges_faces import FaceSeen, point_numbers
from synth.camera import Camera
from synth.headmodel import HeadModel
from synth.landmarks import IRISES, MEDIAPIPE_INDEX, SPARSE_NAMES, Visibility, locate
from synth.record import HeadRecord
from synth.spec import HeadSpec

_GROUP_OF_WORD = {
    "brow": "brows", "eye": "lids", "iris": "irises", "nose": "nose", "subnasale": "nose",
    "lip": "mouth", "mouth": "mouth", "forehead": "forehead", "glabella": "forehead",
    "chin": "chin",
}  # fmt: skip
GROUPS = ("brows", "lids", "irises", "nose", "mouth", "forehead", "chin")
Offsets = dict[str, tuple[float, float]]
"""(right, down) by landmark, see `landmark_offsets`."""
FACING = 0.15
"""Cosine between a surface's normal and the direction to the camera from which on a landmark counts
as seen, where a dataset does not store what is visible."""


def group_of(landmark: str) -> str:
    """The group of a landmark of `synth.landmarks` that mediapipe has too, one of `GROUPS`."""
    return _GROUP_OF_WORD[landmark.partition("_")[0]]


@dataclass(frozen=True, eq=False)
class TrueLandmarks:
    """Ground truth of one head: the landmarks that mediapipe has too.

    Attributes:
        names: of the landmarks.
        points: [N, 3] float64, scene units.
        normals: [N, 3] float64, unit; or None where `visible` is known.
        visible: [V, N] bool for every view, or None.
        pupils: [2, 3] centres of the pupils, left and right.
    """

    names: tuple[str, ...]
    points: np.ndarray
    normals: np.ndarray | None
    visible: np.ndarray | None
    pupils: np.ndarray

    def seen_by(self, camera: Camera, view: int) -> np.ndarray:
        """[N] bool: which landmarks a view sees."""
        if self.visible is not None:
            return self.visible[view]
        towards = camera.position - self.points
        cosine = (self.normals * towards).sum(axis=1) / np.linalg.norm(towards, axis=1)
        return cosine >= FACING

    def eye_distance_px(self, camera: Camera) -> float:
        """Distance of the pupils as if the head faced the camera: turning does not shrink it."""
        _, (depth,) = camera.project(self.pupils.mean(axis=0, keepdims=True))
        return float(np.linalg.norm(self.pupils[0] - self.pupils[1]) * camera.K[0, 0] / depth)


def stored_landmarks(head: HeadRecord) -> TrueLandmarks | None:
    """What the dataset says, with what each view sees; None without the pass "landmarks"."""
    if "landmarks.npz" not in head.members:
        return None
    stored = head.landmarks
    place = {str(name): i for i, name in enumerate(stored.sparse_names)}
    names = tuple(name for name in MEDIAPIPE_INDEX if name in place)
    rows = [place[name] for name in names]
    return TrueLandmarks(
        names=names,
        points=stored.sparse[rows].astype(np.float64),
        normals=None,
        visible=stored.sparse_visibility[:, rows] == Visibility.VISIBLE,
        pupils=stored.sparse[[place[name] for name in IRISES]].astype(np.float64),
    )


def computed_landmarks(spec: HeadSpec, model: HeadModel) -> TrueLandmarks:
    """The same from the spec alone, for this version of the head model."""
    located = locate(spec, model, model.shape(spec.identity, spec.expression, spec.pose))
    rows = [SPARSE_NAMES.index(name) for name in MEDIAPIPE_INDEX]
    return TrueLandmarks(
        names=tuple(MEDIAPIPE_INDEX),
        points=located.sparse[rows],
        normals=located.sparse_normals[rows],
        visible=None,
        pupils=located.sparse[[SPARSE_NAMES.index(name) for name in IRISES]],
    )


def landmark_offsets(truth: TrueLandmarks, camera: Camera, face: FaceSeen) -> Offsets:
    """What mediapipe says minus what is true, for each visible landmark of a found face.

    Args:
        truth: of the head.
        camera: of the view.
        face: with points.

    Returns:
        (right, down) by name, as a share of `TrueLandmarks.eye_distance_px`.
    """
    pixels, _ = camera.project(truth.points)
    unit_px = truth.eye_distance_px(camera)
    place = {number: i for i, number in enumerate(point_numbers())}
    offsets = {}
    for name, pixel, seen in zip(truth.names, pixels, truth.seen_by(camera, face.view)):
        if seen:
            right, down = (np.array(face.points[place[MEDIAPIPE_INDEX[name]]]) - pixel) / unit_px
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
