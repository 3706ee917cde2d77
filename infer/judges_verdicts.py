"""From what the judges saw to verdicts: goals, numbers reached, and the heads that fail."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from infer import judges_landmarks, judges_pictures
from infer.judges_faces import FacesSeen
from infer.judges_identity import ALIKE, DlibSeen, IdentityDistances, compare
from infer.judges_landmarks import LandmarkErrors, Offsets
from infer.judges_pictures import PicturesSeen, SkinSeen
from infer.judges_views import Side

MAX_HEAD_ERROR = 0.10
"""Median landmark error of one front view, as a share of the eye distance, that lists the head."""
ANGLE_EDGES_DEG = (0, 15, 30, 45, 60, 75)
"""Faces are counted by how far they are turned from the camera."""


@dataclass(frozen=True)
class Goal:
    """What a dataset should reach.

    Attributes:
        key: for programs.
        title: for people.
        unit: "share" of 1, "distance" of dlib's network, or "count".
        bound: the limit; None states a number that has no goal.
        sense: on which side of it to be.
    """

    key: str
    title: str
    unit: Literal["share", "distance", "count"]
    bound: float | None
    sense: Literal["at least", "at most", "under"]

    def met_by(self, value: float) -> bool | None:
        """Whether a number reaches the goal; None without one."""
        if self.bound is None:
            return None
        if self.sense == "at least":
            return value >= self.bound
        return value < self.bound if self.sense == "under" else value <= self.bound

    def __str__(self) -> str:
        return "" if self.bound is None else f"{self.sense} {self.show(self.bound)}"

    def show(self, value: float) -> str:
        """A number in the unit of the goal."""
        if self.unit == "share":
            digits = 2 if value < 0.095 else 1  # 4.02 % must not look like the 4 % of the goal
            return f"{100 * value:.{digits}f} %"
        return f"{value:.2f}" if self.unit == "distance" else f"{value:.0f}"


GOALS = (
    Goal("faces_front", "mediapipe finds the face, front views", "share", 0.99, "at least"),
    Goal("faces_front_side", "mediapipe finds the face, front-side views", "share", 0.95,
         "at least"),
    Goal("dlib_front", "dlib finds the face, front views", "share", 0.97, "at least"),
    Goal("landmarks_front_median", "landmarks, front: median error / eye distance", "share", 0.04,
         "at most"),
    Goal("landmarks_front_95", "landmarks, front: 95th percentile", "share", 0.10, "at most"),
    # mediapipe fits noses and cheeks of half profiles by a prior: what it says there is no goal
    Goal("landmarks_side_median", "landmarks, front-side: median error / eye distance", "share",
         None, "at most"),
    Goal("landmarks_side_95", "landmarks, front-side: 95th percentile", "share", None, "at most"),
    Goal("same_median", "one identity, other looks: median distance", "distance", 0.45, "under"),
    Goal("different_median", "two identities: median distance", "distance", 0.80, "at least"),
    Goal("different_alike", f"two identities: pairs under {ALIKE}", "share", 0.02, "at most"),
    Goal("skin", "skin luminance of the front view in the usable range", "share", 0.98,
         "at least"),
    Goal("cut_off", "heads that touch the frame's top or, above the nose, its sides", "count", 0,
         "at most"),
    Goal("broken", "empty, overfull or black pictures", "count", 0, "at most"),
)  # fmt: skip
"""The goals of Headloom's default dataset."""


@dataclass(frozen=True)
class Verdict:
    """One goal and what was reached.

    Attributes:
        goal: what should be.
        value: what is; None if it could not be measured.
        count: how many views, heads or pairs that says.
        note: why there is no value, or what was left out.
    """

    goal: Goal
    value: float | None
    count: int
    note: str = ""

    @property
    def passed(self) -> bool | None:
        """Whether the goal is met; None if it could not be measured or is none."""
        return None if self.value is None else self.goal.met_by(self.value)


@dataclass(frozen=True)
class Failure:
    """A head that a judge objects to."""

    judge: str
    spec_id: str
    index: int
    view: int
    reason: str


@dataclass(frozen=True)
class HeadSeen:
    """All that the judges saw of one head; None where a judge did not look.

    Attributes:
        look: what may differ on another picture of the person, `judges_identity.look_of`.
        turned_deg: angle between the face and the camera by judged view, + the subject's left.
        offsets: of the landmarks by judged view.
        no_truth: the head's geometry is not ours, so that nothing is known about its landmarks.
    """

    spec_id: str
    index: int
    identity_id: str
    turned_deg: dict[Side, float]
    front_view: int = 0
    pictures: PicturesSeen | None = None
    skin: SkinSeen | None = None
    faces: FacesSeen | None = None
    dlib: DlibSeen | None = None
    look: dict[str, str] = field(default_factory=dict)
    offsets: dict[Side, Offsets] = field(default_factory=dict)
    no_truth: bool = False


