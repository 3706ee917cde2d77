"""Checkpoints: directories that are complete or absent, and the weights read from them.

A run directory holds `checkpoints/step-00000500/` with

    model.safetensors      the weights
    ema.safetensors        their running average, which inference uses
    optimizer.safetensors  the optimiser's tensors, named `<state>/<parameter>`
    state.json             kind, samples_seen, step, configuration, dataset, versions
    DONE                   empty, written last

A checkpoint is written to a temporary directory beside its place and renamed once; whatever lacks
`DONE` is not a checkpoint. `export` makes the small directory that ships: one weights file and a
`config.yaml`.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import shutil
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from synth.config import atomic_write, save_yaml, sync_directory, to_dict
from synth.errors import CheckpointError

SCHEMA = 1
"""Version of the layout of a checkpoint directory."""
EXPORT_CONFIG = "config.yaml"


@dataclass(frozen=True)
class TrainState:
    """`state.json`: where a run stands and what it belongs to.

    Attributes:
        kind: "vae", "diffusion" or "gslrm".
        samples_seen: the clock of the run: heads used so far, skipped steps included.
        step: optimiser steps so far (samples_seen / batch size).
        config: the resolved configuration as plain data.
        dataset: id and number of heads of the training data.
        versions: what wrote it.
        schema: layout of the checkpoint.
    """

    kind: str
    samples_seen: int
    step: int
    config: dict[str, Any]
    dataset: dict[str, Any]
    versions: dict[str, str] = dataclasses.field(
        default_factory=lambda: {"torch": torch.__version__, "python": platform.python_version()}
    )
    schema: int = SCHEMA


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint on the disk."""

    path: Path
    state: TrainState


def checkpoints_directory(run: str | Path) -> Path:
    """Where the checkpoints of a run lie."""
    return Path(run) / "checkpoints"


def save(
    run: str | Path,
    state: TrainState,
    model: nn.Module,
    ema: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    keep: int,
) -> Path:
    """Write a checkpoint and remove the oldest beyond `keep`.

    Returns:
        The directory of the checkpoint.

    Raises:
        CheckpointError: a complete checkpoint of that step is there already.
    """
    directory = checkpoints_directory(run)
    directory.mkdir(parents=True, exist_ok=True)
    final = directory / f"step-{state.step:08d}"
    if (final / "DONE").exists():
        raise CheckpointError(f"{final} exists already; two processes train in {run}?")
    temporary = Path(tempfile.mkdtemp(prefix=f".{final.name}.", suffix=".tmp", dir=directory))
    try:
        _write_tensors(model.state_dict(), temporary / "model.safetensors")
        _write_tensors(ema.state_dict(), temporary / "ema.safetensors")
        _write_tensors(optimizer_tensors(model, optimizer), temporary / "optimizer.safetensors")
        with atomic_write(temporary / "state.json") as file:
            file.write(json.dumps(to_dict(state), indent=1).encode())
        with atomic_write(temporary / "DONE"):
            pass
        temporary.chmod(0o755)
        if final.exists():  # without DONE: left by a crash of an older version or a bad copy
            shutil.rmtree(final)
        os.replace(temporary, final)  # noqa: PTH105 - the house rule names os.replace
        sync_directory(directory)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    for old in _complete(directory)[:-keep]:
        _remove(old)
    return final


def _remove(checkpoint: Path) -> None:
    """Remove a checkpoint; killed in the middle it is a leftover, never half a checkpoint."""
    going = checkpoint.with_name(f".{checkpoint.name}.old.tmp")
    os.replace(checkpoint, going)  # noqa: PTH105
    shutil.rmtree(going)


def _complete(directory: Path) -> list[Path]:
    return sorted(path.parent for path in directory.glob("step-*/DONE"))


def remove_leftovers(run: str | Path) -> None:
    """Delete temporary directories that a killed process left; only for the process that trains."""
    for path in checkpoints_directory(run).glob(".step-*.tmp"):
        shutil.rmtree(path)


def latest(run: str | Path) -> Checkpoint | None:
    """The newest complete checkpoint of a run, or None.

    Warns (UserWarning) about an incomplete checkpoint, which is ignored.

    Raises:
        CheckpointError: it cannot be read, or another version of Headloom wrote it.
    """
    directory = checkpoints_directory(run)
    complete = _complete(directory)
    for path in sorted(directory.glob("step-*")):
        if path not in complete:
            warnings.warn(f"ignoring the incomplete checkpoint {path} (no DONE)", stacklevel=2)
    return read(complete[-1]) if complete else None


