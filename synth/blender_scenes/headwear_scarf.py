"""A headscarf: cloth around the face, over head and neck, falling on shoulders and chest; numpy.

The cloth is a ring: its inner edge frames the face, its outer edge lies on the shoulders. It is
laid out through four curves on the head's own anatomy, drawn tight over head, ears, neck and
clothes, and then given folds. A second, partial layer is the end that is thrown over a shoulder.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.ndimage import map_coordinates, uniform_filter1d

from synth.blender_scenes.accessory_mesh import MeshPart, anchored, grid_faces, unit
from synth.blender_scenes.hair_field import HeadSurface, smooth_noise, smoothstep
from synth.blender_scenes.headwear_fit import HairCover
from synth.headmodel import HeadModel, HeadShape
from synth.rng import stream
from synth.spec import Headwear
from synth.subdivision import vertex_normals

_ANGLES_DEG = np.array([0.0, 45, 80, 110, 140, 165, 180])
"""Places on the ring: 0 the forehead, 90 the subject's left, 180 the chin."""
_FACE = np.array(
    [[0, -0.146, 0.953], [0.050, -0.126, 0.942], [0.0690, -0.098, 0.905], [0.0675, -0.090, 0.865],
     [0.0560, -0.094, 0.820], [0.026, -0.126, 0.784], [0, -0.134, 0.775]]
)  # fmt: skip
_MIDDLE = np.array(
    [[0, -0.030, 1.030], [0.058, -0.030, 1.000], [0.090, -0.032, 0.930], [0.090, -0.022, 0.870],
     [0.070, -0.030, 0.808], [0.034, -0.090, 0.768], [0, -0.108, 0.760]]
)  # fmt: skip
_NECK = np.array(
    [[0, 0.076, 0.800], [0.052, 0.060, 0.795], [0.082, 0.020, 0.785], [0.088, -0.024, 0.768],
     [0.076, -0.078, 0.752], [0.040, -0.114, 0.738], [0, -0.124, 0.732]]
)  # fmt: skip
_HEM = np.array(
    [[0, 0.118, 0.600], [0.105, 0.098, 0.625], [0.168, 0.030, 0.676], [0.168, -0.045, 0.660],
     [0.130, -0.115, 0.600], [0.055, -0.145, 0.570], [0, -0.150, 0.560]]
)  # fmt: skip
"""Four rings of a tight cloth in canonical metres at `_ANGLES_DEG`, the subject's left half."""
_LOOSE_FACE = np.array(
    [[0, -0.138, 0.968], [0.056, -0.112, 0.956], [0.0790, -0.086, 0.910], [0.0850, -0.078, 0.862],
     [0.0750, -0.094, 0.803], [0.039, -0.133, 0.764], [0, -0.142, 0.753]]
)  # fmt: skip
_LOOSE_MIDDLE = np.array(
    [[0, -0.030, 1.034], [0.060, -0.028, 1.004], [0.097, -0.030, 0.930], [0.101, -0.018, 0.868],
     [0.094, -0.034, 0.800], [0.047, -0.114, 0.746], [0, -0.134, 0.734]]
)  # fmt: skip
_LOOSE_NECK = np.array(
    [[0, 0.090, 0.800], [0.062, 0.070, 0.792], [0.104, 0.022, 0.776], [0.115, -0.026, 0.752],
     [0.101, -0.092, 0.728], [0.049, -0.142, 0.706], [0, -0.155, 0.698]]
)  # fmt: skip
"""The same of a loosely laid one: it stands off cheeks and jaw and hangs below the chin."""

_COLUMNS, _FINE = 90, 2
_ROWS = (0, 12, 26, 46)
"""Rows of the four rings."""
_ROUNDS = 26
_SKIN_M = 0.0014
_CLOTH_M = 0.0045
_CAP_M = 0.0014
"""Thickness of an underscarf and the air in it; what is worn over it lies that much higher."""
_EDGE_RADIUS_M = 0.0014
_EAR_ROOT_X_M, _EAR_FLATTENED = 0.0755, 0.72
"""Canonical |x| from which an ear stands off the head, and how much of that is pressed away."""
_CAP_ROWS = 9
"""Rows of a tight cloth that an underscarf covers."""
_CAP_FROM = 0.3
"""A scarf that is laid more loosely than this is worn over an underscarf."""
_EDGE_ROLL_M = 0.0045
"""Height of the edge around the face of a loose scarf, where the cloth is turned under."""


