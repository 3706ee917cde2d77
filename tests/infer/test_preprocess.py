"""Faces land where the training views show them, and the matte holds the person."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from infer import faces, framing
from infer.faces import FaceFinder, quiet_native_log
from infer.matte import clean_edge_colours, largest_component
from infer.photo import read_photo
from infer.preprocess import PreparedPhoto
from synth.camera import canonical_six
from synth.errors import InputError


def face_measures(rgb: np.ndarray) -> tuple[float, float, float, float]:
    """Eyes' height, chin's height, middle of the face, width: measured again, over the side."""
    points = FaceFinder().find(rgb)[0].landmarks / rgb.shape[0]
    eyes = points[[faces.RIGHT_EYE_OUTER, faces.LEFT_EYE_OUTER]]
    sides = points[[faces.RIGHT_SIDE, faces.LEFT_SIDE]]
    roll = abs(eyes[1, 1] - eyes[0, 1]) / (eyes[1, 0] - eyes[0, 0])
    assert roll < 0.03
    width = float(np.linalg.norm(sides[1] - sides[0]))
    return eyes[:, 1].mean(), points[faces.CHIN, 1], sides[:, 0].mean(), width


@pytest.mark.parametrize("person", ["astronaut", "admiral"])
def test_a_face_lands_in_the_canonical_framing(person, preprocessor, request):
    prepared = preprocessor.prepare(request.getfixturevalue(person))
    assert prepared.rgba.shape == (128, 128, 4)
    enlarged = Image.fromarray(prepared.on_white()).resize((512, 512), Image.Resampling.BICUBIC)
    eyes_y, chin_y, centre_x, width = face_measures(np.asarray(enlarged))
    assert eyes_y == pytest.approx(framing.EYE_Y, abs=0.025)
    assert chin_y == pytest.approx(framing.CHIN_Y, abs=0.025)
    assert centre_x == pytest.approx(framing.FACE_CENTRE_X, abs=0.015)
    assert width == pytest.approx(framing.FACE_WIDTH, rel=0.15)


@pytest.mark.parametrize("person", ["astronaut", "admiral"])
def test_the_matte_holds_the_person_and_nothing_else(person, preprocessor, request):
    prepared = preprocessor.prepare(request.getfixturevalue(person))
    alpha = prepared.rgba[..., 3]
    inside = prepared.landmarks.astype(int).clip(0, 127)
    assert np.quantile(alpha[inside[:, 1], inside[:, 0]], 0.03) > 200  # the face
    assert alpha[-8:, 54:74].min() > 200  # the chest, to the frame's edge
    assert alpha[:40, :16].max() == 0  # both upper corners
    assert alpha[:40, -16:].max() == 0
    assert 0.3 < (alpha > 127).mean() < 0.75
    assert (prepared.rgba[alpha == 0][:, :3] == 0).all()
    soft = ((alpha > 8) & (alpha < 247)).mean()
    assert 0.002 < soft < 0.08


def test_the_crop_follows_scale_roll_and_shift(preprocessor, astronaut, tmp_path):
    """The same photo turned, enlarged and moved gives the same crop."""
    straight = preprocessor.prepare(astronaut)
    photo = Image.open(astronaut)
    canvas = Image.new("RGB", (1400, 1200), (90, 90, 90))
    canvas.paste(photo.resize((900, 900), Image.Resampling.BICUBIC), (300, 250))
    canvas.rotate(12, center=(690, 400), fillcolor=(90, 90, 90)).save(tmp_path / "moved.png")
    moved = preprocessor.prepare(tmp_path / "moved.png")
    assert moved.roll_deg == pytest.approx(straight.roll_deg - 12, abs=1.5)
    assert np.abs(moved.landmarks - straight.landmarks).mean() < 1.5  # of 128 px
    difference = np.abs(moved.on_white().astype(int) - straight.on_white())[30:90, 40:88]
    assert np.median(difference) < 12


def test_the_photo_camera_sees_what_the_crop_camera_sees(preprocessor, admiral):
    prepared = preprocessor.prepare(admiral)
    camera = prepared.photo_camera()
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (50, 3))
    in_photo, depth = camera.project(points)
    in_crop, crop_depth = canonical_six(prepared.size)[0].project(points)
    mapped = framing.transform_points(prepared.crop_from_photo, in_photo)
    np.testing.assert_allclose(mapped, in_crop, atol=1e-8)
    np.testing.assert_allclose(depth, crop_depth, atol=1e-12)
    rotation = camera.cam_from_world[:3, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    nose, _ = camera.project(np.array([[0.0, -0.55, 0.0]]))  # on the face, seen in the photo's face
    assert 170 < nose[0, 0] < 360
    assert 130 < nose[0, 1] < 340


def test_of_several_faces_the_most_prominent_is_taken(preprocessor, astronaut, admiral, tmp_path):
    canvas = Image.new("RGB", (1200, 700), (120, 120, 120))
    canvas.paste(Image.open(astronaut).resize((450, 450)), (20, 150))
    canvas.paste(Image.open(admiral), (500, 60))
    canvas.save(tmp_path / "two.png")
    prepared = preprocessor.prepare(tmp_path / "two.png")
    assert prepared.face_count == 2
    centre = np.linalg.inv(prepared.crop_from_photo) @ [64, 64, 1]
    assert 680 < centre[0] < 860


def test_a_small_face_in_a_large_picture_is_found(astronaut):
    photo = read_photo(astronaut).rgb
    canvas = np.full((1500, 1500, 3), 170, np.uint8)
    canvas[800:1056, 300:556] = np.asarray(Image.fromarray(photo).resize((256, 256)))
    found = FaceFinder().find(canvas)
    assert len(found) == 1
    x0, y0, x1, y1 = found[0].box
    assert 380 < x0 < x1 < 445
    assert 825 < y0 < y1 < 900


@pytest.mark.parametrize("kind", ["noise", "stripes", "flat"])
def test_without_a_face_the_file_is_named(kind, preprocessor, tmp_path):
    pictures = {
        "noise": np.random.default_rng(0).integers(0, 255, (300, 300, 3), dtype=np.uint8),
        "stripes": np.where(np.arange(300)[None, :, None] // 12 % 2, 230, 20)
        .repeat(300, 0).repeat(3, 2).astype(np.uint8),
        "flat": np.full((300, 300, 3), 128, np.uint8),
    }  # fmt: skip
    path = tmp_path / f"{kind}.png"
    Image.fromarray(pictures[kind]).save(path)
    with pytest.raises(InputError, match=rf"{kind}\.png: no face found"):
        preprocessor.prepare(path)


def test_a_face_of_few_pixels_is_refused(preprocessor, astronaut, tmp_path):
    Image.open(astronaut).resize((128, 128)).save(tmp_path / "thumbnail.png")
    with pytest.raises(InputError, match=r"thumbnail\.png: the face is only \d+ px wide"):
        preprocessor.prepare(tmp_path / "thumbnail.png")


def test_a_cut_out_keeps_its_own_matte(preprocessor, astronaut, tmp_path):
    rgb = np.asarray(Image.open(astronaut).convert("RGB"))
    alpha = np.zeros((512, 512, 1), np.uint8)
    alpha[40:512, 120:330] = 255  # deliberately a box, not the person
    Image.fromarray(np.concatenate([rgb, alpha], -1)).save(tmp_path / "cut.png")
    prepared = preprocessor.prepare(tmp_path / "cut.png")
    assert prepared.matte_source == "photo"
    corners = np.array([[125.0, 60.0], [325.0, 60.0]])
    inside = framing.transform_points(prepared.crop_from_photo, corners).astype(int)
    assert (prepared.rgba[inside[:, 1], inside[:, 0], 3] == 255).all()
    assert prepared.rgba[2, 64, 3] == 0  # above the box


def test_the_same_photo_gives_the_same_pixels(preprocessor, admiral, astronaut):
    first = preprocessor.prepare(admiral)
    preprocessor.prepare(astronaut)
    again = preprocessor.prepare(admiral)
    assert isinstance(again, PreparedPhoto)
    np.testing.assert_array_equal(first.rgba, again.rgba)


def test_beyond_the_photo_only_the_chest_goes_on(preprocessor, admiral):
    """Her shoulders are wider than the photo; cut its lower part off as well."""
    rgb = read_photo(admiral).rgb[:420, 80:440]
    prepared = preprocessor.prepare(rgb)
    corners = np.array([[0.0, 0.0], [360.0, 420.0]])
    left, right = framing.transform_points(prepared.crop_from_photo, corners)[:, 0]
    bottom = framing.transform_points(prepared.crop_from_photo, corners)[1, 1]
    assert 12 < left < right < 116
    assert bottom < 118
    alpha = prepared.rgba[..., 3]
    assert alpha[:, : int(left) - 8].max() == 0  # the edges lean by the roll
    assert alpha[:, int(right) + 9 :].max() == 0
    assert alpha[-1, 54:74].min() > 200


def test_native_chatter_is_dropped_and_the_rest_kept(capfd):
    with quiet_native_log():
        os.write(2, b"W0000 00:00:1795365061.833173    7324 inference_feedback_manager.cc:114] x\n")
        os.write(2, b"a real message\n")
    with pytest.raises(ZeroDivisionError), quiet_native_log():
        1 / 0  # noqa: B018
    assert capfd.readouterr().err == "a real message\n"


def test_mediapipe_is_silent(capfd, astronaut):
    FaceFinder().find(read_photo(astronaut).rgb)
    assert capfd.readouterr().err == ""


def test_largest_component_prefers_the_face():
    mask = np.zeros((20, 20), bool)
    mask[2:6, 2:6] = True
    mask[8:20, 8:20] = True
    face = np.zeros_like(mask)
    face[3:5, 3:5] = True
    assert largest_component(mask, face)[:7, :7].sum() == 16
    assert largest_component(mask, face).sum() == 16
    assert largest_component(mask, np.zeros_like(mask)).sum() == 144


def test_edge_colours_come_from_inside():
    rgb = np.zeros((40, 40, 3))
    rgb[:, :20] = (0.8, 0.4, 0.2)
    rgb[:, 20:] = (0.0, 1.0, 0.0)  # green screen
    alpha = np.clip((22 - np.arange(40)) / 4, 0, 1)[None].repeat(40, 0)
    clean = clean_edge_colours(rgb, alpha)
    soft = (alpha > 0.01) & (alpha < 0.97)
    np.testing.assert_allclose(clean[soft], np.broadcast_to((0.8, 0.4, 0.2), (soft.sum(), 3)),
                               atol=0.02)  # fmt: skip
    np.testing.assert_array_equal(clean[:, :15], rgb[:, :15].astype(np.float32))
