"""What is pinned in more than one place is pinned to the same."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_torch_is_pinned_alike_for_the_cpu_index_and_the_package() -> None:
    (from_index,) = re.findall(r"^torch==(.+)$", (ROOT / "torch-cpu.txt").read_text(), re.MULTILINE)
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert f"torch=={from_index}" in dependencies


def test_every_dependency_is_pinned_and_has_its_reason() -> None:
    project = (ROOT / "pyproject.toml").read_text().partition("\n[tool.")[0]
    requirements = re.findall(r'^    "([^"]*)",?(.*)$', project, re.MULTILINE)
    assert len(requirements) > 10
    for requirement, comment in requirements:
        if not requirement.startswith("review-lm["):
            assert "==" in requirement, requirement
            assert comment.strip().startswith("#"), requirement