def headscarf(headwear: Headwear, surface: HeadSurface) -> tuple[list[MeshPart], HairCover]:
    """The meshes of a headscarf and what is worn under it; no scalp hair is seen.

    Args:
        headwear: looseness and the seed of the folds; `turn_deg` below 0 throws the end over the
            right shoulder instead of the left.
        surface: the head with pressed ears (`press_ears`) and its clothes.
    """
    rng = stream(headwear.fit_seed, 0, "headwear.folds")
    loose = headwear.looseness
    bun_m = rng.uniform(0.006, 0.034)
    laid = _laid_out(surface, loose)
    capped = loose > _CAP_FROM
    lift_m = _CLOTH_M + capped * _CAP_M + 0.003 * loose
    clearance = _clearance(laid, surface, lift_m, bun_m)
    points = _refined(_drawn_tight(laid, _ROWS[2:], surface, clearance))
    side = -1.0 if headwear.turn_deg < 0 else 1.0
    folded = _with_folds(points, loose, side, surface, rng)
    parts = [
        _sheet("headscarf", folded, 0, len(folded) - 1),
        _thrown_end(folded, side, loose, surface, rng),
    ]
    if capped:
        parts.append(_underscarf(surface))
    return parts, HairCover(hides_all=True)


def _underscarf(surface: HeadSurface) -> MeshPart:
    """The tight band around the face that a loose scarf is worn over."""
    rows = _laid_out(surface, 0.0)[:_CAP_ROWS]
    rows[-1] = _onto_surface(rows[-1], surface, _CAP_M)
    rows = _refined(_drawn_tight(rows, (-1,), surface, np.full(rows.shape[:2], _CAP_M)))
    return _sheet("underscarf", rows, 0, len(rows) - 1, "underscarf")


def _ring(points: np.ndarray) -> np.ndarray:
    """[_COLUMNS, 3] a smooth closed curve through the left half's points and their mirrors."""
    mirrored = points[-2:0:-1] * [-1.0, 1.0, 1.0]
    angles = np.r_[_ANGLES_DEG, 360 - _ANGLES_DEG[-2:0:-1], 360.0]
    knots = np.concatenate([points, mirrored, points[:1]])
    return CubicSpline(angles, knots, bc_type="periodic")(np.arange(_COLUMNS) * 360.0 / _COLUMNS)


def _laid_out(surface: HeadSurface, loose: float) -> np.ndarray:
    """[rows, columns, 3] the cloth on this head before it is drawn tight."""
    tight, wide = (_FACE, _MIDDLE, _NECK), (_LOOSE_FACE, _LOOSE_MIDDLE, _LOOSE_NECK)
    rings = [a + loose * (b - a) for a, b in zip(tight, wide)]
    rings = [anchored(_ring(ring), surface.canonical, surface.vertices) for ring in (*rings, _HEM)]
    # On the forehead even a loose cloth lies on the head; from the temples down it stands off.
    angle = np.arange(_COLUMNS) * (2 * np.pi / _COLUMNS)
    held = 1 - loose * smoothstep(0.7, 0.0, np.cos(angle))
    rings[0] += held[:, None] * (
        _onto_surface(rings[0], surface, _SKIN_M + 0.0035 * loose) - rings[0]
    )
    rings[3] = _onto_surface(rings[3], surface, 0.005)
    hem = uniform_filter1d(rings[3], 7, axis=0, mode="wrap")  # cloth bridges what is narrow
    rings[3] = surface.field.push_out(hem, 0.004)
    rings[2] = surface.field.push_out(rings[2], 0.012)
    rows = np.arange(_ROWS[-1] + 1)
    return CubicSpline(_ROWS, np.stack(rings), bc_type="natural")(rows)


def _onto_surface(points: np.ndarray, surface: HeadSurface, clearance_m: float) -> np.ndarray:
    for _ in range(4):
        distance, normal = surface.field.distance_and_normal(points)
        points = points - normal * np.clip(distance - clearance_m, -0.02, 0.02)[..., None]
    return points


