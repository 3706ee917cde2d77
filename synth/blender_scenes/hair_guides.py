"""Guide strands: a few hundred curves that decide where the hair goes."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from synth.blender_scenes.hair_field import HeadSurface, normalize, smooth_noise, smoothstep
from synth.blender_scenes.hair_flow import (
    FLOWS,
    HEAD_CENTER,
    front_weight,
    top_weight,
)
from synth.blender_scenes.hair_roots import Roots
from synth.blender_scenes.hair_styles import Bundle, Curl, Growth, HairStyle

_SKIN_GAP_M = 0.0015
_FACE_BACK_Y_M = -0.080
_FACE_TOP_Z_M = 0.952
_FACE_HALF_WIDTH_M = 0.078


def guide_lengths(
    style: HairStyle, canonical: np.ndarray, factor: float, rng: np.random.Generator
) -> np.ndarray:
    """Arc length of each guide [n] in metres, from its canonical root [n, 3]."""
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
        top = smoothstep(length.fade_low_m, length.fade_high_m, canonical[:, 2])
        metres = factor * (length.side_m + (length.top_m - length.side_m) * top)
    return metres * np.exp(rng.normal(0.0, length.jitter, len(canonical)))


def cut_height(style: HairStyle, factor: float) -> float:
    """Canonical height of the cut; longer hair (`factor` > 1) is cut lower."""
    assert style.length.cut_height_m is not None
    hang_from = 0.90
    return hang_from - (hang_from - style.length.cut_height_m) * factor


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
    roots: Roots,
    lengths: np.ndarray,
    side: np.ndarray,
    parting_m: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Grow guides from their roots.

    Each step turns the direction by comb, gravity, drift and the distance to the head, then moves
    one segment and leaves whatever it ran into.

    Args:
        lengths: [n] metres; side: [n] side of the parting, see `hair_flow.parting_side`.

    Returns:
        [n, steps + 1, 3] model space points, the first at the root.
    """
    growth, count, steps = style.growth, len(roots), style.steps
    step_m = lengths / steps
    layer = _layers(style, roots.canonical, parting_m, rng)
    volume = volume_height(growth, roots.canonical) * layer
    drift = 0.6 * rng.normal(0.0, growth.wander, (count, 3))
    flow = FLOWS[growth.flow]
    point = roots.positions + roots.normals * 0.0003
    to_model = surface.canonical_map.direction_to_model
    comb = to_model(flow(roots.canonical, side, parting_m))
    comb -= roots.normals * np.clip((comb * roots.normals).sum(-1, keepdims=True), None, 0)
    direction = normalize(
        roots.normals * growth.lift + comb * (1.0 - growth.lift) + rng.normal(0.0, 0.06, (count, 3))
    )
    strength = growth.gravity * (1.0 - np.exp(-lengths / 0.06))
    guide = [point]
    for step in range(steps):
        arc = (step + 1) * step_m
        sd, normal = surface.field.distance_and_normal(point)
        canonical = surface.canonical_map.to_canonical(point)
        wish = direction * growth.stiffness + drift
        wish += _comb(growth, to_model(flow(canonical, side, parting_m)), normal, sd, arc)
        wish += _gravity(growth, canonical, strength * np.clip(arc / growth.gravity_start_m, 0, 1))
        wish += _hold_height(growth, normal, sd, volume, arc, canonical[:, 2])
        if growth.clear_face:
            wish += _leave_face(canonical, side)
        direction = _slide(normalize(wish), normal, sd)
        point = point + direction * step_m[:, None]
        rise = smoothstep(0.0, growth.rise_m, arc) * min(1.0, 2.0 * (step + 1) / steps)
        point = surface.field.push_out(point, _SKIN_GAP_M + 0.35 * volume * rise)
        guide.append(point)
    return np.stack(guide, axis=1)


def _layers(
    style: HairStyle, canonical: np.ndarray, parting_m: float, rng: np.random.Generator
) -> np.ndarray:
    """Layer of each strand in [0.3, 1]: what grows at the parting lies on top of the rest."""
    layer = rng.uniform(0.35, 1.0, len(canonical))
    if not style.parted:
        return layer
    far = np.abs(canonical[:, 0] - parting_m) + 0.8 * np.clip(0.97 - canonical[:, 2], 0, None)
    return 0.35 * layer + 0.65 * (1.0 - 0.65 * smoothstep(0.01, 0.09, far))


def _comb(
    growth: Growth, comb: np.ndarray, normal: np.ndarray, sd: np.ndarray, arc: np.ndarray
) -> np.ndarray:
    if growth.flow != "radial":
        along = (comb * normal).sum(-1, keepdims=True)
        comb = comb - normal * along * (sd < 0.03)[:, None]
    return comb * (growth.comb * np.exp(-arc / growth.comb_reach_m))[:, None]


def _gravity(growth: Growth, canonical: np.ndarray, weight: np.ndarray) -> np.ndarray:
    pull = np.tile([0.0, 0.0, -1.0], (len(canonical), 1))
    if growth.fall_width_m > 0:
        # Below the ears hair falls in towards the neck, or it would hang like a tent.
        low = smoothstep(0.905, 0.86, canonical[:, 2])
        x, y = canonical[:, 0], canonical[:, 1]
        pull[:, 0] -= (
            0.55 * low * np.sign(x) * np.clip((np.abs(x) - growth.fall_width_m) / 0.03, 0, 1.5)
        )
        pull[:, 1] += low * (0.25 * (y < -0.06) - 0.30 * np.clip((y - 0.045) / 0.03, 0, 1.5))
    return pull * weight[:, None]


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


