"""`HeadDataset` over real shards of coloured spheres."""

from __future__ import annotations

import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from synth.camera import CANONICAL_VIEWS
from synth.errors import InputError, RecordCorrupt, RecordError
from synth.ground_truth import encode
from synth.record import ShardWriter
from synth.shardlayout import read_footer
from synth.splits import split_of
from train import data as data_module
from train.data import HeadDataset, resize_pass, resize_rgba
from train.transforms import alpha


def test_items_hold_pictures_and_cameras_of_each_view(sphere_dataset, toy_module):
    data = HeadDataset(sphere_dataset, "all")
    assert len(data) == 4
    item = data[3]  # the second shard
    spec = toy_module.make_spec(3, 32)
    assert (item.spec_id, item.identity_id) == (spec.spec_id, "toy-003")
    assert item.rgba.shape == (8, 4, 32, 32) and item.rgba.dtype == torch.uint8
    assert item.view_names[:6] == tuple(name for name, _ in CANONICAL_VIEWS)
    assert item.cam_from_world.dtype == item.K.dtype == torch.float32
    for view, camera in enumerate(spec.resolved_cameras()):
        np.testing.assert_allclose(item.cam_from_world[view], camera.cam_from_world, atol=1e-6)
        np.testing.assert_allclose(item.K[view], camera.K, rtol=1e-6)
        expected = toy_module.sphere(
            camera, toy_module.stream(7, 3, "test.colour").uniform(0.2, 0.8, 3)
        )
        assert np.array_equal(item.rgba[view].permute(1, 2, 0).numpy(), expected)


def test_chosen_views_come_in_the_order_asked_for(sphere_dataset):
    data = HeadDataset(sphere_dataset, "all")
    whole, part = data[1], data.load(1, (6, 2))
    assert part.view_names == (whole.view_names[6], whole.view_names[2])
    assert torch.equal(part.rgba, whole.rgba[[6, 2]])
    assert torch.equal(part.K, whole.K[[6, 2]])
    assert torch.equal(part.cam_from_world, data.info(1).cam_from_world[[6, 2]])
    assert data.views_named(1, ("back", "front")) == (3, 0)


def test_resizing_keeps_the_projection(sphere_dataset):
    """The sphere's outline stays where the resized camera projects it."""
    large, small = HeadDataset(sphere_dataset, "all")[0], HeadDataset(sphere_dataset, "all", 8)[0]
    assert small.rgba.shape == (8, 4, 8, 8)
    assert torch.allclose(small.K[:, :2], large.K[:, :2] / 4)
    assert torch.equal(small.K[:, 2], large.K[:, 2])
    pooled = torch.nn.functional.avg_pool2d(alpha(large.rgba), 4)
    assert (alpha(small.rgba) - pooled).abs().max() <= 0.5 / 255 + 1e-6


def test_area_average_lets_clear_pixels_lend_no_colour():
    rgba = np.zeros((4, 4, 4), np.uint8)
    rgba[..., 1] = 255  # green, and clear
    rgba[:, 0] = (200, 10, 30, 255)
    reduced = resize_rgba(rgba, 2)
    assert reduced[0, 0].tolist() == [200, 10, 30, 128]
    assert reduced[0, 1].tolist() == [0, 0, 0, 0]


def test_area_average_of_an_odd_ratio_keeps_the_mean():
    rng = np.random.default_rng(0)
    rgba = rng.integers(0, 256, (35, 35, 4), dtype=np.uint8)
    rgba[..., 3] = 255
    reduced = resize_rgba(rgba, 12).astype(float)
    np.testing.assert_allclose(reduced.mean((0, 1)), rgba.mean((0, 1)), atol=0.3)
    step = np.zeros((3, 3, 4), np.uint8)
    step[..., 3], step[:, 2] = 255, (255, 255, 255, 255)
    # Two pixels out of three: the right one is a third black and two thirds white.
    assert resize_rgba(step, 2)[0, :, 0].tolist() == [0, 170]


def test_the_order_is_that_of_shards_and_heads(sphere_dataset, toy_module):
    data = HeadDataset(sphere_dataset, "all")
    ids = [data.info(i).spec_id for i in range(len(data))]
    assert ids == [toy_module.make_spec(i, 32).spec_id for i in range(4)]
    assert [data.info(i).shard for i in range(4)] == 3 * ["shard-000000.tar"] + ["shard-000001.tar"]