def _clearance(points: np.ndarray, surface: HeadSurface, lift_m: float, bun_m: float) -> np.ndarray:
    """Wanted distance [rows, columns] from the skin: little at the face, more over tied hair."""
    canonical = surface.canonical_map.to_canonical(points)
    knot = np.exp(-(((canonical - [0.0, 0.062, 0.925]) / [0.060, 0.040, 0.048]) ** 2).sum(axis=-1))
    row = np.arange(len(points))[:, None]
    edge = smoothstep(0, 5, row)
    return _SKIN_M + edge * (lift_m - _SKIN_M + bun_m * knot)


def press_ears(model: HeadModel, shape: HeadShape) -> HeadShape:
    """The head with its ears laid flat, as a headscarf holds them."""
    x, y, z = model.canonical.T
    beyond = (np.abs(x) - _EAR_ROOT_X_M).clip(0)
    window = (
        smoothstep(0.838, 0.848, z) * smoothstep(0.912, 0.902, z)
        * smoothstep(-0.082, -0.070, y) * smoothstep(-0.005, -0.020, y)
    )  # fmt: skip
    shift = -np.sign(x) * _EAR_FLATTENED * beyond * window
    left = shape.model_from_rest_head[:3, 0]
    vertices = shape.vertices + shift[:, None] * left
    return dataclasses.replace(
        shape, vertices=vertices, normals=vertex_normals(vertices, model.faces)
    )


@dataclass(frozen=True, eq=False)
class _Ear:
    """A pressed ear as a flat bump on the side of the head, in the scalp's canonical frame.

    Thin flaps slip through the grid of distances.
    """

    sign: float
    centre: np.ndarray  # y and z
    half: np.ndarray  # y and z
    height: float  # |x| of the outermost point

    @classmethod
    def of(cls, surface: HeadSurface, sign: float) -> _Ear:
        x, y, z = surface.canonical.T
        flap = (x * sign > 0.0785) & (z > 0.846) & (z < 0.905) & (y > -0.072) & (y < -0.022)
        points = surface.canonical_map.to_canonical(surface.vertices[flap])
        low, high = points[:, 1:].min(axis=0), points[:, 1:].max(axis=0)
        return cls(sign, (low + high) / 2, (high - low) / 2, float((sign * points[:, 0]).max()))

    def lift(self, canonical: np.ndarray, clearance_m: float) -> np.ndarray:
        """How far sideways points [..., 3] must move to lie outside, metres with sign."""
        across = np.linalg.norm((canonical[..., 1:] - self.centre) / self.half, axis=-1)
        bump = smoothstep(2.2, 0.8, across)
        side = self.sign * canonical[..., 0]
        wanted = self.height + clearance_m - 0.12 * (1 - bump)
        return self.sign * np.where(side > 0.03, wanted - side, 0.0).clip(0)


def _drawn_tight(
    points: np.ndarray, held_rows: tuple[int, ...], surface: HeadSurface, clearance: np.ndarray
) -> np.ndarray:
    """A membrane between its first row and `held_rows`, outside of head, ears and clothes.

    Args:
        points: [rows, columns, 3] the laid out cloth.
        clearance: [rows, columns] metres from the skin.
    """
    over_ears_m = 0.5 * float(np.median(clearance))
    held = np.zeros(len(points), bool)
    held[[0, *held_rows]] = True
    ears = [_Ear.of(surface, sign) for sign in (1.0, -1.0)]
    sideways = np.linalg.inv(surface.canonical_map.linear)[0]
    for _ in range(_ROUNDS):
        around = 0.5 * (np.roll(points, 1, axis=1) + np.roll(points, -1, axis=1))
        along = points.copy()
        along[1:-1] = 0.5 * (points[:-2] + points[2:])
        moved = points + 0.9 * (0.35 * around + 0.65 * along - points)
        points = np.where(held[:, None, None], points, moved)
        points = surface.field.push_out(points, clearance)
        canonical = surface.canonical_map.to_canonical(points)
        shift = sum(ear.lift(canonical, over_ears_m) for ear in ears)
        points = points + shift[..., None] * sideways
    return points


