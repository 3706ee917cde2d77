"""What a folder of results holds, read for the gallery: heads, datasets, runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from infer.artifacts import METRICS, RECORD, SCHEMA
from synth.dataset_report import REPORT_PAGE
from synth.errors import InputError

MODEL_NAMES = {
    "vae": "Autoencoder",
    "diffusion": "Multi-view diffusion",
    "gslrm": "Reconstructor (GS-LRM)",
}


@dataclass(frozen=True)
class DatasetEntry:
    """A rendered dataset: its contact sheet, facts worth a line each, and its datasheet."""

    contact_sheet: Path
    facts: Mapping[str, str] = field(default_factory=dict)
    datasheet: Path | None = None


@dataclass(frozen=True)
class RunEntry:
    """A training run: the logged losses (step, loss), and pictures that it left."""

    kind: str
    losses: Sequence[tuple[float, float]]
    facts: Mapping[str, str] = field(default_factory=dict)
    curves: Path | None = None
    preview: Path | None = None


@dataclass(frozen=True)
class HeadEntry:
    """A lifted photo or video: its result folder and the content of its `lift.json`."""

    folder: Path
    record: Mapping[str, Any]


@dataclass(frozen=True)
class EvalEntry:
    """An evaluation of the reconstructor: its folder and its `metrics.json`."""

    folder: Path
    record: dict[str, Any]


@dataclass(frozen=True)
class Gallery:
    """What a page shows; an empty part is left out."""

    heads: Sequence[HeadEntry] = ()
    datasets: Sequence[DatasetEntry] = ()
    runs: Sequence[RunEntry] = ()
    evals: Sequence[EvalEntry] = ()


def collect(out: Path) -> Gallery:
    """Find datasets (`contact.png`), runs (`metrics.jsonl`) and heads (`lift.json`) below `out`.

    Raises:
        InputError: a `lift.json` is damaged or of another version.
    """
    heads = [HeadEntry(path.parent, _read_record(path)) for path in sorted(out.rglob(RECORD))]
    datasets = [
        DatasetEntry(path, _dataset_facts(path.parent), _datasheet(path.parent))
        for path in sorted(out.rglob("contact.png"))
    ]
    runs = [_run(path.parent) for path in out.rglob("metrics.jsonl")]
    order = list(MODEL_NAMES)
    runs.sort(key=lambda run: order.index(run.kind) if run.kind in order else len(order))
    evals = [EvalEntry(path.parent, _read_json(path)) for path in sorted(out.rglob(METRICS))]
    return Gallery(heads, datasets, [run for run in runs if run.losses], evals)


def _run(folder: Path) -> RunEntry:
    losses: list[tuple[float, float]] = []
    last: dict[str, Any] = {}
    for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue  # the last line of a run that is being written
        last = record
        if isinstance(record.get("loss"), int | float):
            losses.append((float(record["step"]), float(record["loss"])))
    facts = {}
    if "samples_seen" in last:
        facts["samples seen"] = f"{last['samples_seen']:,}"
    states = sorted(folder.glob("checkpoints/step-*/state.json"))
    kind = _read_json(states[-1])["kind"] if states else folder.name
    previews = sorted((folder / "previews").glob("*.png"))
    curves = folder / "curves.png"
    return RunEntry(
        kind,
        losses,
        facts,
        curves if curves.is_file() else None,
        previews[-1] if previews else None,
    )


def _datasheet(dataset: Path) -> Path | None:
    """The page that `headloom dataset report` wrote, or None."""
    page = dataset / REPORT_PAGE
    return page if page.exists() else None


def _dataset_facts(folder: Path) -> dict[str, str]:
    path = folder / "dataset.yaml"
    if not path.is_file():
        return {}
    config = yaml.safe_load(path.read_text(encoding="utf-8")).get("config", {})
    named = {"heads": "heads", "size": "px", "samples": "samples a pixel"}
    return {label: str(config[key]) for key, label in named.items() if key in config}


def _read_record(path: Path) -> dict[str, Any]:
    """A `lift.json` of this version.

    Raises:
        InputError: it is damaged, foreign or of another version; names the file.
    """
    try:
        record = _read_json(path)
    except ValueError as error:
        raise InputError(f"{path}: not JSON: {error}; lift the photo again") from error
    schema = record.get("schema") if isinstance(record, dict) else None
    if schema != SCHEMA:
        raise InputError(
            f"{path}: schema {schema!r}, this version reads {SCHEMA}; lift the photo again, or "
            "move the folder away"
        )
    return record


def _read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))
