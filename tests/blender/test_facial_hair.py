"""Brows, lashes and beards grow where a face has them."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from synth.blender_scenes.facial_hair import BEARDS, beard_strands, brow_strands, lash_strands
from synth.blender_scenes.hair_field import HeadSurface
from synth.headmodel import HeadModel
from synth.spec import BEARD_STYLES, FacialHair, HairColour, HeadPose, Identity

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
    return HeadSurface.create(
        canonical=model.canonical,
        vertices=shape.vertices,
        normals=shape.normals,
        faces=model.faces,
        masks=model.masks,
    )


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
    assert (surface.beard_sd[nearest] > -0.006).all()
    canonical = surface.canonical[nearest]
    if beard == "moustache":
        assert canonical[:, 2].min() > 0.815
    if beard == "goatee":
        assert np.abs(canonical[:, 0]).max() < 0.040
    assert (surface.field.distance(strands.points[:, 1:]) < -0.0005).mean() < 0.01
    assert _arc(strands.points).max() < 4.5 * BEARDS[beard].length_m
    assert strands.points[:, -1, 2].mean() < strands.points[:, 0, 2].mean(), "beards hang"


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
    strands = brow_strands(FACE, surface)
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
    thin = brow_strands(replace(FACE, brow_density=0.5), surface)
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
