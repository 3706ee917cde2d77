"""The hair styles as a table of numbers.

Lengths are metres. Positions (parting, cut height, fade) are canonical: the head's top is at
z = 1.010, the brows at .915, the ear holes at .875, the chin at .779, the nape's hairline at .82,
the shoulders at about .70; the forehead's hairline is at y = -.14, the back of the head at y = .05.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from synth.blender_scenes.hair_roots import NATURAL_HAIRLINE, Hairline
from synth.spec import HAIR_STYLES

Flow = Literal["whorl", "swept", "parted", "radial"]


@dataclass(frozen=True)
class Growth:
    """How guide strands grow, step by step.

    Attributes:
        flow: direction field the hair is combed along, see `hair_flow`.
        lift: 0 lies down at the root, 1 stands up.
        stiffness: weight of going straight on.
        comb, comb_reach_m: weight of the direction field and the arc length over which it fades.
        gravity: downward weight once the strand is longer than `gravity_start_m`.
        wander: standard deviation of each strand's own drift.
        volume_m, crown_volume_m, front_volume_m: height of the outermost layer above the skin:
            everywhere, additionally on top, additionally over the forehead.
        rise_m: arc length over which strands rise to that height; short, and a parting becomes a
            notch in the outline.
        push, hug: weights towards that height from below and from above.
        fall_width_m: falling hair is drawn in beyond this |x|; 0 leaves it alone.
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
    fall_width_m: float = 0.0
    clear_face: bool = True


