"""Exports: each layout is read back by a reader written here from that layout's documentation."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import yaml

from synth import export_head
from synth.camera import CANONICAL_VIEWS, canonical_six, find_canonical
from synth.color import over
from synth.dataset import Dataset
from synth.errors import DatasetMismatch, InputError, RecordError
from synth.export import SUMMARIES, export_dataset
from synth.export_frame import (
    ExportRequest,
    Failures,
    HeadChoice,
    HeadLine,
    write_lists,
)  # fmt: skip
from synth.lock import exclusive
from synth.splits import SPLITS
from synth.unfinished import temporary_name

VIEWS = 10  # six canonical, two of a ring, two at random


def run(dataset: Dataset, out: Path, to: str, **options):
    choice = options.pop("choice", HeadChoice())
    return export_dataset(dataset, out, ExportRequest(to, **options), choice, jobs=2)


@pytest.fixture(scope="module")
def exported(heads_dataset, tmp_path_factory):
    """The export of a layout, made once."""
    made: dict[str, Path] = {}

    def get(to: str) -> Path:
        if to not in made:
            made[to] = tmp_path_factory.mktemp(to) / "out"
            views = ("canonical", "ring*") if to == "nerf" else ()
            assert run(heads_dataset, made[to], to, views=views).heads == 3
        return made[to]

    return get


@pytest.fixture(scope="module")
def points():
    """[N, 3] in front of every camera of the rig."""
    return np.random.RandomState(0).uniform(-0.8, 0.8, (50, 3))


# ------------------------------------------------------------------------------ conventions of each


def facelift_pixels(frame: dict, points: np.ndarray) -> np.ndarray:
    """OpenCV's pinhole: x right, y down, z forward."""
    w2c = np.array(frame["w2c"])
    x, y, z = (np.c_[points, np.ones(len(points))] @ w2c.T)[:, :3].T
    return np.stack([frame["fx"] * x / z + frame["cx"], frame["fy"] * y / z + frame["cy"]], -1)


def nerfstudio_pixels(scene: dict, frame: dict, points: np.ndarray) -> np.ndarray:
    """nerfstudio's `Cameras` (cameras.py) shoots the ray of pixel coordinates (x, y), in which the
    centre of the first pixel is (0.5, 0.5), along R ((x - cx) / fl_x, -(y - cy) / fl_y, -1): this
    is its inverse."""
    lens = {**scene, **frame}
    pose = np.array(frame["transform_matrix"])
    x, y, z = ((points - pose[:3, 3]) @ pose[:3, :3]).T
    return np.stack(
        [lens["cx"] + lens["fl_x"] * x / -z, lens["cy"] - lens["fl_y"] * y / -z], axis=-1
    )


def nerf_pixels(angle_x: float, width: int, frame: dict, points: np.ndarray) -> np.ndarray:
    """NeRF's loader: focal = W / 2 / tan(angle / 2), directions ((i - W/2) / focal,
    -(j - H/2) / focal, -1)."""
    focal = 0.5 * width / math.tan(0.5 * angle_x)
    pose = np.array(frame["transform_matrix"])
    x, y, z = ((points - pose[:3, 3]) @ pose[:3, :3]).T
    return np.stack([width / 2 + focal * x / -z, width / 2 - focal * y / -z], axis=-1)


def rotation_of(quaternion: list[float]) -> np.ndarray:
    """Hamilton quaternion (w, x, y, z), as COLMAP's `qvec2rotmat`."""
    w, x, y, z = quaternion
    return np.array(
        [
            [1 - 2 * y * y - 2 * z * z, 2 * x * y - 2 * w * z, 2 * z * x + 2 * w * y],
            [2 * x * y + 2 * w * z, 1 - 2 * x * x - 2 * z * z, 2 * y * z - 2 * w * x],
            [2 * z * x - 2 * w * y, 2 * y * z + 2 * w * x, 1 - 2 * x * x - 2 * y * y],
        ]
    )


