"""`failures.jsonl`: what is failed now, a line for each head or shard.

Which heads are failed is written in the shards themselves; this file adds what a footer has no room
for, the end of Blender's log above all. It is replaced as a whole, so it holds no history: what was
rendered since is not in it. Deleted, it is made again from the shards by the next run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from ray_jobs.events import Failure
from synth import storage
from synth.config import canonical_json, from_dict, to_dict
from synth.dataset import Dataset
from synth.errors import ConfigError, RecordCorrupt
from synth.shardlayout import AbsentHead, read_footer
from synth.shardplan import Plan, ShardPlan
from synth.storage import Place
from synth.survey import shard_name

FAILURES_NAME = "failures.jsonl"


def load_failures(root: Place) -> list[Failure]:
    """The lines of the file; none if it is not there.

    Raises:
        RecordCorrupt: it cannot be read.
    """
    path = root / FAILURES_NAME
    try:
        lines = storage.read(path).decode().splitlines()
    except FileNotFoundError:
        return []
    try:
        return [from_dict(Failure, json.loads(line), str(path)) for line in lines]
    except (ValueError, ConfigError) as error:
        raise RecordCorrupt(
            f"{path} cannot be read: {error}; it may be deleted, the shards are the truth"
        ) from error


def write_failures(root: Place, failures: Iterable[Failure]) -> None:
    """Replace the file; without failures there is none."""
    lines = [canonical_json(to_dict(failure)).encode() + b"\n" for failure in failures]
    if not lines:
        storage.remove(root / FAILURES_NAME)
        return
    with storage.write(root / FAILURES_NAME) as file:
        file.writelines(lines)


def known_failures(dataset: Dataset, plans: Plan) -> list[Failure]:
    """What is failed before a run.

    Of the shards that the run will try, whatever `failures.jsonl` has. Of the others, their failed
    heads; only if the file does not name as many of a shard, the shard is asked.

    Args:
        dataset: whose `failures.jsonl` is read.
        plans: the shards that the run will try.
    """
    told: dict[str, dict[int | None, Failure]] = {}
    for failure in load_failures(dataset.root):
        told.setdefault(failure.shard, {})[failure.index] = failure
    every, found = dataset.expected(), []
    for row in plans.settled[plans.settled["failed"] > 0]:
        plan = every[int(row["shard"])]
        lines = told.get(plan.path.name, {})
        lines.pop(None, None)  # of the whole shard, which is there now
        if len(lines) == row["failed"]:
            found += lines.values()
        else:
            failed = read_footer(plan.path).failed
            found += [lines.get(head.index) or failed_head(plan, head) for head in failed]
    planned = {shard_name(shard) for shard in plans.shards.tolist()}
    return found + [line for name in told if name in planned for line in told[name].values()]


def failed_head(plan: ShardPlan, head: AbsentHead, **more) -> Failure:
    """The line of a head that its shard does without.

    Args:
        plan: the shard.
        head: as the footer has it.
        more: `node`, `attempts` and `log_tail`, if they are known.
    """
    error, _, message = head.reason.partition(": ")
    return Failure(
        shard=plan.path.name,
        start=plan.start,
        stop=plan.stop,
        error=error,
        message=message,
        index=head.index,
        spec_id=head.spec_id,
        **more,
    )
