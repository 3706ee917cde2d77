"""What the judges saw, kept in a file per judge, so that a second report costs seconds.

    {"definition": "..."}
    {"key": "<digest of the head's pictures>", "seen": {...}}
    ...

An observation depends on the pictures and on how they are looked at. Both are part of the file: a
head that was rendered again has another key, and a file of another definition is started afresh.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Generic, TypeVar

from synth.config import atomic_write, canonical_json, digest, from_dict
from synth.errors import ConfigError
from synth.record import HeadRecord

T = TypeVar("T")
SAVE_EVERY = 200
"""Observations between two saves; a killed report loses at most so many."""


def pictures_key(head: HeadRecord) -> str:
    """Digest of a head's pictures and cameras, read from its index and not from its pixels."""
    members = head.members.items()
    seen = sorted(
        (name, member.sha256)
        for name, member in members
        if name.startswith("rgba_") or name == "cameras.json"
    )
    return digest([head.spec_id, seen])[:24]


class ObservationCache(Generic[T]):
    """Observations of one judge by head; threads may share it.

    Args:
        path: the file; None keeps everything in memory.
        kind: frozen dataclass of an observation.
        definition: what the judge does with a picture: versions, numbers of landmarks.
    """

    def __init__(self, path: Path | None, kind: type[T], definition: str):
        self._path, self._kind, self._definition = path, kind, definition
        self._seen: dict[str, T] = self._load()
        self._unsaved = 0
        self._lock = threading.Lock()

    def _load(self) -> dict[str, T]:
        if self._path is None or not self._path.exists():
            return {}
        lines = self._path.read_text(encoding="utf-8").splitlines()
        try:
            header, *rows = map(json.loads, lines)
            if header != {"definition": self._definition}:
                return {}
            return {row["key"]: from_dict(self._kind, row["seen"], "seen") for row in rows}
        except (ValueError, KeyError, TypeError, ConfigError) as error:
            raise ConfigError(
                f"{self._path} is not what the judges wrote ({error}); delete it and run again"
            ) from error

    def __len__(self) -> int:
        return len(self._seen)

    def get(self, key: str) -> T | None:
        """What was seen before, or None."""
        return self._seen.get(key)

    def put(self, key: str, seen: T) -> None:
        """Keep an observation."""
        with self._lock:
            self._seen[key] = seen
            self._unsaved += 1
            if self._unsaved >= SAVE_EVERY:
                self._write()

    def save(self) -> None:
        """Write the file, atomically, if anything is new."""
        with self._lock:
            self._write()

    def _write(self) -> None:
        if self._path is None or not self._unsaved:
            return
        lines = [canonical_json({"definition": self._definition})]
        lines += [canonical_json({"key": key, "seen": seen}) for key, seen in self._seen.items()]
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(self._path) as file:
            file.write("\n".join(lines).encode() + b"\n")
        self._unsaved = 0
