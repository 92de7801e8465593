"""What is pinned in more than one place is pinned to the same, and the package holds what it needs."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
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


def test_the_package_holds_the_page(tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(ROOT / "app", source / "app", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "."]
    subprocess.run([*build, "--wheel-dir", str(tmp_path)], cwd=source, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "app" / "static").iterdir()}
    assert "app/static/client.js" in files
    assert files <= set(zipfile.ZipFile(wheel).namelist())


def test_the_image_holds_the_page() -> None:
    assert "\nCOPY app ./app\n" in (ROOT / "Dockerfile").read_text()
    assert {"*", "!app"} <= set((ROOT / ".dockerignore").read_text().split())