def _refined(points: np.ndarray) -> np.ndarray:
    """The grid with `_FINE` times as many rows and columns, smooth and closed around."""
    rows, columns = points.shape[:2]
    i = np.linspace(0, rows - 1, (rows - 1) * _FINE + 1)
    j = np.arange(columns * _FINE) / _FINE
    grid = np.stack(np.meshgrid(i, j + 3, indexing="ij")).reshape(2, -1)
    padded = np.concatenate([points[:, -3:], points, points[:, :4]], axis=1)
    fine = [map_coordinates(padded[..., k], grid, order=3, mode="nearest") for k in range(3)]
    return np.stack(fine, axis=-1).reshape(len(i), len(j), 3)


def _normals(points: np.ndarray) -> np.ndarray:
    """[rows, columns, 3] unit normals of the ring, away from the body."""
    along = np.gradient(points, axis=0)
    around = np.roll(points, -1, axis=1) - np.roll(points, 1, axis=1)
    return unit(np.cross(along, around))


def _crease(phase: np.ndarray) -> np.ndarray:
    """A fold's cross-section in [-1, 1]: broad round ridges, narrow valleys."""
    return 1.0 - 2.0 * np.abs(np.sin(0.5 * phase)) ** 0.8 * np.cos(0.25 * np.sin(phase))


def _softened(points: np.ndarray) -> np.ndarray:
    """Every inner point half-way to the mean of its neighbours: folds that cross stay cloth."""
    around = 0.5 * (np.roll(points, 1, axis=1) + np.roll(points, -1, axis=1))
    soft = points.copy()
    soft[1:-1] = 0.5 * points[1:-1] + 0.25 * around[1:-1] + 0.125 * (points[:-2] + points[2:])
    return soft


def _with_folds(
    points: np.ndarray, loose: float, side: float, surface: HeadSurface, rng: np.random.Generator
) -> np.ndarray:
    """Folds: soft ones around head and ears, deep swags under the chin and over the shoulders."""
    rows, columns = points.shape[:2]
    row = np.linspace(0, _ROWS[-1], rows)[:, None]
    angle = (np.arange(columns) * (2 * np.pi / columns))[None]
    normal = _normals(points)
    flat = points.reshape(-1, 3)
    bend = smooth_noise(flat, 7, rng).reshape(rows, columns)
    fine = smooth_noise(flat, 16, rng).reshape(rows, columns)
    chin = smoothstep(0.2, -0.9, np.cos(angle))  # 1 in front
    step = np.linalg.norm(np.diff(points, axis=0), axis=-1)
    arc = np.concatenate([np.zeros((1, columns)), np.cumsum(step, axis=0)])
    # Swags hang between the cheeks in front, a little lower on the side of the thrown end.
    hang = arc + 0.016 * np.sin(angle) * side + 0.011 * bend
    swags = _crease(2 * np.pi * hang / 0.024) * smoothstep(0.030, 0.055, arc) * chin
    # Elsewhere folds run down from the ears and the nape, fanning out over the shoulders.
    fan = _crease(13 * angle + 2.2 * bend + rng.uniform(0, 6.28) + 0.08 * row)
    fan = fan * smoothstep(15, 32, row) * (1 - 0.8 * chin) * (1 - 0.6 * smoothstep(40, 46, row))
    # Around the head the cloth is stretched from the temples to the nape.
    pulled = _crease(2 * np.pi * (row + 5.0 * np.cos(angle) + 3.0 * bend) / (7.0 - 1.5 * loose))
    pulled = pulled * smoothstep(2, 6, row) * smoothstep(28, 17, row) * (1 - chin) ** 2
    depth = 0.7 + 0.6 * loose
    move = depth * (0.0037 * swags + 0.0052 * fan + (0.0016 + 0.0026 * loose) * pulled)
    move = move + 0.0014 * fine * smoothstep(2, 8, row)
    move = move + loose * _EDGE_ROLL_M * np.exp(-(((row - 1.4) / 1.2) ** 2))
    # valleys stay above what the cloth lies on, which the grid of distances does not know
    folded = _softened(points + normal * np.maximum(move, -0.0018)[..., None])
    thickness_m = 2 * _CAP_M if loose > _CAP_FROM else 0.0
    clearance = np.where(row > 6, 0.0024, _SKIN_M) + thickness_m + 0 * angle
    return surface.field.push_out(folded, clearance)


