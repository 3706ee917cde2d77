"""A garment on a body: cloth, collar and trim, and what is worn underneath; no Blender."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from synth.blender_scenes.clothes_cuts import CUTS, UNDER, cloth_of
from synth.blender_scenes.clothes_drape import Cloth, body_under_cloth, collider, drape
from synth.blender_scenes.clothes_geometry import (
    Garment,
    Neckline,
    armhole_depth,
    cut_garment,
    short_sleeve_depth,
)
from synth.blender_scenes.clothes_mesh import cloth_mesh
from synth.blender_scenes.clothes_sewing import Sewing, sew_collar, sew_trim, sew_under
from synth.blender_scenes.clothes_sheet import Part
from synth.headmodel import HeadModel, HeadShape
from synth.headmodel_masks import smoothstep
from synth.rng import stream
from synth.spec import Clothes

_RAGLAN = ("tee", "v_neck", "sweater", "hoodie")
"""Garments whose sleeves reach the neck when they have a colour of their own."""
_EDGE_RAMP_M = 0.03
_EDGE_OVER_COLLAR = 0.75
_SKIN_UNDER_EDGE_M = 0.012
"""Skin is kept this far below the neckline, so that no gap opens at the edge."""
_SLEEVE_SHOWS_M = 0.05
"""How much farther one can look up a wide sleeve."""
_UNDER_HIDDEN_M = 0.035
"""What is worn underneath is kept this far below the outer neckline."""
_LAYERS_APART_M = 0.004
_COVERED_X = 0.13
_COVERED_Z = 0.50
"""Beyond this canonical |x|, and below this height, a neckline shows no skin."""


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


def dress(clothes: Clothes, model: HeadModel, shape: HeadShape) -> Dressed:
    """Cut, drape and trim the garment of `clothes` (and what is under it) for a body.

    Args:
        clothes: the outfit.
        model: topology and canonical positions.
        shape: the body, in its pose.
    """
    cut = CUTS[clothes.garment]
    body = _Body(model, shape, sleeves=cut.sleeve is not None)
    rng = stream(clothes.cloth_seed, 0, "clothes.folds")
    neckline = cut.neckline(clothes.opening)
    raglan = clothes.pattern == "colour_block" and clothes.garment in _RAGLAN
    # over another collar the edge cannot hug the neck
    edge_lift = cut.edge_lift if clothes.under == "none" else max(cut.edge_lift, _EDGE_OVER_COLLAR)
    sleeve = "raglan" if raglan else cut.sleeve
    short = clothes.short_sleeves
    garment = body.drape(cloth_of(clothes), neckline, sleeve, edge_lift, rng, short=short)
    sewing = Sewing.of(clothes.garment, garment, neckline, body.skin, rng)
    parts = [*sew_collar(sewing), *sew_trim(sewing)]
    necklines = [neckline]
    if clothes.under != "none":
        parts_under, neckline_under = _underneath(clothes, body, neckline, garment, rng)
        parts = [*parts_under, *parts]
        necklines.append(neckline_under)
    visible = _visible_skin(model, necklines)
    if cut.sleeve is None:
        visible |= _bare_below(armhole_depth(model.canonical), model)
    elif short:
        visible |= _bare_below(short_sleeve_depth(model.canonical) - _SLEEVE_SHOWS_M, model)
    return Dressed(garment, tuple(parts), visible)


class _Body:
    """One body being dressed.

    Args:
        model, shape: see `dress`.
        sleeves: whether its arms are covered.
    """

    def __init__(self, model: HeadModel, shape: HeadShape, *, sleeves: bool):
        self.mesh = cloth_mesh(model)
        self._vertices = body_under_cloth(model, shape, hang_arms=sleeves)
        self.skin = collider(model, self._vertices)

    def drape(
        self,
        cloth: Cloth,
        neckline: Neckline,
        sleeve: str | None,
        edge_lift: float,
        rng: np.random.Generator,
        *,
        short: bool = False,
    ) -> Garment:
        """Lay a cloth on the body and cut it."""
        depth = neckline.depth(self.mesh.canonical)
        edge = edge_lift + (1 - edge_lift) * smoothstep(0.0, _EDGE_RAMP_M, depth)
        fine = drape(self.mesh, self._vertices, self.skin, cloth, edge, rng)
        return cut_garment(self.mesh, fine, neckline, sleeve, short=short)


def _underneath(
    clothes: Clothes, body: _Body, outer: Neckline, over: Garment, rng: np.random.Generator
) -> tuple[list[Part], Neckline]:
    """What is worn underneath `over`, as far as it shows, with its collar; and its neckline."""
    name = clothes.under
    cut = UNDER[name]
    # under a round neck the shirt is buttoned: only its collar shows
    buttoned = name == "tee" or clothes.garment == "sweater"
    neckline = cut.neckline(0.0 if buttoned else 0.5)
    garment = _pressed(body.drape(cut.cloth, neckline, cut.sleeve, cut.edge_lift, rng), over)
    hidden = np.full(len(garment.vertices), np.inf)  # what runs on below is
    hidden[: len(garment.fine)] = outer.depth(body.mesh.fine_canonical[garment.fine])
    shown = (hidden[garment.faces] < _UNDER_HIDDEN_M).any(axis=1)
    faces, coordinates = garment.faces[shown], garment.coordinates[shown]
    cloth = Part("under", garment.vertices, faces, coordinates, "under")
    sewing = Sewing.of(name, garment, neckline, body.skin, rng)
    return [cloth, *sew_under(sewing)], neckline


def _pressed(garment: Garment, over: Garment) -> Garment:
    """A garment that folds of the one over it do not sink into; both are cut from one mesh."""
    _, own, other = np.intersect1d(garment.fine, over.fine, assume_unique=True, return_indices=True)
    normals = over.normals[other]
    gap = ((over.vertices[other] - garment.vertices[own]) * normals).sum(axis=1)
    vertices = garment.vertices.copy()
    vertices[own] -= normals * np.maximum(_LAYERS_APART_M - gap, 0.0)[:, None]
    return dataclasses.replace(garment, vertices=vertices)


def _visible_skin(model: HeadModel, necklines: list[Neckline]) -> np.ndarray:
    """[F] bool, the quads above or just below the highest of the necklines."""
    depth = np.max([neckline.depth(model.canonical) for neckline in necklines], axis=0)
    side, height = np.abs(model.canonical[:, 0]), model.canonical[:, 2]
    shown = (depth < _SKIN_UNDER_EDGE_M) & (side < _COVERED_X) & (height > _COVERED_Z)
    return shown[model.faces].any(axis=1)


def _bare_below(depth: np.ndarray, model: HeadModel) -> np.ndarray:
    """[F] bool, the quads of bare arms: beyond an edge by `depth` [V] metres, or just inside."""
    return (depth < _SKIN_UNDER_EDGE_M)[model.faces].any(axis=1)
