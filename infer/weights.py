"""Which weights a lift uses: given ones, those that ship, or a fallback; never silently another."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from torch import Tensor

from infer.config import MODEL_KINDS, WeightsConfig
from synth.errors import CheckpointError
from train import checkpoint

SHIPPED = Path(__file__).parent / "weights"
"""Default weights that come with the package: `vae`, `diffusion` and `gslrm` exports."""

Source = Literal["given", "shipped", "fallback"]


@dataclass(frozen=True, eq=False)
class ModelWeights:
    """Which weights one model takes.

    Attributes:
        kind: "vae", "diffusion" or "gslrm".
        path: directory to load them from: a checkpoint (the newest of a run, pinned here, so that
            a training that goes on does not change what is loaded) or an export.
        source: why that directory: named in the configuration, shipped, or the fallback.
        config: configuration of the model as plain data.
        digest: SHA-256 over names, shapes, types and bytes of the tensors.
        samples_seen: heads the model was trained on so far; None if unknown.
    """

    kind: str
    path: Path
    source: Source
    config: dict[str, Any]
    digest: str
    samples_seen: int | None

    def record(self) -> dict[str, Any]:
        """What `lift.json` says about it."""
        return {
            "source": self.source,
            "path": str(self.path),
            "digest": self.digest,
            "samples_seen": self.samples_seen,
        }


@dataclass(frozen=True, eq=False)
class WeightSet:
    """The three models that lift a photo."""

    vae: ModelWeights
    diffusion: ModelWeights
    gslrm: ModelWeights

    def digests(self) -> dict[str, str]:
        """Digest by kind; part of the key of a result."""
        return {kind: getattr(self, kind).digest for kind in MODEL_KINDS}

    def record(self) -> dict[str, Any]:
        """What `lift.json` says about the weights."""
        return {kind: getattr(self, kind).record() for kind in MODEL_KINDS}


def load_weight_set(config: WeightsConfig) -> WeightSet:
    """Find and read the weights of all three models.

    Each of diffusion and gslrm is the one given, else the shipped one, else that of the fallback.
    The autoencoder is the one given, else the one that belongs to the diffusion model: from the
    same place, or for a given diffusion run the autoencoder that run names.

    Raises:
        CheckpointError: a model has no weights; says where they were looked for and what to do.
    """
    diffusion = _load("diffusion", *_locate("diffusion", config))
    gslrm = _load("gslrm", *_locate("gslrm", config))
    return WeightSet(_load("vae", *_locate_vae(config, diffusion)), diffusion, gslrm)


def _locate(kind: str, config: WeightsConfig) -> tuple[Path, Source]:
    given = getattr(config, kind)
    if given is not None:
        return given, "given"
    if (SHIPPED / kind).is_dir():
        return SHIPPED / kind, "shipped"
    if config.fallback is not None:
        return config.fallback / kind, "fallback"
    raise CheckpointError(
        f"no {kind} weights: none ship with this version and none were given; train them with "
        f"`headloom train {kind}` and pass --{kind} RUN"
    )


def _locate_vae(config: WeightsConfig, diffusion: ModelWeights) -> tuple[Path, Source]:
    if config.vae is not None:
        return config.vae, "given"
    if diffusion.source == "shipped":
        return SHIPPED / "vae", "shipped"
    named = diffusion.config.get("vae")
    if diffusion.source == "given" and named is not None:
        if Path(named).is_dir():
            return Path(named), "given"
        raise CheckpointError(
            f"the diffusion model {diffusion.path} was trained with the autoencoder {named}, which "
            "is not there; pass --vae RUN"
        )
    if config.fallback is not None:
        return config.fallback / "vae", "fallback"
    raise CheckpointError(
        f"no vae weights for the diffusion model {diffusion.path}; pass the autoencoder it was "
        "trained with as --vae RUN"
    )


def _load(kind: str, path: Path, source: Source) -> ModelWeights:
    path = Path(path)
    if checkpoint.checkpoints_directory(path).is_dir():
        newest = checkpoint.latest(path)
        path = newest.path if newest else path
    tensors, config, found = checkpoint.load_weights(path)
    if found != kind:
        raise CheckpointError(f"{path} holds {found} weights, {kind} weights are needed there")
    return ModelWeights(kind, path, source, config, tensors_digest(tensors), _samples_seen(path))


def tensors_digest(tensors: dict[str, Tensor]) -> str:
    """SHA-256 over names, shapes, types and bytes, independent of the file they came from."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        total.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        total.update(tensor.reshape(-1).numpy().tobytes())
    return total.hexdigest()


def _samples_seen(path: Path) -> int | None:
    if (path / "state.json").is_file():
        return checkpoint.read(path).state.samples_seen
    about = yaml.safe_load((path / checkpoint.EXPORT_CONFIG).read_text(encoding="utf-8"))
    return about.get("samples_seen")
