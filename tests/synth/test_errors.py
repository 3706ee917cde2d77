"""Errors cross process borders (Ray pickles them) and know whether to retry."""

from __future__ import annotations

import pickle

from synth import errors


def test_a_crash_keeps_its_log_and_its_head_through_pickle():
    crash = errors.RenderCrashed("shard 3 died", exit_code=-9, log_tail="Killed", spec_id="ab")
    again = pickle.loads(pickle.dumps(crash))
    assert (str(again), again.exit_code, again.log_tail) == ("shard 3 died", -9, "Killed")
    assert again.spec_id == "ab"
    timeout = errors.RenderTimeout("too slow")
    timeout.spec_id = "cd"
    assert pickle.loads(pickle.dumps(timeout)).spec_id == "cd"


def test_only_crashes_timeouts_and_unfit_machines_may_be_retried():
    kinds = [k for k in vars(errors).values() if isinstance(k, type)]
    retryable = {k.__name__ for k in kinds if getattr(k, "retryable", False)}
    assert retryable == {"NodeUnfit", "RenderCrashed", "RenderTimeout"}
    assert all(issubclass(k, errors.HeadloomError) for k in kinds)
