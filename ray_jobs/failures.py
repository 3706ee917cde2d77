"""`failures.jsonl`: what is failed now, a line for each head or shard.

Which heads are failed is written in the shards themselves; this file adds what a footer has no room
for, the end of Blender's log above all. It is replaced as a whole, so it holds no history: what was
rendered since is not in it. Deleted, it is made again from the shards by the next run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import numpy as np

from ray_jobs.events import Failure
from synth import storage
from synth.config import canonical_json, from_dict, to_dict
from synth.dataset import Dataset
from synth.errors import ConfigError, RecordCorrupt
from synth.shardlayout import AbsentHead, read_footer
from synth.shardplan import Plan, ShardPlan
from synth.storage import Place

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


def known_failures(
    dataset: Dataset,
    plans: Plan,
    settled: np.ndarray,  # [N] rows of `synth.survey.Survey`
) -> list[Failure]:
    """What is failed before a run.

    Args:
        dataset: whose `failures.jsonl` is read.
        plans: the shards that the run will try: of those, whatever the file has.
        settled: the shards that it will not: their failed heads, as the shards say.
    """
    lines: dict[tuple[str, int | None], Failure] = {
        (failure.shard, failure.index): failure for failure in load_failures(dataset.root)
    }
    every, found = dataset.expected(), []
    for shard in settled["shard"][settled["failed"] > 0]:
        plan = every[int(shard)]
        for head in read_footer(plan.path).failed:
            told = lines.get((plan.path.name, head.index))
            found.append(told or failed_head(plan, head))
    planned = {plan.path.name for plan in plans} if lines else set()
    return found + [failure for failure in lines.values() if failure.shard in planned]


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
