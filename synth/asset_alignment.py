"""How a foreign mesh is turned, scaled and placed: given in the manifest, or fitted to landmarks.

A whole head goes to the canonical frame of every head here: scene units, chin to crown about 1.13,
the face along -Y, +Z up, the origin at the nostrils' height. Hair and garments go to the *template*
(`headloom assets template`): the default adult in metres, on which the canonical landmarks lie.
"Asset coordinates" are those that Blender shows after it has opened or imported the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from synth.errors import AssetError
from synth.landmarks import CANONICAL

Axis = Literal["+X", "-X", "+Y", "-Y", "+Z", "-Z"]
Row = tuple[float, float, float, float]

WORLD_PER_METRE = 4.946
WORLD_OFFSET = (0.0, 0.308, -4.263)
"""Template (metres) to canonical frame (scene units): fitted to the landmarks of 120 random adults,
each in its own normalised frame; what is left is 1.0 mm on average. A head aligned by its face gets
a height from chin to crown of 1.13 units with a standard deviation of 8 %: people with large eyes
and mouths come out smaller."""

FACE_LANDMARKS = tuple(
    name for name in CANONICAL if name.startswith(("eye", "nose", "mouth", "chin", "subnasale"))
)
"""What a head is aligned by: places that mediapipe finds and that hair seldom hides. Not the brows:
on a head without painted ones mediapipe puts them a centimetre too low."""

_MIRRORED = 0.4
_UNLIKE_A_HEAD = 0.15
"""Median distance of given landmarks from where they belong, relative to their extent."""
_AXES = {
    "+X": (1, 0, 0), "-X": (-1, 0, 0), "+Y": (0, 1, 0), "-Y": (0, -1, 0), "+Z": (0, 0, 1),
    "-Z": (0, 0, -1),
}  # fmt: skip


@dataclass(frozen=True)
class Alignment:
    """How an asset lies; everything empty means automatic.

    Attributes:
        matrix: rows of the 4 x 4 similarity from asset coordinates to the frame of the kind.
        up, front: the axes of the asset that point up and out of the face. Alone they only help
            the automatic alignment; with `scale` and `origin` they are the whole alignment.
        scale: units of the frame per unit of the asset.
        origin: the point of the asset that lands on the origin of the frame.
        landmarks: three or more places on the asset by name (`synth.landmarks.CANONICAL`: `chin`,
            `nose_tip`, `eye_left_outer` ...; left is the subject's left).
    """

    matrix: tuple[Row, Row, Row, Row] | None = None
    up: Axis | None = None
    front: Axis | None = None
    scale: float | None = None
    origin: tuple[float, float, float] | None = None
    landmarks: dict[str, tuple[float, float, float]] | None = None

    def __post_init__(self) -> None:
        axes = (self.up, self.front, self.scale, self.origin)
        if sum((self.matrix is not None, self.landmarks is not None, any(a for a in axes))) > 1:
            raise ValueError("align: give a matrix, or landmarks, or axes; not several of them")
        if (self.up is None) != (self.front is None):
            raise ValueError("align: up and front belong together")
        if self.up is not None and self.up[1] == self.front[1]:
            raise ValueError(f"align: up {self.up} and front {self.front} are the same axis")
        if (self.scale is None) != (self.origin is None):
            raise ValueError("align: scale and origin belong together")
        if self.scale is not None and not self.scale > 0:
            raise ValueError(f"align: scale {self.scale} is not positive")
        if self.matrix is not None:
            check_similarity(np.array(self.matrix))
        if self.landmarks is not None:
            unknown = sorted(set(self.landmarks) - set(CANONICAL))
            if unknown or len(self.landmarks) < 3:
                raise ValueError(
                    f"align: {unknown[0]!r} is no landmark; known: {', '.join(CANONICAL)}"
                    if unknown
                    else "align: three landmarks at least, not on one line"
                )

    @property
    def automatic(self) -> bool:
        """Whether position and size must be found."""
        return self.matrix is None and self.landmarks is None and self.scale is None

    def rotation(self) -> np.ndarray:
        """[3, 3] the turn that `up` and `front` ask for; the identity without them."""
        if self.up is None or self.front is None:
            return np.eye(3)
        up, back = np.array(_AXES[self.up], float), -np.array(_AXES[self.front], float)
        return np.stack([np.cross(back, up), back, up])

    def given(self, target_from_template: np.ndarray) -> np.ndarray:
        """[4, 4] the similarity from asset coordinates to the frame, where it is given.

        Args:
            target_from_template: [4, 4] from the template to the frame of the kind.

        Raises:
            AssetError: landmarks that do not fit a head.
            ValueError: the alignment is automatic.
        """
        if self.matrix is not None:
            return np.array(self.matrix)
        if self.landmarks is not None:
            wanted = np.array([CANONICAL[name] for name in self.landmarks])
            target = apply(target_from_template, wanted)
            matrix, residual = fit_similarity(np.array(list(self.landmarks.values())), target)
            self._check_fit(target, residual)
            return matrix
        if self.scale is None:
            raise ValueError("an automatic alignment has no matrix of its own")
        matrix = np.eye(4)
        matrix[:3, :3] = self.scale * self.rotation()
        matrix[:3, 3] = -matrix[:3, :3] @ np.array(self.origin)
        return matrix

    def _check_fit(self, target: np.ndarray, residual: np.ndarray) -> None:
        """Raise `AssetError` for landmarks that lie otherwise than on a head, or mirrored."""
        assert self.landmarks is not None
        points = np.array(list(self.landmarks.values()))
        _, mirrored = fit_similarity(points, target * np.array([-1.0, 1.0, 1.0]))
        if mirrored.mean() < _MIRRORED * residual.mean():
            raise AssetError(
                "align.landmarks: left and right seem exchanged; left is the subject's left"
            )
        if np.median(residual) > _UNLIKE_A_HEAD * np.ptp(target, axis=0).max():
            worst = list(self.landmarks)[int(residual.argmax())]
            raise AssetError(
                f"align.landmarks: they do not lie as on a head, the worst is {worst!r}; "
                "coordinates are those Blender shows"
            )


def world_from_template() -> np.ndarray:
    """[4, 4] from the template in metres to the canonical frame in scene units."""
    matrix = np.diag([WORLD_PER_METRE, WORLD_PER_METRE, WORLD_PER_METRE, 1.0])
    matrix[:3, 3] = WORLD_OFFSET
    return matrix


def apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points [N, 3] under an affine map [4, 4]."""
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def check_similarity(matrix: np.ndarray) -> None:
    """Raise `ValueError` unless [4, 4] is a rotation, a uniform positive scale and a shift."""
    scale = np.cbrt(np.linalg.det(matrix[:3, :3]))
    if not scale > 0 or not np.allclose(matrix[3], [0, 0, 0, 1]):
        raise ValueError("align.matrix: not a similarity: it mirrors, or its last row is wrong")
    rotation = matrix[:3, :3] / scale
    if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3):
        raise ValueError("align.matrix: not a similarity: it shears or scales unevenly")


