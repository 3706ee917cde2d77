"""Checkpoints and exports: complete or absent, and never of another model."""

from __future__ import annotations

import shutil

import pytest
import torch
import yaml

from synth.errors import CheckpointError
from train import checkpoint
from train.loop import train


@pytest.fixture(scope="module")
def finished(toy_module, heads, tmp_path_factory):
    """A finished run of 5 steps with a checkpoint at each, of which three are kept."""
    from train.loop import TrainConfig

    run = tmp_path_factory.mktemp("finished")
    config = toy_module.ToyConfig(
        train=TrainConfig(steps=5, checkpoint_every=1, keep_checkpoints=3, learning_rate=0.05)
    )
    train(toy_module.ToyTask(config), heads, run, progress=False)
    return run


@pytest.fixture
def run(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


def test_only_the_last_checkpoints_are_kept(run):
    names = sorted(p.name for p in (run / "checkpoints").iterdir())
    assert names == ["step-00000003", "step-00000004", "step-00000005"]
    assert checkpoint.latest(run).state.step == 5


def test_a_kill_while_an_old_checkpoint_goes_leaves_only_what_is_swept(run, monkeypatch):
    def die(path):
        (path / "ema.safetensors").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", die)
        with pytest.raises(KeyboardInterrupt):
            checkpoint._remove(run / "checkpoints" / "step-00000003")
    assert checkpoint.latest(run).state.step == 5  # without a warning, which would be an error
    checkpoint.remove_leftovers(run)
    names = sorted(p.name for p in (run / "checkpoints").iterdir())
    assert names == ["step-00000004", "step-00000005"]


def test_latest_of_nothing_is_none(tmp_path):
    assert checkpoint.latest(tmp_path / "nowhere") is None


def test_a_crash_while_saving_leaves_no_checkpoint(toy, heads, tmp_path, monkeypatch):
    """Whatever step of the writing fails, what is there is complete."""
    task = toy(steps=2, checkpoint_every=1)
    write = checkpoint._write_tensors

    def fail_at_the_optimizer(tensors, path):
        if path.name == "optimizer.safetensors":
            raise OSError("no space left on device")
        write(tensors, path)

    monkeypatch.setattr(checkpoint, "_write_tensors", fail_at_the_optimizer)
    with pytest.raises(OSError, match="no space"):
        train(task, heads, tmp_path, progress=False)
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_load_weights_from_run_checkpoint_and_export(run, tmp_path):
    from_run, config, kind = checkpoint.load_weights(run)
    assert kind == "toy" and config["width"] == 8
    at_3, _, _ = checkpoint.load_weights(run / "checkpoints" / "step-00000003")
    assert not torch.equal(from_run["0.weight"], at_3["0.weight"])
    raw, _, _ = checkpoint.load_weights(run, ema=False)
    assert not torch.equal(from_run["0.weight"], raw["0.weight"])

    checkpoint.export(run, tmp_path / "full")
    exported, exported_config, exported_kind = checkpoint.load_weights(tmp_path / "full")
    assert (exported_config, exported_kind) == (config, kind)
    assert all(torch.equal(exported[k], from_run[k]) for k in from_run)
    assert sorted(p.name for p in (tmp_path / "full").iterdir()) == [
        "config.yaml",
        "toy.safetensors",
    ]


def test_half_precision_export_loads_as_float32(run, tmp_path):
    checkpoint.export(run, tmp_path / "full")
    checkpoint.export(run, tmp_path / "half", half=True)
    sizes = [(tmp_path / d / "toy.safetensors").stat().st_size for d in ("full", "half")]
    assert sizes[1] < 0.75 * sizes[0]
    full, _, _ = checkpoint.load_weights(run)
    half, _, _ = checkpoint.load_weights(tmp_path / "half")
    assert all(t.dtype == torch.float32 for t in half.values())
    assert all(torch.allclose(half[k], full[k], rtol=1e-3, atol=1e-6) for k in full)


def test_export_again_is_safe_but_never_over_another(run, tmp_path):
    out = tmp_path / "out"
    checkpoint.export(run, out)
    checkpoint.export(run, out)
    with pytest.raises(CheckpointError, match=r"holds another export.*samples_seen: 5 -> 3"):
        checkpoint.export(run / "checkpoints" / "step-00000003", out)


def test_export_tells_where_the_weights_come_from(run, tmp_path):
    checkpoint.export(run, tmp_path / "out")
    about = yaml.safe_load((tmp_path / "out" / "config.yaml").read_text())
    assert about["kind"] == "toy" and about["samples_seen"] == 5
    assert about["dataset"]["heads"] == 4


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: (d / "ema.safetensors").write_bytes(b"\x00" * 64), r"cannot read .*ema\.safe"),
        (lambda d: (d / "ema.safetensors").unlink(), r"cannot read .*ema\.safetensors"),
        (lambda d: (d / "state.json").write_text("{"), r"cannot read .*state\.json"),
        (lambda d: (d / "state.json").write_text('{"schema": 99}'), "schema 99, this version"),
        (lambda d: (d / "state.json").write_text('{"schema": 1}'), "missing 5 required"),
        (lambda d: (d / "DONE").unlink(), "not a complete checkpoint"),
    ],
)
def test_damage_is_named(run, damage, message):
    directory = run / "checkpoints" / "step-00000005"
    damage(directory)
    with pytest.raises(CheckpointError, match=message):
        checkpoint.load_weights(directory)


def test_a_directory_without_weights_says_what_was_expected(tmp_path):
    with pytest.raises(CheckpointError, match="holds no weights: expected a run"):
        checkpoint.load_weights(tmp_path)
    (tmp_path / "config.yaml").write_text("a: 1")
    with pytest.raises(CheckpointError, match="does not describe exported weights"):
        checkpoint.load_weights(tmp_path)


def test_weights_of_another_model_are_refused_with_the_first_differences(run, toy):
    weights, _, _ = checkpoint.load_weights(run)
    model = toy(width=16).build_model()
    with pytest.raises(CheckpointError, match=r"0\.weight has shape \(8, 3, 3, 3\).* and \d+ more"):
        checkpoint.load_into(model, weights, run)
    del weights["0.bias"]
    with pytest.raises(CheckpointError, match=r"0\.bias is missing"):
        checkpoint.load_into(toy().build_model(), weights, run)


def test_another_kind_is_refused(run, toy, heads):
    task = toy(steps=5)
    task.name = "other"
    with pytest.raises(CheckpointError, match="holds a toy run, not other"):
        train(task, heads, run, progress=False)


def test_optimizer_round_trip_by_name(toy):
    """Moments return to the parameters they belong to, whatever the order of the groups."""
    from train.optimizer import make_optimizer

    task = toy()
    model = task.build_model()
    first = make_optimizer(model, task.config.train)
    model(torch.rand(1, 3, 8, 8)).sum().backward()
    first.step()
    tensors = checkpoint.optimizer_tensors(model, first)
    assert tensors["exp_avg/0.weight"].shape == (8, 3, 3, 3)
    second = torch.optim.AdamW(reversed(list(model.parameters())))
    checkpoint._load_optimizer(second, model, tensors)
    again = checkpoint.optimizer_tensors(model, second)
    assert all(torch.equal(tensors[k], again[k]) for k in tensors)