def test_what_is_no_shard_is_not_trained_on(sphere_dataset, tmp_path):
    """What `dataset verify` does not check would be read twice."""
    root = shutil.copytree(sphere_dataset, tmp_path / "copy")
    shard = root / "shards" / "shard-000001.tar"
    for name in ("shard-000001 (copy).tar", "shard-0000001.tar"):
        shutil.copy(shard, shard.with_name(name))
    assert len(HeadDataset(root, "all")) == len(HeadDataset(sphere_dataset, "all"))


def test_splits_divide_the_identities(tmp_path, toy_module):
    root = toy_module.make_dataset(tmp_path, heads=60, size=2, heads_per_shard=60)
    parts = {name: HeadDataset(root, name) for name in ("train", "val", "test")}
    ids = {name: {d.info(i).identity_id for i in range(len(d))} for name, d in parts.items()}
    assert sum(len(d) for d in parts.values()) == 60
    assert all(split_of(identity) == name for name in ids for identity in ids[name])
    assert len(ids["train"]) > len(ids["val"]) > 0


def test_the_dataset_id_names_the_content(sphere_dataset, tmp_path, toy_module):
    whole = HeadDataset(sphere_dataset, "all")
    copy = shutil.copytree(sphere_dataset, tmp_path / "copy")
    assert HeadDataset(copy, "all").dataset_id == whole.dataset_id
    assert HeadDataset(copy, "all", 16).dataset_id != whole.dataset_id
    (copy / "shards" / "shard-000001.tar").unlink()
    assert HeadDataset(copy, "all").dataset_id != whole.dataset_id


def test_it_travels_to_workers_and_serves_threads(sphere_dataset, monkeypatch):
    monkeypatch.setattr(data_module, "_SHARDS_IN_MEMORY", 1)  # evict all the time
    data = HeadDataset(sphere_dataset, "all", 16)
    expected = [data[i].rgba for i in range(4)]
    copy = pickle.loads(pickle.dumps(data))
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda i: copy[i % 4].rgba, range(32)))
    assert all(torch.equal(result, expected[i % 4]) for i, result in enumerate(results))
    loader = torch.utils.data.DataLoader(data, batch_size=None, num_workers=1)
    assert all(torch.equal(item.rgba, expected[i]) for i, item in enumerate(loader))


@pytest.fixture
def with_passes(tmp_path, toy_module):
    """A head whose depth is that of the plane through the origin, with random coverage."""
    (tmp_path / "shards").mkdir()
    spec = toy_module.make_spec(0, 32)
    cameras = spec.resolved_cameras()
    rng = np.random.default_rng(2)
    pictures = [toy_module.sphere(camera, np.full(3, 0.5)) for camera in cameras]
    depth = np.full((32, 32), 2.7, np.float32)
    depth[:, :16] = 0
    coverage = rng.random((16, 32, 32), dtype=np.float32)
    passes = {
        "depth": [encode("depth", depth, camera) for camera in cameras],
        "coverage": [encode("coverage", coverage, camera) for camera in cameras],
    }
    with ShardWriter(tmp_path / "shards" / "shard-000000.tar") as writer:
        writer.add_head(spec, cameras, pictures, passes)
    return tmp_path, coverage


def test_passes_come_with_the_pictures(with_passes):
    root, coverage = with_passes
    item = HeadDataset(root, "all", passes=("depth", "position", "coverage")).load(0, (2, 0))
    assert item.rgba.shape[0] == 2
    depth, position = item.passes["depth"], item.passes["position"]
    assert depth.shape == (2, 32, 32) and depth.dtype == torch.float32
    assert (depth[..., :16] == 0).all() and (depth[..., 16:] - 2.7).abs().max() < 1e-4
    homogeneous = torch.cat([position, torch.ones(2, 1, 32, 32)], dim=1)[..., 16:]
    in_camera = torch.einsum("vij,vjyx->viyx", item.cam_from_world, homogeneous)
    assert (in_camera[:, 2] - 2.7).abs().max() < 1e-4
    assert (item.passes["coverage"] - torch.from_numpy(coverage)).abs().max() < 0.003


def test_reducing_passes_mixes_no_surfaces(with_passes):
    root, coverage = with_passes
    small = HeadDataset(root, "all", 8, passes=("depth", "coverage"))
    item = small[0]
    values = set(item.passes["depth"].unique().round(decimals=3).tolist())
    assert sorted(values) == pytest.approx([0.0, 2.7])
    assert item.passes["coverage"].shape == (8, 16, 8, 8)
    pooled = torch.nn.functional.avg_pool2d(torch.from_numpy(coverage), 4)
    assert (item.passes["coverage"][0] - pooled).abs().max() < 0.003
    assert small.dataset_id != HeadDataset(root, "all", 8).dataset_id


