"""Are two of the people one? Identities compared by what shapes them, without a picture."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

MAX_PEOPLE = 10_000
"""Identities that are compared with each other; more cost time with their square."""
ALMOST_ONE = 0.5
"""Distance under which two identities are taken to be nearly one person: independent ones lie at
about the square root of 2, and two are the same at 0."""
_BLOCK = 1000


@dataclass(frozen=True)
class Neighbours:
    """Two identities that are each other's like.

    Attributes:
        first, second: identity ids.
        distance: root mean square of the difference of their controls, each in units of its
            standard deviation over the dataset.
    """

    first: str
    second: str
    distance: float


class People:
    """Collects the shapes of identities."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._columns: dict[str, int] = {}
        self._shapes: list[tuple[array, array]] = []  # columns and values of one identity

    def __len__(self) -> int:
        return len(self._names)

    @property
    def controls(self) -> int:
        """How many controls any of them has."""
        return len(self._columns)

    def add(self, name: str, controls: Mapping[str, float]) -> None:
        """Note an identity; a control that others have and it lacks is 0.

        Args:
            name: its identity id.
            controls: amount by label.
        """
        columns = [self._columns.setdefault(label, len(self._columns)) for label in controls]
        self._names.append(name)
        self._shapes.append((array("H", columns), array("f", controls.values())))

    def nearest(self, count: int) -> tuple[list[Neighbours], float | None]:
        """The closest pairs, the closest first, and the median distance to a nearest neighbour."""
        if len(self) < 2:
            return [], None
        vectors = np.zeros((len(self), len(self._columns)), np.float32)
        for row, (columns, values) in zip(vectors, self._shapes):
            row[np.array(columns)] = values
        spread = vectors.std(axis=0)
        vectors = (vectors - vectors.mean(axis=0))[:, spread > 0] / spread[spread > 0]
        partner, distance = _nearest_rows(vectors)
        distance /= np.sqrt(max(vectors.shape[1], 1))
        pairs: dict[frozenset[int], float] = {}
        for row in np.argsort(distance, kind="stable"):
            pairs.setdefault(frozenset((int(row), int(partner[row]))), float(distance[row]))
        closest = [
            Neighbours(*(self._names[i] for i in sorted(pair)), round(value, 4))
            for pair, value in list(pairs.items())[:count]
        ]
        return closest, float(np.median(distance))


def _nearest_rows(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest other row of each row, and the distance to it: [N] int, [N] float32."""
    squares = (vectors**2).sum(axis=1)
    partner, distance = np.zeros(len(vectors), int), np.zeros(len(vectors), np.float32)
    for start in range(0, len(vectors), _BLOCK):
        block = slice(start, start + _BLOCK)
        gram = squares[block, None] + squares[None] - 2 * vectors[block] @ vectors.T
        rows = np.arange(len(gram))
        gram[rows, start + rows] = np.inf
        partner[block] = gram.argmin(axis=1)
        distance[block] = np.sqrt(np.maximum(gram.min(axis=1), 0))
    return partner, distance
