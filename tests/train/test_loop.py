"""The loop: what it learns, logs, skips and refuses."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math

import imageio.v3 as iio
import pytest
import torch
from safetensors.torch import load_file

from synth.errors import CheckpointError, ConfigError
from train.device import Distributed
from train.ema import Ema, ema_decay
from train.loader import Prefetch, SampleOrder
from train.loop import TrainConfig, train
from train.metrics_log import read_metrics
from train.optimizer import learning_rate, make_optimizer


def weights_of(run, step, name="model"):
    return load_file(run / "checkpoints" / f"step-{step:08d}" / f"{name}.safetensors")


def test_training_lowers_the_loss_and_leaves_everything(toy, heads, tmp_path):
    task = toy(steps=30, batch_size=4, log_every=3, checkpoint_every=15, learning_rate=0.02)
    summary = train(task, heads, tmp_path, progress=False)
    records = read_metrics(tmp_path / "metrics.jsonl")
    assert [r["step"] for r in records] == list(range(3, 31, 3))
    assert records[-1]["mse"] < 0.5 * records[0]["mse"]
    assert records[-1]["samples_seen"] == 120 == summary.samples_seen
    expected = {"loss", "mse", "learning_rate", "gradient_norm", "seconds", "wait_fraction"}
    assert expected <= set(records[0])
    assert summary.step == 30 and summary.resumed_from is None and not summary.already_finished
    assert (tmp_path / "config.yaml").is_file()
    for picture in ("curves.png", "previews/00000015.png", "previews/00000030.png"):
        assert iio.imread(tmp_path / picture).ndim == 3
    state = json.loads((tmp_path / "checkpoints/step-00000030/state.json").read_text())
    assert state["samples_seen"] == 120 and state["kind"] == "toy"
    assert state["dataset"] == {"id": heads.dataset_id, "heads": len(heads)}


def test_a_finished_run_says_so_and_changes_nothing(toy, heads, tmp_path):
    task = toy(steps=2)
    train(task, heads, tmp_path, progress=False)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    again = train(task, heads, tmp_path, progress=False)
    assert again.already_finished and again.step == 2
    assert again.metrics["step"] == 2
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before


def test_a_changed_configuration_is_refused_with_the_difference(toy, heads, tmp_path):
    train(toy(steps=2), heads, tmp_path, progress=False)
    with pytest.raises(CheckpointError, match=r"train\.learning_rate: 0\.001 -> 0\.5"):
        train(toy(steps=2, learning_rate=0.5), heads, tmp_path, progress=False)
    with pytest.raises(CheckpointError, match=r"width: 8 -> 16"):
        train(toy(steps=2, width=16), heads, tmp_path, progress=False)
    # What does not touch the weights may change.
    assert train(toy(steps=2, log_every=7), heads, tmp_path, progress=False).already_finished


def test_other_data_is_refused(toy, heads, tmp_path, more_heads):
    train(toy(steps=2), heads, tmp_path, progress=False)
    with pytest.raises(CheckpointError, match=r"4 heads, now it is .* with 5"):
        train(toy(steps=2), more_heads, tmp_path, progress=False)


def test_a_step_with_a_bad_gradient_is_dropped(toy, heads, tmp_path):
    """Weights, average and optimiser stay; the clock goes on."""
    task = toy(steps=3, poison_batch=1, checkpoint_every=1, keep_checkpoints=3, log_every=1)
    train(task, heads, tmp_path, progress=False)
    assert [r["skipped"] for r in read_metrics(tmp_path / "metrics.jsonl")] == [0, 1, 0]
    for name in ("model", "ema", "optimizer"):
        first, second, third = (weights_of(tmp_path, step, name) for step in (1, 2, 3))
        assert all(torch.equal(first[k], second[k]) for k in first), name
        assert any(not torch.equal(second[k], third[k]) for k in first), name
    assert all(t.isfinite().all() for t in third.values())


def test_a_step_over_the_norm_limit_is_dropped(toy, heads, tmp_path):
    train(toy(steps=2, skip_norm=1e-9, log_every=1), heads, tmp_path, progress=False)
    assert [r["skipped"] for r in read_metrics(tmp_path / "metrics.jsonl")] == [1, 1]


def test_micro_batches_add_up_to_the_batch(toy, heads, tmp_path):
    """Two micro-batches of two process by process equal the same in one process."""
    task = toy(steps=2, batch_size=4, micro_batch_size=2)
    train(task, heads, tmp_path, progress=False)
    assert len(task.loaded) == 4 and all(len(indices) == 2 for indices in task.loaded)
    order = SampleOrder(len(heads), 0)
    assert [i for pair in sorted(task.loaded) for i in pair] == [
        i for pair in sorted([order.indices(n, 2) for n in range(0, 8, 2)]) for i in pair
    ]
    assert read_metrics(tmp_path / "metrics.jsonl")[-1]["samples_seen"] == 8


def test_indivisible_batches_are_refused(toy, heads, tmp_path):
    with pytest.raises(ConfigError, match="batch_size 4 cannot be divided among 3 workers"):
        train(
            toy(steps=1, batch_size=4),
            heads,
            tmp_path,
            distributed=Distributed(rank=0, world_size=3),
            progress=False,
        )
    with pytest.raises(ValueError, match="does not divide"):
        TrainConfig(batch_size=4, micro_batch_size=3)


def test_bf16_autocast_trains_close_to_fp32(toy, heads, tmp_path):
    """The autocast context is really entered, and the weights stay float32."""
    for precision in ("fp32", "bf16"):
        train(toy(steps=3, precision=precision), heads, tmp_path / precision, progress=False)
    full, half = (weights_of(tmp_path / p, 3) for p in ("fp32", "bf16"))
    assert all(t.dtype == torch.float32 for t in half.values())
    assert any(not torch.equal(full[k], half[k]) for k in full)
    assert all(torch.allclose(full[k], half[k], atol=0.02) for k in full)


def test_initialise_from_starts_at_the_averaged_weights(toy, heads, tmp_path):
    train(toy(steps=3, learning_rate=0.05), heads, tmp_path / "a", progress=False)
    second = toy(steps=1, initialise_from=tmp_path / "a", learning_rate=1e-12)
    train(second, heads, tmp_path / "b", progress=False)
    old, new = weights_of(tmp_path / "a", 3, "ema"), weights_of(tmp_path / "b", 1)
    assert all(torch.allclose(old[k], new[k], atol=1e-9) for k in old)
    with pytest.raises(CheckpointError, match="of another model"):
        wider = toy(steps=1, width=16, initialise_from=tmp_path / "a")
        train(wider, heads, tmp_path / "c", progress=False)


def test_learning_rate_follows_the_clock():
    config = TrainConfig(
        steps=110, batch_size=4, learning_rate=2.0, warmup_steps=10, final_learning_rate=0.1
    )
    rates = [learning_rate(config, 4 * step) for step in range(111)]
    assert rates[0] == pytest.approx(0.2) and rates[9] == pytest.approx(2.0)
    assert rates[60] == pytest.approx(1.1) and rates[110] == pytest.approx(0.2)
    assert all(a >= b for a, b in itertools.pairwise(rates[9:]))


def test_weight_decay_spares_norms_and_biases(toy):
    task = toy()
    model = task.build_model()
    optimizer = make_optimizer(model, dataclasses.replace(task.config.train, weight_decay=0.3))
    decay = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    for name, parameter in model.named_parameters():
        assert decay[id(parameter)] == (0.3 if parameter.ndim >= 2 else 0.0), name
    model.requires_grad_(False)
    with pytest.raises(ConfigError, match="no trainable parameter"):
        make_optimizer(model, task.config.train)


def test_ema_is_the_average_and_copies_what_is_not_trained():
    model = torch.nn.BatchNorm1d(2)
    model.weight.requires_grad_(False)
    ema = Ema(model)
    with torch.no_grad():
        model.bias.fill_(1.0)
        model.weight.fill_(5.0)
        model.running_mean.fill_(3.0)
    ema.update(model, 0.75)
    assert ema.model.bias.tolist() == [0.25, 0.25]
    assert ema.model.weight.tolist() == [5.0, 5.0]
    assert ema.model.running_mean.tolist() == [3.0, 3.0]
    assert not ema.model.training and model.training
    assert ema_decay(0.999, 0) == 0.1 and ema_decay(0.999, 10**6) == 0.999


def test_every_epoch_is_a_permutation_of_its_own():
    order = SampleOrder(5, seed=3)
    epochs = [order.indices(5 * e, 5) for e in range(4)]
    assert all(sorted(epoch) == list(range(5)) for epoch in epochs)
    assert len(set(epochs)) > 1
    assert order.indices(3, 4) == (*epochs[0][3:], *epochs[1][:2])  # any order of asking
    assert SampleOrder(5, seed=4).indices(0, 20) != order.indices(0, 20)


def test_prefetch_keeps_the_order_and_passes_errors_on():
    def load(item):
        if item == 7:
            raise ValueError("head 7")
        return item * 10

    ready = Prefetch(load, iter([3, 1, 2]), threads=3, ahead=2)
    assert [ready.next() for _ in range(3)] == [30, 10, 20]
    with pytest.raises(StopIteration):
        ready.next()
    ready.close()
    broken = Prefetch(load, iter([7]), threads=1, ahead=1)
    with pytest.raises(ValueError, match="head 7"):
        broken.next()
    broken.close()


def test_loss_curve_records_never_hold_nan(toy, heads, tmp_path):
    train(toy(steps=1, poison_batch=0), heads, tmp_path, progress=False)
    text = (tmp_path / "metrics.jsonl").read_text()
    assert "NaN" not in text and json.loads(text)["loss"] is None
    assert math.isfinite(json.loads(text)["mse"])
