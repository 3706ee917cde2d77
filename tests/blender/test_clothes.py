"""Garments: clean edges, closed collars, cloth outside the body in every pose, no stumps."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import pytest
from scipy.spatial import cKDTree

from synth.blender_scenes.clothes_cuts import CUTS
from synth.blender_scenes.clothes_drape import Collider, with_hanging_arms
from synth.blender_scenes.clothes_dress import dress
from synth.blender_scenes.clothes_mesh import cloth_mesh
from synth.blender_scenes.clothes_pattern import pattern_picture
from synth.blender_scenes.clothes_sheet import ROLES, edge_frames, lie_on
from synth.blender_scenes.clothes_weave import FABRICS, weave_tile
from synth.blender_scenes.limbs import boundary_loops, run_arms_on
from synth.sample import DatasetConfig, sample_head
from synth.spec import FABRICS as FABRIC_NAMES
from synth.spec import GARMENTS, PATTERNS, HeadPose
from synth.subdivision import vertex_normals

UNDER = {"cardigan": "tee", "blazer": "shirt"}
WORN_ON_SKIN = ("tee", "v_neck", "sweater", "turtleneck", "shirt", "polo")
TURNED = HeadPose(yaw_deg=25.0, pitch_deg=-15.0, roll_deg=15.0)
DEEP_M = -0.002
_MOST_SHAPES = 12.0


def outfit(spec, name, **changes):
    defaults = {
        "pattern": "plain", "under": UNDER.get(name, "none"), "opening": 0.0, "fit": 0.5,
        "wrinkles": 1.0, "short_sleeves": False,
    }  # fmt: skip
    return dataclasses.replace(spec.clothes, garment=name, **{**defaults, **changes})


@pytest.fixture(scope="module")
def dressed(model, spec, shape):
    """Garment name -> what it is worn as, closed."""
    return {name: dress(outfit(spec, name), model, shape) for name in GARMENTS}


@pytest.fixture(scope="module")
def turned(model, spec):
    return model.shape(spec.identity, spec.expression, TURNED)


def skin_of(shape, model):
    trunk = (np.abs(model.canonical[:, 0]) < 0.13) & (model.canonical[:, 2] < 0.82)
    return Collider.of(shape.vertices[trunk], shape.normals[trunk])


def height_over(surface, points):
    """[N] signed distance of points to a surface, metres."""
    anchor, normal = surface.planes(points, 4)
    return ((points - anchor) * normal).sum(axis=1)


def parts(worn, name):
    return [part for part in worn.parts if part.name == name]


def neckline(worn):
    garment = worn.garment
    return edge_frames(garment.vertices, garment.normals, garment.neck_loop)


def test_every_name_of_the_spec_is_built(spec):
    assert set(CUTS) == set(GARMENTS)
    assert set(FABRICS) == set(FABRIC_NAMES)
    for fabric in FABRICS.values():
        tile = weave_tile(fabric.weave)
        assert tile.min() >= 0 and tile.max() <= 1 and tile[..., 0].std() > 0.03
    for pattern in set(PATTERNS) - {"plain", "colour_block"}:
        picture = pattern_picture(dataclasses.replace(spec.clothes, pattern=pattern))
        assert picture.shape[2] == 3 and picture.std() > 0.001, pattern


def test_clothes_refuse_what_cannot_be_worn(spec):
    with pytest.raises(ValueError, match="opening"):
        outfit(spec, "shirt", opening=1.5)
    with pytest.raises(ValueError, match="cardigan"):
        outfit(spec, "cardigan", under="none")
    with pytest.raises(ValueError, match="fabric"):
        outfit(spec, "tee", fabric="paper")


@pytest.mark.parametrize("name", GARMENTS)
def test_the_neckline_is_a_clean_closed_curve(dressed, name):
    curve = neckline(dressed[name]).points
    steps = np.diff(np.concatenate([curve, curve[:2]]), axis=0)
    length = np.linalg.norm(steps, axis=1)
    assert 0.25 < length[:-1].sum() < 1.0  # metres around a neck, and down to a jacket's button
    cosine = (steps[1:] * steps[:-1]).sum(axis=1) / (length[1:] * length[:-1])
    # Cut along quads, without snapping to the edge, a round neck reaches 0.936.
    round_neck = name in ("tee", "sweater", "turtleneck", "shirt", "polo")
    assert np.quantile(cosine, 0.02) > (0.955 if round_neck else 0.85)
    garment = dressed[name].garment
    away = cKDTree(curve).query(garment.vertices[garment.neck_loop])[0]
    assert np.quantile(away, 0.95) < 0.005, np.quantile(away, [0.5, 0.9, 0.95, 1.0])


@pytest.mark.parametrize("pose", ["straight", "turned"])
@pytest.mark.parametrize("name", GARMENTS)
def test_no_skin_comes_through_cloth_in_any_pose(dressed, name, pose, spec, shape, turned, model):
    body = shape if pose == "straight" else turned
    worn = dressed[name] if pose == "straight" else dress(outfit(spec, name), model, body)
    skin = skin_of(body, model)
    top = neckline(worn).points[:, 2].max()
    for label, vertices in [("garment", worn.garment.vertices)] + [
        (part.name, part.vertices) for part in worn.parts
    ]:
        near = (np.abs(vertices[:, 0]) < 0.10) & (vertices[:, 2] > top - 0.20)
        if near.any():
            inside = height_over(skin, vertices[near]) < DEEP_M
            assert inside.mean() < 0.02, (name, label, inside.mean())


@pytest.mark.parametrize("name", [n for n in GARMENTS if n != "tank_top"])
def test_no_view_shows_the_end_of_a_sleeve_or_hem(dressed, name, shape):
    garment = dressed[name].garment
    ends = [loop for loop in boundary_loops(garment.faces) if set(loop) != set(garment.neck_loop)]
    assert len(ends) == 3  # two sleeves and the hem
    for loop in ends:
        assert shape.to_world(garment.vertices[loop])[:, 2].max() < -7.0


def test_a_tank_top_has_straps_armholes_and_arms_that_run_on(dressed, model, shape):
    worn = dressed["tank_top"]
    assert len(worn.garment.arm_openings) == 2 and len(parts(worn, "binding")) == 2
    for hole in worn.garment.arm_openings:
        frames = edge_frames(worn.garment.vertices, worn.garment.normals, hole)
        tangent = np.diff(frames.points, axis=0)
        tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
        turns = (tangent[1:] * tangent[:-1]).sum(axis=1)
        assert np.quantile(turns, 0.02) > 0.9  # a saw-tooth turns by 45 degrees
    # the strap: cloth between neckline and armhole on top of the shoulder
    neck, hole = neckline(worn).points, worn.garment.vertices[worn.garment.arm_openings[0]]
    gap = cKDTree(neck[neck[:, 2] > np.quantile(neck[:, 2], 0.7)]).query(hole)[0].min()
    assert 0.015 < gap < 0.08
    used, faces = np.unique(model.faces[worn.visible_skin], return_inverse=True)
    points, _, source = run_arms_on(shape.vertices[used], faces.reshape(-1, 4), used)
    assert len(points) == len(source) > len(used)
    for sign in (1, -1):
        assert shape.to_world(points[points[:, 0] * sign > 0.15])[:, 2].min() < -7.0


def test_arms_come_out_of_short_sleeves_and_hang_like_them(model, shape, spec):
    body = with_hanging_arms(model, shape)
    np.testing.assert_allclose(with_hanging_arms(model, body).vertices, body.vertices, atol=1e-4)
    worn = dress(outfit(spec, "tee", short_sleeves=True), model, body)
    assert len(parts(worn, "hem")) == 2
    used, faces = np.unique(model.faces[worn.visible_skin], return_inverse=True)
    points, _, _ = run_arms_on(body.vertices[used], faces.reshape(-1, 4), used)
    for opening in worn.garment.arm_openings:
        hem = worn.garment.vertices[opening]
        sign = np.sign(hem[0, 0])
        arm = body.vertices[(model.canonical[:, 0] * sign > 0.2) & (model.canonical[:, 2] > 0.3)]
        inside = arm[np.abs(arm[:, 2] - hem[:, 2].mean()) < 0.01]
        assert np.linalg.norm(inside.mean(axis=0) - hem.mean(axis=0)) < 0.025
        assert body.to_world(points[points[:, 0] * sign > 0.15])[:, 2].min() < -7.0
    middle = np.abs(model.canonical[:, 0]) < 0.17
    chest = middle & (model.canonical[:, 2] > 0.5) & (model.canonical[:, 2] < 0.66)
    assert not worn.visible_skin[chest[model.faces].all(axis=1)].any()
    # no skin shows through the sleeve that hides its upper end
    skin = Collider.of(body.vertices, body.normals)
    sleeve = worn.garment.vertices[np.unique(worn.garment.faces[worn.garment.panel == 2])]
    near = sleeve[sleeve[:, 2] < sleeve[:, 2].min() + 0.05]
    assert (height_over(skin, near) < -0.001).mean() < 0.02
    with pytest.raises(ValueError, match="short_sleeves"):
        outfit(spec, "hoodie", short_sleeves=True)


@pytest.mark.parametrize("name", ["tee", "shirt", "blazer"])
def test_shoulders_are_those_of_the_body(dressed, name, shape, model):
    """Cloth adds its own thickness to the breadth of the shoulders, and does not inflate them."""
    shoulder = (np.abs(model.canonical[:, 0]) < 0.25) & (model.canonical[:, 2] > 0.62)
    z = shape.vertices[shoulder, 2].min()
    breadth = np.ptp(shape.vertices[shoulder, 0])
    cloth = dressed[name].garment.vertices
    dressed_breadth = np.ptp(cloth[cloth[:, 2] > z, 0])
    assert breadth - 0.03 < dressed_breadth < breadth + 0.05


def test_folds_follow_seed_amount_and_fit(model, shape, spec):
    def cloth(**changes):
        return dress(outfit(spec, "tee", **changes), model, shape).garment.vertices

    first = cloth(cloth_seed=1)
    np.testing.assert_array_equal(first, cloth(cloth_seed=1))
    other, flat = cloth(cloth_seed=2), cloth(cloth_seed=1, wrinkles=0.0)
    strong = cloth(cloth_seed=1, wrinkles=2.0)
    assert np.abs(first - other).max() > 0.004
    assert np.abs(first - flat).max() > 0.004
    chest = (np.abs(first[:, 0]) < 0.15) & (first[:, 2] > first[:, 2].max() - 0.18)
    moved = np.abs(first - flat)[chest].mean()
    assert np.abs(strong - flat)[chest].mean() > 1.3 * moved
    skin = skin_of(shape, model)
    tight, loose = (
        height_over(skin, cloth(cloth_seed=1, fit=fit)[chest]).mean() for fit in (0.0, 1.0)
    )
    assert loose > tight + 0.002


def test_cloth_rests_on_the_shoulders(model, shape, spec):
    """A balloon keeps its distance all around; thin cloth lies on what faces up."""
    worn = dress(outfit(spec, "tee", wrinkles=0.0), model, shape).garment
    canonical = cloth_mesh(model).fine_canonical[worn.fine]
    vertices, normals = worn.vertices[: len(canonical)], worn.normals[: len(canonical)]
    trapezius = (np.abs(np.abs(canonical[:, 0]) - 0.10) < 0.03) & (normals[:, 2] > 0.75)
    assert trapezius.sum() > 100
    height = height_over(skin_of(shape, model), vertices[trapezius])
    assert np.median(height) < 0.0028


def test_creases_are_drawn_on_the_hanging_cloth(model, shape, spec):
    """Folds narrower than the mesh that relaxes: a knee in the normals within a centimetre."""
    bent = []
    for wrinkles in (0.0, 1.5):
        worn = dress(outfit(spec, "shirt", wrinkles=wrinkles), model, shape).garment
        top = worn.vertices[worn.neck_loop, 2].max()
        near = (worn.vertices[:, 2] > top - 0.17) & (worn.vertices[:, 1] < -0.05)
        numbers = np.flatnonzero(near & (np.abs(worn.vertices[:, 0]) < 0.14))
        pairs = cKDTree(worn.vertices[numbers]).query_pairs(0.008, output_type="ndarray")
        first, second = worn.normals[numbers[pairs]].transpose(1, 0, 2)
        bent.append(np.quantile(np.degrees(np.arccos((first * second).sum(1).clip(-1, 1))), 0.9))
    assert bent[1] > bent[0] + 13, bent  # without creases it is 8, of the broad folds


def test_relaxed_cloth_hangs_from_the_chest_instead_of_following_it(model, shape, spec):
    """Below the shoulder blades cloth leaves the body; a balloon keeps its distance."""
    worn = dress(outfit(spec, "tee", wrinkles=0.0), model, shape).garment
    back = (worn.vertices[:, 1] > 0.0) & (np.abs(worn.vertices[:, 0]) < 0.03)
    skin = skin_of(shape, model)
    top = shape.vertices[model.canonical[:, 2] > 0.70, 2].min()
    near_neck = back & (worn.vertices[:, 2] > top)
    below = back & (worn.vertices[:, 2] < top - 0.10) & (worn.vertices[:, 2] > top - 0.16)
    assert height_over(skin, worn.vertices[below]).mean() > 1.5 * np.median(
        height_over(skin, worn.vertices[near_neck])
    )


def test_a_v_neck_shows_more_skin_than_a_tee_and_a_turtleneck_less(dressed):
    visible = {name: int(worn.visible_skin.sum()) for name, worn in dressed.items()}
    assert visible["turtleneck"] < visible["tee"] < visible["v_neck"] < visible["tank_top"]


def test_hidden_skin_is_removed_and_the_face_is_not(dressed, model):
    visible = dressed["tee"].visible_skin
    height = model.canonical[model.faces, 2].mean(axis=1)
    assert visible[height > 0.80].all()
    assert not visible[height < 0.60].any()


@pytest.mark.parametrize("name", ["shirt", "polo"])
@pytest.mark.parametrize("pose", ["straight", "turned"])
def test_a_buttoned_collar_closes_and_an_open_one_gapes(name, pose, spec, shape, turned, model):
    body = shape if pose == "straight" else turned
    gaps = {}
    for opening in (0.0, 0.8):
        worn = dress(outfit(spec, name, opening=opening), model, body)
        collar = parts(worn, "collar")[0].vertices
        tip = neckline(worn).points[0]
        front = collar[(collar[:, 1] < collar[:, 1].mean()) & (collar[:, 2] > tip[2] - 0.01)]
        left, right = front[front[:, 0] > tip[0]], front[front[:, 0] < tip[0]]
        gaps[opening] = left[:, 0].min() - right[:, 0].max()
        behind = collar[collar[:, 1] > collar[:, 1].mean()]
        assert (np.abs(behind[:, 0] - tip[0]) < 0.01).any()
    assert gaps[0.0] < 0.006
    assert gaps[0.8] > 0.02


def test_collars_have_points_that_lie_on_the_garment(dressed):
    worn = dressed["shirt"]
    collar = parts(worn, "collar")[0].vertices
    surface = Collider.of(worn.garment.vertices, worn.garment.normals)
    tip = neckline(worn).points[0]
    for sign in (1, -1):
        side = collar[((collar[:, 0] - tip[0]) * sign > 0.005) & (collar[:, 1] < tip[1] + 0.04)]
        point = side[side[:, 2].argmin()]
        assert tip[2] - point[2] > 0.02  # it hangs below the neckline
        assert 0 < height_over(surface, point[None])[0] < 0.012


def test_trim_is_where_it_belongs(dressed):
    names = {name: [part.name for part in worn.parts] for name, worn in dressed.items()}
    for name in ("shirt", "polo", "cardigan"):
        assert {"placket", "buttons"} <= set(names[name]), name
    assert "pocket" in names["shirt"]
    assert names["blazer"].count("lapel") == 2 and {"under", "collar", "buttons"} <= set(
        names["blazer"]
    )
    assert names["hoodie"].count("cord") == 2 and "hood" in names["hoodie"]
    assert "under" in names["cardigan"]
    assert {"under_collar", "under_placket", "under_buttons"} <= set(names["blazer"])
    for worn in dressed.values():
        assert {part.role for part in worn.parts} <= set(ROLES)
    for name in ("shirt", "polo", "cardigan", "blazer"):
        worn = dressed[name]
        surface = Collider.of(worn.garment.vertices, worn.garment.normals)
        height = height_over(surface, parts(worn, "buttons")[0].vertices)
        assert height.min() > -0.003 and height.max() < 0.02, name


def test_lapels_are_mirrored_and_widest_at_the_chest(dressed):
    left, right = (part.vertices for part in parts(dressed["blazer"], "lapel"))
    centre = neckline(dressed["blazer"]).points[0, 0]
    assert left[:, 0].min() > centre - 0.02 and right[:, 0].max() < centre + 0.02
    assert abs(np.ptp(left[:, 0]) - np.ptp(right[:, 0])) < 0.02
    assert np.ptp(left[:, 0]) > 0.07


def test_the_hood_lies_behind_the_neck_and_on_the_back(dressed):
    worn = dressed["hoodie"]
    hood = parts(worn, "hood")[0].vertices
    nape = neckline(worn).points
    nape = nape[nape[:, 1].argmax()]
    assert hood[:, 2].max() > nape[2] + 0.02
    behind = hood[hood[:, 1] > nape[1]]
    assert behind[:, 2].min() < nape[2] - 0.08
    surface = Collider.of(worn.garment.vertices, worn.garment.normals)
    assert (height_over(surface, behind) < -0.004).mean() < 0.02


def test_panels_and_seams_meet_in_a_clean_line(dressed):
    """Faces of body and sleeve share only vertices that lie on the seam, so stripes end cleanly."""
    garment = dressed["tee"].garment
    sleeve = garment.panel == 2
    shared = np.intersect1d(garment.faces[sleeve], garment.faces[~sleeve])
    assert len(shared) > 40
    assert garment.seam_m[shared].max() == 0.0
    heights = garment.vertices[garment.faces[sleeve], 2]
    near = (heights > garment.vertices[shared, 2].min()).all(axis=1)
    corners = garment.coordinates[sleeve][near]
    steps = corners.max(axis=1) - corners.min(axis=1)
    assert np.quantile(steps, 0.99) < 0.05  # no face spans the cut of the angle around the arm


def test_parts_are_closed_solids_that_face_outwards(dressed):
    for name, worn in dressed.items():
        for part in worn.parts:
            if part.name in ("under", "buttons", "under_buttons", "cord"):
                continue
            normals = vertex_normals(part.vertices, part.faces)
            middle = part.vertices.mean(axis=0)
            volume = ((part.vertices - middle) * normals).sum()
            assert len(boundary_loops(part.faces)) == 0, (name, part.name)
            assert np.isfinite(part.vertices).all() and np.isfinite(volume)


def test_points_are_moved_only_as_far_as_the_limits_ask():
    grid = np.stack(np.meshgrid(np.linspace(-1, 1, 40), np.linspace(-1, 1, 40)), -1).reshape(-1, 2)
    flat = np.concatenate([grid * 0.1, np.zeros((len(grid), 1))], axis=1)
    surface = Collider.of(flat, np.tile([0.0, 0.0, 1.0], (len(flat), 1)))
    points = np.array([[0.0, 0.0, -0.01], [0.0, 0.0, 0.004], [0.0, 0.0, 0.02]])
    moved = lie_on(points, surface, 0.002, 0.010)
    np.testing.assert_allclose(moved[:, 2], [0.002, 0.004, 0.010], atol=1e-9)


def test_dressing_costs_little_beside_the_shape_of_the_head(model, shape, spec):
    """Two timings of one process under the same load; quiet, they are 0.10 and 0.25-0.36 s."""

    def cost_s(work):
        start = time.process_time()
        work()
        return time.process_time() - start

    clothes = outfit(spec, "blazer")
    dress(clothes, model, shape)  # builds the mesh once per process
    both = [
        (
            cost_s(lambda: dress(clothes, model, shape)),
            cost_s(lambda: model.shape(spec.identity, spec.expression, spec.pose)),
        )
        for _ in range(2)
    ]
    assert min(worn / shaped for worn, shaped in both) < _MOST_SHAPES, both


def test_many_sampled_outfits_can_be_worn(model):
    config = DatasetConfig(size=64, samples=2)
    seen = set()
    for index in range(40, 52):
        spec = sample_head(config, index)
        shape = model.shape(spec.identity, spec.expression, spec.pose)
        worn = dress(spec.clothes, model, shape)
        seen.add(spec.clothes.garment)
        assert np.isfinite(worn.garment.vertices).all()
        skin = skin_of(shape, model)
        chest = worn.garment.vertices
        chest = chest[(np.abs(chest[:, 0]) < 0.10) & (chest[:, 2] > chest[:, 2].max() - 0.18)]
        assert (height_over(skin, chest) < -0.004).mean() < 0.02, (index, spec.clothes.garment)
    assert len(seen) >= 5


@pytest.mark.parametrize("name", ["shirt", "hoodie"])
def test_what_is_worn_underneath_stays_there(name, model):
    """Folds of thin cloth sank into the tee: white spots on a black shirt, 2.2 mm on head 19."""
    head = sample_head(DatasetConfig(), 19)
    body = model.shape(head.identity, head.expression, head.pose)
    worn = dress(outfit(head, name, under="tee", opening=0.6, wrinkles=1.3), model, body)
    (tee,) = parts(worn, "under")
    points = tee.vertices[np.unique(tee.faces)]
    distance, nearest = cKDTree(worn.garment.vertices).query(points)
    covered = (distance < 0.012) & ~np.isin(nearest, worn.garment.neck_loop)
    above = (points - worn.garment.vertices[nearest]) * worn.garment.normals[nearest]
    assert above.sum(axis=1)[covered].max() < -0.0005
