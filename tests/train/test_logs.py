"""Metrics, curves, progress, devices and presets of training."""

from __future__ import annotations

import io
import re

import imageio.v3 as iio
import numpy as np
import pytest
import torch

from synth.errors import CheckpointError, ConfigError, DeviceError
from train.curves import draw_curves, smooth
from train.device import autocast, resolve_device
from train.metrics_log import MetricsLog, last_record, read_metrics
from train.progress import StepProgress
from train.registry import KINDS, presets, resolve_config
from train.task import TrainConfig


def record(step: int, **values) -> dict:
    return {"step": step, "samples_seen": 2 * step, "loss": 1 / step, **values}


def test_metrics_continue_where_the_checkpoint_stands(tmp_path):
    path = tmp_path / "run" / "metrics.jsonl"
    log = MetricsLog(path)
    for step in (1, 2, 3):
        log.append(record(step))
    log.close()
    with path.open("a") as file:
        file.write('{"step": 4, "samp')  # the kill
    assert [r["step"] for r in read_metrics(path)] == [1, 2, 3]
    assert last_record(path)["step"] == 3
    log = MetricsLog(path, samples_seen=4)
    log.append(record(3, loss=float("inf")))
    log.close()
    assert [r["step"] for r in read_metrics(path)] == [1, 2, 3]
    assert read_metrics(path)[-1]["loss"] is None
    assert last_record(tmp_path / "none") == {}


def test_a_damaged_metrics_line_is_named(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"samples_seen": 1}\nnonsense\n{"samples_seen": 3}\n')
    with pytest.raises(CheckpointError, match=r"metrics\.jsonl, line 2 is not a metrics record"):
        read_metrics(path)


def test_smoothing_averages_and_bridges_gaps():
    values = np.array([0.0, 2.0, np.nan, 2.0, 0.0, 2.0])
    assert smooth(values, 0.3).tolist() == pytest.approx([1.0, 1.0, 2.0, 1.0, 4 / 3, 1.0])
    assert smooth(np.full(100, 3.0)).tolist() == pytest.approx([3.0] * 100)


def test_curves_show_every_quantity(tmp_path):
    records = [
        record(s, learning_rate=1e-4, psnr_db=20 + s, wait_fraction=0.1) for s in range(1, 9)
    ]
    draw_curves(records, tmp_path / "three.png", "vae: 8 of 8 steps")
    draw_curves([{**r, "a": 1.0, "b": None} for r in records], tmp_path / "five.png", "vae")
    three, five = iio.imread(tmp_path / "three.png"), iio.imread(tmp_path / "five.png")
    assert three.shape[1] == five.shape[1] and five.shape[0] > 1.7 * three.shape[0]
    blue = np.abs(three[..., :3].astype(int) - (0x2A, 0x5F, 0xB4)).sum(-1) < 12
    thirds = [blue[:, i * three.shape[1] // 3 : (i + 1) * three.shape[1] // 3] for i in range(3)]
    assert all(third.sum() > 100 for third in thirds)  # a line in each of the three panels
    draw_curves([], tmp_path / "none.png", "nothing")
    assert not (tmp_path / "none.png").exists()


def test_progress_in_a_log_is_a_plain_line_at_the_end():
    stream = io.StringIO()
    line = StepProgress("vae", 10, 4, stream=stream)
    line.update(7)
    line.update(10, loss=0.25)
    line.update(10, loss=0.25)
    line.close()
    assert re.fullmatch(
        r"train vae: step 10/10, [\d.]+ steps/s, 0 s left, loss 0\.25\n", stream.getvalue()
    )
    silent = io.StringIO()
    StepProgress("vae", 1, enabled=False, stream=silent).update(1, 0.1)
    assert silent.getvalue() == ""


def test_progress_on_a_terminal_is_a_bar_with_rate_and_time_left():
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    line = StepProgress("gslrm", 4, stream=stream)
    line.update(2, loss=0.125)
    line.close()
    assert "train gslrm" in stream.getvalue() and "2/4" in stream.getvalue()
    assert "loss 0.125" in stream.getvalue() and "step/s" in stream.getvalue()


def test_devices_are_never_replaced_silently(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == resolve_device("cpu") == torch.device("cpu")
    with pytest.raises(DeviceError, match=r"'cuda' was asked for, but torch .* finds no CUDA"):
        resolve_device("cuda")
    with pytest.raises(DeviceError, match="unknown device 'quantum'"):
        resolve_device("quantum")
    with pytest.raises(DeviceError, match="'meta' is not supported"):
        resolve_device("meta")


def test_bf16_autocast_is_bf16():
    a = torch.rand(4, 4)
    with autocast(torch.device("cpu"), "bf16"):
        assert (a @ a).dtype == torch.bfloat16
    with autocast(torch.device("cpu"), "fp32"):
        assert (a @ a).dtype == torch.float32


@pytest.mark.parametrize("kind", KINDS)
def test_every_preset_resolves(kind):
    assert "tiny" in presets(kind)
    for name in presets(kind):
        config = resolve_config(kind, name, ["train.steps=3"])
        assert config.train.steps == 3 and isinstance(config.train, TrainConfig)
        assert config.image_size > 0


def test_unknown_models_and_presets_are_named():
    with pytest.raises(ConfigError, match="unknown model 'gan'; there are vae, diffusion, gslrm"):
        resolve_config("gan")
    with pytest.raises(ConfigError, match=r"gslrm has no preset 'tini'; presets: .*tiny"):
        resolve_config("gslrm", "tini")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": 0}, r"train\.steps must be at least 1, got 0"),
        ({"ema_decay": 1.0}, r"train\.ema_decay must lie in \[0, 1\), got 1\.0"),
        ({"learning_rate": -1.0}, r"train\.learning_rate must be positive, got -1\.0"),
        ({"warmup_steps": -1}, r"train\.warmup_steps must not be negative"),
    ],
)
def test_impossible_settings_are_named(values, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**values)
