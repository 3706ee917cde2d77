"""A whole head of hair from its numbers: roots, locks, guides, strands. Pure numpy, no Blender."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from synth.blender_scenes.hair_field import HeadSurface, smoothstep
from synth.blender_scenes.hair_flow import FRINGE, TENDRIL, in_fringe, in_tendril, parting_side
from synth.blender_scenes.hair_guides import cut_height, gather_guides, grow_guides, guide_lengths
from synth.blender_scenes.hair_locks import (
    LockSet,
    assign_locks,
    bend_locks,
    curl_guides,
    pull_together,
)
from synth.blender_scenes.hair_pigment import colour_strands
from synth.blender_scenes.hair_roots import (
    even_subset,
    sample_roots,
    scalp_density,
    scalp_edge,
)
from synth.blender_scenes.hair_strands import StrandSet, grow_strands
from synth.blender_scenes.hair_style_table import STYLES
from synth.blender_scenes.hair_styles import WISP_STRANDS, HairStyle, strand_scale
from synth.blender_scenes.hair_tail import grow_bun, grow_tail, place_tie, wrap_tie
from synth.hairline import growth_share
from synth.rng import stream
from synth.spec import Hair

_GUIDE_CANDIDATES = 8
_TAIL_SHARE = 0.32
_GUIDE_CLEARANCE_M = 0.002
_TENDRIL_PROBABILITY, _TENDRIL_SHARE = 0.45, 0.3
_TENDRIL_WAVE_M = 0.0025


def groom(
    hair: Hair, surface: HeadSurface, render_size: int, hat_z_m: float | None = None
) -> list[StrandSet]:
    """Grow the scalp hair of a spec.

    Args:
        hair: style, groom seed, parting and factors.
        surface: the head, with its obstacles.
        render_size: pixels a side; small pictures get fewer, thicker strands.
        hat_z_m: canonical height of the edge of a hat at the back; hair is tied below it.

    Returns:
        The hair on the scalp and, for tied styles, tail or bun and the wound tie.
    """
    style = STYLES[hair.style]
    seed = hair.groom_seed
    count_factor, radius_factor = strand_scale(render_size)
    count = hair.strands or round(style.strands * count_factor)
    variation = stream(seed, 0, "hair.length").uniform(-1.0, 1.0) * style.length_variation
    factor = hair.length_scale * (1.0 + variation)
    cut = None if style.length.cut_height_m is None else cut_height(style, factor)

    edge = scalp_edge(surface, hair, style.ragged_m, stream(seed, 0, "hair.hairline"))
    density = scalp_density(edge, style.softness_m) * _kept(hair, style, surface)
    roots = sample_roots(surface, density, edge, count, stream(seed, 0, "hair.roots"))
    guide_rng = stream(seed, 0, "hair.guides")
    candidates = sample_roots(surface, density, edge, style.guides * _GUIDE_CANDIDATES, guide_rng)
    guide_roots = even_subset(candidates, style.guides, guide_rng)

    tendrils = 1.0 if hat_z_m is None else 0.0  # a hat holds them
    side = _sides(hair, style, roots.canonical, _TENDRIL_SHARE * tendrils)
    guide_side = _sides(hair, style, guide_roots.canonical, tendrils)
    lockset = assign_locks(style.locks, guide_roots, guide_side, stream(seed, 0, "hair.locks"))
    lengths = guide_lengths(style, hair, guide_roots.canonical, guide_side, factor, guide_rng)
    lengths = lengths * lockset.length[lockset.of_guide]
    guides = grow_guides(
        surface, style, hair, guide_roots, lengths, guide_side, lockset, cut, guide_rng
    )
    tied: list[StrandSet] = []
    if style.gather is not None:
        tie, normal = place_tie(surface, style.gather, stream(seed, 0, "hair.tie"), hat_z_m)
        swept = gather_guides(surface, style, hair, guide_roots, lockset, tie, guide_rng)
        guides = np.where((guide_side >= FRINGE)[:, None, None], guides, swept)
        tied = _tie(hair, style, surface, tie, normal, factor, count, radius_factor)
        waved = bend_locks(guides, lockset, _TENDRIL_WAVE_M)
        guides = np.where((guide_side == TENDRIL)[:, None, None], waved, guides)
    guides = _shape_locks(hair, style, surface, guides, lockset)
    rng = stream(seed, 0, "hair.strands")
    strands, lock, wisp = grow_strands(
        surface, style, hair, roots, side, guides, guide_side, lockset, cut, radius_factor, rng
    )
    rng = stream(seed, 0, "hair.pigment")
    shade = lockset.shade[lock] + style.bundle.wisp_shade * rng.normal(size=count)[wisp]
    strands = colour_strands(strands, hair.colour, roots.canonical, shade, rng)
    return [strands, *(_colour_tied(hair, style, part, surface, rng) for part in tied)]


def _shape_locks(
    hair: Hair, style: HairStyle, surface: HeadSurface, guides: np.ndarray, lockset: LockSet
) -> np.ndarray:
    guides = pull_together(guides, lockset, style.locks)
    if style.curl is None:
        guides = bend_locks(guides, lockset, style.locks.bend_m * hair.curl)
    else:
        rng = stream(hair.groom_seed, 0, "hair.curl")
        guides = curl_guides(guides, style.curl, hair.curl, rng)
    root = guides[:, :1]
    guides = surface.field.push_out(guides, _GUIDE_CLEARANCE_M)
    guides[:, :1] = root
    return guides


def _sides(hair: Hair, style: HairStyle, canonical: np.ndarray, tendril_share: float) -> np.ndarray:
    side = np.zeros(len(canonical), int)
    if style.parted:
        side = parting_side(canonical, hair.parting)
    rng = stream(hair.groom_seed, 0, "hair.tendrils")
    if style.gather is not None and rng.random() < _TENDRIL_PROBABILITY:
        slipped = in_tendril(canonical) & (rng.random(len(canonical)) < tendril_share)
        side = np.where(slipped, TENDRIL, side)
    if hair.fringe > 0:
        side = np.where(in_fringe(canonical), FRINGE, side)
    return side


def _kept(hair: Hair, style: HairStyle, surface: HeadSurface) -> np.ndarray:
    """How densely the scalp [V] grows hair in this style, 1 where nothing is special."""
    share = growth_share(surface.canonical, hair)
    if hair.fringe > 0:  # bangs are thick although they begin at the sparse edge
        share = share * (1.0 + in_fringe(surface.canonical))
    if style.gather is not None:  # the sideburns are too low to be swept up
        _, y, z = surface.canonical.T
        share = share * (1.0 - smoothstep(-0.058, -0.064, y) * smoothstep(0.905, 0.895, z))
    return share


def _colour_tied(
    hair: Hair, style: HairStyle, part: StrandSet, surface: HeadSurface, rng: np.random.Generator
) -> StrandSet:
    roots = surface.canonical_map.to_canonical(part.points[:, 0].astype(float))
    wisp = np.arange(len(part)) // WISP_STRANDS
    shade = style.locks.shade * rng.normal(size=len(part))[wisp]
    colour = replace(hair.colour, regrowth=0.0)  # what was tied is the length, not the roots
    return colour_strands(part, colour, roots, shade, rng)


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
