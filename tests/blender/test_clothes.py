"""Garments: clean edges, closed collars, cloth outside the body in every pose, no stumps."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.spatial import cKDTree

from synth.blender_scenes.clothes_cuts import CUTS
from synth.blender_scenes.clothes_dress import dress
from synth.blender_scenes.limbs import boundary_loops
from synth.blender_scenes.clothes_sheet import edge_frames
from synth.spec import GARMENTS, HeadPose

UNDER = {"cardigan": "tee", "blazer": "shirt"}


def outfit(spec, name, **changes):
    changes = {"pattern": "plain", "under": UNDER.get(name, "none"), **changes}
    return dataclasses.replace(spec.clothes, garment=name, **changes)


@pytest.fixture(scope="module")
def dressed(model, spec, shape):
    """Garment name -> what it is worn as."""
    return {name: dress(outfit(spec, name), model, shape) for name in GARMENTS}


def height_over_skin(points, shape, model):
    """[N] signed distance of model points to the skin of head and trunk, metres."""
    trunk = np.abs(model.canonical[:, 0]) < 0.13
    skin, normals = shape.vertices[trunk], shape.normals[trunk]
    _, nearest = cKDTree(skin).query(points)
    return ((points - skin[nearest]) * normals[nearest]).sum(axis=1)


def part(dressed, name):
    return next(part for part in dressed.parts if part.name == name)


def test_every_garment_of_the_spec_has_a_cut():
    assert set(CUTS) == set(GARMENTS)


@pytest.mark.parametrize("name", GARMENTS)
def test_the_neckline_is_a_clean_closed_curve(dressed, name):
    garment = dressed[name].garment
    curve = edge_frames(garment.vertices, garment.normals, garment.neck_loop).points
    steps = np.diff(np.concatenate([curve, curve[:2]]), axis=0)
    length = np.linalg.norm(steps, axis=1)
    assert 0.25 < length[:-1].sum() < 0.95  # metres around a neck, and down to a jacket's button
    cosine = (steps[1:] * steps[:-1]).sum(axis=1) / (length[1:] * length[:-1])
    # Cut along quads, without snapping to the edge, a round neck reaches 0.936.
    assert np.quantile(cosine, 0.02) > (0.955 if name in ("tee", "turtleneck") else 0.85)
    away = cKDTree(curve).query(garment.vertices[garment.neck_loop])[0]
    assert np.quantile(away, 0.95) < 0.005, np.quantile(away, [0.5, 0.9, 0.95, 1.0])


@pytest.mark.parametrize("name", GARMENTS)
def test_collar_and_cloth_stay_outside_the_skin(dressed, name, shape, model):
    for vertices in (dressed[name].garment.vertices, *(p.vertices for p in dressed[name].parts)):
        trunk = (np.abs(vertices[:, 0]) < 0.10) & (vertices[:, 2] > 0.6)
        inside = height_over_skin(vertices[trunk], shape, model) < -0.002
        assert inside.mean() < 0.02, name