@dataclasses.dataclass
class ColmapImage:
    rotation: np.ndarray
    translation: np.ndarray
    camera: list[str]
    name: str
    points2d: list[tuple[float, float, int]]

    def pixels(self, points: np.ndarray) -> np.ndarray:
        model, *_ = self.camera[0], self.camera
        assert model == "PINHOLE"
        fx, fy, cx, cy = map(float, self.camera[3:])
        x, y, z = (points @ self.rotation.T + self.translation).T
        return np.stack([fx * x / z + cx, fy * y / z + cy], axis=-1)


def read_colmap(model: Path) -> tuple[dict[int, ColmapImage], dict[int, dict]]:
    """The text model, as its documentation describes it: images and points by id."""

    def lines(name: str) -> list[str]:
        rows = (model / name).read_text().split("\n")
        assert rows[0].startswith("#") and rows[-1] == ""
        return [row for row in rows[:-1] if not row.startswith("#")]

    cameras = {}
    for row in lines("cameras.txt"):
        number, kind, width, height, *parameters = row.split()
        cameras[int(number)] = [kind, width, height, *parameters]
    images = {}
    rows = lines("images.txt")
    for first, second in zip(rows[::2], rows[1::2], strict=True):
        number, *pose, camera, name = first.split()
        values = second.split()
        points2d = [
            (float(x), float(y), int(point))
            for x, y, point in zip(values[::3], values[1::3], values[2::3], strict=True)
        ]
        pose = list(map(float, pose))
        images[int(number)] = ColmapImage(
            rotation_of(pose[:4]), np.array(pose[4:]), cameras[int(camera)], name, points2d
        )
    points = {}
    for row in lines("points3D.txt"):
        number, x, y, z, r, g, b, error, *track = row.split()
        points[int(number)] = {
            "xyz": np.array([float(x), float(y), float(z)]),
            "rgb": (int(r), int(g), int(b)),
            "error": float(error),
            "track": list(zip(map(int, track[::2]), map(int, track[1::2]), strict=True)),
        }
    return images, points


# --------------------------------------------------------------------------------------- facelift


def test_facelift_pictures_are_the_bytes_of_the_shard(heads_dataset, exported):
    out = exported("facelift")
    for head in heads_dataset.heads():
        folder = out / "gslrm" / head.spec_id / "images"
        assert len(list(folder.iterdir())) == VIEWS
        for view in range(VIEWS):
            assert (folder / f"cam_{view:03d}.png").read_bytes() == head.read(
                f"rgba_{view:03d}.png"
            )


def test_facelift_cameras_reproject(heads_dataset, exported, points):
    for head in heads_dataset.heads():
        path = exported("facelift") / "gslrm" / head.spec_id / "opencv_cameras.json"
        data = json.loads(path.read_text())
        assert data["id"] == head.spec_id
        assert [frame["file_path"] for frame in data["frames"]] == [
            f"images/cam_{view:03d}.png" for view in range(VIEWS)
        ]
        for camera, frame in zip(head.cameras, data["frames"], strict=True):
            expected, _ = camera.project(points)
            assert np.abs(facelift_pixels(frame, points) - expected).max() < 1e-6
            assert (frame["w"], frame["h"]) == (camera.width, camera.height)
            assert frame["blender_camera_name"] == camera.name
            np.testing.assert_allclose(frame["blender_camera_location"], camera.position)


def test_facelift_canonical_views_are_found_by_pose_and_ordered(heads_dataset, exported):
    """The first view of each record is a random one, so position does not help."""
    for head in heads_dataset.heads():
        names = [camera.name for camera in head.cameras]
        assert names[0] != "front"
        folder = exported("facelift") / "mvdiffusion" / head.spec_id
        assert sorted(path.name for path in folder.iterdir()) == [
            f"cam_{number:03d}.png" for number in range(6)
        ]
        for number, (name, _) in enumerate(CANONICAL_VIEWS):
            expected = head.read(f"rgba_{names.index(name):03d}.png")
            assert (folder / f"cam_{number:03d}.png").read_bytes() == expected


def test_facelift_lists_hold_the_splits(heads_dataset, exported):
    out = exported("facelift")
    for kind, beginning in (("gslrm", "data_gslrm"), ("mvdiffusion", "data_mvdiff")):
        found = {
            split: (out / f"{beginning}_{split}.txt").read_text().split()
            for split in ("train", "val", "test")
        }
        for head in heads_dataset.heads():
            line = f"{kind}/{head.spec_id}"
            assert [split for split, lines in found.items() if line in lines] == [head.split]
            assert (out / line).is_dir()


