"""House rules that a parser can check: banned calls, silent excepts, module size."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(
    path
    for package in ("synth", "train", "infer", "ray_jobs")
    for path in (ROOT / package).rglob("*.py")
)

# Environment variables are not configuration. Only code that starts processes sets them.
MAY_SET_ENVIRONMENT = {
    "synth/worker_process.py",
    "synth/blender_scenes/worker.py",
    "ray_jobs/cluster.py",
    "ray_jobs/doctor.py",
    "ray_jobs/train.py",
    "infer/preprocess.py",
}
GLOBAL_RANDOM = re.compile(
    r"\b(np|numpy)\.random\.(seed|rand|randn|randint|random|uniform|normal|choice|shuffle)\b"
)
# A generator made elsewhere is one that nobody seeded from the spec.
OWN_RANDOM = re.compile(
    r"\b(default_rng|RandomState|SeedSequence|Philox|PCG64)\b|^\s*(import|from) (random|secrets)\b",
    re.MULTILINE,
)
GAMMA = re.compile(r"0\.0031308|0\.04045|1\.055")


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def problems(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    name = relative(path)
    found = []
    if GLOBAL_RANDOM.search(text):
        found.append("draws from numpy's global generator; use synth.rng.stream")
    if OWN_RANDOM.search(text) and name != "synth/rng.py":
        found.append("makes a random generator of its own; use synth.rng.stream")
    if GAMMA.search(text) and name != "synth/color.py":
        found.append("contains a transfer curve; colour lives in synth/color.py")
    if re.search(r"\bos\.(environ|getenv|putenv)\b", text) and name not in MAY_SET_ENVIRONMENT:
        found.append("touches environment variables; use the configuration")
    if text.count("\n") > 450:
        found.append(f"has {text.count(chr(10))} lines; split it")
    for node in ast.walk(ast.parse(text)):
        found.extend(_node_problems(node))
    return [f"{name}: {problem}" for problem in found]


def _node_problems(node: ast.AST) -> list[str]:
    if isinstance(node, ast.ExceptHandler):
        caught = ast.unparse(node.type) if node.type else ""
        if caught in ("", "Exception", "BaseException") and not _reraises_or_reports(node):
            return [f"line {node.lineno}: a broad except that neither raises nor uses the error"]
    if isinstance(node, ast.Call):
        call = ast.unparse(node.func)
        keywords = {k.arg: ast.unparse(k.value) for k in node.keywords}
        if call in ("eval", "exec", "pickle.load", "pickle.loads"):
            return [f"line {node.lineno}: {call} on data"]
        if call == "torch.load" and keywords.get("weights_only") != "True":
            return [f"line {node.lineno}: torch.load without weights_only=True"]
        if call == "np.load" and keywords.get("allow_pickle") == "True":
            return [f"line {node.lineno}: np.load with allow_pickle"]
        if "start_new_session" in keywords:
            return [f"line {node.lineno}: start_new_session lets Blender outlive its parent"]
    if isinstance(node, ast.FunctionDef) and _code_lines(node) > 75:
        return [f"line {node.lineno}: {node.name} has {_code_lines(node)} lines; split it"]
    return []


def _code_lines(function: ast.FunctionDef) -> int:
    """Lines of the body, without the docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def _reraises_or_reports(handler: ast.ExceptHandler) -> bool:
    body = ast.Module(body=handler.body, type_ignores=[])
    raises = any(isinstance(node, ast.Raise) for node in ast.walk(body))
    uses = handler.name is not None and any(
        isinstance(node, ast.Name) and node.id == handler.name for node in ast.walk(body)
    )
    return raises or uses


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_no_banned_constructs(path):
    assert problems(path) == []


@pytest.mark.parametrize(
    "code",
    [
        "import numpy as np\nnp.random.seed(0)",
        "rng = np.random.default_rng()",
        "def f():\n    import random",
        "try:\n    f()\nexcept Exception:\n    pass",
        "try:\n    f()\nexcept:\n    x = 1",
        "torch.load('x')",
        "import os\nos.environ['A']",
        "linear = x / 12.92 if x < 0.04045 else 0",
        "subprocess.Popen(c, start_new_session=True)",
        "\n" * 500,
    ],
)
def test_the_check_finds_them(monkeypatch, code):
    monkeypatch.setattr(Path, "read_text", lambda self, encoding=None: code)
    assert problems(ROOT / "train/loop.py")


def test_every_public_function_of_the_contracts_has_a_docstring():
    missing = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            named = isinstance(node, ast.FunctionDef | ast.ClassDef) and node.col_offset == 0
            if named and not node.name.startswith("_") and not ast.get_docstring(node):
                missing.append(f"{relative(path)}:{node.lineno} {node.name}")
    assert missing == []
