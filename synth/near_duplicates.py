"""Pairs of heads that look alike, by their fingerprints (`synth.quality`), among a million.

To compare each with each would take half a trillion distances for a million heads. A projection on
orthonormal axes never lengthens a distance, so a pair that is too far apart along the axis on which
the fingerprints differ most need not be looked at: sorted along it, what remains is a window around
each. Within it a few more axes rule out nearly all, and the rest is compared in full. Nothing is
missed, whatever the axes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from synth.errors import InputError

MAX_PAIRS = 1_000_000
"""So many pairs are no list of duplicates, but fingerprints that tell nothing apart."""

_AXES = 12
_FOR_AXES = 20_000
"""Fingerprints that the axes are found from."""
_BLOCK, _WINDOW = 1024, 8192
"""Fingerprints that are compared with each other at a time: 8 million distances, 100 MB."""
_ROUNDING = 0.05
"""What single precision may add to a squared distance."""


def near_pairs(
    fingerprints: np.ndarray,  # [N, D] uint8
    limit: float,
) -> list[tuple[int, int, float]]:
    """All pairs of fingerprints that are nearer to each other than a limit.

    Args:
        fingerprints: see `synth.quality.fingerprint`.
        limit: root mean square of the difference, in 1/255 of full scale, as
            `synth.quality.distance` gives it.

    Returns:
        (earlier row, later row, distance), by rows.

    Raises:
        InputError: there are more than `MAX_PAIRS`.
    """
    count, size = fingerprints.shape
    if not count:
        return []
    placed = _project(fingerprints) / np.sqrt(size)  # a distance is now a root mean square
    order = np.argsort(placed[:, 0], kind="stable")
    placed = placed[order]
    pairs: list[tuple[int, int, float]] = []
    for first, second in _candidates(placed, limit):
        one, other = fingerprints[order[first]], fingerprints[order[second]]
        apart = np.sqrt(np.mean((one.astype(np.float32) - other) ** 2, axis=1, dtype=np.float64))
        near = apart < limit
        rows = np.sort(np.stack([order[first[near]], order[second[near]]], axis=1), axis=1)
        pairs += zip(*rows.T.tolist(), apart[near].tolist())
        if len(pairs) > MAX_PAIRS:
            raise InputError(
                f"more than {MAX_PAIRS:,} pairs of {count:,} heads are nearer than {limit:g}; "
                "give a smaller --distance"
            )
    return sorted(pairs)


def later_copies(pairs: list[tuple[int, int, float]]) -> dict[int, tuple[int, float]]:
    """Of every group of heads that look alike all but the first, as quality control keeps it.

    Args:
        pairs: of `near_pairs`.

    Returns:
        of each such row the first one that is kept and near it, and their distance.
    """
    copies: dict[int, tuple[int, float]] = {}
    for earlier, later, apart in sorted(pairs, key=lambda pair: (pair[1], pair[0])):
        if earlier not in copies:  # in the order of the later one, so that this is settled
            copies.setdefault(later, (earlier, apart))
    return copies


def _project(fingerprints: np.ndarray) -> np.ndarray:
    """[N, A] float32: the fingerprints along the axes on which they differ most."""
    some = fingerprints[:: max(1, len(fingerprints) // _FOR_AXES)].astype(np.float32)
    mean = some.mean(axis=0)
    _, axes = np.linalg.eigh((some - mean).T @ (some - mean))
    axes = axes[:, ::-1][:, :_AXES]
    rows = range(0, len(fingerprints), _WINDOW)
    return np.concatenate([(fingerprints[row : row + _WINDOW] - mean) @ axes for row in rows])


def _candidates(
    placed: np.ndarray,  # [N, A] float32, sorted by the first axis
    limit: float,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows that may be near each other, the first below the second, in bounded portions."""
    along, squares = placed[:, 0], np.einsum("na,na->n", placed, placed)
    too_far = limit**2 + _ROUNDING
    for start in range(0, len(placed), _BLOCK):
        block = slice(start, start + _BLOCK)
        stop = np.searchsorted(along, along[block][-1] + limit + _ROUNDING, side="right")
        for left in range(start, stop, _WINDOW):
            window = slice(left, min(left + _WINDOW, stop))
            apart = squares[block, None] + squares[window] - 2 * placed[block] @ placed[window].T
            first, second = np.nonzero(apart < too_far)
            first, second = first + start, second + left
            ahead = first < second
            for part in range(0, np.count_nonzero(ahead), _WINDOW):
                portion = slice(part, part + _WINDOW)
                yield first[ahead][portion], second[ahead][portion]
