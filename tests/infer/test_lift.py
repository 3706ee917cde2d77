"""From a photo file to a result folder, with the real models at tiny size."""

from __future__ import annotations

import dataclasses
import json

import imageio.v3 as iio
import numpy as np
import plyfile
import pytest
import torch

from infer import artifacts, film, preview
from infer.config import LiftConfig, PruneConfig, TurntableConfig, WeightsConfig
from infer.lifter import Lifter
from infer.predictor import prune
from infer.weights import load_weight_set
from synth.camera import Camera, orbit
from synth.config import load_config
from synth.errors import CheckpointError, ConfigError, InputError
from train.gaussians import Gaussians

FILES = {
    "input.png", "input_rgba.png", "views.png", "head.ply", "turntable.mp4", "spin.jpg",
    "lift.json",
}  # fmt: skip


@pytest.fixture(scope="module")
def lifted(lifter, astronaut, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lifted")
    assert lifter.lift_photo(astronaut, folder)
    return folder


def test_a_photo_becomes_a_complete_folder(lifted, astronaut, tiny_weights):
    assert {path.name for path in lifted.iterdir()} == FILES
    assert iio.imread(lifted / "input.png").shape == (32, 32, 3)
    assert iio.imread(lifted / "input_rgba.png").shape == (32, 32, 4)
    assert iio.imread(lifted / "views.png").shape == (32, 6 * 32 + 5 * 4, 3)
    assert iio.imread(lifted / "spin.jpg").shape == (16, 6 * 16, 3)
    record = json.loads((lifted / "lift.json").read_text())
    vertex = plyfile.PlyData.read(lifted / "head.ply")["vertex"]
    assert len(vertex) == record["gaussians"]["count"] <= record["gaussians"]["predicted"]
    assert record["gaussians"]["predicted"] >= 6 * 32 * 32
    assert record["input"]["path"] == str(astronaut)
    assert record["config"]["seed"] == 0
    for kind in ("vae", "diffusion", "gslrm"):
        weights = record["weights"][kind]
        assert weights["source"] == "fallback"
        assert weights["samples_seen"] == 7
        assert weights["path"].startswith(str(tiny_weights))
    camera = Camera.from_json(record["photo_camera"])
    assert (camera.width, camera.height) == (512, 512)
    assert {"prepare_s", "views_s", "gaussians_s", "preview_s", "total_s"} <= set(record["timings"])
    assert record["versions"]["torch"] == torch.__version__


def test_the_turntable_plays(lifted, tiny_config):
    frames = list(film.read_frames(lifted / "turntable.mp4"))
    assert len(frames) == tiny_config.turntable.frames
    assert frames[0].shape == (32, 32, 3)
    assert film.frames_per_second(lifted / "turntable.mp4") == tiny_config.turntable.fps


def test_a_second_run_does_nothing_and_another_seed_is_refused(lifted, lifter, astronaut, admiral):
    before = (lifted / "lift.json").stat().st_mtime_ns
    assert not lifter.lift_photo(astronaut, lifted)
    assert (lifted / "lift.json").stat().st_mtime_ns == before
    other = Lifter(dataclasses.replace(lifter.config, seed=1))
    key = json.loads((lifted / "lift.json").read_text())["key"]
    with pytest.raises(ConfigError, match=rf"key {key[:12]}.*--overwrite"):
        other.lift_photo(astronaut, lifted)
    with pytest.raises(ConfigError, match="another input"):
        lifter.lift_photo(admiral, lifted)


@pytest.mark.parametrize("kind", ["vae", "diffusion", "gslrm"])
def test_a_result_of_other_weights_is_not_taken_for_done(lifted, lifter, astronaut, kind):
    model = dataclasses.replace(getattr(lifter.weights, kind), digest="0" * 64)
    other = Lifter(lifter.config, dataclasses.replace(lifter.weights, **{kind: model}))
    with pytest.raises(ConfigError, match="another input, configuration or weights"):
        other.lift_photo(astronaut, lifted)


def test_the_device_does_not_belong_to_the_key(lifted, lifter, astronaut):
    other = Lifter(dataclasses.replace(lifter.config, device="auto"))
    assert not other.lift_photo(astronaut, lifted)


def test_overwrite_replaces_and_seeds_differ(lifter, astronaut, admiral, tmp_path):
    splats = []
    for turn, seed in enumerate((0, 1, 0)):
        seeded = Lifter(dataclasses.replace(lifter.config, seed=seed), lifter.weights)
        if turn == 2:
            seeded.lift_photo(admiral, tmp_path / "between")  # must not matter to what follows
        assert seeded.lift_photo(astronaut, tmp_path / "head", overwrite=True)
        splats.append((tmp_path / "head" / "head.ply").read_bytes())
    assert splats[0] == splats[2]
    assert splats[0] != splats[1]


def test_a_killed_run_leaves_no_complete_folder(lifter, astronaut, tmp_path, monkeypatch):
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(film, "write_mp4", die)
        with pytest.raises(KeyboardInterrupt):
            lifter.lift_photo(astronaut, tmp_path / "head")
    assert list((tmp_path / "head").iterdir()) == []
    assert lifter.lift_photo(astronaut, tmp_path / "head")
    assert {path.name for path in (tmp_path / "head").iterdir()} == FILES


def test_publish_keeps_foreign_files_and_writes_the_marker_last(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")

    def write(folder):
        (folder / "a.txt").write_text("a")
        assert not (tmp_path / "lift.json").exists()

    artifacts.publish(tmp_path, write, {"key": "k"})
    assert {p.name for p in tmp_path.iterdir()} == {"notes.txt", "a.txt", "lift.json"}
    assert artifacts.is_done(tmp_path, "k")
    (tmp_path / "lift.json").write_text("{")
    with pytest.raises(ConfigError, match=r"cannot read .*lift\.json"):
        artifacts.is_done(tmp_path, "k")


def test_missing_and_mismatched_weights(tiny_weights, tmp_path, monkeypatch):
    monkeypatch.setattr("infer.weights.SHIPPED", tmp_path / "none")
    with pytest.raises(CheckpointError, match=r"no diffusion weights.*headloom train diffusion"):
        load_weight_set(WeightsConfig())
    with pytest.raises(CheckpointError, match="holds vae weights, gslrm weights are needed"):
        load_weight_set(WeightsConfig(gslrm=tiny_weights / "vae", fallback=tiny_weights))
    with pytest.raises(CheckpointError, match="pass the autoencoder"):
        load_weight_set(
            WeightsConfig(diffusion=tiny_weights / "diffusion", gslrm=tiny_weights / "gslrm")
        )


def test_shipped_weights_go_before_the_fallback(tiny_weights, tmp_path, monkeypatch):
    from train.checkpoint import export

    export(tiny_weights / "gslrm", tmp_path / "gslrm")
    monkeypatch.setattr("infer.weights.SHIPPED", tmp_path)
    weights = load_weight_set(WeightsConfig(fallback=tiny_weights))
    assert weights.gslrm.source == "shipped"
    assert weights.gslrm.samples_seen == 7
    assert weights.diffusion.source == weights.vae.source == "fallback"
    given = load_weight_set(WeightsConfig(gslrm=tiny_weights / "gslrm", fallback=tiny_weights))
    assert given.gslrm.source == "given"
    assert given.gslrm.digest == weights.gslrm.digest  # the same numbers in another file


def test_the_front_view_is_the_photo_unless_told_otherwise(lifter, astronaut):
    prepared = lifter.preprocessor.prepare(astronaut)
    seen = []
    predictor = lifter.predictor
    original = predictor.reconstructor.forward

    def watch(images, *cameras):
        seen.append(images[0, 0])
        return original(images, *cameras)

    predictor.reconstructor.forward = watch
    try:
        painted = predictor.lift(prepared).views[0]
    finally:
        predictor.reconstructor.forward = original
    photo = torch.from_numpy(prepared.on_white()).permute(2, 0, 1) / 255
    torch.testing.assert_close(seen[0], photo)
    assert np.abs(painted.astype(int) - prepared.on_white()).mean() > 5  # untrained: not the photo


def test_a_photo_of_another_size_is_refused(lifter, preprocessor, astronaut):
    with pytest.raises(InputError, match="prepared at 128 px, the models want 32"):
        lifter.predictor.lift(preprocessor.prepare(astronaut))


def test_prune_drops_faint_foggy_and_far_gaussians_only():
    gaussians = Gaussians.from_activated(
        means=torch.tensor([[0.0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 1.4], [1.2, 0, -1.2]]),
        quats=torch.tensor([[1.0, 0, 0, 0]]).repeat(5, 1),
        scales=torch.tensor([0.1, 0.1, 0.5, 0.1, 0.1])[:, None].repeat(1, 3),
        opacities=torch.tensor([0.9, 0.03, 0.9, 0.9, 0.9]),
        rgb=torch.rand(5, 3),
    )
    kept = prune(gaussians, PruneConfig())
    assert kept.count == 2
    torch.testing.assert_close(kept.means, gaussians.means[[0, 4]])  # shoulders stay
    faint = dataclasses.replace(gaussians, logit_opacities=torch.full((5,), -9.0))
    assert prune(faint, PruneConfig()).count == 1


def test_prune_keeps_the_most_opaque_of_those_that_pass():
    gaussians = Gaussians.from_activated(
        means=torch.tensor([[0.0, 0, 0], [0.1, 0, 0], [0, 0, 1.4], [0.2, 0, 0]]),
        quats=torch.tensor([[1.0, 0, 0, 0]]).repeat(4, 1),
        scales=torch.full((4, 3), 0.1),
        opacities=torch.tensor([0.5, 0.9, 0.95, 0.7]),
        rgb=torch.rand(4, 3),
    )
    kept = prune(gaussians, PruneConfig(max_gaussians=2))
    torch.testing.assert_close(kept.means, gaussians.means[[1, 3]])  # the far one is no rival
    assert prune(gaussians, PruneConfig(max_gaussians=3)).count == 3
    with pytest.raises(ValueError, match="max_gaussians 0"):
        PruneConfig(max_gaussians=0)


def test_render_views_sees_the_colour_where_the_gaussian_is():
    gaussians = Gaussians.from_activated(
        means=torch.tensor([[0.5, 0.0, 0.5]]),
        quats=torch.tensor([[1.0, 0, 0, 0]]),
        scales=torch.full((1, 3), 0.1),
        opacities=torch.tensor([0.99]),
        rgb=torch.tensor([[1.0, 0.0, 0.0]]),
    )
    front = orbit(-90.0, 0.0, size=64)
    (picture,) = preview.render_views(gaussians, [front])
    (x, y), _ = front.project(np.array([[0.5, 0.0, 0.5]]))[0][0], None
    centre = picture[int(y), int(x)]
    assert centre[0] > 250
    assert centre[1] < 20
    assert picture[40, 20].tolist() == [255, 255, 255]
    assert x > 32 > y  # +X is the subject's left, on the right of the picture


def test_config_reads_yaml_and_refuses_nonsense():
    config = load_config(
        LiftConfig, None, ["seed=3", "weights.vae=runs/vae", "turntable.frames=36"]
    )
    assert config.seed == 3
    assert str(config.weights.vae) == "runs/vae"
    assert config.turntable == TurntableConfig(frames=36)
    with pytest.raises(ConfigError, match="spin_frames 36 must divide"):
        load_config(LiftConfig, None, ["turntable.frames=40"])
    with pytest.raises(ConfigError, match=r"guidence.*guidance"):
        load_config(LiftConfig, None, ["guidence=2"])


def test_every_step_of_a_photo_is_told(lifter, astronaut, tmp_path):
    told = []
    lifter.lift_photo(astronaut, tmp_path / "a", progress=lambda *what: told.append(what))
    views = [(done, total) for stage, done, total in told if stage == "six views"]
    assert views == [(done, views[-1][1]) for done in range(1, views[-1][1] + 1)]
    assert told[-1] == ("turntable", 0, 1)
