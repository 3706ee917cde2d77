"""The splat file: a standard 3D Gaussian Splatting PLY that every viewer opens.

Layout of the reference implementation (Kerbl et al. 2023): binary little endian, one float32 per
property, `x y z nx ny nz f_dc_0..2 f_rest_* opacity scale_0..2 rot_0..3`; opacity as a logit,
scales as natural logarithms, rotation as a unit quaternion (w, x, y, z), colour as true SH
coefficients (rgb = 0.5 + 0.2820948 f_dc), nothing padded.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from synth.config import atomic_write
from synth.errors import InputError
from train.gaussians import Gaussians

_MAX_LOGIT = 16.0
"""An opacity of exactly 0 or 1 has an infinite logit, which readers reject; 1 - 1e-7 is solid."""
_MAX_HEADER_BYTES = 65536


def property_names(sh_count: int) -> list[str]:
    """Names of the vertex properties in file order.

    Args:
        sh_count: coefficients per colour channel: 1, 4, 9 or 16.
    """
    return [
        *("x", "y", "z", "nx", "ny", "nz"),
        *(f"f_dc_{i}" for i in range(3)),
        *(f"f_rest_{i}" for i in range(3 * (sh_count - 1))),
        "opacity",
        *(f"scale_{i}" for i in range(3)),
        *(f"rot_{i}" for i in range(4)),
    ]


def write_ply(path: str | Path, gaussians: Gaussians) -> None:
    """Write one set of Gaussians, atomically.

    Args:
        path: of the `.ply` file.
        gaussians: N Gaussians (no batch dimension); any device and float type.

    Raises:
        ValueError: a batch, or a number that is not finite (an infinite opacity logit is allowed
            and written as +-16).
    """
    table = _table(gaussians)
    names = property_names(gaussians.sh.shape[-2])
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"element vertex {len(table)}",
        *(f"property float {name}" for name in names),
        "end_header",
    ]
    with atomic_write(path) as file:
        file.write(("\n".join(header) + "\n").encode("ascii"))
        file.write(table.tobytes())


def _table(gaussians: Gaussians) -> np.ndarray:
    if gaussians.means.ndim != 2:
        raise ValueError(f"a PLY holds one set; got means {list(gaussians.means.shape)}")
    double = gaussians.to(device="cpu", dtype=torch.float64)
    quats = double.quats.numpy()
    lengths = np.linalg.norm(quats, axis=1, keepdims=True)
    # a quaternion without a direction stands for no rotation
    quats = np.where(lengths > 1e-12, quats / np.maximum(lengths, 1e-12), [1.0, 0.0, 0.0, 0.0])
    sh = double.sh.numpy()
    columns = [
        double.means.numpy(),
        np.zeros((len(sh), 3)),  # normals: unused, but expected by readers
        sh[:, 0],
        sh[:, 1:].transpose(0, 2, 1).reshape(len(sh), -1),  # all of red, then green, then blue
        np.clip(double.logit_opacities.numpy(), -_MAX_LOGIT, _MAX_LOGIT)[:, None],
        double.log_scales.numpy(),
        quats,
    ]
    table = np.concatenate(columns, axis=1).astype("<f4")
    if not np.isfinite(table).all():
        wrong = ~np.isfinite(table)
        name = property_names(sh.shape[1])[int(np.argmax(wrong.any(axis=0)))]
        bad = int(wrong.any(axis=1).sum())
        raise ValueError(f"{bad} of {len(table)} Gaussians are not finite, first in {name}")
    return table


def read_ply(path: str | Path) -> Gaussians:
    """Read a 3DGS PLY, written by us or by any other program in the standard layout.

    Args:
        path: of the `.ply` file; float properties in any order, extra ones are ignored.

    Returns:
        N Gaussians on the CPU, float32.

    Raises:
        InputError: not such a file, truncated, or with a property missing; names the file.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot read the file: {error.strerror or error}") from error
    end = data.find(b"end_header\n", 0, _MAX_HEADER_BYTES)
    if not data.startswith(b"ply") or end < 0:
        raise InputError(f"{path}: not a PLY file")
    header = data[:end].decode("ascii", "replace").splitlines()
    if "format binary_little_endian 1.0" not in header:
        raise InputError(f"{path}: only binary little-endian PLY files can be read")
    count, layout = _vertex_layout(header, path)
    body = data[end + len(b"end_header\n") :]
    if len(body) < count * layout.itemsize:
        raise InputError(
            f"{path}: truncated; {count} vertices need {count * layout.itemsize} bytes, "
            f"{len(body)} are there"
        )
    return _gaussians(np.frombuffer(body, layout, count), path)


def _vertex_layout(header: list[str], path: str | Path) -> tuple[int, np.dtype]:
    types = {
        "float": "<f4",
        "float32": "<f4",
        "double": "<f8",
        "uchar": "u1",
        "uint8": "u1",
        "int": "<i4",
        "uint": "<u4",
        "short": "<i2",
        "ushort": "<u2",
        "char": "i1",
    }
    count = -1
    fields: list[tuple[str, str]] = []
    for words in _statements(header):
        if words[0] == "element" and count >= 0:
            break  # only what precedes further elements is ours; vertices come first
        if words[0] == "element" and words[1] == "vertex":
            count = int(words[2])
        elif words[0] == "element":
            raise InputError(f"{path}: the first element is {words[1]!r}, expected 'vertex'")
        elif words[0] == "property":
            if words[1] not in types:
                raise InputError(
                    f"{path}: property {words[-1]!r} has the type {words[1]!r}, "
                    "which a splat file does not use"
                )
            fields.append((words[2], types[words[1]]))
    if count < 0:
        raise InputError(f"{path}: has no vertices")
    return count, np.dtype(fields)


def _statements(header: list[str]) -> Iterator[list[str]]:
    for line in header[1:]:
        words = line.split()
        if words and words[0] in ("element", "property"):
            yield words


def _gaussians(rows: np.ndarray, path: str | Path) -> Gaussians:
    names = set(rows.dtype.names or ())
    rest = sum(name.startswith("f_rest_") for name in names)
    if rest not in (0, 9, 24, 45):
        raise InputError(f"{path}: {rest} f_rest properties; a splat file has 0, 9, 24 or 45")
    missing = [n for n in property_names(1 + rest // 3) if n not in names and n[0] != "n"]
    if missing:
        raise InputError(f"{path}: not a 3D Gaussian splat file; it lacks {', '.join(missing)}")

    def take(*columns: str) -> torch.Tensor:
        return torch.from_numpy(np.stack([rows[c].astype(np.float32) for c in columns], axis=-1))

    sh = take("f_dc_0", "f_dc_1", "f_dc_2")[:, None]
    if rest:
        more = take(*(f"f_rest_{i}" for i in range(rest)))
        sh = torch.cat([sh, more.unflatten(-1, (3, rest // 3)).transpose(1, 2)], dim=1)
    return Gaussians(
        means=take("x", "y", "z"),
        quats=take("rot_0", "rot_1", "rot_2", "rot_3"),
        log_scales=take("scale_0", "scale_1", "scale_2"),
        logit_opacities=take("opacity")[:, 0],
        sh=sh,
    )
