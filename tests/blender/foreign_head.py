"""A head as another program would export it: trimesh writes it, in any direction and size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import trimesh

from synth.headmodel import HeadModel, HeadShape

_SKIN, _LIPS, _HAIR = (0.60, 0.40, 0.31), (0.42, 0.13, 0.13), (0.05, 0.03, 0.02)


def write_head(path: Path, model: HeadModel, shape: HeadShape, file_from_world: np.ndarray) -> None:
    """Write head, neck and eyeballs with vertex colours.

    Args:
        path: .glb or .obj.
        shape: the head in its canonical frame.
        file_from_world: [4, 4] similarity to the coordinates that Blender shows after import.
    """
    near = model.canonical[model.faces, 2].mean(axis=1) > 0.68
    used, faces = np.unique(model.faces[near], return_inverse=True)
    quads = faces.reshape(-1, 4)
    masks = model.masks
    colour = np.tile(_SKIN, (len(model.canonical), 1))
    for cover, other in (
        (masks["lips"], _LIPS),
        (0.8 * masks["brow"], _HAIR),
        (masks["scalp_sd"] > 0, _HAIR),
        (masks["mouth"], (0.1, 0.02, 0.02)),
    ):
        colour = colour + np.asarray(cover, float)[:, None] * (np.array(other) - colour)
    parts = [
        trimesh.Trimesh(
            shape.to_world(shape.vertices[used]),
            np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]),
            vertex_colors=_colours(colour[used]),
            process=False,
        )
    ]
    for eye in shape.eyes:
        ball = trimesh.creation.icosphere(subdivisions=4, radius=0.97 * eye.radius)
        pole = ball.vertices @ eye.model_from_eye[:, 2] / np.linalg.norm(ball.vertices, axis=1)
        white = np.where((pole > 0.94)[:, None], (0.12, 0.07, 0.04), (0.62, 0.60, 0.57))
        white = np.where((pole > 0.985)[:, None], (0.01, 0.01, 0.01), white)
        ball.vertices = shape.to_world(ball.vertices + eye.center)
        ball.visual.vertex_colors = _colours(white)
        parts.append(ball)
    scene = trimesh.Scene()
    y_up = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]])
    for name, part in zip(("head", "eye_left", "eye_right"), parts):
        part.apply_transform(y_up @ file_from_world)  # glTF is Y up, Blender turns it back
        scene.add_geometry(part, node_name=name, geom_name=name)
    path.write_bytes(scene.export(file_type=path.suffix[1:]))


def any_similarity(rng: np.random.Generator, turn: float | None = None) -> np.ndarray:
    """[4, 4]: any direction, a tenth to ten times the size, somewhere.

    Args:
        turn: keeps the direction within about this many radians of upright.
    """
    q = rng.normal(size=4)
    if turn is not None:
        q[0] = 2 * np.linalg.norm(q[1:]) / turn
    w, x, y, z = q / np.linalg.norm(q)
    matrix = np.eye(4)
    matrix[:3, :3] = 10 ** rng.uniform(-1, 1) * np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    matrix[:3, 3] = rng.normal(size=3) * 3
    return matrix


def _colours(linear: np.ndarray) -> np.ndarray:
    opaque = np.ones((len(linear), 1))
    return (255 * np.concatenate([linear, opaque], axis=1)).round().astype(np.uint8)