def test_lists_tell_the_splits_apart(tmp_path):
    lines = [HeadLine(f"head{i}", f"person{i}", split, i) for i, split in enumerate(SPLITS)]
    (tmp_path / "heads.jsonl").write_bytes(b"".join(line.to_bytes() for line in lines))
    write_lists(tmp_path, "gslrm", "data_gslrm")
    found = [(tmp_path / f"data_gslrm_{split}.txt").read_text() for split in SPLITS]
    assert found == ["gslrm/head0\n", "gslrm/head1\n", "gslrm/head2\n"]


def test_a_head_without_canonical_views_is_refused_by_name(heads_module, tmp_path):
    dataset = heads_module.make_dataset(
        tmp_path / "heads", heads_module.without_canonical(), passes=False
    )
    with pytest.raises(InputError, match="none of 3 heads can be exported") as caught:
        run(dataset, tmp_path / "out", "facelift")
    first = next(iter(dataset.heads()))
    assert f"the first: head {first.spec_id}" in str(caught.value)
    assert "no canonical view front, front_right" in str(caught.value)
    assert list((tmp_path / "out" / "gslrm").iterdir()) == []  # all of a head or nothing
    assert run(dataset, tmp_path / "out", "facelift-gslrm").heads == 3  # another request


def test_a_head_that_does_not_fit_costs_no_other(heads_module, tmp_path):
    dataset = heads_module.make_dataset(tmp_path / "heads", poor=(1,))
    ids = [head.spec_id for head in dataset.heads()]
    for _ in range(2):
        summary = run(dataset, tmp_path / "out", "facelift")
        assert (summary.heads, summary.failures.count) == (2, 1)
        assert f"not exported: head {ids[1]}" in str(summary)
        assert "2 heads as facelift" in str(summary) and "; 1 NOT exported" in str(summary)
        for kind in ("gslrm", "mvdiffusion"):
            names = sorted(path.name for path in (tmp_path / "out" / kind).iterdir())
            assert names == sorted((ids[0], ids[2]))
    assert "2 of them were there" in str(summary)


def test_of_many_failures_the_first_are_told():
    failures = Failures()
    for number in range(0, 24, 2):
        failures.add([f"head {number}", f"head {number + 1}"])
    lines = failures.lines("exported")
    assert lines[0] == "not exported: head 0" and lines[-1] == "and 14 more" and len(lines) == 11
    assert failures.total("exported") == "; 24 NOT exported"
    assert Failures().lines("exported") == [] and Failures().total("exported") == ""


@pytest.mark.parametrize("change", ["radius", "fov", "mirror", "roll"])
def test_what_is_nearly_canonical_is_not(change):
    cameras = list(canonical_six(64))
    assert list(find_canonical(reversed(cameras)).values()) == [5, 4, 3, 2, 1, 0]
    front = cameras[0]
    matrix, K = front.cam_from_world.copy(), front.K.copy()
    if change == "radius":
        matrix[2, 3] += 0.01
    elif change == "fov":
        K[0, 0] = K[1, 1] = K[0, 0] * 1.01
    elif change == "mirror":
        matrix[:2] *= -1  # upside down
    else:
        turn = np.array([[math.cos(0.01), -math.sin(0.01)], [math.sin(0.01), math.cos(0.01)]])
        matrix[:2] = turn @ matrix[:2]
    cameras[0] = dataclasses.replace(front, cam_from_world=matrix, K=K)
    assert "front" not in find_canonical(cameras) and len(find_canonical(cameras)) == 5


# -------------------------------------------------------------------------- nerfstudio and nerf


def test_nerfstudio_cameras_reproject(heads_dataset, exported, points):
    for head in heads_dataset.heads():
        folder = exported("nerfstudio") / "heads" / head.spec_id
        scene = json.loads((folder / "transforms.json").read_text())
        assert "fl_x" not in scene and scene["camera_model"] == "OPENCV"  # focal lengths differ
        assert scene["applied_transform"] == np.eye(4)[:3].tolist()
        for camera, frame in zip(head.cameras, scene["frames"], strict=True):
            expected, _ = camera.project(points)
            assert np.abs(nerfstudio_pixels(scene, frame, points) - expected).max() < 1e-6
            assert (folder / frame["file_path"]).is_file()
            assert "mask_path" not in frame


