"""The threat model promises only what a test shows."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "threat-model.md"


def test_every_test_that_is_named_is_there() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ") and not line.startswith("| threat")]
    assert len(rows) >= 20
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", row)
        assert named, row
        for path, name in named:
            functions = {node.name for node in ast.walk(_parsed(ROOT / path)) if isinstance(node, ast.FunctionDef)}
            assert name in functions, f"{path}::{name}"


def test_every_setting_that_is_named_is_one() -> None:
    settings = (ROOT / "README.md").read_text()
    for name in re.findall(r"REVIEW_LM_\w+", PAGE.read_text()):
        assert f"`{name}`" in settings, name


def test_nothing_is_unpickled() -> None:
    calls = 0
    for path in [*(ROOT / "app").rglob("*.py"), *(ROOT / "training").rglob("*.py")]:
        tree = _parsed(path)
        imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
        assert not {"pickle", "dill", "joblib", "shelve", "marshal"} & imported, path
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"torch.load", "np.load", "numpy.load"}:
                given = {word.arg: ast.unparse(word.value) for word in node.keywords}
                assert given.get("weights_only") == "True" or given.get("allow_pickle") == "False", path
                calls += 1
    assert calls >= 3


def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())
