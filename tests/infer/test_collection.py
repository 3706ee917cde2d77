"""What is lifted where, and that one bad input fails alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from infer.collection import (
    LiftItem,
    LiftResult,
    LiftSummary,
    find_items,
    lift_item,
    write_failures,
)
from synth.errors import InputError


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def test_items_of_a_folder(tmp_path):
    photos = tmp_path / "photos"
    names = "anna.jpg", "ben.PNG", "ben.jpeg", "2020/anna.jpg", "notes.txt", ".hid/x.png", "f.mp4"
    touch(*(photos / name for name in names))
    out = photos / "lifted"  # inside the input: its pictures are no inputs
    touch(out / "anna" / "input.png")
    items = find_items([photos], out)
    assert {str(i.path.relative_to(photos)): str(i.folder.relative_to(out)) for i in items} == {
        "anna.jpg": "anna", "ben.PNG": "ben.PNG", "ben.jpeg": "ben.jpeg",
        "2020/anna.jpg": "2020/anna",
    }  # fmt: skip
    assert {item.kind for item in items} == {"photo"}


def test_one_file_goes_straight_to_out_and_several_below(tmp_path):
    touch(tmp_path / "anna.jpg", tmp_path / "talk.MP4")
    anna, talk = tmp_path / "anna.jpg", tmp_path / "talk.MP4"
    assert find_items([anna], tmp_path / "out") == [LiftItem(anna, tmp_path / "out", "photo")]
    assert [(i.folder.name, i.kind) for i in find_items([anna, talk], tmp_path / "out")] == [
        ("anna", "photo"), ("talk", "video"),
    ]  # fmt: skip


def test_inputs_that_make_no_sense(tmp_path):
    touch(tmp_path / "empty" / "notes.txt", tmp_path / "a" / "x.jpg", tmp_path / "b" / "x.jpg")
    with pytest.raises(InputError, match="no such file"):
        find_items([tmp_path / "absent.jpg"], tmp_path / "out")
    with pytest.raises(InputError, match="holds no photo"):
        find_items([tmp_path / "empty"], tmp_path / "out")
    with pytest.raises(InputError, match="both input and --out"):
        find_items([tmp_path / "a"], tmp_path / "a")
    with pytest.raises(InputError, match=r"several inputs are named x\.jpg"):
        find_items([tmp_path / "a" / "x.jpg", tmp_path / "b" / "x.jpg"], tmp_path / "out")


def test_a_bad_file_fails_alone_and_is_named(lifter, astronaut, tmp_path):
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    (photos / "bad.jpg").write_text("no picture")
    Image.new("RGB", (200, 200), (50, 90, 120)).save(photos / "wall.png")
    shutil.copy(astronaut, photos / "eileen.png")
    items = find_items([photos], out)
    results = [lift_item(lifter, item) for item in items]
    assert [result.status for result in results] == ["failed", "done", "failed"]
    write_failures(out, results)
    lines = [json.loads(line) for line in (out / "failures.jsonl").read_text().splitlines()]
    assert [Path(line["path"]).name for line in lines] == ["bad.jpg", "wall.png"]
    assert "no face found" in lines[1]["error"]

    shutil.copy(astronaut, photos / "bad.jpg")  # repaired: the second run finishes the rest
    results = [lift_item(lifter, item) for item in items]
    assert [result.status for result in results] == ["done", "skipped", "failed"]
    summary = LiftSummary(tuple(results))
    assert (summary.done, summary.skipped, summary.failed) == (1, 1, 1)
    assert "wall.png: no face found" in str(summary)
    write_failures(out, results[:2])
    assert not (out / "failures.jsonl").exists()


def test_a_bug_on_one_photo_is_reported_as_its_failure(lifter, tmp_path, monkeypatch):
    def boom(*_: object, **__: object) -> bool:
        raise RuntimeError("unexpected")

    monkeypatch.setattr(type(lifter), "lift_photo", boom)
    result = lift_item(lifter, LiftItem(tmp_path / "a.jpg", tmp_path / "out", "photo"))
    assert result == LiftResult(
        str(tmp_path / "a.jpg"), str(tmp_path / "out"), "failed",
        f"{tmp_path / 'a.jpg'}: RuntimeError: unexpected",
    )  # fmt: skip
