"""Carries what was modelled on the template over to another head and body; numpy only.

Every point follows the surface near it: rigid moving least squares (Schaefer, McPhail and Warren,
"Image deformation using moving least squares", SIGGRAPH 2006, eq. 7, in three dimensions and with a
uniform scale), so that hair turns with the head and keeps its shape instead of being sheared.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from synth.headmodel import HeadModel, HeadShape

ANCHORS = 3000
"""Vertices of the model that move the points."""
NEIGHBOURS = 32
SOFTNESS_M = 0.012
"""Anchors nearer than this count alike; it keeps small folds of the skin out of hair and cloth."""
CLOSE_M = 0.02
"""Within about this distance from the skin, cloth also follows what the anchors smooth away."""
_LOWEST_Z = 0.35
_CHUNK = 40_000


def fit_points(points: np.ndarray, model: HeadModel, shape: HeadShape) -> np.ndarray:
    """Points on the template to where they belong on a head.

    Args:
        points: [N, 3] template coordinates, metres.
        model: its canonical vertices are the template.
        shape: the evaluated head.

    Returns:
        [N, 3] float64 in model space, metres.
    """
    anchors = _anchors(model)
    rest, moved = model.canonical[anchors], shape.vertices[anchors]
    tree = cKDTree(rest)
    fitted = np.concatenate(
        [
            _carried(part, rest, moved, tree)
            for part in np.array_split(points, max(1, len(points) // _CHUNK))
        ]
    )
    return fitted + _what_is_left(points, model, shape, rest, moved, tree)


def _anchors(model: HeadModel) -> np.ndarray:
    """Evenly numbered vertices that can be seen from outside."""
    outside = (model.masks["mouth"] < 0.5) & (model.canonical[:, 2] > _LOWEST_Z)
    candidates = np.flatnonzero(outside)
    return candidates[:: max(1, len(candidates) // ANCHORS)]


def _carried(points: np.ndarray, rest: np.ndarray, moved: np.ndarray, tree: cKDTree) -> np.ndarray:
    """[N, 3] points moved by the similarity that fits the nearest anchors of each best."""
    distance, near = tree.query(points, k=NEIGHBOURS, workers=1)
    # farther points look at a wider neighbourhood, so that long hair moves as a whole
    reach = SOFTNESS_M + 0.5 * distance[:, :1]
    weights = 1 / (distance**2 + reach**2) ** 2
    weights /= weights.sum(axis=1, keepdims=True)
    before, after = rest[near], moved[near]
    before_mean = np.einsum("nk,nkc->nc", weights, before)
    after_mean = np.einsum("nk,nkc->nc", weights, after)
    before, after = before - before_mean[:, None], after - after_mean[:, None]
    covariance = np.einsum("nk,nki,nkj->nij", weights, after, before)
    left, singular, right = np.linalg.svd(covariance)
    mirrored = np.sign(np.linalg.det(left @ right))
    left[:, :, 2] *= mirrored[:, None]
    singular[:, 2] *= mirrored
    spread = np.einsum("nk,nkc->n", weights, before**2)
    scale = singular.sum(axis=1) / np.maximum(spread, 1e-12)
    turned = np.einsum("nij,nj->ni", left @ right, points - before_mean)
    return after_mean + np.clip(scale, 0.5, 2.0)[:, None] * turned


def _what_is_left(points, model, shape, rest, moved, tree) -> np.ndarray:
    """[N, 3] what the skin moves beyond its anchors, for points that lie close to it."""
    surface = cKDTree(model.canonical)
    distance, nearest = surface.query(points, workers=1)
    used, back = np.unique(nearest, return_inverse=True)
    error = shape.vertices[used] - _carried(model.canonical[used], rest, moved, tree)
    return np.exp(-((distance / CLOSE_M) ** 2))[:, None] * error[back]
