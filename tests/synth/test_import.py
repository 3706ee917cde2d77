"""Imports: round trips through each layout, splits that came along, refusals by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image

from synth.camera import CANONICAL_VIEWS, canonical_six
from synth.dataset import Dataset
from synth.dataset_report import describe, verify
from synth.errors import DatasetMismatch, InputError, RecordError
from synth.export import export_dataset
from synth.export_frame import ExportRequest
from synth.import_heads import ImportOptions, find_heads, import_dataset
from synth.import_layouts import LAYOUTS, layout_in
from synth.record import ShardReader
from synth.sample import DatasetConfig
from synth.shardlayout import read_footer
from synth.splits import split_of
from synth.unfinished import temporary_name


@pytest.fixture(scope="module")
def exported(heads_dataset, tmp_path_factory) -> dict[str, Path]:
    """The dataset in two layouts; do not write into them."""
    made = {}
    for to in ("facelift", "nerfstudio"):
        made[to] = tmp_path_factory.mktemp("import") / to
        export_dataset(heads_dataset, made[to], ExportRequest(to))
    return made


@pytest.fixture
def facelift(exported, tmp_path) -> Path:
    """A copy to damage, without the table that Headloom adds to the layout."""
    shutil.copytree(exported["facelift"], tmp_path / "facelift")
    (tmp_path / "facelift" / "heads.jsonl").unlink()
    return tmp_path / "facelift"


def read(source: Path, out: Path, layout: str, **options):
    summary = import_dataset(source, out, ImportOptions(layout, **options), jobs=2)
    return summary, Dataset.open(out)


@pytest.mark.parametrize(
    ("to", "layout"), [("facelift", "facelift-gslrm"), ("nerfstudio", "nerfstudio")]
)
def test_a_round_trip_keeps_pixels_cameras_names_and_people(
    heads_dataset, exported, tmp_path, to, layout
):
    summary, dataset = read(exported[to], tmp_path / "back", layout, heads_per_shard=2)
    assert summary.heads == 3 and summary.failures.count == 0
    before = {head.spec_id: head for head in heads_dataset.heads()}
    after = list(dataset.heads())
    assert list(before) == [head.spec_data["source"] for head in after]  # in their order
    for head in after:
        original = before[head.spec_data["source"]]
        assert (head.identity_id, head.split) == (original.identity_id, original.split)
        for view, (ours, theirs) in enumerate(zip(original.cameras, head.cameras, strict=True)):
            assert np.array_equal(head.rgba(view), original.rgba(view))
            assert theirs.name == ours.name
            np.testing.assert_allclose(theirs.K, ours.K, rtol=1e-12)
            np.testing.assert_allclose(
                theirs.cam_from_world, ours.cam_from_world, rtol=1e-9, atol=1e-12
            )
    assert verify(dataset).ok
    assert "stand 2.70 to 2.70 units from the origin" in str(summary)


def test_six_views_stand_on_facelifts_rig(heads_dataset, exported, tmp_path):
    _, dataset = read(exported["facelift"], tmp_path / "back", "facelift-mvdiffusion")
    before = {head.spec_id: head for head in heads_dataset.heads()}
    for head in dataset.heads():
        original = before[head.spec_data["source"]]
        names = [camera.name for camera in original.cameras]
        for view, (name, _) in enumerate(CANONICAL_VIEWS):
            assert head.cameras[view].name == name
            assert np.array_equal(head.rgba(view), original.rgba(names.index(name)))
            wanted = original.cameras[names.index(name)].cam_from_world
            np.testing.assert_allclose(head.cameras[view].cam_from_world, wanted, atol=1e-12)


def test_canonical_views_get_their_names_whatever_they_were_called(facelift, tmp_path):
    for path in facelift.glob("gslrm/*/opencv_cameras.json"):
        data = json.loads(path.read_text())
        for frame in data["frames"]:
            frame["blender_camera_name"] = "Camera"
        path.write_text(json.dumps(data))
    _, dataset = read(facelift, tmp_path / "back", "facelift-gslrm")
    names = [camera.name for camera in next(dataset.heads()).cameras]
    assert set(names) >= {name for name, _ in CANONICAL_VIEWS} and len(set(names)) == len(names)
    assert names[0] == "Camera" and names[-1].startswith("view_")


@pytest.mark.parametrize(("to", "rounding"), [("facelift-gslrm", 0.0), ("nerfstudio", 1e-14)])
def test_heads_of_others_are_the_same_after_any_number_of_round_trips(
    facelift, tmp_path, to, rounding
):
    """nerfstudio has the inverse of our matrix."""
    source, layout, passed, poses = facelift, "facelift-gslrm", [], []
    for trip in range(4):
        _, dataset = read(source, tmp_path / f"heads{trip}", layout)
        heads = list(dataset.heads())
        views = [(head, view) for head in heads for view in range(head.view_count)]
        passed.append(
            (
                [(head.index, head.identity_id, head.split) for head in heads],
                [head.read(f"rgba_{view:03d}.png") for head, view in views],
                [(head.cameras[view].name, head.cameras[view].K.tolist()) for head, view in views],
            )
        )
        poses.append([head.cameras[view].cam_from_world for head, view in views])
        source, layout = tmp_path / f"out{trip}", to
        export_dataset(dataset, source, ExportRequest(to))
    names = sorted(path.name for path in (facelift / "gslrm").iterdir())
    assert [identity for _, identity, _ in passed[0][0]] == names
    assert all(trip == passed[0] for trip in passed)
    np.testing.assert_allclose(poses, [poses[0]] * 4, rtol=0, atol=rounding)


def test_no_view_is_lost_to_the_name_of_another(tmp_path):
    source = scene(tmp_path / "anna")
    data = json.loads((source / "transforms.json").read_text())
    frame = data["frames"][0]
    frame["transform_matrix"][0][3] += 1.0
    data["frames"] = [{**frame, "name": name} for name in ("view_001", "", "front", "view_001")]
    (source / "transforms.json").write_text(json.dumps(data))
    _, dataset = read(source, tmp_path / "out", "nerfstudio")
    names = [camera.name for camera in next(dataset.heads()).cameras]
    assert names == ["view_001", "view_002", "front", "view_003"]


# ------------------------------------------------------------------------------------------ people


def test_lists_decide_the_splits_where_there_are_any(facelift, tmp_path):
    names = sorted(path.name for path in (facelift / "gslrm").iterdir())
    for split, lines in (("train", names[:1]), ("val", names[1:]), ("test", [])):
        text = "".join(f"somewhere/else/{name}\n" for name in lines)
        (facelift / f"data_gslrm_{split}.txt").write_text(text)
    _, dataset = read(facelift, tmp_path / "back", "facelift-gslrm")
    assert [head.split for head in dataset.heads()] == ["train", "val", "val"]
    footers = map(read_footer, dataset.shard_paths())
    assert [p.split for footer in footers for p in footer.people] == ["train", "val", "val"]
    assert describe(dataset).splits == {"train": 1, "val": 2, "test": 0}
    (facelift / "data_gslrm_val.txt").write_text("gslrm/nobody\n")
    with pytest.raises(InputError, match="1 listed heads are not there, the first is 'nobody'"):
        read(facelift, tmp_path / "other", "facelift-gslrm")


def test_a_head_in_two_lists_is_refused(facelift, tmp_path):
    name = next((facelift / "gslrm").iterdir()).name
    for split in ("train", "test"):
        (facelift / f"data_gslrm_{split}.txt").write_text(f"gslrm/{name}\n")
    with pytest.raises(InputError, match=f"'{name}' is in the list of train, too"):
        read(facelift, tmp_path / "back", "facelift-gslrm")


def test_heads_of_one_name_are_told_by_their_folders(tmp_path):
    for part in ("old", "new"):
        scene(tmp_path / "in" / part / "anna")
        (tmp_path / "in" / part / "anna" / "transforms.json").rename(
            tmp_path / "in" / part / "anna" / "opencv_cameras.json"
        )
    (tmp_path / "in" / "data_gslrm_train.txt").write_text("/elsewhere/old/anna\n")
    (tmp_path / "in" / "data_gslrm_val.txt").write_text("/elsewhere/new/anna\n")
    heads = find_heads(tmp_path / "in", LAYOUTS["facelift-gslrm"])
    assert [(head.name, head.split) for head in heads] == [
        ("new/anna", "val"), ("old/anna", "train"),
    ]  # fmt: skip


def test_facelift_is_whichever_of_its_layouts_is_there(tmp_path):
    six = tmp_path / "six" / "mvdiffusion" / "anna"
    six.mkdir(parents=True)
    (six / "cam_000.png").touch()
    assert layout_in("facelift", tmp_path / "six") == "facelift-mvdiffusion"
    both = tmp_path / "six" / "gslrm" / "anna"
    both.mkdir(parents=True)
    (both / "opencv_cameras.json").touch()
    assert layout_in("facelift", tmp_path / "six") == "facelift-gslrm"
    assert layout_in("nerfstudio", tmp_path / "six") == "nerfstudio"


def test_heads_behind_links_are_found_once(tmp_path):
    scene(tmp_path / "disk" / "anna")
    (tmp_path / "in" / "again").mkdir(parents=True)
    for link in (tmp_path / "in" / "bert", tmp_path / "in" / "again" / "anna"):
        link.symlink_to(tmp_path / "disk" / "anna")
    (tmp_path / "in" / "circle").symlink_to(tmp_path / "in")
    (tmp_path / "in" / ".unfinished").symlink_to(scene(tmp_path / "disk" / "carl"))
    (head,) = find_heads(tmp_path / "in", LAYOUTS["nerfstudio"])
    assert head.folder == tmp_path / "in" / "again" / "anna"


def test_without_lists_the_hash_of_the_folders_name_decides(facelift, tmp_path):
    for path in facelift.glob("data_*.txt"):
        path.unlink()
    _, dataset = read(facelift, tmp_path / "back", "facelift-gslrm")
    for head in dataset.heads():
        assert head.identity_id == head.spec_data["source"]
        assert head.split == split_of(head.identity_id)
    _, six = read(facelift, tmp_path / "six", "facelift-mvdiffusion")
    assert [h.identity_id for h in six.heads()] == [h.identity_id for h in dataset.heads()]


def test_one_identity_in_two_splits_is_refused(facelift, tmp_path):
    names = sorted(path.name for path in (facelift / "gslrm").iterdir())
    lines = [{"id": name, "identity_id": "anna"} for name in names]
    (facelift / "heads.jsonl").write_text("\n".join(map(json.dumps, lines)))
    _, dataset = read(facelift, tmp_path / "one", "facelift-gslrm")
    assert {(head.identity_id, head.split) for head in dataset.heads()} == {
        ("anna", split_of("anna"))
    }
    for number, line in enumerate(lines):
        line["split"] = "test" if number else "train"
    (facelift / "heads.jsonl").write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(InputError, match="identity 'anna' is in two splits"):
        read(facelift, tmp_path / "back", "facelift-gslrm")


# ----------------------------------------------------------------------------- finishing, refusing


@pytest.mark.parametrize("number", [0, 5])
def test_a_head_with_five_of_six_views_is_named(facelift, tmp_path, number):
    folder = sorted((facelift / "mvdiffusion").iterdir())[1]
    (folder / f"cam_{number:03d}.png").unlink()
    summary, dataset = read(facelift, tmp_path / "six", "facelift-mvdiffusion")
    assert f"{folder} has no cam_{number:03d}.png" in str(summary)
    assert [head.index for head in dataset.heads()] == [0, 2]


def test_a_head_that_cannot_be_read_is_named_and_tried_again(facelift, tmp_path):
    names = sorted(path.name for path in (facelift / "gslrm").iterdir())
    broken = facelift / "gslrm" / names[1] / "images" / "cam_003.png"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:200])
    summary, dataset = read(facelift, tmp_path / "back", "facelift-gslrm", heads_per_shard=3)
    assert summary.heads == 2 and summary.failures.count == 1
    assert "cam_003.png: cannot be decoded" in str(summary) and "1 NOT imported" in str(summary)
    assert [head.index for head in dataset.heads()] == [0, 2]
    (absent,) = ShardReader(dataset.shard_paths()[0]).footer.absent
    assert (absent.index, absent.kind) == (1, "failed") and "cam_003.png" in absent.reason
    broken.write_bytes(whole)
    summary, dataset = read(facelift, tmp_path / "back", "facelift-gslrm", heads_per_shard=3)
    assert summary.heads == 3 and summary.failures.count == 0
    assert [head.index for head in dataset.heads()] == [0, 1, 2] and verify(dataset).ok


def test_running_it_again_finishes_and_touches_nothing_else(facelift, tmp_path):
    read(facelift, tmp_path / "back", "facelift-gslrm", heads_per_shard=1)
    first, second, _ = Dataset.open(tmp_path / "back").shard_paths()
    ids = [head.spec_id for head in Dataset.open(tmp_path / "back").heads()]
    second.unlink()
    kept = first.stat().st_mtime_ns
    summary, dataset = read(facelift, tmp_path / "back", "facelift-gslrm", heads_per_shard=1)
    assert summary.heads == 3 and first.stat().st_mtime_ns == kept
    assert [head.spec_id for head in dataset.heads()] == ids
    summary, _ = read(facelift, tmp_path / "back", "facelift-gslrm", heads_per_shard=1)
    assert summary.distances is None
    shutil.rmtree(next((facelift / "gslrm").iterdir()))
    for path in facelift.glob("data_*.txt"):
        path.unlink()
    with pytest.raises(DatasetMismatch, match="heads: 3 in the dataset, 2 given"):
        read(facelift, tmp_path / "back", "facelift-gslrm", heads_per_shard=1)
    with pytest.raises(DatasetMismatch, match=r"licence and attribution: .*'CC0-1.0'") as caught:
        read(facelift, tmp_path / "back", "facelift-gslrm", licence="CC0-1.0")
    assert "heads_per_shard: 1 in the dataset, 32 given" in str(caught.value)


def test_what_a_killed_import_left_is_removed(facelift, tmp_path):
    (tmp_path / "back" / "shards").mkdir(parents=True)
    *others, start, token, end = temporary_name("dataset.yaml").split(".")
    name = ".".join([*others, str(int(start) - 1), token, end])  # of an earlier process
    left = [tmp_path / "back" / name, tmp_path / "back" / "shards" / name]
    for path in left:
        path.touch()
    read(facelift, tmp_path / "back", "facelift-gslrm")
    assert not any(path.exists() for path in left)


def test_what_was_read_has_a_digest_of_pixels_and_cameras(tmp_path):
    found = []
    for name, level, focal in (("a", 90, 8), ("b", 90, 8), ("c", 91, 8), ("d", 90, 9)):
        source = scene(tmp_path / name / "anna", fl_x=focal)
        iio.imwrite(source / "images" / "1.png", np.full((SIZE, SIZE, 4), level, np.uint8))
        _, dataset = read(tmp_path / name, tmp_path / f"out-{name}", "nerfstudio")
        found.append(next(dataset.heads()).spec_data["content_sha256"])
    assert found[0] == found[1] and len(set(found)) == 3


def test_a_damaged_shard_is_put_aside_and_made_again(facelift, tmp_path):
    _, dataset = read(facelift, tmp_path / "back", "facelift-gslrm", heads_per_shard=2)
    path = dataset.shard_paths()[0]
    damaged = path.read_bytes()[:-3000]
    path.write_bytes(damaged)
    summary, dataset = read(facelift, tmp_path / "back", "facelift-gslrm", heads_per_shard=2)
    assert summary.heads == 3 and verify(dataset).ok
    (aside,) = (tmp_path / "back" / "quarantine").iterdir()
    assert aside.read_bytes() == damaged


def test_a_rendered_dataset_is_neither_imported_into_nor_the_other_way(
    heads_dataset, facelift, tmp_path
):
    with pytest.raises(DatasetMismatch, match="holds rendered heads"):
        import_dataset(facelift, heads_dataset.root, ImportOptions("facelift-gslrm"))
    _, dataset = read(facelift, tmp_path / "back", "facelift-gslrm")
    for make in (Dataset.create, Dataset.preview):
        with pytest.raises(DatasetMismatch, match="holds imported heads"):
            make(dataset.root, DatasetConfig(heads=1))


def test_how_an_imported_head_was_made_is_not_known(facelift, tmp_path):
    _, dataset = read(facelift, tmp_path / "back", "facelift-gslrm")
    head = next(dataset.heads())
    with pytest.raises(RecordError, match=r"was imported .*: how it was made is not known"):
        _ = head.spec
    assert head.meta["files"][0] == "images/cam_000.png"


def test_licence_and_attribution_stay_with_the_heads(facelift, tmp_path):
    read(facelift, tmp_path / "back", "facelift-gslrm", licence="CC-BY-4.0", attribution="The Lab")
    dataset = Dataset.open(tmp_path / "back")
    (row,) = dataset.licences
    assert (row.asset_id, row.licence, row.attribution) == (
        "import:facelift", "CC-BY-4.0", "The Lab",
    )  # fmt: skip
    export_dataset(dataset, tmp_path / "again", ExportRequest("nerfstudio"))
    text = (tmp_path / "again" / "LICENCES.txt").read_text()
    assert "CC-BY-4.0" in text and "attribution: The Lab" in text
    assert "units are those of their source" in (tmp_path / "again" / "README.md").read_text()


# ------------------------------------------------------------------------- pictures of other makers


SIZE = 16


def scene(folder: Path, *, mode: int = 4, size: tuple[int, int] = (SIZE, SIZE), **changes) -> Path:
    """One head of two views as nerfstudio has it, made by hand."""
    (folder / "images").mkdir(parents=True)
    frames = []
    for number, camera in enumerate(canonical_six(SIZE)[:2]):
        shape = (*size, mode) if mode > 1 else size
        iio.imwrite(folder / "images" / f"{number}.png", np.full(shape, 90 + number, np.uint8))
        frames.append(
            {
                "file_path": f"images/{number}.png",
                "transform_matrix": camera.blender_world_from_cam().tolist(),
            }
        )
    focal = canonical_six(SIZE)[0].K[0, 0]
    lens = {"fl_x": focal, "fl_y": focal, "cx": 8, "cy": 8, "w": SIZE, "h": SIZE}
    data = {**lens, "frames": frames, **changes}
    data = {key: value for key, value in data.items() if value is not None}
    (folder / "transforms.json").write_text(json.dumps(data))
    return folder


def failure(source: Path, out: Path, **options) -> str:
    """Why the only head cannot be imported, as the error or in the summary."""
    try:
        summary, _ = read(source, out, "nerfstudio", **options)
    except InputError as error:
        return str(error)
    (reason,) = summary.failures.first
    return reason


@pytest.mark.parametrize("mode", [1, 2, 3, 4])
def test_missing_alpha_is_refused_unless_taken_as_opaque(tmp_path, mode):
    source = scene(tmp_path / "anna", mode=mode)
    if mode in (1, 3):
        assert "0.png has no alpha and no mask" in failure(source, tmp_path / "refused")
    _, dataset = read(source, tmp_path / "out", "nerfstudio", opaque=True)
    rgba = next(dataset.heads()).rgba(1)
    assert rgba.shape == (SIZE, SIZE, 4)
    assert rgba[0, 0].tolist() == [91, 91, 91, 255 if mode in (1, 3) else 91]


def test_a_palette_keeps_its_transparency_and_four_inks_are_no_alpha(tmp_path):
    rgba = np.zeros((SIZE, SIZE, 4), np.uint8)
    rgba[4:] = (200, 90, 30, 255)
    source = scene(tmp_path / "anna")
    for number in range(2):
        path = source / "images" / f"{number}.png"
        Image.fromarray(rgba).quantize(4).save(path)
        assert iio.immeta(path)["mode"] == "P"
    _, dataset = read(source, tmp_path / "out", "nerfstudio")
    assert np.array_equal(next(dataset.heads()).rgba(0), rgba)
    frames = [Image.fromarray(rgba), Image.fromarray(255 - rgba)]
    frames[0].save(
        source / "images" / "0.png", format="GIF", save_all=True, append_images=frames[1:]
    )
    assert "one picture" in failure(source, tmp_path / "film")
    inks = Image.frombytes("CMYK", (SIZE, SIZE), rgba.tobytes())
    inks.save(source / "images" / "0.png", format="JPEG")
    assert "0.png: CMYK" in failure(source, tmp_path / "inks", opaque=True)


def test_jpegs_are_opaque_by_choice(tmp_path):
    source = scene(tmp_path / "anna")
    data = json.loads((source / "transforms.json").read_text())
    for number, frame in enumerate(data["frames"]):
        frame["file_path"] = f"images/{number}.jpg"
        picture = np.full((SIZE, SIZE, 3), (180, 120, 60), np.uint8)
        iio.imwrite(source / frame["file_path"], picture, quality=95)
    (source / "transforms.json").write_text(json.dumps(data))
    assert "0.jpg has no alpha" in failure(source, tmp_path / "refused")
    _, dataset = read(source, tmp_path / "out", "nerfstudio", opaque=True)
    assert np.abs(next(dataset.heads()).rgba(1).astype(int) - (180, 120, 60, 255)).max() <= 3


def test_a_mask_is_the_alpha_of_a_picture_without(tmp_path):
    source = scene(tmp_path / "anna", mode=3)
    data = json.loads((source / "transforms.json").read_text())
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[4:] = 255
    iio.imwrite(source / "mask.png", mask)
    for frame in data["frames"]:
        frame["mask_path"] = "mask.png"
    (source / "transforms.json").write_text(json.dumps(data))
    _, dataset = read(source, tmp_path / "out", "nerfstudio")
    assert np.array_equal(next(dataset.heads()).rgba(0)[..., 3], mask)
    Image.fromarray(mask > 0).save(source / "mask.png")  # a bit for each pixel
    _, dataset = read(source, tmp_path / "bits", "nerfstudio")
    assert np.array_equal(next(dataset.heads()).rgba(0)[..., 3], mask)
    iio.imwrite(source / "mask.png", mask[:5])
    assert "mask.png is 16 x 5 px" in failure(source, tmp_path / "other")


def test_what_instant_ngp_leaves_away_is_computed(tmp_path):
    source = scene(
        tmp_path / "anna", camera_angle_x=np.radians(50.0),
        fl_x=None, fl_y=None, cx=None, cy=None, w=None, h=None,
    )  # fmt: skip
    _, dataset = read(source, tmp_path / "out", "nerfstudio")
    for camera, wanted in zip(next(dataset.heads()).cameras, canonical_six(SIZE)):
        np.testing.assert_allclose(camera.K, wanted.K, rtol=1e-12)
        assert camera.name == wanted.name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"k1": 0.1}, "distorted by k1; undistort"),
        ({"camera_model": "OPENCV_FISHEYE"}, "camera_model OPENCV_FISHEYE"),
        ({"fl_x": "long"}, "fl_x is 'long', expected a number"),
        ({"fl_x": None, "fl_y": None}, "frame 0: no fl_x"),
        ({"w": 32, "h": 32}, "0.png is 16 x 16 px, its camera 32 x 32"),
        ({"frames": []}, "lists no frames"),
        ({"frames": [["images/0.png"]]}, "a frame is not an object"),
        (
            {"frames": [{"file_path": "images/0.png", "transform_matrix": np.eye(3).tolist()}]},
            "is not a rotation and a translation",
        ),
        (
            {"frames": [{"file_path": "images/0.png", "transform_matrix": [[2, 0, 0, 0]] * 4}]},
            "is not a rotation and a translation",
        ),
        (
            {"frames": [{"file_path": "images/9.png", "transform_matrix": np.eye(4).tolist()}]},
            "images/9.png is not there",
        ),
    ],
)  # fmt: skip
def test_cameras_that_cannot_be_used_are_refused_with_their_place(tmp_path, changes, message):
    found = failure(scene(tmp_path / "anna", **changes), tmp_path / "out")
    assert message in found and "anna" in found


def test_pictures_are_found_by_less_than_their_path(tmp_path):
    """NeRF leaves `.png` away, and some have moved the pictures; matrices may lack the last row."""
    source = scene(tmp_path / "anna")
    data = json.loads((source / "transforms.json").read_text())
    for frame, name in zip(data["frames"], ("images/0", "/data/of/another/machine/1.png")):
        frame |= {"file_path": name, "transform_matrix": frame["transform_matrix"][:3]}
    (source / "transforms.json").write_text(json.dumps(data))
    _, dataset = read(source, tmp_path / "out", "nerfstudio")
    head = next(dataset.heads())
    assert [head.rgba(view)[0, 0, 0] for view in range(2)] == [90, 91]
    assert [camera.name for camera in head.cameras] == ["front", "front_right"]


def test_a_camera_of_another_size_than_its_picture_is_refused(tmp_path):
    scene(tmp_path / "in" / "anna")
    scene(tmp_path / "in" / "bert", w=32, h=32)
    summary, _ = read(tmp_path / "in", tmp_path / "out", "nerfstudio")
    assert summary.heads == 1
    assert "bert/images/0.png is 16 x 16 px, its camera 32 x 32" in summary.failures.first[0]


def test_sizes_that_differ_are_refused_by_name(tmp_path):
    scene(tmp_path / "in" / "anna")
    other = scene(tmp_path / "in" / "bert", size=(8, 8), w=8, h=8)
    summary, dataset = read(tmp_path / "in", tmp_path / "out", "nerfstudio")
    assert summary.heads == 1 and str(other / "images" / "0.png") in summary.failures.first[0]
    assert "of one size" in summary.failures.first[0]
    assert describe(dataset).image_sizes == (SIZE,)
    source = scene(tmp_path / "wide", size=(8, SIZE), h=8)
    assert "is 16 x 8 px" in failure(source, tmp_path / "wide_out")


def test_folders_without_heads_and_layouts_that_are_none_are_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read(tmp_path / "nowhere", tmp_path / "out", "nerfstudio")
    with pytest.raises(InputError, match="no folder below it holds"):
        read(tmp_path, tmp_path / "out", "nerfstudio")
    with pytest.raises(InputError, match="did you mean 'nerfstudio'"):
        read(tmp_path, tmp_path / "out", "nerfstudios")
    assert not (tmp_path / "out").exists()
