"""What follows a failed attempt: rules without a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from ray_jobs.render_task import task_error
from ray_jobs.retries import (
    BACKOFF_S,
    MAX_LOST,
    MAX_SHARD_ATTEMPTS,
    MIN_STREAK,
    NODE_STREAK,
    STORAGE_STREAK,
    Breaker,
    MemoryReservation,
    TaskError,
    Work,
    judge,
)
from synth.dataset import ShardPlan
from synth.errors import (
    AssetError,
    DeviceError,
    NodeUnfit,
    RenderCrashed,
    RenderInvalid,
    RenderStopped,
    RenderTimeout,
)

MB = 2**20


def work() -> Work:
    return Work(ShardPlan(0, 0, 4, Path("shard-000000.tar")))


def error(kind: str, spec_id: str | None = None, **more) -> TaskError:
    return TaskError(kind, "RenderCrashed", "signal 11", spec_id=spec_id, **more)


def named(raised: Exception, spec_id: str) -> Exception:
    raised.spec_id = spec_id
    return raised


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (named(RenderCrashed("x"), "ab"), "head"),
        (named(RenderTimeout("x"), "ab"), "head"),
        (named(RenderInvalid("x"), "ab"), "bad_head"),
        (named(AssetError("x"), "ab"), "permanent"),
        (RenderCrashed("x", exit_code=-9), "shard"),
        (RenderTimeout("x"), "shard"),
        (OSError(28, "No space left"), "storage"),
        (NodeUnfit("x"), "unfit"),
        (DeviceError("x"), "unfit"),
    ],
)
def test_the_type_of_an_error_decides_what_it_counts_against(raised, kind):
    found = task_error(raised, "shard-000000.tar")
    assert (found.kind, found.error) == (kind, type(raised).__name__)
    assert found.out_of_memory == (getattr(raised, "exit_code", None) == -9)


def test_a_head_that_crashes_twice_is_skipped_and_others_go_on():
    shard = work()
    assert judge(shard, error("head", "a"), "n1").delay_s == BACKOFF_S[0]
    assert shard.avoid == ("n1",) and not shard.skip
    assert judge(shard, error("head", "b"), "n2").delay_s == BACKOFF_S[0]
    verdict = judge(shard, error("head", "a"), "n2")
    assert verdict.skipped and verdict.delay_s == 0.0
    assert shard.skip == {"a": "RenderCrashed: signal 11"}
    assert judge(shard, error("head", "b"), "n3").skipped
    assert set(shard.blamed) == {"a", "b"} and shard.attempts == 4
    assert judge(shard, error("head", "a"), "n3").delay_s is None  # it was not even tried


def test_a_permanent_error_of_a_head_is_not_repeated():
    shard = work()
    assert judge(shard, error("bad_head", "a"), "n").skipped
    assert list(shard.skip) == ["a"]


@pytest.mark.parametrize(
    ("kind", "limit"),
    [
        ("shard", MAX_SHARD_ATTEMPTS),
        ("storage", 3),
        ("lost", MAX_LOST),
        ("gone", MAX_LOST),
        ("permanent", 1),
    ],
)
def test_attempts_are_bounded(kind, limit):
    shard = work()
    delays = [judge(shard, error(kind), "").delay_s for _ in range(limit)]
    assert delays == [*BACKOFF_S[: limit - 1], None]


def test_lost_machines_do_not_use_up_the_attempts_of_crashes():
    shard = work()
    for kind in ("lost", "shard", "lost", "shard", "lost"):
        assert judge(shard, error(kind), "").delay_s is not None


def test_a_machine_that_cannot_take_part_costs_no_attempt():
    shard = work()
    for _ in range(20):
        assert judge(shard, error("unfit"), "n").delay_s == 0.0
    assert shard.attempts == 0
    delays = [judge(shard, error("unfit"), "").delay_s for _ in range(MAX_LOST)]  # but which is it?
    assert delays == [*BACKOFF_S, None]


def test_a_process_that_was_killed_gets_more_memory():
    shard = work()
    judge(shard, error("lost", out_of_memory=True), "n")
    assert shard.more_memory == 1.5


def test_a_run_that_only_fails_is_stopped():
    breaker = Breaker()
    for _ in range(MIN_STREAK - 1):
        breaker.attempt_failed(error("shard"), "n", 4, 1)
    with pytest.raises(RenderStopped, match=r"last 10 attempts failed \(10 x RenderCrashed\)"):
        breaker.attempt_failed(error("shard"), "n", 4, 1)


def test_a_large_farm_is_given_a_round_of_all_its_slots():
    breaker = Breaker()
    for _ in range(99):  # a bad machine fails fast while the others are at their first head
        breaker.attempt_failed(error("shard"), "n", 100, 5)
    breaker.head_rendered()
    for _ in range(99):
        breaker.attempt_failed(error("shard"), "n", 100, 5)
    with pytest.raises(RenderStopped):
        breaker.attempt_failed(error("shard"), "n", 100, 5)


def test_a_full_disk_stops_the_run_soon_and_that_of_one_machine_does_not():
    full = TaskError("storage", "OSError", "[Errno 28] No space left on device: /data")
    breaker = Breaker()
    for _ in range(STORAGE_STREAK - 1):
        breaker.attempt_failed(full, "n", 1000, machines=1)
    with pytest.raises(RenderStopped, match=r"the storage fails: .*No space left on device: /data"):
        breaker.attempt_failed(full, "n", 1000, machines=1)
    breaker = Breaker()
    for _ in range(50):
        breaker.attempt_failed(full, "n", 1000, machines=9)
    with pytest.raises(RenderStopped):
        breaker.attempt_failed(full, "other", 1000, machines=9)


def test_only_failures_in_a_row_stop_a_run():
    full = TaskError("storage", "OSError", "[Errno 28] No space left on device: /data")
    between = {
        "head": lambda breaker: breaker.head_rendered(),
        "shard": lambda breaker: breaker.shard_committed("n"),
        "other": lambda breaker: breaker.attempt_failed(error("shard"), "n", 1, 1),
    }
    for failed, limit, names in (
        (full, STORAGE_STREAK, ("head", "shard", "other")),
        (error("shard"), MIN_STREAK, ("head", "shard")),
    ):
        for name in names:
            breaker = Breaker()
            for _ in range(2):
                for _ in range(limit - 1):
                    breaker.attempt_failed(failed, "n", 1, 1)
                between[name](breaker)


def test_a_machine_is_distrusted_when_it_only_fails():
    breaker = Breaker()
    for _ in range(NODE_STREAK):
        assert not breaker.distrusts("bad")
        breaker.attempt_failed(error("shard"), "bad", 1000, 2)
        breaker.attempt_failed(error("shard"), "good", 1000, 2)
        breaker.shard_committed("good")
    assert breaker.distrusts("bad") and not breaker.distrusts("good")
    assert not breaker.distrusts("bad")  # forgiven, until it fails again


def test_memory_follows_the_largest_peak():
    memory = MemoryReservation(1600 * MB)
    assert not memory.measured(400 * MB)
    assert memory.measured(1500 * MB)  # at once: never below what was seen
    assert 1.3 * 1500 * MB <= memory.reserved_bytes < 1.3 * 1500 * MB + memory.STEP_BYTES
    memory = MemoryReservation(1600 * MB)
    changes = [memory.measured(700 * MB) for _ in range(20)]
    assert changes.index(True) == memory.ENOUGH_SHARDS - 1 and sum(changes) == 1
    assert 1.3 * 700 * MB <= memory.reserved_bytes < 1000 * MB
    for _ in range(20):
        memory.measured(100 * MB)
    assert memory.reserved_bytes >= 1.3 * 700 * MB
    light = MemoryReservation(1600 * MB)
    for _ in range(20):
        light.measured(100 * MB)
    assert light.reserved_bytes == 800 * MB
    unknown = MemoryReservation(1600 * MB)  # shards that another had rendered
    assert not any(unknown.measured(0) for _ in range(20))
