"""The fit of glasses on heads; no Blender."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.spatial import cKDTree

from synth.blender_scenes.accessory_mesh import MeshPart, rounded_box, sweep, transform
from synth.blender_scenes.glasses import GlassesFit, fit_glasses
from synth.blender_scenes.glasses_frame import glasses_parts
from synth.headmodel import HeadModel, HeadShape
from synth.sample import DatasetConfig, sample_head
from synth.spec import GLASSES_SHAPES, Glasses, HeadPose

MATERIALS = (0.0, 1.0)
"""Acetate and metal."""


def frame(shape: str, metal: float = 0.0) -> Glasses:
    return Glasses(shape, (0.0, 0.0, 0.0), 0.0007 if metal else 0.0019, metal)


@pytest.fixture(scope="module")
def heads(model: HeadModel) -> list[HeadShape]:
    """Random people with their expressions and poses."""
    specs = [sample_head(DatasetConfig(size=64, samples=2), index) for index in (2, 5, 8, 11)]
    return [model.shape(spec.identity, spec.expression, spec.pose) for spec in specs]


def height_over_skin(points: np.ndarray, model: HeadModel, shape: HeadShape) -> np.ndarray:
    """Signed distance [n] in metres to the nearest skin of the head, ears left out."""
    head = (model.canonical[:, 2] > 0.84) & (model.masks["ear"] < 0.5)
    skin, normals = shape.vertices[head], shape.normals[head]
    _, nearest = cKDTree(skin).query(points)
    return ((points - skin[nearest]) * normals[nearest]).sum(axis=1)


def in_model(fit: GlassesFit, points: np.ndarray) -> np.ndarray:
    return transform(fit.model_from_head, points)


@pytest.mark.parametrize("metal", MATERIALS)
@pytest.mark.parametrize("name", GLASSES_SHAPES)
def test_rims_stand_clear_of_the_face_and_do_not_float(name, metal, model, heads):
    for shape in heads:
        fit = fit_glasses(frame(name, metal), model, shape)
        for rim in fit.rims:
            height = height_over_skin(in_model(fit, rim), model, shape)
            assert height.min() > 0.0005
            assert height.min() < 0.012


@pytest.mark.parametrize("name", GLASSES_SHAPES)
def test_pads_rest_on_the_nose(name, model, heads):
    """Their undersides are within a millimetre of the skin, and both on their own flank."""
    for shape in heads:
        for part in glasses_parts(frame(name, 1.0), model, shape):
            if part.name.startswith("pad"):
                lowest = height_over_skin(part.vertices, model, shape).min()
                assert -0.0012 < lowest < 0.0010, (name, part.name, lowest)


def test_acetate_reaches_the_nose_as_well(model, heads):
    for shape in heads:
        for part in glasses_parts(frame("rectangle"), model, shape):
            if part.name.startswith("pad"):
                assert height_over_skin(part.vertices, model, shape).min() < 0.0010


@pytest.mark.parametrize("metal", MATERIALS)
def test_temples_run_over_the_ears_and_end_behind_them(metal, model, heads):
    for shape in heads:
        fit = fit_glasses(frame("rectangle", metal), model, shape)
        for side, temple in zip(("left", "right"), fit.temples):
            line = in_model(fit, temple)
            head_from_model = np.linalg.inv(shape.model_from_rest_head)
            ear = transform(head_from_model, shape.vertices[model.landmarks[f"ear_top_{side}"]])
            assert np.linalg.norm(temple - ear, axis=1).min() < 0.012
            assert temple[-1, 1] > ear[1] + 0.010  # behind
            assert temple[-1, 2] < ear[2] - 0.020  # and below: it hooks
            assert height_over_skin(line[12:], model, shape).min() > 0.0003
            # No stub: nothing reaches further out than hinge and ear.
            sign = 1.0 if side == "left" else -1.0
            rim = fit.rims[0 if sign > 0 else 1]
            widest = max(sign * ear[0], (sign * rim[:, 0]).max())
            assert (sign * temple[:, 0]).max() < widest + 0.011


def test_lenses_leave_room_for_the_lashes(model, heads):
    for shape in heads:
        for name in GLASSES_SHAPES:
            fit = fit_glasses(frame(name), model, shape)
            eyes = [transform(np.linalg.inv(fit.model_from_head), eye.center) for eye in shape.eyes]
            for rim, eye, ball in zip(fit.rims, eyes, shape.eyes):
                front_of_eye = eye[1] - ball.radius
                assert rim[:, 1].mean() < front_of_eye - 0.008


def test_glasses_turn_with_the_head(model, spec):
    straight = fit_glasses(frame("oval"), model, model.shape(spec.identity))
    turned = fit_glasses(
        frame("oval"), model, model.shape(spec.identity, None, HeadPose(yaw_deg=20.0))
    )
    moved = in_model(turned, straight.rims[0])
    assert np.abs(moved - in_model(turned, turned.rims[0])).max() < 0.003
    assert np.abs(moved - in_model(straight, straight.rims[0])).max() > 0.02


def test_acetate_is_a_plate_and_metal_a_wire(model, heads):
    """The rim's cross-section: acetate is deep and broad, wire is thin and round."""

    def section(glasses: Glasses) -> np.ndarray:
        rim = next(p for p in glasses_parts(glasses, model, heads[0]) if p.name == "rim_0")
        ring = rim.vertices.reshape(-1, 16, 3)[40]
        return np.sort(np.linalg.svd(ring - ring.mean(axis=0), compute_uv=False))[::-1]

    plate, wire = section(frame("rectangle")), section(frame("rectangle", 1.0))
    assert plate[1] > 2 * wire[1]
    assert plate[0] > 2 * wire[0]


