"""The command line: its surface is a contract, its errors are one sentence."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ray_jobs import cli, commands

SURFACE = {
    "render": "--address --cluster --config --device --dry-run --estimate --heads --log-format"
    " --out --quiet --retry-failed --seed --set --size --threads --verbose --workers",
    "dataset export": "--background --index --jobs --members --out --quiet --shard-size-mb --split"
    " --to --verbose --views --where dataset",
    "dataset import": "--attribution --from --heads-per-shard --jobs --licence --opaque --out"
    " --quiet --verbose source",
    "dataset info": "--full --json --quiet --verbose dataset",
    "dataset index": "--columns --quiet --verbose dataset",
    "dataset sample": "--balance --json --n --out --quiet --seed --verbose --where dataset",
    "dataset merge": "--copy --dry-run --out --quiet --verbose datasets",
    "dataset duplicates": "--copy --distance --json --out --quiet --verbose dataset",
    "dataset repair": "--dry-run --jobs --json --quiet --verbose dataset",
    "dataset split": "--copy --out --parts --quiet --verbose dataset",
    "dataset report": "--judged --judges --out --quiet --verbose dataset",
    "dataset sheet": "--quiet --verbose dataset",
    "dataset verify": "--jobs --json --quiet --sample --verbose dataset",
    "train": "--address --config --data --dry-run --gpu --out --quiet --set --vae --verbose"
    " --workers kind",
    "lift": "--address --config --diffusion --dry-run --fallback-weights --gslrm --out --overwrite"
    " --quiet --seed --set --vae --verbose inputs",
    "eval": "--data --inputs --max-heads --out --quiet --split --verbose --weights model",
    "weights export": "--half --out --verbose weights",
    "weights import": "--from --out --verbose file",
    "assets": "--accept-licence --replace --store --verbose action target",
    "gallery": "--verbose out",
    "submit": "--address --no-wait --python --verbose command",
    "doctor": "--quick --verbose",
}


def leaves(parser: argparse.ArgumentParser, words: str = "") -> dict[str, argparse.ArgumentParser]:
    """Every parser that runs something, by the words to type."""
    inner = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    if not inner:
        return {words: parser}
    return {
        name: leaf
        for word, verb in inner[0].choices.items()
        for name, leaf in leaves(verb, f"{words} {word}".strip()).items()
    }


def surface() -> dict[str, str]:
    return {
        name: " ".join(
            sorted(
                a.option_strings[-1] if a.option_strings else a.dest
                for a in verb._actions
                if a.dest != "help"
            )
        )
        for name, verb in leaves(cli.build_parser()).items()
    }


def test_the_surface_changes_only_on_purpose():
    assert surface() == SURFACE


@pytest.mark.parametrize("verb", [*sorted(SURFACE), "dataset"])
def test_every_verb_explains_itself(verb, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([*verb.split(), "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert len(text.splitlines()) > 8


def test_every_flag_says_what_it_is_for():
    for verb, parser in leaves(cli.build_parser()).items():
        assert [a.dest for a in parser._actions if not a.help] == [], verb


def test_help_is_fast_and_imports_nothing_heavy():
    code = (
        "import sys, ray_jobs.cli\n"
        "try: ray_jobs.cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([m for m in ('torch', 'ray', 'bpy', 'diffusers', 'numba') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.splitlines()[-1] == "[]"


def test_a_known_error_is_one_sentence_and_exit_code_1(tmp_path, capsys):
    code = cli.main(["render", "--out", str(tmp_path), "--set", "haeds=3"])
    captured = capsys.readouterr()
    assert code == 1 and captured.out == ""
    assert captured.err.count("\n") == 1 and "did you mean 'heads'" in captured.err


def test_verbose_adds_the_traceback(tmp_path, capsys):
    assert cli.main(["lift", str(tmp_path / "no.jpg"), "--out", str(tmp_path), "--verbose"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_missing_photo_is_named(tmp_path, capsys):
    assert cli.main(["lift", str(tmp_path / "no.jpg"), "--out", str(tmp_path / "o")]) == 1
    assert "no.jpg" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_one_sentence(capsys):
    assert cli.main(["render", "--out", "/proc/nowhere", "--heads", "1"]) == 1
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and "/proc/nowhere" in captured.err


def test_interruption_tells_how_to_go_on(monkeypatch, tmp_path, capsys):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "doctor", interrupted)
    assert cli.main(["doctor"]) == 130
    assert "run the same command again" in capsys.readouterr().err


def test_bugs_are_not_hidden(monkeypatch):
    def broken(_):
        raise RuntimeError("a bug")

    monkeypatch.setattr(commands, "doctor", broken)
    with pytest.raises(RuntimeError):
        cli.main(["doctor"])


def test_vae_flag_belongs_to_diffusion(tmp_path, capsys):
    arguments = ["train", "gslrm", "--data", str(tmp_path), "--out", str(tmp_path), "--vae", "x"]
    assert cli.main(arguments) == 1
    assert "train diffusion" in capsys.readouterr().err


def refusal(capsys, *words: str) -> str:
    """What argparse says of a command line."""
    with pytest.raises(SystemExit) as stop:
        cli.main([*words])
    assert stop.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("dataset info heads --qiuet", "dataset info: error: unrecognized arguments: --qiuet (did"),
        ("dataset info heads more", "dataset info: error: unrecognized arguments: more\n"),
        (
            "render --out d --dry-run --head 3",
            "error: unrecognized arguments: --head 3 (did you",
        ),
        ("--verison", "headloom: error: the following arguments are required: COMMAND"),
        ("datset info", "headloom: error: argument COMMAND: invalid choice: 'datset'"),
    ],
)
def test_a_wrong_flag_is_told_with_the_usage_of_its_verb(capsys, words, message):
    """And an abbreviation is a wrong flag: another flag may come that begins the same."""
    error = refusal(capsys, *words.split())
    assert error.startswith("usage: ") and message in error


URL = "s3://bucket/place"
ON_THIS_MACHINE = {
    "train gslrm --data d --out": "--out",
    "train diffusion --data d --out d --vae": "--vae",
    "lift": "PHOTO_OR_DIR_OR_VIDEO",
    "lift a.jpg --out": "--out",
    "lift a.jpg --out d --gslrm": "--gslrm",
    "lift a.jpg --out d --fallback-weights": "--fallback-weights",
    "eval reconstructor --data d --out d --weights": "--weights",
    "eval reconstructor --data d --weights d --out": "--out",
    "gallery": "DIR",
    "assets list --store": "--store",
    "dataset report d --out": "--out",
    "dataset export d --to colmap --out": "--out",
    "dataset import --from nerfstudio --out d": "SOURCE",
    "dataset import d --from nerfstudio --out": "--out",
}


@pytest.mark.parametrize("words", ON_THIS_MACHINE)
def test_a_url_is_refused_where_only_a_folder_will_do(capsys, tmp_path, monkeypatch, words):
    """As a path it would become a folder `s3:` in the working directory."""
    monkeypatch.chdir(tmp_path)
    error = refusal(capsys, *words.split(), URL)
    said = f"argument {ON_THIS_MACHINE[words]}: {URL} is on an object store; use a folder of this"
    assert said in error
    assert list(tmp_path.iterdir()) == []


def test_every_argument_that_is_no_dataset_is_such_a_folder():
    """None is a bare `Path`, which would take a URL for a folder."""
    for verb, parser in leaves(cli.build_parser()).items():
        assert Path not in [action.type for action in parser._actions], verb


@pytest.mark.parametrize("text", ["0", "-3", "many", "1.5"])
def test_counts_are_one_or_more(capsys, text):
    for words in (
        "train vae --data d --out d --workers",
        "eval reconstructor --data d --weights d --out d --max-heads",
        "render --out d --threads",
        "dataset verify d --jobs",
        "dataset report d --judged",
        "dataset split d --out d --parts",
        "dataset export d --to colmap --out d --jobs",
        "dataset import d --from nerfstudio --out d --heads-per-shard",
    ):
        flag = words.split()[-1]
        error = refusal(capsys, *words.split(), text)
        assert f"argument {flag}: " in error and "1 or more" in error


@pytest.mark.parametrize("words", ["render --out none --dry-run", "assets list --store none"])
def test_nobody_reads_the_output_any_more(words):
    """`headloom ... | head`: no traceback, no message, the exit code of SIGPIPE in a shell; of more
    than a buffer of output, and of less."""
    command = [sys.executable, "-m", "ray_jobs.cli", *words.split()]
    environment = {**os.environ, "PYTHONUNBUFFERED": ""}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    process.stdout.close()
    error = process.stderr.read()
    process.stderr.close()
    assert process.wait() == 141 and error == b""


def test_flags_of_the_report_belong_to_it(tmp_path, capsys):
    from synth.dataset import Dataset
    from synth.sample import DatasetConfig

    Dataset.create(tmp_path / "heads", DatasetConfig(heads=1, size=8))
    with pytest.raises(SystemExit) as stop:
        cli.main(["dataset", "info", str(tmp_path / "heads"), "--judges", "all"])
    assert stop.value.code == 2 and "--judges" in capsys.readouterr().err
    assert cli.main(["dataset", "report", str(tmp_path / "heads"), "--judges", "fases"]) == 1
    assert "'fases' is not one of all, none, faces" in capsys.readouterr().err


def test_a_dataset_gets_its_report_and_info_names_it(tmp_path, capsys):
    import numpy as np

    from synth.dataset import Dataset
    from synth.record import ShardWriter
    from synth.sample import DatasetConfig

    root = tmp_path / "heads"
    dataset = Dataset.create(root, DatasetConfig(heads=1, size=8))
    (plan,) = dataset.plan()
    with ShardWriter(plan.path, dataset_id=dataset.dataset_id) as writer:
        (spec,) = plan.specs(dataset.config)
        pictures = [np.full((8, 8, 4), 99, np.uint8)] * len(spec.cameras)
        writer.add_head(spec, spec.resolved_cameras(), pictures)
    assert cli.main(["dataset", "info", str(root)]) == 0
    assert f"report    headloom dataset report {root}" in capsys.readouterr().out
    assert cli.main(["dataset", "report", str(root), "--judges", "none", "--quiet"]) == 0
    assert capsys.readouterr().out == f"{root / 'report' / 'index.html'}\n"
    assert cli.main(["dataset", "info", str(root)]) == 0
    assert str(root / "report" / "index.html") in capsys.readouterr().out


def test_a_dry_run_of_training_prints_the_plan(tmp_path, capsys):
    arguments = ["train", "vae", "--data", "heads", "--out", str(tmp_path / "run")]
    assert cli.main([*arguments, "--set", "train.steps=7", "--dry-run"]) == 0
    assert "# plan: train vae for 7 steps on heads into" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()


def test_dry_run_prints_the_plan_and_one_head(tmp_path, capsys):
    out = tmp_path / "heads"
    assert cli.main(["render", "--out", str(out), "--heads", "5", "--dry-run"]) == 0
    text = capsys.readouterr().out
    assert "5 heads" in text and "identity_id" in text
    assert not out.exists()
