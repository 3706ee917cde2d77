"""A whole head of hair from its numbers: roots, guides, strands. Pure numpy, no Blender."""

from __future__ import annotations

import numpy as np

from synth.blender_scenes.hair_field import HeadSurface, smoothstep
from synth.blender_scenes.hair_flow import parting_side
from synth.blender_scenes.hair_guides import (
    curl_guides,
    cut_height,
    gather_guides,
    grow_guides,
    guide_lengths,
    wisp,
)
from synth.blender_scenes.hair_roots import (
    Roots,
    even_subset,
    sample_roots,
    scalp_density,
    scalp_edge,
)
from synth.blender_scenes.hair_strands import StrandSet, grow_strands
from synth.blender_scenes.hair_style_table import STYLES
from synth.blender_scenes.hair_styles import HairStyle, strand_scale
from synth.blender_scenes.hair_tail import grow_bun, grow_tail, place_tie, wrap_tie
from synth.rng import stream
from synth.spec import Hair

_GUIDE_CANDIDATES = 8
_TAIL_SHARE = 0.32
_GUIDE_CLEARANCE_M = 0.002


def groom(hair: Hair, surface: HeadSurface, render_size: int) -> list[StrandSet]:
    """Grow the scalp hair of a spec.

    Args:
        hair: style, groom seed, parting and factors.
        surface: the head, with its obstacles.
        render_size: pixels a side; small pictures get fewer, thicker strands.

    Returns:
        The hair on the scalp and, for tied styles, tail or bun and the wound tie.
    """
    style = STYLES[hair.style]
    seed = hair.groom_seed
    count_factor, radius_factor = strand_scale(render_size)
    count = hair.strands or round(style.strands * count_factor)
    variation = stream(seed, 0, "hair.length").uniform(-1.0, 1.0) * style.length_variation
    factor = hair.length_scale * (1.0 + variation)

    edge = scalp_edge(surface, style.hairline, stream(seed, 0, "hair.hairline"))
    density = scalp_density(edge, style.hairline) * _kept(style, surface)
    roots = sample_roots(surface, density, edge, count, stream(seed, 0, "hair.roots"))
    guide_rng = stream(seed, 0, "hair.guides")
    candidates = sample_roots(surface, density, edge, style.guides * _GUIDE_CANDIDATES, guide_rng)
    guide_roots = even_subset(candidates, style.guides, guide_rng)

    side = _side(style, roots.canonical, hair.parting)
    guide_side = _side(style, guide_roots.canonical, hair.parting)
    tied: list[StrandSet] = []
    if style.gather is None:
        guides = _loose_guides(hair, style, surface, guide_roots, factor, guide_rng)
    else:
        tie, normal = place_tie(surface, style.gather, stream(seed, 0, "hair.tie"))
        guides = gather_guides(surface, style, guide_roots, tie, guide_rng)
        tied = _tie(hair, style, surface, tie, normal, factor, count, radius_factor)
    guides = wisp(guides, guide_side, style.bundle, stream(seed, 0, "hair.wisps"))
    if style.curl is not None:
        guides = curl_guides(guides, style.curl, stream(seed, 0, "hair.curl"))
        guides[:, 1:] = surface.field.push_out(guides[:, 1:], _GUIDE_CLEARANCE_M)
    cut = None if style.length.cut_height_m is None else cut_height(style, factor)
    rng = stream(seed, 0, "hair.strands")
    strands = grow_strands(surface, style, roots, side, guides, guide_side, cut, radius_factor, rng)
    return [strands, *tied]


def _loose_guides(
    hair: Hair,
    style: HairStyle,
    surface: HeadSurface,
    roots: Roots,
    factor: float,
    rng: np.random.Generator,
) -> np.ndarray:
    lengths = guide_lengths(style, roots.canonical, factor, rng)
    side = parting_side(roots.canonical, hair.parting)
    return grow_guides(surface, style, roots, lengths, side, hair.parting, rng)


def _side(style: HairStyle, canonical: np.ndarray, parting_m: float) -> np.ndarray:
    if not style.parted:
        return np.zeros(len(canonical), int)
    return parting_side(canonical, parting_m)


def _kept(style: HairStyle, surface: HeadSurface) -> np.ndarray:
    """Which part [V] of the scalp grows hair in this style, [0, 1]."""
    _, y, z = surface.canonical.T
    if style.bare_crown:
        return smoothstep(0.965, 0.925, z)
    if style.gather is not None:  # the sideburns are too low to be swept up
        return 1.0 - smoothstep(-0.058, -0.064, y) * smoothstep(0.905, 0.895, z)
    return np.ones(len(z))


def _tie(
    hair: Hair,
    style: HairStyle,
    surface: HeadSurface,
    tie: np.ndarray,
    normal: np.ndarray,
    factor: float,
    count: int,
    radius_factor: float,
) -> list[StrandSet]:
    assert style.gather is not None
    rng = stream(hair.groom_seed, 0, "hair.tail")
    radius = style.radius_m * radius_factor
    tail_count = round(_TAIL_SHARE * count)
    if style.gather.kind == "bun":
        return [grow_bun(style.gather, tie, normal, tail_count, radius, rng)]
    length = style.gather.tail_length_m * factor
    tail = grow_tail(surface, style.gather, tie, normal, length, tail_count, radius, rng)
    out = tail.points[:, 3].mean(0) - tail.points[:, 0].mean(0)
    out = out / np.linalg.norm(out)
    return [tail, wrap_tie(tie + 0.006 * out, out, 0.0085, radius, rng)]