def test_a_lens_that_all_views_share_stands_at_the_top(heads_dataset, tmp_path, points):
    run(heads_dataset, tmp_path / "out", "nerfstudio", views=("canonical",))
    head = next(iter(heads_dataset.heads()))
    path = tmp_path / "out" / "heads" / head.spec_id / "transforms.json"
    scene = json.loads(path.read_text())
    assert scene["w"] == scene["h"] == head.cameras[0].width
    assert all("fl_x" not in frame for frame in scene["frames"]) and len(scene["frames"]) == 6
    by_name = {camera.name: camera for camera in head.cameras}
    for frame in scene["frames"]:
        expected, _ = by_name[frame["name"]].project(points)
        assert np.abs(nerfstudio_pixels(scene, frame, points) - expected).max() < 1e-6


def test_a_point_at_a_pixels_centre_has_half_coordinates(heads_dataset, exported):
    """The surface seen by pixel (column, row) lies at (column + 0.5, row + 0.5): stored depth of
    ours, unprojected at the centre, lands there by the conventions of all others."""
    head = next(iter(heads_dataset.heads()))
    folder = exported("nerfstudio") / "heads" / head.spec_id
    scene = json.loads((folder / "transforms.json").read_text())
    images, _ = read_colmap(exported("colmap") / "heads" / head.spec_id / "sparse" / "0")
    position = head.pass_image("position", 4)
    for row, column in ((0, 5), (7, 23), (23, 1)):
        point = position[row, column][None].astype(float)
        centre = [column + 0.5, row + 0.5]
        found = nerfstudio_pixels(scene, scene["frames"][4], point)[0]
        np.testing.assert_allclose(found, centre, atol=1e-4)  # positions are float32
        np.testing.assert_allclose(images[5].pixels(point)[0], centre, atol=1e-4)


def test_nerfstudio_depth_is_z_in_thousandths(heads_dataset, exported, heads_module):
    head = next(iter(heads_dataset.heads()))
    folder = exported("nerfstudio") / "heads" / head.spec_id
    frames = json.loads((folder / "transforms.json").read_text())["frames"]
    for view, frame in enumerate(frames):
        steps = iio.imread(folder / frame["depth_file_path"])
        truth = heads_module.depth(head.index, view)
        assert steps.dtype == np.uint16 and (steps[truth == 0] == 0).all()
        assert np.abs(steps * 1e-3 - truth).max() <= 1 / 4096 + 0.0005 + 1e-6


def test_nerfstudio_points_are_a_ply_of_the_seen_landmarks(heads_dataset, exported):
    from plyfile import PlyData

    for head in heads_dataset.heads():
        folder = exported("nerfstudio") / "heads" / head.spec_id
        scene = json.loads((folder / "transforms.json").read_text())
        cloud = PlyData.read(str(folder / scene["ply_file_path"]))["vertex"]
        found = np.stack([cloud["x"], cloud["y"], cloud["z"]], axis=-1)
        marks = head.landmarks
        every = np.concatenate([marks.sparse, marks.dense])
        finite = np.isfinite(every).all(axis=1)  # all are seen by one view or another
        np.testing.assert_allclose(found, every[finite], rtol=1e-6)
        assert cloud["red"].dtype == np.uint8


def test_only_points_that_the_chosen_views_see_are_written(heads_dataset, tmp_path):
    from plyfile import PlyData

    run(heads_dataset, tmp_path / "out", "nerfstudio", views=("front",))
    for head in heads_dataset.heads():
        path = tmp_path / "out" / "heads" / head.spec_id / "points.ply"
        front = [camera.name for camera in head.cameras].index("front")
        marks = head.landmarks
        states = np.concatenate([marks.sparse_visibility, marks.dense_visibility], axis=1)[front]
        assert PlyData.read(str(path))["vertex"].count == (states == 1).sum() < len(states)