@dataclass(frozen=True)
class AngleCount:
    """Faces turned `low_deg` to `high_deg` from the camera, and how many mediapipe finds."""

    low_deg: float
    high_deg: float
    views: int
    found: int


@dataclass(frozen=True)
class LandmarkExample:
    """A front view with what mediapipe says about it, to be drawn.

    Attributes:
        spec_id: of the head.
        rank: "best", "median", "95 %" or "worst".
        error: median over its landmarks, as a share of the eye distance.
        offsets: of every landmark.
    """

    spec_id: str
    rank: str
    error: float
    offsets: Offsets


@dataclass(frozen=True, eq=False)
class Judgement:
    """What the judges say about a dataset.

    Attributes:
        heads: how many were looked at.
        verdicts: one per goal, in the order of `GOALS`; goals of judges that were not asked for
            are left out.
        failures: heads that are not as they should be, in the order of the dataset.
        landmarks: errors in "front" and "front-side" views.
        examples: front views from the best to the worst agreement.
        found_by_angle: faces that mediapipe found.
        identity: distances, if dlib ran.
        skin_medians: luminance of the skin, one number per head.
        no_truth: heads without ground truth (a user's own), left out of landmarks and skin.
    """

    heads: int
    verdicts: tuple[Verdict, ...]
    failures: tuple[Failure, ...]
    landmarks: dict[str, list[LandmarkErrors]]
    examples: tuple[LandmarkExample, ...]
    found_by_angle: tuple[AngleCount, ...]
    identity: IdentityDistances | None
    skin_medians: tuple[float, ...]
    no_truth: int


def give_verdicts(heads: Sequence[HeadSeen], not_run: dict[str, str]) -> Judgement:
    """Sum up.

    Args:
        heads: what was seen of every head.
        not_run: the reason by judge ("faces", "landmarks", "identity", "pictures"); an empty reason
            leaves its goals out.
    """
    offsets = {
        "front": [head.offsets["front"] for head in heads if "front" in head.offsets],
        "front-side": [o for head in heads for side, o in head.offsets.items() if side != "front"],
    }
    landmarks = {name: judges_landmarks.summarise(faces) for name, faces in offsets.items()}
    embedded = [head for head in heads if head.dlib is not None and head.dlib.embedding is not None]
    identity = None
    if embedded:
        identity = compare(
            [head.spec_id for head in embedded],
            [head.identity_id for head in embedded],
            np.array([head.dlib.embedding for head in embedded]),
            [head.look for head in embedded],
        )
    values: dict[str, tuple[float | None, int, str]] = {
        **_face_values(heads),
        **_landmark_values(landmarks),
        **_identity_values(identity),
        **_picture_values(heads),
    }
    verdicts = []
    for goal in GOALS:
        reason = not_run.get(_judge_of(goal))
        if reason is None:
            verdicts.append(Verdict(goal, *values[goal.key]))
        elif reason:
            verdicts.append(Verdict(goal, None, 0, f"not run: {reason}"))
    failures = [failure for head in heads for failure in _failures(head)]
    return Judgement(
        heads=len(heads),
        verdicts=tuple(verdicts),
        failures=tuple(failures),
        landmarks={name: rows for name, rows in landmarks.items() if rows},
        examples=_examples(heads),
        found_by_angle=_found_by_angle(heads),
        identity=identity,
        skin_medians=tuple(head.skin.median for head in heads if head.skin is not None),
        no_truth=sum(head.no_truth for head in heads),
    )


def _judge_of(goal: Goal) -> str:
    word = goal.key.partition("_")[0]
    judges = {"faces": "faces", "landmarks": "landmarks", "dlib": "identity", "same": "identity",
              "different": "identity"}  # fmt: skip
    return judges.get(word, "pictures")


def _share(flags: Iterable[bool], missing: str) -> tuple[float | None, int, str]:
    flags = list(flags)
    if not flags:
        return None, 0, missing
    return sum(flags) / len(flags), len(flags), ""


def _face_values(heads: Sequence[HeadSeen]) -> dict[str, tuple[float | None, int, str]]:
    faces = [face for head in heads if head.faces is not None for face in head.faces.faces]
    return {
        "faces_front": _share(
            (face.points is not None for face in faces if face.side == "front"), "no front views"
        ),
        "faces_front_side": _share(
            (face.points is not None for face in faces if face.side != "front"),
            "no views at +-45 degrees",
        ),
        "dlib_front": _share(
            (head.dlib.found for head in heads if head.dlib is not None), "no front views"
        ),
    }


