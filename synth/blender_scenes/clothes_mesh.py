"""The mesh that cloth is draped on: the body's middle level of detail, with its springs.

Every garment starts as a second skin on the same part of the body, so topology, springs and the
subdivision to the fine mesh are built once per process. A vertex keeps its number for all heads.
numpy and scipy only; canonical positions are those of the default adult (metres, arms raised).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse

from synth.headmodel import HeadModel
from synth.headmodel_masks import smoothstep
from synth.subdivision import SparseRows, catmull_clark

LOWEST_TORSO_Z = 0.44
FARTHEST_ARM_X = 0.37
"""Where the draped part ends; from there cloth hangs straight out of the frame."""
_ARM_X = 0.175
_ABOVE_NECKLINE_M = 0.048
_SHOULDER_X = 0.12


def collar_line(canonical: np.ndarray) -> np.ndarray:
    """[V] canonical height of the base of the neck: a tilted plane, low at the throat."""
    return 0.735 + 0.42 * (canonical[:, 1] + 0.015)


@dataclass(frozen=True, eq=False)
class ClothMesh:
    """A second skin from the neck to chest and elbows.

    Attributes:
        body: [n] the vertex of the head model under each vertex.
        quads: [q, 4] int.
        canonical: [n, 3] metres.
        pinned: [n] 1 where cloth is held on the body (neckline), 0 where it is free.
        springs: [E, 2] vertices joined by a spring: edges and diagonals of the quads.
        difference: [E, n] sparse, first minus second end of every spring.
        correction: [n, E] sparse, the mean over its springs of a vertex' share of a correction.
        average: [n, n] sparse, the mean of the neighbours.
        subdivision: to the fine mesh.
        fine_quads: [4 q, 4] int.
        fine_canonical: [N, 3] metres.
    """

    body: np.ndarray
    quads: np.ndarray
    canonical: np.ndarray
    pinned: np.ndarray
    springs: np.ndarray
    difference: sparse.csr_matrix
    correction: sparse.csr_matrix
    average: sparse.csr_matrix
    subdivision: SparseRows
    fine_quads: np.ndarray
    fine_canonical: np.ndarray


@functools.lru_cache(maxsize=2)
def cloth_mesh(model: HeadModel) -> ClothMesh:
    """The mesh for `model`."""
    # the corners of four sibling quads that lie at old vertices are one quad of the level above
    coarse = model.faces.reshape(-1, 4, 4)[:, :, 0]
    middle = model.canonical[coarse].mean(axis=1)
    side = np.abs(middle[:, 0])
    keep = middle[:, 2] < collar_line(middle) + _ABOVE_NECKLINE_M
    keep &= np.where(side < _ARM_X, middle[:, 2] > LOWEST_TORSO_Z, side < FARTHEST_ARM_X)
    body, quads = np.unique(coarse[keep], return_inverse=True)
    quads = quads.reshape(-1, 4)
    canonical = model.canonical[body]
    springs = _springs(quads)
    difference, correction = _spring_matrices(springs, len(body))
    subdivision, fine_quads = catmull_clark(quads, len(body))
    fine_canonical = subdivision.apply(canonical)
    return ClothMesh(
        body=body,
        quads=quads,
        canonical=canonical,
        pinned=_pinned(canonical),
        springs=springs,
        difference=difference,
        correction=correction,
        average=neighbour_average(quads, len(body)).astype(np.float32),
        subdivision=subdivision,
        fine_quads=fine_quads,
        fine_canonical=fine_canonical,
    )


def neighbour_average(quads: np.ndarray, count: int) -> sparse.csr_matrix:
    """[count, count] matrix that averages the values of the vertices joined by an edge."""
    a = quads.ravel()
    b = np.roll(quads, -1, axis=1).ravel()
    ones = np.ones(2 * len(a))
    matrix = sparse.coo_matrix((ones, (np.r_[a, b], np.r_[b, a])), (count, count)).tocsr()
    matrix.data[:] = 1.0  # an inner edge was counted twice
    degree = np.maximum(np.asarray(matrix.sum(axis=1)).ravel(), 1.0)
    return sparse.diags(1.0 / degree) @ matrix


def _springs(quads: np.ndarray) -> np.ndarray:
    edges = np.concatenate([quads[:, [i, (i + 1) % 4]] for i in range(4)])
    edges = np.unique(np.sort(edges, axis=1), axis=0)
    return np.concatenate([edges, quads[:, [0, 2]], quads[:, [1, 3]]])


def _spring_matrices(
    springs: np.ndarray, count: int
) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    first, second = springs.T
    row = np.arange(len(springs))
    ones = np.ones(len(springs))
    ends, rows = np.r_[first, second], np.r_[row, row]
    difference = sparse.coo_matrix((np.r_[ones, -ones], (rows, ends)), (len(springs), count))
    share = 1.0 / np.bincount(springs.ravel(), minlength=count)
    correction = sparse.coo_matrix(
        (np.r_[-share[first], share[second]], (ends, rows)), (count, len(springs))
    )
    return difference.tocsr().astype(np.float32), correction.tocsr().astype(np.float32)


def _pinned(canonical: np.ndarray) -> np.ndarray:
    side, height = np.abs(canonical[:, 0]), canonical[:, 2]
    return smoothstep(-0.012, 0.002, height - collar_line(canonical)) * (side < _SHOULDER_X)
