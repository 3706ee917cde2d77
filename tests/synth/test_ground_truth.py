"""Passes: what a file holds comes back in units, to the resolution that is documented."""

from __future__ import annotations

import numpy as np
import pytest

from synth import ground_truth
from synth.camera import look_at, orbit
from synth.config import from_dict
from synth.errors import ConfigError
from synth.ground_truth import DEPTH_STEP, LABELS, PASSES, decode, encode
from synth.sample import DatasetConfig, sample_head

CAMERA = orbit(-50.0, 15.0, size=24)


def sphere(camera, radius=0.8):
    """Depth [H, W] and world normals of a sphere around the origin, analytically."""
    pixels = ground_truth.pixel_centres(camera).reshape(-1, 2)
    rays = camera.unproject(pixels, np.ones(len(pixels))) - camera.position
    a, b = (rays**2).sum(1), rays @ camera.position
    square = b**2 - a * (camera.position @ camera.position - radius**2)
    depth = np.where(square > 0, (-b - np.sqrt(np.maximum(square, 0))) / a, 0.0)
    normal = (camera.position + rays * depth[:, None]) / radius
    shape = (camera.height, camera.width)
    return depth.reshape(shape), np.where(depth[:, None] > 0, normal, 0).reshape(*shape, 3)


def test_depth_comes_back_to_half_a_step():
    depth, _ = sphere(CAMERA)
    stored = encode("depth", depth.astype(np.float32), CAMERA)
    back = decode("depth", stored, CAMERA)
    assert (stored.dtype, back.dtype) == (np.uint16, np.float32)
    assert np.abs(back - depth).max() <= DEPTH_STEP / 2 + 1e-6
    assert ((back == 0) == (depth == 0)).all() and (depth == 0).any()


def test_files_hold_what_the_documentation_says():
    """The formulas of docs/dataset_format.md, for readers without this package."""
    depth = np.full((24, 24), 2.5, np.float32)
    depth[0] = 0
    stored = encode("depth", depth, CAMERA)
    distance = np.linalg.norm(CAMERA.cam_from_world[:3, :3].T @ CAMERA.cam_from_world[:3, 3])
    assert np.abs(distance + (stored[1:] - 16384.0) / 2048 - 2.5).max() <= 1 / 4096
    assert (stored[0] == 0).all()
    normal = np.zeros((24, 24, 3))
    normal[1:] = (0.6, -0.8, 0.0)
    stored = encode("normal_world", normal, CAMERA)
    assert np.abs(stored[1:] / 127.5 - 1 - [0.6, -0.8, 0.0]).max() <= 0.5 / 127.5 + 1e-9
    assert (stored[0] == 0).all()
    coverage = np.zeros((16, 24, 24), np.float32)
    coverage[LABELS["skin"] - 1, 3], coverage[LABELS["earrings"] - 1, 20] = 1.0, 0.2
    stored = encode("coverage", coverage, CAMERA)
    assert (stored[3] == 255).all()  # the first plane is the uppermost, and so are its rows
    assert (stored[15 * 24 + 20] == 51).all()
    assert stored.sum() == 24 * (255 + 51)


def test_depth_out_of_reach_is_refused_and_not_wrapped():
    depth = np.full((24, 24), 30.0, np.float32)
    with pytest.raises(
        ValueError, match=r"depth_under, view '': depth 30.00 ... 30.00 is not between"
    ):
        encode("depth_under", depth, CAMERA)


def test_sleeves_seen_from_above_are_within_reach():
    """Of 104 random heads the farthest was 19.0 from a camera 2.7 away."""
    depth = np.full((24, 24), 2.7 + 20.0, np.float32)
    assert np.abs(decode("depth", encode("depth", depth, CAMERA), CAMERA) - depth).max() < 3e-4


