"""A user's assets in Blender: every format, hostile files, and heads from another program."""

from __future__ import annotations

import importlib.util
import io
import shutil
from pathlib import Path
from types import SimpleNamespace

import imageio.v3 as iio
import numpy as np
import pytest
import trimesh
import yaml

from ray_jobs import cli
from synth.asset_store import AssetStore
from synth.assets import resolve
from synth.blender_scenes.user_fit import fit_points
from synth.config import load_config
from synth.dataset import Dataset
from synth.errors import AssetError
from synth.ground_truth import LABELS
from synth.landmarks import SPARSE_NAMES, locate
from synth.launch import render_shard
from synth.record import ShardReader
from synth.sample import DatasetConfig, sample_head
from synth.sample_config import with_known_assets
from synth.spec import Expression, HeadPose

_spec = importlib.util.spec_from_file_location(
    "foreign_head", Path(__file__).with_name("foreign_head.py")
)
foreign_head = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(foreign_head)

pytestmark = pytest.mark.blender

FORMATS = ("glb", "gltf", "fbx", "obj", "blend")


@pytest.fixture(scope="module")
def facts(run_scene):
    return run_scene("user_assets_scene.py")


# ---------------------------------------------------------------------------------- import


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_same_bust(facts, kind):
    """Parents, scale, turn and subdivision are in the mesh; lamp, root and rig are gone."""
    found = facts[kind]
    assert found["names"] == found["left"] == ["user_Bust"]
    assert np.allclose(found["low"], [-0.982, -1.672, -0.997], atol=2e-3)
    assert np.allclose(found["high"], [1.277, 0.982, 0.997], atol=2e-3)
    assert found["materials"] == ["Hair.001", "Skin"] and found["modifiers"] == 0
    assert found["volume"] > 5  # its faces look outwards
    if kind == "blend":  # only a .blend knows how far it is subdivided in a render
        assert found["vertices"] == 5954


def test_the_files_that_an_asset_needs_are_known(facts):
    assert facts["gltf"]["files"] == ["bust.bin", "skin.png"]
    assert facts["obj"]["files"] == ["bust.mtl", "skin.png"]
    assert facts["blend"]["files"] == ["skin.png"]
    assert facts["glb"]["files"] == facts["fbx"]["files"] == []


def test_lengths_in_a_material_grow_with_the_object(facts):
    assert facts["blend"]["subsurface"] == [pytest.approx(0.1 / 3.7)]


def test_objects_that_are_not_there_are_named(facts):
    assert "its objects: Bust" in facts["chosen"]["error"]


def test_nothing_of_a_hostile_file_runs(facts):
    """The same file writes all its markers as soon as scripts are allowed."""
    hostile = facts["hostile"]
    assert hostile["names"] == ["user_head"] and hostile["ran"] == []
    assert hostile["texts"] == hostile["drivers"] == 0
    assert hostile["would_run"] == ["ran_text", "ran_handler", "ran_driver", "ran_space"]
    assert facts["auto_execution"] is False
    assert not hostile["held_back"]  # not even tried: the drivers are gone before evaluation


def test_files_outside_of_the_folder_are_not_followed(facts):
    elsewhere = facts["elsewhere"]
    for name in ("linked", "linked_compressed"):
        assert "library.blend" in elsewhere[name]["error"]
        assert "Make Local" in elsewhere[name]["error"]
    for name in ("texture_fbx", "texture_blend"):
        assert "lies outside" in elsewhere[name]["error"] and "Pack" in elsewhere[name]["error"]


def test_what_cannot_be_read_is_one_sentence(facts):
    for name in ("broken.glb", "broken.fbx", "broken.blend", "empty.obj"):
        assert name in facts[name]["error"]
    assert "3,000,000" in facts["bomb"]["error"]


