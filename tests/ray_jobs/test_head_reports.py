"""What the driver knows of tasks in flight."""

from __future__ import annotations

from ray_jobs.head_reports import HeadReports


def test_tasks_tell_how_far_they_are_until_they_end():
    reports = HeadReports()
    for shard, head in (("a", 0), ("b", 4)):
        reports.begin(shard, head, "host", f"node-{shard}")
    reports.heads("b", 6, 2, 1)
    reports.heads("c", 9, 1, 1)  # the actor was restarted since that task began
    tasks = reports.look(["a", "b", "c", "d"])
    assert list(tasks) == ["a", "b"]
    assert (tasks["a"]["heads_done"], tasks["a"]["heads_rendered"]) == (0, 0)
    b = tasks["b"]
    assert (b["head"], b["heads_done"], b["heads_rendered"], b["node_id"]) == (6, 2, 1, "node-b")
    assert list(reports.look(["b"])) == ["b"] and list(reports.look(["a", "b"])) == ["b"]
    reports.begin("b", 4, "other", "node-c")  # tried again
    assert reports.look(["b"])["b"]["heads_done"] == 0
