"""Catmull-Clark subdivision of quad meshes as sparse linear maps, in numpy.

Because the map depends on the topology only, it is built once; every head is then one gather and
one segmented sum per level, and a fine vertex keeps its number for all identities and expressions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class SparseRows:
    """A sparse matrix in compressed rows in which no row is empty.

    Attributes:
        starts: [R] int64, where each row begins in `columns` and `weights`.
        columns: [n] int32.
        weights: [n] float32.
    """

    starts: np.ndarray
    columns: np.ndarray
    weights: np.ndarray

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Multiply with `values` [N, C] float; returns [R, C] float64."""
        gathered = values[self.columns].astype(np.float64, copy=False) * self.weights[:, None]
        return np.add.reduceat(gathered, self.starts, axis=0)


def catmull_clark(quads: np.ndarray, vertex_count: int) -> tuple[SparseRows, np.ndarray]:
    """One level of Catmull and Clark's scheme (1978), with the usual rule for boundaries.

    Args:
        quads: [F, 4] int, every vertex below `vertex_count` is used by at least one quad.
        vertex_count: number of coarse vertices.

    Returns:
        The map from coarse to fine vertices (order: old vertices, edge points, face points) and the
        fine quads [4 F, 4] int32; the quads 4 f ... 4 f + 3 lie in the coarse quad f, the i-th at
        its i-th corner.
    """
    quads = np.asarray(quads, np.int64)
    face_count = len(quads)
    corner_edges = np.stack([quads, np.roll(quads, -1, axis=1)], axis=-1).reshape(-1, 2)
    edges, edge_of_corner, uses = np.unique(
        np.sort(corner_edges, axis=1), axis=0, return_inverse=True, return_counts=True
    )
    edge_of_corner = edge_of_corner.reshape(face_count, 4)
    boundary = uses == 1
    triplets = [
        _vertex_points(quads, edges, boundary, vertex_count),
        _edge_points(quads, edges, edge_of_corner, boundary, vertex_count),
        _face_points(quads, vertex_count + len(edges)),
    ]
    rows, columns, weights = (np.concatenate(parts) for parts in zip(*triplets))
    matrix = _rows_from_triplets(rows, columns, weights, vertex_count)
    edge_point = edge_of_corner + vertex_count
    face_point = np.arange(face_count) + vertex_count + len(edges)
    fine = np.stack(
        [quads, edge_point, np.repeat(face_point[:, None], 4, 1), np.roll(edge_point, 1, axis=1)],
        axis=-1,
    )
    return matrix, fine.reshape(-1, 4).astype(np.int32)


def subdivide_corners(corners: np.ndarray) -> np.ndarray:
    """Split values at the corners of quads [F, 4, C] linearly, in the order of `catmull_clark`.

    Texture coordinates are split this way, so that seams stay sharp. Returns [4 F, 4, C].
    """
    middle = (corners + np.roll(corners, -1, axis=1)) / 2
    centre = corners.mean(axis=1)
    parts = [
        np.stack([corners[:, i], middle[:, i], centre, middle[:, i - 1]], axis=1) for i in range(4)
    ]
    return np.stack(parts, axis=1).reshape(-1, 4, corners.shape[-1])


def vertex_normals(vertices: np.ndarray, quads: np.ndarray) -> np.ndarray:
    """Area-weighted unit normals [V, 3] float64 of `vertices` [V, 3] under `quads` [F, 4]."""
    face_normals = np.cross(
        vertices[quads[:, 2]] - vertices[quads[:, 0]], vertices[quads[:, 3]] - vertices[quads[:, 1]]
    )
    corner = quads.ravel()
    normals = np.stack(
        [
            np.bincount(corner, np.repeat(face_normals[:, axis], 4), minlength=len(vertices))
            for axis in range(3)
        ],
        axis=1,
    )
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def _face_points(quads: np.ndarray, first_row: int):
    rows = np.repeat(np.arange(len(quads)) + first_row, 4)
    return rows, quads.ravel(), np.full(quads.size, 0.25)


def _edge_points(quads, edges, edge_of_corner, boundary, first_row):
    # inner: mean of the two end points and the two face points; boundary: the middle
    end_weight = np.where(boundary, 0.5, 0.25)
    rows = np.repeat(np.arange(len(edges)), 2)
    inner = ~boundary[edge_of_corner.ravel()]
    face_of_corner = np.repeat(np.arange(len(quads)), 4)
    face_rows = np.repeat(edge_of_corner.ravel()[inner], 4)
    face_columns = quads[face_of_corner[inner]].ravel()
    return (
        np.concatenate([rows, face_rows]) + first_row,
        np.concatenate([edges.ravel(), face_columns]),
        np.concatenate([np.repeat(end_weight, 2), np.full(len(face_rows), 1 / 16)]),
    )


def _vertex_points(quads, edges, boundary, vertex_count):
    # inner, n faces: (F + 2 R + (n - 3) P) / n; boundary: 3/4 P and 1/8 of both boundary neighbours
    faces_at = np.bincount(quads.ravel(), minlength=vertex_count).astype(float)
    edges_at = np.bincount(edges.ravel(), minlength=vertex_count).astype(float)
    rim_at = np.bincount(edges[boundary].ravel(), minlength=vertex_count).astype(float)
    inner = rim_at == 0
    all_vertices = np.arange(vertex_count)
    self_weight = np.where(inner, (faces_at - 3) / np.maximum(faces_at, 1), 0.5)

    corner = quads.ravel()
    keep = inner[corner]
    face_rows = np.repeat(corner[keep], 4)
    face_columns = np.repeat(quads, 4, axis=0)[keep].ravel()
    face_weights = 0.25 / faces_at[face_rows] ** 2

    ends, others = edges.ravel(), np.repeat(edges, 2, axis=0)
    on_rim = np.repeat(boundary, 2)
    use = inner[ends] | on_rim
    weight = np.where(
        inner[ends], 1 / (faces_at[ends] * edges_at[ends]), 0.25 / np.maximum(rim_at[ends], 1)
    )
    # inner: 2/n * mean of edge middles = sum over edges of 1/(n k) for both ends;
    # boundary: half of the mean of the middles of the boundary edges
    edge_rows = np.repeat(ends[use], 2)
    return (
        np.concatenate([all_vertices, face_rows, edge_rows]),
        np.concatenate([all_vertices, face_columns, others[use].ravel()]),
        np.concatenate([self_weight, face_weights, np.repeat(weight[use], 2)]),
    )


def _rows_from_triplets(rows, columns, weights, column_count) -> SparseRows:
    keys, inverse = np.unique(rows * np.int64(column_count) + columns, return_inverse=True)
    summed = np.bincount(inverse.ravel(), weights, minlength=len(keys))
    row_of_key = keys // column_count
    starts = np.flatnonzero(np.diff(row_of_key, prepend=-1))
    return SparseRows(
        starts.astype(np.int64),
        (keys % column_count).astype(np.int32),
        summed.astype(np.float32),
    )
