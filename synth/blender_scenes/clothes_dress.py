"""A garment on a body: cloth, collar and trim of every garment, in model space; no Blender."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synth.blender_scenes.clothes_collar import (
    Band,
    FoldedCollar,
    fold_collar,
    lapel,
    sweep_band,
)
from synth.blender_scenes.clothes_cuts import CUTS, UNDER, Cut, cloth_of
from synth.blender_scenes.clothes_drape import Cloth, Collider, body_under_cloth, collider, drape
from synth.blender_scenes.clothes_geometry import Garment, Neckline, cut_garment
from synth.blender_scenes.clothes_hood import hood
from synth.blender_scenes.clothes_mesh import cloth_mesh
from synth.blender_scenes.clothes_sheet import Frames, Part, edge_frames
from synth.blender_scenes.clothes_trim import Front, buttons, cord, hanging_path, pocket, strip
from synth.headmodel import HeadModel, HeadShape
from synth.headmodel_masks import smoothstep
from synth.rng import stream
from synth.spec import Clothes

_RAGLAN = ("tee", "v_neck", "sweater", "hoodie")
"""Garments whose sleeves reach the neck when they have a colour of their own."""
_SKIN_UNDER_EDGE_M = 0.012
"""Skin is kept this far below the neckline, so that no gap opens at the edge."""
_UNDER_HIDDEN_M = 0.035
"""What is worn underneath is kept this far below the outer neckline."""
_EDGE_RAMP_M = 0.03
_COVERED_X = 0.13
_COVERED_Z = 0.60
"""Where every garment with sleeves hides all skin (canonical)."""

_RIB_TEE = np.array([[-0.004, 0.001], [0.004, 0.0024], [0.014, 0.0012]])
_RIB_SWEATER = np.array([[-0.007, 0.002], [0.006, 0.0048], [0.021, 0.0030]])
_ROLL_NECK = np.array(
    [[-0.004, 0.0005], [0.004, 0.001], [0.008, 0.0035], [0.005, 0.0065], [-0.006, 0.0078],
     [-0.018, 0.0084], [-0.027, 0.0082]]
)  # fmt: skip
_BINDING = np.array([[-0.006, 0.0008], [-0.001, 0.0016], [0.004, 0.0008]])
_FACING = np.array([[-0.0160, 0.0016], [-0.0075, 0.0026], [0.0012, 0.0016]])
_BUTTON_BAND = np.array([[-0.026, 0.0022], [-0.013, 0.0036], [0.002, 0.0024]])

BANDS = {
    "tee": Band(_RIB_TEE, _RIB_TEE, 0.0028),
    "v_neck": Band(_RIB_TEE, _RIB_TEE, 0.0028),
    "tank_top": Band(_BINDING, _BINDING, 0.0026, role="plain"),
    "sweater": Band(_RIB_SWEATER, _RIB_SWEATER, 0.0065),
    "turtleneck": Band(_ROLL_NECK, _ROLL_NECK, 0.0045, 0.003),
    "cardigan": Band(_BUTTON_BAND, _BUTTON_BAND, 0.0042),
    "shirt": Band(_FACING, _FACING, 0.0018, role="cloth"),
    "polo": Band(_FACING * 0.8, _FACING * 0.8, 0.0018, role="plain"),
}
"""What is swept along the whole neckline."""
COLLARS = {
    "shirt": FoldedCollar(0.031, 0.022, 0.043, 0.068, 0.030, 0.0022),
    "polo": FoldedCollar(0.022, 0.014, 0.040, 0.056, 0.026, 0.0026, role="rib"),
    "blazer": FoldedCollar(0.026, 0.004, 0.046, 0.036, 0.0, 0.0032, 0.006, 0.05),
}
"""Collars with a stand and a leaf."""


@dataclass(frozen=True, eq=False)
class Dressed:
    """A dressed body in model space.

    Attributes:
        garment: the outer cloth.
        parts: everything else: what is worn underneath, collars, trim.
        visible_skin: [F] bool, the quads of the model that the clothes do not hide.
    """

    garment: Garment
    parts: tuple[Part, ...]
    visible_skin: np.ndarray


class _Wardrobe:
    """One body being dressed."""

    def __init__(self, model: HeadModel, shape: HeadShape, *, sleeves: bool):
        self.model, self.mesh = model, cloth_mesh(model)
        self.body = body_under_cloth(model, shape, hang_arms=sleeves)
        self.skin = collider(model, self.body)

    def sew(
        self, cloth: Cloth, neckline: Neckline, sleeve: str | None, rng: np.random.Generator,
        edge_lift: float = 0.35,
    ) -> Garment:  # fmt: skip
        depth = neckline.depth(self.mesh.canonical)
        edge = edge_lift + (1 - edge_lift) * smoothstep(0.0, _EDGE_RAMP_M, depth)
        fine = drape(self.mesh, self.body, self.skin, cloth, edge, rng)
        return cut_garment(self.mesh, fine, neckline, sleeve)


def dress(clothes: Clothes, model: HeadModel, shape: HeadShape) -> Dressed:
    """Cut, drape and trim the garment of `clothes` (and what is under it) for a body."""
    cut = CUTS[clothes.garment]
    wardrobe = _Wardrobe(model, shape, sleeves=cut.sleeve is not None)
    rng = stream(clothes.cloth_seed, 0, "clothes.folds")
    neckline = cut.neckline(clothes.opening)
    raglan = clothes.pattern == "colour_block" and clothes.garment in _RAGLAN
    sleeve = "raglan" if raglan else cut.sleeve
    edge_lift = 1.0 if clothes.garment in ("blazer", "cardigan") else 0.35
    garment = wardrobe.sew(cloth_of(clothes), neckline, sleeve, rng, edge_lift)
    surface = Collider.of(garment.vertices, garment.normals)
    trimmer = _Trimmer(clothes, garment, surface, wardrobe.skin, rng)
    parts = [*trimmer.collar(), *trimmer.trim()]
    lowest = neckline
    if clothes.under != "none":
        under, parts_under, lowest = _underneath(clothes, wardrobe, neckline, rng)
        parts = [under, *parts_under, *parts]
    visible = _visible_skin(model, lowest, sleeveless=cut.sleeve is None)
    return Dressed(garment, tuple(parts), visible)


def _underneath(
    clothes: Clothes, wardrobe: _Wardrobe, outer: Neckline, rng: np.random.Generator
) -> tuple[Part, list[Part], Neckline]:
    """What is worn underneath, as far as it shows; its collar; its neckline."""
    cut: Cut = UNDER[clothes.under]
    neckline = cut.neckline(0.0 if clothes.under == "tee" else 0.5)
    garment = wardrobe.sew(cut.cloth, neckline, cut.sleeve, rng)
    # the vertices of a garment are renumbered: find the cloth's again by position on the mesh
    hidden = _depth_at(wardrobe, garment, outer)
    shown = (hidden[garment.faces] < _UNDER_HIDDEN_M).any(axis=1)
    cloth = Part(
        "under", garment.vertices, garment.faces[shown], garment.coordinates[shown], "under"
    )
    surface = Collider.of(garment.vertices, garment.normals)
    frames = edge_frames(garment.vertices, garment.normals, garment.neck_loop)
    collar = _collar_parts(clothes.under, neckline, frames, wardrobe.skin, surface, "under")
    return cloth, collar, neckline


def _depth_at(wardrobe: _Wardrobe, garment: Garment, neckline: Neckline) -> np.ndarray:
    """[N] depth below `neckline` of the vertices of a garment."""
    depth = np.full(len(garment.vertices), 1.0)
    depth[: len(garment.fine)] = neckline.depth(wardrobe.mesh.fine_canonical)[garment.fine]
    return depth


def _visible_skin(model: HeadModel, neckline: Neckline, *, sleeveless: bool) -> np.ndarray:
    depth = neckline.depth(model.canonical)
    near_edge = depth < _SKIN_UNDER_EDGE_M
    side, height = np.abs(model.canonical[:, 0]), model.canonical[:, 2]
    near_edge &= (side < _COVERED_X) & (height > _COVERED_Z - 0.1)
    if sleeveless:
        from synth.blender_scenes.clothes_geometry import armhole_depth

        near_edge |= armhole_depth(model.canonical) < _SKIN_UNDER_EDGE_M
    return near_edge[model.faces].any(axis=1)


def _collar_parts(
    garment: str, neckline: Neckline, frames: Frames, skin: Collider, cloth: Collider,
    role: str | None = None,
) -> list[Part]:  # fmt: skip
    """Bands and folded collar along a neckline."""
    import dataclasses

    parts = []
    if garment in BANDS:
        band = BANDS[garment]
        band = dataclasses.replace(band, role=role or band.role)
        parts.append(sweep_band("band", band, frames, skin, cloth))
    if garment in COLLARS and garment != "blazer":
        collar = COLLARS[garment]
        collar = dataclasses.replace(collar, role=role or collar.role)
        gap = neckline.v_half_width_m * 0.72 if neckline.v_depth_m else 0.0015
        parts.append(fold_collar("collar", collar, frames, gap, skin, cloth))
    return parts


class _Trimmer:
    """Everything that is sewn onto one garment."""

    def __init__(self, clothes, garment, surface, skin, rng):
        self.clothes, self.garment, self.surface, self.skin = clothes, garment, surface, skin
        self.rng = rng
        cut = CUTS[clothes.garment]
        self.neckline = cut.neckline(clothes.opening)
        self.frames = edge_frames(garment.vertices, garment.normals, garment.neck_loop)

    def collar(self) -> list[Part]:
        name = self.clothes.garment
        parts = _collar_parts(name, self.neckline, self.frames, self.skin, self.surface)
        for hole in self.garment.armholes:
            frames = edge_frames(self.garment.vertices, self.garment.normals, hole)
            parts.append(sweep_band("binding", BANDS["tank_top"], frames, self.skin, self.surface))
        if name == "hoodie":
            parts.append(hood(self.frames, self.skin, self.surface, self.rng))
        if name == "blazer":
            parts += self._lapels()
        return parts

    def trim(self) -> list[Part]:
        name = self.clothes.garment
        parts: list[Part] = []
        if name not in ("shirt", "polo", "cardigan", "blazer", "hoodie"):
            return parts
        front = Front(self.garment.vertices, self.surface)
        tip = self.frames.points[0]
        if name in ("shirt", "polo"):
            length = 0.30 if name == "shirt" else 0.12
            width = 0.034 if name == "shirt" else 0.028
            parts.append(
                strip("placket", front, tip[0], tip[2], tip[2] - length, width, 0.0018, "cloth")
            )
            first = 0.030 if self.neckline.v_depth_m else 0.055
            down = np.arange(first, length, 0.075 if name == "shirt" else 0.042)
            if not self.neckline.v_depth_m:
                down = np.r_[-0.010, down]
            parts.append(self._buttons(front, tip[0], tip[2] - down, 0.0056, 0.0026))
        if name == "shirt":
            parts.append(pocket("pocket", front, 0.075, tip[2] - 0.105, 0.095, 0.11))
        if name == "cardigan":
            parts.append(
                strip("placket", front, tip[0], tip[2] + 0.01, tip[2] - 0.25, 0.028, 0.003, "rib")
            )
            parts.append(
                self._buttons(front, tip[0], tip[2] - np.array([0.02, 0.09, 0.16]), 0.0085, 0.0042)
            )
        if name == "blazer":
            parts.append(
                self._buttons(front, tip[0], tip[2] - np.array([0.015, 0.11]), 0.010, 0.003)
            )
        if name == "hoodie":
            parts += self._strings(front)
        return parts

    def _buttons(self, front: Front, x: float, z: np.ndarray, radius: float, lift: float) -> Part:
        at = front.points(np.full(len(z), x), z, lift)
        return buttons(at, front.normals(at), radius)

    def _lapels(self) -> list[Part]:
        frames = self.frames
        whole = frames.length[-1] + frames.length[1]
        height = frames.points[:, 2]
        count = len(frames.points)
        gorge = height[0] + 0.80 * (height.max() - height[0])
        left = np.arange(0, count // 2)
        left = left[: np.argmax(height[left] > gorge)]
        right = np.r_[0, np.arange(count - 1, count // 2, -1)]
        right = right[: np.argmax(height[right] > gorge)]
        share = np.linspace(0, 1, len(left))
        parts = []
        for numbers in (left, right):
            share = np.linspace(0, 1, len(numbers))
            width = 0.078 * smoothstep(-0.12, 0.95, share) ** 0.9
            part = frames.take(numbers)
            if numbers is right:
                length = part.length.copy()
                length[0] = whole
                part = Frames(part.points, part.along, part.out, length, False)
            parts.append(lapel("lapel", part, width, 0.0032, self.surface, "cloth"))
        behind = frames.take(np.arange(left[-1], right[-1] + 1))
        collar = COLLARS["blazer"]
        parts.append(fold_collar("collar", collar, behind, 0.0, self.skin, self.surface))
        return parts

    def _strings(self, front: Front) -> list[Part]:
        parts = []
        for sign in (1.0, -1.0):
            start = self.frames.at(np.array([self.frames.length[-1] * (0.5 - sign * 0.455)]))
            start = start.points[0] + start.out[0] * 0.012
            length = self.rng.uniform(0.11, 0.17)
            path = hanging_path(start, length, sign * self.rng.uniform(-0.01, 0.02), front, 0.0024)
            parts.append(cord(path, 0.0024))
        return parts
