"""Normals of hair: those of the mass of strands, not of single ones.

A strand is thinner than a pixel and its ribbon faces whoever looks at it, so the normal that a ray
meets says nothing about the shape of the hair and changes from view to view. Here head and hair
together fill cells of a grid, which is blurred over about a centimetre; hair has the direction in
which that density falls. The grid lies in the world, so a point has one normal in all views.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import bpy
import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from synth.blender_scenes.passes_labels import labelled_objects
from synth.blender_scenes.passes_surface import Surface
from synth.camera import Camera
from synth.ground_truth import LABELS

STRAND_LABELS = ("hair", "brows", "lashes", "beard")
_NUMBERS = [LABELS[name] for name in STRAND_LABELS]
_CELL = 0.024
"""Edge of a cell in scene units, about 5 mm."""
_BLUR_CELLS = 1.5
_FULL = 6
"""Points of strands that fill a cell."""
_INSIDE = np.arange(1, 6) * 0.5 * _CELL
"""Depths below the skin at which cells are filled: the head is solid."""
_GRAZING = 0.03
"""Least cosine between a normal and the direction to the camera."""


@dataclass(frozen=True, eq=False)
class StrandMass:
    """The density of head and hair.

    Attributes:
        slope: [3, X, Y, Z] float32, its gradient.
        origin: [3] world position of the first cell.
    """

    slope: np.ndarray
    origin: np.ndarray

    @classmethod
    def of_scene(cls) -> StrandMass | None:
        """From the curves of the current scene; None where no hair is."""
        strands = [o for o in labelled_objects(*STRAND_LABELS) if o.type == "CURVES"]
        if not strands:
            return None
        hair = np.concatenate([_in_world(o, _read(o.data.points, "position")) for o in strands])
        skin = [_solid(o) for o in labelled_objects("skin") if o.type == "MESH"]
        low = hair.min(axis=0) - 4 * _CELL
        shape = np.ceil((hair.max(axis=0) + 4 * _CELL - low) / _CELL).astype(int)
        density = np.minimum(_count(hair, low, shape) / _FULL, 1.0)
        density = np.maximum(density, _count(np.concatenate(skin), low, shape) > 0)
        blurred = gaussian_filter(density.astype(np.float32), _BLUR_CELLS)
        return cls(np.stack(np.gradient(blurred)), low)

    def applied(self, surface: Surface, camera: Camera) -> Surface:
        """The surface of a view with these normals where it shows hair."""
        rows, columns = np.nonzero(np.isin(surface.label, _NUMBERS))
        pixels = np.stack([columns, rows], axis=1) + 0.5
        points = camera.unproject(pixels, surface.depth[rows, columns])
        normal = surface.normal.copy()
        normal[rows, columns] = self.normals(points, camera.position)
        return replace(surface, normal=normal)

    def normals(self, points: np.ndarray, camera_position: np.ndarray) -> np.ndarray:
        """Unit normals [n, 3] float32 at points [n, 3] of the world, turned to face the camera."""
        place = ((points - self.origin) / _CELL - 0.5).T
        normal = -np.stack([map_coordinates(s, place, order=1, mode="nearest") for s in self.slope])
        normal = normal.T / np.maximum(np.linalg.norm(normal, axis=0), 1e-9)[:, None]
        to_camera = camera_position - points
        to_camera /= np.linalg.norm(to_camera, axis=1, keepdims=True)
        lack = np.maximum(_GRAZING - (normal * to_camera).sum(axis=1), 0.0)
        normal += lack[:, None] * to_camera
        return (normal / np.linalg.norm(normal, axis=1, keepdims=True)).astype(np.float32)


def _in_world(item: bpy.types.Object, points: np.ndarray) -> np.ndarray:
    matrix = np.array(item.matrix_world)
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def _read(collection: bpy.types.bpy_prop_collection, name: str) -> np.ndarray:
    values = np.empty(3 * len(collection), np.float32)
    collection.foreach_get(name, values)
    return values.reshape(-1, 3)


def _solid(skin: bpy.types.Object) -> np.ndarray:
    """Points [n, 3] in a layer below a mesh."""
    vertices, normals = _read(skin.data.vertices, "co"), _read(skin.data.vertex_normals, "vector")
    return _in_world(skin, (vertices - normals * _INSIDE[:, None, None]).reshape(-1, 3))


def _count(points: np.ndarray, low: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """Number of points in each cell, [X, Y, Z]."""
    cell = np.floor((points - low) / _CELL).astype(int)
    cell = cell[((cell >= 0) & (cell < shape)).all(axis=1)]
    return np.bincount(np.ravel_multi_index(cell.T, shape), minlength=shape.prod()).reshape(shape)
