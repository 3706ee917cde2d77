"""Guide strands: a few hundred curves that decide where the hair goes."""

from __future__ import annotations

import numpy as np

from synth.blender_scenes.hair_fall import (
    FallPlan,
    behind_ear,
    gravity,
    leave_face,
    plan_fall,
    turn_in,
)
from synth.blender_scenes.hair_field import HeadSurface, normalize, smoothstep
from synth.blender_scenes.hair_flow import (
    FLOWS,
    FRINGE,
    HEAD_CENTER,
    TENDRIL,
    crown_weight,
    fringe,
    front_weight,
    top_weight,
)
from synth.blender_scenes.hair_locks import LockSet
from synth.blender_scenes.hair_roots import Roots
from synth.blender_scenes.hair_styles import Growth, HairStyle, Length
from synth.rng import stream
from synth.spec import Hair

_SKIN_GAP_M = 0.0015
_OVER_EAR_Z_M = 0.910
_TENDRIL_LENGTH_M = 0.115


def guide_lengths(
    style: HairStyle,
    hair: Hair,
    canonical: np.ndarray,
    side: np.ndarray,
    factor: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Arc length of each guide [n] in metres, from its canonical root [n, 3] and side [n]."""
    length = style.length
    if length.cut_height_m is not None:
        drop = canonical[:, 2] - cut_height(style, factor)
        around = 0.11 * smoothstep(0.90, 0.98, canonical[:, 2]) + style.growth.volume_m
        metres = np.clip(1.15 * drop + around + 0.02, 0.04, 0.60)
        if style.curl is not None:
            metres *= 1.06
    elif length.ball_m is not None:
        metres = factor * _length_to_ball(canonical, np.asarray(length.ball_m))
    else:
        metres = factor * _short_lengths(style.length, hair, canonical)
    down = np.clip(canonical[:, 2] - fringe_height(hair), 0.01, None)
    bangs = 1.15 * (down + 0.8 * np.clip(canonical[:, 1] + 0.140, 0, None)) + 0.004
    bangs += 0.5 * np.clip(np.abs(canonical[:, 0]) - 0.025, 0, None)
    metres = np.where(side == FRINGE, bangs, metres)
    metres = np.where(side == TENDRIL, _TENDRIL_LENGTH_M * factor, metres)
    return metres * np.exp(rng.normal(0.0, length.jitter, len(canonical)))


def _short_lengths(length: Length, hair: Hair, canonical: np.ndarray) -> np.ndarray:
    z = canonical[:, 2]
    top = smoothstep(length.fade_low_m, length.fade_high_m, z)
    front_to_back = 1.0 + (length.crown - 1.0) * crown_weight(canonical)
    side = np.full(len(z), length.side_m)
    if length.nape_m > 0:
        side = length.nape_m + (length.side_m - length.nape_m) * smoothstep(0.845, 0.935, z)
    side = side * stream(hair.groom_seed, 0, "hair.sides").uniform(*length.sides)
    return side + (length.top_m * front_to_back - side) * top


def cut_height(style: HairStyle, factor: float) -> float:
    """Canonical height of the cut; longer hair (`factor` > 1) is cut lower."""
    assert style.length.cut_height_m is not None
    hang_from = 0.90
    return hang_from - (hang_from - style.length.cut_height_m) * factor


def fringe_height(hair: Hair) -> float:
    """Canonical height at which the bangs end: the hairline at 0, just above the brows at 1."""
    return 0.965 - 0.042 * hair.fringe


def _length_to_ball(canonical: np.ndarray, margin: np.ndarray) -> np.ndarray:
    # Half axes of the cranium; the ball is that ellipsoid grown by the margins.
    axes = np.array([0.076, 0.095, 0.085]) + margin
    offset = canonical - HEAD_CENTER
    direction = normalize(offset)
    reach = 1.0 / np.linalg.norm(direction / axes, axis=-1)
    # Shorter at nape and temples, where the ball would swallow neck and cheeks.
    low = 0.45 + 0.55 * smoothstep(0.83, 0.915, canonical[:, 2])
    return np.clip(reach - np.linalg.norm(offset, axis=-1), 0.012, None) * low


def volume_height(growth: Growth, canonical: np.ndarray) -> np.ndarray:
    """Height [n] of the outermost hair above the skin at canonical points [n, 3], metres."""
    return (
        growth.volume_m
        + growth.crown_volume_m * top_weight(canonical)
        + growth.front_volume_m * front_weight(canonical)
    )


def grow_guides(
    surface: HeadSurface,
    style: HairStyle,
    hair: Hair,
    roots: Roots,
    lengths: np.ndarray,
    side: np.ndarray,
    lockset: LockSet,
    cut_z_m: float | None,
    rng: np.random.Generator,
) -> np.ndarray:
    """Grow guides from their roots.

    Each step turns the direction by comb, gravity, drift and the distance to the head, then moves
    one segment and leaves whatever it ran into.

    Args:
        lengths: [n] metres; side: [n] side of the parting, see `hair_flow`.
        cut_z_m: canonical height at which the ends will be cut, or None.

    Returns:
        [n, steps + 1, 3] model space points, the first at the root.
    """
    growth, steps = style.growth, style.steps
    step_m = lengths / steps
    volume = volume_height(growth, roots.canonical) * hair.volume
    volume = volume * _layers(style, lockset, roots.canonical, hair.parting, rng)
    drift = (
        0.6
        * growth.wander
        * (lockset.drift[lockset.of_guide] + 0.4 * rng.normal(size=(len(roots), 3)))
    )
    plan = plan_fall(hair, style, roots, side, lockset, rng)
    past_ear = ~plan.tucked
    to_model = surface.canonical_map.direction_to_model
    point = roots.positions + roots.normals * 0.0003
    comb = to_model(_flow(growth, roots.canonical, side, hair.parting))
    comb -= roots.normals * np.clip((comb * roots.normals).sum(-1, keepdims=True), None, 0)
    lift = np.where(side == FRINGE, 0.15, growth.lift)[:, None]
    direction = normalize(
        roots.normals * lift + comb * (1.0 - lift) + rng.normal(0.0, 0.05, (len(roots), 3))
    )
    strength = growth.gravity * (1.0 - np.exp(-lengths / 0.06))
    strength = np.where(side >= FRINGE, 0.6, strength)
    guide = [point]
    for step in range(steps):
        arc = (step + 1) * step_m
        sd, normal = surface.field.distance_and_normal(point)
        canonical = surface.canonical_map.to_canonical(point)
        wish = direction * growth.stiffness + drift
        flow = to_model(_flow(growth, canonical, side, hair.parting))
        wish += _comb(growth, flow, normal, sd, arc) * past_ear[:, None]
        weight = strength * np.clip(arc / growth.gravity_start_m, 0, 1)
        weight = weight * np.where(past_ear, 1.0, 0.15)
        wish += gravity(growth, surface, point, canonical, plan, weight)
        settled = 1.0 - growth.settle * ((step + 1) / steps) ** 2
        wish += _hold_height(growth, normal, sd, volume * settled, arc, canonical[:, 2])
        wish += _steer(growth, surface, canonical, plan, past_ear, side, cut_z_m)
        direction = _slide(normalize(wish), normal, sd)
        point = point + direction * step_m[:, None]
        rise = smoothstep(0.0, growth.rise_m, arc) * min(1.0, 2.0 * (step + 1) / steps)
        point = surface.field.push_out(point, _SKIN_GAP_M + 0.35 * volume * settled * rise)
        guide.append(point)
    return np.stack(guide, axis=1)


def _flow(growth: Growth, canonical: np.ndarray, side: np.ndarray, parting_m: float) -> np.ndarray:
    flow = FLOWS[growth.flow](canonical, side, parting_m)
    bangs = (side == FRINGE)[:, None]
    return np.where(bangs, fringe(canonical, parting_m), flow)


def _steer(
    growth: Growth,
    surface: HeadSurface,
    canonical: np.ndarray,
    plan: FallPlan,
    past_ear: np.ndarray,
    side: np.ndarray,
    cut_z_m: float | None,
) -> np.ndarray:
    wish = turn_in(growth, canonical, cut_z_m)
    if growth.clear_face:
        wish += leave_face(canonical, plan) * (side != FRINGE)[:, None]
    if plan.tucked.any():
        wish += behind_ear(canonical, plan, past_ear)
    strength = np.linalg.norm(wish, axis=-1, keepdims=True)
    return surface.canonical_map.direction_to_model(wish) * strength


def _layers(
    style: HairStyle,
    lockset: LockSet,
    canonical: np.ndarray,
    parting_m: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Layer of each guide in [0.3, 1]: what grows at the parting lies on top of the rest."""
    layer = lockset.layer[lockset.of_guide] * rng.uniform(0.8, 1.0, len(canonical))
    if not style.parted:
        return layer
    far = np.abs(canonical[:, 0] - parting_m) + 0.8 * np.clip(0.97 - canonical[:, 2], 0, None)
    return 0.45 * layer + 0.55 * (1.0 - 0.65 * smoothstep(0.01, 0.09, far))


def _comb(
    growth: Growth, comb: np.ndarray, normal: np.ndarray, sd: np.ndarray, arc: np.ndarray
) -> np.ndarray:
    if growth.flow != "radial":
        along = (comb * normal).sum(-1, keepdims=True)
        comb = comb - normal * along * (sd < 0.03)[:, None]
    return comb * (growth.comb * np.exp(-arc / growth.comb_reach_m))[:, None]


def _hold_height(
    growth: Growth,
    normal: np.ndarray,
    sd: np.ndarray,
    volume: np.ndarray,
    arc: np.ndarray,
    canonical_z: np.ndarray,
) -> np.ndarray:
    rise = np.clip(arc / growth.rise_m, 0, 1)
    target = volume * rise
    below = np.clip((target - sd) / np.maximum(volume, 1e-4), 0, 1) * rise
    # Hair lies on the head, but it hangs past the neck.
    on_head = (sd < 0.04) * smoothstep(0.84, 0.90, canonical_z)
    above = np.clip((sd - target) / 0.01, 0, 1) * on_head
    return normal * (growth.push * below - growth.hug * above)[:, None]


def _slide(direction: np.ndarray, normal: np.ndarray, sd: np.ndarray) -> np.ndarray:
    into = np.clip((direction * normal).sum(-1, keepdims=True), None, 0)
    touching = smoothstep(0.006, 0.002, sd)[:, None]
    return normalize(direction - normal * into * touching)


def gather_guides(
    surface: HeadSurface,
    style: HairStyle,
    hair: Hair,
    roots: Roots,
    lockset: LockSet,
    tie: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Guides that run over the head to a tie at `tie` [3]; returns [n, steps + 1, 3].

    A great-circle path about the middle of the head, laid onto the head at the height of the
    style's volume.
    """
    t = np.linspace(0.0, 1.0, style.steps + 1)
    center = surface.canonical_map.to_model(HEAD_CENTER)
    tie_spread = tie + rng.normal(0.0, 0.0035, (len(roots), 3))
    start, end = roots.positions - center, tie_spread - center
    start_m = np.linalg.norm(start, axis=-1, keepdims=True)
    end_m = np.linalg.norm(end, axis=-1, keepdims=True)
    cosine = np.clip((start * end).sum(-1, keepdims=True) / (start_m * end_m), -0.999, 0.999)
    angle = np.arccos(cosine)[:, None]
    weight_start = np.sin((1 - t)[None, :, None] * angle) / np.sin(angle)
    weight_end = np.sin(t[None, :, None] * angle) / np.sin(angle)
    direction = weight_start * (start / start_m)[:, None] + weight_end * (end / end_m)[:, None]
    radius = start_m + (end_m - start_m) * t
    path = center + direction * radius[..., None]
    # On the way to a low tie nothing crosses the cheek: it passes over the ear.
    canonical = surface.canonical_map.to_canonical(path)
    sunk = np.clip(_OVER_EAR_Z_M - canonical[..., 2], 0.0, None)
    sunk *= smoothstep(-0.012, -0.035, canonical[..., 1])
    path = path + sunk[..., None] * surface.canonical_map.direction_to_model([0.0, 0.0, 1.0])
    # What comes from far lies on top of what grows near the tie.
    far = np.linalg.norm(roots.positions - tie, axis=-1)
    layer = 0.20 + 0.45 * smoothstep(0.03, 0.15, far) + 0.35 * lockset.layer[lockset.of_guide]
    layer = layer[:, None] * hair.volume
    canonical = surface.canonical_map.to_canonical(path)
    volume = volume_height(style.growth, canonical.reshape(-1, 3)).reshape(path.shape[:2])
    arc = t[None] * np.linalg.norm(np.diff(path, axis=1), axis=-1).sum(1, keepdims=True)
    rise = smoothstep(-0.004, style.growth.rise_m, arc) * (1 - 0.6 * smoothstep(0.7, 1.0, t)[None])
    # the hair of the rim lies flat at first, or it stands off the temples as a slab
    rim = 0.3 + 0.7 * smoothstep(0.0, 0.04, roots.edge_m)[:, None]
    height = 0.0004 + volume * layer * rise * (rim + (1 - rim) * smoothstep(0.15, 0.6, t))
    for _ in range(3):
        sd, normal = surface.field.distance_and_normal(path)
        move = (height - sd)[..., None] * normal
        move[:, 0] = 0.0
        path = path + np.clip(move, -0.01, 0.01)
    path[:, 0] = roots.positions
    return path