def _leave_face(canonical: np.ndarray, side: np.ndarray) -> np.ndarray:
    x, y, z = canonical.T
    inside = (
        np.clip((_FACE_BACK_Y_M - y) / 0.02, 0, 1)
        * np.clip((_FACE_TOP_Z_M - z) / 0.02, 0, 1)
        * np.clip((_FACE_HALF_WIDTH_M - np.abs(x)) / 0.03, 0, 1)
    )
    outwards = np.where(side == 0, np.sign(x), side)
    return np.stack([1.2 * inside * outwards, 0.8 * inside, np.zeros_like(x)], -1)


def _slide(direction: np.ndarray, normal: np.ndarray, sd: np.ndarray) -> np.ndarray:
    into = np.clip((direction * normal).sum(-1, keepdims=True), None, 0)
    touching = smoothstep(0.006, 0.002, sd)[:, None]
    return normalize(direction - normal * into * touching)


def gather_guides(
    surface: HeadSurface,
    style: HairStyle,
    roots: Roots,
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
    # What comes from far lies on top of what grows near the tie.
    far = np.linalg.norm(roots.positions - tie, axis=-1)
    layer = 0.30 + 0.45 * smoothstep(0.03, 0.15, far) + 0.25 * rng.random(len(roots))
    layer = layer[:, None]
    canonical = surface.canonical_map.to_canonical(path)
    volume = volume_height(style.growth, canonical.reshape(-1, 3)).reshape(path.shape[:2])
    arc = t[None] * np.linalg.norm(np.diff(path, axis=1), axis=-1).sum(1, keepdims=True)
    rise = smoothstep(-0.004, style.growth.rise_m, arc) * (1 - 0.6 * smoothstep(0.7, 1.0, t)[None])
    height = 0.0004 + volume * layer * rise
    for _ in range(3):
        sd, normal = surface.field.distance_and_normal(path)
        move = (height - sd)[..., None] * normal
        move[:, 0] = 0.0
        path = path + np.clip(move, -0.01, 0.01)
    path[:, 0] = roots.positions
    return path


def wisp(
    guides: np.ndarray, side: np.ndarray, bundle: Bundle, rng: np.random.Generator
) -> np.ndarray:
    """Pull guides [n, m, 3] towards every few-th guide of their own side (the coarse clumps)."""
    if bundle.wisps <= 0 or len(guides) < 4 * bundle.wisp_size:
        return guides
    leaders = np.sort(
        rng.choice(len(guides), max(8, len(guides) // bundle.wisp_size), replace=False)
    )
    arc = np.linalg.norm(np.diff(guides, axis=1), axis=-1).sum(1)
    # The side is a fourth coordinate far apart, so nobody follows across the parting.
    place = np.concatenate([guides[:, 0], guides[:, -1], side[:, None] * 10.0], axis=1)
    leader = leaders[cKDTree(place[leaders]).query(place)[1]]
    far = np.linalg.norm(guides[leader, -1] - guides[:, -1], axis=-1)
    near = np.exp(-((far / (0.4 * arc + 0.005)) ** 2)) * (side[leader] == side)
    t = np.linspace(0.0, 1.0, guides.shape[1])
    pull = bundle.wisps * near[:, None] * t[None] ** 1.6
    return guides + (guides[leader] - guides) * pull[..., None]


def transport_frames(curves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two unit normals [n, m, 3] along curves [n, m, 3] that turn as little as possible."""
    tangent = normalize(np.gradient(curves, axis=1))
    reference = np.where(
        np.abs(tangent[:, 0, 2:]) > 0.9, np.array([1.0, 0, 0]), np.array([0, 0, 1.0])
    )
    first = np.empty_like(curves)
    normal = normalize(np.cross(tangent[:, 0], reference))
    for step in range(curves.shape[1]):
        t = tangent[:, step]
        normal = normalize(normal - t * (normal * t).sum(-1, keepdims=True))
        first[:, step] = normal
    return first, np.cross(tangent, first)


def curl_guides(guides: np.ndarray, curl: Curl, rng: np.random.Generator) -> np.ndarray:
    """Wind guides [n, m, 3] into helices or waves."""
    count = len(guides)
    segment = np.linalg.norm(np.diff(guides, axis=1), axis=-1)
    arc = np.concatenate([np.zeros((count, 1)), np.cumsum(segment, axis=1)], axis=1)
    if curl.smooth_phase:
        phase = 2.2 * smooth_noise(guides[:, 0], 9, rng) + rng.normal(0, 0.25, count)
        hand = np.ones(count)
    else:
        phase = rng.uniform(0, 2 * np.pi, count)
        hand = rng.choice([-1.0, 1.0], count)
    turns = curl.turns_per_m * np.exp(rng.normal(0.0, curl.jitter, count))
    radius = curl.radius_m * np.exp(rng.normal(0.0, 0.15, count))
    angle = 2 * np.pi * (turns * hand)[:, None] * arc + phase[:, None]
    amplitude = radius[:, None] * smoothstep(0.0, curl.start_m, arc)
    first, second = transport_frames(guides)
    return (
        guides
        + first * (amplitude * np.cos(angle))[..., None]
        + second * (amplitude * np.sin(angle) * curl.roundness)[..., None]
    )