@dataclass(frozen=True)
class Length:
    """How long strands are.

    Attributes:
        top_m, side_m: length above and below the fade.
        fade_low_m, fade_high_m: canonical heights between which one becomes the other.
        cut_height_m: canonical height below which everything is cut off; None for no such cut.
            Strands are then grown long enough to reach it.
        cut_jitter_m: standard deviation of the cut; frame_m: how much higher it is at the face.
        jitter: standard deviation of the logarithm of the length.
        fill: fraction of shorter strands that make the inside of the volume opaque.
        ball_m: the tips lie on an ellipsoid about the head with these margins (sides, depth, top).
    """

    top_m: float = 0.0
    side_m: float = 0.0
    fade_low_m: float = 0.93
    fade_high_m: float = 0.975
    cut_height_m: float | None = None
    cut_jitter_m: float = 0.006
    frame_m: float = 0.0
    jitter: float = 0.10
    fill: float = 0.0
    ball_m: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Bundle:
    """How strands gather into locks.

    Attributes:
        blend: guides a strand is interpolated from (1 keeps locks apart, 4 makes a smooth sheet).
        clump, clump_power: pull towards the nearest guide, growing as t ** power from the root.
        wisps, wisp_size: pull of guides towards every `wisp_size`-th guide (the coarser level).
        noise_m: amplitude of each strand's own slow waves.
        spread_m: standard deviation of a constant offset, reached 2 cm from the root.
        flyaways, flyaway_gain: fraction of loose strands and how much more they wave.
    """

    blend: int = 4
    clump: float = 0.5
    clump_power: float = 1.3
    wisps: float = 0.0
    wisp_size: int = 10
    noise_m: float = 0.0012
    spread_m: float = 0.0012
    flyaways: float = 0.03
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
        parted: strands of the two sides of the parting never mix.
        length_variation: relative half range of the length between two heads of this style.
    """

    name: str
    strands: int
    guides: int
    steps: int
    growth: Growth
    length: Length
    bundle: Bundle
    curl: Curl | None = None
    gather: Gather | None = None
    hairline: Hairline = NATURAL_HAIRLINE
    radius_m: float = 0.00015
    parted: bool = False
    length_variation: float = 0.12


STYLES: dict[str, HairStyle] = {
    style.name: style
    for style in (
        HairStyle(
            "bald",
            strands=5000,
            guides=300,
            steps=2,
            growth=Growth("whorl", lift=0.5, gravity=0.0, volume_m=0.001, push=0.0),
            length=Length(top_m=0.0006, side_m=0.0012, fade_low_m=0.955, fade_high_m=0.90),
            bundle=Bundle(clump=0.0, noise_m=0.0, spread_m=0.0, flyaways=0.0),
            hairline=Hairline(softness_m=0.035, ragged_m=0.003, temple_recession_m=0.02),
            radius_m=0.00006,
        ),
        HairStyle(
            "buzz",
            strands=26000,
            guides=700,
            steps=4,
            growth=Growth("whorl", lift=0.55, gravity=0.0, volume_m=0.003, comb=0.4),
            length=Length(top_m=0.0095, side_m=0.0055),
            bundle=Bundle(clump=0.0, noise_m=0.0003, spread_m=0.0005, flyaways=0.0),
            radius_m=0.00012,
        ),
        HairStyle(
            "crop",
            strands=24000,
            guides=1300,
            steps=10,
            growth=Growth(
                "whorl", lift=0.5, comb=0.45, gravity=0.08, volume_m=0.011, wander=0.05, hug=0.3
            ),
            length=Length(top_m=0.042, side_m=0.013, fade_low_m=0.915, fade_high_m=0.975),
            bundle=Bundle(clump=0.6, wisps=0.35, noise_m=0.0008, spread_m=0.0010),
        ),
        HairStyle(
            "quiff",
            strands=24000,
            guides=1300,
            steps=14,
            growth=Growth(
                "swept",
                lift=0.75,
                comb=0.5,
                comb_reach_m=0.07,
                gravity=0.10,
                gravity_start_m=0.06,
                volume_m=0.006,
                crown_volume_m=0.006,
                front_volume_m=0.024,
                hug=0.4,
            ),
            length=Length(top_m=0.068, side_m=0.012, fade_low_m=0.90, fade_high_m=0.985),
            bundle=Bundle(clump=0.65, wisps=0.5, noise_m=0.0008, spread_m=0.0008),
        ),
        HairStyle(
            "side_part",
            strands=24000,
            guides=1300,
            steps=16,
            growth=Growth(
                "parted",
                lift=0.35,
                comb=0.7,
                comb_reach_m=0.09,
                gravity=0.22,
                volume_m=0.006,
                crown_volume_m=0.009,
                front_volume_m=0.006,
                rise_m=0.05,
                hug=0.35,
            ),
            length=Length(top_m=0.088, side_m=0.022, fade_low_m=0.92, fade_high_m=0.972),
            bundle=Bundle(clump=0.6, wisps=0.45, noise_m=0.0009),
            parted=True,
        ),
        HairStyle(
            "curly_short",
            strands=18000,
            guides=700,
            steps=30,
            growth=Growth(
                "whorl",
                lift=0.75,
                comb=0.35,
                gravity=0.12,
                wander=0.08,
                volume_m=0.020,
                crown_volume_m=0.012,
                push=0.5,
            ),
            length=Length(
                top_m=0.075, side_m=0.026, fade_low_m=0.89, fade_high_m=0.965, jitter=0.15, fill=0.3
            ),
            bundle=Bundle(
                blend=1,
                clump=0.86,
                clump_power=0.45,
                noise_m=0.0006,
                spread_m=0.0009,
                flyaways=0.05,
            ),
            curl=Curl(radius_m=0.0055, turns_per_m=42, start_m=0.015),
            radius_m=0.00016,
        ),
        HairStyle(
            "afro",
            strands=22000,
            guides=2600,
            steps=26,
            growth=Growth(
                "radial",
                lift=0.9,
                comb=0.6,
                comb_reach_m=1.0,
                stiffness=0.7,
                gravity=0.0,
                wander=0.18,
                volume_m=0.001,
                push=0.0,
                hug=0.0,
                clear_face=False,
            ),
            length=Length(ball_m=(0.058, 0.052, 0.062), jitter=0.05, fill=0.45),
            bundle=Bundle(
                blend=1,
                clump=0.45,
                clump_power=0.6,
                noise_m=0.0022,
                spread_m=0.0016,
                flyaways=0.06,
                flyaway_gain=2.0,
            ),
            curl=Curl(radius_m=0.0036, turns_per_m=85, start_m=0.008),
            radius_m=0.00021,
            length_variation=0.30,
        ),
        HairStyle(
            "bob",
            strands=24000,
            guides=900,
            steps=30,
            growth=Growth(
                "parted",
                lift=0.22,
                stiffness=0.85,
                comb=0.55,
                gravity=0.62,
                gravity_start_m=0.06,
                volume_m=0.007,
                crown_volume_m=0.007,
                rise_m=0.05,
                hug=0.3,
                fall_width_m=0.078,
            ),
            length=Length(cut_height_m=0.80, cut_jitter_m=0.005, jitter=0.03),
            bundle=Bundle(clump=0.55, clump_power=0.9, wisps=0.3, spread_m=0.0015, flyaways=0.04),
            parted=True,
        ),
        HairStyle(
            "long",
            strands=24000,
            guides=900,
            steps=36,
            growth=Growth(
                "parted",
                lift=0.20,
                stiffness=0.85,
                comb=0.55,
                gravity=0.62,
                gravity_start_m=0.06,
                volume_m=0.007,
                crown_volume_m=0.007,
                rise_m=0.05,
                hug=0.3,
                fall_width_m=0.080,
            ),
            length=Length(cut_height_m=0.62, cut_jitter_m=0.012, frame_m=0.04, jitter=0.03),
            bundle=Bundle(
                clump=0.65, clump_power=0.9, wisps=0.5, wisp_size=12, noise_m=0.0015, flyaways=0.05
            ),
            parted=True,
        ),
        HairStyle(
            "wavy",
            strands=24000,
            guides=520,
            steps=40,
            growth=Growth(
                "parted",
                lift=0.25,
                stiffness=0.85,
                comb=0.55,
                gravity=0.55,
                gravity_start_m=0.06,
                volume_m=0.011,
                crown_volume_m=0.009,
                rise_m=0.05,
                hug=0.25,
                fall_width_m=0.088,
            ),
            length=Length(cut_height_m=0.66, cut_jitter_m=0.014, frame_m=0.03, jitter=0.04),
            bundle=Bundle(
                blend=3, clump=0.8, clump_power=0.7, wisps=0.2, spread_m=0.0015, flyaways=0.04
            ),
            curl=Curl(
                radius_m=0.008,
                turns_per_m=15,
                start_m=0.09,
                roundness=0.6,
                smooth_phase=True,
                jitter=0.04,
            ),
            parted=True,
        ),
        HairStyle(
            "long_curly",
            strands=22000,
            guides=520,
            steps=52,
            growth=Growth(
                "parted",
                lift=0.45,
                stiffness=0.85,
                comb=0.45,
                gravity=0.42,
                gravity_start_m=0.05,
                volume_m=0.024,
                crown_volume_m=0.004,
                push=0.6,
                wander=0.10,
                fall_width_m=0.105,
            ),
            length=Length(
                cut_height_m=0.70, cut_jitter_m=0.022, frame_m=0.03, jitter=0.06, fill=0.15
            ),
            bundle=Bundle(
                blend=1, clump=0.9, clump_power=0.4, noise_m=0.0006, spread_m=0.0011, flyaways=0.03
            ),
            curl=Curl(radius_m=0.0095, turns_per_m=26, start_m=0.04),
            radius_m=0.00016,
            parted=True,
        ),
        HairStyle(
            "ponytail",
            strands=22000,
            guides=900,
            steps=20,
            growth=Growth("swept", volume_m=0.006, crown_volume_m=0.014, rise_m=0.045),
            length=Length(),
            bundle=Bundle(clump=0.55, wisps=0.3, noise_m=0.0007, spread_m=0.0006, flyaways=0.05),
            gather=Gather("tail", (35.0, 58.0), size_m=0.028, tail_length_m=0.42),
        ),
        HairStyle(
            "bun",
            strands=22000,
            guides=900,
            steps=20,
            growth=Growth("swept", volume_m=0.006, crown_volume_m=0.010, rise_m=0.040),
            length=Length(),
            bundle=Bundle(clump=0.55, wisps=0.3, noise_m=0.0007, spread_m=0.0006, flyaways=0.05),
            gather=Gather("bun", (62.0, 80.0), size_m=0.041),
        ),
    )
}

assert set(STYLES) == set(HAIR_STYLES), "every style of the spec needs its row"


def strand_scale(render_size: int) -> tuple[float, float]:
    """Factors on strand count and radius for a picture of `render_size` pixels a side.

    At 512 px and above a style is grown in full. Below that a pixel covers many strands and the
    picture cannot tell them apart, so their number falls with the size (no further than to 40 %)
    and the strands thicken to keep most of the covered area.
    """
    count = min(1.0, max(0.4, render_size / 512.0))
    return count, count**-0.75
