"""The three models by name: their configuration, their presets and their task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from synth.config import find_config, load_config
from synth.errors import ConfigError
from train.task import Task

Kind = Literal["vae", "diffusion", "gslrm"]
KINDS: tuple[Kind, ...] = ("vae", "diffusion", "gslrm")
PRESETS = Path(__file__).parent / "configs"
"""Presets are files `KIND_NAME.yaml` in here."""


def _classes(kind: str) -> tuple[type, type]:
    """Configuration class and task class; imported late, since each pulls in its framework."""
    if kind == "vae":
        from train.diffusion.config import VaeConfig
        from train.diffusion.step import VaeTask

        return VaeConfig, VaeTask
    if kind == "diffusion":
        from train.diffusion.config import DiffusionConfig
        from train.diffusion.step import DiffusionTask

        return DiffusionConfig, DiffusionTask
    if kind == "gslrm":
        from train.gslrm.config import GslrmConfig
        from train.gslrm.step import GslrmTask

        return GslrmConfig, GslrmTask
    raise ConfigError(f"unknown model {kind!r}; there are {', '.join(KINDS)}")


def presets(kind: str) -> tuple[str, ...]:
    """Names of the presets of a model, without the kind."""
    return tuple(sorted(p.stem.removeprefix(f"{kind}_") for p in PRESETS.glob(f"{kind}_*.yaml")))


def resolve_config(
    kind: str, source: str | Path | None = None, overrides: Sequence[str] = ()
) -> Any:
    """The configuration of a model.

    Args:
        kind: "vae", "diffusion" or "gslrm".
        source: preset name ("tiny"), path of a YAML file, or None for the defaults.
        overrides: `a.b=value` each.

    Raises:
        ConfigError: unknown kind, preset, key or value.
    """
    config_class, _ = _classes(kind)
    if source is not None and Path(source).suffix not in (".yaml", ".yml"):
        if str(source) not in presets(kind):
            known = ", ".join(presets(kind)) or "none"
            raise ConfigError(
                f"{kind} has no preset {str(source)!r}; presets: {known}. A path ends in .yaml"
            )
        source = find_config(f"{kind}_{source}", PRESETS)
    return load_config(config_class, source, overrides)


def make_task(kind: str, config: Any) -> Task:
    """The task of a model.

    Raises:
        ConfigError: unknown kind.
    """
    return _classes(kind)[1](config)