def _landmark_values(
    landmarks: dict[str, list[LandmarkErrors]],
) -> dict[str, tuple[float | None, int, str]]:
    values: dict[str, tuple[float | None, int, str]] = {}
    for name, key in (("front", "front"), ("front-side", "side")):
        rows = landmarks[name]
        count = rows[0].count if rows else 0
        missing = "" if rows else f"no face with ground truth in {name} views"
        values[f"landmarks_{key}_median"] = (rows[0].median if rows else None, count, missing)
        values[f"landmarks_{key}_95"] = (rows[0].percentile_95 if rows else None, count, missing)
    return values


def _identity_values(
    identity: IdentityDistances | None,
) -> dict[str, tuple[float | None, int, str]]:
    same = identity.same if identity else np.zeros(0)
    different = identity.different if identity else np.zeros(0)

    def median(distances: np.ndarray, missing: str) -> tuple[float | None, int, str]:
        if not len(distances):
            return None, 0, missing
        return round(float(np.median(distances)), 4), len(distances), ""

    return {
        "same_median": median(same, "no identity has two looks (factors.looks)"),
        "different_median": median(different, "fewer than two identities"),
        "different_alike": (
            (round(identity.alike_share, 5), len(different), "")
            if len(different)
            else (None, 0, "fewer than two identities")
        ),
    }


def _picture_values(heads: Sequence[HeadSeen]) -> dict[str, tuple[float | None, int, str]]:
    looked = [head for head in heads if head.pictures is not None]
    skins = [head.skin for head in heads if head.skin is not None]
    pictures = sum(len(head.pictures.coverage) for head in looked)
    return {
        "skin": _share((skin.problem is None for skin in skins), "no front view with known skin"),
        "cut_off": (
            sum(bool(judges_pictures.cut_off_views(h.pictures)) for h in looked), len(looked), ""
        ),
        "broken": (
            sum(len(judges_pictures.problems_of(h.pictures)) for h in looked), pictures, ""
        ),
    }  # fmt: skip


def _examples(heads: Sequence[HeadSeen]) -> tuple[LandmarkExample, ...]:
    ranked = sorted(
        (_front_error(head), head.spec_id, head.offsets["front"])
        for head in heads
        if head.offsets.get("front")
    )
    if not ranked:
        return ()
    examples: dict[str, LandmarkExample] = {}  # by head: few heads have several ranks
    for rank, share in (("best", 0.0), ("median", 0.5), ("95 %", 0.95), ("worst", 1.0)):
        error, spec_id, offsets = ranked[round(share * (len(ranked) - 1))]
        examples.setdefault(spec_id, LandmarkExample(spec_id, rank, round(error, 4), offsets))
    return tuple(examples.values())


def _front_error(head: HeadSeen) -> float:
    """Median landmark error of the front view."""
    return float(np.median(np.linalg.norm(list(head.offsets["front"].values()), axis=1)))


def _found_by_angle(heads: Sequence[HeadSeen]) -> tuple[AngleCount, ...]:
    angles, found = [], []
    for head in heads:
        for face in head.faces.faces if head.faces is not None else ():
            angles.append(abs(head.turned_deg[face.side]))
            found.append(face.points is not None)
    angles, found = np.array(angles), np.array(found, bool)
    rows = []
    for low, high in zip(ANGLE_EDGES_DEG, (*ANGLE_EDGES_DEG[1:], 180)):
        inside = (angles >= low) & (angles < high)
        if inside.any():
            rows.append(AngleCount(low, high, int(inside.sum()), int(found[inside].sum())))
    return tuple(rows)


def _failures(head: HeadSeen) -> list[Failure]:
    """Everything that is wrong with one head, one line each."""

    def failure(judge: str, view: int, reason: str) -> Failure:
        return Failure(judge, head.spec_id, head.index, view, reason)

    found = []
    for face in head.faces.faces if head.faces is not None else ():
        if face.points is None:
            turned = f"{abs(head.turned_deg[face.side]):.0f}"
            reason = f"mediapipe finds no face ({face.side}, turned {turned} degrees)"
            found.append(failure("faces", face.view, reason))
    if head.dlib is not None and not head.dlib.found:
        found.append(failure("identity", head.front_view, "dlib finds no face (front)"))
    if head.offsets.get("front"):
        error = _front_error(head)
        if error > MAX_HEAD_ERROR:
            reason = f"landmarks are off by {error:.0%} of the eye distance (median, front)"
            found.append(failure("landmarks", head.front_view, reason))
    if head.skin is not None and head.skin.problem is not None:
        found.append(failure("pictures", head.front_view, head.skin.problem))
    if head.pictures is not None:
        wrong = judges_pictures.problems_of(head.pictures)
        wrong += judges_pictures.cut_off_views(head.pictures)
        found += [failure("pictures", view, reason) for view, reason in wrong]
    return found
