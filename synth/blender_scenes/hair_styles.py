"""What a hair style is made of; the styles themselves stand in `hair_style_table`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Flow = Literal["whorl", "forward", "swept", "parted", "curtain", "radial"]

WISP_STRANDS = 9
"""Strands that lie, wave and shine alike, the finest level that a picture shows. In a tail or bun
they follow each other."""


@dataclass(frozen=True)
class Growth:
    """How guide strands grow, step by step.

    Attributes:
        flow: direction field the hair is combed along, see `hair_flow`.
        lift: 0 lies down at the root, 1 stands up.
        stiffness: weight of going straight on.
        comb, comb_reach_m: weight of the direction field and the arc length over which it fades.
        gravity: downward weight once the strand is longer than `gravity_start_m`.
        wander: standard deviation of the own drift of each lock, and half of it of each guide.
        volume_m, crown_volume_m, front_volume_m: height of the outermost layer above the skin:
            everywhere, additionally on top, additionally over the forehead.
        rise_m: arc length over which strands rise to that height; short, and a parting becomes a
            notch in the outline.
        push, hug: weights towards that height from below and from above.
        settle: how far the ends come down onto the head, [0, 1].
        fall_width_m: falling hair is drawn in beyond this |x|; 0 leaves it alone.
        turn_in: inward bend of the ends, as of a bob.
        clear_face: keep strands out of the face.
    """

    flow: Flow
    lift: float = 0.5
    stiffness: float = 1.0
    comb: float = 0.5
    comb_reach_m: float = 0.08
    gravity: float = 0.15
    gravity_start_m: float = 0.05
    wander: float = 0.03
    volume_m: float = 0.006
    crown_volume_m: float = 0.0
    front_volume_m: float = 0.0
    rise_m: float = 0.02
    push: float = 0.35
    hug: float = 0.25
    settle: float = 0.0
    fall_width_m: float = 0.0
    turn_in: float = 0.0
    clear_face: bool = True


@dataclass(frozen=True)
class Length:
    """How long strands are.

    Attributes:
        top_m, side_m: length above and below the fade.
        fade_low_m, fade_high_m: canonical heights between which one becomes the other.
        nape_m: length at the nape, from which it grows to `side_m` at the height of the ears; 0
            leaves the back as long as the sides.
        sides: range of a factor on both between heads: one barber fades more than another.
        crown: length on the back of the top relative to the front.
        cut_height_m: canonical height below which everything is cut off; None for no such cut.
            Strands are then grown long enough to reach it.
        cut_jitter_m: standard deviation of the cut; frame_m: how much higher it is at the face.
        taper_m: mean of how much higher than the cut a wisp ends: ends that thin out.
        jitter: standard deviation of the logarithm of the length.
        fill: fraction of shorter strands that make the inside of the volume opaque.
        ball_m: the tips lie on an ellipsoid about the head with these margins (sides, depth, top).
    """

    top_m: float = 0.0
    side_m: float = 0.0
    fade_low_m: float = 0.93
    fade_high_m: float = 0.975
    nape_m: float = 0.0
    sides: tuple[float, float] = (1.0, 1.0)
    crown: float = 1.0
    cut_height_m: float | None = None
    cut_jitter_m: float = 0.006
    frame_m: float = 0.0
    taper_m: float = 0.0
    jitter: float = 0.08
    fill: float = 0.0
    ball_m: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Locks:
    """The coarse level: guides gather into locks wide enough to see in a small picture.

    Attributes:
        count: locks on the whole scalp (one of 100 is about 2 cm wide at the root); 0 for none.
        pull, power: how far guides come together towards the tip, growing as t ** power.
        bend_m: amplitude of each lock's own slow wave.
        uneven: standard deviation of the logarithm of a lock's length.
        shade: standard deviation of the logarithm of its pigment.
    """

    count: int = 150
    pull: float = 0.5
    power: float = 1.4
    bend_m: float = 0.002
    uneven: float = 0.06
    shade: float = 0.24


@dataclass(frozen=True)
class Bundle:
    """The fine level: how strands follow the guides.

    Attributes:
        blend: guides a strand is interpolated from (1 keeps guides apart, 4 makes a smooth sheet).
        apart: how little a strand takes from guides of other locks, [0, 1].
        clump, clump_power: pull towards the nearest guide, growing as t ** power from the root.
        point: how much shorter the outer strands of a clump are: pointed ends.
        noise_m: amplitude of the slow waves of each wisp, and of a third of it for each strand.
            Strands are thinner than a pixel: waves of their own only blur the highlight of a
            lock into that of wax, while wisps that wave together break it into streaks.
        spread_m: standard deviation of a constant offset, reached 2 cm from the root.
        wisp_pull: how far the strands of a wisp come together at the tip.
        wisp_shade: standard deviation of the logarithm of a wisp's pigment.
        flyaways, flyaway_gain: fraction of loose strands and how much more they wave.
    """

    blend: int = 4
    apart: float = 0.85
    clump: float = 0.5
    clump_power: float = 1.3
    point: float = 0.10
    noise_m: float = 0.0009
    spread_m: float = 0.0008
    wisp_pull: float = 0.6
    wisp_shade: float = 0.22
    flyaways: float = 0.02
    flyaway_gain: float = 3.0


@dataclass(frozen=True)
class Curl:
    """Helix of the guides.

    Attributes:
        radius_m, turns_per_m: helix at the tip; start_m: arc length until full radius.
        roundness: 1 helix, 0 flat wave.
        smooth_phase: neighbours wave together (waves) instead of each on its own (ringlets).
        jitter: relative standard deviation of the frequency between guides.
    """

    radius_m: float
    turns_per_m: float
    start_m: float = 0.03
    roundness: float = 1.0
    smooth_phase: bool = False
    jitter: float = 0.10


@dataclass(frozen=True)
class Rope:
    """Every guide becomes a rope of hair: a twist of two plies or a braid of three.

    Attributes:
        plies: 2 are wound round each other, 3 are plaited.
        radius_m: of the whole rope; pitch_m: length of one turn.
        gather_m: arc length over which the hair of a patch comes together.
        tassel: part at the end that is left open.
    """

    plies: Literal[2, 3]
    radius_m: float
    pitch_m: float
    gather_m: float = 0.010
    tassel: float = 0.06


@dataclass(frozen=True)
class Gather:
    """Hair swept to a tie.

    Attributes:
        kind: what leaves the tie.
        elevation_deg: range of the tie's direction from the head's centre above straight back.
        tail_length_m: length of the tail; size_m: largest radius of the tail or bun.
    """

    kind: Literal["tail", "bun"]
    elevation_deg: tuple[float, float]
    size_m: float
    tail_length_m: float = 0.0


@dataclass(frozen=True)
class HairStyle:
    """One style.

    Attributes:
        strands, guides, steps: numbers of strands, of guides and of segments a strand.
        radius_m: strand radius at the root, thicker than nature's .04 mm because there are
            fewer strands than nature's 100 000.
        softness_m, ragged_m: width over which density rises from the hairline, and the standard
            deviation of the line's irregularity.
        parted: strands of the two sides of the parting never mix.
        tuckable: long enough to lie behind an ear.
        length_variation: relative half range of the length between two heads of this style.
    """

    name: str
    strands: int
    guides: int
    steps: int
    growth: Growth
    length: Length
    bundle: Bundle
    locks: Locks = Locks()
    curl: Curl | None = None
    rope: Rope | None = None
    gather: Gather | None = None
    softness_m: float = 0.014
    ragged_m: float = 0.0022
    radius_m: float = 0.00015
    parted: bool = False
    tuckable: bool = False
    length_variation: float = 0.12


def strand_scale(render_size: int) -> tuple[float, float]:
    """Factors on strand count and radius for a picture of `render_size` pixels a side.

    At 512 px and above a style is grown in full. Below that a pixel covers many strands and the
    picture cannot tell them apart, so their number falls with the size (no further than to 40 %)
    and the strands thicken to keep most of the covered area.
    """
    count = min(1.0, max(0.4, render_size / 512.0))
    return count, count**-0.75