def test_a_background_makes_rgb_pictures_with_masks(heads_dataset, heads_module, tmp_path):
    run(heads_dataset, tmp_path / "out", "nerfstudio", background="grey", views=("front",))
    for head in heads_dataset.heads():
        folder = tmp_path / "out" / "heads" / head.spec_id
        (frame,) = json.loads((folder / "transforms.json").read_text())["frames"]
        rgb, mask = iio.imread(folder / frame["file_path"]), iio.imread(folder / frame["mask_path"])
        rgba = head.rgba([camera.name for camera in head.cameras].index("front"))
        assert rgb.shape == (heads_module.SIZE, heads_module.SIZE, 3)
        assert np.abs(rgb - over(rgba, "grey") * 255).max() <= 0.51
        assert set(rgb[:, 0].ravel()) == {128}  # alpha is 0 there
        assert np.array_equal(mask, np.where(rgba[..., 3] > 0, 255, 0))


def test_nerf_cameras_reproject(heads_dataset, exported, points, heads_module):
    for head in heads_dataset.heads():
        folder = exported("nerf") / "heads" / head.spec_id
        by_name = [c for c in head.cameras if not c.name.startswith("random")]
        scenes = {
            name: json.loads((folder / f"transforms_{name}.json").read_text())
            for name in ("train", "val", "test")
        }
        assert scenes["val"] == scenes["test"]
        assert [len(scenes[name]["frames"]) for name in ("train", "test")] == [7, 1]
        for scene in scenes.values():
            for frame in scene["frames"]:
                number = int(frame["file_path"][-3:])
                expected, _ = by_name[number].project(points)
                found = nerf_pixels(scene["camera_angle_x"], heads_module.SIZE, frame, points)
                assert np.abs(found - expected).max() < 1e-6
                assert (folder / f"{frame['file_path']}.png").is_file()


def test_nerf_refuses_views_of_several_focal_lengths(heads_dataset, tmp_path):
    with pytest.raises(InputError, match="choose views that share them"):
        run(heads_dataset, tmp_path / "out", "nerf")
    with pytest.raises(InputError, match="takes at least two"):
        run(heads_dataset, tmp_path / "out", "nerf", views=("front",))


# ----------------------------------------------------------------------------------------- colmap


def test_colmap_cameras_reproject_and_points_have_tracks(heads_dataset, exported, points):
    for head in heads_dataset.heads():
        folder = exported("colmap") / "heads" / head.spec_id
        images, cloud = read_colmap(folder / "sparse" / "0")
        marks = head.landmarks
        states = np.concatenate([marks.sparse_visibility, marks.dense_visibility], axis=1)
        finite = np.isfinite(np.concatenate([marks.sparse, marks.dense])).all(axis=1)
        assert len(images) == VIEWS
        assert len(cloud) == (((states == 1).sum(axis=0) >= 2) & finite).sum() > 100
        for number, camera in enumerate(head.cameras, 1):
            image = images[number]
            assert image.name == f"view_{number - 1:03d}.png"
            assert (folder / "images" / image.name).read_bytes() == head.read(
                f"rgba_{number - 1:03d}.png"
            )
            expected, _ = camera.project(points)
            assert np.abs(image.pixels(points) - expected).max() < 1e-6
            for x, y, point in image.points2d:
                error = image.pixels(cloud[point]["xyz"][None])[0] - (x, y)
                assert np.abs(error).max() < 1e-6
        seen = marks.sparse_visibility == 1
        for point in cloud.values():
            assert len(point["track"]) >= 2 and point["error"] == 0
        first = next(i for i in range(len(marks.sparse)) if seen[:, i].sum() >= 2)
        track = {image for image, _ in cloud[1]["track"]}
        assert track == {1 + view for view in np.flatnonzero(seen[:, first])}
        np.testing.assert_allclose(cloud[1]["xyz"], marks.sparse[first], rtol=1e-6)
        for number, place in cloud[1]["track"]:
            assert images[number].points2d[place][2] == 1
        number, place = cloud[1]["track"][0]
        x, y, _ = images[number].points2d[place]
        if 0 <= x < head.cameras[0].width and 0 <= y < head.cameras[0].height:
            colour = head.rgba(number - 1)[int(y), int(x), :3]
            assert cloud[1]["rgb"] == tuple(colour)