def read(path: str | Path) -> Checkpoint:
    """Read the state of one checkpoint directory.

    Raises:
        CheckpointError: incomplete, unreadable, or of another layout.
    """
    path = Path(path)
    if not (path / "DONE").exists():
        raise CheckpointError(f"{path} is not a complete checkpoint: it has no DONE")
    try:
        data = json.loads((path / "state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot read {path / 'state.json'}: {error}") from error
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        found = data.get("schema") if isinstance(data, dict) else None
        raise CheckpointError(
            f"{path} has schema {found!r}, this version reads {SCHEMA}; "
            "use the version of Headloom that wrote it"
        )
    try:
        return Checkpoint(path, TrainState(**data))
    except TypeError as error:
        raise CheckpointError(f"{path / 'state.json'}: {error}") from error


def restore(
    checkpoint: Checkpoint, model: nn.Module, ema: nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    """Load weights, average and optimiser of a checkpoint into freshly made ones.

    Raises:
        CheckpointError: a file is damaged, or does not fit the model.
    """
    load_into(model, read_tensors(checkpoint.path / "model.safetensors"), checkpoint.path)
    load_into(ema, read_tensors(checkpoint.path / "ema.safetensors"), checkpoint.path)
    _load_optimizer(optimizer, model, read_tensors(checkpoint.path / "optimizer.safetensors"))


def load_into(model: nn.Module, weights: Mapping[str, Tensor], source: str | Path) -> None:
    """Load weights strictly.

    Raises:
        CheckpointError: names or shapes differ; lists the first of them.
    """
    own = model.state_dict()
    problems = [f"{name} is missing in the file" for name in own if name not in weights]
    problems += [f"{name} is unknown to the model" for name in weights if name not in own]
    problems += [
        f"{name} has shape {tuple(weights[name].shape)}, the model wants {tuple(own[name].shape)}"
        for name in own
        if name in weights and weights[name].shape != own[name].shape
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise CheckpointError(
            f"the weights in {source} are of another model: {'; '.join(problems[:3])}{more}"
        )
    model.load_state_dict(weights, strict=True)


def optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state by name: `exp_avg/encoder.weight` and so on."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    tensors = {}
    for parameter, states in optimizer.state.items():
        for key, value in states.items():
            tensors[f"{key}/{names[parameter]}"] = torch.as_tensor(value)
    return tensors


def _load_optimizer(
    optimizer: torch.optim.Optimizer, model: nn.Module, tensors: Mapping[str, Tensor]
) -> None:
    states: dict[str, dict[str, Tensor]] = {}
    for full_name, tensor in tensors.items():
        key, _, name = full_name.partition("/")
        states.setdefault(name, {})[key] = tensor
    names = {parameter: name for name, parameter in model.named_parameters()}
    ordered = [names[p] for group in optimizer.param_groups for p in group["params"]]
    packed = optimizer.state_dict()
    packed["state"] = {i: states[name] for i, name in enumerate(ordered) if name in states}
    optimizer.load_state_dict(packed)  # casts and moves every tensor as the optimiser needs it


def config_differences(
    old: Any, new: Any, *, ignore: frozenset[str] = frozenset(), path: str = ""
) -> list[str]:
    """What differs between two plain-data configurations, one line `a.b: old -> new` each."""
    if isinstance(old, dict) and isinstance(new, dict):
        lines = []
        for key in sorted({*old, *new}):
            name = f"{path}.{key}" if path else key
            if name in ignore:
                continue
            if key not in old or key not in new:
                lines.append(f"{name}: {old.get(key, 'absent')} -> {new.get(key, 'absent')}")
            else:
                lines += config_differences(old[key], new[key], ignore=ignore, path=name)
        return lines
    return [] if old == new else [f"{path}: {old} -> {new}"]


def check_same_run(
    found: TrainState, wanted: TrainState, where: str | Path, free: frozenset[str]
) -> None:
    """Refuse to continue a run with another model, configuration or dataset.

    Args:
        free: configuration keys (dotted) that may differ, since they do not touch the result.

    Raises:
        CheckpointError: says what differs and what to do.
    """
    if found.kind != wanted.kind:
        raise CheckpointError(
            f"{where} holds a {found.kind} run, not {wanted.kind}; choose another --out"
        )
    differences = config_differences(found.config, wanted.config, ignore=free)
    if differences:
        raise CheckpointError(
            f"{where} was started with another configuration ({'; '.join(differences)}); "
            "give the same one to resume, or choose another --out"
        )
    if found.dataset["id"] != wanted.dataset["id"]:
        raise CheckpointError(
            f"{where} was trained on dataset {found.dataset['id'][:12]} with "
            f"{found.dataset['heads']} heads, now it is {wanted.dataset['id'][:12]} with "
            f"{wanted.dataset['heads']}; give the same data to resume, or choose another --out"
        )


def load_weights(
    source: str | Path, ema: bool = True
) -> tuple[dict[str, Tensor], dict[str, Any], str]:
    """Read the weights of a run (its newest checkpoint), of one checkpoint or of an export.

    Args:
        source: directory.
        ema: the averaged weights (an export holds one set only and ignores this).

    Returns:
        (state dict of CPU tensors, float16 and bfloat16 widened to float32; configuration as plain
        data; kind).

    Raises:
        CheckpointError: there are no weights, or they are damaged.
    """
    source = Path(source)
    checkpoint = _locate(source)
    if checkpoint is not None:
        weights = read_tensors(checkpoint.path / f"{'ema' if ema else 'model'}.safetensors")
        config, kind = checkpoint.state.config, checkpoint.state.kind
    else:
        about = _read_export(source)
        config, kind = about["config"], about["kind"]
        weights = read_tensors(source / f"{kind}.safetensors")
    half = (torch.float16, torch.bfloat16)
    return {n: t.float() if t.dtype in half else t for n, t in weights.items()}, config, kind


def _locate(source: Path) -> Checkpoint | None:
    """The checkpoint that a directory is, or the newest one that it holds."""
    return read(source) if (source / "state.json").exists() else latest(source)


def _read_export(source: Path) -> dict[str, Any]:
    path = source / EXPORT_CONFIG
    if not path.is_file():
        raise CheckpointError(
            f"{source} holds no weights: expected a run with checkpoints/step-*/DONE, a "
            f"checkpoint, or an export ({EXPORT_CONFIG} beside KIND.safetensors)"
        )
    try:
        about = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CheckpointError(f"cannot read {path}: {error}") from error
    if not isinstance(about, dict) or not {"kind", "config"} <= about.keys():
        raise CheckpointError(f"{path} does not describe exported weights: no kind and config")
    return about


def export(run: str | Path, out: str | Path, *, half: bool = False) -> Path:
    """Write what inference needs, `KIND.safetensors` and `config.yaml`, into one directory.

    Args:
        run: run or checkpoint directory; its averaged weights are taken.
        out: directory of the export; made if missing.
        half: store float16 (half the bytes; relative rounding 5e-4).

    Returns:
        The directory.

    Raises:
        CheckpointError: no weights, or `out` already holds another export.
    """
    checkpoint, out = _locate(Path(run)), Path(out)
    if checkpoint is None:
        raise CheckpointError(f"{run} is no run: it has no checkpoints/step-*/DONE")
    state = checkpoint.state
    about = {
        "kind": state.kind,
        "precision": "fp16" if half else "fp32",
        "samples_seen": state.samples_seen,
        "dataset": state.dataset,
        "config": state.config,
    }
    weights = read_tensors(checkpoint.path / "ema.safetensors")
    if half:
        weights = {n: t.half() if t.is_floating_point() else t for n, t in weights.items()}
        over = [n for n, t in weights.items() if t.is_floating_point() and not t.isfinite().all()]
        if over:
            raise CheckpointError(f"{over[0]} does not fit float16; export in float32")
    write_export(weights, about, out)
    return out


def write_export(weights: Mapping[str, Tensor], about: Mapping[str, Any], out: str | Path) -> None:
    """Write weights as an export, which `load_weights` reads.

    Args:
        weights: the tensors by name.
        about: `kind`, `config` and whatever else is to be known of them, as plain data.
        out: directory of the export; made if missing.

    Raises:
        CheckpointError: `out` already holds another export.
    """
    out = Path(out)
    if (out / EXPORT_CONFIG).exists():
        differences = config_differences(_read_export(out), about)
        if differences:
            raise CheckpointError(
                f"{out} holds another export ({'; '.join(differences)}); choose another --out"
            )
    _write_tensors(weights, out / f"{about['kind']}.safetensors")
    save_yaml(about, out / EXPORT_CONFIG)


def _write_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors atomically (safetensors), in the order of their names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    on_cpu = {name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)}
    try:
        save_file(on_cpu, temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)  # noqa: PTH105
        sync_directory(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Read a safetensors file to the CPU.

    Raises:
        CheckpointError: missing or damaged; names the file.
    """
    try:
        return load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"cannot read {path}: {error}") from error
