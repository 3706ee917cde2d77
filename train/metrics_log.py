"""`metrics.jsonl`: one JSON object a line, cut back to the checkpoint when a run resumes."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synth.config import atomic_write
from synth.errors import CheckpointError

_TAIL_BYTES = 16384
"""More than the longest record."""


class MetricsLog:
    """Appends records to `metrics.jsonl`.

    Args:
        path: the file; made if missing.
        samples_seen: the clock of the checkpoint the run continues from; later records, and a last
            line that a kill cut off, are dropped, so that no step is listed twice.
    """

    def __init__(self, path: str | Path, samples_seen: int = 0):
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            kept = [r for r in read_metrics(self.path) if r["samples_seen"] <= samples_seen]
            with atomic_write(self.path) as file:
                file.writelines(_line(record).encode() for record in kept)
        self._file = self.path.open("a", encoding="utf-8")

    def append(self, record: Mapping[str, Any]) -> None:
        """Write one record; NaN and infinities become null, since JSON has neither."""
        self._file.write(_line(record))
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def _line(record: Mapping[str, Any]) -> str:
    finite = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in record.items()
    }
    return json.dumps(finite, allow_nan=False) + "\n"


def read_metrics(path: str | Path) -> list[dict[str, Any]]:
    """The records of a `metrics.jsonl`; a last line without its end is left out.

    Raises:
        CheckpointError: a line in the middle is not a record.
    """
    text = Path(path).read_text(encoding="utf-8")
    records = []
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        if not line.endswith("\n"):
            break
        try:
            record = json.loads(line)
            int(record["samples_seen"])
        except (ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{path}, line {number} is not a metrics record: {line!r}") from (
                error
            )
        records.append(record)
    return records


def last_record(path: str | Path) -> dict[str, Any]:
    """The last complete record, read from the end of the file; empty if there is none."""
    path = Path(path)
    if not path.exists():
        return {}
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - _TAIL_BYTES))
        lines = [line for line in file.read().splitlines(keepends=True) if line.endswith(b"\n")]
    return json.loads(lines[-1]) if lines else {}
