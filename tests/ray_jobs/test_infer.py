"""Lifting through Ray Data: one bad photo fails alone, a killed worker costs one input."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import shutil
import sys
from pathlib import Path

import pytest

from infer.config import LiftConfig, TurntableConfig, WeightsConfig
from ray_jobs import infer as ray_infer
from ray_jobs.cluster import connect
from ray_jobs.infer import lift
from synth.errors import CheckpointError, InputError

PHOTO = (
    Path(importlib.util.find_spec("skimage").submodule_search_locations[0]) / "data/astronaut.png"
)


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> LiftConfig:
    helper = Path(__file__).parents[1] / "infer" / "tiny_weights.py"
    spec = importlib.util.spec_from_file_location("headloom_tiny_weights", helper)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return LiftConfig(
        device="cpu",
        weights=WeightsConfig(fallback=module.write_tiny_weights(tmp_path_factory.mktemp("w"))),
        turntable=TurntableConfig(frames=4, size_px=32, fps=4, spin_frames=4, spin_size_px=16),
    )


@pytest.fixture
def photos(tmp_path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    shutil.copy(PHOTO, folder / "eileen.png")
    (folder / "bad.jpg").write_text("no picture")
    return folder


def test_one_photo_needs_no_ray(config, tmp_path, monkeypatch):
    def no_ray(*_: object, **__: object) -> None:
        raise AssertionError("Ray was started for one photo")

    monkeypatch.setattr(ray_infer, "connect", no_ray)
    out = tmp_path / "out"
    assert lift([PHOTO], out, config=config).done == 1
    assert (out / "head.ply").is_file()
    assert lift([PHOTO], out, config=config).skipped == 1
    (tmp_path / "bad.jpg").write_text("no picture")
    with pytest.raises(InputError, match=r"bad\.jpg: not an image"):
        lift([tmp_path / "bad.jpg"], tmp_path / "other", config=config)


def test_missing_weights_end_the_run_before_ray_starts(photos, tmp_path, monkeypatch):
    monkeypatch.setattr("infer.weights.SHIPPED", tmp_path / "none")
    monkeypatch.setattr(ray_infer, "connect", None)
    with pytest.raises(CheckpointError, match="no diffusion weights"):
        lift([photos], tmp_path / "out", config=LiftConfig())


@pytest.mark.ray
@pytest.mark.slow
def test_a_folder_through_ray_data(config, photos, tmp_path, capfd):
    out = tmp_path / "out"
    with connect(), contextlib.chdir(tmp_path):  # the workers live in the directory before
        summary = lift([Path("photos")], Path("out"), config=config, progress=False)
    assert [(Path(r.path).name, r.status) for r in summary.results] == [
        ("bad.jpg", "failed"),
        ("eileen.png", "done"),
    ]
    assert (out / "eileen" / "lift.json").is_file()
    failure = json.loads((out / "failures.jsonl").read_text())
    assert failure["path"] == "photos/bad.jpg"

    # The second run finishes the rest; a photo that kills its worker is given up, alone.
    shutil.copy(PHOTO, photos / "bad.jpg")
    shutil.copy(PHOTO, photos / "killer.png")
    second = lift_with_a_killer(config, photos, out)
    assert [(Path(r.path).name, r.status) for r in second.results] == [
        ("bad.jpg", "done"),
        ("eileen.png", "skipped"),
        ("killer.png", "failed"),
    ]
    assert "killer.png: the worker that lifted it died" in second.failures[0].error
    assert "Traceback" not in capfd.readouterr().err


class KillerActor(ray_infer.LiftActor):
    """Dies without a word on one file, as a segmentation fault would."""

    def __call__(self, batch):
        import os

        if any("killer" in str(path) for path in batch["path"]):
            os._exit(1)
        return super().__call__(batch)


def lift_with_a_killer(config, photos, out):
    original = ray_infer.LiftActor
    ray_infer.LiftActor = KillerActor
    try:
        return lift([photos], out, config=config, progress=False)
    finally:
        ray_infer.LiftActor = original