def test_browline_is_heavy_above_and_wire_below(model, heads):
    parts = {p.name: p for p in glasses_parts(frame("browline"), model, heads[0])}
    assert parts["rim_0"].material == "metal"
    assert parts["brow_0"].material == "frame"
    assert parts["brow_0"].vertices[:, 2].mean() > parts["rim_0"].vertices[:, 2].mean() + 0.008


def test_every_mesh_is_closed_and_finite(model, heads):
    for name in GLASSES_SHAPES:
        for part in glasses_parts(frame(name), model, heads[0]):
            assert np.isfinite(part.vertices).all()
            assert part.faces.max() == len(part.vertices) - 1


def test_a_sweep_has_the_size_of_its_profile():
    points = np.stack([np.linspace(0, 1, 20), np.zeros(20), np.zeros(20)], axis=1)
    vertices, faces = sweep(points, np.array([0, 0, 1.0]), rounded_box(0.05, 0.02, 6.0))
    assert np.abs(vertices[:, 2]).max() == pytest.approx(0.05, rel=0.1)
    assert np.abs(vertices[:, 1]).max() == pytest.approx(0.02, rel=0.1)
    assert faces.max() == len(vertices) - 1
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    circle = np.stack([np.cos(angle), np.zeros(24), np.sin(angle)], axis=1)
    ring, ring_faces = sweep(circle, circle, rounded_box(0.1, 0.1, 2.0), closed=True)
    assert np.bincount(ring_faces.ravel()).tolist() == [4] * len(ring)  # no border


def part_named(parts: list[MeshPart], name: str) -> MeshPart:
    return next(part for part in parts if part.name == name)


def test_glasses_spec_fields_reach_the_geometry(model, heads):
    thin, thick = frame("oval"), dataclasses.replace(frame("oval"), rim_radius_m=0.0028)
    narrow, broad = (
        np.ptp(part_named(glasses_parts(g, model, heads[0]), "rim_0").vertices[:, 2])
        for g in (thin, thick)
    )
    assert broad > narrow + 0.001
