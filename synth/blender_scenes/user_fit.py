"""Carries what was modelled on the template over to another head and body; numpy only.

Every place of the template moves by a similarity, fitted to what the skin around it does (rigid
moving least squares: Schaefer, McPhail and Warren, "Image deformation using moving least squares",
SIGGRAPH 2006, eq. 7, in three dimensions and with a uniform scale). A point takes a mean of the
similarities near it, so that hair turns with the head and keeps its shape instead of being sheared.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from synth.headmodel import HeadModel, HeadShape

ANCHORS = 3000
"""Vertices of the model that carry a similarity."""
AROUND = 48
"""Anchors that a similarity is fitted to."""
NEAR = 12
"""Similarities that a point takes the mean of."""
SOFTNESS_M = 0.012
"""Anchors nearer than this count alike; it keeps small folds of the skin out of hair and cloth."""
CLOSE_M = 0.02
"""Within about this distance from the skin, points also follow what the anchors smooth away."""
_LOWEST_Z = 0.35
_SCALE_LIMITS = (0.6, 1.6)


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
    linear, offset = _similarities(rest, moved, tree)
    carried = _blend(points, linear, offset, tree)
    distance, nearest = cKDTree(model.canonical).query(points, workers=1)
    used, back = np.unique(nearest, return_inverse=True)
    error = shape.vertices[used] - _blend(model.canonical[used], linear, offset, tree)
    return carried + np.exp(-((distance / CLOSE_M) ** 2))[:, None] * error[back]


def _anchors(model: HeadModel) -> np.ndarray:
    """Evenly numbered vertices that can be seen from outside."""
    outside = (model.masks["mouth"] < 0.5) & (model.canonical[:, 2] > _LOWEST_Z)
    candidates = np.flatnonzero(outside)
    return candidates[:: max(1, len(candidates) // ANCHORS)]


def _weights(distance: np.ndarray) -> np.ndarray:
    """[N, k] from distances to the k nearest anchors; farther points look at a wider area, so that
    long hair moves as a whole."""
    reach = SOFTNESS_M + 0.5 * distance[:, :1]
    weights = 1 / (distance**2 + reach**2) ** 2
    return weights / weights.sum(axis=1, keepdims=True)


def _similarities(
    rest: np.ndarray, moved: np.ndarray, tree: cKDTree
) -> tuple[np.ndarray, np.ndarray]:
    """[A, 3, 3] and [A, 3]: `linear @ point + offset` moves the surroundings of an anchor."""
    distance, near = tree.query(rest, k=AROUND, workers=1)
    weights = _weights(distance)
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
    scale = np.clip(singular.sum(axis=1) / np.maximum(spread, 1e-12), *_SCALE_LIMITS)
    linear = scale[:, None, None] * (left @ right)
    return linear, after_mean - np.einsum("nij,nj->ni", linear, before_mean)


def _blend(points: np.ndarray, linear: np.ndarray, offset: np.ndarray, tree: cKDTree) -> np.ndarray:
    """[N, 3] points moved by the mean of the similarities near them."""
    distance, near = tree.query(points, k=NEAR, workers=1)
    weights = _weights(distance)
    moved = np.zeros_like(points)
    for column in range(NEAR):  # all at once would take NEAR times the memory
        chosen = near[:, column]
        part = np.einsum("nij,nj->ni", linear[chosen], points) + offset[chosen]
        moved += weights[:, column, None] * part
    return moved
