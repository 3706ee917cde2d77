"""The judges of a dataset: third-party networks and plain checks, head by head.

    faces      mediapipe finds the face in front and front-side views
    landmarks  mediapipe's landmarks and the projected ground truth agree
    identity   dlib finds the face, and tells two people apart and one person together
    pictures   the skin is well lit, the head whole in its frame, no picture empty or black

What a judge saw of a head is kept in `ObservationCache`s; what follows from it (errors, distances,
verdicts) is computed anew each time, in `judges_verdicts`.
"""

from __future__ import annotations

import functools
import importlib.metadata
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from infer import judges_faces, judges_identity, judges_landmarks, judges_pictures
from infer.faces import FaceFinder, load_mediapipe
from infer.judges_cache import ObservationCache, pictures_key
from infer.judges_faces import FacesSeen
from infer.judges_identity import DlibFaces, DlibSeen
from infer.judges_landmarks import Offsets
from infer.judges_pictures import PicturesSeen, SkinSeen
from infer.judges_verdicts import HeadSeen, Judgement, give_verdicts
from infer.judges_views import HeadViews, Side, choose_views, direction_deg
from synth.errors import ConfigError, DeviceError
from synth.headmodel import HeadModel
from synth.in_order import in_order
from synth.record import HeadRecord

JUDGES = ("faces", "landmarks", "identity", "pictures")
MAX_THREADS = 4

_VERSION = 2
"""Raised when a judge looks in another way, so that its cache is started afresh."""

Done = Callable[[int], None]
"""Called with the number of heads that are done."""
T = TypeVar("T")


def parse_judges(text: str) -> tuple[str, ...]:
    """`all`, `none`, or names of `JUDGES` with commas between.

    Raises:
        ConfigError: an unknown name.
    """
    if text in ("all", "none"):
        return JUDGES if text == "all" else ()
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in JUDGES:
            raise ConfigError(f"--judges: {name!r} is not one of all, none, {', '.join(JUDGES)}")
    return names


def judge(
    heads: Iterable[HeadRecord],
    judges: Sequence[str] = JUDGES,
    *,
    cache: Path | None = None,
    threads: int = 1,
    done: Done = lambda _: None,
) -> Judgement:
    """Let judges look at heads.

    Args:
        heads: in any number; one is in memory at a time and thread.
        judges: which, of `JUDGES`.
        cache: folder that keeps what they saw; None keeps nothing.
        threads: heads that are looked at together.
        done: told after each head.

    Raises:
        RecordCorrupt: a picture does not match its digest.
        AssetError: the head model cannot be built.
    """
    not_run = dict.fromkeys(set(JUDGES) - set(judges), "")
    not_run |= {name: reason for name in judges if (reason := _why_not(name))}
    running = [name for name in judges if name not in not_run]
    if not running:
        return give_verdicts([], not_run)
    panel = _Panel(running, cache)
    seen = []
    for head in in_order(panel.look_at, heads, min(threads, MAX_THREADS)):
        seen.append(head)
        done(len(seen))
    panel.save()
    return give_verdicts(seen, not_run)


def _why_not(name: str) -> str | None:
    """Why a judge cannot run on this machine, or None."""
    if name == "identity":
        return judges_identity.why_not_installed()
    if name in ("faces", "landmarks"):
        try:
            load_mediapipe()
        except DeviceError as error:
            return str(error)
    return None


class _Panel:
    """The judges that run, with their caches and networks; threads may share it."""

    def __init__(self, judges: Sequence[str], folder: Path | None):
        self._judges = judges
        self._one_at_a_time = threading.Lock()  # the networks; threads decode and project meanwhile
        self._model = HeadModel.load()

        def cache(name: str, kind: type[T], definition: str) -> ObservationCache[T]:
            path = folder / f"{name}.jsonl" if folder is not None else None
            return ObservationCache(path, kind, f"{_VERSION} {definition}")

        numbers = " ".join(map(str, judges_faces.point_numbers()))
        self._pictures = cache("pictures", PicturesSeen, "")
        self._skin = cache("skin", SkinSeen, self._model.digest)
        self._faces = cache("faces", FacesSeen, f"{_version_of('mediapipe')} {numbers}")
        self._dlib = cache("identity", DlibSeen, _version_of("dlib-bin"))

    def save(self) -> None:
        for cache in (self._pictures, self._skin, self._faces, self._dlib):
            cache.save()

    def look_at(self, head: HeadRecord) -> HeadSeen:
        """Let every judge look, unless its cache knows what it would see."""
        key, spec = pictures_key(head), None if head.is_imported else head.spec
        # nothing is known about the surface of other heads
        ours = spec is not None and spec.user_parts.head is None
        yaw_deg = 0.0 if spec is None else spec.pose.yaw_deg
        judged = choose_views(head.cameras)
        decoded: list[HeadViews] = []

        def known(cache: ObservationCache[T], look: Callable[[HeadViews], T | None]) -> T | None:
            seen = cache.get(key)
            if seen is None:
                if not decoded:
                    decoded.append(HeadViews.read(head))
                seen = look(decoded[0])
                if seen is not None:
                    cache.put(key, seen)
            return seen

        pictures = skin = faces = dlib = None
        offsets: dict[Side, Offsets] = {}
        if "pictures" in self._judges:
            pictures = known(self._pictures, judges_pictures.look_at_pictures)
        if "pictures" in self._judges and ours:
            skin = known(self._skin, lambda v: judges_pictures.look_at_skin(v, self._model))
        if {"faces", "landmarks"} & set(self._judges):
            faces = known(self._faces, self._look_for_faces)
        if "landmarks" in self._judges and ours:
            truth = judges_landmarks.stored_landmarks(head)
            truth = truth or judges_landmarks.computed_landmarks(spec, self._model)
            offsets = {
                face.side: judges_landmarks.landmark_offsets(truth, head.cameras[face.view], face)
                for face in faces.faces
                if face.points is not None
            }
        if "identity" in self._judges and "front" in judged:
            dlib = known(self._dlib, self._look_at_identity)
        return HeadSeen(
            spec_id=head.spec_id,
            index=head.index,
            identity_id=head.identity_id,
            turned_deg={
                side: direction_deg(head.cameras[view])[0] - yaw_deg
                for side, view in judged.items()
            },
            front_view=judged.get("front", 0),
            pictures=pictures,
            skin=skin,
            faces=faces if "faces" in self._judges else None,
            dlib=dlib,
            look={} if spec is None else judges_identity.look_of(spec),
            offsets=offsets,
            no_truth=not ours,
        )

    def _look_for_faces(self, views: HeadViews) -> FacesSeen:
        with self._one_at_a_time:
            return judges_faces.look_for_faces(views, self._finder)

    def _look_at_identity(self, views: HeadViews) -> DlibSeen | None:
        with self._one_at_a_time:
            return judges_identity.look_at_identity(views, self._dlib_faces)

    @functools.cached_property
    def _finder(self) -> FaceFinder:
        return FaceFinder(max_faces=1)

    @functools.cached_property
    def _dlib_faces(self) -> DlibFaces:
        return DlibFaces()


def _version_of(package: str) -> str:
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return f"{package} not installed"