def test_colmap_masks_show_the_head(heads_dataset, exported):
    head = next(iter(heads_dataset.heads()))
    folder = exported("colmap") / "heads" / head.spec_id / "masks"
    assert len(list(folder.iterdir())) == VIEWS
    for view in range(VIEWS):
        mask = iio.imread(folder / f"view_{view:03d}.png.png")
        assert np.array_equal(mask > 0, head.rgba(view)[..., 3] > 0)


def test_colmap_without_landmarks_is_empty_but_valid(heads_module, tmp_path):
    dataset = heads_module.make_dataset(tmp_path / "heads", passes=False)
    run(dataset, tmp_path / "out", "colmap", views=("canonical",))
    for head in dataset.heads():
        model = tmp_path / "out" / "heads" / head.spec_id / "sparse" / "0"
        images, cloud = read_colmap(model)
        assert len(images) == 6 and cloud == {}
        assert all(image.points2d == [] for image in images.values())
        assert len((model / "cameras.txt").read_text().splitlines()) == 2  # shared


@pytest.mark.parametrize("to", ["facelift-gslrm", "nerfstudio", "colmap", "nerf"])
def test_skewed_pixels_are_refused(heads_dataset, tmp_path, monkeypatch, to):
    skewed = canonical_six(24)[0].K.copy()
    skewed[0, 1] = 0.1
    cameras = tuple(dataclasses.replace(camera, K=skewed) for camera in canonical_six(24)[:2])
    monkeypatch.setattr(export_head.HeadExport, "cameras", cameras)
    message = "choose views that share" if to == "nerf" else "view 'front': its pixels are skewed"
    with pytest.raises(InputError, match=message):
        run(heads_dataset, tmp_path / "out", to, views=("front", "right"))


def test_half_turns_have_a_quaternion():
    """Where w is 0, formulas that divide by it fail."""
    for axis in np.eye(3):
        rotation = 2 * np.outer(axis, axis) - np.eye(3)
        matrix = np.eye(4)
        matrix[:3, :3] = rotation
        camera = dataclasses.replace(canonical_six(8)[0], cam_from_world=matrix)
        quaternion, _ = camera.colmap_pose()
        np.testing.assert_allclose(rotation_of(quaternion), rotation, atol=1e-12)


# ---------------------------------------------------------------------------------- what all share