def fit_similarity(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The similarity that takes points to points, robust against some that lie (hair, glasses).

    Weighted least squares (Umeyama, PAMI 1991), the weights from the residuals (Geman-McClure).

    Args:
        source, target: [N, 3], N at least 3.

    Returns:
        [4, 4] target_from_source, and the distance [N] that is left at each point.

    Raises:
        AssetError: the points lie on a line.
    """
    weights = np.ones(len(source))
    for _ in range(12):
        matrix = _weighted_similarity(source, target, weights / weights.sum())
        residual = np.linalg.norm(apply(matrix, source) - target, axis=1)
        spread = max(float(np.median(residual)), 1e-9)
        weights = 1 / (1 + (residual / (2 * spread)) ** 2) ** 2
    return matrix, residual


def _weighted_similarity(source: np.ndarray, target: np.ndarray, weights: np.ndarray) -> np.ndarray:
    source_mean, target_mean = weights @ source, weights @ target
    centred, wanted = source - source_mean, target - target_mean
    left, singular, right = np.linalg.svd(wanted.T @ (weights[:, None] * centred))
    if singular[1] < 1e-9 * max(singular[0], 1e-300):
        raise AssetError("alignment: the landmarks lie on one line")
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    rotation = left @ np.diag(signs) @ right
    scale = (singular * signs).sum() / (weights @ (centred**2).sum(axis=1))
    matrix = np.eye(4)
    matrix[:3, :3] = scale * rotation
    matrix[:3, 3] = target_mean - matrix[:3, :3] @ source_mean
    return matrix


def named_points(points: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Points [n, 3] of the names that a head is aligned by, and where they belong in the canonical
    frame [n, 3]."""
    names = [name for name in FACE_LANDMARKS if name in points]
    canonical = np.array([CANONICAL[name] for name in names]).reshape(-1, 3)
    return (
        np.array([points[name] for name in names]).reshape(-1, 3),
        apply(world_from_template(), canonical),
    )
