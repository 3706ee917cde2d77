"""Rays against the cameras' own projection."""

import numpy as np
import pytest
import torch

from synth.camera import canonical_six, look_at, stack
from train.rays import camera_rays, closest_approach, ray_features


def cameras(*items):
    return tuple(torch.from_numpy(array) for array in stack(items))


def test_points_on_a_ray_project_onto_its_pixel_centre():
    camera = look_at((1.0, -2.0, 0.7), (0.1, 0.2, 0.0), fov_deg=60.0, width=10, height=6)
    rays = camera_rays(*cameras(camera), 6, 10)
    np.testing.assert_allclose(rays.origins[0], camera.position, atol=1e-12)
    for row, column in ((0, 0), (5, 9), (2, 7)):
        points = rays.origins[0] + torch.tensor([[0.5], [3.0]]) * rays.directions[0, row, column]
        pixels, depth = camera.project(points.numpy())
        np.testing.assert_allclose(pixels, [[column + 0.5, row + 0.5]] * 2, atol=1e-9)
        assert (depth > 0).all()


def test_skew_is_respected():
    camera = look_at((0.0, -2.0, 0.0), width=8, height=8)
    K = camera.K.copy()
    K[0, 1] = 1.5
    rays = camera_rays(cameras(camera)[0], torch.from_numpy(K)[None], 8, 8)
    in_camera = camera.cam_from_world[:3, :3] @ rays.directions[0, 1, 6].numpy()
    pixel = K @ (in_camera / in_camera[2])
    np.testing.assert_allclose(pixel[:2], [6.5, 1.5], atol=1e-9)


def test_directions_are_unit_and_batches_keep_their_shape():
    cam_from_world, K = cameras(*canonical_six(8))
    batch = camera_rays(cam_from_world.expand(2, 6, 4, 4), K.expand(2, 6, 3, 3), 4, 8)
    assert batch.origins.shape == (2, 6, 3)
    assert batch.directions.shape == (2, 6, 4, 8, 3)
    lengths = batch.directions.norm(dim=-1)
    torch.testing.assert_close(lengths, torch.ones_like(lengths))


def test_closest_approach_is_in_front_of_a_camera_that_looks_at_the_origin():
    rays = camera_rays(*cameras(*canonical_six(9)), 9, 9)
    distance = closest_approach(rays)
    # the middle ray passes through the origin, 2.7 away
    torch.testing.assert_close(distance[:, 4, 4], torch.full((6,), 2.7, dtype=torch.float64))
    assert (distance > 0).all()


def test_closest_point_is_perpendicular_to_its_ray():
    rays = camera_rays(*cameras(*canonical_six(8)), 8, 8)
    direction, point = ray_features(rays, "closest_point").split(3, dim=-1)
    torch.testing.assert_close(direction, rays.directions)
    perpendicular = (direction * point).sum(-1)
    torch.testing.assert_close(perpendicular, torch.zeros_like(perpendicular), atol=1e-12, rtol=0)
    step = point - rays.origins[:, None, None, :]
    torch.testing.assert_close(torch.linalg.cross(step, direction), torch.zeros_like(step))


def test_pluecker_moment_does_not_depend_on_the_point_of_the_ray():
    rays = camera_rays(*cameras(*canonical_six(8)), 8, 8)
    moment, direction = ray_features(rays, "pluecker").split(3, dim=-1)
    _, point = ray_features(rays, "closest_point").split(3, dim=-1)
    torch.testing.assert_close(torch.linalg.cross(point, direction), moment)


def test_bad_arguments_are_named():
    cam_from_world, K = cameras(*canonical_six(8))
    with pytest.raises(ValueError, match=r"got \[6, 4, 4\] and \[5, 3, 3\]"):
        camera_rays(cam_from_world, K[:5], 8, 8)
    with pytest.raises(ValueError, match="'plucker' are not one of"):
        ray_features(camera_rays(cam_from_world, K, 8, 8), "plucker")
