"""The arrows between the modules, read off their syntax trees."""

import ast
from pathlib import Path

import pytest

from tests.app.support import ROOT

MODULES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "app").rglob("*.py"))
OF_THE_ENGINE = {
    f"app/{name}.py"
    for name in (
        "batch",
        "calls",
        "completion",
        "context",
        "engine",
        "generation",
        "interrupt",
        "known",
        "language_model",
        "logprobs",
        "next_word",
        "ranking",
        "row_calls",
        "sampling",
        "scoring",
        "spelling",
        "state_cache",
        "word_cache",
        "word_search",
    )
}


def _imports(path: Path) -> set[str]:
    """Everything that a module imports anywhere, as `package.module`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found |= {str(node.module), *(f"{node.module}.{name.name}" for name in node.names)}
    return found


def _packages(module: str) -> set[str]:
    return {name.partition(".")[0] for name in _imports(ROOT / module)}


def test_there_are_modules_to_look_at() -> None:
    assert len(MODULES) > 15
    assert {"torch", "app"} <= _packages("app/engine.py")


@pytest.mark.parametrize("path", sorted((ROOT / "training").rglob("*.py")), ids=lambda path: path.name)
def test_training_does_not_import_the_service(path: Path) -> None:
    assert "app" not in {name.partition(".")[0] for name in _imports(path)}


@pytest.mark.parametrize("module", MODULES)
def test_the_service_does_not_import_training(module: str) -> None:
    assert not {"training", "tests"} & _packages(module)


@pytest.mark.parametrize("module", MODULES)
def test_only_the_engines_side_knows_tensors(module: str) -> None:
    assert "torch" not in _packages(module) or module in OF_THE_ENGINE
    assert "tokenizers" not in _packages(module) or module == "app/language_model.py"


@pytest.mark.parametrize("module", sorted(OF_THE_ENGINE & set(MODULES)))
def test_the_engines_side_knows_no_http(module: str) -> None:
    assert not {"fastapi", "starlette", "uvicorn"} & _packages(module)
    outside = {
        "app.routes",
        "app.exchange",
        "app.service",
        "app.main",
        "app.settings",
        "app.schemas",
        "app.log",
    }
    assert not {name for name in _imports(ROOT / module) if any(f"{name}.".startswith(f"{each}.") for each in outside)}


@pytest.mark.parametrize("module", MODULES)
def test_only_the_request_log_knows_the_database(module: str) -> None:
    assert not {"sqlalchemy", "sqlite3", "alembic"} & _packages(module) or module.startswith("app/log/")


@pytest.mark.parametrize("module", MODULES)
def test_environment_variables_are_read_by_the_settings_alone(module: str) -> None:
    # The one that is set is for the metrics' library to read.
    code = (ROOT / module).read_text().replace('os.environ["PROMETHEUS_MULTIPROC_DIR"] = ', "")
    assert "os.environ" not in code or module == "app/settings.py"
