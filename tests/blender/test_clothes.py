"""Garments: clean edges, collars outside the skin, no stumps, values of the spec matter."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.spatial import cKDTree

from synth.blender_scenes.clothes_collar import COLLARS, neckline_frames, sweep_collar
from synth.blender_scenes.clothes_cuts import CUTS, dress
from synth.blender_scenes.clothes_geometry import boundary_loops, drape
from synth.rng import stream
from synth.spec import GARMENTS


@pytest.fixture(scope="module")
def dressed(model, spec, shape):
    """Garment name -> what it is worn as."""
    return {
        name: dress(dataclasses.replace(spec.clothes, garment=name), model, shape)
        for name in GARMENTS
    }


def height_over_skin(points, shape, model):
    """[N] signed distance of model points to the skin of head and trunk, metres."""
    trunk = np.abs(model.canonical[:, 0]) < 0.13
    skin, normals = shape.vertices[trunk], shape.normals[trunk]
    _, nearest = cKDTree(skin).query(points)
    return ((points - skin[nearest]) * normals[nearest]).sum(axis=1)


def test_every_garment_of_the_spec_has_a_cut_and_a_collar():
    assert set(CUTS) == set(COLLARS) == set(GARMENTS)


@pytest.mark.parametrize("name", GARMENTS)
def test_the_neckline_is_a_clean_closed_curve(dressed, name):
    garment = dressed[name].garment
    curve = neckline_frames(garment).points
    steps = np.diff(np.concatenate([curve, curve[:2]]), axis=0)
    length = np.linalg.norm(steps, axis=1)
    assert 0.25 < length[:-1].sum() < 0.75  # metres around a neck
    cosine = (steps[1:] * steps[:-1]).sum(axis=1) / (length[1:] * length[:-1])
    # Cut along quads, without snapping to the edge, a round neck reaches 0.936; the narrower the
    # shoulders the tighter the curve (this woman's hoodie: 0.959).
    assert np.quantile(cosine, 0.02) > (0.90 if name in ("v_neck", "shirt") else 0.955)
    away = cKDTree(curve).query(garment.vertices[garment.neck_loop])[0]
    assert np.quantile(away, 0.95) < 0.005, np.quantile(away, [0.5, 0.9, 0.95, 1.0])


@pytest.mark.parametrize("name", GARMENTS)
def test_collar_and_cloth_stay_outside_the_skin(dressed, name, shape, model):
    for part in (dressed[name].garment, *dressed[name].collars):
        trunk = (np.abs(part.vertices[:, 0]) < 0.10) & (part.vertices[:, 2] > 0.6)
        inside = height_over_skin(part.vertices[trunk], shape, model) < -0.002
        assert inside.mean() < 0.02, (name, type(part).__name__)


@pytest.mark.parametrize("name", GARMENTS)
def test_no_view_shows_the_end_of_a_sleeve_or_hem(dressed, name, shape):
    garment = dressed[name].garment
    ends = [loop for loop in boundary_loops(garment.faces) if set(loop) != set(garment.neck_loop)]
    assert len(ends) == 3  # two sleeves and the hem
    for loop in ends:
        assert shape.to_world(garment.vertices[loop])[:, 2].max() < -7.0


def test_a_v_neck_shows_more_skin_than_a_tee_and_a_turtleneck_less(dressed):
    visible = {name: int(worn.visible_skin.sum()) for name, worn in dressed.items()}
    assert visible["turtleneck"] < visible["tee"] < visible["v_neck"]


def test_hidden_skin_is_removed_and_the_face_is_not(dressed, model):
    visible = dressed["tee"].visible_skin
    height = model.canonical[model.faces, 2].mean(axis=1)
    assert visible[height > 0.80].all()
    assert not visible[height < 0.60].any()


def test_folds_follow_seed_and_amount(model, shape, spec):
    depth = CUTS["tee"].neckline.depth(model.canonical)

    def cloth(seed, wrinkle_m):
        rng = stream(seed, 0, "clothes.folds")
        return drape(
            shape.vertices, model.faces, model.canonical, depth,
            offset_m=0.005, wrinkle_m=wrinkle_m, rng=rng,
        ).vertices  # fmt: skip

    first, again, other = cloth(1, 0.004), cloth(1, 0.004), cloth(2, 0.004)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.002
    flat, strong = cloth(1, 0.0), cloth(1, 0.008)
    assert np.abs(strong - flat).max() > 1.5 * np.abs(first - flat).max()


def test_an_open_collar_has_a_gap_in_front_and_none_behind(dressed, shape, model):
    collar = dressed["shirt"].collars[-1].vertices
    behind = collar[collar[:, 1] > collar[:, 1].mean()]
    assert (np.abs(behind[:, 0]) < 0.01).any()
    stand = sweep_collar(
        dataclasses.replace(COLLARS["shirt"][-1], point_m=0.0),
        dressed["shirt"].garment,
        shape.vertices,
        shape.normals,
    ).vertices
    in_front = stand[stand[:, 1] < stand[:, 1].mean()]
    assert np.abs(in_front[:, 0]).min() > 0.01
