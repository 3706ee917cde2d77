"""The judges see what is there: faces, landmarks, identities, light, frames."""

from __future__ import annotations

import dataclasses
import json

import imageio.v3 as iio
import numpy as np
import pytest

from infer import (
    judges,
    judges_faces,
    judges_identity,
    judges_landmarks,
    judges_pictures,
    judges_verdicts,
)
from infer.faces import Face, FaceFinder
from infer.judges_cache import ObservationCache, pictures_key
from infer.judges_faces import FaceSeen, FacesSeen
from infer.judges_identity import DlibFaces, DlibSeen, compare
from infer.judges_pictures import PicturesSeen, SkinSeen
from infer.judges_verdicts import GOALS, HeadSeen, give_verdicts
from infer.judges_views import HeadViews, choose_views
from synth.camera import canonical_six, orbit, ring
from synth.color import linear_from_srgb
from synth.dataset import Dataset
from synth.errors import ConfigError, DeviceError
from synth.headmodel import HeadModel
from synth.landmarks import SPARSE_NAMES, HeadLandmarks, Visibility, locate
from synth.record import ShardReader, ShardWriter
from synth.sample import DatasetConfig, ViewsConfig, sample_head
from synth.spec import Expression, Gaze, HeadPose, UserParts

SIZE = 96
CONFIG = DatasetConfig(heads=3, size=SIZE, samples=1, views=ViewsConfig(random=0))

needs_dlib = pytest.mark.skipif(
    judges_identity.why_not_installed() is not None, reason=str(judges_identity.why_not_installed())
)


@pytest.fixture(scope="session")
def model() -> HeadModel:
    return HeadModel.load()


@pytest.fixture(scope="module")
def spec():
    """A head that looks straight at the front camera."""
    drawn = sample_head(CONFIG, 0)
    return dataclasses.replace(drawn, pose=HeadPose(), gaze=Gaze(), expression=Expression())


def views_of(spec, rgba: np.ndarray) -> HeadViews:
    """Every view shows the same picture."""
    cameras = spec.resolved_cameras()
    return HeadViews(spec, cameras, (rgba,) * len(cameras), choose_views(cameras))