def test_hair_curves_keep_their_lengths(facts):
    points = 2 * (np.arange(24.0).reshape(8, 3) + np.array([0, 0, 100]))
    for kind in ("blend", "abc"):
        strands = facts["strands"][kind]
        assert strands["lengths"] == [3, 5]
        assert np.allclose(np.reshape(strands["points"], (8, 3)), points)
        assert np.allclose(strands["radius"], 0.5)


def test_an_object_of_several_classes_is_taken_apart_unseen(facts):
    parts = facts["parts"]
    assert parts["names"]["hair"][0].startswith("hair_")  # the segmentation reads this word
    assert sum(parts["faces"].values()) == parts["all_faces"] and parts["lowest_hair"] > 0.3
    assert parts["normals_moved"] < 1e-3


def test_surfaces_that_say_too_little_are_completed_and_noted(facts):
    found = facts["materials"]
    assert len(found["notes"]) == 3 and "vertex colours" in found["notes"][1]
    assert found["kinds"] == ["ShaderNodeBsdfPrincipled"] * 2
    assert found["lit"][0] == "ShaderNodeBsdfPrincipled"
    assert np.allclose(found["lit"][1], [0.2, 0.4, 0.6])


def test_both_layouts_of_a_skin_hit_the_right_texel(facts):
    skin = facts["skin"]
    assert skin["ours"] < 1e-3 and skin["theirs"] < 1e-3
    assert skin["near_a_corner"] < 0.005 and skin["in_window"] > 0.5


# ---------------------------------------------------------------------------------- fitting


def test_wear_follows_identity_and_turned_head(model, spec):
    """Points on the skin stay on it; what stands off it turns with the head and keeps its size."""
    pose = HeadPose(yaw_deg=20.0)
    shape = model.shape(spec.identity, Expression(), pose)
    rest = model.shape(spec.identity, Expression(), HeadPose())
    on_skin = model.canonical[::97]
    assert np.abs(fit_points(on_skin, model, shape) - shape.vertices[::97]).max() < 1e-6
    top = np.flatnonzero(model.canonical[:, 2] > 0.96)[::40]
    above = model.canonical[top] + 0.08 * model.canonical_normals[top]
    turned, straight = (fit_points(above, model, s) for s in (shape, rest))
    motion = shape.model_from_rest_head
    expected = straight @ motion[:3, :3].T + motion[:3, 3]
    assert np.abs(turned - expected).max() < 0.004
    height = np.linalg.norm(turned - shape.vertices[top], axis=1)
    assert height.min() > 0.055 and height.max() < 0.11


# ---------------------------------------------------------------------------------- all the way

VIEWS = ["size=64", "samples=4", "views.random=0", "views.canonical=true"]


@pytest.fixture(scope="module")
def studio(tmp_path_factory, model):
    """A folder with one asset of each kind, added to a store by the command."""
    folder, store = tmp_path_factory.mktemp("studio"), tmp_path_factory.mktemp("store")
    spec = sample_head(DatasetConfig(seed=2), 0)
    shape = model.shape(spec.identity, Expression(), HeadPose())
    file_from_world = foreign_head.any_similarity(np.random.default_rng(3))
    foreign_head.write_head(folder / "anna.glb", model, shape, file_from_world)
    _write_cover(folder / "cap.obj", model, model.masks["scalp_sd"] > 0, 0.01)
    low = (model.canonical[:, 2] < 0.72) & (model.canonical[:, 2] > 0.4)
    _write_cover(folder / "shirt.glb", model, low, 0.01)
    iio.imwrite(folder / "green.png", np.full((64, 64, 3), (60, 180, 60), np.uint8))
    shutil.copyfile(resolve("bpy:studio"), folder / "loft.exr")
    (folder / "LICENCE.txt").write_text("Ours, for tests.")
    named = locate(spec, model, shape).named()
    places = ("nose_tip", "chin", "eye_left_outer", "eye_right_outer", "mouth_left")
    in_file = {
        name: (file_from_world[:3, :3] @ named[name] + file_from_world[:3, 3]).tolist()
        for name in places
    }
    manifest = {
        "name": "studio",
        "licence": {"name": "Test licence", "file": "LICENCE.txt"},
        "source": "tests",
        "items": {
            "anna": {"kind": "head", "file": "anna.glb", "align": {"landmarks": in_file}},
            "cap": {"kind": "hair", "file": "cap.obj"},
            "shirt": {"kind": "garment", "file": "shirt.glb", "licence": "CC0-1.0"},
            "green": {"kind": "skin", "file": "green.png"},
            "loft": {"kind": "hdri", "file": "loft.exr", "licence": "CC0-1.0"},
        },
    }
    (folder / "assets.yaml").write_text(yaml.safe_dump(manifest))
    assert cli.main(["assets", "add", str(folder), "--store", str(store)]) == 0
    return SimpleNamespace(folder=folder, store=store, named=named, places=places)


