"""Arc length and turning frames of curves."""

from __future__ import annotations

import numpy as np

from synth.blender_scenes.hair_field import normalize


def arc_lengths(curves: np.ndarray) -> np.ndarray:
    """Length [n, m] in metres from the root to every point of curves [n, m, 3]."""
    segment = np.linalg.norm(np.diff(curves, axis=1), axis=-1)
    return np.concatenate([np.zeros((len(curves), 1)), np.cumsum(segment, axis=1)], axis=1)


def transport_frames(curves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two unit normals [n, m, 3] along curves [n, m, 3] that turn as little as possible."""
    tangent = normalize(np.gradient(curves, axis=1))
    reference = np.where(
        np.abs(tangent[:, 0, 2:]) > 0.9, np.array([1.0, 0, 0]), np.array([0, 0, 1.0])
    )
    first = np.empty_like(curves)
    normal = normalize(np.cross(tangent[:, 0], reference))
    for step in range(curves.shape[1]):
        t = tangent[:, step]
        normal = normalize(normal - t * (normal * t).sum(-1, keepdims=True))
        first[:, step] = normal
    return first, np.cross(tangent, first)
