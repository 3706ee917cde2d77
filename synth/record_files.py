"""What goes into a shard: checks of a head's parts, and arrays as the bytes of files."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import imageio.v3 as iio
import numpy as np

from synth.camera import Camera
from synth.errors import RecordError
from synth.imported import ImportedSpec
from synth.spec import HeadSpec

PNG_COMPRESSION = 4
"""zlib level of the pictures: 0.6 of the time of level 6 for 1 % more bytes (128 px heads)."""

_PNG_MAGIC, _NPY_MAGIC = b"\x89PNG\r\n\x1a\n", b"\x93NUMPY"


def encode_png(image: np.ndarray) -> bytes:
    """Encode [H, W], [H, W, 3] or [H, W, 4] uint8, or [H, W] uint16, without metadata."""
    return iio.imwrite(
        "<bytes>", image, extension=".png", plugin="pillow", compress_level=PNG_COMPRESSION
    )


def check_head(
    spec: HeadSpec | ImportedSpec,
    cameras: Sequence[Camera],
    rgba: Sequence[np.ndarray],
    passes: Mapping[str, Sequence[bytes | np.ndarray]],
) -> None:
    """Check that a head can be written: its spec survives JSON, counts, shapes and types fit.

    Raises:
        RecordError: it cannot; names the head and the view.
    """
    key = spec.spec_id
    if type(spec).from_json_dict(spec.to_json_dict()).spec_id != key:
        raise RecordError(
            f"head {key}: its spec changes on the way through JSON; "
            "a field holds a value of another type than declared (an int for a float?)"
        )
    if not rgba or len(rgba) != len(cameras):
        raise RecordError(f"head {key}: {len(rgba)} pictures for {len(cameras)} cameras")
    for i, (view, camera) in enumerate(zip(rgba, cameras)):
        expected = (camera.height, camera.width, 4)
        if view.shape != expected or view.dtype != np.uint8:
            raise RecordError(
                f"head {key}, view {i}: expected uint8 {list(expected)}, "
                f"got {view.dtype} {list(view.shape)}"
            )
    for name, values in passes.items():
        if name == "rgba" or not name.isidentifier():
            raise RecordError(f"head {key}: {name!r} cannot be the name of a pass")
        if len(values) != len(rgba):
            raise RecordError(f"head {key}: pass {name!r} has {len(values)} of {len(rgba)} views")


def encode_pass(value: bytes | np.ndarray, where: str) -> tuple[bytes, str]:
    """The bytes of one view of a pass and their extension: uint8 and uint16 become PNG, floats NPY;
    what is encoded already stays as it is.

    Args:
        where: what to call it in an error.

    Raises:
        RecordError: no file format for it.
    """
    if isinstance(value, bytes):
        for magic, extension in ((_PNG_MAGIC, "png"), (_NPY_MAGIC, "npy")):
            if value.startswith(magic):
                return value, extension
        raise RecordError(f"{where}: encoded passes must be PNG or NPY")
    if value.dtype in (np.uint8, np.uint16):
        return encode_png(value), "png"
    if value.dtype in (np.float16, np.float32, np.float64):
        buffer = io.BytesIO()
        np.save(buffer, value, allow_pickle=False)
        return buffer.getvalue(), "npy"
    raise RecordError(f"{where}: no file format for arrays of {value.dtype}")