def _write_cover(path: Path, model, vertices: np.ndarray, offset_m: float) -> None:
    """A shell over some vertices of the template, as an artist would model it there."""
    keep = vertices[model.faces].all(axis=1)
    used, faces = np.unique(model.faces[keep], return_inverse=True)
    points = model.canonical[used] + offset_m * model.canonical_normals[used]
    y_up = points[:, [0, 2, 1]] * [1, 1, -1]
    quads = faces.reshape(-1, 4)
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    path.write_bytes(_bytes(trimesh.Trimesh(y_up, triangles, process=False), path.suffix[1:]))


def _bytes(mesh: trimesh.Trimesh, kind: str) -> bytes:
    exported = mesh.export(file_type=kind)
    return exported.encode() if isinstance(exported, str) else exported


@pytest.fixture(scope="module")
def rendered(studio, tmp_path_factory):
    """A head of a user, and one of ours that wears the rest."""
    out = tmp_path_factory.mktemp("shards") / "s.tar"
    common = [
        *VIEWS,
        f"assets.store={studio.store}",
        "passes=[depth,segmentation,albedo,landmarks]",
    ]
    ours = [
        "assets.hair={'studio:cap': 1}", "assets.garments={'studio:shirt': 1}",
        "assets.skins={'studio:green': 1}", "light.hdris={'studio:loft': 1}",
        "light.kinds={hdri: 1}",
    ]  # fmt: skip
    specs = [
        sample_head(with_known_assets(load_config(DatasetConfig, None, [*common, *more])), index)
        for index, more in enumerate((["assets.heads={'studio:anna': 1}"], ours))
    ]
    render_shard(specs, out, asset_store=studio.store, timeout_s=600)
    return ShardReader(out).heads()


def test_a_head_from_another_program_stands_where_ours_do(studio, rendered):
    """Landmarks that its manifest gave project onto it, and its depth there is theirs."""
    head = rendered[0]
    assert head.spec.user_parts.head == "studio:anna"
    record = AssetStore(studio.store).get("studio:anna").record
    assert record.aligned_by == "landmarks" and set(record.landmarks) == set(studio.places)
    camera, depth = head.cameras[0], head.pass_image("depth", 0)
    label = head.pass_image("segmentation", 0)
    for name in ("nose_tip", "mouth_left"):  # the chin is an edge seen from here
        point = np.array([record.landmarks[name]])
        (pixel,), (distance,) = camera.project(point)
        x, y = pixel.astype(int)
        assert depth[y, x] == pytest.approx(distance, abs=0.05), name
        assert label[y, x] == LABELS["skin"]
    rows = np.flatnonzero((depth > 0).any(axis=1))
    assert 5 < rows[0] < 20  # the crown is in the frame, about where ours is
    assert (
        head.meta["quality"]["face_luminance"] > 0.05 and head.meta["exposure"]["skin_pixels"] > 100
    )


def test_landmarks_are_those_that_are_known(studio, rendered):
    found = np.load(io.BytesIO(rendered[0].read("landmarks.npz")))
    sparse = found["sparse"]
    known = {name for name, point in zip(SPARSE_NAMES, sparse) if np.isfinite(point).all()}
    assert known == set(studio.places)
    assert not np.isfinite(found["dense"]).any()


