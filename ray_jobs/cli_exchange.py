"""The command line of `headloom dataset export` and `import`."""

from __future__ import annotations

import argparse
import os
from typing import get_args

from ray_jobs import commands_exchange as commands
from ray_jobs.cli_flags import add_quiet, add_verb, dataset_place, local_path, positive
from synth import export, import_layouts
from synth.color import Background
from synth.export_frame import ExportRequest
from synth.import_heads import UNKNOWN_LICENCE, ImportOptions
from synth.splits import Split


def add_export(verbs) -> None:
    """Add `export` to the verbs of `dataset`."""
    layouts = "\n".join(f"  {name:<21} {summary}" for name, summary in export.SUMMARIES.items())
    parser = add_verb(
        verbs,
        "export",
        commands.export,
        "write heads in the layout of another program",
        f"{layouts}\n\n"
        "Pictures are copied byte for byte unless --background is given. Each export holds a\n"
        "README with its conventions, a table of its heads and the licences of what they are made\n"
        "of. Running it again finishes it; a head that the layout cannot hold is named (exit code\n"
        "1) and costs no other.\n\n"
        "  headloom dataset export heads --to facelift --out facelift\n"
        "  headloom dataset export heads --to colmap --out scenes --index 0-9 --views 'ring*'\n"
        "  headloom dataset export heads --to nerfstudio --out ns --where 'glasses and beard'\n"
        "  headloom dataset export heads --to webdataset --out tars --members rgba,cameras",
    )
    parser.add_argument(
        "dataset", type=dataset_place, metavar="DATASET", help="folder or URL of the dataset"
    )
    parser.add_argument(
        "--to",
        required=True,
        choices=tuple(export.SUMMARIES),
        metavar="LAYOUT",
        help="one of the above",
    )
    parser.add_argument(
        "--out", type=local_path, required=True, metavar="DIR", help="folder of this machine"
    )
    parser.add_argument("--index", metavar="A-B,C", help="heads by number, such as 0-99,205")
    parser.add_argument("--split", choices=get_args(Split), help="heads of one split")
    parser.add_argument("--where", metavar="CONDITION", help="as in `dataset sample`")
    parser.add_argument(
        "--views",
        metavar="NAMES",
        default="",
        help="names with wildcards, such as 'front,ring0_*', or canonical; default: all",
    )
    parser.add_argument(
        "--background", choices=get_args(Background), help="RGB on this; default: RGBA"
    )
    parser.add_argument(
        "--members",
        metavar="KINDS",
        default="",
        help="of webdataset: files to keep, such as rgba,cameras,depth,landmarks; default: all",
    )
    parser.add_argument(
        "--shard-size-mb",
        type=float,
        metavar="MB",
        default=ExportRequest.shard_size_mb,
        help=f"of webdataset: size of a shard; default {ExportRequest.shard_size_mb:g}",
    )
    _add_jobs(parser, "heads, or shards of a webdataset, written at a time")
    add_quiet(parser)


def add_import(verbs) -> None:
    """Add `import` to the verbs of `dataset`."""
    layouts = "\n".join(
        f"  {name:<21} {layout.summary}" for name, layout in import_layouts.LAYOUTS.items()
    )
    parser = add_verb(
        verbs,
        "import",
        commands.import_heads,
        "make a dataset of heads in the layout of another program",
        f"{layouts}\n\n"
        "The result is trained on, evaluated and described like a rendered dataset. Cameras are\n"
        "taken exactly; pictures must be square, of one size, with alpha. Identity and split of a\n"
        "head come from SOURCE/heads.jsonl, a line a head such as\n"
        '  {"id": "anna-07", "identity_id": "anna", "split": "val"}\n'
        "else splits from FaceLift's lists; else the folder's name is the identity and its hash\n"
        "decides the split.\n\n"
        "  headloom dataset import scans --from nerfstudio --out heads --licence CC-BY-4.0",
    )
    parser.add_argument("source", type=local_path, metavar="SOURCE", help="folder above the heads'")
    parser.add_argument(
        "--format",
        "--from",
        dest="layout",
        required=True,
        choices=(*import_layouts.LAYOUTS, import_layouts.FACELIFT),
        metavar="LAYOUT",
        help="one of the above; facelift: whichever of its two is there",
    )
    parser.add_argument(
        "--out",
        type=local_path,
        required=True,
        metavar="DIR",
        help="the new dataset, on this machine",
    )
    parser.add_argument(
        "--opaque",
        action="store_true",
        help="take pictures without alpha and mask with their background, as opaque",
    )
    parser.add_argument(
        "--licence",
        default=UNKNOWN_LICENCE,
        metavar="TEXT",
        help="of the pictures, an SPDX id for example; it goes wherever they go",
    )
    parser.add_argument("--attribution", default="", metavar="TEXT", help="whom to name")
    parser.add_argument(
        "--heads-per-shard",
        type=positive,
        default=ImportOptions.heads_per_shard,
        metavar="N",
        help=f"heads in a tar file of the dataset; default {ImportOptions.heads_per_shard}",
    )
    _add_jobs(parser, "shards made at a time")
    add_quiet(parser)


def _add_jobs(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument(
        "--jobs",
        type=positive,
        metavar="N",
        default=os.cpu_count() or 1,
        help=f"{what}; default: the CPUs",
    )
