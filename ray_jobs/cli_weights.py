"""The parsers of `headloom weights`."""

from __future__ import annotations

from ray_jobs import commands_weights as commands
from ray_jobs.cli_flags import add_verb, local_path


def add_weights(verbs) -> None:
    """Add `headloom weights import | export`."""
    parser = verbs.add_parser("weights", help="import weights of others, export your own")
    inner = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_import(inner)
    _add_export(inner)


def _add_import(verbs) -> None:
    parser = add_verb(
        verbs,
        "import",
        commands.import_weights,
        "turn published weights into weights that headloom loads",
        "Shows their licence, checks the shape of every tensor and writes DIR/gslrm.safetensors\n"
        "and DIR/config.yaml. Nothing is downloaded, and nothing in the file is executed.\n\n"
        "  facelift-gslrm   the reconstructor of FaceLift (a .pt file, non-commercial)\n\n"
        "  headloom weights import --from facelift-gslrm ckpt.pt --out weights/facelift\n"
        "  headloom eval reconstructor --data heads --weights weights/facelift --out scores",
    )
    parser.add_argument("file", type=local_path, metavar="FILE", help="the published one")
    parser.add_argument(
        "--from", dest="source", required=True, choices=("facelift-gslrm",), help="what it is"
    )
    parser.add_argument(
        "--out", type=local_path, required=True, metavar="DIR", help="folder of the weights"
    )


def _add_export(verbs) -> None:
    parser = add_verb(
        verbs,
        "export",
        commands.export_weights,
        "write the weights of a run without the state of its training",
        "The averaged weights of the newest checkpoint, as DIR/KIND.safetensors, and the\n"
        "configuration. Every command that takes a run takes such a folder.\n\n"
        "  headloom weights export runs/gslrm --out weights/gslrm --half",
    )
    parser.add_argument("weights", type=local_path, metavar="RUN", help="a run or a checkpoint")
    parser.add_argument(
        "--out", type=local_path, required=True, metavar="DIR", help="folder of the weights"
    )
    parser.add_argument("--half", action="store_true", help="float16: half the bytes")
