"""The distance field against a sphere, the canonical map against a known motion."""

import dataclasses

import numpy as np
import pytest
from scipy.spatial import cKDTree

from synth.blender_scenes.clothes_dress import dress
from synth.blender_scenes.hair_field import (
    CanonicalMap,
    DistanceField,
    HeadSurface,
    normalize,
    smooth_noise,
)
from synth.headmodel import HeadModel
from synth.sample import DatasetConfig, sample_head

RADIUS_M = 0.08


def sphere_normals() -> np.ndarray:
    count = 6000
    k = np.arange(count) + 0.5
    z, turn = 1 - 2 * k / count, np.pi * (1 + 5**0.5) * k
    ring = np.sqrt(1 - z**2)
    return np.stack([ring * np.cos(turn), ring * np.sin(turn), z], -1)


def field_of(vertices: np.ndarray, normals: np.ndarray) -> DistanceField:
    return DistanceField.build(vertices, normals, np.full(3, -0.16), np.full(3, 0.16))


@pytest.fixture(scope="module")
def sphere() -> DistanceField:
    normals = sphere_normals()
    return field_of(RADIUS_M * normals, normals)


def test_distance_to_a_sphere(sphere):
    rng = np.random.default_rng(0)
    direction = normalize(rng.normal(size=(4000, 3)))
    radius = rng.uniform(0.03, 0.14, 4000)
    error = sphere.distance(direction * radius[:, None]) - (radius - RADIUS_M)
    near = np.abs(radius - RADIUS_M) < 0.01
    assert np.abs(error[near]).max() < 0.0005
    assert np.abs(error).max() < 0.004


def test_a_crease_does_not_turn_the_air_above_it_inside_out():
    """Four vertices in a tangle on a blazer had 12 cm of air in front of them count as cloth."""
    outwards = sphere_normals()
    vertices, normals = RADIUS_M * outwards, outwards.copy()
    tangle = np.argsort(-outwards[:, 0])[:4]
    vertices[tangle] *= 1.06
    normals[tangle] *= -1
    height = np.linspace(0.025, 0.075, 11)[:, None]
    above = (RADIUS_M + height) * np.array([1.0, 0.0, 0.0])
    np.testing.assert_allclose(field_of(vertices, normals).distance(above), height[:, 0], atol=0.01)


def test_normals_of_a_sphere(sphere):
    rng = np.random.default_rng(1)
    direction = normalize(rng.normal(size=(500, 3)))
    sd, normal = sphere.distance_and_normal(direction * 0.085)
    np.testing.assert_allclose(sd, 0.005, atol=5e-4)
    assert (normal * direction).sum(-1).min() > 0.97


def test_push_out_moves_only_what_is_too_close(sphere):
    rng = np.random.default_rng(2)
    points = normalize(rng.normal(size=(50, 4, 3))) * rng.uniform(0.075, 0.10, (50, 4, 1))
    moved = sphere.push_out(points, 0.003)
    assert np.linalg.norm(moved, axis=-1).min() > RADIUS_M + 0.0024
    outside = np.linalg.norm(points, axis=-1) > RADIUS_M + 0.004
    np.testing.assert_array_equal(moved[outside], points[outside])
    assert not outside.all()


def test_canonical_map_recovers_an_affine_motion():
    rng = np.random.default_rng(3)
    canonical = rng.normal(size=(200, 3))
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0] * 1.1
    model = canonical @ turn + [0.1, -0.2, 0.3]
    fitted = CanonicalMap.fit(model, canonical)
    np.testing.assert_allclose(fitted.to_canonical(model), canonical, atol=1e-9)
    np.testing.assert_allclose(fitted.to_model(canonical), model, atol=1e-9)
    np.testing.assert_allclose(fitted.canonical_z(model), canonical[:, 2], atol=1e-9)
    direction = fitted.direction_to_model(np.eye(3))
    np.testing.assert_allclose(direction, turn / 1.1, atol=1e-9)


def test_smooth_noise_is_smooth_and_of_unit_variance():
    rng = np.random.default_rng(4)
    points = rng.uniform(-1, 1, (20000, 3))
    noise = smooth_noise(points, 10, np.random.default_rng(5))
    assert noise.std() == pytest.approx(1, abs=0.15) and abs(noise.mean()) < 0.1
    shifted = smooth_noise(points + 0.001, 10, np.random.default_rng(5))
    assert np.abs(shifted - noise).max() < 0.6


def test_air_around_the_ears_is_outside(model: HeadModel):
    """Ears have most of the head's vertices, and half of them look into the ear."""
    shape = model.shape(sample_head(DatasetConfig(), 5).identity)
    surface = HeadSurface.create(model, shape)
    rng = np.random.default_rng(6)
    beside = rng.uniform([0.078, -0.04, 0.84], [0.13, 0.03, 0.92], (20000, 3))
    beside = np.concatenate([beside, beside * [-1, 1, 1]])
    air = surface.canonical_map.to_model(beside)
    air = air[cKDTree(shape.vertices).query(air)[0] > 0.012]
    assert len(air) > 10000 and surface.field.distance(air).min() > 0


def test_skin_beyond_the_edge_of_cloth_stays_solid(model: HeadModel):
    """The nape above a low neckline lies below the plane of the cloth, but not under the cloth."""
    spec = sample_head(DatasetConfig(), 6)
    shape = model.shape(spec.identity)
    garment = dress(dataclasses.replace(spec.clothes, garment="tank_top"), model, shape).garment
    field = HeadSurface.create(model, shape, [(garment.vertices, garment.normals)]).field
    nape = (np.abs(model.canonical[:, 0]) < 0.05) & (shape.normals[:, 1] > 0.3)
    nape &= (model.canonical[:, 2] > 0.74) & (model.canonical[:, 2] < 0.78)
    np.testing.assert_allclose(field.distance(shape.vertices[nape]), 0.0, atol=0.001)
