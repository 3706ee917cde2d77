"""Brows, lashes and beards grow where a face has them."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from synth.blender_scenes.facial_hair import BEARDS, beard_strands, brow_strands, lash_strands
from synth.blender_scenes.hair_field import HeadSurface
from synth.headmodel import HeadModel
from synth.headmodel_masks import brow_band
from synth.spec import (
    BEARD_STYLES,
    BrowShape,
    Expression,
    FacialHair,
    HairColour,
    HeadPose,
    Identity,
)

MAN = Identity("facial-hair-test", {"gender": 0.1, "age": 0.7, "asian": 1.0}, {}, 30.0, "male")
BROWN = HairColour("brown", 0.7, 0.5, (0.05, 0.03, 0.02))
FACE = FacialHair(beard="full", beard_seed=3, colour=BROWN)


@pytest.fixture(scope="module")
def model() -> HeadModel:
    return HeadModel.load()


@pytest.fixture(scope="module")
def shape(model):
    return model.shape(MAN)


@pytest.fixture(scope="module")
def surface(model, shape) -> HeadSurface:
    return HeadSurface.create(model, shape)


def _arc(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(np.diff(points.astype(float), axis=1), axis=-1).sum(1)


def test_every_beard_of_the_spec_has_one_row():
    assert ("none", *BEARDS) == BEARD_STYLES


@pytest.mark.parametrize("beard", BEARDS)
def test_beards_grow_on_their_region(beard, surface):
    strands = beard_strands(replace(FACE, beard=beard), surface, count_factor=0.3)
    assert strands is not None
    assert len(strands) == round(BEARDS[beard].strands * 0.3)
    assert (strands.radii > 0).all() and np.isfinite(strands.points).all()
    nearest = cKDTree(surface.vertices).query(strands.points[:, 0])[1]
    canonical = surface.canonical[nearest]
    sideburn = canonical[:, 2] > 0.84  # wider there than its region
    assert (surface.beard_sd[nearest] > -0.0075 - 0.007 * sideburn).all()
    if beard == "moustache":
        assert canonical[:, 2].min() > 0.815
    if beard == "goatee":
        assert np.abs(canonical[:, 0]).max() < 0.040
    assert (surface.field.distance(strands.points[:, 1:]) < -0.0005).mean() < 0.01
    assert _arc(strands.points).max() < 4.5 * BEARDS[beard].length_m
    assert strands.points[:, -1, 2].mean() < strands.points[:, 0, 2].mean(), "beards hang"


@pytest.mark.parametrize("beard", ["short", "full", "moustache", "circle"])
def test_a_moustache_leaves_the_mouth_free(beard, surface):
    strands = beard_strands(replace(FACE, beard=beard), surface)
    canonical = surface.canonical_map.to_canonical(strands.points.astype(float))
    root, tip = canonical[:, 0], canonical[:, -1]
    lip = (root[:, 2] > 0.834) & (np.abs(root[:, 0]) < 0.018) & (root[:, 1] < -0.13)
    assert lip.sum() > 150, "hair under the nose"
    # the red of the upper lip begins at about .833
    assert np.quantile(tip[lip, 2], 0.03) > 0.826
    outer = (np.abs(root[:, 0]) > 0.02) & (np.abs(root[:, 0]) < 0.04) & (root[:, 2] > 0.834)
    assert (np.abs(tip[outer, 0]) > np.abs(root[outer, 0])).mean() > 0.9, "combed to the sides"


def test_beards_thin_out_and_shorten_at_the_rim(surface):
    strands = beard_strands(replace(FACE, beard="short"), surface)
    nearest = cKDTree(surface.vertices).query(strands.points[:, 0])[1]
    cheek = (surface.canonical[nearest, 1] > -0.12) & (surface.canonical[nearest, 2] < 0.83)
    depth, length = surface.beard_sd[nearest], _arc(strands.points)
    rim, inside = cheek & (depth < 0.005), cheek & (depth > 0.016) & (depth < 0.021)
    assert 0 < rim.sum() < 0.45 * inside.sum()
    assert length[rim].mean() < 0.75 * length[inside].mean()
    assert strands.radii[rim, 0].mean() < 0.85 * strands.radii[inside, 0].mean()


def test_regions_of_the_small_beards(surface):
    def roots(beard: str) -> np.ndarray:
        strands = beard_strands(replace(FACE, beard=beard), surface)
        return surface.canonical[cKDTree(surface.vertices).query(strands.points[:, 0])[1]]

    goatee, circle = roots("goatee"), roots("circle")
    assert goatee[:, 2].max() < 0.83, "a goatee leaves the lip bare"
    beside = (np.abs(np.abs(circle[:, 0]) - 0.030) < 0.006) & (np.abs(circle[:, 2] - 0.81) < 0.008)
    assert beside.mean() > 0.03, "a circle beard joins moustache and chin"
    assert (circle[:, 2] > 0.834).mean() > 0.05


def test_a_shaven_face_has_no_beard(surface):
    assert beard_strands(replace(FACE, beard="none"), surface) is None


def test_factors_of_the_spec(surface):
    plain = beard_strands(FACE, surface, 0.2)
    longer = beard_strands(replace(FACE, beard_length=1.5), surface, 0.2)
    denser = beard_strands(replace(FACE, beard_density=1.5), surface, 0.2)
    assert _arc(longer.points).mean() == pytest.approx(1.5 * _arc(plain.points).mean(), rel=0.1)
    assert len(denser) == pytest.approx(1.5 * len(plain), rel=0.01)
    again = beard_strands(FACE, surface, 0.2)
    np.testing.assert_array_equal(plain.points, again.points)
    other = beard_strands(replace(FACE, beard_seed=4), surface, 0.2)
    assert not np.array_equal(plain.points, other.points)


def test_brows_lie_on_the_brow_and_point_outwards(surface):
    strands = brow_strands(FACE, MAN.brows, surface)
    roots = strands.points[:, 0]
    nearest = cKDTree(surface.vertices).query(roots)[1]
    assert (surface.canonical[nearest, 2] > 0.89).all()
    assert (surface.canonical[nearest, 2] < 0.94).all()
    canonical = surface.canonical_map.to_canonical(strands.points.astype(float))
    tail = np.abs(canonical[:, 0, 0]) > 0.035
    travel = (canonical[:, -1, 0] - canonical[:, 0, 0]) * np.sign(canonical[:, 0, 0])
    assert (travel[tail] > 0).mean() > 0.97
    inner = np.abs(canonical[:, 0, 0]) < 0.018
    assert (canonical[inner, -1, 2] > canonical[inner, 0, 2]).mean() > 0.9, "inner hairs rise"
    height = surface.field.distance(strands.points)
    assert height.max() < 0.006 and (height > -0.001).mean() > 0.97
    thin = brow_strands(replace(FACE, brow_density=0.5), MAN.brows, surface)
    assert len(thin) == pytest.approx(0.5 * len(strands), rel=0.02)


@pytest.mark.parametrize("yaw_deg", [0.0, 20.0])
def test_lashes_leave_the_lids_forwards(model, yaw_deg):
    shape = model.shape(MAN, pose=HeadPose(yaw_deg=yaw_deg))
    strands = lash_strands(FACE, shape.base_vertices, model.groups, shape.eyes)
    assert len(strands) == 2 * (150 + 70)
    half = len(strands) // 2
    for eye, points in zip(shape.eyes, (strands.points[:half], strands.points[half:])):
        local = (points - eye.center) @ eye.model_from_eye
        assert (np.linalg.norm(local[:, 0], axis=-1) < 1.6 * eye.radius).all()
        assert (local[:, -1, 2] > local[:, 0, 2] - 0.001).mean() > 0.95, "lashes point forwards"
        upper, lower = local[:150], local[150:]
        assert upper[:, 0, 1].mean() > lower[:, 0, 1].mean()
        assert (upper[:, -1, 1] > upper[:, 0, 1]).mean() > 0.9
        assert _arc(upper).mean() > 1.8 * _arc(lower).mean()
    longer = lash_strands(
        replace(FACE, lash_length=1.3), shape.base_vertices, model.groups, shape.eyes
    )
    assert _arc(longer.points).mean() == pytest.approx(1.3 * _arc(strands.points).mean(), rel=0.03)


def test_mascara_makes_lashes_longer_and_thicker(model):
    shape = model.shape(MAN)
    bare, worn = (
        lash_strands(FACE, shape.base_vertices, model.groups, shape.eyes, mascara=amount)
        for amount in (0.0, 1.0)
    )
    assert _arc(worn.points).mean() == pytest.approx(1.25 * _arc(bare.points).mean(), rel=0.03)
    assert worn.radii.mean() == pytest.approx(1.6 * bare.radii.mean())


def _brow_roots(model, actions: dict[str, float], face: FacialHair = FACE) -> np.ndarray:
    shape = model.shape(MAN, Expression("test", actions))
    surface = HeadSurface.create(model, shape)
    return brow_strands(face, MAN.brows, surface).points.astype(float)


def test_brows_follow_the_expression(model, surface):
    calm = brow_strands(FACE, MAN.brows, surface).points.astype(float)
    inner = np.abs(calm[:, 0, 0]) < 0.022
    for actions, way in (
        ({"browInnerUp": 1.0}, 1.0),
        ({"browDownLeft": 1.0, "browDownRight": 1.0}, -1.0),
    ):
        moved = _brow_roots(model, actions)
        # the same hairs (roots are drawn by the area of the quads, which hardly changes)
        lift = np.median(moved[np.abs(moved[:, 0, 0]) < 0.022, 0, 2]) - np.median(calm[inner, 0, 2])
        assert way * lift > 0.002, actions


def test_another_seed_grows_other_hairs(surface):
    other = replace(FACE, beard_seed=FACE.beard_seed + 1)
    for grow in (
        lambda face: beard_strands(replace(face, beard="short"), surface, count_factor=0.1),
        lambda face: brow_strands(face, MAN.brows, surface),
    ):
        one, same, another = (grow(face) for face in (FACE, FACE, other))
        assert np.array_equal(one.points, same.points)
        # the first hundred: by chance alone the numbers of strands might differ
        roots, others = one.points[:100, 0], another.points[:100, 0]
        assert np.median(np.abs(roots - others)) > 1e-3
        # roots also move with the irregular edge, thickness is drawn hair by hair only
        assert np.corrcoef(one.radii[:100, 0], another.radii[:100, 0])[0, 1] < 0.5


def test_brows_have_soft_rims(surface):
    strands = brow_strands(FACE, MAN.brows, surface)
    root = surface.canonical_map.to_canonical(strands.points[:, 0].astype(float))
    middle, half_height = brow_band(np.abs(root[:, 0]), MAN.brows)
    away = np.abs(root[:, 2] - middle) / np.maximum(half_height, 1e-4)
    assert 0.10 < (away > 0.8).mean() < 0.5
    assert (away < 0.4).sum() > 1.3 * ((away > 0.4) & (away < 0.8)).sum()


def test_a_beard_reaches_the_hair_of_the_scalp(surface):
    strands = beard_strands(replace(FACE, beard="short"), surface)
    z = surface.canonical[cKDTree(surface.vertices).query(strands.points[:, 0])[1], 2]
    # a strip of a square centimetre on either side, where there were some ten hairs
    assert (z > 0.862).sum() > 0.015 * len(z)


def test_brow_shape_follows_the_spec(surface):
    def rows(**changes) -> tuple[np.ndarray, np.ndarray]:
        strands = brow_strands(FACE, BrowShape(**changes), surface)
        root = surface.canonical_map.to_canonical(strands.points[:, 0].astype(float))
        return np.abs(root[:, 0]), root[:, 2]

    def height(across, z) -> float:
        middle = np.abs(across - 0.028) < 0.005
        return float(z[middle].std())

    assert height(*rows(thickness=1.3)) > 1.25 * height(*rows(thickness=0.8))

    def peak(across, z) -> float:
        return float(
            z[np.abs(across - 0.042) < 0.004].mean() - z[np.abs(across - 0.018) < 0.004].mean()
        )

    assert peak(*rows(arch_m=0.003)) > peak(*rows(arch_m=-0.001)) + 0.001


def test_upper_lashes_come_down_with_the_lid(model):
    def tips(actions: dict[str, float]) -> np.ndarray:
        shape = model.shape(MAN, Expression("test", actions))
        strands = lash_strands(FACE, shape.base_vertices, model.groups, shape.eyes)
        eye = shape.eyes[0]
        return ((strands.points[:150] - eye.center) @ eye.model_from_eye)[:, :, 1]

    open_, closed = tips({}), tips({"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0})
    assert (open_[:, 0] - closed[:, 0]).mean() > 0.003, "roots go down with the lid"
    assert closed[:, -1].mean() < open_[:, -1].mean() - 0.003
