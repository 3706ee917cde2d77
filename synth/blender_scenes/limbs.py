"""Open ends of a body or garment run on out of every frame, so that no view shows a stump."""

from __future__ import annotations

import numpy as np

EXTENSION_M = (0.05, 0.10, 0.16, 0.24, 0.36, 0.55, 0.85, 1.4, 2.4)
"""Rings below an open end: seen from 60 degrees above, the frame ends that far away."""
_ARM_X = 0.15


def boundary_loops(faces: np.ndarray) -> list[np.ndarray]:
    """The closed border curves of a quad mesh [F, 4], each as vertex numbers in order."""
    directed = np.concatenate([faces[:, [i, (i + 1) % 4]] for i in range(4)]).astype(np.int64)
    size = int(faces.max()) + 1
    keys = directed[:, 0] * size + directed[:, 1]
    reverse = directed[:, 1] * size + directed[:, 0]
    border = directed[~np.isin(keys, reverse)]
    following = dict(border.tolist())
    loops = []
    while following:
        start, current = following.popitem()
        loop = [start]
        while current != start and current in following:
            loop.append(current)
            current = following.pop(current)
        if current == start:
            loops.append(np.array(loop))
    return loops


def is_arm(points: np.ndarray) -> bool:
    """Whether an open end [n, 3] in model space belongs to an arm, and not to the trunk."""
    return bool(abs(points[:, 0].mean()) > _ARM_X)


def rings_below(points: np.ndarray) -> np.ndarray:
    """[R, n, 3] rings that continue an open end [n, 3] of a limb or hem downwards, metres."""
    centre = points.mean(axis=0)
    direction = np.array([0.0, 0.0, -1.0])
    if is_arm(points):
        direction = np.array([0.20 * np.sign(centre[0]), -0.04, -1.0])
        direction /= np.linalg.norm(direction)
    flat = (points - centre) @ direction
    rings = []
    for step, reach_m in enumerate(EXTENSION_M):
        even = np.outer(flat * min(step + 1, 3) / 3, direction)  # the cut is not quite plane
        rings.append(points + direction * reach_m - even)
    return np.stack(rings)


def ring_faces(loop: np.ndarray, first: int) -> np.ndarray:
    """[R * n, 4] quads between an open end and the rings below it.

    Args:
        loop: [n] vertex numbers of the end, from `boundary_loops`.
        first: number of the first vertex of the first ring; ring by ring, in the order of `loop`.
    """
    count = len(loop)
    rings = first + np.arange(len(EXTENSION_M) * count).reshape(-1, count)
    above = np.concatenate([loop[None], rings[:-1]])
    quads = [above, rings, np.roll(rings, -1, axis=1), np.roll(above, -1, axis=1)]
    return np.stack(quads, axis=-1).reshape(-1, 4)


def run_arms_on(
    points: np.ndarray, faces: np.ndarray, source: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Let bare arms run on.

    Args:
        points: [N, 3] vertices in model space, metres.
        faces: [F, 4] their quads.
        source: [N] the vertex of the model that each of them is.

    Returns:
        The same with the added vertices and faces at the end; an added vertex has the source of the
        open end above it.
    """
    ends = [loop for loop in boundary_loops(faces) if len(loop) >= 12 and is_arm(points[loop])]
    # where an arm comes out of its clothes there is a border as well, but higher up
    ends.sort(key=lambda loop: points[loop, 2].mean())
    for loop in ends[:2]:
        added = rings_below(points[loop])
        faces = np.concatenate([faces, ring_faces(loop, len(points))])
        points = np.concatenate([points, added.reshape(-1, 3)])
        source = np.concatenate([source, np.tile(source[loop], len(added))])
    return points, faces, source
