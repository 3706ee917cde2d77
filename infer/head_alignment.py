"""Finds the face of a foreign head and with it the frame of the head.

The head is looked at from all sides, mediapipe finds the face in the pictures, and the depth of the
pictures turns its landmarks into points on the head. A similarity fitted to them gives a first
frame; views of the face in that frame give a better one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import affine_transform

from infer.faces import FaceFinder
from synth.asset_alignment import FACE_LANDMARKS, fit_similarity, named_points
from synth.asset_probe import ProbeView
from synth.camera import Camera, look_at, orbit
from synth.color import linear_from_srgb, rgba8_from_float, srgb_from_linear
from synth.errors import InputError
from synth.landmarks import MEDIAPIPE_INDEX

Look = Callable[[np.ndarray | None, Sequence[Camera]], tuple[np.ndarray, Sequence[ProbeView]]]
"""Renders an asset: target_from_asset [4, 4] (None: fitted into the unit sphere) and cameras in;
target_from_asset as it was and the views out."""

SEARCH_SIZE, CLOSE_SIZE = 256, 384
ROLLS_DEG = tuple(range(0, 360, 45))
MAX_RESIDUAL = 0.055
"""Median distance in scene units (11 mm) between landmarks and where they belong, above which what
was found is no face: the back of a head fits worse."""
SURE_RESIDUAL = 0.015
"""Below this nothing better is looked for: right ones end at 0.007 to 0.016, wrong ones were seen
at 0.017 and 0.024 (docs/decisions.md)."""
_MOST_ROUNDS, _SETTLED_DEG = 4, 3.0
_CLOSE_VIEWS = ((-90.0, 0.0), (-115.0, 5.0), (-65.0, 5.0), (-90.0, 20.0), (-90.0, -15.0))
_MIN_POINTS = 12
_BACKGROUND = 0.25  # linear


@dataclass(frozen=True, eq=False)
class FoundHead:
    """Where the head is.

    Attributes:
        canonical_from_asset: [4, 4] similarity.
        residual: median distance in scene units between them and those of an average adult.
    """

    canonical_from_asset: np.ndarray
    residual: float


def find_head(look: Look, finder: FaceFinder, rotation: np.ndarray | None = None) -> FoundHead:
    """The canonical frame of a foreign head.

    Args:
        look: renders it.
        finder: finds faces.
        rotation: [3, 3] that turns the asset upright and to -Y, where that is known; only these
            directions are searched.

    Raises:
        InputError: no face was found.
    """
    if rotation is not None:
        turn = np.eye(4)
        turn[:3, :3] = rotation
        fitted, _ = look(None, ())
        searches = ((turn @ fitted, _upright_cameras()),)
    else:
        searches = ((None, _upright_cameras()), (None, _all_cameras()))
    best: FoundHead | None = None
    for matrix, cameras in searches:
        guess = _search(look, finder, matrix, cameras)
        found = None if guess is None else _settle(look, finder, guess)
        if found is not None and (best is None or found.residual < best.residual):
            best = found
        if best is not None and best.residual < SURE_RESIDUAL:
            break  # a face upside down also looks a little like a face; this one does not
    if best is not None:
        return best
    raise InputError(
        "no face was found on it from any side; give its alignment in the manifest "
        "(align: {landmarks: ...} or {matrix: ...}, see docs/assets.md)"
    )


def _search(
    look: Look,
    finder: FaceFinder,
    matrix: np.ndarray | None,
    cameras: Sequence[tuple[Camera, Sequence[int]]],
) -> FoundHead | None:
    """The best face in views from many sides, each turned in its plane by several angles."""
    matrix, views = look(matrix, [camera for camera, _ in cameras])
    best: FoundHead | None = None
    for view, (_, rolls) in zip(views, cameras):
        picture = _on_grey(view.rgba)
        for roll in rolls:
            turned, from_turned = _turned(picture, roll)
            for face in finder.find(turned, search_tiles=False):
                pixels = face.landmarks[:, :2] @ from_turned[:2, :2].T + from_turned[:2, 2]
                head = _fit(_unproject([view], [pixels]), matrix)
                if head is not None and (best is None or head.residual < best.residual):
                    best = head
    return best


def _settle(look: Look, finder: FaceFinder, guess: FoundHead) -> FoundHead | None:
    """Look closer until the frame stays where it is; None if it never does, as around something
    that only looked like a face from one side."""
    for _ in range(_MOST_ROUNDS):
        found = _refine(look, finder, guess)
        if found is None:
            return None
        if _angle_deg(found.canonical_from_asset, guess.canonical_from_asset) < _SETTLED_DEG:
            return found
        guess = found
    return None


def _angle_deg(first: np.ndarray, second: np.ndarray) -> float:
    """Angle between the rotations of two similarities [4, 4]."""
    turns = [m[:3, :3] / np.cbrt(np.linalg.det(m[:3, :3])) for m in (first, second)]
    cosine = (np.trace(turns[0] @ turns[1].T) - 1) / 2
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def _refine(look: Look, finder: FaceFinder, found: FoundHead) -> FoundHead | None:
    """The same from close views of the face in the frame found so far.

    mediapipe also lays a face on one that stands on its head, and not badly. Each view is therefore
    looked at both ways up, and the better fit is the face.
    """
    cameras = [orbit(azimuth, elevation, size=CLOSE_SIZE) for azimuth, elevation in _CLOSE_VIEWS]
    matrix, views = look(found.canonical_from_asset, cameras)
    fits = []
    for roll in (0, 180):
        seen, pixels = [], []
        for view in views:
            turned, from_turned = _turned(_on_grey(view.rgba), roll)
            faces = finder.find(turned, search_tiles=False)
            if faces:
                seen.append(view)
                xy = faces[0].landmarks[:, :2]
                pixels.append(xy @ from_turned[:2, :2].T + from_turned[:2, 2])
        fits.append(_fit(_unproject(seen, pixels), matrix) if seen else None)
    return min((fit for fit in fits if fit), key=lambda fit: fit.residual, default=None)


def _unproject(views: Sequence[ProbeView], pixels: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """[3] position of each landmark by name: the median over the views that show it."""
    indices = [MEDIAPIPE_INDEX[name] for name in FACE_LANDMARKS if name in MEDIAPIPE_INDEX]
    names = [name for name in FACE_LANDMARKS if name in MEDIAPIPE_INDEX]
    points = np.stack([view.points_at(xy[indices]) for view, xy in zip(views, pixels)])
    shown = (~np.isnan(points).any(axis=2)).any(axis=0)
    return {name: np.nanmedian(points[:, i], axis=0) for i, name in enumerate(names) if shown[i]}


def _fit(points: dict[str, np.ndarray], matrix: np.ndarray) -> FoundHead | None:
    """The frame in which the points lie as on a head, if they do."""
    if len(points) < _MIN_POINTS:
        return None
    here, wanted = named_points(points)
    canonical_from_here, residual = fit_similarity(here, wanted)
    median = float(np.median(residual))
    if median > MAX_RESIDUAL:
        return None
    return FoundHead(canonical_from_here @ matrix, median)


# ------------------------------------------------------------------------------------------ views


def _upright_cameras() -> list[tuple[Camera, Sequence[int]]]:
    """Around an object that stands upright, as nearly all files do."""
    return [
        (orbit(-90.0 + 45.0 * i, 5.0, size=SEARCH_SIZE, name=f"side_{i}"), (0,)) for i in range(8)
    ]


def _all_cameras() -> list[tuple[Camera, Sequence[int]]]:
    """From the 42 vertices of a once divided icosahedron, each in eight turns."""
    return [
        (look_at(2.7 * direction, width=SEARCH_SIZE, height=SEARCH_SIZE, name="any"), ROLLS_DEG)
        for direction in _icosphere()
    ]


def _icosphere() -> np.ndarray:
    """[42, 3] unit vectors, evenly spread, none of them vertical."""
    golden = (1 + 5**0.5) / 2
    corners = np.array(
        [p for a in (-1, 1) for b in (-golden, golden) for p in ((0, a, b), (a, b, 0), (b, 0, a))]
    )
    middles = [
        (p + q) / 2
        for i, p in enumerate(corners)
        for q in corners[i + 1 :]
        if np.isclose(np.linalg.norm(p - q), 2)
    ]
    points = np.concatenate([corners, middles])
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    tilt = np.radians(11.0)  # an edge's middle points straight up otherwise
    turn = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    return points @ turn.T


def _on_grey(rgba: np.ndarray) -> np.ndarray:
    """[H, W, 3] uint8 over mid grey."""
    alpha = rgba[..., 3:] / 255.0
    linear = linear_from_srgb(rgba[..., :3] / 255.0) * alpha + _BACKGROUND * (1 - alpha)
    return rgba8_from_float(srgb_from_linear(linear))


def _turned(picture: np.ndarray, angle_deg: float) -> tuple[np.ndarray, np.ndarray]:
    """A square picture turned about its middle, and the [3, 3] that takes pixels (x, y) back."""
    if angle_deg == 0:
        return picture, np.eye(3)
    middle = picture.shape[0] / 2
    angle = np.radians(angle_deg)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    back = np.eye(3)  # (x, y) of the turned picture to (x, y) of the picture
    back[:2, :2] = rotation
    back[:2, 2] = middle - rotation @ np.array([middle, middle])
    in_rows = rotation[::-1, ::-1]  # (row, column); pixel centres lie at a half
    offset = middle - 0.5 - in_rows @ np.array([middle - 0.5, middle - 0.5])
    turned = np.stack(
        [
            affine_transform(picture[..., c], in_rows, offset, order=1, mode="nearest")
            for c in range(3)
        ],
        axis=-1,
    )
    return turned, back