@pytest.mark.parametrize("to", sorted(SUMMARIES))
def test_every_export_has_its_frame(heads_dataset, exported, to):
    out = exported(to)
    lines = [json.loads(line) for line in (out / "heads.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == [head.spec_id for head in heads_dataset.heads()]
    assert [line["identity_id"] for line in lines] == [
        head.identity_id for head in heads_dataset.heads()
    ]
    licences = (out / "LICENCES.txt").read_text()
    for row in heads_dataset.licences:
        assert row.asset_id in licences and row.sha256 in licences
    assert "licence: CC0-1.0" in licences
    readme = (out / "README.md").read_text()
    assert (heads_dataset.dataset_id in readme and "(0.5, 0.5)" in readme) or to == "nerf"
    assert not list(out.rglob("*.tmp"))


def test_an_export_is_finished_and_extended_by_running_it_again(
    heads_module, tmp_path, monkeypatch
):
    dataset = heads_module.make_dataset(tmp_path / "heads", passes=False)
    out = tmp_path / "out"
    ids = [head.spec_id for head in dataset.heads()]
    picture = export_head.HeadExport.picture

    def stop(head, number):
        if head.record.spec_id == ids[1] and number == 3:
            raise OSError(28, "No space left on device")
        return picture(head, number)

    monkeypatch.setattr(export_head.HeadExport, "picture", stop)
    with pytest.raises(OSError, match="No space left"):
        export_dataset(dataset, out, ExportRequest("facelift-gslrm"))
    there = {path.name for path in (out / "gslrm").iterdir()}
    assert ids[0] in there and ids[1] not in there and there <= set(ids)
    assert not (out / "heads.jsonl").exists()
    monkeypatch.undo()
    kept = (out / "gslrm" / ids[0]).stat().st_mtime_ns
    summary = run(dataset, out, "facelift-gslrm")
    assert (summary.heads, summary.written) == (3, 3 - len(there))
    assert f"{len(there)} of them were there" in str(summary)
    assert (out / "gslrm" / ids[0]).stat().st_mtime_ns == kept
    assert run(dataset, out, "facelift-gslrm").written == 0
    larger = dataclasses.replace(heads_module.CONFIG, heads=4)
    grown = heads_module.make_dataset(tmp_path / "heads", larger, passes=False)
    assert run(grown, out, "facelift-gslrm").heads == 4


def test_what_a_killed_export_left_is_removed(heads_dataset, tmp_path):
    out = tmp_path / "out"
    (out / "heads").mkdir(parents=True)

    def left(name: str) -> Path:  # by an earlier process
        *others, start, token, end = temporary_name(name).split(".")
        return Path(".".join([*others, str(int(start) - 1), token, end]))

    folder, table = out / "heads" / left("0123456789abcdef"), out / left("heads.jsonl")
    folder.mkdir()
    table.touch()
    assert run(heads_dataset, out, "colmap").heads == 3
    assert not folder.exists() and not table.exists()


def test_another_request_in_the_same_place_is_refused(heads_dataset, tmp_path):
    run(heads_dataset, tmp_path / "out", "colmap", views=("front",))
    with pytest.raises(DatasetMismatch) as caught:
        run(heads_dataset, tmp_path / "out", "colmap", views=("back",), background="white")
    assert "views: ['front'] there, ['back'] asked for" in str(caught.value)
    assert "background: None there, 'white' asked for" in str(caught.value)


def test_heads_that_are_gone_do_not_free_the_place_for_another_request(heads_module, tmp_path):
    dataset = heads_module.make_dataset(tmp_path / "heads", passes=False)
    run(dataset, tmp_path / "out", "colmap")
    for path in dataset.shard_paths():
        dataset.quarantine(path)
    with pytest.raises(InputError, match="none of the heads asked for"):
        run(dataset, tmp_path / "out", "colmap")
    with pytest.raises(DatasetMismatch, match="'colmap' there, 'nerf' asked for"):
        run(dataset, tmp_path / "out", "nerf")


def test_licences_are_told_before_the_dataset_has_noted_them(heads_module, tmp_path):
    """As while it is rendered: `dataset.yaml` gets them with the index."""
    root = heads_module.make_dataset(tmp_path / "heads", passes=False).root
    header = yaml.safe_load((root / "dataset.yaml").read_text())
    listed = [(row["asset_id"], row["sha256"]) for row in header["assets"]]
    (root / "dataset.yaml").write_text(yaml.safe_dump({**header, "assets": []}))
    run(Dataset.open(root), tmp_path / "out", "colmap")
    text = (tmp_path / "out" / "LICENCES.txt").read_text()
    assert listed and all(name in text and sha256 in text for name, sha256 in listed)


def test_two_exports_into_one_place_are_refused(heads_dataset, tmp_path):
    with exclusive(tmp_path / "out"), pytest.raises(RecordError, match="another process"):
        run(heads_dataset, tmp_path / "out", "colmap")


def test_heads_are_chosen(heads_dataset, tmp_path):
    second = HeadChoice(lambda head: head.index == 1)
    summary = run(heads_dataset, tmp_path / "out", "colmap", choice=second)
    (only,) = (tmp_path / "out" / "heads").iterdir()
    assert summary.heads == 1
    assert only.name == [head.spec_id for head in heads_dataset.heads()][1]
    with pytest.raises(InputError, match="none of the heads asked for"):
        run(heads_dataset, tmp_path / "none", "colmap", choice=HeadChoice(lambda head: False))


def test_a_view_that_is_not_there_is_named(heads_dataset, tmp_path):
    with pytest.raises(InputError, match=r"no view 'rnig\*'; it has .*ring0_001"):
        run(heads_dataset, tmp_path / "out", "colmap", views=("ring0_*", "rnig*"))
    assert run(heads_dataset, tmp_path / "out", "colmap", views=("ring0_*",)).heads == 3


def test_an_unknown_layout_is_told(heads_dataset, tmp_path):
    with pytest.raises(InputError, match="did you mean 'nerfstudio'"):
        run(heads_dataset, tmp_path / "out", "nerfstudo")