def test_hair_garment_skin_and_light_of_a_user_on_our_head(rendered):
    head = rendered[1]
    parts = head.spec.user_parts
    assert (parts.hair, parts.garment, parts.skin) == ("studio:cap", "studio:shirt", "studio:green")
    assert head.spec.light.hdri == "studio:loft"
    label, albedo = head.pass_image("segmentation", 0), head.pass_image("albedo", 0)
    shown = {name: (label == number).sum() for name, number in LABELS.items()}
    assert shown["hair"] > 40 and shown["clothes"] > 200 and shown["skin"] > 150
    crown = np.flatnonzero((label == LABELS["hair"]).any(axis=1))
    assert crown[0] < np.flatnonzero((label == LABELS["skin"]).any(axis=1))[0]
    green = np.median(albedo[label == LABELS["skin"]][:, :3], axis=0)
    assert green[1] > 2.5 * green[0] and green[1] > 2.5 * green[2]
    ids = {ref.asset_id for ref in head.spec.assets}
    assert ids >= {"anny:head", "studio:cap", "studio:shirt", "studio:green", "studio:loft"}


def test_a_dataset_lists_their_licences(studio, rendered, tmp_path):
    config = load_config(DatasetConfig, None, [*VIEWS, f"assets.store={studio.store}"])
    dataset = Dataset.create(tmp_path / "heads", config)
    dataset.record_assets(ref for head in rendered for ref in head.spec.assets)
    rows = {row.asset_id: row for row in Dataset.open(tmp_path / "heads").licences}
    assert rows["studio:anna"].licence == "LicenseRef-Test-licence"
    assert rows["studio:anna"].licence_text == "Ours, for tests."
    assert rows["studio:shirt"].licence == "CC0-1.0" and rows["studio:shirt"].source == "tests"


def test_a_worker_refuses_an_asset_that_was_changed(studio, rendered, tmp_path):
    copy = tmp_path / "store"
    shutil.copytree(studio.store, copy)
    asset = AssetStore(copy).get("studio:anna")
    asset.path.write_bytes(asset.path.read_bytes() + b"x")
    with pytest.raises(AssetError, match=r"studio:anna.*was changed.*SHA-256") as error:
        render_shard([rendered[0].spec], tmp_path / "s.tar", asset_store=copy, timeout_s=120)
    assert asset.record.files[-1].sha256[:16] in str(error.value) and not error.value.retryable
    spec = rendered[0].spec
    with pytest.raises(AssetError, match=r"assets\.store"):
        render_shard([spec], tmp_path / "s.tar", timeout_s=120)


@pytest.mark.slow
def test_a_head_is_found_by_its_face(model, tmp_path):
    """Nothing but a mesh, standing askew: front, size and place come from its face."""
    spec = sample_head(DatasetConfig(seed=2), 0)
    shape = model.shape(spec.identity, Expression(), HeadPose())
    askew = foreign_head.any_similarity(np.random.default_rng(1), turn=0.5)
    foreign_head.write_head(tmp_path / "anna.glb", model, shape, askew)
    manifest = "name: found\nlicence: CC0-1.0\nitems: {anna: {kind: head, file: anna.glb}}\n"
    (tmp_path / "assets.yaml").write_text(manifest)
    store = tmp_path / "store"
    assert cli.main(["assets", "add", str(tmp_path), "--store", str(store)]) == 0
    asset = AssetStore(store).get("found:anna")
    assert asset.record.aligned_by == "face"
    back = asset.record.matrix() @ askew
    scale = np.cbrt(np.linalg.det(back[:3, :3]))
    angle = np.degrees(np.arccos(np.clip((np.trace(back[:3, :3]) / scale - 1) / 2, -1, 1)))
    assert angle < 8 and 0.8 < scale < 1.25 and np.abs(back[:3, 3]).max() < 0.12
    picture = iio.imread(asset.preview)
    assert picture.shape == (256, 1024, 3) and picture[:, :256].std() > 20
