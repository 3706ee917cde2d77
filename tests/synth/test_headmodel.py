"""The head model: topology, subdivision, frame of the world, eyes, pose, errors."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from synth.errors import AssetError, SpecError
from synth.headmodel import CHIN_TO_CROWN_UNITS, HeadModel
from synth.headmodel_shapes import read_target
from synth.spec import Expression, HeadPose, Identity
from synth.subdivision import catmull_clark, subdivide_corners, vertex_normals


@pytest.fixture(scope="module")
def model() -> HeadModel:
    return HeadModel.load()


def person(gender: float = 0.5, age: float = 0.67, **shape: float) -> Identity:
    labels = {name.replace("_", "-"): value for name, value in shape.items()}
    return Identity("test", {"gender": gender, "age": age}, labels, 30.0, "female")


def test_loading_needs_neither_torch_nor_blender_nor_anny():
    code = (
        "import sys; from synth.headmodel import HeadModel; HeadModel.load();"
        "print([m for m in ('torch', 'bpy', 'anny', 'scipy') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_static_arrays_fit_together(model):
    vertex_count = len(model.canonical)
    assert model.faces.max() == vertex_count - 1
    assert model.uv.shape == (len(model.faces), 4, 2)
    assert all(mask.shape == (vertex_count,) for mask in model.masks.values())
    atlas_uv = model.uv[model.in_atlas]
    assert atlas_uv.min() >= 0
    assert atlas_uv.max() <= 1
    assert model.canonical[model.landmarks["nose_tip"], 1] < -0.16
    assert model.canonical[model.landmarks["ear_top_left"], 0] > 0.06


def test_the_canonical_head_is_the_shape_of_the_default_adult(model):
    shape = model.shape(person(gender=0.5, age=0.66))
    above_neck = model.canonical[:, 2] > 0.83
    error = np.abs(shape.vertices - model.canonical)[above_neck]
    assert error.max() < 1e-5


def test_world_frame_puts_chin_and_crown_where_the_rig_expects_them(model):
    for identity in (person(0.0), person(1.0, 0.9), person(head_scale_vert_incr=0.7)):
        shape = model.shape(identity)
        world = shape.to_world(shape.vertices)
        head = model.canonical[:, 2] > 0.778
        chin = world[model.landmarks["chin"], 2]
        assert world[head, 2].max() - chin == pytest.approx(CHIN_TO_CROWN_UNITS, abs=0.03)
        assert -0.45 < chin < -0.35
        assert np.abs(world[head, 0].mean()) < 0.02
        assert np.abs(world[head]).max() < 1.0


def test_the_frame_does_not_follow_expression_or_pose(model):
    neutral = model.shape(person())
    moved = model.shape(person(), Expression("talk", {"jawOpen": 0.8}), HeadPose(15, 5, 3))
    np.testing.assert_array_equal(neutral.world_from_model, moved.world_from_model)
    drop = neutral.vertices - model.shape(person(), Expression("talk", {"jawOpen": 0.8})).vertices
    assert drop[model.landmarks["chin"], 2] > 0.005


def test_head_pose_turns_the_face_to_the_named_sides(model):
    nose = model.landmarks["nose_tip"]
    rest = model.shape(person()).vertices[nose]
    assert model.shape(person(), None, HeadPose(yaw_deg=10)).vertices[nose, 0] > rest[0] + 0.01
    assert model.shape(person(), None, HeadPose(pitch_deg=10)).vertices[nose, 2] > rest[2] + 0.01
    left_ear = model.landmarks["ear_top_left"]
    ear = model.shape(person()).vertices[left_ear, 2]
    assert model.shape(person(), None, HeadPose(roll_deg=10)).vertices[left_ear, 2] < ear - 0.005


def test_head_pose_is_rigid_above_the_neck_and_leaves_the_chest(model):
    rest = model.shape(person())
    turned = model.shape(person(), None, HeadPose(12, -6, 4))
    motion = turned.model_from_rest_head
    face = model.canonical[:, 2] > 0.86
    expected = rest.vertices[face] @ motion[:3, :3].T + motion[:3, 3]
    assert np.abs(turned.vertices[face] - expected).max() < 1e-6
    chest = model.canonical[:, 2] < 0.62
    assert np.abs(turned.vertices[chest] - rest.vertices[chest]).max() < 1e-9
    rotated = motion[:3, :3] @ rest.eyes[0].center + motion[:3, 3]
    np.testing.assert_allclose(turned.eyes[0].center, rotated, atol=1e-9)


def test_eyes_lie_behind_the_lids_and_the_left_one_is_on_the_left(model):
    shape = model.shape(person())
    left, right = shape.eyes
    assert left.center[0] > 0.02 > -0.02 > right.center[0]
    for eye in shape.eyes:
        assert 0.014 < eye.radius < 0.019
        quads = model.groups["helper-l-eye" if eye is left else "helper-r-eye"]
        points = shape.base_vertices[np.unique(quads)]
        distance = np.linalg.norm(points - eye.center, axis=1)
        assert np.abs(distance - eye.radius).max() < 0.002


def test_men_and_women_differ_and_controls_act_on_their_side(model):
    man, woman = model.shape(person(0.0)), model.shape(person(1.0))
    assert np.abs(man.vertices - woman.vertices).max() > 0.01
    control = {"l-cheek-volume-incr": 0.7}
    moved = model.shape(Identity("t", {"gender": 0.5, "age": 0.67}, control, 30.0, "female"))
    change = np.linalg.norm(moved.vertices - model.shape(person()).vertices, axis=1)
    assert change[model.canonical[:, 0] > 0.01].max() > 0.001
    assert change[model.canonical[:, 0] < -0.01].max() < 1e-9


def test_unknown_names_are_spec_errors_that_name_them(model):
    with pytest.raises(SpecError, match="nose-banana"):
        model.shape(Identity("t", {}, {"nose-banana": 1.0}, 30.0, "female"))
    with pytest.raises(SpecError, match="mouthGrin"):
        model.shape(person(), Expression("x", {"mouthGrin": 1.0}))
    with pytest.raises(SpecError, match="tall"):
        model.shape(Identity("t", {"tall": 1.0}, {}, 30.0, "female"))


def test_a_damaged_target_is_an_asset_error(tmp_path):
    path = tmp_path / "broken.target"
    path.write_text("12 0.5 0.5\n")
    with pytest.raises(AssetError, match=r"broken\.target"):
        read_target(path)


def test_two_processes_that_build_the_cache_at_once_both_load_it(tmp_path):
    code = (
        "import sys; from pathlib import Path; from synth.headmodel import HeadModel;"
        "print(len(HeadModel.load(Path(sys.argv[1])).faces))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    counts = {process.communicate()[0].strip() for process in running}
    assert [process.returncode for process in running] == [0, 0]
    assert len(counts) == 1
    assert len(list(tmp_path.glob("headmodel-*.npz"))) == 1


# ---------------------------------------------------------------- subdivision


def cube() -> tuple[np.ndarray, np.ndarray]:
    corners = np.array([[x, y, z] for z in (-1, 1) for y in (-1, 1) for x in (-1, 1)], float)
    quads = [[0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4], [2, 6, 7, 3], [0, 4, 6, 2], [1, 3, 7, 5]]
    return corners, np.array(quads)


def test_catmull_clark_of_a_cube_has_the_published_points():
    points, quads = cube()
    matrix, fine = catmull_clark(quads, 8)
    result = matrix.apply(points)
    assert len(result) == 8 + 12 + 6
    assert len(fine) == 24
    # corner: (F + 2 R + (n - 3) P) / n with n = 3, F = 1/3, R = 2/3 of the corner
    np.testing.assert_allclose(result[:8], points * 5 / 9, atol=1e-6)
    assert np.linalg.norm(result[8:20], axis=1) == pytest.approx(np.full(12, 0.75 * np.sqrt(2)))
    np.testing.assert_allclose(np.abs(result[20:]).sum(axis=1), 1.0, atol=1e-6)
    normals = vertex_normals(result, fine)
    assert ((normals * result).sum(axis=1) > 0).all(), "faces point outwards"


def test_a_flat_boundary_stays_in_place_and_a_bend_is_rounded():
    points = np.array([[0, 0, 0], [1, 0, 0], [2, 1, 0], [0, 1, 0], [1, 1, 0], [2, 2, 0]], float)
    quads = np.array([[0, 1, 4, 3], [1, 2, 5, 4]])
    matrix, _ = catmull_clark(quads, 6)
    result = matrix.apply(points)
    np.testing.assert_allclose(result[1], [6 / 8 + 2 / 8, 1 / 8, 0], atol=1e-6)
    assert matrix.apply(np.ones((6, 1))) == pytest.approx(np.ones((len(result), 1)))


def test_corner_values_are_split_in_the_order_of_the_quads():
    points, quads = cube()
    _, fine = catmull_clark(quads, 8)
    split = subdivide_corners(points[quads])
    middles = split.mean(axis=1)
    assert middles.shape == (24, 3)
    np.testing.assert_allclose(split[:, 0], points[fine[:, 0]])  # corner 0 is the old vertex