def _sheet(
    name: str,
    points: np.ndarray,
    first: np.ndarray | int,
    last: np.ndarray | int,
    material: str = "scarf",
) -> MeshPart:
    """A closed ring of cloth from row `first` to row `last` of every column, with rolled edges.

    Args:
        points: [rows, columns, 3].
        first, last: [columns] rows, or one for all columns; first < last.
    """
    columns = points.shape[1]
    rows = int(np.max(last - first)) + 1
    t = np.linspace(0, 1, rows)[:, None]
    i = np.broadcast_to(first + t * (last - first), (rows, columns))
    j = np.broadcast_to(np.arange(columns), i.shape)
    body = np.stack(
        [map_coordinates(points[..., k], [i, j], order=1, mode="nearest") for k in range(3)],
        axis=-1,
    )
    normal = _normals(body)
    start, end = unit(body[0] - body[1]), unit(body[-1] - body[-2])
    radius = _EDGE_RADIUS_M

    def rolled(edge: np.ndarray, outwards: np.ndarray, up: np.ndarray) -> list[np.ndarray]:
        """Around the edge and back under the cloth."""
        turns = np.linspace(0, np.pi, 5)[1:]
        ring = [edge + radius * (outwards * np.sin(a) - up * (1 - np.cos(a))) for a in turns]
        return [*ring, ring[-1] - outwards * 0.006]

    under = rolled(body[0], start, normal[0])[::-1]
    over = rolled(body[-1], end, normal[-1])
    grid = np.concatenate([np.stack(under), body, np.stack(over)])
    grid = np.concatenate([grid, grid[:, :1]], axis=1)
    # along both threads by arc length, from the middle of the front and from the neck: measured
    # from the face's edge, columns of unlike length would shear the print on the shoulders
    across = np.pad(np.linalg.norm(np.diff(grid, axis=1), axis=-1), ((0, 0), (1, 0))).cumsum(axis=1)
    down = np.pad(np.linalg.norm(np.diff(grid, axis=0), axis=-1), ((1, 0), (0, 0))).cumsum(axis=0)
    u, v = across - across[:, [columns // 2]], down - down[[len(down) // 2]]
    uv = np.stack([u, v], axis=-1).reshape(-1, 2)
    return MeshPart(name, grid.reshape(-1, 3), grid_faces(*grid.shape[:2]), material, uv)


def _thrown_end(
    points: np.ndarray, side: float, loose: float, surface: HeadSurface, rng: np.random.Generator
) -> MeshPart:
    """The end of the cloth, laid across the throat to one shoulder over the first layer."""
    rows, columns = points.shape[:2]
    per_row = (rows - 1) / _ROWS[-1]
    angle = (np.arange(columns) * (2 * np.pi / columns))[None]
    for _ in range(6):  # it bridges the folds below
        points = _softened(points)
    normal = _normals(points)
    lean = side * np.sin(angle)
    phase = rng.uniform(0, 6.28)
    bend = smooth_noise(points.reshape(-1, 3), 8, rng).reshape(rows, columns)
    height = points @ surface.canonical_map.linear[:, 2]
    swags = _crease(2 * np.pi * (-height + 0.030 * lean + 0.010 * bend) / 0.026 + phase)
    front = smoothstep(0.45, -0.05, np.cos(angle))
    move = 0.0056 + (0.0034 + 0.0026 * loose) * (swags + 0.6)
    # Behind, this layer runs under the first one.
    move = front * move - 0.0060 * (1 - front)
    layer = surface.field.push_out(points + normal * move[..., None], 0.0012 + 0.003 * front)
    # Its upper edge runs from under the far jaw across the throat to the near shoulder.
    upper = 22.0 - 4.0 * lean + 1.2 * np.cos(2 * angle + phase)
    lower = np.minimum(_ROWS[-1] - 0.5, 42.0 + 4.0 * lean - 3.0 * np.cos(angle))
    return _sheet("headscarf_end", layer, upper[0] * per_row, lower[0] * per_row)
