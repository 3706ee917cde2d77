"""The rim of the lids: rings of vertices of the fine mesh around each eye opening.

Rings and columns are found once on the topology and hold for every identity and expression. What
lies on the rim (tear line, caruncle, wet margin, eyeliner) is placed by them. Numpy only.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from synth.headmodel import EyeFrame, HeadModel

INNER_RINGS, OUTER_RINGS = 12, 30
"""Rings inside the opening, down to where the lid leaves the eyeball, and on the skin of the lids,
to beyond the crease; one step is about 0.3 mm."""
_REACH_M = 0.034
_FRONT_Y = -0.11


@dataclass(frozen=True, eq=False)
class EyeRim:
    """The vertices around one eye.

    Attributes:
        rings: [R, C] int, vertex numbers; row `INNER_RINGS` is the front edge of the lids, smaller
            rows go down along the lid's margin to the eyeball, larger ones out on the skin. Columns
            start at the inner corner and run over the upper lid to the outer one and back below.
        outer_corner: column of the outer corner.
    """

    rings: np.ndarray
    outer_corner: int

    @property
    def upper(self) -> np.ndarray:
        """[C] bool, the columns of the upper lid."""
        return np.arange(self.rings.shape[1]) <= self.outer_corner

    def contact(self, vertices: np.ndarray, eye: EyeFrame, scale: float) -> np.ndarray:
        """Where the margin meets a sphere about the eyeball: [C, 3] in model space.

        Args:
            vertices: [V, 3] the fine mesh.
            scale: radius of the sphere relative to the eyeball's.
        """
        columns = vertices[self.rings[: INNER_RINGS + 1]]
        above = np.linalg.norm(columns - eye.center, axis=2) - eye.radius * scale
        # the outermost crossing: below it the margin is inside the ball
        outside = np.flip(np.minimum.accumulate(np.flip(above > 0, axis=0), axis=0), axis=0)
        row = np.clip(np.argmax(outside, axis=0), 1, INNER_RINGS)
        column = np.arange(columns.shape[1])
        high, low = above[row, column], above[row - 1, column]
        share = np.clip(high / np.maximum(high - low, 1e-9), 0, 1)[:, None]
        return columns[row, column] * (1 - share) + columns[row - 1, column] * share


@functools.lru_cache(maxsize=1)
def eye_rims(model: HeadModel) -> tuple[EyeRim, EyeRim]:
    """The rims of the left and the right eye."""
    return _find(model, 1.0), _find(model, -1.0)


def _find(model: HeadModel, side: float) -> EyeRim:
    near = (
        (model.masks["eye_distance"] < _REACH_M)
        & (model.canonical[:, 0] * side > 0)
        & (model.canonical[:, 1] < _FRONT_Y)
    )
    walk = _Walk(model.faces[near[model.faces].all(axis=1)])
    quads = model.groups["helper-l-eye" if side > 0 else "helper-r-eye"]
    corners = model.canonical_base[np.unique(quads)]
    center = (corners.min(axis=0) + corners.max(axis=0)) / 2
    front_edge = walk.ring(*_start(model.canonical, near, center, walk))
    outward = [walk.line(v, front_edge, model.canonical, center, True) for v in front_edge]
    inward = [walk.line(v, front_edge, model.canonical, center, False) for v in front_edge]
    rings = np.array([[*down[::-1], v, *up] for down, v, up in zip(inward, front_edge, outward)]).T
    edge = model.canonical[rings[INNER_RINGS]]
    rings = np.roll(rings, -int(np.argmin(edge[:, 0] * side)), axis=1)
    edge = model.canonical[rings[INNER_RINGS]]
    if edge[len(edge) // 4, 2] < edge[3 * len(edge) // 4, 2]:  # over the upper lid first
        rings = np.roll(rings[:, ::-1], 1, axis=1)
        edge = model.canonical[rings[INNER_RINGS]]
    return EyeRim(rings, int(np.argmax(edge[:, 0] * side)))


_EDGE_RADIUS_M = 0.0186
"""Distance of the middle of the upper lid's front edge from the centre of the eye."""


def _start(canonical, near, center, walk) -> tuple[int, int]:
    """A vertex on the front edge, above the pupil, and its neighbour along the edge."""
    offset = canonical - center
    from_axis = np.hypot(offset[:, 0], offset[:, 2])
    above = near & (np.abs(offset[:, 0]) < 0.12 * offset[:, 2]) & (offset[:, 1] < 0)
    candidates = np.flatnonzero(above)
    # the opening is the narrowest place; the margin is a wall along the line of sight
    opening = from_axis[candidates].min()
    wall = candidates[from_axis[candidates] < opening + 0.0006]
    distance = np.linalg.norm(offset[wall], axis=1)
    first = int(wall[np.argmin(np.abs(distance - _EDGE_RADIUS_M))])
    neighbours = sorted(walk.neighbours[first])
    sideways = [abs(canonical[n, 0] - canonical[first, 0]) for n in neighbours]
    return first, neighbours[int(np.argmax(sideways))]


class _Walk:
    """Straight walks over a quad mesh: at a regular vertex, leave by the opposite edge."""

    def __init__(self, faces: np.ndarray):
        self.neighbours: dict[int, set[int]] = defaultdict(set)
        for face in faces.tolist():
            for i, vertex in enumerate(face):
                self.neighbours[vertex] |= {face[i - 1], face[(i + 1) % 4]}
        self._faces: dict[int, list[tuple[int, ...]]] = defaultdict(list)
        for face in faces.tolist():
            for vertex in face:
                self._faces[vertex].append(tuple(face))

    def next(self, before: int, vertex: int) -> int:
        touching = {v for face in self._faces[vertex] if before in face for v in face}
        (after,) = self.neighbours[vertex] - touching
        return after

    def ring(self, first: int, second: int) -> list[int]:
        ring = [first, second]
        while (after := self.next(ring[-2], ring[-1])) != first:
            ring.append(after)
        return ring

    def line(self, start: int, ring: list[int], canonical, center, outward: bool) -> list[int]:
        """From the ring straight away from the eye's opening, or into it."""
        position = ring.index(start)
        along = {ring[position - 1], ring[(position + 1) % len(ring)]}
        sides = sorted(
            self.neighbours[start] - along, key=lambda v: np.linalg.norm(canonical[v] - center)
        )
        line = [start, sides[-1] if outward else sides[0]]
        while len(line) <= (OUTER_RINGS if outward else INNER_RINGS):
            line.append(self.next(line[-2], line[-1]))
        return line[1:]