def plain(grey: int, size: int = SIZE) -> np.ndarray:
    """A picture that is one opaque grey below an empty border."""
    rgba = np.zeros((size, size, 4), np.uint8)
    rgba[size // 8 :, size // 8 : -size // 8] = (grey, grey, grey, 255)
    return rgba


def luminance_of(grey: int) -> float:
    """Linear light of an 8-bit grey."""
    return float(linear_from_srgb(np.array(grey / 255)))


# ---------------------------------------------------------------------------------------- views


def test_views_are_chosen_by_where_the_camera_stands():
    names = [camera.name for camera in canonical_six(SIZE)]
    chosen = choose_views(canonical_six(SIZE))
    assert {side: names[view] for side, view in chosen.items()} == {
        "front": "front", "front_left": "front_left", "front_right": "front_right",
    }  # fmt: skip
    assert choose_views([orbit(-80.0, 5.0)]) == {"front": 0}
    assert choose_views([orbit(-90.0, 40.0), orbit(90.0, 0.0)]) == {}
    assert choose_views(ring(8, 0.0))["front_left"] == 1  # azimuths grow towards the left


# ------------------------------------------------------------------------------------- pictures


def test_whole_pictures_have_no_problem(spec):
    seen = judges_pictures.look_at_pictures(views_of(spec, plain(128)))
    assert len(seen.coverage) == len(spec.cameras)
    assert seen.coverage[0] == pytest.approx(84 * 72 / SIZE**2)
    assert seen.luminance[0] == pytest.approx(
        float(linear_from_srgb(np.array(128 / 255))), abs=1e-4
    )
    assert judges_pictures.problems_of(seen) == []
    assert judges_pictures.cut_off_views(seen) == []


def test_empty_black_and_cut_off_pictures_are_named(spec):
    def look(rgba):
        return judges_pictures.look_at_pictures(views_of(spec, rgba))

    for rgba, word in ((plain(0), "black"), (np.zeros_like(plain(0)), "covers 0.000")):
        problems = judges_pictures.problems_of(look(rgba))
        assert len(problems) == len(spec.cameras)
        assert word in problems[0][1]
    tall = plain(128)
    tall[0, SIZE // 2, 3] = 200
    assert "top" in judges_pictures.cut_off_views(look(tall))[0][1]
    for edge in (0, -1):
        wide = plain(128)
        wide[SIZE // 4, edge, 3] = 200
        assert "side" in judges_pictures.cut_off_views(look(wide))[0][1]
    shoulders = plain(128)
    shoulders[-SIZE // 4 :, :, 3] = 255
    assert judges_pictures.cut_off_views(look(shoulders)) == []


def test_skin_is_measured_where_the_face_is(spec, model):
    rgba = plain(250)
    camera = spec.resolved_cameras()[0]
    shape = model.shape(spec.identity, spec.expression, spec.pose)
    mask = np.maximum(model.masks["cheek"], model.masks["forehead"]) > 0.3
    pixels, _ = camera.project(shape.to_world(shape.vertices[mask]))
    rows, columns = np.floor(pixels[:, 1]).astype(int), np.floor(pixels[:, 0]).astype(int)
    rgba[rows, columns, :3] = 120  # skin on a white head
    seen = judges_pictures.look_at_skin(views_of(spec, rgba), model)
    assert seen.pixels > 100
    assert seen.median == pytest.approx(luminance_of(120), abs=1e-3)
    assert seen.problem is None
    views = views_of(spec, rgba)
    behind = [camera.name for camera in views.cameras].index("back")
    views = dataclasses.replace(views, judged={"front": behind})
    from_behind = judges_pictures.look_at_skin(views, model)  # insides of the cheeks
    assert from_behind is None or from_behind.pixels < 0.15 * seen.pixels


@pytest.mark.parametrize(
    ("seen", "problem"),
    [
        (SkinSeen(9, 0.1, 0.2, 0.3, 0.0), None),
        (SkinSeen(9, 0.002, 0.005, 0.3, 0.0), "is not within"),
        (SkinSeen(9, 0.8, 0.9, 0.95, 0.0), "is not within"),
        (SkinSeen(9, 0.031, 0.032, 0.033, 0.0), "better lit quarter"),
        (SkinSeen(9, 0.1, 0.5, 0.7, 0.3), "30% of the skin is burnt"),
    ],
)
def test_skin_that_cannot_be_used(seen, problem):
    assert seen.problem is None if problem is None else problem in seen.problem


# ---------------------------------------------------------------------------------------- faces


def test_mediapipe_finds_a_real_face_and_none_where_there_is_none(spec, astronaut):
    photo = np.concatenate([iio.imread(astronaut), np.full((512, 512, 1), 255, np.uint8)], -1)
    aside, photo = photo, np.roll(photo, (130, 36), axis=(0, 1))  # the face comes to the middle
    spec = dataclasses.replace(spec, render=dataclasses.replace(spec.render, size=512))
    views = views_of(spec, photo)
    blank = plain(128, 512)
    views = dataclasses.replace(views, rgba=(photo, aside, blank, blank, blank, blank))
    seen = judges_faces.look_for_faces(views, FaceFinder(max_faces=1))
    found = {face.side: face.points for face in seen.faces}
    assert found["front_left"] is None  # nothing there
    assert found["front_right"] is None  # a face, but not where the head is
    numbers = judges_faces.point_numbers()
    points = dict(zip(numbers, found["front"]))
    left, right, chin = points[473], points[468], points[152]
    assert 20 < left[0] - right[0] < 80  # the subject's left is on the right of the picture
    assert chin[1] > left[1] + 30


def test_a_face_beside_the_head_does_not_count(spec):
    (camera, *_) = spec.resolved_cameras()
    points = np.zeros((478, 3))
    for centre, height, there in (
        ((48, 46), 26, True),
        ((20, 20), 26, False),
        ((48, 46), 5, False),
    ):
        points[:, 0] = centre[0]
        points[:, 1] = centre[1] + np.linspace(-height / 2, height / 2, 478)
        assert judges_faces.is_where_the_head_is(Face(points.copy()), camera) == there


def test_offsets_are_shares_of_the_eye_distance(spec, model):
    camera = spec.resolved_cameras()[0]
    truth = judges_landmarks.computed_landmarks(spec, model)
    pixels, _ = camera.project(truth.points)
    (left, right), _ = camera.project(truth.pupils)
    eyes_px = left[0] - right[0]
    assert truth.eye_distance_px(camera) == pytest.approx(eyes_px, rel=0.02)
    aside = orbit(-45.0, 0.0, size=SIZE)
    assert truth.eye_distance_px(aside) == pytest.approx(eyes_px, rel=0.06)  # a little farther off
    place = {number: i for i, number in enumerate(judges_faces.point_numbers())}
    points = np.zeros((len(place), 2))
    off_px = np.array([0.1, -0.05]) * eyes_px
    for name, pixel in zip(truth.names, pixels):
        points[place[judges_landmarks.MEDIAPIPE_INDEX[name]]] = pixel + off_px
    face = FaceSeen("front", 0, tuple(map(tuple, points)))
    offsets = judges_landmarks.landmark_offsets(truth, camera, face)
    assert len(offsets) > 60
    assert np.allclose(list(offsets.values()), [0.1, -0.05], atol=2e-3)
    rows = {row.group: row for row in judges_landmarks.summarise([offsets])}
    assert rows["all"].count == len(offsets)
    assert rows["all"].median == pytest.approx(np.hypot(0.1, 0.05), abs=1e-3)
    assert (rows["nose"].right, rows["nose"].down) == (pytest.approx(0.1), pytest.approx(-0.05))
    assert set(judges_landmarks.GROUPS) <= set(rows)


def test_hidden_landmarks_are_not_compared(spec, model):
    truth = judges_landmarks.computed_landmarks(spec, model)
    points = tuple((0.0, 0.0) for _ in judges_faces.point_numbers())
    cameras = {camera.name: camera for camera in spec.resolved_cameras()}
    left = judges_landmarks.landmark_offsets(truth, cameras["left"], FaceSeen("front", 0, points))
    assert "brow_left_upper_5" in left
    assert "brow_right_upper_5" not in left and "mouth_right" not in left


def test_landmarks_of_the_dataset_come_before_computed_ones(spec, model, tmp_path):
    located = locate(spec, model, model.shape(spec.identity, spec.expression, spec.pose))
    lifted = located.sparse + np.array([0.0, 0.0, 0.5])
    moved = dataclasses.replace(located, sparse=lifted)
    cameras = spec.resolved_cameras()
    seen = np.zeros((len(cameras), len(located.sparse) + len(located.dense)), np.uint8)
    seen[0, SPARSE_NAMES.index("nose_tip")] = Visibility.VISIBLE
    files = {"landmarks.npz": HeadLandmarks.of(moved, seen).to_bytes()}
    for name, extra in (("with", files), ("without", {})):
        with ShardWriter(tmp_path / f"{name}.tar") as writer:
            writer.add_head(spec, cameras, [plain(9)] * len(cameras), files=extra)
    (stored,), (bare,) = (ShardReader(tmp_path / f"{n}.tar").heads() for n in ("with", "without"))
    truth = judges_landmarks.stored_landmarks(stored)
    computed = judges_landmarks.computed_landmarks(spec, model)
    assert truth.names == computed.names
    assert np.allclose(truth.points - computed.points, [0.0, 0.0, 0.5], atol=1e-5)
    assert judges_landmarks.stored_landmarks(bare) is None
    points = tuple((0.0, 0.0) for _ in judges_faces.point_numbers())
    for view, names in ((0, {"nose_tip"}), (1, set())):
        face = FaceSeen("front", view, points)
        assert judges_landmarks.landmark_offsets(truth, cameras[view], face).keys() == names


# -------------------------------------------------------------------------------------- identity


def test_distances_are_sorted_into_same_and_different():
    vectors = np.zeros((4, 128))
    vectors[:, 0] = (0.0, 0.3, 0.7, 1.5)
    result = compare(list("abcd"), ["p", "p", "q", "q"], vectors, listed_pairs=2)
    assert sorted(result.same.tolist()) == pytest.approx([0.3, 0.8], abs=1e-3)
    assert sorted(result.different.tolist()) == pytest.approx([0.4, 0.7, 1.2, 1.5], abs=1e-3)
    assert result.alike_share == 0.25
    assert [(p.first, p.second) for p in result.look_alikes] == [("b", "c"), ("a", "c")]
    assert [(p.first, p.second) for p in result.strangers] == [("c", "d"), ("a", "b")]


def test_distances_of_one_person_are_told_by_what_differs():
    """Heads on a line: glasses move them by .3, a beard by .1, the light not at all."""
    looks = [
        {"glasses": g, "beard": b, "light": light}
        for g in ("none", "round") for b in ("none", "full") for light in ("sky", "studio", "hdri")
    ]  # fmt: skip
    vectors = np.zeros((len(looks), 128))
    vectors[:, 0] = [0.3 * (row["glasses"] == "round") for row in looks]
    vectors[:, 1] = [0.1 * (row["beard"] == "full") for row in looks]
    vectors[:, 2:14] = 0.2 * np.eye(12)  # every two pictures differ by .28 whatever is worn
    result = compare(list("abcdefghijkl"), ["p"] * 12, vectors, looks)
    rows = {row.what: row for row in result.changes}
    assert list(rows) == ["glasses", "beard", "light"]
    assert rows["glasses"].pairs == 36 and rows["glasses"].other_pairs == 30
    assert rows["glasses"].median > 0.41 > 0.31 > rows["glasses"].other_median
    assert rows["glasses"].effect == pytest.approx(0.13, abs=0.02)
    assert rows["beard"].effect == pytest.approx(0.015, abs=0.01)
    assert rows["light"].effect == pytest.approx(0.0, abs=0.01)
    few = compare(list("ab"), ["p", "p"], vectors[:2], looks[:2])
    assert {row.what: row.effect for row in few.changes} == {
        "glasses": None, "beard": None, "light": None,
    }  # fmt: skip
    assert [row.pairs for row in few.changes if row.what == "light"] == [1]
    assert compare(list("ab"), ["p", "q"], vectors[:2], looks[:2]).changes == ()


def test_a_look_is_told_in_words(spec):
    look = judges_identity.look_of(spec)
    assert look["head turned"] == "no" and look["hair colour"] == spec.hair.colour.name
    turned = dataclasses.replace(spec, pose=HeadPose(yaw_deg=-12.0))
    assert {k for k, v in judges_identity.look_of(turned).items() if v != look[k]} == {
        "head turned"
    }


@needs_dlib
def test_dlib_tells_real_people_apart(astronaut, admiral):
    network = DlibFaces()

    def embedding(rgb):
        box = network.find(rgb)
        assert box is not None
        return network.embed(rgb, box)

    photo = iio.imread(astronaut)[..., :3]
    collins, hopper = embedding(photo), embedding(iio.imread(admiral)[..., :3])
    darker = embedding((photo[60:400, 100:400] * 0.7).astype(np.uint8))
    assert np.linalg.norm(collins - darker) < 0.3
    assert np.linalg.norm(collins - hopper) > 0.6
    assert network.find(np.full((128, 128, 3), 128, np.uint8)) is None


def test_a_missing_dlib_says_what_to_install(monkeypatch):
    monkeypatch.setattr(judges_identity.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DeviceError, match=r"pip install 'headloom\[judges\]'"):
        DlibFaces()


# -------------------------------------------------------------------------------------- verdicts


def head(number: int, **seen) -> HeadSeen:
    return HeadSeen(f"spec{number}", number, f"person{number // 2}", {"front": 2.0}, **seen)


def verdicts(judgement) -> dict:
    return {verdict.goal.key: verdict for verdict in judgement.verdicts}


def test_verdicts_count_and_list_failures():
    pictures = PicturesSeen((0.3,), (0.2,), (0.0,), (0.0,))
    dark = SkinSeen(9, 0.001, 0.002, 0.003, 0.0)
    touching = dataclasses.replace(pictures, top_alpha=(1.0,))
    found_face, no_face = (
        FacesSeen((FaceSeen("front", 0, points),)) for points in (((1.0, 1.0),), None)
    )
    seen = [
        head(0, pictures=pictures, skin=dark, faces=found_face),
        head(1, pictures=touching, faces=no_face),
    ]
    judgement = give_verdicts(seen, {"identity": "dlib is not installed: pip", "landmarks": ""})
    found = verdicts(judgement)
    assert found["faces_front"].value == 0.5 and found["faces_front"].passed is False
    assert found["faces_front_side"].value is None
    assert found["skin"].value == 0.0 and found["cut_off"].value == 1
    assert found["broken"].passed is True
    assert found["dlib_front"].note == "not run: dlib is not installed: pip"
    assert found["dlib_front"].passed is None
    assert "landmarks_front_median" not in found  # was not asked for
    assert [(f.index, f.judge) for f in judgement.failures] == [
        (0, "pictures"), (1, "faces"), (1, "pictures"),
    ]  # fmt: skip
    assert "turned 2 degrees" in judgement.failures[1].reason
    assert judgement.found_by_angle[0].views == 2 and judgement.found_by_angle[0].found == 1


def test_identity_and_landmarks_reach_their_goals_or_not():
    def embedding(*values):
        return DlibSeen(True, tuple(values) + (0.0,) * (128 - len(values)))

    offsets = {"nose_tip": (0.03, 0.0), "chin": (0.0, 0.2)}
    seen = [
        head(0, dlib=embedding(0.0), offsets={"front": offsets}),
        head(1, dlib=embedding(0.4)),
        head(2, dlib=embedding(0.0, 0.9)),
        head(3, dlib=DlibSeen(False, None)),
    ]
    judgement = give_verdicts(seen, {})
    found = verdicts(judgement)
    assert found["dlib_front"].value == 0.75
    assert found["same_median"].value == pytest.approx(0.4) and found["same_median"].passed
    assert found["different_median"].passed and found["different_alike"].value == 0
    assert found["landmarks_front_median"].value == pytest.approx(0.115)
    assert not found["landmarks_front_median"].passed
    assert {f.judge for f in judgement.failures} == {"identity", "landmarks"}
    assert [e.rank for e in judgement.examples] == ["best"]  # one head is not shown four times


def test_a_goal_that_is_just_reached():
    reached = {
        sense: judges_verdicts.Goal("", "", "distance", 0.45, sense).met_by(0.45)
        for sense in ("at least", "at most", "under")
    }
    assert reached == {"at least": True, "at most": True, "under": False}
    assert judges_verdicts.Goal("", "", "share", None, "at most").met_by(0.5) is None
    assert judges_verdicts.Goal("", "", "share", 0.04, "at most").show(0.0402) == "4.02 %"


def test_every_goal_has_a_verdict_or_a_reason():
    judgement = give_verdicts([], {})
    assert [v.goal for v in judgement.verdicts] == list(GOALS)
    assert all(v.note for v in judgement.verdicts if v.value is None)


# -------------------------------------------------------------------------- a dataset, the cache


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    made = Dataset.create(tmp_path / "heads", CONFIG)
    for plan in made.plan():
        with ShardWriter(plan.path, dataset_id=made.dataset_id) as writer:
            for drawn in plan.specs(CONFIG):
                picture = plain(60 + 40 * drawn.index)
                writer.add_head(drawn, drawn.resolved_cameras(), [picture] * len(drawn.cameras))
    return made


def test_a_second_look_reads_no_picture(dataset, tmp_path, monkeypatch):
    done = []
    first = judges.judge(
        dataset.heads(), ("faces", "pictures"), cache=tmp_path / "c", done=done.append
    )
    assert done == [1, 2, 3]
    assert verdicts(first)["faces_front"].value == 0.0
    assert len(first.skin_medians) == 3
    monkeypatch.setattr(HeadViews, "read", lambda head: pytest.fail("decoded a picture"))
    again = judges.judge(dataset.heads(), ("faces", "pictures"), cache=tmp_path / "c", threads=3)
    assert again.verdicts == first.verdicts
    assert again.failures == first.failures
    assert again.skin_medians == first.skin_medians


def test_a_panel_knows_what_it_may_say_of_a_head(tmp_path, monkeypatch):
    """How far a face is turned counts its pose; of a user's own head no landmark is known."""
    points = tuple((40.0, 40.0) for _ in judges_faces.point_numbers())
    monkeypatch.setattr(
        judges_faces,
        "look_for_faces",
        lambda views, finder: FacesSeen((FaceSeen("front", views.judged["front"], points),)),
    )
    drawn = dataclasses.replace(sample_head(CONFIG, 1), pose=HeadPose(yaw_deg=20.0))
    own = dataclasses.replace(drawn, index=2, user_parts=UserParts(head="studio:anna"))
    with ShardWriter(tmp_path / "s.tar") as writer:
        for spec in (drawn, own):
            writer.add_head(spec, spec.resolved_cameras(), [plain(120)] * len(spec.cameras))
    panel = judges._Panel(("faces", "landmarks", "pictures"), None)
    ours, users = map(panel.look_at, ShardReader(tmp_path / "s.tar").heads())
    assert ours.turned_deg == pytest.approx(
        {"front": -20.0, "front_left": 25.0, "front_right": -65.0}
    )
    assert ours.offsets["front"] and ours.skin is not None and not ours.no_truth
    assert users.offsets == {} and users.skin is None and users.no_truth
    assert users.faces is not None and users.pictures is not None
    assert give_verdicts([ours, users], {}).no_truth == 1


def test_the_cache_knows_other_pictures_and_other_definitions(dataset, tmp_path):
    heads = list(dataset.heads())
    assert len({pictures_key(head) for head in heads}) == 3
    moved = dataclasses.replace(
        heads[0], members={**heads[0].members, "cameras.json": heads[1].members["spec.json"]}
    )
    assert pictures_key(moved) != pictures_key(heads[0])  # the same pictures, other cameras
    path = tmp_path / "dlib.jsonl"
    cache = ObservationCache(path, DlibSeen, "1")
    cache.put(pictures_key(heads[0]), DlibSeen(True, (0.5, 0.25)))
    cache.save()
    assert ObservationCache(path, DlibSeen, "1").get(pictures_key(heads[0])).embedding == (
        0.5,
        0.25,
    )
    assert ObservationCache(path, DlibSeen, "1").get(pictures_key(heads[1])) is None
    assert len(ObservationCache(path, DlibSeen, "2")) == 0
    path.write_text(path.read_text().replace("true", "7"))
    with pytest.raises(ConfigError, match="delete it"):
        ObservationCache(path, DlibSeen, "1")


def test_names_of_judges_are_checked():
    assert judges.parse_judges("all") == judges.JUDGES
    assert judges.parse_judges("none") == ()
    assert judges.parse_judges("faces, pictures") == ("faces", "pictures")
    with pytest.raises(ConfigError, match="'fases' is not one of"):
        judges.parse_judges("fases")


def test_a_judgement_is_plain_data(dataset):
    from infer.datasheet import numbers
    from infer.datasheet_data import collect_facts

    judgement = judges.judge(dataset.heads(), ("pictures",))
    data = numbers(dataset, collect_facts(dataset), judgement)
    read = json.loads(json.dumps(data))
    assert {v["key"] for v in read["judges"]["verdicts"]} == {"skin", "cut_off", "broken"}
    assert judges_verdicts.Goal("a", "b", "share", 0.98, "at least").show(0.5) == "50.0 %"
