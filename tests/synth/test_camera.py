"""The camera convention, against FaceLift's published numbers and by hand-made geometry."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth.camera import (
    CANONICAL_VIEWS,
    Camera,
    camera_from_blender,
    canonical_six,
    intrinsics,
    look_at,
    orbit,
    ring,
    stack,
)


def test_the_default_rig_is_facelifts():
    front = canonical_six(512)[0]
    assert front.K[0, 0] == pytest.approx(548.9937744, abs=1e-4)
    assert front.K[0, 2] == front.K[1, 2] == 256
    assert np.linalg.norm(front.position) == pytest.approx(2.7)
    assert np.allclose(front.position, [0, -2.7, 0])
    # OpenCV axes of the front camera: image right is the subject's left (+X), down is -Z.
    assert np.allclose(front.cam_from_world[:3, :3], [[1, 0, 0], [0, 0, -1], [0, 1, 0]], atol=1e-12)


def test_the_names_of_the_six_views_are_the_subjects_sides():
    positions = {c.name: c.position for c in canonical_six()}
    assert list(positions) == [name for name, _ in CANONICAL_VIEWS]
    assert positions["right"][0] < -2.6, "the subject looks along -Y, so its right is -X"
    assert positions["left"][0] > 2.6
    assert positions["back"][1] > 2.6
    assert positions["front_right"][0] < 0 and positions["front_right"][1] < 0


def test_projection_by_hand():
    camera = orbit(-90, 0, size=512)
    pixels, depth = camera.project(np.array([[0, 0, 0], [0.5, 0, 0], [0, 0, 0.5], [0, -3.0, 0]]))
    f = camera.K[0, 0]
    assert np.allclose(pixels[0], [256, 256])
    assert np.allclose(pixels[1], [256 + f * 0.5 / 2.7, 256])
    assert np.allclose(pixels[2], [256, 256 - f * 0.5 / 2.7])
    assert depth[0] == pytest.approx(2.7) and depth[3] < 0


@settings(deadline=None)
@given(st.floats(-180, 180), st.floats(-85, 85), st.floats(0.5, 10))
def test_every_orbit_camera_looks_at_the_origin_upright(azimuth, elevation, radius):
    camera = orbit(azimuth, elevation, radius=radius, size=64)
    rotation = camera.cam_from_world[:3, :3]
    assert np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(rotation) == pytest.approx(1)
    pixels, depth = camera.project(np.array([[0, 0, 0.0], [0, 0, 1e-3]]))
    assert np.allclose(pixels[0], 32) and depth[0] == pytest.approx(radius)
    assert pixels[1, 1] < 32 and pixels[1, 0] == pytest.approx(32), "world up is image up, no roll"


@settings(deadline=None)
@given(st.floats(-180, 180), st.floats(-85, 85))
def test_blender_round_trip(azimuth, elevation):
    camera = orbit(azimuth, elevation, size=100, name="a")
    again = camera_from_blender(
        camera.blender_world_from_cam(), fov_x_deg=50, width=100, height=100, name="a"
    )
    assert np.allclose(again.cam_from_world, camera.cam_from_world, atol=1e-12)
    assert np.allclose(again.K, camera.K)


def test_blender_looks_along_minus_z():
    world_from_cam = canonical_six()[0].blender_world_from_cam()
    assert np.allclose(world_from_cam[:3, :3] @ [0, 0, -1], [0, 1, 0]), "towards the head"
    assert np.allclose(world_from_cam[:3, :3] @ [0, 1, 0], [0, 0, 1]), "up"
    assert np.allclose(world_from_cam[:3, 3], [0, -2.7, 0])


def test_resizing_keeps_the_view():
    camera = look_at((1, -2, 0.5), fov_deg=40, width=200, height=100)
    point = np.array([[0.1, 0.2, 0.1]])
    small = camera.resized(100, 50)
    assert np.allclose(camera.project(point)[0] / 2, small.project(point)[0])
    assert small.fov_x_deg == pytest.approx(camera.fov_x_deg) == pytest.approx(40)


def test_json_round_trip_is_exact():
    camera = ring(5, 20.0, 128)[3]
    again = Camera.from_json(camera.to_json())
    assert np.array_equal(again.cam_from_world, camera.cam_from_world)
    assert np.array_equal(again.K, camera.K) and again.name == "ring_003"


def test_ring_starts_in_front_and_stack_keeps_the_order():
    cameras = ring(4, 20.0, 64)
    cam_from_world, K = stack(cameras)
    assert cam_from_world.shape == (4, 4, 4) and K.shape == (4, 3, 3)
    assert cameras[0].position[1] < -2.5 and cameras[1].position[0] > 2.5


def test_undefined_views_are_refused():
    with pytest.raises(ValueError, match="up"):
        look_at((0, 0, 2.0))
    with pytest.raises(ValueError, match="sits on its target"):
        look_at((0, 0, 0))
    with pytest.raises(ValueError, match="4 x 4"):
        Camera("a", np.eye(3), intrinsics(50, 8, 8), 8, 8)
