"""The `headloom` command: one verb per stage, the same flags everywhere.

Results go to stdout, progress and logs to stderr. A known error is one sentence and exit code 1;
`--verbose` adds the traceback. Heavy packages are imported by the verb that needs them, so that
`headloom --help` answers at once.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from typing import get_args

from ray_jobs import commands
from ray_jobs.cli_dataset import add_dataset
from ray_jobs.cli_flags import Parser, add_quiet, add_verb, dataset_place, local_path, positive
from ray_jobs.cli_weights import add_weights
from ray_jobs.progress import LogFormat
from synth.errors import HeadloomError
from synth.launch import Device

_DESCRIPTION = """\
Synthetic human heads from Blender at scale, and the models that lift one photo
to a 360-degree head of 3D Gaussians.

  headloom render --out heads --heads 100        # render a dataset
  headloom train gslrm --data heads --out run    # train the reconstructor on it
  headloom lift photo.jpg --out lifted           # one photo, a folder or a video
  headloom doctor                                # what works on this machine

Any command may be stopped and run again: it finishes what is missing. Exit codes: 0 done, 1 an
error or a part that failed, 2 a command line that makes no sense, 130 stopped by Ctrl-C.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: arguments without the program name; None reads `sys.argv`.

    Returns:
        0 on success, 1 on a known error or a failed item, 130 when interrupted, 141 if nobody
        reads the output any more.

    Raises:
        SystemExit: by argparse, after the help (0), or for a command line that is none (2).
    """
    arguments = build_parser().parse_args(argv)
    try:
        code = arguments.run(arguments)
        sys.stdout.flush()  # here, where a pipe that was closed can be told
        return code
    except BrokenPipeError:  # `headloom dataset sample heads --n all | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes it at exit
        return 141  # as a shell tells of SIGPIPE
    except (HeadloomError, OSError) as error:  # a full disk or a forbidden folder is no bug
        if arguments.verbose:
            traceback.print_exc()
        print(f"headloom: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("headloom: interrupted; run the same command again to go on", file=sys.stderr)
        return 130


def build_parser() -> argparse.ArgumentParser:
    """The whole command line; its surface is frozen by a test."""
    parser = Parser(
        prog="headloom",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=commands.version_text())
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_render(verbs)
    add_dataset(verbs)
    _add_train(verbs)
    _add_lift(verbs)
    _add_eval(verbs)
    add_weights(verbs)
    _add_assets(verbs)
    _add_gallery(verbs)
    _add_submit(verbs)
    _add_doctor(verbs)
    return parser


def _add_config_flags(parser: argparse.ArgumentParser, presets: str) -> None:
    parser.add_argument(
        "--config", metavar="NAME_OR_FILE", help=f"preset ({presets}) or a .yaml file"
    )
    parser.add_argument(
        "--set",
        dest="overrides",
        metavar="A.B=VALUE",
        action="append",
        default=[],
        help="change one value of the configuration; may be given several times",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print the configuration and the plan, do nothing"
    )


def _add_cluster_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--address", help="Ray cluster to use ('auto' or HOST:PORT); default: this machine"
    )
    add_quiet(parser)


def _add_render(verbs) -> None:
    parser = add_verb(
        verbs,
        "render",
        commands.render,
        "render a dataset of synthetic heads with Blender",
        "Heads are sampled from the configuration and the seed, rendered by one Blender process\n"
        "per shard, and written as DIR/shards/shard-*.tar (WebDataset). The same seed gives the\n"
        "same heads, and on the same kind of CPU the same pixels. A dataset that is there is\n"
        "finished with the configuration that it has; a larger --heads adds to it.\n\n"
        "  headloom render --out heads --heads 200 --size 256 --seed 7\n"
        "  headloom render --out heads --config demo --dry-run\n"
        "  headloom render --out heads --heads 1000 --set samples=16 --set views.random=10\n"
        "  headloom render --out heads --heads 1000 --retry-failed --log-format json\n"
        "  headloom render --out heads --heads 1000000 --workers 640 --estimate\n\n"
        "How it goes is in DIR/status.json, what failed and why in DIR/failures.jsonl. A shard\n"
        "whose Blender crashes is tried again, a head that crashes it twice is left out. The exit\n"
        "code is 1 if anything stayed failed, and 130 after Ctrl-C.",
    )
    parser.add_argument(
        "--out", type=dataset_place, required=True, metavar="DIR", help="dataset folder or URL"
    )
    parser.add_argument("--heads", type=int, metavar="N", help="number of heads")
    parser.add_argument("--size", type=int, metavar="PX", help="width and height in pixels")
    parser.add_argument("--seed", type=int, metavar="S", help="seed of the dataset (0 is a seed)")
    parser.add_argument("--workers", type=positive, metavar="N", help="Blender processes at a time")
    parser.add_argument(
        "--threads", type=positive, metavar="N", help="threads for each (default 1)"
    )
    parser.add_argument(
        "--device",
        choices=get_args(Device),
        help="what Cycles renders on (default CPU); a GPU is used by one process at a time",
    )
    parser.add_argument(
        "--cluster",
        metavar="NAME_OR_FILE",
        help="address and kinds of workers instead of these flags: a preset (local, cluster,"
        " cluster_autoscaling, cluster_cpu_and_gpu) or a .yaml file",
    )
    parser.add_argument(
        "--retry-failed",
        action="store_true",
        help="try heads again that failed in earlier runs (DIR/failures.jsonl)",
    )
    parser.add_argument(
        "--estimate",
        action="store_true",
        help="say what rendering will take, from the heads that are there or three rendered now",
    )
    parser.add_argument(
        "--log-format",
        choices=get_args(LogFormat),
        default="text",
        help="json: a line of JSON on stderr for every event; of --estimate, on stdout",
    )
    _add_config_flags(parser, "heads_v1, demo")
    _add_cluster_flags(parser)


def _add_train(verbs) -> None:
    parser = add_verb(
        verbs,
        "train",
        commands.train,
        "train one of the models on a dataset",
        "  vae         the image autoencoder of the diffusion model\n"
        "  diffusion   one photo in, six views out (needs a trained vae: --vae RUN)\n"
        "  gslrm       posed views in, 3D Gaussians out\n\n"
        "Running the same command again resumes exactly where it stopped.\n\n"
        "  headloom train gslrm --config tiny --data heads --out runs/gslrm",
    )
    parser.add_argument(
        "kind", choices=("vae", "diffusion", "gslrm"), help="which model, see above"
    )
    parser.add_argument(
        "--data", type=dataset_place, required=True, metavar="DIR", help="dataset folder or URL"
    )
    parser.add_argument(
        "--out", type=local_path, required=True, metavar="RUN", help="folder of the run"
    )
    parser.add_argument("--vae", type=local_path, metavar="RUN", help="trained vae, for diffusion")
    parser.add_argument(
        "--workers", type=positive, default=1, metavar="N", help="training processes"
    )
    parser.add_argument("--gpu", action="store_true", help="one GPU for each process")
    _add_config_flags(parser, "tiny, mini, ...")
    _add_cluster_flags(parser)


def _add_lift(verbs) -> None:
    parser = add_verb(
        verbs,
        "lift",
        commands.lift,
        "lift photos or a video to heads of 3D Gaussians",
        "For each photo: input.png, views.png, head.ply (any 3DGS viewer opens it),\n"
        "turntable.mp4 and lift.json. A folder is lifted photo by photo; one that fails (no face,\n"
        "not an image) is named, the rest is done and the exit code is 1. A video becomes a\n"
        "sequence of PLY files and one MP4.\n\n"
        "  headloom lift portrait.jpg --out lifted\n"
        "  headloom lift photos/ --out lifted --diffusion runs/diff --vae runs/vae --gslrm runs/g",
    )
    parser.add_argument(
        "inputs", type=local_path, nargs="+", metavar="PHOTO_OR_DIR_OR_VIDEO", help="what to lift"
    )
    parser.add_argument(
        "--out", type=local_path, required=True, metavar="DIR", help="folder of the results"
    )
    parser.add_argument("--seed", type=int, metavar="S", help="seed of the diffusion noise")
    for name in ("diffusion", "vae", "gslrm"):
        parser.add_argument(
            f"--{name}", type=local_path, metavar="RUN", help=f"trained {name} to use"
        )
    parser.add_argument(
        "--fallback-weights",
        type=local_path,
        metavar="DIR",
        help="runs vae/, diffusion/ and gslrm/ to use if no default weights ship",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace results that differ")
    _add_config_flags(parser, "default")
    _add_cluster_flags(parser)


def _add_eval(verbs) -> None:
    parser = add_verb(
        verbs,
        "eval",
        commands.evaluate,
        "score a model on a dataset",
        "  reconstructor   rebuild heads from six of their pictures, score all other views\n"
        "                  (PSNR, SSIM, LPIPS, alpha IoU); metrics.json, pictures and splats\n\n"
        "  headloom eval reconstructor --data heads --weights runs/gslrm --out scores",
    )
    parser.add_argument("model", choices=("reconstructor",), help="which, see above")
    parser.add_argument(
        "--data", type=dataset_place, required=True, metavar="DIR", help="dataset folder or URL"
    )
    parser.add_argument(
        "--weights", type=local_path, required=True, metavar="RUN", help="trained gslrm"
    )
    parser.add_argument(
        "--out", type=local_path, required=True, metavar="DIR", help="folder of the scores"
    )
    parser.add_argument(
        "--split",
        choices=("train", "val", "test", "all"),
        default="test",
        help="which identities (default: test, which training on train never saw)",
    )
    parser.add_argument(
        "--inputs",
        choices=("canonical", "random"),
        default="canonical",
        help="the six views it is shown: the canonical six or those nearest to them (default), "
        "or six at random",
    )
    parser.add_argument("--max-heads", type=positive, metavar="N", help="stop after so many heads")
    add_quiet(parser)


def _add_assets(verbs) -> None:
    parser = add_verb(
        verbs,
        "assets",
        commands.assets,
        "add your own heads, hair, garments, skins and environment maps",
        "  add DIR        every item of DIR/assets.yaml, checked in Blender, heads aligned\n"
        "  list           what the store holds\n"
        "  check          every byte of it against its digest (exit code 0)\n"
        "  remove NAME    an asset (pack:item) or a whole pack\n"
        "  pack [NAME]    fetch an optional pack, after its licence was shown; without NAME, list\n"
        "  template DIR   write the head that hair, garments and skins are made for\n\n"
        "  headloom assets add studio/\n"
        "  headloom render --out heads --set 'assets.heads={ours: 0.8, \"studio:*\": 0.2}'",
    )
    parser.add_argument(
        "action",
        choices=("add", "list", "check", "remove", "pack", "template"),
        help="what to do, see above",
    )
    parser.add_argument("target", nargs="?", metavar="DIR_OR_NAME", help="of what")
    parser.add_argument(
        "--store",
        type=local_path,
        metavar="DIR",
        help="where the assets lie (assets.store of a render)",
    )
    parser.add_argument(
        "--replace", action="store_true", help="replace assets of the same name, other content"
    )
    parser.add_argument(
        "--accept-licence", action="store_true", help="install a pack without being asked"
    )


def _add_gallery(verbs) -> None:
    parser = add_verb(
        verbs,
        "gallery",
        commands.gallery,
        "write index.html over a folder of results",
        "Collects the dataset's contact sheet, the loss curves and the lifted photos below DIR\n"
        "into DIR/index.html, with relative links only.",
    )
    parser.add_argument("out", type=local_path, metavar="DIR", help="folder of the results")


def _add_submit(verbs) -> None:
    parser = add_verb(
        verbs,
        "submit",
        commands.submit,
        "run render, train or lift on a cluster, as a Ray job",
        "Sends the command to the cluster's head node, which runs it with --address auto, and\n"
        "follows its output. The exit code is that of the command. The job goes on when this\n"
        "machine leaves; the same command finds it again instead of starting a second. A local\n"
        "YAML file of --config or --cluster travels with it; --out and --data must be places that\n"
        "all machines of the cluster see. They need Headloom in the version of this machine\n"
        "(deploy/Dockerfile).\n\n"
        "  headloom submit --address http://HEAD:8265 -- render --out /shared/heads --heads 1000",
    )
    parser.add_argument(
        "--address", required=True, metavar="URL", help="the cluster's dashboard, http://HOST:8265"
    )
    parser.add_argument("--no-wait", action="store_true", help="print the job's id and return")
    parser.add_argument(
        "--python", default="python", metavar="PATH", help="the interpreter on the head node"
    )
    parser.add_argument(
        "command",
        nargs=argparse.REMAINDER,
        metavar="-- COMMAND ...",
        help="render, train or lift with its flags",
    )


def _add_doctor(verbs) -> None:
    parser = add_verb(
        verbs,
        "doctor",
        commands.doctor,
        "say what works on this machine and what does not",
        "Checks Python, system libraries, packages, devices, Blender, the face models and the\n"
        "video encoder; each problem comes with its remedy. Exit code 1 if anything failed.",
    )
    parser.add_argument("--quick", action="store_true", help="skip what starts other processes")


if __name__ == "__main__":
    sys.exit(main())
