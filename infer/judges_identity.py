"""dlib's networks as judges: does it find the face, and does it take two pictures for one person?

The identity network is a 29-layer ResNet whose 128 numbers lie within about 0.6 of each other for
pictures of one person (King 2017, trained on faces of 7,485 people). Between photographs of
different people it measures 0.7 to 0.9. The package `face_recognition_models` brings its weights
and the five-point predictor that aligns the face (both public domain); its 68-point file is
trained on iBUG 300-W, which forbids commercial use, and is never opened.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from infer.judges_views import HeadViews
from synth.assets import package_folder
from synth.errors import AssetError, DeviceError
from synth.spec import HeadSpec, Makeup

INSTALL = "pip install 'headloom[judges]'"
"""Brings dlib and its weights."""
MAX_COMPARED_HEADS = 3000
"""Every pair of these is compared, the first of the dataset: 4.5 million pairs."""
ALIKE = 0.5
"""Distance below which two different identities count as look-alikes."""
TURNED_DEG = 8.0
"""Yaw from which on a head counts as turned, to either side."""
PAIRS_PER_EFFECT = 8
"""Pairs of one identity for each difference, from which on effects are estimated."""

_DETECTOR_SIZE_PX = 512
"""The detector sees faces from 80 px on; smaller pictures are enlarged to about this size."""

Box = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels."""


def why_not_installed() -> str | None:
    """What is missing for `DlibFaces`, as a sentence with its remedy, or None."""
    for package in ("dlib", "face_recognition_models"):
        if importlib.util.find_spec(package) is None:
            return f"{package} is not installed: {INSTALL}"
    return None


class DlibFaces:
    """dlib's face detector and identity network; for one thread at a time.

    Raises:
        DeviceError: dlib or its weights are not installed.
    """

    def __init__(self) -> None:
        missing = why_not_installed()
        if missing is not None:
            raise DeviceError(missing)
        import dlib

        self._dlib = dlib
        self._detector = dlib.get_frontal_face_detector()
        self._predictor = dlib.shape_predictor(_weights("shape_predictor_5_face_landmarks"))
        self._network = dlib.face_recognition_model_v1(
            _weights("dlib_face_recognition_resnet_model_v1")
        )

    def find(self, rgb: np.ndarray) -> Box | None:
        """The face that the detector is most sure of, or None.

        Args:
            rgb: [H, W, 3] uint8, sRGB.
        """
        enlarge = max(0, math.ceil(math.log2(_DETECTOR_SIZE_PX / max(rgb.shape[:2]))))
        found, scores, _ = self._detector.run(np.ascontiguousarray(rgb), enlarge, 0.0)
        if not len(found):
            return None
        best = found[int(np.argmax(scores))]
        return best.left(), best.top(), best.right(), best.bottom()

    def embed(self, rgb: np.ndarray, box: Box) -> np.ndarray:
        """The identity of a face: [128] float64, about unit length.

        Args:
            rgb: [H, W, 3] uint8, sRGB.
            box: as from `find`.
        """
        rgb = np.ascontiguousarray(rgb)
        aligned = self._predictor(rgb, self._dlib.rectangle(*box))
        return np.array(self._network.compute_face_descriptor(rgb, aligned))


@dataclass(frozen=True)
class DlibSeen:
    """dlib on the front view of a head.

    Attributes:
        found: whether its detector sees the face.
        embedding: [128] of the identity network, or None without a face.
    """

    found: bool
    embedding: tuple[float, ...] | None


def look_at_identity(views: HeadViews, dlib_faces: DlibFaces) -> DlibSeen | None:
    """Find and embed the face of the front view; None if there is no such view."""
    if "front" not in views.judged:
        return None
    rgb = views.rgb("front")
    box = dlib_faces.find(rgb)
    if box is None:
        return DlibSeen(False, None)
    embedding = tuple(round(float(v), 5) for v in dlib_faces.embed(rgb, box))
    return DlibSeen(True, embedding)


def _weights(stem: str) -> str:
    """Path of a file of `face_recognition_models`, whose import needs a removed setuptools API."""
    path = Path(package_folder("face_recognition_models")) / "models" / f"{stem}.dat"
    if not path.is_file():
        raise AssetError(f"{path} is missing; reinstall with: {INSTALL}")
    return str(path)


@dataclass(frozen=True)
class Pair:
    """Two heads and the distance of their identities, for the sheets."""

    first: str
    second: str
    distance: float


@dataclass(frozen=True)
class Change:
    """What one difference between two looks of a person does to the distance.

    Attributes:
        what: one of the keys of `look_of`.
        pairs, median: of one identity that differ in it; None without a pair.
        other_pairs, other_median: that do not.
        effect: by how much a pair that differs in it alone would be farther apart, by least squares
            over all pairs and differences; None for too few pairs.
    """

    what: str
    pairs: int
    median: float | None
    other_pairs: int
    other_median: float | None
    effect: float | None