def test_position_is_the_surface_in_the_world():
    depth, _ = sphere(CAMERA)
    position = decode("position", encode("depth", depth, CAMERA), CAMERA)
    radius = np.linalg.norm(position[depth > 0], axis=-1)
    assert np.abs(radius - 0.8).max() < 2 * DEPTH_STEP
    assert np.isnan(position[depth == 0]).all()


def test_normals_come_back_to_half_a_degree():
    _, normal = sphere(CAMERA)
    back = decode("normal_world", encode("normal_world", normal, CAMERA), CAMERA)
    found = normal.any(axis=-1)
    cosine = np.clip((back * normal).sum(axis=-1)[found], -1, 1)
    assert np.degrees(np.arccos(cosine)).max() < 0.5
    assert np.abs(np.linalg.norm(back[found], axis=-1) - 1).max() < 1e-5
    assert (back[~found] == 0).all()


def test_labels_and_coverage_come_back():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, len(LABELS), (24, 24), dtype=np.uint8)
    assert np.array_equal(
        decode("segmentation", encode("segmentation", labels, CAMERA), CAMERA), labels
    )
    coverage = rng.random((16, 24, 24), dtype=np.float32)
    stored = encode("coverage", coverage, CAMERA)
    assert stored.shape == (16 * 24, 24)
    assert np.abs(decode("coverage", stored, CAMERA) - coverage).max() <= 0.5 / 255 + 1e-6
    assert list(LABELS.values()) == list(range(17))


def test_albedo_keeps_dark_colours_apart():
    """Eight bits of linear reflectance would turn dark hair into three steps."""
    dark = np.linspace(0.002, 0.05, 24 * 24, dtype=np.float32).reshape(24, 24, 1)
    albedo = np.concatenate([dark, dark, dark, np.ones_like(dark)], axis=-1)
    back = decode("albedo", encode("albedo", albedo, CAMERA), CAMERA)
    assert np.abs(back - albedo).max() < 0.001


def test_reprojecting_a_sphere_lands_on_it():
    """Two views of a sphere: where both see a point, they agree about it."""
    other = look_at((0.4, -2.4, 1.0), width=31, height=24)
    depth, _ = sphere(CAMERA)
    pixels, there = ground_truth.reproject(depth, CAMERA, other)
    assert pixels.shape == (24, 24, 2)
    assert np.isnan(there[depth == 0]).all()
    points = ground_truth.surface_positions(depth, CAMERA)[depth > 0]
    assert np.abs(np.linalg.norm(points, axis=-1) - 0.8).max() < 1e-9
    assert np.allclose(other.project(points)[0], pixels[depth > 0])
    # no surface of the sphere lies in front of a visible point
    visible = (points * (other.position - points)).sum(axis=-1) > 0
    nearest = np.linalg.norm(other.position) - 0.8
    assert visible.any() and (there[depth > 0][visible] > nearest - 1e-9).all()


def test_every_pass_is_described_and_has_a_file():
    for name, entry in PASSES.items():
        assert entry.summary and entry.array and entry.file and entry.unit
        assert PASSES[entry.stored].stored == entry.stored, name
    stored = {entry.stored for entry in PASSES.values()}
    assert stored == {*ground_truth.SURFACE_PASSES, *ground_truth.AVERAGED_PASSES, "landmarks"}
    assert ground_truth.stored_passes(("position", "depth", "albedo")) == ("depth", "albedo")


@pytest.mark.parametrize(
    ("passes", "message"),
    [
        (["dept"], r"passes: 'dept' is not one of depth, .*did you mean 'depth'"),
        (["depth", "depth"], "passes: 'depth' is listed twice"),
    ],
)
def test_a_wrong_pass_is_told_before_anything_is_rendered(passes, message):
    with pytest.raises(ConfigError, match=message):
        from_dict(DatasetConfig, {"passes": passes})
    data = sample_head(DatasetConfig(), 0).to_json_dict()
    data["render"]["passes"] = passes
    with pytest.raises(ConfigError, match=f"render.{message}"):
        from_dict(type(sample_head(DatasetConfig(), 0)), data, "spec")
