"""Exact resume: 4 steps equal 2 steps, SIGKILL, 2 steps, to the last bit (CPU)."""

from __future__ import annotations

import pytest

from train.loop import train
from train.metrics_log import read_metrics

SCHEDULE = {"steps": 4, "checkpoint_every": 2, "log_every": 3}


def test_toy_run_resumes_exactly_after_sigkill(
    toy, toy_module, resume_check, sphere_dataset, tmp_path
):
    config = toy(batch_size=3, **SCHEDULE).config
    resume_check(toy_module.ToyTask, config, "toy", sphere_dataset, tmp_path)


def test_resume_restores_and_does_not_merely_restart(toy, resume_module, heads, tmp_path):
    """Guards the test above: steps 3 and 4 depend on the weights and moments of step 2."""
    train(toy(**SCHEDULE), heads, tmp_path / "a", progress=False)
    train(toy(**SCHEDULE, seed=1), heads, tmp_path / "b", progress=False)
    with pytest.raises(AssertionError):
        resume_module.assert_equal_runs(tmp_path / "a", tmp_path / "b", 4)


def test_a_kill_before_the_first_checkpoint_starts_anew(toy, heads, tmp_path):
    run = tmp_path / "run"
    (run / "checkpoints" / ".step-00000002.abc.tmp").mkdir(parents=True)
    (run / "metrics.jsonl").write_text('{"step": 1, "samples_seen": 2, "loss": 1.0}\n')
    summary = train(toy(**SCHEDULE), heads, run, progress=False)
    assert summary.resumed_from is None
    assert [r["step"] for r in read_metrics(run / "metrics.jsonl")] == [2, 3, 4]
    assert not list((run / "checkpoints").glob(".*"))


def test_an_incomplete_checkpoint_is_ignored_by_name(toy, resume_module, heads, tmp_path):
    train(toy(**SCHEDULE), heads, tmp_path / "whole", progress=False)
    run = tmp_path / "run"
    train(toy(**SCHEDULE), heads, run, progress=False)
    (run / "checkpoints" / "step-00000004" / "DONE").unlink()
    with pytest.warns(UserWarning, match="incomplete checkpoint .*step-00000004"):
        summary = train(toy(**SCHEDULE), heads, run, progress=False)
    assert summary.resumed_from == 2
    resume_module.assert_equal_runs(tmp_path / "whole", run, 4)