def test_reducing_takes_the_nearest_centre_and_lets_clear_pixels_lend_no_albedo():
    """Of three pixels in a row the middle one is nearest to the centre of the new one."""
    labels = np.tile(np.arange(9, dtype=np.uint8), (9, 1))
    assert resize_pass("segmentation", labels, 3)[0].tolist() == [1, 4, 7]
    assert resize_pass("segmentation", labels.T, 3)[:, 0].tolist() == [1, 4, 7]
    albedo = np.zeros((4, 4, 4), np.float32)
    albedo[..., 1] = 1.0  # green, and clear
    albedo[:, 0] = (0.8, 0.1, 0.2, 1.0)
    reduced = resize_pass("albedo", albedo, 2)
    assert reduced.shape == (4, 2, 2)
    np.testing.assert_allclose(reduced[:, 0, 0], [0.8, 0.1, 0.2, 0.5], atol=1e-6)


def test_a_pass_that_is_not_there_is_named(with_passes):
    root, _ = with_passes
    with pytest.raises(InputError, match="did you mean 'depth'"):
        HeadDataset(root, "all", passes=("dept",))
    with pytest.raises(RecordError, match="has no pass 'albedo', it has coverage, depth"):
        HeadDataset(root, "all", passes=("albedo",)).load(0)


def test_opening_reads_footers_alone(sphere_dataset, monkeypatch):
    before = HeadDataset(sphere_dataset, "all")
    monkeypatch.setattr(data_module, "ShardReader", None)
    assert HeadDataset(sphere_dataset, "all").dataset_id == before.dataset_id


def test_footers_that_do_not_say_whose_the_heads_are(toy_module, tmp_path, monkeypatch):
    """Shards of a mixed age, as of a dataset that an older version began."""
    root = toy_module.make_dataset(tmp_path, heads=6, size=2, heads_per_shard=3)
    now = HeadDataset(root, "all")
    monkeypatch.setattr(ShardWriter, "_people", property(lambda _: [], lambda *_: None), False)
    toy_module.make_dataset(tmp_path, heads=3, size=2, heads_per_shard=3)
    assert read_footer(root / "shards" / "shard-000000.tar").people == ()
    then = HeadDataset(root, "all")
    assert then.dataset_id == now.dataset_id
    for index in range(6):
        old, new = then.info(index), now.info(index)
        assert (old.identity_id, old.split) == (new.identity_id, new.split)


def test_a_damaged_footer_is_named(sphere_dataset, tmp_path):
    root = shutil.copytree(sphere_dataset, tmp_path / "copy")
    shard = root / "shards" / "shard-000001.tar"
    shard.write_bytes(shard.read_bytes()[:-2000])
    with pytest.raises(RecordCorrupt, match=r"shard-000001\.tar: .*render again"):
        HeadDataset(root, "all")


def test_what_is_missing_is_named(sphere_dataset, tmp_path):
    with pytest.raises(InputError, match=r"is not a dataset: no .*shards"):
        HeadDataset(tmp_path)
    data = HeadDataset(sphere_dataset, "all")
    with pytest.raises(
        RecordError, match=r"head \w{16} in .*shard-000000\.tar has no view left_ear; it has front,"
    ):
        data.views_named(0, ("front", "left_ear"))
    with pytest.raises(InputError, match=r"is 32 x 32 px, which cannot be reduced to 64"):
        HeadDataset(sphere_dataset, "all", 64).load(0)
    with pytest.raises(RecordCorrupt, match=r"\w{16}\.rgba_011\.png in .*shard-000000\.tar"):
        data.load(0, (0, 11))


def test_a_damaged_picture_is_named(sphere_dataset, tmp_path):
    root = shutil.copytree(sphere_dataset, tmp_path / "copy")
    data = HeadDataset(root, "all")
    shard = root / "shards" / "shard-000001.tar"
    raw = bytearray(shard.read_bytes())
    start = raw.index(b"IDAT")
    raw[start + 8] ^= 0xFF
    shard.write_bytes(raw)
    with pytest.raises(RecordCorrupt, match=r"shard-000001\.tar.*\w{16}\.rgba_000\.png"):
        data.load(3)
