"""Scalp hair: every style grows on the scalp, outside the head, as its numbers say."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from synth.blender_scenes import hair_flow, hair_guides, hair_locks, hair_roots, hair_strands
from synth.blender_scenes.hair_field import HeadSurface, smoothstep
from synth.blender_scenes.hair_groom import groom
from synth.blender_scenes.hair_style_table import STYLES
from synth.blender_scenes.hair_styles import Bundle, Curl, Locks, strand_scale
from synth.hairline import PARTED_STYLES, hairline_m
from synth.headmodel import HeadModel
from synth.rng import stream
from synth.spec import HAIR_STYLES, Hair, HairColour, HeadPose, Identity

SIZE = 128
BROWN = HairColour("brown", 0.72, 0.55, (0.055, 0.03, 0.016))
WOMAN = Identity(
    "hair-test",
    {"gender": 0.9, "age": 0.7, "african": 0.1, "asian": 0.4, "caucasian": 0.5},
    {},
    30.0,
    "female",
)


@pytest.fixture(scope="module")
def model() -> HeadModel:
    return HeadModel.load()


@pytest.fixture(scope="module")
def surface(model) -> HeadSurface:
    return _surface(model)


@pytest.fixture(scope="module")
def grooms(surface):
    """Every style once, at the size of a small picture."""
    return {name: groom(_hair(name), surface, SIZE) for name in HAIR_STYLES}


def _surface(model, pose=None, obstacles=()) -> HeadSurface:
    shape = model.shape(WOMAN, pose=pose or HeadPose())
    return HeadSurface.create(model, shape, obstacles)


def _hair(style: str, **changes) -> Hair:
    return replace(Hair(style, BROWN, groom_seed=5, parting=0.02), **changes)


def _arc(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(np.diff(points.astype(float), axis=1), axis=-1).sum(1)


def test_every_style_of_the_spec_has_one_row():
    assert set(STYLES) == set(HAIR_STYLES)
    assert all(STYLES[name].name == name for name in HAIR_STYLES)
    for style in STYLES.values():
        cut, ball = style.length.cut_height_m, style.length.ball_m
        given = [cut is not None, ball is not None, style.length.top_m > 0, bool(style.gather)]
        assert sum(given) == 1, f"{style.name} needs exactly one rule for its length"


@pytest.mark.parametrize("style", HAIR_STYLES)
def test_strands_are_sound(style, grooms, surface):
    expected = round(STYLES[style].strands * strand_scale(SIZE)[0])
    assert len(grooms[style][0]) == expected
    for part in grooms[style]:
        assert part.points.dtype == np.float32 and part.radii.shape == part.points.shape[:2]
        assert np.isfinite(part.points).all()
        assert (part.radii > 0).all() and part.radii.max() < 0.001
        assert (part.radii[:, -1] < part.radii[:, 0] + 1e-9).all(), "strands taper"
    points = grooms[style][0].points
    inside = surface.field.distance(points[:, 1:]) < -0.0005
    assert inside.mean() < 0.002, f"{inside.mean():.2%} of the points are inside the head"


@pytest.mark.parametrize("style", HAIR_STYLES)
def test_roots_lie_on_the_scalp(style, grooms, surface):
    roots = grooms[style][0].points[:, 0]
    distance, nearest = cKDTree(surface.vertices).query(roots)
    assert distance.max() < 0.006, "no root further from a vertex than the mesh is wide"
    assert np.abs(surface.field.distance(roots)).max() < 0.0015
    assert (surface.scalp_sd[nearest] > -0.008).all()
    on_face = (surface.canonical[nearest, 1] < -0.145) & (surface.canonical[nearest, 2] < 0.95)
    assert not on_face.any()


def test_scalp_is_covered_without_a_bald_spot(grooms, surface):
    # A square centimetre without a root would show as skin.
    scalp = surface.vertices[surface.scalp_sd > 0.02]
    for style in set(HAIR_STYLES) - {"bald", "receding"}:
        gap = cKDTree(grooms[style][0].points[:, 0]).query(scalp)[0]
        assert gap.max() < 0.005, style


def test_same_seed_same_hair_and_other_seed_other_hair(surface, grooms):
    for style in ("crop", "ponytail"):
        again = groom(_hair(style), surface, SIZE)
        for first, second in zip(grooms[style], again):
            np.testing.assert_array_equal(first.points, second.points)
            np.testing.assert_array_equal(first.radii, second.radii)
        other = groom(_hair(style, groom_seed=6), surface, SIZE)
        assert not np.array_equal(other[0].points, grooms[style][0].points)


def test_strand_count_follows_the_spec_and_the_picture(surface):
    assert len(groom(_hair("crop", strands=777), surface, 512)[0]) == 777
    sizes = [strand_scale(size) for size in (64, 128, 256, 512, 2048)]
    assert sizes[-1] == sizes[-2] == (1.0, 1.0)
    counts, radii = zip(*sizes)
    assert list(counts) == sorted(counts) and list(radii) == sorted(radii, reverse=True)
    # Fewer but thicker: at least two thirds of the covered area remains.
    assert all(count * radius > 0.66 for count, radius in sizes)


def test_length_scale_lengthens(surface, grooms):
    for style, at_least in (("crop", 1.12), ("afro", 1.12), ("long", 1.05)):
        longer = groom(_hair(style, length_scale=1.2), surface, SIZE)[0]
        ratio = _arc(longer.points).mean() / _arc(grooms[style][0].points).mean()
        assert ratio > at_least, style


# ---------------------------------------------------------------- parting


def test_no_strand_follows_a_guide_across_the_parting():
    # Two guides a millimetre beside the parting, and roots that are closer to the wrong one.
    guides = np.array([[[0.001, 0, 0], [0.05, 0, 0]], [[-0.001, 0.02, 0], [-0.05, 0.02, 0]]])
    roots = np.array([[0.0005, 0.02, 0.0], [-0.0005, 0.0, 0.0]])
    side, guide_side = np.array([1, -1]), np.array([1, -1])
    index, _ = hair_strands.nearest_guides(roots, side, guides, guide_side, 3)
    np.testing.assert_array_equal(index, [[0, 0, 0], [1, 1, 1]])


@pytest.mark.parametrize("style", ["bob", "long", "wavy", "side_part"])
def test_hair_falls_to_its_own_side(style, grooms, surface):
    points = grooms[style][0].points
    canonical = surface.canonical_map.to_canonical(points)
    side = hair_flow.parting_side(canonical[:, 0], 0.02)
    # Well in front of the crown nothing crosses the line by more than a flyaway.
    front = (side != 0) & (canonical[:, 0, 1] < -0.05) & (canonical[:, 0, 2] > 0.93)
    tip = canonical[:, -1, 0] - 0.02
    crossed = front & (tip * side < -0.01)
    assert front.sum() > 500 and (side[front] > 0).any() and (side[front] < 0).any()
    assert crossed.sum() / front.sum() < 0.01


def test_the_scalp_shows_in_the_parting_of_parted_styles_only():
    assert {name for name, style in STYLES.items() if style.parted} == set(PARTED_STYLES)


def test_parting_moves_with_the_spec():
    canonical = np.array([[0.0, -0.1, 1.0], [0.03, -0.1, 1.0], [0.0, 0.03, 1.0]])
    np.testing.assert_array_equal(hair_flow.parting_side(canonical, 0.015), [-1, 1, 0])
    np.testing.assert_array_equal(hair_flow.parting_side(canonical, -0.015), [1, 1, 0])
    np.testing.assert_array_equal(hair_flow.parting_side(canonical, 0.045), [-1, -1, 0])


# ---------------------------------------------------------------- cut, fall, obstacles


def test_a_lock_of_the_whorl_lies_down():
    """Combed away from the whorl alone, it stood 4 cm above curly hair: head 19 of seed 0."""
    up = hair_flow.WHORL - hair_flow.HEAD_CENTER
    up /= np.linalg.norm(up)
    grown = hair_flow.WHORL + np.linspace(0.002, 0.04, 6)[:, None] * up
    comb = hair_flow.whorl(grown, np.ones(6), 0.02)
    comb /= np.linalg.norm(comb, axis=1, keepdims=True)
    assert (comb @ up).max() < 0.6


def test_cut_below_stops_exactly_at_the_limit():
    z = np.linspace(1.0, 0.0, 11)
    strands = np.zeros((3, 11, 3))
    strands[..., 2] = z
    cut = hair_strands.cut_below(strands, strands[..., 2], np.array([0.33, 0.5, -1.0]))
    np.testing.assert_allclose(cut[:, -1, 2], [0.33, 0.5, 0.0], atol=1e-9)
    np.testing.assert_allclose(cut[:, 0], strands[:, 0])
    np.testing.assert_allclose(np.diff(cut[0, :, 2]), np.diff(cut[0, :, 2])[0], atol=1e-9)


@pytest.mark.parametrize("style", ["bob", "long", "wavy", "long_curly"])
def test_long_hair_is_cut_at_its_height(style, grooms, surface):
    length = STYLES[style].length
    variation = stream(5, 0, "hair.length").uniform(-1, 1) * STYLES[style].length_variation
    cut = hair_guides.cut_height(STYLES[style], 1 + variation)
    lowest = surface.canonical_map.canonical_z(grooms[style][0].points).min(axis=1)
    tolerance = 4 * length.cut_jitter_m + 0.004
    assert (lowest < cut - tolerance).mean() < 0.003
    assert np.quantile(lowest, 0.25) < cut + 0.03, "most hair reaches the cut"


@pytest.mark.parametrize("style", ["bob", "long", "wavy"])
def test_long_hair_leaves_the_face_free(style, grooms, surface):
    x, y, z = np.moveaxis(surface.canonical_map.to_canonical(grooms[style][0].points), -1, 0)
    face = (np.abs(x) < 0.04) & (y < -0.12) & (z < 0.93) & (z > 0.80)
    assert face.any(axis=1).mean() < 0.005


def test_hair_lies_on_clothes(model):
    # Shoulders 2 cm thicker than the body: what falls there must stay outside.
    shape = model.shape(WOMAN)
    torso = model.canonical[:, 2] < 0.735
    coat = shape.vertices[torso] + 0.02 * shape.normals[torso]
    plain, dressed = (_surface(model, None, o) for o in ((), [(coat, shape.normals[torso])]))
    hair = groom(_hair("long", strands=1500), dressed, SIZE)[0].points
    low = dressed.canonical_map.canonical_z(hair) < 0.70
    assert low.sum() > 200
    assert (dressed.field.distance(hair[low]) < -0.001).mean() < 0.01
    assert np.median(plain.field.distance(hair[low])) > 0.015


def test_hair_turns_with_the_head(model, surface, grooms):
    turned = _surface(model, HeadPose(yaw_deg=25.0))
    points = groom(_hair("buzz"), turned, SIZE)[0].points
    there = turned.canonical_map.to_canonical(points[:, 0])
    here = surface.canonical_map.to_canonical(grooms["buzz"][0].points[:, 0])
    # All but a few roots, which rounding moves to the next quad.
    assert np.quantile(np.linalg.norm(there - here, axis=-1), 0.99) < 0.002
    assert (turned.field.distance(points[:, 1:]) < -0.0005).mean() < 0.002


# ---------------------------------------------------------------- styles read as such


def test_tied_hair_shows_from_the_front(surface):
    to_canonical = surface.canonical_map.to_canonical
    for seed in range(4):
        _, tail, _ = groom(_hair("ponytail", groom_seed=seed, strands=600), surface, SIZE)
        x, _, z = np.moveaxis(to_canonical(tail.points), -1, 0)
        beside_neck = (np.abs(x) > 0.075) & (z < 0.84)
        assert beside_neck.any(axis=1).mean() > 0.5, "the tail hides behind the head"
        _, bun = groom(_hair("bun", groom_seed=seed, strands=600), surface, SIZE)
        assert to_canonical(bun.points)[..., 2].max() > 1.04, "the bun hides behind the crown"


def test_a_hat_moves_the_tie_below_its_edge(surface):
    for style in ("ponytail", "bun"):
        _, tied, *_ = groom(_hair(style, strands=600), surface, SIZE, hat_z_m=0.90)
        scalp = groom(_hair(style, strands=600), surface, SIZE, hat_z_m=0.88)[0]
        _, y, z = np.moveaxis(surface.canonical_map.to_canonical(scalp.points.astype(float)), -1, 0)
        assert ((y < -0.05) & (z < 0.895)).mean() < 0.0006, f"{style}: hair crosses the cheek"
        z = surface.canonical_map.canonical_z(tied.points.astype(float))
        assert z.max() < 0.925, f"{style}: nothing of it is under the hat"
        assert np.median(z[:, 0]) > 0.83, f"{style}: it starts on the head"


def test_the_hairline_of_tied_hair_has_short_fine_hairs(grooms, surface):
    strands = grooms["ponytail"][0]
    edge = hairline_m(surface.canonical, surface.scalp_sd, _hair("ponytail"))
    nearest = cKDTree(surface.vertices).query(strands.points[:, 0])[1]
    front = surface.canonical[nearest, 2] > 0.92
    rim, inside = front & (edge[nearest] < 0.004), front & (edge[nearest] > 0.02)
    short = _arc(strands.points) < 0.03
    assert short[rim].mean() > 0.25 > 3 * short[inside].mean()
    assert strands.radii[rim, 0].mean() < 0.6 * strands.radii[inside, 0].mean()


def test_barbers_cut_sides_differently(surface):
    length = STYLES["crop"].length
    above_ear = np.array([[0.075, -0.04, 0.92]])
    lengths = [
        hair_guides._short_lengths(length, _hair("crop", groom_seed=seed), above_ear)[0]
        for seed in range(20)
    ]
    assert max(lengths) > 1.6 * min(lengths)
    assert max(lengths) <= 1.1 * length.side_m + 1e-9


def test_tied_hair_ends_at_the_tie(grooms, surface):
    for style in ("ponytail", "bun"):
        tips = grooms[style][0].points[:, -1]
        spread = np.linalg.norm(tips - np.median(tips, axis=0), axis=-1)
        assert np.quantile(spread, 0.9) < 0.03


def test_afro_is_round_and_dense(grooms, surface):
    canonical = surface.canonical_map.to_canonical(grooms["afro"][0].points)
    upper = canonical[canonical[:, 0, 2] > 0.93]
    reach = np.linalg.norm(upper - hair_flow.HEAD_CENTER, axis=-1).max(axis=1)
    direction = upper[:, -1] - hair_flow.HEAD_CENTER
    assert reach.min() > 0.09 and np.quantile(reach, 0.9) > 0.13
    # Round: the outline of the sides and of the top have nearly the same reach.
    steep = direction[:, 2] > 0.8 * np.linalg.norm(direction, axis=-1)
    top, side = np.quantile(reach[steep], 0.8), np.quantile(reach[~steep], 0.8)
    assert 0.85 < top / side < 1.2


def test_curl_winds_a_straight_guide():
    guide = np.zeros((1, 401, 3))
    guide[0, :, 2] = -np.linspace(0, 0.4, 401)
    curl = Curl(radius_m=0.005, turns_per_m=20, start_m=0.02, jitter=0.0)
    wound = hair_locks.curl_guides(guide, curl, 1.0, np.random.default_rng(0))[0]
    offset = np.linalg.norm(wound[60:340, :2], axis=-1)
    np.testing.assert_allclose(offset, offset.mean(), rtol=0.02)
    assert 0.003 < offset.mean() < 0.0085
    angle = np.unwrap(np.arctan2(wound[60:340, 1], wound[60:340, 0]))
    turns_per_m = abs(angle[-1] - angle[0]) / (2 * np.pi * 0.279)
    assert turns_per_m == pytest.approx(20, rel=0.02)


def test_locks_of_curls_hold_together(grooms):
    # In a lock neighbours wind alike; fuzz is what one gets where they do not.
    for style in ("long_curly", "curly_short"):
        points = grooms[style][0].points.astype(float)
        k = points.shape[1] // 2
        tangent = points[:, k + 1] - points[:, k - 1]
        tangent /= np.linalg.norm(tangent, axis=-1, keepdims=True)
        neighbour = cKDTree(points[:, k]).query(points[:, k], k=2)[1][:, 1]
        alike = (tangent * tangent[neighbour]).sum(-1)
        assert (alike > 0.9).mean() > 0.5, style


def _tip_gap(surface, locks: Locks, bundle: Bundle) -> float:
    """Mean distance of the tips of a crop from the middle of their lock, metres."""
    style = replace(STYLES["crop"], locks=locks, bundle=bundle)
    hair = _hair("crop")
    rng = np.random.default_rng(1)
    edge = surface.scalp_sd
    density = smoothstep(0, 0.01, edge)
    roots = hair_roots.sample_roots(surface, density, edge, 900, rng)
    guide_roots = hair_roots.even_subset(roots, 300, rng)
    zero, root_zero = np.zeros(len(guide_roots), int), np.zeros(len(roots), int)
    lockset = hair_locks.assign_locks(locks, guide_roots, zero, np.random.default_rng(2))
    lengths = np.full(len(guide_roots), 0.05)
    guides = hair_guides.grow_guides(
        surface, style, hair, guide_roots, lengths, zero, lockset, None, np.random.default_rng(3)
    )
    np.testing.assert_allclose(_arc(guides), 0.05, rtol=0.35)
    guides = hair_locks.pull_together(guides, lockset, locks)
    strands, lock, _ = hair_strands.grow_strands(
        surface, style, hair, roots, root_zero, guides, zero, lockset, None, 1.0,
        np.random.default_rng(4),
    )  # fmt: skip
    tips = strands.points[:, -1]
    middle = np.stack([tips[lock == k].mean(0) if (lock == k).any() else [0, 0, 0]
                       for k in range(lock.max() + 1)])  # fmt: skip
    return float(np.linalg.norm(tips - middle[lock], axis=-1).mean())


def test_locks_and_clumps_draw_strands_together(surface):
    bundle = Bundle(clump=0.8, point=0, spread_m=0, noise_m=0, flyaways=0)
    locks = Locks(count=60, pull=0.8, uneven=0.0, bend_m=0.0)
    together = _tip_gap(surface, locks, bundle)
    assert together < 0.7 * _tip_gap(surface, replace(locks, pull=0.0), bundle)
    assert together < 0.9 * _tip_gap(surface, locks, replace(bundle, clump=0.0, apart=0.0))


def test_strands_of_a_wisp_lie_and_wave_alike(surface):
    roots = np.random.default_rng(0).uniform(0, 0.1, (600, 3)) * [1, 1, 0]
    side = np.where(roots[:, 0] > 0.05, 1, -1)
    wisp = hair_strands.wisps(roots, side, 10)
    assert 50 <= len(np.unique(wisp)) <= 60 and (side[wisp] == side).all()
    assert np.median(np.linalg.norm(roots[wisp] - roots, axis=1)) < 0.01
    strands = np.repeat(roots[:, None], 5, axis=1)
    strands[..., 2] -= np.linspace(0, 0.1, 5)
    drawn = hair_strands._pull_to(strands, wisp, np.full(600, 0.5), 1.0)
    far = np.linalg.norm(strands[wisp] - strands, axis=-1)
    near = np.linalg.norm(drawn[wisp] - drawn, axis=-1)
    np.testing.assert_allclose(near[:, 0], far[:, 0], atol=1e-6)
    assert near[:, -1].mean() < 0.6 * far[:, -1].mean(), "ends of a wisp come together"


def test_ends_of_long_hair_thin_out(grooms, surface):
    for style in ("long", "wavy"):
        points = surface.canonical_map.to_canonical(grooms[style][0].points.astype(float))
        tips = points[points[:, 0, 1] > -0.02, -1, 2]  # without those that frame the face
        low, high = np.quantile(tips, (0.25, 0.9))
        assert high - low > 0.055, f"{style} ends as if cut with one stroke"


def test_locks_differ_in_pigment(grooms):
    for style in ("long", "crop", "braids"):
        pigment = grooms[style][0].pigment[:, 0]
        roots = grooms[style][0].points[:, 0]
        neighbour = cKDTree(roots).query(roots, k=2)[1][:, 1]
        alike = np.corrcoef(np.log(pigment), np.log(pigment[neighbour]))[0, 1]
        assert alike > 0.4, f"{style}: neighbours of a lock share their shade"
        assert 0.1 < np.log(pigment).std() < 0.6


# ---------------------------------------------------------------- fields of the spec


def test_volume_and_curl_follow_the_spec(surface, grooms):
    def height(points) -> float:
        return float(np.quantile(surface.field.distance(points.reshape(-1, 3)), 0.8))

    flat, full = (
        groom(_hair("side_part", volume=v, strands=800), surface, SIZE)[0] for v in (0.7, 1.4)
    )
    assert height(full.points) > 1.15 * height(flat.points)

    def winding(points) -> float:
        tangent = np.diff(points.astype(float), axis=1)
        tangent /= np.linalg.norm(tangent, axis=-1, keepdims=True)
        return float((1 - (tangent[:, 1:] * tangent[:, :-1]).sum(-1)).mean())

    for style in ("long_curly", "long"):
        loose, tight = (
            groom(_hair(style, curl=c, strands=800), surface, SIZE)[0] for c in (0.7, 1.4)
        )
        assert winding(tight.points) > 1.15 * winding(loose.points), style


def test_bangs_hang_to_the_brows(surface):
    def lowest_in_front(fringe: float) -> np.ndarray:
        points = groom(_hair("bob", fringe=fringe, strands=4000), surface, SIZE)[0].points
        x, y, z = np.moveaxis(surface.canonical_map.to_canonical(points), -1, 0)
        over = (np.abs(x[:, -1]) < 0.025) & (y[:, -1] < -0.13)
        return z[over].min(axis=1)

    bangs, short = lowest_in_front(1.0), lowest_in_front(0.5)
    assert len(bangs) > 80 and 0.915 < np.median(bangs) < 0.932
    assert np.median(short) > np.median(bangs) + 0.01
    assert (lowest_in_front(0.0) < 0.935).sum() < 15, "no bangs, a free forehead"


def test_tucked_hair_shows_the_ear(surface):
    def over_ear(tucked: str, sign: float) -> float:
        points = groom(_hair("long", tucked=tucked, strands=2500), surface, SIZE)[0].points
        x, y, z = np.moveaxis(surface.canonical_map.to_canonical(points), -1, 0)
        return ((x * sign > 0.055) & (y > -0.075) & (y < -0.042) & (z > 0.85) & (z < 0.895)).mean()

    free = over_ear("none", 1.0)
    assert over_ear("left", 1.0) < 0.15 * free
    assert over_ear("left", -1.0) > 0.5 * over_ear("none", -1.0)
    assert over_ear("both", -1.0) < 0.15 * over_ear("none", -1.0)


def test_recession_bares_temples_and_crown(surface):
    def roots(amount: float) -> np.ndarray:
        points = groom(_hair("receding", recession=amount), surface, SIZE)[0].points
        return surface.canonical_map.to_canonical(points[:, 0].astype(float))

    def share(points, center, radius) -> float:
        sideways = np.stack([np.abs(points[:, 0]), points[:, 1], points[:, 2]], -1)
        return (np.linalg.norm(sideways - np.array(center), axis=-1) < radius).mean()

    full, bald = roots(0.0), roots(0.8)
    temple, crown, nape = (0.046, -0.105, 0.965), (0.0, 0.004, 1.0), (0.0, 0.04, 0.86)
    assert share(bald, temple, 0.015) < 0.25 * share(full, temple, 0.015)
    assert share(bald, crown, 0.025) < 0.5 * share(full, crown, 0.025)
    assert share(bald, nape, 0.03) > share(full, nape, 0.03)


def test_hair_over_the_shoulders_lies_in_front_or_behind(grooms, surface):
    points = grooms["long"][0].points
    x, y, z = np.moveaxis(surface.torso_map.to_canonical(points), -1, 0)
    low = z < 0.72
    assert low.any(axis=1).mean() > 0.5
    front, back = y[low] < -0.05, y[low] > 0.0
    assert front.mean() > 0.05 and back.mean() > 0.2
    # without steering 4 % balance on the ridge and 2 % slide out along the shoulder
    assert (~front & ~back).mean() < 0.025, "hardly anything balances on the ridge"
    assert (np.abs(x[low]) > 0.12).mean() < 0.005, "it does not slide down the arms"


def test_gravity_stays_down_when_the_head_tilts(model):
    tilted = _surface(model, HeadPose(roll_deg=15.0))
    points = groom(_hair("long", strands=2500), tilted, SIZE)[0].points.astype(float)
    reach = np.linalg.norm(points[:, -1] - points[:, 0], axis=-1)
    down = (points[:, 0, 2] - points[:, -1, 2]) / reach
    assert np.median(down[reach > 0.15]) > 0.85


def test_ropes_are_ropes(grooms, surface):
    for style in ("braids", "twists"):
        rope = STYLES[style].rope
        points = grooms[style][0].points.astype(float)
        k = int(0.6 * points.shape[1])
        tree = cKDTree(points[:, k])
        crowd = np.array([len(n) for n in tree.query_ball_point(points[:, k], 1.1 * rope.radius_m)])
        expected = len(points) / STYLES[style].guides
        assert np.median(crowd) > 0.6 * expected, f"{style}: strands of a rope stay together"