@dataclass(frozen=True, eq=False)
class IdentityDistances:
    """Distances between heads, in the units of the network.

    Attributes:
        heads: how many were compared.
        same: [S] float32, every pair of heads of one identity.
        different: [D] float32, every pair of heads of two identities.
        look_alikes: the closest pairs of two identities, the closest first.
        strangers: the farthest pairs of one identity, the farthest first.
        changes: `same` by what differs between the two looks.
    """

    heads: int
    same: np.ndarray
    different: np.ndarray
    look_alikes: tuple[Pair, ...]
    strangers: tuple[Pair, ...]
    changes: tuple[Change, ...] = ()

    @property
    def alike_share(self) -> float:
        """Share of `different` below `ALIKE`."""
        return float((self.different < ALIKE).mean())


def compare(
    spec_ids: Sequence[str],
    identities: Sequence[str],
    embeddings: np.ndarray,
    looks: Sequence[Mapping[str, str]] = (),
    listed_pairs: int = 8,
) -> IdentityDistances:
    """Compare every head with every other one.

    Args:
        spec_ids: of the heads.
        identities: the identity of each head.
        embeddings: [N, 128], one row per head.
        looks: of the heads, from `look_of`; empty leaves `changes` empty.
        listed_pairs: length of `look_alikes` and of `strangers`.
    """
    count = min(len(spec_ids), MAX_COMPARED_HEADS)
    vectors = np.asarray(embeddings[:count], np.float32).reshape(count, -1)
    squares = (vectors**2).sum(axis=1)
    gram = squares[:, None] + squares[None] - 2 * vectors @ vectors.T
    _, person = np.unique(np.asarray(identities[:count], dtype=str), return_inverse=True)
    rows, columns = np.triu_indices(count, 1)
    distances = np.sqrt(np.maximum(gram[rows, columns], 0.0))
    is_same = person[rows] == person[columns]

    def pairs(chosen: np.ndarray, sign: float) -> tuple[Pair, ...]:
        places = np.flatnonzero(chosen)
        order = places[np.argsort(sign * distances[places], kind="stable")[:listed_pairs]]
        return tuple(
            Pair(spec_ids[rows[i]], spec_ids[columns[i]], round(float(distances[i]), 4))
            for i in order
        )

    return IdentityDistances(
        heads=count,
        same=distances[is_same],
        different=distances[~is_same],
        look_alikes=pairs(~is_same, 1.0),
        strangers=pairs(is_same, -1.0),
        changes=_changes(looks, rows[is_same], columns[is_same], distances[is_same]),
    )


def look_of(spec: HeadSpec) -> dict[str, str]:
    """What may differ between two pictures of a person, each in a word."""
    hair, worn, yaw = spec.hair, spec.accessories, spec.pose.yaw_deg
    return {
        "hair style": hair.style + (", fringe" if hair.fringe else ""),
        "hair colour": hair.colour.name,
        "beard": spec.facial_hair.beard,
        "glasses": "none" if worn.glasses is None else worn.glasses.shape,
        "headwear": "none" if worn.headwear is None else worn.headwear.kind,
        "make-up": "none" if spec.skin.makeup == Makeup() else "worn",
        "expression": spec.expression.name,
        "head turned": "no" if abs(yaw) < TURNED_DEG else "left" if yaw > 0 else "right",
        "light": spec.light.kind,
    }


def _changes(
    looks: Sequence[Mapping[str, str]],
    first: np.ndarray,
    second: np.ndarray,
    distances: np.ndarray,
) -> tuple[Change, ...]:
    """The distances of pairs of one identity by what differs; the greatest effect first.

    Args:
        looks: of every head.
        first, second: [P] int, the heads of each pair.
        distances: [P] of the pairs.
    """
    if not looks or not len(distances):
        return ()
    names = list(looks[0])
    differs = np.array(
        [[looks[a][name] != looks[b][name] for name in names] for a, b in zip(first, second)]
    )
    effects: dict[str, float] = {}
    varies = [i for i in range(len(names)) if 0 < differs[:, i].sum() < len(distances)]
    if len(distances) >= PAIRS_PER_EFFECT * (len(varies) + 1):
        design = np.column_stack([np.ones(len(distances)), differs[:, varies]])
        solution = np.linalg.lstsq(design, distances, rcond=None)[0]
        effects = {names[i]: round(float(v), 3) for i, v in zip(varies, solution[1:])}

    def median(chosen: np.ndarray) -> float | None:
        return round(float(np.median(distances[chosen])), 4) if chosen.any() else None

    rows = [
        Change(name, int(d.sum()), median(d), int((~d).sum()), median(~d), effects.get(name))
        for name, d in zip(names, differs.T)
    ]
    return tuple(sorted(rows, key=lambda row: -(row.effect or 0.0)))
