"""What a lifted photo leaves on the disk, and how a second run recognises it.

    input.png      the prepared photo on white
    input_rgba.png the same with its matte
    views.png      the six views side by side
    head.ply       the Gaussians
    turntable.mp4  one turn around them
    spin.jpg       the same turn as a sprite sheet, for the gallery
    lift.json      where all that came from; written last, so a folder with it is complete

`lift.json` holds a key: the digest of the input, the configuration and the weights. A folder whose
key differs is never overwritten unless asked to.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from synth.config import atomic_write, digest, sync_directory
from synth.errors import ConfigError

RECORD = "lift.json"
METRICS = "metrics.json"
"""What `infer.evaluate` writes last."""
SPIN_COLUMNS = 6
"""Cells in a row of `spin.jpg`."""
SCHEMA = 1
"""Version of the layout of a result folder."""


def lift_key(input_digest: str, settings: Any, weights: Any) -> str:
    """The identity of a result: the same key, the same pixels (on the same kind of device).

    Args:
        input_digest: SHA-256 of the input file.
        settings: all of the configuration that changes the result.
        weights: digests of the weights.
    """
    return digest(
        {"schema": SCHEMA, "input": input_digest, "settings": settings, "weights": weights}
    )


def read_record(folder: str | Path) -> dict[str, Any] | None:
    """The `lift.json` of a complete result folder, or None if there is none.

    Raises:
        ConfigError: it is there, but is not ours or is damaged.
    """
    path = Path(folder) / RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {path}: {error}; remove it or choose another --out") from (
            error
        )
    if not isinstance(record, dict) or "key" not in record:
        raise ConfigError(f"{path} was not written by headloom lift; choose another --out")
    return record


def is_done(folder: str | Path, key: str, *, overwrite: bool = False) -> bool:
    """Whether a result folder is complete and was made from the same things.

    Args:
        folder: of the result.
        key: `lift_key` of the result that is wanted.
        overwrite: treat another result as absent instead of raising.

    Raises:
        ConfigError: it holds another result; names both keys.
    """
    record = read_record(folder)
    if record is None:
        return False
    if record["key"] == key:
        return True
    if overwrite:
        return False
    raise ConfigError(
        f"{folder} holds the result of {record.get('input', {}).get('path', 'another input')} with "
        f"key {record['key'][:12]}, now it would be {key[:12]} (another input, configuration or "
        "weights); choose another --out, or replace it with --overwrite"
    )


def publish(
    folder: str | Path, write_files: Callable[[Path], None], record: dict[str, Any]
) -> None:
    """Make a result folder: all files in a temporary one, then into place, `lift.json` last.

    A run killed at any moment leaves either the complete result or a folder without `lift.json`,
    which the next run redoes.

    Args:
        folder: of the result; may exist and hold other files, which stay.
        write_files: writes everything but `lift.json` into the folder it is given.
        record: content of `lift.json`; must have a "key".
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(".lift-*.tmp"):
        shutil.rmtree(leftover, ignore_errors=True)
    temporary = Path(tempfile.mkdtemp(prefix=".lift-", suffix=".tmp", dir=folder))
    try:
        write_files(temporary)
        (folder / RECORD).unlink(missing_ok=True)
        for path in sorted(temporary.iterdir()):
            os.replace(path, folder / path.name)  # noqa: PTH105 - the house rule names os.replace
        sync_directory(folder)
        write_record(folder, record)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_record(folder: str | Path, record: dict[str, Any]) -> None:
    """Write `lift.json`, which declares a folder complete."""
    with atomic_write(Path(folder) / RECORD) as file:
        file.write((json.dumps(record, indent=1) + "\n").encode())
